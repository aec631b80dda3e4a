// SPDX-License-Identifier: Apache-2.0
// Opening a store: creating it, locking it, reading what is there.
//
// A writer may find a store whose creator, or last writer, was killed between a rename and the
// flush behind it: everything is there to be seen, and nothing of it is sure to survive. So every
// writer flushes all four directories before it builds on what it saw (D2).
//
// The lock is taken before the first look at the records and held until Close. Its text is for
// people; what counts is the kernel's lock. A forked child shares it and must not free it.
#include "manager/store.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "base/planted.h"
#include "format/names.h"
#include "storage/process.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Result;
using base::Status;

// The value of the line "key VALUE" of a lock's text, printable, or "".
std::string Field(std::string_view text, std::string_view key) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.size() > key.size() && line.substr(0, key.size()) == key && line[key.size()] == ' ') {
      std::string value(line.substr(key.size() + 1, 255));
      for (char& c : value) c = c >= 0x20 && c < 0x7f ? c : '?';
      return value;
    }
    at = end + 1;
  }
  return {};
}

std::string Utc(int64_t nanoseconds) {
  // Days to a civil date (H. Hinnant's algorithm), because gmtime is neither portable in its
  // reentrant form nor needed.
  const int64_t seconds = nanoseconds / 1000000000;
  const int64_t days = seconds / 86400 + 719468;
  const int64_t era = days / 146097, day_of_era = days % 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted = (5 * day_of_year + 2) / 153;
  const int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  char text[64];
  snprintf(text, sizeof(text), "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02d:%02d:%02dZ", year,
           month, day_of_year - (153 * shifted + 2) / 5 + 1, static_cast<int>(seconds / 3600 % 24),
           static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  return text;
}

Status BusyStatus(const std::string& store, std::string_view text, int os_error) {
  const std::string process = Field(text, "pid"), host = Field(text, "host");
  std::string message = "'" + store + "' is being written by ";
  if (process.empty()) {
    message += "another process";
  } else {
    message += "process " + process + " on host '" + host + "' since " + Field(text, "since");
  }
  const int64_t id = static_cast<int64_t>(strtoll(process.c_str(), nullptr, 10));
  if (host == storage::HostName() && storage::ProcessIsGone(id)) {
    message +=
        "; it seems to have ended, so a child that it forked must still hold the lock: end it";
  } else {
    message += "; wait for it, or open the store read-only";
  }
  return Status(Code::kBusy, message, os_error);
}

Result<bool> HasRecords(const storage::Directory& manifests) {
  TR_ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, manifests.List());
  uint64_t number = 0;
  return std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
    return format::ParseRecordName(entry.name, &number);
  });
}

// Folders that some store made, whichever it was.
Result<bool> HasAttempts(const storage::Directory& data) {
  TR_ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, data.List());
  return std::any_of(entries.begin(), entries.end(), [](const auto& entry) {
    return entry.kind == storage::EntryKind::kDirectory && format::LooksLikeAttempt(entry.name);
  });
}

Result<std::unique_ptr<storage::Directory>> OpenOrMake(storage::Directory* in,
                                                       std::string_view name) {
  auto made = in->MakeChild(name);
  if (made.ok() || made.status().code() != Code::kAlreadyExists) return made;
  return in->OpenChild(name);
}

// The store's own directory, which may be a link, to another disk say; what is in it may not.
Result<std::unique_ptr<storage::Directory>> OpenRoot(storage::Directory* parent,
                                                     std::string_view name, bool create) {
  if (create) {
    auto made = parent->MakeChild(name);
    if (made.ok() || made.status().code() != Code::kAlreadyExists) return made;
  }
  return parent->OpenLinkedChild(name);
}

Status NoStore(const std::string& name) {
  return Status(Code::kNotFoundFile,
                "'" + name + "' is no store: it has no file STORE; create one, or check the path");
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(std::unique_ptr<storage::Directory> parent,
                                           std::string_view name, StoreOptions options) {
  std::unique_ptr<Store> store(new Store());
  const bool create =
      options.mode == OpenMode::kOpenOrCreate || options.mode == OpenMode::kCreateNew;
  const bool sweep = options.sweep && !options.no_lock;
  store->options_ = std::move(options);
  store->process_ = storage::ProcessId();
  TR_ASSIGN_OR_RETURN(store->root_, OpenRoot(parent.get(), name, create));
  store->name_ = store->root_->name();
  TR_ASSIGN_OR_RETURN(const bool exists, store->root_->Exists(format::kStoreName));
  if (!exists && !create) return NoStore(store->name_);
  bool was_there = exists;
  if (!store->read_only()) {
    // That which holds the directory itself: through a link the one given is another.
    TR_ASSIGN_OR_RETURN(store->parent_, store->root_->OpenParent());
    if (base::Planted(14) && exists) {
      TR_RETURN_IF_ERROR(store->OpenDirectories());
      TR_RETURN_IF_ERROR(store->Reload());
      static_cast<void>(store->Sweep(true));
    }
    TR_RETURN_IF_ERROR(store->TakeLock());
    TR_ASSIGN_OR_RETURN(was_there, store->root_->Exists(format::kStoreName));
    if (was_there && store->options_.mode == OpenMode::kCreateNew) {
      return Status(Code::kAlreadyExists,
                    "'" + store->name_ + "' is a store already; open it, or choose another path");
    }
    if (!was_there) TR_RETURN_IF_ERROR(store->Create());
  }
  TR_RETURN_IF_ERROR(store->OpenDirectories());
  if (!store->read_only()) TR_RETURN_IF_ERROR(store->FlushTree(was_there));
  TR_RETURN_IF_ERROR(store->Reload());
  if (!store->read_only()) TR_RETURN_IF_ERROR(store->RequireKnownFeatures());
  // Cleaning up is no condition of opening: what could not be removed is reported by Sweep(false).
  if (!store->read_only() && sweep) static_cast<void>(store->CleanUp());
  // Without it, too, somebody has to see that records were lost.
  if (store->catalog()->newest() == 0 && !(sweep && !store->read_only())) {
    static_cast<void>(store->Sweep(false));
  }
  return store;
}

Status Store::TakeLock() {
  if (options_.no_lock) return {};
  auto lock = root_->LockFile(format::kLockName, options_.lock_timeout_ms);
  if (!lock.ok()) {
    if (lock.status().code() == Code::kBusy) {
      return BusyStatus(name_, lock.status().message(), lock.status().os_error());
    }
    if (lock.status().code() != Code::kUnsupportedFeature) return std::move(lock.status());
    return Status(Code::kUnsupportedFeature,
                  std::string(lock.status().message()) +
                      "; open without a lock if this is the only writer, or read-only",
                  lock.status().os_error());
  }
  lock_ = std::move(*lock);
  // For people; on a full disk it fails, and a writer is needed to make room.
  static_cast<void>(lock_->Write("pid " + std::to_string(process_) + "\nhost " +
                                 storage::HostName() + "\nsince " + Utc(root_->Now()) + "\n"));
  return {};
}

Status RecordTooLarge(uint64_t size) {
  return Status(Code::kLimit, "the record would have " + std::to_string(size) +
                                  " bytes, more than the " + std::to_string(format::kMaxManifest) +
                                  " there may be; save large documents as items");
}

Status Store::Create() {
  if (!base::Planted(2)) TR_RETURN_IF_ERROR(parent_->Sync());  // who cannot, makes no store there
  TR_ASSIGN_OR_RETURN(manifests_, OpenOrMake(root_.get(), format::kManifestsName));
  TR_ASSIGN_OR_RETURN(data_, OpenOrMake(root_.get(), format::kDataName));
  TR_ASSIGN_OR_RETURN(const bool records, HasRecords(*manifests_));
  TR_ASSIGN_OR_RETURN(const bool checkpoints, HasAttempts(*data_));
  if (records || checkpoints) {
    return Status(Code::kCorrupt, "'" + name_ + "' has " + (records ? "records" : "checkpoints") +
                                      " but no file STORE; restore that file from a copy of the "
                                      "directory, nothing was changed");
  }
  format::StoreRecord record;
  TR_RETURN_IF_ERROR(root_->Random(record.uuid.data(), record.uuid.size()));
  record.created = root_->Now();
  record.metadata = options_.metadata;
  const std::vector<uint8_t> bytes = format::EncodeStore(record);
  if (bytes.size() > format::kMaxManifest) return RecordTooLarge(bytes.size());
  if (!base::Planted(2)) TR_RETURN_IF_ERROR(root_->Sync());  // no STORE without its folders (D12)
  TR_ASSIGN_OR_RETURN(const bool stale, root_->Exists(kStoreTemporary));
  if (stale) TR_RETURN_IF_ERROR(root_->Remove(kStoreTemporary));
  TR_ASSIGN_OR_RETURN(const auto file, root_->CreateToWrite(kStoreTemporary, {}));
  Status written = file->Append(base::ByteSpan(bytes));
  if (written.ok() && !base::Planted(1)) written = file->Sync();
  Status closed = file->Close();
  if (written.ok()) written = std::move(closed);
  if (written.ok()) written = root_->Rename(kStoreTemporary, format::kStoreName, NoReplace());
  if (!written.ok()) static_cast<void>(root_->Remove(kStoreTemporary));
  return written;  // FlushTree follows
}

Status Store::OpenDirectories() {
  TR_RETURN_IF_ERROR(ReadStoreRecord());
  // Who keeps leftovers comes to rebuild, for which the folder must be there.
  auto manifests = read_only() || options_.sweep ? root_->OpenChild(format::kManifestsName)
                                                 : OpenOrMake(root_.get(), format::kManifestsName);
  if (!manifests.ok() && manifests.status().code() == Code::kNotFoundFile) {
    return Status(Code::kCorrupt, "the folder '" + name_ +
                                      "/manifests' is lost; bring it back, or rebuild the records "
                                      "from the checkpoints");
  }
  if (!manifests.ok()) return std::move(manifests.status());
  manifests_ = std::move(*manifests);
  TR_ASSIGN_OR_RETURN(data_, root_->OpenChild(format::kDataName));
  return {};
}

Status Store::ReadStoreRecord() {
  auto opened = root_->OpenToRead(format::kStoreName);
  if (!opened.ok() && opened.status().code() == Code::kNotFoundFile) return NoStore(name_);
  if (!opened.ok()) return std::move(opened.status());
  const auto& file = *opened;
  if (file->size() > format::kMaxManifest) {
    return Status(Code::kNotTreering, "'" + file->name() + "' is too large to be a store's record");
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(file->size()));
  TR_RETURN_IF_ERROR(file->ReadAt(0, bytes.data(), bytes.size()));
  auto record = format::DecodeStore(base::ByteSpan(bytes));
  if (!record.ok()) return std::move(record.status()).WithContext("'" + file->name() + "'");
  record_ = std::move(*record);
  if (record_.features_ro_compat != 0 && !read_only()) {
    return Status(
        Code::kUnsupportedFeature,
        "'" + name_ + "' uses features that this version can only read; open it read-only");
  }
  return {};
}

Status Store::RequireKnownFeatures() const {
  for (const Record& record : catalog()->records()) {
    if (record->features_ro_compat == 0) continue;
    return Status(Code::kUnsupportedFeature,
                  "record " + format::RecordName(record->number) + " of '" + name_ +
                      "' uses features that this version can only read; open it read-only");
  }
  return {};
}

Status Store::FlushTree(bool was_there) {
  if (base::Planted(2)) return {};
  TR_RETURN_IF_ERROR(manifests_->Sync());
  TR_RETURN_IF_ERROR(data_->Sync());
  TR_RETURN_IF_ERROR(root_->Sync());
  Status flushed = parent_->Sync();
  // A directory that may only be searched cannot be flushed; its name in it is not of our making.
  if (was_there && flushed.code() == Code::kIoPermission) return {};
  return flushed;
}

Store::~Store() {
  // In a forked child the descriptor is closed and the lock stays with the parent.
  if (!Forked()) static_cast<void>(Close());
}

Status Store::Close() {
  const std::lock_guard<std::mutex> hold(mutex_);
  closed_.store(true);
  if (lock_ == nullptr) return {};
  const std::unique_ptr<storage::Lock> lock = std::move(lock_);
  if (base::Planted(16)) static_cast<void>(root_->Remove(format::kLockName));
  return lock->Unlock();
}

bool Store::Forked() const { return storage::ProcessId() != process_; }

Status Store::Usable() const {
  if (Forked()) {
    return Status(Code::kWrongStateForked,
                  "the manager of '" + name_ + "' belongs to process " + std::to_string(process_) +
                      ", from which this one was forked; open one of your own");
  }
  if (closed_.load()) {
    return Status(Code::kWrongState, "the manager of '" + name_ + "' was closed; open it again");
  }
  return {};
}

Status Store::RequireWriter() const {
  TR_RETURN_IF_ERROR(Usable());
  if (!read_only()) return {};
  return Status(Code::kWrongState, "'" + name_ + "' was opened read-only; open it for writing");
}

Status Store::RequireKnownOutcome() const {
  if (!unknown_) return {};
  return Status(Code::kWrongState,
                "nothing is removed from '" + name_ +
                    "' while it is unknown whether the last commit will survive a power loss; save "
                    "again, or open it anew");
}

storage::Replace Store::NoReplace() const {
  return lock_ != nullptr ? storage::Replace::kNoChecked : storage::Replace::kNo;
}

std::shared_ptr<const Catalog> Store::catalog() const {
  const std::lock_guard<std::mutex> hold(catalog_mutex_);
  return catalog_;
}

void Store::SetCatalog(std::shared_ptr<const Catalog> catalog) {
  const std::lock_guard<std::mutex> hold(catalog_mutex_);
  catalog_ = std::move(catalog);
}

Status Store::Reload() {
  const std::lock_guard<std::mutex> hold(mutex_);
  return ReloadLocked();
}

Status Store::ReloadLocked() {
  const std::shared_ptr<const Catalog> before = catalog();
  TR_ASSIGN_OR_RETURN(auto now, Catalog::Read(*manifests_, record_.uuid, before.get()));
  SetCatalog(std::move(now));
  return {};
}

Result<std::unique_ptr<storage::ReadableFile>> Store::OpenFile(const format::ManifestRecord& record,
                                                               std::string_view folder,
                                                               std::string_view file) const {
  const std::string own = format::AttemptName(record.store, record.step, record.attempt);
  auto directory = data_->OpenChild(folder.empty() ? std::string_view(own) : folder);
  auto opened = directory.ok()
                    ? (*directory)->OpenToRead(file)
                    : Result<std::unique_ptr<storage::ReadableFile>>(std::move(directory.status()));
  if (opened.ok() || opened.status().code() != Code::kNotFoundFile) return opened;
  TR_ASSIGN_OR_RETURN(const bool named, manifests_->Exists(format::RecordName(record.number)));
  if (named) return opened;
  return Status(Code::kNotFoundGone, "step " + std::to_string(record.step) + " of '" + name_ +
                                         "' was deleted meanwhile; reload");
}

}  // namespace treering::manager

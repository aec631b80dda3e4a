// SPDX-License-Identifier: Apache-2.0
// How a version comes to exist: its data for good first, then its record, by one rename.
//
// The order is D3 of DURABILITY.md. Until the rename nothing of the attempt counts, and every
// failure ends with its files removed. From the rename on the version is there to be seen, so its
// files are never touched again by a failure; if the last flush fails, nobody can say whether it
// would survive a power loss, and the answer says just that.
//
// A flush that failed is never repeated on the same file: the kernel has dropped the pages by then
// and would answer yes.
#include <new>

#include "base/planted.h"
#include "format/names.h"
#include "manager/store.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Result;
using base::Status;

std::string StepName(int64_t step) { return "step " + std::to_string(step); }

Status StepExists(const std::string& store, int64_t step) {
  return Status(Code::kAlreadyExists,
                StepName(step) + " of '" + store +
                    "' exists already; save another step, or ask for overwrite");
}

}  // namespace

Status Store::RecordsLost() const {
  if (!records_lost_.load() || catalog()->newest() != 0) return {};
  return Status(
      Code::kCorrupt,
      "'" + name_ +
          "' holds whole checkpoints and no record of them: manifests/ was lost; bring it "
          "back, or rebuild the records, before anything is saved");
}

Result<std::unique_ptr<Attempt>> Store::Begin(int64_t step, const storage::WriteOptions& options,
                                              bool durable) {
  TR_RETURN_IF_ERROR(RequireWriter());
  std::unique_ptr<Attempt> attempt(new Attempt());  // before the lock, which its end takes too
  const std::lock_guard<std::mutex> hold(mutex_);
  TR_RETURN_IF_ERROR(Usable());  // closed meanwhile: the lock is gone
  TR_RETURN_IF_ERROR(RecordsLost());
  if (!lone_.empty() && options_.sweep && lock_ != nullptr && catalog()->newest() == 0) {
    TR_RETURN_IF_ERROR(RemoveData({lone_}));  // for good: two that are whole would look like loss
    lone_.clear();
  }
  attempt->step_ = step;
  attempt->durable_ = durable;
  attempt->started_ = root_->Now();
  if (base::Planted(18)) {
    for (size_t i = 0; i < 8; ++i) {
      attempt->bits_[i] = static_cast<uint8_t>(attempt->started_ / 1000000000 >> (8 * i));
    }
  } else {
    TR_RETURN_IF_ERROR(root_->Random(attempt->bits_.data(), attempt->bits_.size()));
  }
  if (base::Planted(19)) attempt->bits_ = {};
  attempt->folder_ = format::AttemptName(record_.uuid, step, attempt->bits_);
  auto made = data_->MakeChild(attempt->folder_);
  if (!made.ok() && base::Planted(19)) made = data_->OpenChild(attempt->folder_);
  if (!made.ok()) return std::move(made.status());
  attempt->directory_ = std::move(*made);
  attempt->store_ = this;  // from here on the destructor cleans up
  active_.insert(attempt->folder_);
  auto file = attempt->directory_->CreateToWrite(format::kContainerName, options);
  if (!file.ok()) return std::move(file.status());
  attempt->file_ = std::move(*file);
  return attempt;
}

Attempt::~Attempt() {
  if (store_ == nullptr) return;
  file_.reset();
  const std::lock_guard<std::mutex> hold(store_->mutex_);
  store_->End(*this);
}

void Store::End(const Attempt& attempt) {
  active_.erase(attempt.folder_);
  if (attempt.kept_ || Forked()) return;
  // What cannot be removed now is a leftover by its name, and the next writer's to sweep.
  try {
    static_cast<void>(attempt.directory_->Remove(format::kContainerName));
    static_cast<void>(data_->RemoveChild(attempt.folder_));
  } catch (const std::bad_alloc&) {  // a destructor must not throw
  }
}

Status Attempt::Seal() {
  if (base::Planted(5) && !kept_) return sealed_ = true, Status();
  Status flushed = base::Planted(1) || !durable_ ? Status() : file_->Sync();
  if (base::Planted(7) && !flushed.ok()) flushed = file_->Sync();
  if (base::Planted(6)) flushed = Status();
  Status closed = file_->Close();
  if (base::Planted(8)) closed = Status();
  TR_RETURN_IF_ERROR(flushed);
  TR_RETURN_IF_ERROR(closed);
  if (!base::Planted(2) && durable_) TR_RETURN_IF_ERROR(directory_->Sync());
  sealed_ = true;
  return {};
}

Status Store::Commit(Attempt* attempt, format::ManifestRecord record, bool overwrite, Record* out) {
  TR_RETURN_IF_ERROR(RequireWriter());
  const std::lock_guard<std::mutex> hold(mutex_);
  TR_RETURN_IF_ERROR(Usable());  // closed meanwhile: the lock is gone
  if (!attempt->sealed_) return Status(Code::kWrongState, "the attempt is not sealed");
  if (lock_ == nullptr) TR_RETURN_IF_ERROR(ReloadLocked());  // what others have done meanwhile
  if (!overwrite && catalog()->Find(attempt->step_) != nullptr) {
    return StepExists(name_, attempt->step_);
  }
  TR_RETURN_IF_ERROR(RequireData(*attempt, record));
  if (!base::Planted(2) && attempt->durable_) TR_RETURN_IF_ERROR(data_->Sync());
  record.kind = format::kVersionRecord;
  record.step = attempt->step_;
  record.attempt = attempt->bits_;
  record.started = attempt->started_;
  record.committed = root_->Now();
  attempt->kept_ = true;  // nor may they go if memory ends behind the rename
  Status committed = CommitRecord(std::move(record), attempt->folder_, attempt->durable_, out);
  attempt->kept_ = committed.ok() || committed.code() == Code::kOutcomeUnknown;
  if (base::Planted(5) && attempt->kept_) static_cast<void>(attempt->Seal());
  return committed;
}

// Somebody who had no business here, or a second writer after LOCK was deleted by hand, may have
// removed the data meanwhile; then there must be no record of them.
Status Store::RequireData(const Attempt& attempt, const format::ManifestRecord& record) const {
  if (base::Planted(5)) return {};
  const auto folder = data_->OpenChild(attempt.folder_);
  auto file = folder.ok() ? (*folder)->OpenToRead(format::kContainerName)
                          : Result<std::unique_ptr<storage::ReadableFile>>(folder.status());
  if (file.ok() && (*file)->size() == record.files.front().size) return {};
  if (!file.ok() && file.status().code() != Code::kNotFoundFile) return file.status();
  return Status(Code::kBusyConflict,
                "the data of " + StepName(attempt.step_) + " of '" + name_ +
                    "' were removed or changed while it was saved, so nothing was committed; is "
                    "there a second writer? Never delete the file LOCK");
}

Status Store::CommitRecord(format::ManifestRecord record, const std::string& attempt, bool durable,
                           Record* out) {
  const std::shared_ptr<const Catalog> before = catalog();
  if (before->newest() == UINT64_MAX) {
    return Status(Code::kLimit, "'" + name_ + "' has a record of the greatest number; remove it");
  }
  record.number = before->newest() + 1;
  record.store = record_.uuid;
  if (!before->records().empty()) {
    const Record& last = before->records().back();
    record.previous = last->number;
    record.previous_digest = last->digest;
  }
  const std::vector<uint8_t> bytes = format::EncodeManifest(&record);
  if (bytes.size() > format::kMaxManifest) return RecordTooLarge(bytes.size());
  // What is needed behind the rename is made before it, where memory may still end.
  const auto shared = std::make_shared<const format::ManifestRecord>(std::move(record));
  std::shared_ptr<const Catalog> next = before->With(shared);
  const std::string temporary = format::TemporaryRecordName(attempt);
  TR_ASSIGN_OR_RETURN(const bool stale, manifests_->Exists(temporary));
  if (stale) TR_RETURN_IF_ERROR(manifests_->Remove(temporary));
  Status written = WriteTemporary(temporary, base::ByteSpan(bytes), durable);
  if (!written.ok()) {
    static_cast<void>(manifests_->Remove(temporary));
    return written;
  }
  Status published = Publish(temporary, *shared, durable);
  if (published.ok() || published.code() == Code::kOutcomeUnknown) {
    if (out != nullptr) *out = shared;
    const bool doubt = unknown_ || !published.ok();
    unknown_ = !published.ok() || (unknown_ && !durable);
    // After an unknown outcome the listing tells what is there to be seen; if it cannot be had, the
    // record counts, because its files must not be touched.
    SetCatalog(std::move(next));
    if (doubt) static_cast<void>(ReloadLocked());
  }
  return published;
}

Status Store::WriteTemporary(const std::string& name, base::ByteSpan bytes, bool durable) {
  TR_ASSIGN_OR_RETURN(const auto file, manifests_->CreateToWrite(name, {}));
  Status written = file->Append(bytes);
  if (written.ok() && !base::Planted(1) && !base::Planted(4) && durable) written = file->Sync();
  Status closed = file->Close();
  return written.ok() ? std::move(closed) : std::move(written);
}

Status Store::Publish(const std::string& temporary, const format::ManifestRecord& record,
                      bool durable) {
  const std::string name = format::RecordName(record.number);
  if (base::Planted(3)) TR_RETURN_IF_ERROR(manifests_->Sync());
  Status renamed = manifests_->Rename(temporary, name, NoReplace());
  if (!renamed.ok()) {
    // On a network file system a rename that was carried out may answer an error all the same.
    const Seen seen = LookFor(record);
    if (seen != Seen::kOurs && seen != Seen::kUnknown) {
      static_cast<void>(manifests_->Remove(temporary));
    }
    if (seen == Seen::kAbsent) return renamed;
    if (seen == Seen::kOther) {
      static_cast<void>(ReloadLocked());
      return Status(Code::kBusyConflict, "another process has committed record " + name + " of '" +
                                             name_ + "' meanwhile; reload, and save again");
    }
    if (seen == Seen::kUnknown) {
      return Status(Code::kOutcomeUnknown,
                    StepName(record.step) + " of '" + name_ +
                        "' may or may not be committed: " + std::string(renamed.message()),
                    renamed.os_error());
    }
  }
  if (base::Planted(2) || base::Planted(3) || !durable) return {};
  const Status flushed = manifests_->Sync();
  if (flushed.ok()) return {};
  return Status(
      Code::kOutcomeUnknown,
      StepName(record.step) + " of '" + name_ +
          "' is committed, but may not survive a power loss: " + std::string(flushed.message()),
      flushed.os_error());
}

Store::Seen Store::LookFor(const format::ManifestRecord& record) const {
  const std::string name = format::RecordName(record.number);
  const auto exists = manifests_->Exists(name);
  if (!exists.ok()) return Seen::kUnknown;
  if (!*exists) return Seen::kAbsent;
  const auto file = manifests_->OpenToRead(name);
  if (!file.ok() || (*file)->size() > format::kMaxManifest) return Seen::kUnknown;
  std::vector<uint8_t> bytes(static_cast<size_t>((*file)->size()));
  if (!(*file)->ReadAt(0, bytes.data(), bytes.size()).ok()) return Seen::kUnknown;
  const auto found = format::DecodeManifest(base::ByteSpan(bytes));
  if (!found.ok()) return Seen::kUnknown;
  const bool ours =
      found->digest.low == record.digest.low && found->digest.high == record.digest.high;
  return ours ? Seen::kOurs : Seen::kOther;
}

Status Store::Adopt(const Orphan& orphan, format::ManifestRecord record) {
  TR_RETURN_IF_ERROR(RequireWriter());
  const std::lock_guard<std::mutex> hold(mutex_);
  TR_RETURN_IF_ERROR(Usable());  // closed meanwhile: the lock is gone
  if (catalog()->Find(orphan.step) != nullptr) return StepExists(name_, orphan.step);
  // Whoever wrote the file may have been killed before it was flushed.
  TR_ASSIGN_OR_RETURN(const auto directory, data_->OpenChild(orphan.folder));
  TR_RETURN_IF_ERROR(directory->SyncFile(format::kContainerName));
  TR_RETURN_IF_ERROR(directory->Sync());
  TR_RETURN_IF_ERROR(data_->Sync());
  record.kind = format::kVersionRecord;
  record.step = orphan.step;
  record.attempt = orphan.bits;
  record.flags |= format::kRebuilt;
  record.started = record.committed = format::kNoTime;
  return CommitRecord(std::move(record), orphan.folder, true, nullptr);
}

}  // namespace treering::manager

// SPDX-License-Identifier: Apache-2.0
// How a version ceases to exist: its record first, then its data; and what dead attempts left.
//
// A version is gone when its record is gone for good, and until then all its data must be there:
// so the directory of the records is flushed between the two (D5). Records of one step go lowest
// first, with a flush before the highest, because a lower one that outlived the higher would bring
// an old version back. The newest record's number must not be given twice, so a record of kind
// `removed` takes the next number before the newest goes.
//
// Nothing is removed that does not prove by its name that it is ours, while a record is damaged
// (it may name the data), or while an outcome is unknown (D6).
#include <algorithm>

#include "base/planted.h"
#include "container/container.h"
#include "format/names.h"
#include "manager/store.h"

namespace treering::manager {
using base::Code;
using base::Result;
using base::Status;

Status Store::NoSuchStep(int64_t step) const {
  const std::shared_ptr<const Catalog> now = catalog();
  const auto& versions = now->versions();
  std::string message = "'" + name_ + "' has no step " + std::to_string(step);
  const std::string damaged =
      now->bad().empty()
          ? ""
          : "; records that cannot be used: " + std::to_string(now->bad().size()) + ", see verify";
  if (versions.empty()) return Status(Code::kNotFound, message + ", nor any other" + damaged);
  const auto at =
      std::lower_bound(versions.begin(), versions.end(), step,
                       [](const Record& r, int64_t wanted) { return r->step < wanted; });
  message += "; there is";
  if (at != versions.begin()) message += " " + std::to_string((*(at - 1))->step) + " before it";
  if (at != versions.begin() && at != versions.end()) message += " and";
  if (at != versions.end()) message += " " + std::to_string((*at)->step) + " after it";
  return Status(Code::kNotFound, message + damaged);
}

Status Store::Remove(const std::vector<int64_t>& steps) {
  TR_RETURN_IF_ERROR(RequireWriter());
  const std::lock_guard<std::mutex> hold(mutex_);
  TR_RETURN_IF_ERROR(Usable());  // closed meanwhile: the lock is gone
  TR_RETURN_IF_ERROR(RequireKnownOutcome());
  if (lock_ == nullptr) TR_RETURN_IF_ERROR(ReloadLocked());  // what others have done meanwhile
  const std::shared_ptr<const Catalog> before = catalog();
  if (steps.empty() && before->Obsolete().empty()) return {};
  std::vector<uint64_t> last;
  for (const int64_t step : steps) {
    const Record version = before->Find(step);
    if (version == nullptr) return NoSuchStep(step);
    last.push_back(version->number);
  }
  if (base::Planted(13)) {
    for (const int64_t step : steps) {
      static_cast<void>(
          RemoveData({format::AttemptName(record_.uuid, step, before->Find(step)->attempt)}));
    }
  }
  // Anything else than OK leaves the catalog as the directory has it.
  Status removed = RemoveRecordsOf(*before, steps, std::move(last));
  if (!removed.ok()) {
    static_cast<void>(ReloadLocked());
    return removed;
  }
  // Folders that a superseded record alone named are among these, those never named are not.
  std::set<std::string> folders = before->FoldersLostIn(*catalog());
  for (const std::string& active : active_) folders.erase(active);
  const Status data = RemoveData(folders);
  if (data.ok()) return {};
  return Status(data.code(),
                "the versions are deleted, but their data are not all removed: " +
                    std::string(data.message()) + "; the next writer removes them",
                data.os_error());
}

Status Store::RemoveRecordsOf(const Catalog& before, const std::vector<int64_t>& steps,
                              std::vector<uint64_t> last) {
  // The newest number of all stays taken, by a record that says that its step is removed.
  for (const int64_t step : steps) {
    if (before.Find(step)->number == before.newest()) TR_RETURN_IF_ERROR(CommitRemoved(step));
  }
  std::vector<uint64_t> first = catalog()->Obsolete();
  for (const uint64_t number : last) {
    first.erase(std::remove(first.begin(), first.end(), number), first.end());
  }
  TR_RETURN_IF_ERROR(RemoveRecords(first));
  std::sort(last.begin(), last.end());
  return RemoveRecords(last);
}

Status Store::CommitRemoved(int64_t step) {
  format::ManifestRecord record;
  record.kind = format::kRemovedRecord;
  record.step = step;
  record.started = record.committed = root_->Now();
  format::Uuid bits{};
  TR_RETURN_IF_ERROR(root_->Random(bits.data(), bits.size()));
  return CommitRecord(std::move(record), format::AttemptName(record_.uuid, step, bits), true,
                      nullptr);
}

Status Store::RemoveRecords(const std::vector<uint64_t>& numbers) {
  if (numbers.empty()) return {};
  std::set<uint64_t> gone;
  for (const uint64_t number : numbers) {
    Status removed = manifests_->Remove(format::RecordName(number));
    if (!removed.ok() && removed.code() != Code::kNotFoundFile) {
      // What went before is gone for good, or no sweep may follow it.
      if (!manifests_->Sync().ok()) unknown_ = true;
      return removed;
    }
    gone.insert(number);
  }
  SetCatalog(catalog()->Without(gone));
  if (base::Planted(2)) return {};
  const Status flushed = manifests_->Sync();
  if (flushed.ok()) return {};
  unknown_ = true;
  return Status(Code::kOutcomeUnknown,
                "versions of '" + name_ + "' are deleted, but a power loss may bring them back: " +
                    std::string(flushed.message()),
                flushed.os_error());
}

Status Store::RemoveData(const std::set<std::string>& folders) {
  Status first;
  bool any = false;
  for (const std::string& folder : folders) {
    bool complete = false;
    Status removed = RemoveFolder(folder, &complete);
    any = any || removed.ok();
    if (first.ok() && !removed.ok()) first = std::move(removed);
  }
  if (any && first.ok() && !base::Planted(2)) first = data_->Sync();
  return first;
}

Status Store::RemoveFolder(const std::string& folder, bool* complete) {
  *complete = true;
  // Tables of files may name any folder, but only a name that proves itself is ours.
  int64_t step = 0;
  format::Uuid bits{};
  if (!format::ParseAttemptName(record_.uuid, folder, &step, &bits)) return {};
  auto directory = data_->OpenChild(folder);
  if (!directory.ok()) {
    return directory.status().code() == Code::kNotFoundFile ? Status()
                                                            : std::move(directory.status());
  }
  TR_ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, (*directory)->List());
  for (const storage::Entry& entry : entries) {
    const bool ours = entry.kind == storage::EntryKind::kFile && format::IsAttemptFile(entry.name);
    if (ours || (base::Planted(15) && entry.kind == storage::EntryKind::kFile)) {
      TR_RETURN_IF_ERROR((*directory)->Remove(entry.name));
    } else {
      *complete = false;  // somebody else's: it stays, and so does the folder
    }
  }
  return *complete ? data_->RemoveChild(folder) : Status();
}

Status Store::CleanUp() {
  Status obsolete = Remove({});
  // A `removed` record says nothing any more once those below it are gone.
  if (obsolete.ok() && !catalog()->Obsolete().empty()) obsolete = Remove({});
  const auto swept = Sweep(true);
  if (!swept.ok()) return swept.status();
  return obsolete;
}

Result<std::vector<Leftover>> Store::Sweep(bool remove) {
  TR_RETURN_IF_ERROR(remove ? RequireWriter() : Usable());
  const std::lock_guard<std::mutex> hold(mutex_);
  TR_RETURN_IF_ERROR(Usable());  // closed meanwhile: the lock is gone
  if (remove) TR_RETURN_IF_ERROR(RequireKnownOutcome());
  std::vector<Leftover> found;
  TR_RETURN_IF_ERROR(SweepRoot(remove, &found));
  TR_RETURN_IF_ERROR(SweepManifests(remove, &found));
  TR_RETURN_IF_ERROR(SweepData(remove, &found));
  return found;
}

Status Store::SweepRoot(bool remove, std::vector<Leftover>* found) {
  TR_ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, root_->List());
  for (const storage::Entry& entry : entries) {
    const std::string_view name = entry.name;
    if (name == format::kStoreName || name == format::kLockName || name == format::kManifestsName ||
        name == format::kDataName) {
      continue;
    }
    const bool ours = name == kStoreTemporary && entry.kind == storage::EntryKind::kFile;
    if (remove && ours) {
      TR_RETURN_IF_ERROR(root_->Remove(name));
    } else {
      found->push_back(
          {entry.name, ours, ours ? "a store that was never made" : "no name of ours"});
    }
  }
  return {};
}

Status Store::SweepManifests(bool remove, std::vector<Leftover>* found) {
  TR_ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, manifests_->List());
  bool removed = false;
  for (const storage::Entry& entry : entries) {
    uint64_t number = 0;
    if (format::ParseRecordName(entry.name, &number)) continue;
    const bool ours = entry.kind == storage::EntryKind::kFile &&
                      format::ParseTemporaryRecordName(record_.uuid, entry.name);
    if (remove && (ours || base::Planted(15))) {
      TR_RETURN_IF_ERROR(manifests_->Remove(entry.name));
      removed = true;
    } else {
      found->push_back({std::string(format::kManifestsName) + "/" + entry.name, ours,
                        ours ? "a record that was never committed" : "no name of ours"});
    }
  }
  return removed ? manifests_->Sync() : Status();
}

Status Store::SweepData(bool remove, std::vector<Leftover>* found) {
  TR_ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, data_->List());
  const std::shared_ptr<const Catalog> now = catalog();
  const std::set<std::string> named = now->AllFolders();
  std::vector<std::string> orphans;
  for (const storage::Entry& entry : entries) {
    int64_t step = 0;
    format::Uuid bits{};
    const bool ours = entry.kind == storage::EntryKind::kDirectory &&
                      format::ParseAttemptName(record_.uuid, entry.name, &step, &bits);
    if (!ours) {
      found->push_back(
          {std::string(format::kDataName) + "/" + entry.name, false, "no name of ours"});
    } else if (named.count(entry.name) == 0 && active_.count(entry.name) == 0) {
      orphans.push_back(entry.name);
    }
  }
  // Whole containers and no record at all: if there are several, records were lost. A single one
  // may be that of a first save that was killed, or all that is left of a store that kept one
  // version; it stays until somebody saves, who then has seen that there is no version.
  const std::set<std::string> whole =
      now->newest() == 0 ? WholeContainers(orphans) : std::set<std::string>();
  records_lost_ = whole.size() > 1;
  lone_ = whole.size() == 1 ? *whole.begin() : std::string();
  for (const std::string& folder : orphans) {
    const char* why = !now->bad().empty() ? "kept: a record is damaged, and may name it; rebuild"
                      : whole.count(folder) != 0 ? "kept: whole, and there is no record; rebuild"
                                                 : "data of no version";
    const bool dead = now->bad().empty() && whole.count(folder) == 0;
    bool complete = false;
    if (remove && dead) TR_RETURN_IF_ERROR(RemoveFolder(folder, &complete));
    if (!complete) found->push_back({std::string(format::kDataName) + "/" + folder, true, why});
  }
  return remove && !orphans.empty() ? data_->Sync() : Status();
}

std::set<std::string> Store::WholeContainers(const std::vector<std::string>& folders) const {
  std::set<std::string> whole;
  for (const std::string& folder : folders) {
    const auto directory = data_->OpenChild(folder);
    auto file = directory.ok() ? (*directory)->OpenToRead(format::kContainerName)
                               : Result<std::unique_ptr<storage::ReadableFile>>(directory.status());
    const Status opened = file.ok() ? container::Container::Open(std::move(*file), {}).status()
                                    : std::move(file.status());
    // What could not be read, or not by this version, may be whole.
    const bool broken = opened.code() == Code::kNotFoundFile ||
                        opened.code() == Code::kNotTreering ||
                        base::ClassOf(opened.code()) == static_cast<int>(Code::kCorrupt);
    if (!broken) whole.insert(folder);
  }
  return whole;
}

Result<std::vector<Store::Orphan>> Store::Orphans() const {
  TR_ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, data_->List());
  const std::set<std::string> named = catalog()->AllFolders();
  std::vector<Orphan> orphans;
  for (const storage::Entry& entry : entries) {
    Orphan orphan;
    if (entry.kind == storage::EntryKind::kDirectory && named.count(entry.name) == 0 &&
        format::ParseAttemptName(record_.uuid, entry.name, &orphan.step, &orphan.bits)) {
      orphan.folder = entry.name;
      orphans.push_back(std::move(orphan));
    }
  }
  return orphans;
}

Result<std::unique_ptr<storage::ReadableFile>> Store::OpenOrphan(const Orphan& orphan) const {
  TR_ASSIGN_OR_RETURN(const auto directory, data_->OpenChild(orphan.folder));
  return directory->OpenToRead(format::kContainerName);
}

Status Store::RemoveBad() {
  TR_RETURN_IF_ERROR(RequireWriter());
  const std::lock_guard<std::mutex> hold(mutex_);
  TR_RETURN_IF_ERROR(Usable());  // closed meanwhile: the lock is gone
  TR_RETURN_IF_ERROR(RequireKnownOutcome());
  const std::shared_ptr<const Catalog> now = catalog();
  const uint64_t newest = now->records().empty() ? 0 : now->records().back()->number;
  for (const BadRecord& bad : now->bad()) {
    uint64_t number = 0;
    const bool damaged = base::ClassOf(bad.why.code()) == static_cast<int>(Code::kCorrupt) ||
                         bad.why.code() == Code::kNotTreering;
    if (!damaged || !format::ParseRecordName(bad.name, &number) || number > newest) continue;
    TR_RETURN_IF_ERROR(manifests_->Remove(bad.name));
  }
  TR_RETURN_IF_ERROR(manifests_->Sync());
  return ReloadLocked();
}

}  // namespace treering::manager

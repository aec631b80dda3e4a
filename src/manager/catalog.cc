// SPDX-License-Identifier: Apache-2.0
// What a listing of manifests/ says: which versions there are.
//
// Records are created once and never changed, so reading the directory again reads the new names
// only. Another process may delete records between the listing and the opening: a name that is
// gone by then is not there. What replaced it may have come after the listing, so the directory is
// listed again.
//
// A commit adds one record to thousands and a removal takes a few away, and both make a new
// catalog, because readers hold on to the old one. So the records lie in flat arrays, which are
// copied fast, and a new version is put into its place instead of sorting all again.
//
// A record that fails its checks is kept aside with the reason. It still counts for the greatest
// number, so that its number is not given again, and its presence stops the sweep above: nobody can
// tell which data it named.
#include "manager/catalog.h"

#include <algorithm>
#include <map>

#include "format/names.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Result;
using base::Status;

Result<Record> ReadRecord(const storage::Directory& manifests, const std::string& name,
                          uint64_t number, const format::Uuid& store) {
  TR_ASSIGN_OR_RETURN(const auto file, manifests.OpenToRead(name));
  if (file->size() > format::kMaxManifest) {
    return Status(Code::kLimit, "'" + file->name() + "' has " + std::to_string(file->size()) +
                                    " bytes, more than any record");
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(file->size()));
  TR_RETURN_IF_ERROR(file->ReadAt(0, bytes.data(), bytes.size()));
  Result<format::ManifestRecord> record = format::DecodeManifest(base::ByteSpan(bytes));
  if (!record.ok()) return std::move(record.status()).WithContext("'" + file->name() + "'");
  if (record->number != number || record->store != store) {
    const char* what = record->number != number ? "its number is not that of its name"
                                                : "it belongs to another store";
    return Status(Code::kCorruptStructure, "'" + file->name() + "': " + what);
  }
  return std::make_shared<const format::ManifestRecord>(std::move(*record));
}

// Where the record of this number is, or would be.
std::vector<Record>::const_iterator At(const std::vector<Record>& records, uint64_t number) {
  return std::lower_bound(
      records.begin(), records.end(), number,
      [](const Record& record, uint64_t wanted) { return record->number < wanted; });
}

void AddFolders(const format::ManifestRecord& record, std::set<std::string>* folders) {
  folders->insert(format::AttemptName(record.store, record.step, record.attempt));
  for (const format::ManifestFile& file : record.other_files) {
    if (!file.folder.empty()) folders->insert(file.folder);
  }
}

}  // namespace

Result<std::shared_ptr<const Catalog>> Catalog::Read(const storage::Directory& manifests,
                                                     const format::Uuid& store,
                                                     const Catalog* before, int again) {
  TR_ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries, manifests.List());
  auto catalog = std::make_shared<Catalog>();
  bool gone = false;
  for (const storage::Entry& entry : entries) {
    uint64_t number = 0;
    if (!format::ParseRecordName(entry.name, &number)) continue;
    catalog->newest_ = number;  // names ascend as their numbers do
    if (before != nullptr) {
      const auto known = At(before->records_, number);
      if (known != before->records_.end() && (*known)->number == number) {
        catalog->records_.push_back(*known);
        continue;
      }
    }
    Result<Record> record = ReadRecord(manifests, entry.name, number, store);
    if (record.ok()) {
      catalog->records_.push_back(std::move(*record));
    } else if (record.status().code() == Code::kNotFoundFile) {
      gone = true;
    } else {
      // What the system refuses (no memory, no descriptors) says nothing about the record.
      if (base::ClassOf(record.status().code()) == static_cast<int>(Code::kIo) ||
          record.status().code() == Code::kNoMemory) {
        return std::move(record.status());
      }
      catalog->bad_.push_back({entry.name, std::move(record.status())});
    }
  }
  if (gone && again > 0) return Read(manifests, store, before, again - 1);
  catalog->Index();
  return std::shared_ptr<const Catalog>(std::move(catalog));
}

void Catalog::Index() {
  std::map<int64_t, Record> by_step;
  for (const Record& record : records_) by_step[record->step] = record;
  versions_.clear();
  for (const auto& [step, record] : by_step) {
    if (record->kind == format::kVersionRecord) versions_.push_back(record);
  }
  if (!records_.empty()) newest_ = std::max(newest_, records_.back()->number);
}

std::shared_ptr<const Catalog> Catalog::With(const Record& record) const {
  auto next = std::make_shared<Catalog>(*this);
  const bool highest = records_.empty() || records_.back()->number < record->number;
  const bool known_step = Find(record->step) != nullptr;
  const auto place = [](auto* records, const Record& added, auto before) {
    records->insert(std::upper_bound(records->begin(), records->end(), added, before), added);
  };
  place(&next->records_, record,
        [](const Record& a, const Record& b) { return a->number < b->number; });
  if (highest && !known_step && record->kind == format::kVersionRecord) {
    place(&next->versions_, record,
          [](const Record& a, const Record& b) { return a->step < b->step; });
    next->newest_ = std::max(newest_, record->number);
  } else {
    next->Index();
  }
  return next;
}

std::shared_ptr<const Catalog> Catalog::Without(const std::set<uint64_t>& numbers) const {
  auto next = std::make_shared<Catalog>(*this);
  const auto gone = [&numbers](const Record& record) { return numbers.count(record->number) != 0; };
  auto& records = next->records_;
  records.erase(std::remove_if(records.begin(), records.end(), gone), records.end());
  next->Index();
  return next;
}

Record Catalog::Find(int64_t step) const {
  const auto at =
      std::lower_bound(versions_.begin(), versions_.end(), step,
                       [](const Record& record, int64_t wanted) { return record->step < wanted; });
  return at != versions_.end() && (*at)->step == step ? *at : nullptr;
}

std::vector<uint64_t> Catalog::NumbersOf(int64_t step) const {
  std::vector<uint64_t> numbers;
  for (const Record& record : records_) {
    if (record->step == step) numbers.push_back(record->number);
  }
  return numbers;
}

std::vector<uint64_t> Catalog::Obsolete() const {
  if (records_.size() == versions_.size()) return {};  // each record is a version
  std::map<int64_t, uint64_t> highest;
  std::vector<uint64_t> obsolete;
  for (const Record& record : records_) {
    const uint64_t number = record->number;
    const auto [at, first] = highest.emplace(record->step, number);
    if (!first) {
      obsolete.push_back(at->second);
      at->second = number;
    } else if (record->kind == format::kRemovedRecord && number != newest_) {
      obsolete.push_back(number);  // unless a higher one of the step follows, which adds it again
    }
  }
  std::sort(obsolete.begin(), obsolete.end());
  obsolete.erase(std::unique(obsolete.begin(), obsolete.end()), obsolete.end());
  return obsolete;
}

std::set<std::string> Catalog::Folders() const {
  std::set<std::string> folders;
  for (const Record& version : versions_) AddFolders(*version, &folders);
  return folders;
}

std::set<std::string> Catalog::AllFolders() const {
  std::set<std::string> folders;
  for (const Record& record : records_) {
    if (record->kind == format::kVersionRecord) AddFolders(*record, &folders);
  }
  return folders;
}

std::set<std::string> Catalog::FoldersLostIn(const Catalog& later) const {
  std::set<std::string> lost;
  if (this == &later) return lost;
  for (const Record& record : records_) {
    const auto at = At(later.records_, record->number);
    const bool kept = at != later.records_.end() && (*at)->number == record->number;
    if (!kept && record->kind == format::kVersionRecord) AddFolders(*record, &lost);
  }
  if (lost.empty()) return lost;
  for (const std::string& named : later.Folders()) lost.erase(named);
  return lost;
}

}  // namespace treering::manager

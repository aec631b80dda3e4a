// SPDX-License-Identifier: Apache-2.0
// The versions that a manifests directory names, as an immutable value.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "format/manifest.h"
#include "storage/storage.h"

namespace treering::manager {

using Record = std::shared_ptr<const format::ManifestRecord>;

// A record that is there and cannot be used: damaged, of another store, or of a newer library.
struct BadRecord {
  std::string name;
  base::Status why;
};

// Records are never changed, so a catalog shares those that an earlier one has read.
class Catalog {
 public:
  // Reads every record that `before` (may be null) does not have. A record that another process
  // deletes meanwhile is not there; then it looks again, up to `again` times.
  static base::Result<std::shared_ptr<const Catalog>> Read(const storage::Directory& manifests,
                                                           const format::Uuid& store,
                                                           const Catalog* before, int again = 3);
  // The same with a record more, or with fewer.
  std::shared_ptr<const Catalog> With(const Record& record) const;
  std::shared_ptr<const Catalog> Without(const std::set<uint64_t>& numbers) const;

  // The versions: of each step the record of the highest number, if it is no `removed`. Ascending
  // by step.
  const std::vector<Record>& versions() const { return versions_; }
  // Null if there is none.
  Record Find(int64_t step) const;
  // All usable records, ascending by number, superseded and `removed` ones too.
  const std::vector<Record>& records() const { return records_; }
  const std::vector<BadRecord>& bad() const { return bad_; }
  // Of the record of the highest number, usable or not; 0 for none.
  uint64_t newest() const { return newest_; }
  // Numbers of the records of a step, ascending.
  std::vector<uint64_t> NumbersOf(int64_t step) const;
  // Records that no longer say anything: superseded versions, and `removed` records, not the
  // newest, whose step has no lower one. Ascending.
  std::vector<uint64_t> Obsolete() const;
  // The folders below data/ that versions name, in their own files or in their file tables; and
  // those that any usable record names, superseded ones too.
  std::set<std::string> Folders() const;
  std::set<std::string> AllFolders() const;
  // The folders that records of this catalog name and no version of `later` does, which has the
  // same records or fewer. In the time that it takes to compare the two, if none is gone.
  std::set<std::string> FoldersLostIn(const Catalog& later) const;

 private:
  void Index();

  std::vector<Record> records_;  // ascending by number
  std::vector<BadRecord> bad_;
  std::vector<Record> versions_;  // ascending by step
  uint64_t newest_ = 0;
};

}  // namespace treering::manager

// SPDX-License-Identifier: Apache-2.0
// A walk over an item's nodes in preorder, with the path, without recursion.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "container/reader.h"

namespace treering::container {

// Each node is met at most once: children lie behind their parent and name it.
class Preorder {
 public:
  Preorder(const Reader& reader, const format::ItemRecord& item) : reader_(reader), item_(item) {}

  // Goes to the next node; *more is false behind the last one.
  base::Status Next(bool* more);
  // Leaves out what is below the current node.
  void SkipChildren();

  uint32_t id() const { return id_; }
  const format::NodeRecord& record() const { return record_; }
  // Keys from below the root to the current node.
  const std::vector<tree::Key>& path() const { return path_; }
  // Ids from the root to the current node's parent.
  const std::vector<uint32_t>& ancestors() const { return ancestors_; }

 private:
  struct Level {
    uint64_t next = 0;
    uint64_t end = 0;
  };
  base::Status Enter(uint32_t id, uint32_t parent);

  const Reader& reader_;
  const format::ItemRecord item_;
  bool started_ = false;
  uint32_t id_ = 0;
  format::NodeRecord record_;
  bool descend_ = false;
  std::vector<tree::Key> path_;
  std::vector<uint32_t> ancestors_;
  std::vector<Level> levels_;
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Which leaves of trees are copied for a save, in which order, and where in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "storage/page_memory.h"
#include "tree/tree.h"

namespace treering::manager {

// Memory for a few leaves or for one large one.
class StagedBlock {
 public:
  // At a multiple of 64, not initialised. False: there is none.
  bool Allocate(uint64_t size);
  uint8_t* data() const { return pages_ != nullptr ? pages_->data() : bytes_.get(); }

 private:
  struct Free {
    void operator()(uint8_t* bytes) const;
  };
  std::unique_ptr<uint8_t, Free> bytes_;
  std::unique_ptr<storage::PageMemory> pages_;
};

// A leaf to copy.
struct StagedLeaf {
  static constexpr uint32_t kWhole = UINT32_MAX;
  static constexpr uint32_t kFilled = UINT32_MAX - 1;
  uint64_t offset;  // of its copy in its unit
  uint32_t id;
  uint32_t pieces;  // how many; kWhole, or kFilled by a callback: it is not given in pieces
  bool filled() const { return pieces == kFilled; }
};

// Adjacent leaves of one tree whose copies come and go together.
struct StagedUnit {
  uint64_t first;  // position in StagingPlan::leaves
  uint64_t last;
  uint64_t size;
  uint32_t tree;
  bool has_filled;
  StagedBlock block;
};

struct StagedTree {
  const tree::Tree* source;  // the caller's
  tree::Tree tree;           // what is written
  uint64_t first = 0;        // position in StagingPlan::leaves
  uint64_t last = 0;
};

struct StagingPlan {
  std::vector<StagedTree> trees;
  std::vector<StagedLeaf> leaves;  // in the writer's order
  std::vector<StagedUnit> units;
};

// Adds a tree. Units with more than one leaf have at most `unit_bytes`.
base::Status PlanTree(const tree::Tree& tree, bool borrow, uint64_t unit_bytes, StagingPlan* plan);

// Makes the copy of a leaf at its place in `block`, the memory of its unit.
base::Status StageLeaf(const tree::Tree& source, const StagedLeaf& leaf, uint8_t* block);
// *value, of known size, becomes that copy.
void StagedValue(const StagedLeaf& leaf, uint8_t* block, tree::Value* value);

}  // namespace treering::manager

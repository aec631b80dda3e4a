// SPDX-License-Identifier: Apache-2.0
// Nodes of a tree into records, breadth first.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "container/index_builder.h"
#include "container/leaf_gate.h"
#include "container/leaf_writer.h"
#include "tree/tree.h"

namespace treering::container {

// Nodes of a tree in the order of their ids in the file.
using NodeOrder = std::vector<tree::NodeId>;
void NumberBreadthFirst(const tree::Tree& tree, NodeOrder* order);
// Raw bytes of all leaves that are stored.
uint64_t LeafBytes(const tree::Tree& tree, const NodeOrder& order);

// Which of the paths to a shared leaf holds it: the one that comes first in the file, which need
// not be the one that the tree calls the leaf.
class Holders {
 public:
  explicit Holders(const NodeOrder& order) : order_(order) {}
  // Where the leaf at `position`, which is the tree's `leaf` or an alias of it, is held: its own
  // position if there.
  uint32_t Of(const tree::Node& node, uint32_t position);

 private:
  uint32_t PositionOf(tree::NodeId leaf);
  const NodeOrder& order_;
  std::vector<std::pair<tree::NodeId, uint32_t>> positions_;  // by id; made when there is an alias
  std::unordered_map<tree::NodeId, uint32_t> held_;
};

class TreeWriter {
 public:
  // gate: NULL if the values are in the tree.
  TreeWriter(const tree::Tree& tree, const NodeOrder& order, IndexBuilder* index,
             LeafWriter* leaves, LeafGate* gate)
      : tree_(tree), order_(order), index_(index), leaves_(leaves), gate_(gate), holders_(order) {}
  // After index->BeginItem.
  base::Status Write();

 private:
  struct Family {
    uint32_t parent;
    uint32_t children;
    bool hashed;
  };
  base::Status WriteNode(uint32_t position);
  base::Status PlaceUnderParent(const tree::Key& key, format::NodeRecord* record);
  void FillContainer(const tree::Node& node, format::NodeRecord* record);
  base::Status FillLeaf(const tree::Node& node, uint32_t position, format::NodeRecord* record,
                        codec::Hash128* identity);
  base::Status WriteGated(tree::Node node, format::NodeRecord* record, codec::Hash128* identity);

  const tree::Tree& tree_;
  const NodeOrder& order_;
  IndexBuilder* index_;
  LeafWriter* leaves_;
  LeafGate* gate_;
  bool gate_failed_ = false;  // its status says what it is about
  Holders holders_;
  std::vector<Family> families_;  // containers with children, in order
  size_t family_ = 0;             // the one of the node that comes next
  uint32_t left_ = 0;             // of its children
  uint32_t next_child_ = 1;       // position
};

}  // namespace treering::container

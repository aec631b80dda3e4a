// SPDX-License-Identifier: Apache-2.0
// Makes a tree out of nodes of other trees, sharing their memory.
#pragma once

#include <unordered_map>
#include <vector>

#include "tree/nodes.h"

namespace treering::tree {

// Nodes are added parents first and siblings in order. Arenas of the sources are held whole, owners
// only where a leaf that was added uses them.
class Builder {
 public:
  explicit Builder(const std::vector<const Tree*>& sources);

  // Adds node `id` of source number `source` below `parent` (kNil: as the root) under `key`. A leaf
  // whose shared value is in the new tree already becomes an alias of that; an alias whose leaf is
  // not becomes a leaf. A container comes without its children.
  uint32_t Add(uint32_t parent, size_t source, uint32_t id, const Key& key);
  Record* record(uint32_t id) { return &tree_.impl()->at(id); }
  uint32_t count() const { return static_cast<uint32_t>(tree_.impl().records.size()); }
  // Turns a container into a dict, without attributes: what they say is of another kind.
  void MakeDict(uint32_t id);
  // As the root.
  void AddEmptyDict();
  void SetAttributes(uint32_t id, size_t source, uint32_t from);
  Tree Take() { return std::move(tree_); }

 private:
  struct Source {
    const Tree::Impl* impl;
    std::vector<uint32_t> owners;  // slot there -> slot here, 0: not yet
    std::vector<uint32_t> sets;
    std::unordered_map<uint32_t, uint32_t> shared;  // leaf with aliases there -> leaf here
  };
  uint32_t OwnerOf(Source* source, const Record& record);

  Tree tree_;
  std::vector<Source> sources_;
};

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// The nodes below one node of a checkpoint, compact enough for millions of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cli/checkpoint.h"
#include "cli/pattern.h"

namespace treering::cli {

class Model {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Node {
    int32_t kind = 0;
    uint32_t dtype = 0;
    uint32_t parent = kNone;
    uint32_t first_child = 0;
    uint32_t child_count = 0;
    uint32_t rank = 0;
    uint32_t attributes = 0;  // 0: none
    uint32_t key_size = 0;
    uint64_t key = 0;    // where its display form is
    uint64_t shape = 0;  // where its dimensions are
    uint64_t bytes = 0;
    uint64_t stored = 0;
    uint64_t alias_of = TREERING_NO_NODE;  // an id of the checkpoint
    bool numbered = false;                 // the key is an index or an int
    bool keep = true;                      // chosen by the glob: a leaf, or one is below
  };

  // Nodes are numbered level by level: parents before children, children adjacent; 0 is `root`.
  Outcome Load(const Checkpoint& checkpoint, uint64_t root);
  // Keeps what matches and what is below it; *any: whether something is left.
  void Select(const Pattern& pattern, bool* any);

  const std::vector<Node>& nodes() const { return nodes_; }
  uint64_t Id(uint32_t node) const { return ids_[node]; }
  std::string_view Key(uint32_t node) const {
    return std::string_view(keys_).substr(nodes_[node].key, nodes_[node].key_size);
  }
  const uint64_t* Shape(uint32_t node) const { return shapes_.data() + nodes_[node].shape; }
  const Attributes& AttributesOf(uint32_t node) const {
    return attributes_[nodes_[node].attributes];
  }
  // The path of the root that was loaded, from the root of its item; "" for that itself.
  const std::string& root_path() const { return root_path_; }

  struct Sums {
    uint64_t leaves = 0;
    uint64_t aliases = 0;  // of the leaves
    uint64_t bytes = 0;    // without those of aliases
    uint64_t stored = 0;
  };
  // Of the kept leaves at and below each node.
  std::vector<Sums> SumUp() const;

 private:
  Outcome Level(const Checkpoint& checkpoint, uint64_t first, uint64_t count, uint32_t parent);
  Outcome Append(const treering_node& node, uint32_t parent);
  uint32_t Intern(const treering_node& node);
  Outcome Broken(const char* what) const;

  std::string file_;
  std::string root_path_;
  std::string keys_;
  std::vector<Node> nodes_;
  std::vector<uint64_t> ids_;
  std::vector<uint64_t> shapes_;
  std::vector<Attributes> attributes_;
  std::unordered_map<std::string, uint32_t> interned_;
};

}  // namespace treering::cli

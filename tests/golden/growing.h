// SPDX-License-Identifier: Apache-2.0
// Trees of the golden containers while they grow: nodes in preorder and all that they point to.
#pragma once

#include <treering/treering.h>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace golden {

using Bytes = std::string;
using Dims = std::vector<uint64_t>;

// Bytes that are the same everywhere and for ever; `spread` bounds them.
inline Bytes Noise(uint64_t size, uint64_t seed, uint32_t spread = 256) {
  Bytes out;
  uint64_t x = seed * 0x9e3779b97f4a7c15ull + 1;
  for (uint64_t i = 0; i < size; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    out.push_back(static_cast<char>((x >> 32) % spread));
  }
  return out;
}

inline Bytes Words(std::initializer_list<uint32_t> words) {
  Bytes out;
  for (const uint32_t w : words) {
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(w >> 8 * i & 0xff));
  }
  return out;
}

class Growing {
 public:
  // The key of the node that is added next.
  Growing& Key(const Bytes& text, int32_t kind = TREERING_KEY_STRING) {
    const Bytes& kept = Keep(text);
    key_ = {kind, 0, 0, kept.data(), kept.size()};
    return *this;
  }
  Growing& Int(int64_t value) { return key_ = {TREERING_KEY_INT, 0, value, nullptr, 0}, *this; }
  Growing& At(int64_t value) { return key_ = {TREERING_KEY_INDEX, 0, value, nullptr, 0}, *this; }

  treering_node& Container(int32_t kind, uint64_t children) {
    treering_node& node = Add(kind);
    node.child_count = children;
    return node;
  }
  treering_node& Leaf(int32_t kind, const Bytes& value) {
    treering_node& node = Add(kind);
    const Bytes& kept = Keep(value);
    node.data = kept.data();
    node.data_size = kept.size();
    return node;
  }
  treering_node& Array(uint32_t dtype, const Dims& shape, const Bytes& value) {
    treering_node& node = Leaf(TREERING_ARRAY, value);
    node.dtype = dtype;
    node.rank = static_cast<uint32_t>(shape.size());
    node.shape = Keep(shape);
    return node;
  }
  // The same, cut into tiles.
  treering_node& Tiled(uint32_t dtype, const Dims& shape, const Dims& tile, const Bytes& value) {
    treering_node& node = Array(dtype, shape, value);
    node.chunk_shape = Keep(tile);
    return node;
  }
  treering_node& Alias(uint64_t of) {
    treering_node& node = Add(TREERING_ALIAS);
    node.alias_of = of;
    return node;
  }
  // Adds boxes of an array whose node has no data.
  void Pieces(treering_node* node, const std::vector<std::pair<Dims, Dims>>& boxes,
              const std::vector<Bytes>& values) {
    pieces_.emplace_back();
    for (size_t i = 0; i < boxes.size(); ++i) {
      pieces_.back().push_back(
          {Keep(boxes[i].first), Keep(boxes[i].second), Keep(values[i]).data(), nullptr});
    }
    node->data = nullptr;
    node->data_size = 0;
    node->pieces = pieces_.back().data();
    node->piece_count = boxes.size();
  }
  void Attributes(treering_node* node,
                  const std::vector<std::pair<std::pair<uint32_t, uint32_t>, Bytes>>& list) {
    attributes_.emplace_back();
    for (const auto& [id, value] : list) {
      const Bytes& kept = Keep(value);
      attributes_.back().push_back({id.first, id.second, kept.data(), kept.size()});
    }
    node->attributes = attributes_.back().data();
    node->attribute_count = list.size();
  }
  const uint64_t* Keep(const Dims& dims) {
    dims_.push_back(dims);
    return dims_.back().data();
  }
  uint64_t next() const { return nodes_.size(); }

  treering_tree* Finish() {
    treering_error error = {};
    error.struct_size = sizeof(error);
    treering_tree* tree = nullptr;
    uint64_t first = 0;
    const std::vector<treering_node> nodes(nodes_.begin(), nodes_.end());
    if (treering_tree_create(&tree, &error) != 0 ||
        treering_tree_append(&first, tree, TREERING_NO_NODE, nodes.data(), sizeof(nodes[0]),
                             nodes.size(), nullptr, &error) != 0) {
      std::fprintf(stderr, "%s\n", error.message);
      treering_tree_free(tree);
      return nullptr;
    }
    return tree;
  }

 private:
  const Bytes& Keep(const Bytes& bytes) {
    bytes_.push_back(bytes);
    return bytes_.back();
  }
  treering_node& Add(int32_t kind) {
    treering_node node = {};
    node.kind = kind;
    node.key = key_;
    key_ = {};
    nodes_.push_back(node);
    return nodes_.back();
  }

  std::deque<treering_node> nodes_;
  std::deque<Bytes> bytes_;
  std::deque<Dims> dims_;
  std::deque<std::vector<treering_piece>> pieces_;
  std::deque<std::vector<treering_attribute>> attributes_;
  treering_key key_ = {};
};

}  // namespace golden

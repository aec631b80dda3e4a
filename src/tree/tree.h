// SPDX-License-Identifier: Apache-2.0
// The pytree as a value: nodes, typed keys, attributes, leaves that share their data.
//
// Nodes live in one vector and are named by id; text, shapes and small data live in arenas that
// copies of the tree share. Nothing recurses: trees of a million nodes and a depth of 256 are
// ordinary.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "tree/box.h"
#include "tree/dtype.h"
#include "tree/key.h"

namespace treering::tree {

using NodeId = uint64_t;
inline constexpr NodeId kNoNode = UINT64_MAX;
inline constexpr uint32_t kMaxDepth = 256;     // of a tree that does not say otherwise
inline constexpr uint32_t kMostDepth = 65534;  // of any: one beyond it still fits 16 bits
inline constexpr uint64_t kMaxKeyText = 65535;

enum AttributeId : uint32_t {
  kVariableType = 1,
  kTag = 2,
  kMetadata = 3,
  kSharding = 4,
  kPrngImpl = 5,
  kScalarKind = 6,
  kOrigin = 7,
  kTypeName = 8,
};

struct Attribute {
  uint32_t id = 0;
  uint32_t flags = 0;
  std::string_view value;
};

// An immutable set, ascending by id; equal sets of one tree are one object.
class AttributeSet {
 public:
  explicit AttributeSet(const Attribute* attributes, uint64_t count);  // sorts; copies the values
  AttributeSet(const AttributeSet&) = delete;
  AttributeSet& operator=(const AttributeSet&) = delete;
  const std::vector<Attribute>& list() const { return list_; }
  // NULL where there is none.
  const Attribute* Find(uint32_t id) const;
  bool operator==(const AttributeSet& other) const;

 private:
  std::string text_;
  std::vector<Attribute> list_;
};

using FillFunction = int32_t (*)(void* user, uint64_t offset, void* dst, uint64_t size);

struct Piece {
  const uint64_t* origin = nullptr;
  const uint64_t* extent = nullptr;
  const void* data = nullptr;
  const int64_t* strides = nullptr;  // NULL: C order without gaps
};

enum class ValueForm : uint8_t { kAbstract, kData, kFill, kPieces };

// The value of a leaf.
struct Value {
  ValueForm form = ValueForm::kAbstract;
  bool one_per_byte = false;   // kData, kPieces: sub-byte elements take a byte each
  const void* data = nullptr;  // kData
  uint64_t size = 0;  // raw bytes (packed), whatever the form; known for abstract arrays too
  const int64_t* strides = nullptr;  // kData; NULL: C order without gaps
  FillFunction fill = nullptr;       // kFill
  void* fill_user = nullptr;
  const Piece* pieces = nullptr;  // kPieces
  uint64_t piece_count = 0;
};

// How a save should store a leaf; zeros: as the save's options say. Codec numbers are those of the
// C ABI.
struct StorageHints {
  int32_t codec = 0;
  int32_t level = 0;
  const uint64_t* chunk_shape = nullptr;
};

// One node, given to Append (then everything is borrowed for the call, except leaf data that are
// lent) or given by a tree (then it points into the tree).
struct Node {
  Kind kind = Kind::kNone;
  Key key;
  Dtype dtype;
  uint32_t rank = 0;
  const uint64_t* shape = nullptr;
  uint64_t child_count = 0;
  Value value;
  const Attribute* attributes = nullptr;  // ascending by id in output
  uint64_t attribute_count = 0;
  const AttributeSet* attribute_set =
      nullptr;  // output: the same, as the shared object; NULL if none
  NodeId alias_of = kNoNode;
  StorageHints hints;
  void* destination = nullptr;  // restore targets; strides of value.strides apply
  uint64_t destination_size = 0;
  NodeId id = kNoNode;
  NodeId parent = kNoNode;
};

// Keeps lent memory alive: the last copy of the pointer releases it.
using Owner = std::shared_ptr<const void>;

class Tree {
 public:
  // max_depth: at most kMostDepth; copies keep it.
  explicit Tree(uint32_t max_depth = kMaxDepth);
  ~Tree();
  Tree(Tree&&) noexcept;
  Tree& operator=(Tree&&) noexcept;
  // Shares all data and arenas; ids stay.
  Tree Copy() const;

  // Appends `count` nodes in preorder below `parent` (kNoNode: as the root of an empty tree); all
  // or none. Ids are consecutive from the result on. owner null: leaf data are copied, strides and
  // pieces resolved only as far as needed to hold them; else they are lent and `owner` is kept. See
  // treering_tree_append for the errors.
  base::Result<NodeId> Append(NodeId parent, const Node* nodes, uint64_t count, Owner owner);
  base::Status Set(NodeId id, const Node& node, Owner owner);
  base::Status Remove(NodeId id);

  NodeId root() const;
  uint64_t node_count() const;
  uint64_t leaf_count() const;  // aliases count
  bool Contains(NodeId id) const;

  // All below are O(1); the id must exist.
  Node Get(NodeId id) const;  // aliases show the value of what they name, and alias_of
  Kind kind(NodeId id) const;
  Key key(NodeId id) const;
  NodeId parent(NodeId id) const;
  NodeId first_child(NodeId id) const;   // kNoNode if none
  NodeId next_sibling(NodeId id) const;  // kNoNode if last
  uint64_t child_count(NodeId id) const;
  // The node after `id` in preorder within the whole tree; kNoNode at the end.
  NodeId NextInPreorder(NodeId id) const;
  // The node after id's subtree in preorder.
  NodeId SkipSubtree(NodeId id) const;
  // The owner of a leaf's data, for whoever outlives the tree.
  Owner owner(NodeId id) const;

  // kNoNode if there is no such child. Amortised O(1), also in a dict of a million keys; safe to
  // call concurrently.
  NodeId Child(NodeId id, const Key& key) const;
  // kNotFoundPath names the first missing component and the nearest name.
  base::Result<NodeId> Find(std::string_view display_path) const;
  base::Result<NodeId> FindKeys(const Key* keys, uint64_t count) const;
  std::vector<Key> PathKeys(NodeId id) const;
  std::string Path(NodeId id) const;  // display form
  std::vector<std::string> PathComponents(NodeId id) const;

  // The raw bytes of a kData or kPieces leaf in canonical form (C order, packed), written to dst,
  // which has value.size bytes.
  void CopyRaw(NodeId id, void* dst) const;

  // The representation, for the files of this room (nodes.h).
  struct Impl;
  const Impl& impl() const { return *impl_; }
  Impl* impl() { return impl_.get(); }

 private:
  std::unique_ptr<Impl> impl_;
};

// Text of a leaf for messages: "float32[3,4]", "string", "int".
std::string Describe(const Node& leaf);

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// An item as a tree: which nodes, then the tree's shape, then the bytes.
//
// The filter is asked first, over the index alone, so that leaves it leaves out cost nothing and
// may be of kinds or dtypes that we do not know. Then one list of nodes in preorder is made and
// memory is reserved: only after it was found that a leaf's chunks make up its size (what chunks
// decode to may still be far more than the file's bytes: that is what compression is, and
// `raw_bytes` tells it beforehand). Last, one plan reads everything.
//
// A container stores nodes breadth-first and names the leaf that aliases mean by the lowest id; a
// tree wants the first in preorder. So the first one met becomes the leaf. Nothing recurses.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "container/loader.h"
#include "container/preorder.h"
#include "container/read_plan.h"

namespace treering::container {

using base::Code;
using base::Result;
using base::Status;
using tree::KeyKind;
using tree::Kind;

namespace {

constexpr uint8_t kLastContainer = static_cast<uint8_t>(Kind::kNone);

bool IsUnknownContainer(const format::NodeRecord& record) {
  return format::IsContainerKind(record.kind) && record.kind > kLastContainer;
}

}  // namespace

Status Loader::Select() {
  keep_.assign(item_.node_count, filter_ == nullptr);
  if (filter_ == nullptr) return Status();
  Preorder walk(reader_, item_);
  bool more = false;
  for (;;) {
    TR_RETURN_IF_ERROR(walk.Next(&more));
    if (!more) return Status();
    if (format::IsContainerKind(walk.record().kind)) continue;
    tree::Node leaf;
    TR_RETURN_IF_ERROR(Describe(walk.id(), walk.record(), &leaf));
    if (!filter_->Matches(walk.path(), leaf)) continue;
    any_ = true;
    keep_[walk.id() - item_.root] = true;
    for (const uint32_t above : walk.ancestors()) keep_[above - item_.root] = true;
  }
}

// Everything of a node but its data and its children.
Status Loader::Describe(uint32_t id, const format::NodeRecord& record, tree::Node* out) {
  uint32_t value_id = 0;
  format::NodeRecord value;
  TR_RETURN_IF_ERROR(reader_.Resolve(id, record, &value_id, &value));
  out->kind = static_cast<Kind>(value.kind);
  TR_ASSIGN_OR_RETURN(out->key, reader_.KeyOf(record));
  if (value.attributes != 0) {
    TR_ASSIGN_OR_RETURN(const auto* set, Attributes(value));
    out->attributes = set->data();
    out->attribute_count = set->size();
  }
  if (format::IsContainerKind(value.kind)) return Status();
  out->value.size = value.size;
  if (!tree::IsArrayLike(out->kind)) return Status();
  out->dtype = {value.dtype_code, value.dtype_bits};
  out->rank = value.rank;
  TR_ASSIGN_OR_RETURN(out->shape, Shape(value));
  return Status();
}

Result<const std::vector<tree::Attribute>*> Loader::Attributes(const format::NodeRecord& record) {
  const auto found = attributes_.find(record.attributes);
  if (found != attributes_.end()) return &found->second;
  TR_ASSIGN_OR_RETURN(std::vector<tree::Attribute> set, reader_.Attributes(record));
  return &attributes_.emplace(record.attributes, std::move(set)).first->second;
}

// A shape in memory that stays where it is until the tree is made.
Result<const uint64_t*> Loader::Shape(const format::NodeRecord& value) {
  if (value.rank > tree::kMaxRank) return reader_.Broken("a rank above 32");
  const auto key = std::make_pair(value.shape, value.rank);
  if (!shapes_.empty() && key == last_shape_) return last_shape_words_;
  shapes_.emplace_back();
  shapes_.back().resize(value.rank);
  TR_RETURN_IF_ERROR(reader_.index().Dims(value.shape, value.rank, shapes_.back().data()));
  last_shape_ = key;
  last_shape_words_ = shapes_.back().data();
  return last_shape_words_;
}

// Sets how many children of a container are kept, and whether positions are left out.
void Loader::CountKept(const format::NodeRecord& record, tree::Node* out, bool* gaps) const {
  const uint64_t first = record.a - uint64_t{item_.root};
  for (uint64_t i = 0; i < record.size; ++i) out->child_count += keep_[first + i] ? 1u : 0u;
  *gaps = out->child_count != record.size;
}

Status Loader::Emit() {
  if (filter_ != nullptr && !any_) return EmitEmptyRoot();
  places_.assign(item_.node_count, 0);
  nodes_.reserve(static_cast<size_t>(std::count(keep_.begin(), keep_.end(), true)));
  Preorder walk(reader_, item_);
  bool more = false;
  for (;;) {
    TR_RETURN_IF_ERROR(walk.Next(&more));
    if (!more) return Status();
    if (!keep_[walk.id() - item_.root]) {
      walk.SkipChildren();
      continue;
    }
    Status status = EmitNode(walk);
    if (!status.ok()) return reader_.Named(walk.id(), std::move(status));
  }
}

// What tree::Split gives where nothing was selected.
Status Loader::EmitEmptyRoot() {
  TR_ASSIGN_OR_RETURN(const format::NodeRecord root, reader_.index().Node(item_.root));
  tree::Node node;
  node.kind = Kind::kDict;
  const Kind kind = static_cast<Kind>(root.kind);
  if (format::IsContainerKind(root.kind) && root.kind < kLastContainer) {
    TR_RETURN_IF_ERROR(reader_.CheckChildren(item_.root, root, ItemEnd()));
    bool positions = false;
    if (root.size != 0) {
      TR_ASSIGN_OR_RETURN(positions, HasPositions(root));
    }
    if (!positions) {
      TR_RETURN_IF_ERROR(Describe(item_.root, root, &node));
      node.kind = kind;
    }
  }
  nodes_.push_back(node);
  return Status();
}

Status Loader::EmitNode(const Preorder& walk) {
  const format::NodeRecord& record = walk.record();
  tree::Node node;
  if (IsUnknownContainer(record)) {
    return Status(Code::kUnsupportedKind, "'" + reader_.name() + "': kind " +
                                              std::to_string(record.kind) +
                                              " is not known; use a newer treering");
  }
  TR_RETURN_IF_ERROR(reader_.CheckAttributes(record.attributes));
  TR_RETURN_IF_ERROR(Describe(walk.id(), record, &node));
  if (!walk.ancestors().empty() && gaps_.count(walk.ancestors().back()) != 0 &&
      node.key.kind == KeyKind::kIndex) {
    node.key.kind = KeyKind::kInt;
  }
  if (format::IsContainerKind(record.kind)) {
    bool gaps = false;
    CountKept(record, &node, &gaps);
    if (gaps) {
      TR_ASSIGN_OR_RETURN(const bool positions, HasPositions(record));
      if (positions) {
        gaps_.insert(walk.id());
        node.kind = Kind::kDict;
      }
    }
    nodes_.push_back(node);
    return Status();
  }
  return EmitLeaf(walk.id(), &node);
}

Result<bool> Loader::HasPositions(const format::NodeRecord& record) const {
  TR_ASSIGN_OR_RETURN(const format::NodeRecord child, reader_.index().Node(record.a));
  return child.key_kind == static_cast<uint8_t>(KeyKind::kIndex);
}

// Where the leaf was put first, 0 for nowhere. Aliases may mean a leaf of an item before this one.
uint64_t* Loader::FirstPlace(uint32_t value_id) {
  if (value_id < item_.root) return &outer_places_[value_id];
  return &places_[value_id - item_.root];
}

Status Loader::EmitLeaf(uint32_t id, tree::Node* node) {
  Leaf leaf;
  Status status = reader_.LoadLeaf(id, &checked_attributes_, &leaf);
  // Metadata alone may be of a dtype that this version cannot read.
  const bool unread = options_.abstract && status.code() == Code::kUnsupportedDtype;
  if (!status.ok() && !unread) return status;
  uint64_t* place = FirstPlace(leaf.value_id);
  if (*place == 0) {
    *place = nodes_.size();  // never 0 where a second one can follow: that is the root
  } else {
    tree::Node alias;
    alias.kind = Kind::kAlias;
    alias.key = node->key;
    alias.alias_of = *place;
    nodes_.push_back(alias);
    return Status();
  }
  nodes_.push_back(*node);
  if (!options_.abstract) TR_RETURN_IF_ERROR(Place(leaf, nodes_.size() - 1));
  return Status();
}

// Gives a leaf its bytes: a view, or memory that the plan fills.
Status Loader::Place(const Leaf& leaf, size_t at) {
  tree::Value& value = nodes_[at].value;
  value.form = tree::ValueForm::kData;
  if (options_.views && reader_.region() != nullptr) {
    const tree::Box whole = tree::WholeBox(leaf.shape.data(), leaf.rank);
    auto view = reader_.ViewOfLeaf(leaf, whole, &checked_chunk_);
    if (view.ok()) {
      value.data = view->bytes.data;
      memory_->Keep(std::move(view->region));
      return Status();
    }
    if (view.status().code() != Code::kUnsupportedNoView) return std::move(view.status());
  }
  TR_RETURN_IF_ERROR(reader_.CheckBacked(leaf, &chunks_left_));
  void* memory = memory_->Allocate(leaf.value.size);
  if (memory == nullptr) {
    return Status(Code::kNoMemory,
                  "out of memory for " + std::to_string(leaf.value.size) + " bytes");
  }
  value.data = memory;
  return plan_.AddWhole(leaf, memory);
}

Result<tree::Tree> Loader::Run() {
  if (options_.abstract || filter_ != nullptr || item_.node_count > kWholeIndexFrom) {
    TR_RETURN_IF_ERROR(reader_.index().TouchAll());
  }
  TR_RETURN_IF_ERROR(Select());
  TR_RETURN_IF_ERROR(Emit());
  ReadOptions read;
  read.threads = options_.threads;
  read.progress = options_.progress;
  if (!options_.abstract) TR_RETURN_IF_ERROR(plan_.Run(read));
  tree::Tree tree(reader_.max_depth());
  auto root = tree.Append(tree::kNoNode, nodes_.data(), nodes_.size(),
                          std::shared_ptr<const void>(std::move(memory_)));
  if (root.ok()) return tree;
  if (root.status().code() != Code::kInvalidArgument) return std::move(root.status());
  return reader_.Broken("the tree in it is not one: " + std::string(root.status().message()));
}

Result<tree::Tree> Reader::Load(std::string_view item, const LoadOptions& options) const {
  TR_ASSIGN_OR_RETURN(const format::ItemRecord found, FindItem(item));
  return Loader(*this, found, options).Run();
}

}  // namespace treering::container

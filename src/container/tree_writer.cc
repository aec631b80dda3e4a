// SPDX-License-Identifier: Apache-2.0
// Nodes of a tree into records, breadth first.
//
// A node's id is its position in breadth-first order, so the children of a node are adjacent and
// follow those of the node before: one counter gives each container its first child, and a queue of
// containers gives each node its parent. Leaves are stored when their record is made, in the same
// order, so all is one pass and needs eight bytes a node.
//
// A tree names a shared leaf by the first path in preorder. The file wants the lowest id; where the
// two differ, the leaf is stored where it comes first, and the other paths become the aliases.
#include "container/tree_writer.h"

#include <algorithm>
#include <string>

namespace treering::container {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;
using tree::Key;
using tree::KeyKind;
using tree::kNoNode;

bool HasText(const Key& key) {
  return key.kind == KeyKind::kString || key.kind == KeyKind::kBigInt;
}

}  // namespace

void NumberBreadthFirst(const tree::Tree& tree, NodeOrder* order) {
  order->clear();
  order->reserve(tree.node_count());
  if (tree.root() != kNoNode) order->push_back(tree.root());
  for (size_t i = 0; i < order->size(); ++i) {
    for (tree::NodeId child = tree.first_child((*order)[i]); child != kNoNode;
         child = tree.next_sibling(child)) {
      order->push_back(child);
    }
  }
}

uint64_t LeafBytes(const tree::Tree& tree, const NodeOrder& order) {
  uint64_t total = 0;
  for (const tree::NodeId id : order) {
    const tree::Node node = tree.Get(id);
    if (!tree::IsContainer(node.kind) && node.alias_of == kNoNode) total += node.value.size;
  }
  return total;
}

uint32_t Holders::PositionOf(tree::NodeId leaf) {
  if (positions_.empty()) {
    positions_.reserve(order_.size());
    for (uint32_t i = 0; i < order_.size(); ++i) positions_.emplace_back(order_[i], i);
    std::sort(positions_.begin(), positions_.end());
  }
  const auto found =
      std::lower_bound(positions_.begin(), positions_.end(), std::make_pair(leaf, uint32_t{0}));
  return found->second;  // an alias names a leaf of its tree
}

uint32_t Holders::Of(const tree::Node& node, uint32_t position) {
  if (node.alias_of == kNoNode) {
    if (held_.empty()) return position;
    const auto found = held_.find(node.id);
    return found == held_.end() ? position : found->second;
  }
  const auto found = held_.find(node.alias_of);
  if (found != held_.end()) return found->second;
  return held_[node.alias_of] = std::min(position, PositionOf(node.alias_of));
}

Status TreeWriter::Write() {
  const auto count = static_cast<uint32_t>(order_.size());
  for (uint32_t position = 0; position < count; ++position) {
    Status status = WriteNode(position);
    if (!status.ok()) {
      if (gate_failed_) return status;
      const tree::NodeId id = order_[position];
      const char* const what = tree::IsContainer(tree_.kind(id)) ? "node '" : "leaf '";
      return std::move(status).WithContext(what + tree_.Path(id) + "'");
    }
  }
  return Status();
}

Status TreeWriter::WriteNode(uint32_t position) {
  const tree::Node node = tree_.Get(order_[position]);
  format::NodeRecord record;
  record.kind = static_cast<uint8_t>(node.kind);
  TR_RETURN_IF_ERROR(PlaceUnderParent(node.key, &record));
  TR_ASSIGN_OR_RETURN(record.attributes, index_->AddAttributes(node));
  codec::Hash128 identity;
  if (tree::IsContainer(node.kind)) {
    FillContainer(node, &record);
  } else {
    TR_RETURN_IF_ERROR(FillLeaf(node, position, &record, &identity));
  }
  const ByteSpan text = HasText(node.key) ? ByteSpan(node.key.text) : ByteSpan();
  if (position != 0 && families_[family_].hashed) index_->AddHashed(record.parent, record, text);
  index_->AddNode(record, text, node.shape, identity);
  return Status();
}

// Parent and key.
Status TreeWriter::PlaceUnderParent(const Key& key, format::NodeRecord* record) {
  if (index_->next_node() == index_->root()) return Status();
  if (left_ == 0) {
    if (index_->next_node() != index_->root() + 1) ++family_;
    left_ = families_[family_].children;
  }
  --left_;
  record->parent = families_[family_].parent;
  record->key_kind = static_cast<uint8_t>(key.kind);
  if (!HasText(key)) {
    record->key = static_cast<uint64_t>(key.integer);
    return Status();
  }
  if (key.text.size() > format::kMaxKeyText) {
    return Status(Code::kLimit, "its key has " + std::to_string(key.text.size()) +
                                    " bytes of at most " + std::to_string(format::kMaxKeyText));
  }
  record->key = index_->AddText(key.text);
  record->key_size = static_cast<uint32_t>(key.text.size());
  return Status();
}

void TreeWriter::FillContainer(const tree::Node& node, format::NodeRecord* record) {
  record->size = node.child_count;
  if (node.child_count == 0) return;
  const bool named = tree_.key(order_[next_child_]).kind != KeyKind::kIndex;
  const bool hashed = named && node.child_count >= format::kHashedFrom;
  record->flags = hashed ? format::kChildrenHashed : uint16_t{0};
  record->a = index_->root() + next_child_;
  const auto children = static_cast<uint32_t>(node.child_count);
  families_.push_back({index_->next_node(), children, hashed});
  next_child_ += children;
}

Status TreeWriter::FillLeaf(const tree::Node& node, uint32_t position, format::NodeRecord* record,
                            codec::Hash128* identity) {
  const uint32_t holder = holders_.Of(node, position);
  if (holder != position) {
    record->kind = static_cast<uint8_t>(tree::Kind::kAlias);
    record->storage = format::kAliasOf;
    record->a = index_->root() + holder;
    record->attributes = 0;  // the holder's are the alias's
    return Status();
  }
  if (tree::IsArrayLike(node.kind)) {
    record->dtype_bits = node.dtype.bits;
    record->dtype_code = node.dtype.code;
    record->rank = static_cast<uint8_t>(node.rank);
    if (node.rank != 0) record->shape = index_->AddDims(node.shape, node.rank);
  }
  if (gate_ != nullptr) return WriteGated(node, record, identity);
  return leaves_->Write(node, index_->next_node(), record, identity);
}

// Waits with nothing in hand, so whoever feeds the gate can have back what was read.
Status TreeWriter::WriteGated(tree::Node node, format::NodeRecord* record,
                              codec::Hash128* identity) {
  const tree::NodeId leaf = node.alias_of == kNoNode ? node.id : node.alias_of;
  while (!gate_->Ready(leaf, &node.value)) {
    TR_RETURN_IF_ERROR(leaves_->Flush());
    gate_->AllRead();
    Status status = gate_->Await(leaf);
    gate_failed_ = !status.ok();
    if (gate_failed_) return status;
  }
  TR_RETURN_IF_ERROR(leaves_->Write(node, index_->next_node(), record, identity));
  if (leaves_->idle()) gate_->AllRead();
  return Status();
}

}  // namespace treering::container

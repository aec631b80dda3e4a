// SPDX-License-Identifier: Apache-2.0
// Verifying nodes: one pass over the records, in the order of their ids.
//
// Nodes are numbered breadth-first, so a pass by id meets parents before children, and each
// container's children begin where those of the container before it ended. Held to that, child
// ranges are disjoint, every child is looked at by exactly one container, and the pass is linear
// without recursion whatever the file says. Depths are one number a node, set by the parent.
//
// The content digest is fed on the way. A record that cannot be read, or a kind that is not known,
// leaves digest and totals without an answer: they are then not compared.
#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "container/verify_parts.h"
#include "tree/tree.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Status;
using tree::FindingKind;
using tree::Kind;

namespace {

constexpr uint8_t kLastContainer = static_cast<uint8_t>(Kind::kNone);
constexpr uint8_t kLastLeaf = static_cast<uint8_t>(Kind::kPrngKey);
constexpr uint8_t kAlias = static_cast<uint8_t>(Kind::kAlias);

bool IsKnown(uint8_t kind) {
  return kind <= kLastContainer || (kind >= 64 && kind <= kLastLeaf) || kind == kAlias;
}

}  // namespace

NodeCheck::NodeCheck(const Container& container, const TableCheck& tables, Findings* findings,
                     Usage* usage)
    : container_(container),
      index_(container.index()),
      tables_(tables),
      findings_(findings),
      usage_(usage),
      keys_(container.index(), findings),
      storage_(container.index(), findings, usage) {}

Status NodeCheck::Run() {
  depths_.assign(index_.count(format::kNodes), 0);
  complete_ = tables_.complete();
  for (const format::ItemRecord& item : tables_.items()) {
    TR_RETURN_IF_ERROR(Item(item));
  }
  TR_RETURN_IF_ERROR(keys_.FinishTable(complete_));
  if (!complete_ || !all_known_) usage_->complete = false;
  return Totals();
}

Status NodeCheck::Item(const format::ItemRecord& item) {
  const auto name = container_.ItemName(item);
  content_.Item(item.kind, name.ok() ? *name : std::string_view(), item.root, item.node_count);
  const uint64_t end = uint64_t{item.root} + item.node_count;
  next_child_ = uint64_t{item.root} + 1;
  exact_ = true;
  for (uint64_t id = item.root; id < end; ++id) {
    TR_RETURN_IF_ERROR(Node(item, static_cast<uint32_t>(id)));
  }
  if (exact_ && next_child_ != end) {
    findings_->InvalidNode(item.root, std::to_string(end - item.root - 1) + " nodes below it",
                           std::to_string(next_child_ - item.root - 1));
  }
  return Status();
}

Status NodeCheck::Node(const format::ItemRecord& item, uint32_t id) {
  const auto record = index_.Node(id);
  if (!record.ok()) {
    complete_ = false;
    exact_ = false;
    return findings_->FailedNode(id, record.status());
  }
  const bool root = id == item.root;
  if (root) RootOf(item, *record);
  if (!root && record->parent == format::kNoParent) {
    findings_->InvalidNode(id, "a parent", "none");
  }
  if (depths_[id] > container_.max_depth()) {
    findings_->Node(id, FindingKind::kUnreadable, Code::kLimit,
                    "a depth of at most " + std::to_string(container_.max_depth()),
                    std::to_string(depths_[id]));
  }
  ByteSpan set;
  TR_RETURN_IF_ERROR(Attributes(id, *record, &set));
  if (!IsKnown(record->kind)) {
    findings_->Node(id, FindingKind::kUnreadable, Code::kUnsupportedKind, "a known kind",
                    "kind " + std::to_string(record->kind));
  }
  if (format::IsContainerKind(record->kind)) TR_RETURN_IF_ERROR(Inner(item, id, *record));
  tree::Dims shape{};
  if (format::IsLeafKind(record->kind)) TR_RETURN_IF_ERROR(Leaf(id, *record, &shape));
  const bool text = record->key_kind == 2 || record->key_kind == 4;
  const auto key = index_.Text(text ? record->key : 0, text ? record->key_size : 0);
  if (!key.ok()) {
    complete_ = false;  // told by the container
    return IsAbort(key.status().code()) ? key.status() : Status();
  }
  const bool in_record = record->storage == format::kInline;
  content_.Node(*record, ByteSpan(*key), shape.data(), set,
                in_record ? codec::Hash128Of(ByteSpan(record->value.data(),
                                                      std::min(record->size, format::kMaxInline)))
                          : record->identity());
  return Status();
}

void NodeCheck::RootOf(const format::ItemRecord& item, const format::NodeRecord& record) {
  if (record.parent != format::kNoParent) {
    findings_->InvalidNode(item.root, "no parent", "parent " + std::to_string(record.parent));
  }
  const auto kind = static_cast<Kind>(record.kind);
  if (item.kind == format::kJsonItem && kind != Kind::kString) {
    findings_->InvalidNode(item.root, "a string for a JSON document",
                           "kind " + std::to_string(record.kind));
  }
  if (item.kind == format::kBlobItem && kind != Kind::kBytes) {
    findings_->InvalidNode(item.root, "bytes for a blob", "kind " + std::to_string(record.kind));
  }
}

Status NodeCheck::Attributes(uint32_t id, const format::NodeRecord& record, ByteSpan* set) {
  if (record.attributes == 0) return Status();
  if (!tables_.SetBegins(record.attributes)) {
    findings_->InvalidNode(
        id, "the beginning of an attribute set",
        "byte " + std::to_string((uint64_t{record.attributes} - 1) * 8) + " of the section");
    complete_ = false;
    return Status();
  }
  if (tables_.has_critical_unknown(record.attributes)) {
    findings_->Node(id, FindingKind::kUnreadable, Code::kUnsupportedFeature,
                    "attributes that are known", "one that is not and must be");
  }
  const auto bytes = index_.AttributeSet(record.attributes);
  if (bytes.ok()) {
    *set = *bytes;
    return Status();
  }
  complete_ = false;
  if (bytes.status().code() != Code::kCorruptChecksum) {
    return findings_->FailedNode(id, bytes.status());
  }
  findings_->Node(id, FindingKind::kDamaged, Code::kCorruptChecksum, "",
                  "attributes in a damaged part of the index");
  return Status();
}

Status NodeCheck::Inner(const format::ItemRecord& item, uint32_t id,
                        const format::NodeRecord& record) {
  const bool hashed = (record.flags & format::kChildrenHashed) != 0;
  if (record.size == 0) return Status();
  const uint64_t end = uint64_t{item.root} + item.node_count;
  const bool fits =
      record.a > id && record.a >= next_child_ && base::InBounds(record.a, record.size, end);
  if (!fits || (exact_ && record.a != next_child_)) {
    findings_->InvalidNode(
        id,
        "children from node " + std::to_string(next_child_) + " on, below " + std::to_string(end),
        std::to_string(record.size) + " from node " + std::to_string(record.a));
    exact_ = false;
    complete_ = complete_ && fits;
    if (!fits) return Status();  // ranges that do not go back keep the walk linear
  }
  next_child_ = record.a + record.size;
  if (record.kind <= kLastContainer) {
    const auto first = index_.Node(record.a);
    const bool wants = record.size >= format::kHashedFrom && first.ok() && first->key_kind != 1;
    if (first.ok() && wants != hashed) {
      findings_->InvalidNode(id, wants ? "children in the hash table" : "no hash table",
                             "flags " + std::to_string(record.flags));
    }
  }
  return keys_.Children(id, record, &depths_, &complete_);
}

Status NodeCheck::Leaf(uint32_t id, const format::NodeRecord& record, tree::Dims* shape) {
  ++leaves_;
  if (!IsKnown(record.kind)) {
    all_known_ = false;
    return Status();
  }
  if (record.kind == kAlias) return Alias(id, record);
  if (!base::CheckedAdd(raw_bytes_, record.size, &raw_bytes_)) raw_bytes_ = UINT64_MAX;
  bool usable = true;
  if (tree::IsArrayLike(static_cast<Kind>(record.kind))) {
    TR_RETURN_IF_ERROR(Array(id, record, shape, &usable));
  } else {
    (*shape)[0] = record.size;  // of the bytes in pieces; the digest takes rank 0 of it
  }
  if (!usable) {
    usage_->complete = false;
    return Status();
  }
  return storage_.Leaf(id, record, *shape);
}

Status NodeCheck::Array(uint32_t id, const format::NodeRecord& record, tree::Dims* shape,
                        bool* usable) {
  *usable = false;
  const Status read = index_.Dims(record.shape, record.rank, shape->data());
  if (!read.ok()) {
    complete_ = false;
    if (read.code() != Code::kCorruptChecksum) return findings_->FailedNode(id, read);
    findings_->Node(id, FindingKind::kDamaged, Code::kCorruptChecksum, "",
                    "a shape in a damaged part of the index");
    return Status();
  }
  const tree::Dtype dtype{record.dtype_code, record.dtype_bits};
  if (!tree::IsKnown(dtype)) {
    findings_->Node(
        id, FindingKind::kUnreadable, Code::kUnsupportedDtype, "a known dtype",
        "code " + std::to_string(dtype.code) + " of " + std::to_string(dtype.bits) + " bits");
    return Status();
  }
  uint64_t size = 0;
  if (!tree::RawSize(dtype, shape->data(), record.rank, &size) || size != record.size) {
    findings_->InvalidNode(id, tree::Describe(dtype, shape->data(), record.rank),
                           std::to_string(record.size) + " bytes");
    return Status();
  }
  if (static_cast<Kind>(record.kind) == Kind::kPrngKey && (dtype.code != 1 || record.rank == 0)) {
    findings_->InvalidNode(id, "unsigned key words with a trailing dimension",
                           tree::Describe(dtype, shape->data(), record.rank));
  }
  *usable = true;
  return Status();
}

Status NodeCheck::Alias(uint32_t id, const format::NodeRecord& record) {
  if (record.a < id) {
    const auto leaf = index_.Node(record.a);
    if (!leaf.ok() && leaf.status().code() == Code::kCorruptChecksum) {
      findings_->Node(id, FindingKind::kDamaged, Code::kCorruptChecksum, "",
                      "its leaf in a damaged part of the index");
      return Status();
    }
    if (!leaf.ok()) return findings_->FailedNode(id, leaf.status());
    if (format::IsLeafKind(leaf->kind) && leaf->kind != kAlias) {
      usage_->aliases.push_back({id, record.a});
      return Status();
    }
  }
  findings_->InvalidNode(id, "an alias of a leaf before it",
                         "one of node " + std::to_string(record.a));
  return Status();
}

Status NodeCheck::Totals() {
  const format::Trailer& trailer = index_.trailer();
  if (!complete_) return Status();
  if (leaves_ != trailer.leaf_count) {
    findings_->Invalid("trailer.leaf_count", std::to_string(leaves_),
                       std::to_string(trailer.leaf_count));
  }
  if (!all_known_) return Status();
  if (raw_bytes_ != trailer.raw_bytes) {
    findings_->Invalid("trailer.raw_bytes", std::to_string(raw_bytes_),
                       std::to_string(trailer.raw_bytes));
  }
  if (content_.Digest() != trailer.content) {
    findings_->Invalid("trailer.content", "the digest of the tree", "another one");
  }
  return Status();
}

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Pairing a target's leaves with the stored ones.
//
// Both trees are walked together from their roots with an explicit stack. A target node without a
// stored partner is walked on, because a rename further down may give it one, and because every
// missing leaf is to be named. The other way round, a stored container that has children which the
// target has not is listed leaf by leaf. Nothing is read here but the index: a restore that does
// not fit costs no data.
#include "container/restore_match.h"

#include <algorithm>

namespace treering::container {
namespace {

using base::Result;
using base::Status;
using tree::FindingKind;
using tree::Key;
using tree::KeyKind;
using tree::Node;

tree::Kind KindOf(const format::NodeRecord& record) { return static_cast<tree::Kind>(record.kind); }

tree::Dtype DtypeOf(const NodeInfo& info) { return {info.value.dtype_code, info.value.dtype_bits}; }

// One leaf, or two of equal identity (value is the identity, or the bytes themselves).
bool SameLeaf(const NodeInfo& a, const NodeInfo& b) {
  if (a.value_id == b.value_id) return true;
  return KindOf(a.value) == KindOf(b.value) && DtypeOf(a) == DtypeOf(b) &&
         a.value.rank == b.value.rank && a.value.size == b.value.size && a.shape == b.shape &&
         a.value.storage == b.value.storage && a.value.value == b.value.value;
}

// The keys that mean the same place where kinds of containers may differ.
std::vector<Key> SamePlace(const Key& key, bool ignore_kinds) {
  std::vector<Key> keys = {key};
  if (!ignore_kinds) return keys;
  if (key.kind == KeyKind::kIndex) keys.push_back(Key::Int(key.integer));
  if (key.kind == KeyKind::kInt) keys.push_back(Key::Index(key.integer));
  return keys;
}

}  // namespace

Status Matcher::Match(std::string_view item) {
  TR_RETURN_IF_ERROR(ImportRenames(item));
  TR_ASSIGN_OR_RETURN(const format::ItemRecord record, container_.FindItem(item));
  if (target_.root() == tree::kNoNode) {
    return Status(base::Code::kInvalidArgument,
                  "the target is an empty tree; append its nodes first");
  }
  const auto renamed = renamed_.find(target_.root());
  const bool moved = renamed != renamed_.end();
  stack_.push_back({target_.root(), moved ? renamed->second : record.root, true});
  while (!stack_.empty()) {
    const Pair pair = stack_.back();
    stack_.pop_back();
    TR_RETURN_IF_ERROR(Visit(pair));
  }
  CompareAliases();
  return {};
}

Status Matcher::ImportRenames(std::string_view item) {
  for (const Rename& rename : options_.renames) {
    auto target = target_.Find(rename.target);
    if (!target.ok()) return std::move(target.status()).WithContext("rename in the target");
    auto stored = container_.Find(item, rename.stored);
    if (!stored.ok()) return std::move(stored.status()).WithContext("rename to the checkpoint");
    renamed_[target.value()] = stored.value();
    taken_.insert(stored.value());
    Add(FindingKind::kRenamed, rename.target, {}, rename.stored);
  }
  return {};
}

Status Matcher::Visit(const Pair& pair) {
  const Node node = target_.Get(pair.target);
  if (!pair.has_stored) {
    return tree::IsContainer(node.kind) ? VisitContainer(node, pair, nullptr)
                                        : VisitLeaf(node, pair, nullptr);
  }
  TR_ASSIGN_OR_RETURN(const NodeInfo stored, container_.Node(pair.stored));
  return tree::IsContainer(node.kind) ? VisitContainer(node, pair, &stored)
                                      : VisitLeaf(node, pair, &stored);
}

Status Matcher::VisitContainer(const Node& node, const Pair& pair, const NodeInfo* stored) {
  if (stored == nullptr) {
    if (node.child_count == 0 && !options_.allow_missing) {
      Add(FindingKind::kMissing, target_.Path(pair.target), KindName(node.kind), {});
    }
    return PushChildren(pair, nullptr);
  }
  const tree::Kind kind = KindOf(stored->record);
  const bool both_contain = format::IsContainerKind(stored->record.kind);
  const bool none_differs = (kind == tree::Kind::kNone) != (node.kind == tree::Kind::kNone);
  if (!both_contain || (kind != node.kind && (!options_.ignore_kinds || none_differs))) {
    Add(FindingKind::kDifferentKind, target_.Path(pair.target), KindName(node.kind),
        DescribeStored(*stored));
    return {};
  }
  TR_RETURN_IF_ERROR(PushChildren(pair, stored));
  return options_.allow_unexpected ? Status() : ReportUnexpected(pair, *stored);
}

// Pushed last to first, so that findings come in the target's order.
Status Matcher::PushChildren(const Pair& pair, const NodeInfo* stored) {
  const size_t first = stack_.size();
  for (tree::NodeId child = target_.first_child(pair.target); child != tree::kNoNode;
       child = target_.next_sibling(child)) {
    Pair next{child, 0, false};
    const auto renamed = renamed_.find(child);
    if (renamed != renamed_.end()) {
      next.stored = renamed->second;
      next.has_stored = true;
    } else if (stored != nullptr) {
      TR_ASSIGN_OR_RETURN(next.has_stored,
                          FindChild(pair.stored, target_.key(child), &next.stored));
    }
    stack_.push_back(next);
  }
  std::reverse(stack_.begin() + static_cast<ptrdiff_t>(first), stack_.end());
  return {};
}

Result<bool> Matcher::FindChild(uint32_t stored, const Key& key, uint32_t* out) const {
  for (const Key& candidate : SamePlace(key, options_.ignore_kinds)) {
    auto child = container_.Child(stored, candidate);
    if (child.ok()) {
      *out = child.value();
      return true;
    }
    if (child.status().code() != base::Code::kNotFoundPath) return std::move(child.status());
  }
  return false;
}

bool Matcher::TargetHas(tree::NodeId target, const Key& key) const {
  for (const Key& candidate : SamePlace(key, options_.ignore_kinds)) {
    const tree::NodeId child = target_.Child(target, candidate);
    if (child != tree::kNoNode && renamed_.count(child) == 0) return true;
  }
  return false;
}

Status Matcher::ReportUnexpected(const Pair& pair, const NodeInfo& stored) {
  for (uint64_t i = 0; i < stored.record.size; ++i) {
    const auto id = static_cast<uint32_t>(stored.record.a + i);
    if (taken_.count(id) != 0) continue;
    TR_ASSIGN_OR_RETURN(const NodeInfo child, container_.Node(id));
    if (!TargetHas(pair.target, child.key)) TR_RETURN_IF_ERROR(ReportStoredLeaves(id));
  }
  return {};
}

Status Matcher::ReportStoredLeaves(uint32_t id) {
  std::vector<uint32_t> stack = {id};
  while (!stack.empty()) {
    const uint32_t next = stack.back();
    stack.pop_back();
    TR_ASSIGN_OR_RETURN(const NodeInfo info, container_.Node(next));
    const bool container = format::IsContainerKind(info.record.kind);
    if (!container || info.record.size == 0) {
      TR_ASSIGN_OR_RETURN(std::string path, container_.Path(next));
      Add(FindingKind::kUnexpected, std::move(path), {}, DescribeStored(info));
      continue;
    }
    for (uint64_t i = info.record.size; i-- > 0;) {
      const auto child = static_cast<uint32_t>(info.record.a + i);
      if (taken_.count(child) == 0) stack.push_back(child);
    }
  }
  return {};
}

Status Matcher::VisitLeaf(const Node& node, const Pair& pair, const NodeInfo* stored) {
  if (node.kind == tree::Kind::kPlaceholder ||
      (options_.filter != nullptr &&
       !options_.filter->Matches(target_.PathKeys(pair.target), node))) {
    Add(FindingKind::kSkipped, target_.Path(pair.target), {}, {});
    return {};
  }
  if (node.alias_of != tree::kNoNode && (stored != nullptr || options_.allow_missing)) {
    if (stored != nullptr) aliases_.push_back({node.id, *stored, false});
    return {};  // its value is that of the leaf that it names
  }
  if (stored != nullptr) return CompareLeaf(node, *stored);
  const FindingKind kind = options_.allow_missing ? FindingKind::kKept : FindingKind::kMissing;
  Add(kind, target_.Path(pair.target), tree::Describe(node), {});
  return {};
}

Status Matcher::CompareLeaf(const Node& node, const NodeInfo& stored) {
  const tree::NodeId id = node.id;
  if (KindOf(stored.value) != node.kind) {
    Add(FindingKind::kDifferentKind, target_.Path(id), tree::Describe(node),
        DescribeStored(stored));
    return {};
  }
  MatchedLeaf leaf{id, stored, false};
  if (tree::IsArrayLike(node.kind)) {
    const tree::Dtype dtype = DtypeOf(stored);
    const bool cast = dtype != node.dtype;
    if (cast && !tree::CheckCast(dtype, node.dtype, options_.cast).ok()) {
      Add(FindingKind::kDifferentDtype, target_.Path(id), tree::Describe(node),
          DescribeStored(stored));
      return {};
    }
    const bool same_rank = stored.value.rank == node.rank;
    const bool same =
        same_rank && std::equal(node.shape, node.shape + node.rank, stored.shape.begin());
    if (!same && !(same_rank && options_.pad_or_truncate)) {
      Add(FindingKind::kDifferentShape, target_.Path(id), tree::Describe(node),
          DescribeStored(stored));
      return {};
    }
    if (cast)
      Add(FindingKind::kCast, target_.Path(id), tree::Describe(node), DescribeStored(stored));
    leaf.reshape = !same;
    for (uint32_t i = 0; leaf.reshape && i < node.rank; ++i) {
      if (node.shape[i] == stored.shape[i]) continue;
      const bool cut = node.shape[i] < stored.shape[i];
      Add(cut ? FindingKind::kTruncated : FindingKind::kPadded, target_.Path(id),
          tree::Describe(node), DescribeStored(stored));
      break;
    }
  }
  leaves_.push_back(leaf);
  return {};
}

// A leaf that the target shares under two names has one value: what is stored under the second must
// be the value that is restored, or it would be lost unnoticed.
void Matcher::CompareAliases() {
  std::unordered_map<tree::NodeId, const NodeInfo*> restored;
  if (aliases_.empty()) return;
  for (const MatchedLeaf& leaf : leaves_) restored[leaf.target] = &leaf.stored;
  for (const MatchedLeaf& alias : aliases_) {
    const tree::NodeId meant = target_.Get(alias.target).alias_of;
    const auto found = restored.find(meant);
    if (found == restored.end() || SameLeaf(*found->second, alias.stored)) continue;
    Add(FindingKind::kDifferentValue, target_.Path(alias.target),
        "the value of '" + target_.Path(meant) + "', of which it is an alias, or a placeholder",
        DescribeStored(alias.stored) + " of its own");
  }
}

void Matcher::Add(FindingKind kind, std::string path, std::string expected, std::string found) {
  tree::Finding finding;
  finding.kind = kind;
  finding.path = std::move(path);
  finding.expected = std::move(expected);
  finding.found = std::move(found);
  report_->Add(std::move(finding));
}

std::string Matcher::DescribeStored(const NodeInfo& stored) const {
  const tree::Kind kind = KindOf(stored.value);
  if (kind != tree::Kind::kArray) return KindName(kind);
  return tree::Describe(DtypeOf(stored), stored.shape.data(), stored.value.rank);
}

}  // namespace treering::container

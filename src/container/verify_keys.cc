// SPDX-License-Identifier: Apache-2.0
// Verifying keys: their form, that no two of a container are equal, and the hash table.
//
// Equal keys are found by sorting seeded hashes, so a file cannot aim at collisions. The hash table
// has exactly one right content (FORMAT.md 7.3): entries go in by node id, each into the first free
// slot from its hash on. That is repeated here without the table: `next_` is a forest of free
// slots with shortened paths, so a table made to be slow costs no more than an honest one.
//
// Invariant: entries stay at three quarters of the slots or below, so there is always a free one.
#include <algorithm>

#include "container/verify_parts.h"
#include "tree/text.h"
#include "tree/tree.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Status;
using tree::KeyKind;
using tree::Kind;

namespace {

bool HasText(uint8_t key_kind) {
  return key_kind == static_cast<uint8_t>(KeyKind::kString) ||
         key_kind == static_cast<uint8_t>(KeyKind::kBigInt);
}

// Whether a container of a known kind may have children with such keys. `first`: that of child 0.
bool KeyAllowed(uint8_t kind, uint8_t key, uint8_t first) {
  const auto key_kind = static_cast<KeyKind>(key);
  switch (static_cast<Kind>(kind)) {
    case Kind::kDict:
      return key_kind != KeyKind::kIndex && key_kind != KeyKind::kNone;
    case Kind::kList:
    case Kind::kTuple:
      return key_kind == KeyKind::kIndex;
    case Kind::kNamedTuple:
    case Kind::kDataclass:
      return key_kind == KeyKind::kString;
    case Kind::kCustom:
      return (key_kind == KeyKind::kString || key_kind == KeyKind::kIndex) && key == first;
    default:
      return true;  // a kind that is not known
  }
}

}  // namespace

KeyCheck::KeyCheck(const IndexView& index, Findings* findings)
    : index_(index), findings_(findings) {
  next_.resize(index_.count(format::kHashSlots));
  for (uint32_t i = 0; i < next_.size(); ++i) next_[i] = i;
}

Status KeyCheck::Children(uint32_t id, const format::NodeRecord& record,
                          std::vector<uint16_t>* depths, bool* complete) {
  seen_.clear();
  const auto depth = static_cast<uint16_t>(std::min((*depths)[id] + 1, 0xffff));
  for (uint64_t i = 0; i < record.size; ++i) {
    const uint32_t child = record.a + static_cast<uint32_t>(i);
    (*depths)[child] = depth;
    TR_RETURN_IF_ERROR(Child(id, record, child, complete));
  }
  return Unique(id);
}

Status KeyCheck::Child(uint32_t parent, const format::NodeRecord& container, uint32_t id,
                       bool* complete) {
  const auto child = index_.Node(id);
  if (!child.ok()) {
    *complete = false;
    return findings_->FailedNode(id, child.status());
  }
  if (child->parent != parent) {
    findings_->InvalidNode(id, "parent " + std::to_string(parent),
                           "parent " + std::to_string(child->parent));
  }
  std::string_view text;
  if (HasText(child->key_kind)) {
    const auto read = index_.Text(child->key, child->key_size);
    if (!read.ok()) {
      *complete = false;
      if (read.status().code() != Code::kCorruptChecksum) {
        return findings_->FailedNode(id, read.status());
      }
      findings_->Node(id, tree::FindingKind::kDamaged, Code::kCorruptChecksum, "",
                      "a key in a damaged part of the index");
      return Status();
    }
    text = *read;
  }
  Form(container, id, id - container.a, *child, text);
  const uint64_t seed = reinterpret_cast<uintptr_t>(this) + child->key_kind;
  seen_.push_back(
      {HasText(child->key_kind) ? tree::HashText(text, seed) : tree::HashNumber(child->key, seed),
       id});
  if ((container.flags & format::kChildrenHashed) == 0) return Status();
  return Place(parent, id, *child, text);
}

void KeyCheck::Form(const format::NodeRecord& container, uint32_t id, uint64_t position,
                    const format::NodeRecord& child, std::string_view text) {
  uint8_t first = child.key_kind;
  if (static_cast<Kind>(container.kind) == Kind::kCustom && position != 0) {
    const auto sibling = index_.Node(container.a);
    if (sibling.ok()) first = sibling->key_kind;
  }
  if (!KeyAllowed(container.kind, child.key_kind, first)) {
    findings_->InvalidNode(id, "a kind of key that its container has",
                           "key kind " + std::to_string(child.key_kind));
  } else if (static_cast<KeyKind>(child.key_kind) == KeyKind::kIndex && child.key != position) {
    findings_->InvalidNode(id, "index " + std::to_string(position),
                           "index " + std::to_string(child.key));
  } else if (static_cast<KeyKind>(child.key_kind) == KeyKind::kString && !tree::IsWtf8(text)) {
    findings_->InvalidNode(id, "a key in UTF-8 or WTF-8", "other bytes");
  } else if (static_cast<KeyKind>(child.key_kind) == KeyKind::kBigInt &&
             tree::MinimalIntegerSize(text.data(), text.size()) != text.size()) {
    findings_->InvalidNode(id, "a bigint key of the least number of bytes",
                           std::to_string(text.size()) + " bytes");
  }
}

Status KeyCheck::Unique(uint32_t parent) {
  std::sort(seen_.begin(), seen_.end(), [](const Seen& a, const Seen& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.id < b.id;
  });
  for (size_t i = 1; i < seen_.size(); ++i) {
    if (seen_[i].hash != seen_[i - 1].hash) continue;
    bool same = false;
    TR_RETURN_IF_ERROR(SameKey(seen_[i - 1].id, seen_[i].id, &same));
    if (!same) continue;
    findings_->InvalidNode(seen_[i].id, "keys once each in node " + std::to_string(parent),
                           "the key of node " + std::to_string(seen_[i - 1].id) + " again");
  }
  return Status();
}

Status KeyCheck::SameKey(uint32_t a, uint32_t b, bool* same) const {
  TR_ASSIGN_OR_RETURN(const format::NodeRecord x, index_.Node(a));
  TR_ASSIGN_OR_RETURN(const format::NodeRecord y, index_.Node(b));
  *same = x.key_kind == y.key_kind && x.key_size == y.key_size;
  if (!*same) return Status();
  if (!HasText(x.key_kind)) {
    *same = x.key == y.key;
    return Status();
  }
  TR_ASSIGN_OR_RETURN(const std::string_view p, index_.Text(x.key, x.key_size));
  TR_ASSIGN_OR_RETURN(const std::string_view q, index_.Text(y.key, y.key_size));
  *same = p == q;
  return Status();
}

// Puts a child where the writer must have put it, and looks whether the table has it there.
Status KeyCheck::Place(uint32_t parent, uint32_t id, const format::NodeRecord& child,
                       std::string_view text) {
  ++entries_;
  if (table_wrong_) return Status();
  const uint64_t count = next_.size();
  if (entries_ * 4 > count * 3) {
    table_wrong_ = true;
    findings_->Invalid("hash table", "4/3 slots for each child of hashed containers",
                       std::to_string(count) + " slots");
    return Status();
  }
  const uint64_t hash = format::ChildHash(parent, child.key_kind, child.key, ByteSpan(text));
  const auto mask = static_cast<uint32_t>(count - 1);
  auto slot = static_cast<uint32_t>(hash & mask);
  while (next_[slot] != slot) {
    next_[slot] = next_[next_[slot]];
    slot = next_[slot];
  }
  next_[slot] = (slot + 1) & mask;
  const auto bytes = index_.Bytes(format::kHashSlots, uint64_t{slot} * 8, 8);
  if (!bytes.ok()) return findings_->Failed("hash table", bytes.status());
  if (base::LoadLe32(bytes->data) == static_cast<uint32_t>(hash >> 32) &&
      base::LoadLe32(bytes->data + 4) == id + 1) {
    return Status();
  }
  table_wrong_ = true;
  findings_->Invalid("hash table",
                     "node " + std::to_string(id) + " in slot " + std::to_string(slot),
                     "another entry");
  return Status();
}

Status KeyCheck::FinishTable(bool complete) {
  if (table_wrong_ || !complete) return Status();
  uint64_t found = 0;
  for (uint64_t i = 0; i < next_.size(); ++i) {
    const auto bytes = index_.Bytes(format::kHashSlots, i * 8, 8);
    if (!bytes.ok()) return findings_->Failed("hash table", bytes.status());
    const uint64_t slot = base::LoadLe64(bytes->data);
    if (slot != 0) ++found;
  }
  if (found != entries_) {
    findings_->Invalid("hash table", std::to_string(entries_) + " entries", std::to_string(found));
  }
  return Status();
}

}  // namespace treering::container

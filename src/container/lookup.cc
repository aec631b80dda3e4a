// SPDX-License-Identifier: Apache-2.0
// From names to nodes: items, children by typed key, display paths.
//
// A lookup must not cost more than the path is long, in a dict of a million keys too: hashed
// containers are asked through the hash table, positions are computed, and only small or odd
// containers are scanned. Each step verifies the few index blocks that it touches.
//
// Invariant: an id is followed only after it was compared with its bounds, children lie behind
// their parent and name it, so every walk ends. Sizes of loops over the file's numbers are bounded
// by records that exist.
#include <algorithm>

#include "base/checked.h"
#include "container/reader.h"
#include "tree/path.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;
using tree::Key;
using tree::KeyKind;

namespace {

constexpr uint64_t kMostSiblings = 1000;  // looked at for the nearest name
constexpr uint32_t kMostItemsNamed = 20;

bool HasText(uint8_t key_kind) {
  return key_kind == static_cast<uint8_t>(KeyKind::kString) ||
         key_kind == static_cast<uint8_t>(KeyKind::kBigInt);
}

// A child by its key among the children of one container.
class ChildSearch {
 public:
  ChildSearch(const Reader& reader, uint32_t id, const format::NodeRecord& record, const Key& key)
      : reader_(reader), id_(id), record_(record), key_(key) {}

  // kNoParent where there is none.
  Result<uint32_t> Run() const {
    if (key_.kind == KeyKind::kIndex) return ByPosition();
    return (record_.flags & format::kChildrenHashed) != 0 ? ByHash() : ByScan();
  }

 private:
  Result<bool> Matches(uint32_t child) const {
    TR_ASSIGN_OR_RETURN(const format::NodeRecord record, reader_.index().Node(child));
    if (record.parent != id_) {
      return reader_.Broken("node " + std::to_string(child) + " is a child of node " +
                            std::to_string(id_) + " but names another parent");
    }
    if (record.key_kind != static_cast<uint8_t>(key_.kind)) return false;
    if (!HasText(record.key_kind)) return static_cast<int64_t>(record.key) == key_.integer;
    if (record.key_size != key_.text.size()) return false;
    TR_ASSIGN_OR_RETURN(const std::string_view text,
                        reader_.index().Text(record.key, record.key_size));
    return text == key_.text;
  }

  Result<uint32_t> ByPosition() const {
    if (key_.integer < 0 || static_cast<uint64_t>(key_.integer) >= record_.size) {
      return format::kNoParent;
    }
    const uint32_t child = record_.a + static_cast<uint32_t>(key_.integer);
    TR_ASSIGN_OR_RETURN(const bool found, Matches(child));
    return found ? child : format::kNoParent;
  }

  Result<uint32_t> ByScan() const {
    for (uint64_t i = 0; i < record_.size; ++i) {
      const uint32_t child = record_.a + static_cast<uint32_t>(i);
      TR_ASSIGN_OR_RETURN(const bool found, Matches(child));
      if (found) return child;
    }
    return format::kNoParent;
  }

  Result<uint32_t> ByHash() const {
    const uint64_t count = reader_.index().count(format::kHashSlots);
    if (count == 0 || (count & (count - 1)) != 0) {
      return reader_.Broken("the hash table has " + std::to_string(count) + " slots");
    }
    const uint64_t hash =
        format::ChildHash(id_, static_cast<uint8_t>(key_.kind), static_cast<uint64_t>(key_.integer),
                          ByteSpan(key_.text));
    const uint32_t tag = static_cast<uint32_t>(hash >> 32);
    const uint64_t stride = format::kStride[format::kHashSlots];
    for (uint64_t step = 0; step < count; ++step) {
      const uint64_t slot = (hash + step) & (count - 1);
      TR_ASSIGN_OR_RETURN(const ByteSpan bytes,
                          reader_.index().Bytes(format::kHashSlots, slot * stride, stride));
      const uint32_t node = base::LoadLe32(bytes.data + 4);
      if (node == 0) return format::kNoParent;
      if (base::LoadLe32(bytes.data) != tag) continue;
      if (node - 1 < record_.a || node - 1 - record_.a >= record_.size) continue;  // another's
      TR_ASSIGN_OR_RETURN(const bool found, Matches(node - 1));
      if (found) return node - 1;
    }
    return reader_.Broken("the hash table has no empty slot");
  }

  const Reader& reader_;
  const uint32_t id_;
  const format::NodeRecord& record_;
  const Key& key_;
};

Status KindUnknown(const Reader& reader, uint32_t id, uint8_t kind) {
  return Status(Code::kUnsupportedKind, reader.DisplayName(id) + ": '" + reader.name() +
                                            "' has a node of kind " + std::to_string(kind) +
                                            " there, which is not known; use a newer treering");
}

// "nearest is 'kernel'", or nothing.
std::string Nearest(const Reader& reader, const format::NodeRecord& record, std::string_view name) {
  std::vector<std::string> names;
  const uint64_t count = std::min(record.size, kMostSiblings);
  for (uint64_t i = 0; i < count; ++i) {
    auto child = reader.index().Node(record.a + static_cast<uint32_t>(i));
    if (!child.ok()) return {};
    auto key = reader.KeyOf(*child);
    if (!key.ok()) return {};
    names.push_back(tree::DisplayKey(*key));
  }
  const int64_t nearest = tree::Nearest(name, names);
  if (nearest < 0) return "; list the container to see its names";
  return "; the nearest name is '" + names[static_cast<size_t>(nearest)] + "'";
}

Status NotThere(const Reader& reader, uint32_t id, std::string_view component) {
  Result<format::NodeRecord> record = reader.index().Node(id);
  if (!record.ok()) return std::move(record.status());
  std::string text = "'" + reader.name() + "': " + reader.DisplayName(id);
  if (!format::IsContainerKind(record->kind)) {
    text += " is a leaf and has no '" + std::string(component) + "'; shorten the path";
  } else {
    text += " has no '" + std::string(component) + "'" + Nearest(reader, *record, component);
  }
  return Status(Code::kNotFoundPath, std::move(text));
}

}  // namespace

Result<std::string_view> Reader::ItemName(const format::ItemRecord& item) const {
  return index_->Text(item.name, item.name_size);
}

Result<format::ItemRecord> Reader::FindItem(std::string_view item) const {
  const uint32_t count = index_->count(format::kItems);
  const std::string_view wanted = item.empty() ? std::string_view("default") : item;
  uint32_t trees = 0;
  format::ItemRecord only_tree;
  Result<format::ItemRecord> found(Status(Code::kNotFoundItem, ""));
  std::string names;
  for (uint32_t i = 0; i < count && !found.ok(); ++i) {
    TR_ASSIGN_OR_RETURN(const format::ItemRecord record, index_->Item(i));
    TR_ASSIGN_OR_RETURN(const std::string_view name, ItemName(record));
    if (name == wanted) found = record;
    if (record.kind == format::kTreeItem && ++trees == 1) only_tree = record;
    if (i < kMostItemsNamed) names += (i == 0 ? "'" : ", '") + tree::EscapeForTerminal(name) + "'";
  }
  if (!found.ok() && item.empty() && trees == 1) found = only_tree;
  if (!found.ok()) {
    if (count > kMostItemsNamed) names += ", …";
    const std::string asked = item.empty() ? "no single tree to take without a name"
                                           : "no item '" + tree::EscapeForTerminal(item) + "'";
    return Status(Code::kNotFoundItem, "'" + name() + "' has " + asked + "; it has " +
                                           (count == 0 ? std::string("no items") : names));
  }
  const uint32_t nodes = index_->count(format::kNodes);
  if (found->node_count == 0 || !base::InBounds(found->root, found->node_count, nodes)) {
    return Broken("an item has nodes that do not exist");
  }
  if (found->kind < format::kTreeItem || found->kind > format::kBlobItem) {
    return Status(Code::kUnsupportedKind,
                  "'" + name() + "': item '" + tree::EscapeForTerminal(wanted) + "' is of kind " +
                      std::to_string(found->kind) + ", which is not known; use a newer treering");
  }
  return found;
}

Status Reader::CheckChildren(uint32_t id, const format::NodeRecord& record, uint64_t end) const {
  if (record.size == 0) return Status();
  if (record.a > id && base::InBounds(record.a, record.size, end)) return Status();
  return Broken("the children of node " + std::to_string(id) + " lie outside its item");
}

Result<uint64_t> Reader::ItemEnd(uint32_t id) const {
  uint32_t low = 0;
  uint32_t high = index_->count(format::kItems);
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    TR_ASSIGN_OR_RETURN(const format::ItemRecord item, index_->Item(middle));
    const uint64_t end = uint64_t{item.root} + item.node_count;
    if (id < item.root) {
      high = middle;
    } else if (id >= end) {
      low = middle + 1;
    } else {
      return std::min<uint64_t>(end, index_->count(format::kNodes));
    }
  }
  return Broken("node " + std::to_string(id) + " belongs to no item");
}

Result<uint32_t> Reader::Child(uint32_t id, const Key& key) const {
  TR_ASSIGN_OR_RETURN(const format::NodeRecord record, index_->Node(id));
  if (!format::IsContainerKind(record.kind)) return NotThere(*this, id, tree::DisplayKey(key));
  if (record.kind > static_cast<uint8_t>(tree::Kind::kNone)) {
    return KindUnknown(*this, id, record.kind);
  }
  TR_ASSIGN_OR_RETURN(const uint64_t end, ItemEnd(id));
  TR_RETURN_IF_ERROR(CheckChildren(id, record, end));
  TR_ASSIGN_OR_RETURN(const uint32_t child, ChildSearch(*this, id, record, key).Run());
  if (child == format::kNoParent) return NotThere(*this, id, tree::DisplayKey(key));
  return child;
}

namespace {

// The child that a component means, kNoParent if there is none.
Result<uint32_t> ChildOf(const Reader& reader, uint32_t id, const Key* keys, uint64_t count) {
  TR_ASSIGN_OR_RETURN(const format::NodeRecord record, reader.index().Node(id));
  if (!format::IsContainerKind(record.kind)) return format::kNoParent;
  if (record.kind > static_cast<uint8_t>(tree::Kind::kNone)) {
    return KindUnknown(reader, id, record.kind);
  }
  TR_ASSIGN_OR_RETURN(const uint64_t end, reader.ItemEnd(id));
  TR_RETURN_IF_ERROR(reader.CheckChildren(id, record, end));
  for (uint64_t i = 0; i < count; ++i) {
    TR_ASSIGN_OR_RETURN(const uint32_t child, ChildSearch(reader, id, record, keys[i]).Run());
    if (child != format::kNoParent) return child;
  }
  return format::kNoParent;
}

Status TooDeep(const Reader& reader) {
  return Status(Code::kLimit, "'" + reader.name() + "': a path is deeper than the limit of " +
                                  std::to_string(reader.max_depth()) + "; raise max_depth");
}

}  // namespace

Result<uint32_t> Reader::Find(std::string_view item, std::string_view display_path) const {
  TR_ASSIGN_OR_RETURN(const format::ItemRecord found, FindItem(item));
  auto components = tree::ParsePath(display_path);
  if (!components.ok()) return std::move(components.status());
  uint32_t id = found.root;
  uint32_t depth = 0;
  for (const tree::Component& component : *components) {
    const std::vector<Key> keys = tree::Candidates(component);
    TR_ASSIGN_OR_RETURN(const uint32_t child, ChildOf(*this, id, keys.data(), keys.size()));
    if (child == format::kNoParent) {
      return NotThere(*this, id, tree::DisplayKey(Key::String(component.text)));
    }
    if (++depth > options_.max_depth) return TooDeep(*this);
    id = child;
  }
  return id;
}

Result<uint32_t> Reader::FindKeys(std::string_view item, const Key* keys, uint64_t count) const {
  TR_ASSIGN_OR_RETURN(const format::ItemRecord found, FindItem(item));
  uint32_t id = found.root;
  for (uint64_t i = 0; i < count; ++i) {
    TR_ASSIGN_OR_RETURN(const uint32_t child, ChildOf(*this, id, &keys[i], 1));
    if (child == format::kNoParent) return NotThere(*this, id, tree::DisplayKey(keys[i]));
    if (i >= options_.max_depth) return TooDeep(*this);
    id = child;
  }
  return id;
}

}  // namespace treering::container

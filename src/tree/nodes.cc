// SPDX-License-Identifier: Apache-2.0
// Records, owners and child indexes of a tree.
//
// A million nodes must fit beside the arrays they describe and be appended at memory speed, so a
// node is one record of 80 bytes that links to others by 32-bit ids, and whatever only few nodes
// have lies elsewhere. Owners are counted by the records that use them, so replacing a leaf frees
// its old data at once. A container gets a hash index the first time somebody looks for a child of
// it and it has many; building is under a mutex, so that const lookups may run at the same time,
// and changes keep an index that exists in step. Checking what comes in is left to append.cc.
#include "tree/nodes.h"

#include <algorithm>

#include "tree/path.h"

namespace treering::tree {

uint64_t HashKey(const Key& key, uint64_t seed) {
  const uint64_t salt = seed + static_cast<uint64_t>(key.kind);
  if (key.kind == KeyKind::kString || key.kind == KeyKind::kBigInt) return HashText(key.text, salt);
  return HashNumber(static_cast<uint64_t>(key.integer), salt);
}

void KeyTable::Clear(uint64_t count) {
  size_t size = 16;
  while (size < count * 2) size *= 2;
  slots_.assign(size, 0);
  used_ = 0;
}

void KeyTable::Reserve(uint64_t more, const Record* records, uint64_t seed) {
  if ((used_ + more) * 4 <= slots_.size() * 3) return;
  size_t size = 16;
  while (size < (used_ + more) * 2) size *= 2;
  std::vector<uint64_t> old(size, 0);
  old.swap(slots_);
  used_ = 0;
  for (uint64_t slot : old) {
    const uint32_t id = static_cast<uint32_t>(slot);
    if (id != 0 && id != kTomb) Insert(id - 1, HashKey(records[id - 1].Name(), seed));
  }
}

void KeyTable::Insert(uint32_t id, uint64_t hash) {
  const size_t mask = slots_.size() - 1;
  size_t at = static_cast<size_t>(hash) & mask;
  while (slots_[at] != 0) at = (at + 1) & mask;
  slots_[at] = (hash >> 32) << 32 | (id + 1);
  ++used_;
}

bool KeyTable::InsertNew(uint32_t id, const Key& key, uint64_t hash, const Record* records) {
  const size_t mask = slots_.size() - 1;
  size_t at = static_cast<size_t>(hash) & mask;
  for (; slots_[at] != 0; at = (at + 1) & mask) {
    const uint32_t other = static_cast<uint32_t>(slots_[at]);
    if (slots_[at] >> 32 == hash >> 32 && other != kTomb && records[other - 1].Name() == key) {
      return false;
    }
  }
  slots_[at] = (hash >> 32) << 32 | (id + 1);
  ++used_;
  return true;
}

void KeyTable::Erase(uint32_t id, uint64_t hash) {
  const size_t mask = slots_.size() - 1;
  const uint64_t wanted = (hash >> 32) << 32 | (id + 1);
  size_t at = static_cast<size_t>(hash) & mask;
  while (slots_[at] != 0 && slots_[at] != wanted) at = (at + 1) & mask;
  if (slots_[at] != 0) slots_[at] = (hash >> 32) << 32 | kTomb;
}

uint32_t KeyTable::Find(const Key& key, uint64_t hash, const Record* records) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = static_cast<size_t>(hash) & mask; slots_[at] != 0; at = (at + 1) & mask) {
    const uint32_t id = static_cast<uint32_t>(slots_[at]);
    if (slots_[at] >> 32 == hash >> 32 && id != kTomb && records[id - 1].Name() == key) {
      return id - 1;
    }
  }
  return kNil;
}

uint32_t Tree::Impl::Skip(uint32_t id, uint32_t top) const {
  while (id != top && at(id).next == kNil) id = at(id).parent;
  return id == top ? kNil : at(id).next;
}

uint32_t Tree::Impl::Next(uint32_t id) const {
  const uint32_t first = First(id);
  return first != kNil ? first : Skip(id, root);
}

uint32_t Tree::Impl::AddOwner(Owner owner) {
  if (!free_owners.empty()) {
    const uint32_t slot = free_owners.back();
    free_owners.pop_back();
    owners[slot - 1].owner = std::move(owner);
    return slot;
  }
  if (free_owners.capacity() <= owners.size()) free_owners.reserve(owners.size() * 2 + 1);
  owners.push_back({std::move(owner), 0});
  return static_cast<uint32_t>(owners.size());
}

void Tree::Impl::Use(Record* r, uint32_t slot) {
  r->owner = slot;
  if (slot != 0) ++owners[slot - 1].uses;
}

void Tree::Impl::Unuse(Record* r) {
  const uint32_t slot = r->owner;
  r->owner = 0;
  if (slot == 0) return;
  --owners[slot - 1].uses;
  DropIfUnused(slot);
}

void Tree::Impl::DropIfUnused(uint32_t slot) {
  if (slot == 0 || owners[slot - 1].uses != 0 || owners[slot - 1].owner.use_count() == 0) return;
  owners[slot - 1].owner.reset();
  free_owners.push_back(slot);  // capacity is that of owners
}

KeyTable* Tree::Impl::Index(uint32_t id) const {
  const std::lock_guard<std::mutex> lock(index_mutex);
  const auto found = indexes.find(id);
  if (found != indexes.end()) return found->second.get();
  auto table = std::make_unique<KeyTable>();
  table->Clear(at(id).size + 1);
  for (uint32_t child = at(id).children.first; child != kNil; child = at(child).next) {
    table->Insert(child, HashKey(at(child).Name(), seed()));
  }
  return indexes.emplace(id, std::move(table)).first->second.get();
}

uint32_t Tree::Impl::Find(uint32_t id, const Key& key) const {
  const Record& r = at(id);
  if (!r.is_container()) return kNil;
  if (r.size > kScan) return Index(id)->Find(key, HashKey(key, seed()), records.data());
  for (uint32_t child = r.children.first; child != kNil; child = at(child).next) {
    if (at(child).Name() == key) return child;
  }
  return kNil;
}

void Tree::Impl::Link(uint32_t parent, uint32_t id) {
  Record& p = at(parent);
  at(id).previous = p.children.last;
  (p.children.last == kNil ? p.children.first : at(p.children.last).next) = id;
  p.children.last = id;
  ++p.size;
}

void Tree::Impl::Unlink(uint32_t id) {
  const Record& r = at(id);
  if (r.parent == kNil) {
    root = kNil;
    return;
  }
  Record& p = at(r.parent);
  const auto index = indexes.find(r.parent);
  if (index != indexes.end()) index->second->Erase(id, HashKey(r.Name(), seed()));
  (r.previous == kNil ? p.children.first : at(r.previous).next) = r.next;
  (r.next == kNil ? p.children.last : at(r.next).previous) = r.previous;
  --p.size;
}

std::vector<Key> Tree::Impl::Keys(uint32_t id) const {
  std::vector<Key> keys;
  keys.reserve(at(id).depth);
  for (; at(id).parent != kNil; id = at(id).parent) keys.push_back(at(id).Name());
  std::reverse(keys.begin(), keys.end());
  return keys;
}

std::string Tree::Impl::Display(uint32_t id) const {
  std::string path;
  for (const Key& key : Keys(id)) {
    if (!path.empty()) path.push_back('/');
    AppendDisplayKey(key, &path);
  }
  return path;
}

std::string Tree::Impl::Quoted(uint32_t id) const {
  return at(id).parent == kNil ? "the root" : "'" + Display(id) + "'";
}

}  // namespace treering::tree

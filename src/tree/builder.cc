// SPDX-License-Identifier: Apache-2.0
// Makes a tree out of nodes of other trees.
//
// Splitting and merging must not copy a byte of leaf data, nor check again what a tree has checked.
// So records are copied with their pointers, the arenas that they point into are shared, and the
// numbers in them (owners, attribute sets, aliases) are translated. Which leaf of a shared value is
// met first becomes the leaf, the others its aliases, so any selection of paths is a valid tree.
// Keys are taken as given: that they are unique and in order is the caller's care.
#include "tree/builder.h"

namespace treering::tree {

Builder::Builder(const std::vector<const Tree*>& sources) {
  Tree::Impl& to = *tree_.impl();
  for (const Tree* tree : sources) {
    const Tree::Impl& from = tree->impl();
    to.arena.Share(from.arena);
    Source source;
    source.impl = &from;
    source.owners.resize(from.owners.size() + 1);
    source.sets.resize(from.sets.size() + 1);
    sources_.push_back(std::move(source));
  }
}

uint32_t Builder::OwnerOf(Source* source, const Record& record) {
  if (record.owner == 0) return 0;
  uint32_t& slot = source->owners[record.owner];
  if (slot == 0) slot = tree_.impl()->AddOwner(source->impl->owners[record.owner - 1].owner);
  return slot;
}

void Builder::SetAttributes(uint32_t id, size_t source_number, uint32_t from) {
  Source& source = sources_[source_number];
  const Record& own = source.impl->at(from);
  const uint32_t there =
      own.attributes != 0 ? own.attributes : source.impl->Resolve(own).attributes;
  if (there == 0) return;
  uint32_t& here = source.sets[there];
  if (here == 0) {
    const auto& list = source.impl->sets[there - 1]->list();
    here = tree_.impl()->Intern(list.data(), list.size());
  }
  tree_.impl()->at(id).attributes = here;
}

uint32_t Builder::Add(uint32_t parent, size_t source_number, uint32_t from, const Key& key) {
  Source& source = sources_[source_number];
  Tree::Impl& to = *tree_.impl();
  const Record& own = source.impl->at(from);
  const Record& value = source.impl->Resolve(own);
  const auto id = static_cast<uint32_t>(to.records.size());
  Record r = value;
  r.parent = parent;
  r.next = r.previous = kNil;
  r.depth = static_cast<uint16_t>(parent == kNil ? 0 : to.at(parent).depth + 1);
  r.attributes = r.owner = 0;
  r.alias_of = kNil;
  r.alias_count = 0;
  r.key_kind = key.kind;
  r.key_size = static_cast<uint16_t>(key.text.size());
  if (r.has_text_key()) {
    r.key.text = key.text.data();
  } else {
    r.key.integer = key.integer;
  }
  if (r.is_container()) {
    r.children = {kNil, kNil};
    r.size = 0;
  }
  const bool is_shared = value.alias_count != 0;
  const uint32_t target = own.alias_of != kNil ? own.alias_of : from;
  const auto known = is_shared ? source.shared.find(target) : source.shared.end();
  if (known != source.shared.end()) {
    Record alias;
    alias.kind = r.kind;
    alias.parent = r.parent;
    alias.depth = r.depth;
    alias.key_kind = r.key_kind;
    alias.key_size = r.key_size;
    alias.key = r.key;
    alias.alias_of = known->second;
    to.records.push_back(alias);
    ++to.at(known->second).alias_count;
  } else {
    const uint32_t slot = r.is_container() ? 0 : OwnerOf(&source, value);
    to.records.push_back(r);
    to.Use(&to.at(id), slot);
    if (is_shared) source.shared.emplace(target, id);
  }
  SetAttributes(id, source_number, from);
  ++to.live;
  if (!r.is_container()) ++to.leaves;
  if (parent == kNil) {
    to.root = id;
  } else {
    to.Link(parent, id);
  }
  return id;
}

void Builder::AddEmptyDict() {
  Tree::Impl& to = *tree_.impl();
  Record r;
  r.kind = Kind::kDict;
  r.children = {kNil, kNil};
  to.root = static_cast<uint32_t>(to.records.size());
  to.records.push_back(r);
  ++to.live;
}

void Builder::MakeDict(uint32_t id) {
  Tree::Impl& to = *tree_.impl();
  Record& r = to.at(id);
  r.kind = Kind::kDict;
  r.attributes = 0;
  for (uint32_t c = r.children.first; c != kNil; c = to.at(c).next) {
    if (to.at(c).key_kind == KeyKind::kIndex) to.at(c).key_kind = KeyKind::kInt;
  }
}

}  // namespace treering::tree

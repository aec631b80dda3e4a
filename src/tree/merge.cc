// SPDX-License-Identifier: Apache-2.0
// Merge: the union of trees by typed path; later trees win.
//
// First the places of the result are laid out: for every path the tree and node that it comes from,
// found by one hash table over (parent place, key). An index and an int key of the same number are
// the same place, since splitting makes the one of the other. Then the kinds of containers are
// settled: a list whose positions are all there is one again, in order, else it is a dict with int
// keys. Last, the builder makes nodes of the places. So a leaf that was replaced never exists in
// the result.
#include <algorithm>
#include <string>

#include "tree/builder.h"
#include "tree/operations.h"

namespace treering::tree {

using base::Code;
using base::Result;
using base::Status;

namespace {

struct Place {
  uint32_t parent = kNil, first = kNil, last = kNil, next = kNil;
  uint32_t source = 0, id = 0;  // the leaf that won; for containers, whose attributes count
  uint32_t here = kNil;         // id in the result
  Kind kind = Kind::kNone;
  Key key;
};

bool IsPosition(const Key& key) { return key.kind == KeyKind::kIndex || key.kind == KeyKind::kInt; }

// Int where it may be an index, so that equal places have equal keys.
Key Normal(Key key) {
  if (key.kind == KeyKind::kIndex) key.kind = KeyKind::kInt;
  return key;
}

class Merger {
 public:
  explicit Merger(const std::vector<const Tree*>& trees) : trees_(trees), builder_(trees) {}

  Result<Tree> Run() {
    slots_.assign(1024, kNil);
    for (size_t i = 0; i < trees_.size(); ++i) {
      TR_RETURN_IF_ERROR(Lay(static_cast<uint32_t>(i), trees_[i]->impl()));
    }
    for (size_t i = 0; i < places_.size(); ++i) Settle(static_cast<uint32_t>(i));
    for (uint32_t at = places_.empty() ? kNil : 0; at != kNil; at = Next(at)) Emit(at);
    return builder_.Take();
  }

 private:
  uint64_t Hash(uint32_t parent, const Key& key) const {
    return HashKey(key, HashNumber(parent, reinterpret_cast<uintptr_t>(this)));
  }

  void Insert(uint32_t place) {
    const size_t mask = slots_.size() - 1;
    size_t at = static_cast<size_t>(Hash(places_[place].parent, places_[place].key)) & mask;
    while (slots_[at] != kNil) at = (at + 1) & mask;
    slots_[at] = place;
  }

  uint32_t Find(uint32_t parent, const Key& key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = static_cast<size_t>(Hash(parent, key)) & mask;
    for (; slots_[at] != kNil; at = (at + 1) & mask) {
      const Place& p = places_[slots_[at]];
      if (p.parent == parent && p.key == key) return slots_[at];
    }
    return kNil;
  }

  uint32_t New(uint32_t parent, const Key& key) {
    const auto place = static_cast<uint32_t>(places_.size());
    places_.emplace_back();
    places_[place].parent = parent;
    places_[place].key = key;
    if (parent != kNil) {
      Place& p = places_[parent];
      (p.last == kNil ? p.first : places_[p.last].next) = place;
      p.last = place;
    }
    if (places_.size() * 2 > slots_.size()) {
      slots_.assign(slots_.size() * 2, kNil);
      for (uint32_t i = 0; i < place; ++i) Insert(i);
    }
    Insert(place);
    return place;
  }

  Status Lay(uint32_t source, const Tree::Impl& from) {
    std::vector<uint32_t> way;
    for (uint32_t id = from.root; id != kNil; id = from.Next(id)) {
      const Record& r = from.at(id);
      way.resize(r.depth);
      const uint32_t parent = way.empty() ? kNil : way.back();
      const Key key = Normal(r.Name());
      uint32_t place = Find(parent, key);
      const bool fresh = place == kNil;
      if (fresh) place = New(parent, key);
      way.push_back(place);
      Place& p = places_[place];
      if (!fresh && IsContainer(p.kind) != r.is_container()) {
        return Status(Code::kMismatchStructure,
                      from.Quoted(id) + " is a " + KindName(p.kind) + " in tree " +
                          std::to_string(p.source) + " and a " + KindName(r.kind) + " in tree " +
                          std::to_string(source) + "; remove or rename one of them");
      }
      if (fresh || !r.is_container() || Wins(p.kind, r, from)) {
        p.source = source;
        p.id = id;
        p.kind = r.kind;
      }
    }
    return Status();
  }

  // Whether a later container says what kind it is. A dict may be what splitting left of a list.
  static bool Wins(Kind before, const Record& r, const Tree::Impl& from) {
    if (r.kind == Kind::kNone || before == Kind::kNone) return before == Kind::kNone;
    if (before == r.kind) return from.Set(r) != nullptr;
    return r.kind != Kind::kDict;
  }

  // Orders the children and decides whether the container can be what it says.
  void Settle(uint32_t place) {
    Place& p = places_[place];
    if (!IsContainer(p.kind) || p.kind == Kind::kDict || p.first == kNil) return;
    std::vector<uint32_t> children;
    size_t positions = 0;
    size_t texts = 0;
    for (uint32_t c = p.first; c != kNil; c = places_[c].next) {
      children.push_back(c);
      positions += IsPosition(places_[c].key) ? 1u : 0u;
      texts += places_[c].key.kind == KeyKind::kString ? 1u : 0u;
    }
    const bool listed = p.kind == Kind::kList || p.kind == Kind::kTuple;
    if (positions == children.size()) {
      std::sort(children.begin(), children.end(), [this](uint32_t a, uint32_t b) {
        return places_[a].key.integer < places_[b].key.integer;
      });
      p.first = children.front();
      p.last = children.back();
      for (size_t i = 0; i < children.size(); ++i) {
        places_[children[i]].next = i + 1 < children.size() ? children[i + 1] : kNil;
      }
      const bool whole = places_[p.first].key.integer == 0 &&
                         places_[p.last].key.integer == static_cast<int64_t>(children.size()) - 1;
      if (whole && (listed || p.kind == Kind::kCustom)) {
        for (const uint32_t c : children) places_[c].key.kind = KeyKind::kIndex;
        return;
      }
    }
    if (texts != children.size() || listed) p.kind = Kind::kDict;
  }

  uint32_t Next(uint32_t place) const {
    if (places_[place].first != kNil) return places_[place].first;
    while (place != kNil && places_[place].next == kNil) place = places_[place].parent;
    return place == kNil ? kNil : places_[place].next;
  }

  void Emit(uint32_t place) {
    Place& p = places_[place];
    const uint32_t parent = p.parent == kNil ? kNil : places_[p.parent].here;
    p.here = builder_.Add(parent, p.source, p.id, p.key);
    if (IsContainer(p.kind) && builder_.record(p.here)->kind != p.kind) builder_.MakeDict(p.here);
  }

  const std::vector<const Tree*>& trees_;
  Builder builder_;
  std::vector<Place> places_;
  std::vector<uint32_t> slots_;
};

}  // namespace

Result<Tree> Merge(const std::vector<const Tree*>& trees) {
  for (const Tree* tree : trees) {
    if (tree == nullptr) return Status(Code::kInvalidArgument, "a tree to merge is null");
  }
  return Merger(trees).Run();
}

}  // namespace treering::tree

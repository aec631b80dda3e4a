// SPDX-License-Identifier: Apache-2.0
// Update and Abstract.
//
// An update sets what the other tree has at the same path and adds new keys to dicts; lists and
// records of the host have a fixed shape, so there a new key is a mistake. It works on a copy
// (whose data are shared) and swaps it in at the end: nothing is changed on failure, and ids stay.
// Leaves that share a value in the other tree share it afterwards, unless something else is an
// alias of them here, which wins. Making a tree abstract strips values and keeps dtypes, shapes,
// attributes.
#include <string>
#include <unordered_map>

#include "tree/nodes.h"
#include "tree/operations.h"

namespace treering::tree {

using base::Code;
using base::Result;
using base::Status;

namespace {

class Updater {
 public:
  Updater(Tree* tree, const Tree& with) : tree_(*tree), with_(with), from_(with.impl()) {}

  Status Run() {
    for (uint32_t id = from_.root; id != kNil; id = from_.Next(id)) {
      const uint16_t depth = from_.at(id).depth;
      way_.resize(depth);
      fresh_.resize(depth);
      uint32_t here = depth == 0 ? tree_.impl()->root : FindChild(way_.back(), from_.at(id).Name());
      const bool is_new = here == kNil;
      TR_RETURN_IF_ERROR(is_new ? Add(id, &here) : Replace(id, here));
      way_.push_back(here);
      fresh_.push_back(is_new);
      if (from_.at(id).alias_count != 0 || from_.at(id).alias_of != kNil) {
        placed_.emplace(Target(id), here);
      }
    }
    return Status();
  }

 private:
  uint32_t Target(uint32_t id) const {
    return from_.at(id).alias_of == kNil ? id : from_.at(id).alias_of;
  }

  // An index and an int key of the same number are the same place.
  uint32_t FindChild(uint32_t parent, Key key) const {
    const uint32_t child = tree_.impl()->Find(parent, key);
    if (child != kNil || (key.kind != KeyKind::kIndex && key.kind != KeyKind::kInt)) return child;
    key.kind = key.kind == KeyKind::kIndex ? KeyKind::kInt : KeyKind::kIndex;
    return tree_.impl()->Find(parent, key);
  }

  Node NodeOf(uint32_t id) const {
    Node node = with_.Get(id);
    node.child_count = 0;
    const auto known = placed_.find(Target(id));
    if (known != placed_.end() && !IsContainer(node.kind)) {
      Node alias;
      alias.kind = Kind::kAlias;
      alias.key = node.key;
      alias.alias_of = known->second;
      alias.attributes = node.attributes;
      alias.attribute_count = node.attribute_count;
      return alias;
    }
    node.alias_of = kNoNode;
    return node;
  }

  Status Add(uint32_t id, uint32_t* here) {
    Node node = NodeOf(id);
    const uint32_t parent = way_.empty() ? kNil : way_.back();
    if (parent != kNil && !fresh_.back()) {
      const Record& p = tree_.impl()->at(parent);
      if (p.kind != Kind::kDict) {
        return Status(Code::kMismatchStructure,
                      from_.Quoted(id) + " is new, but " + tree_.impl()->Quoted(parent) + " is a " +
                          KindName(tree_.kind(parent)) + "; new keys are added to dicts only");
      }
      if (node.key.kind == KeyKind::kIndex) node.key.kind = KeyKind::kInt;
    }
    auto added = tree_.Append(Widen(parent), &node, 1, with_.owner(id));
    if (!added.ok()) return std::move(added.status());
    *here = Narrow(added.value());
    return Status();
  }

  Status Replace(uint32_t id, uint32_t here) {
    const Record& r = from_.at(id);
    const Record& old = tree_.impl()->at(here);
    if (r.is_container() != old.is_container()) {
      return Status(Code::kMismatchStructure, from_.Quoted(id) + " is a " +
                                                  KindName(tree_.kind(here)) +
                                                  " and would become a " + KindName(r.kind));
    }
    if (r.is_container()) return Status();
    Node node = NodeOf(id);
    if (node.kind == Kind::kAlias && old.alias_count != 0) {
      node = with_.Get(id);
      node.alias_of = kNoNode;
    }
    return tree_.Set(here, node, with_.owner(id));
  }

  Tree& tree_;
  const Tree& with_;
  const Tree::Impl& from_;
  std::vector<uint32_t> way_;  // ids in tree_ from the root on
  std::vector<bool> fresh_;    // whether this update has added them
  std::unordered_map<uint32_t, uint32_t> placed_;
};

}  // namespace

Status Update(Tree* tree, const Tree& with) {
  Tree copy = tree->Copy();
  TR_RETURN_IF_ERROR(Updater(&copy, with).Run());
  *tree = std::move(copy);
  return Status();
}

Result<Tree> Abstract(const Tree& tree) {
  Tree copy = tree.Copy();
  Tree::Impl& t = *copy.impl();
  for (Record& r : t.records) {
    if (r.kind == Kind{0} || r.is_container()) continue;
    t.Unuse(&r);
    const bool sized = IsArrayLike(r.kind) || r.kind == Kind::kBool || r.kind == Kind::kFloat ||
                       r.kind == Kind::kComplex;
    if (!sized) r.size = 0;
    r.form = ValueForm::kAbstract;
    r.one_per_byte = false;
    r.data = nullptr;
    r.extra = nullptr;
  }
  return copy;
}

}  // namespace treering::tree

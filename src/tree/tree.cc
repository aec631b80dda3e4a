// SPDX-License-Identifier: Apache-2.0
// Tree: what can be asked of nodes, copies, walking in preorder.
//
// A tree is a value that many sides hold at once: a writer, a restore, the caller. So everything
// that is const here reads records that no const function changes, a copy shares arenas and owners
// and copies only the records, and an alias answers with the leaf it names. Walking follows links
// and needs neither stack nor recursion. Changing is append.cc's and edit.cc's, searching
// find.cc's.
#include "tree/tree.h"

#include "tree/nodes.h"

namespace treering::tree {

Tree::Tree(uint32_t max_depth) : impl_(std::make_unique<Impl>()) { impl_->max_depth = max_depth; }
Tree::~Tree() = default;
Tree::Tree(Tree&&) noexcept = default;
Tree& Tree::operator=(Tree&&) noexcept = default;

Tree Tree::Copy() const {
  Tree copy(impl_->max_depth);
  Impl& to = *copy.impl_;
  to.records = impl_->records;
  to.root = impl_->root;
  to.live = impl_->live;
  to.leaves = impl_->leaves;
  to.arena.Share(impl_->arena);
  to.owners = impl_->owners;
  to.free_owners.reserve(to.owners.size());
  to.free_owners = impl_->free_owners;
  to.sets = impl_->sets;
  to.set_of_hash = impl_->set_of_hash;
  return copy;
}

NodeId Tree::root() const { return Widen(impl_->root); }
uint64_t Tree::node_count() const { return impl_->live; }
uint64_t Tree::leaf_count() const { return impl_->leaves; }
bool Tree::Contains(NodeId id) const { return impl_->Live(id); }
Kind Tree::kind(NodeId id) const { return impl_->Resolve(impl_->at(id)).kind; }
Key Tree::key(NodeId id) const { return impl_->at(id).Name(); }
NodeId Tree::parent(NodeId id) const { return Widen(impl_->at(id).parent); }
NodeId Tree::first_child(NodeId id) const { return Widen(impl_->First(Narrow(id))); }
NodeId Tree::next_sibling(NodeId id) const { return Widen(impl_->at(id).next); }
NodeId Tree::NextInPreorder(NodeId id) const { return Widen(impl_->Next(Narrow(id))); }
NodeId Tree::SkipSubtree(NodeId id) const { return Widen(impl_->Skip(Narrow(id), impl_->root)); }

uint64_t Tree::child_count(NodeId id) const {
  const Record& r = impl_->at(id);
  return r.is_container() ? r.size : 0;
}

Owner Tree::owner(NodeId id) const {
  const uint32_t slot = impl_->Resolve(impl_->at(id)).owner;
  return slot == 0 ? Owner() : impl_->owners[slot - 1].owner;
}

Node Tree::Get(NodeId id) const {
  const Record& own = impl_->at(id);
  const Record& r = impl_->Resolve(own);
  Node node;
  node.kind = r.kind;
  node.key = own.Name();
  node.id = id;
  node.parent = Widen(own.parent);
  node.alias_of = Widen(own.alias_of);
  node.attribute_set = impl_->Set(own);
  if (node.attribute_set != nullptr) {
    node.attributes = node.attribute_set->list().data();
    node.attribute_count = node.attribute_set->list().size();
  }
  if (r.is_container()) {
    node.child_count = r.size;
    return node;
  }
  node.dtype = r.dtype;
  node.rank = r.rank;
  node.shape = r.shape;
  node.value.form = r.form;
  node.value.one_per_byte = r.one_per_byte;
  node.value.size = r.size;
  if (r.form == ValueForm::kData) node.value.data = r.data;
  if (r.extra == nullptr) return node;
  if (r.form == ValueForm::kPieces) {
    node.value.pieces = r.pieces;
    node.value.piece_count = r.extra->piece_count;
  }
  node.value.strides = r.extra->strides;
  node.value.fill = r.extra->fill;
  node.value.fill_user = r.extra->fill_user;
  node.hints = {r.extra->codec, r.extra->level, r.extra->chunk_shape};
  node.destination = r.extra->destination;
  node.destination_size = r.extra->destination_size;
  return node;
}

std::vector<Key> Tree::PathKeys(NodeId id) const { return impl_->Keys(Narrow(id)); }
std::string Tree::Path(NodeId id) const { return impl_->Display(Narrow(id)); }

void Tree::CopyRaw(NodeId id, void* dst) const { CopyValue(impl_->Resolve(impl_->at(id)), dst); }

std::string Describe(const Node& leaf) {
  if (leaf.kind == Kind::kArray) return Describe(leaf.dtype, leaf.shape, leaf.rank);
  if (leaf.kind == Kind::kPrngKey) {
    return "PRNG key " + Describe(leaf.dtype, leaf.shape, leaf.rank);
  }
  return KindName(leaf.kind);
}

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// Tree::Set and Tree::Remove.
//
// Both keep what others rely on: ids of other nodes stay, aliases keep naming a leaf, positions of
// lists stay without gaps, and nothing is changed when something is wrong. A new value is staged as
// a record at the end, exactly as an append would, and then takes the place of the old one; so the
// checks are the same. A removed record stays as a gap, because ids are never used twice.
#include <utility>

#include "tree/nodes.h"

namespace treering::tree {

using base::Code;
using base::Status;

namespace {

// A record behind the last, taken away again at the end.
class Staged {
 public:
  explicit Staged(Tree::Impl* impl)
      : impl_(impl), id_(static_cast<uint32_t>(impl->records.size())) {
    impl->records.emplace_back();
  }
  ~Staged() {
    impl_->Unuse(&impl_->records.back());
    impl_->records.pop_back();
  }
  Staged(const Staged&) = delete;
  Staged& operator=(const Staged&) = delete;
  uint32_t id() const { return id_; }
  Record* get() const { return &impl_->at(id_); }

 private:
  Tree::Impl* impl_;
  uint32_t id_;
};

// Slots that a failure left without a use.
class OwnerGuard {
 public:
  explicit OwnerGuard(Tree::Impl* impl) : impl_(impl) {}
  ~OwnerGuard() {
    for (uint32_t slot : slots_) impl_->DropIfUnused(slot);
  }
  OwnerGuard(const OwnerGuard&) = delete;
  OwnerGuard& operator=(const OwnerGuard&) = delete;
  uint32_t Add(Owner owner) {
    slots_.reserve(1);
    slots_.push_back(impl_->AddOwner(std::move(owner)));
    return slots_.back();
  }

 private:
  Tree::Impl* impl_;
  std::vector<uint32_t> slots_;
};

Status StageAliasOf(const Tree::Impl& t, uint32_t id, const Node& node, Record* r) {
  uint32_t target = Narrow(node.alias_of);
  if (t.Live(target) && t.at(target).alias_of != kNil) target = t.at(target).alias_of;
  if (!t.Live(target) || t.at(target).is_container() || target == id) {
    return Status(Code::kInvalidArgument, "alias of what is no other leaf of this tree");
  }
  if (t.at(id).alias_count != 0) {
    return Status(Code::kInvalidArgument,
                  "becomes an alias while other nodes are aliases of it; set them first");
  }
  r->kind = t.at(target).kind;
  r->alias_of = target;
  return Status();
}

void SwapValues(Record* a, Record* b) {
  std::swap(a->kind, b->kind);
  std::swap(a->dtype, b->dtype);
  std::swap(a->rank, b->rank);
  std::swap(a->form, b->form);
  std::swap(a->one_per_byte, b->one_per_byte);
  std::swap(a->alias_of, b->alias_of);
  std::swap(a->owner, b->owner);
  std::swap(a->size, b->size);
  std::swap(a->data, b->data);
  std::swap(a->shape, b->shape);
  std::swap(a->extra, b->extra);
}

bool IsLeafKind(Kind kind) {
  const auto number = static_cast<uint8_t>(kind);
  return (number >= 64 && number <= 71) || kind == Kind::kPlaceholder;
}

}  // namespace

Status Tree::Set(NodeId id, const Node& node, Owner owner) {
  Impl& t = *impl_;
  if (!t.Live(id) || t.at(id).is_container()) {
    return Status(Code::kInvalidArgument,
                  !t.Live(id) ? "there is no node " + std::to_string(id) + " to set"
                              : t.Quoted(Narrow(id)) + " is no leaf; set leaves only");
  }
  const auto self = static_cast<uint32_t>(id);
  OwnerGuard guard(&t);
  Staged staged(&t);
  Status status = CheckAttributes(node.attributes, node.attribute_count);
  const bool lent = owner.use_count() != 0;
  if (status.ok() && node.kind == Kind::kAlias) {
    status = StageAliasOf(t, self, node, staged.get());
  } else if (status.ok() && IsLeafKind(node.kind)) {
    status = ValueReader(&t).Read(node, staged.get(), lent);
  } else if (status.ok()) {
    status = Status(Code::kInvalidArgument, std::string("cannot become a ") + KindName(node.kind));
  }
  if (!status.ok()) return std::move(status).WithContext(t.Quoted(self));
  const uint32_t set = t.Intern(node.attributes, node.attribute_count);
  if (lent && staged.get()->form != ValueForm::kAbstract) {
    t.Use(staged.get(), guard.Add(std::move(owner)));
  }
  if (!lent) CopyLeafData(&t, staged.id(), staged.id() + 1);
  // From here on nothing fails.
  Record& r = t.at(self);
  const uint32_t kept = t.Resolve(r).attributes;
  if (r.alias_of != kNil) --t.at(r.alias_of).alias_count;
  SwapValues(&r, staged.get());
  if (r.alias_of != kNil) ++t.at(r.alias_of).alias_count;
  if (set != 0) r.attributes = set;
  if (r.attributes == 0 && r.alias_of == kNil) r.attributes = kept;
  return Status();
}

Status Tree::Remove(NodeId id) {
  Impl& t = *impl_;
  if (!t.Live(id)) {
    return Status(Code::kInvalidArgument, "there is no node " + std::to_string(id) + " to remove");
  }
  const auto top = static_cast<uint32_t>(id);
  if (t.at(top).key_kind == KeyKind::kIndex && t.at(top).next != kNil) {
    return Status(Code::kInvalidArgument,
                  t.Quoted(top) + " is not the last of its list; remove from the end");
  }
  const auto step = [&t, top](uint32_t at) {
    const uint32_t first = t.First(at);
    return first != kNil ? first : t.Skip(at, top);
  };
  // Without the aliases inside, a leaf that still has some is named from outside.
  uint32_t named = kNil;
  for (uint32_t at = top; at != kNil; at = step(at)) {
    if (t.at(at).alias_of != kNil) --t.at(t.at(at).alias_of).alias_count;
  }
  for (uint32_t at = top; at != kNil && named == kNil; at = step(at)) {
    if (t.at(at).alias_count != 0) named = at;
  }
  if (named != kNil) {
    for (uint32_t at = top; at != kNil; at = step(at)) {
      if (t.at(at).alias_of != kNil) ++t.at(t.at(at).alias_of).alias_count;
    }
    return Status(Code::kInvalidArgument,
                  t.Quoted(named) + " has aliases elsewhere; remove or set them first");
  }
  t.Unlink(top);
  for (uint32_t at = top; at != kNil;) {
    const uint32_t next = step(at);
    Record& r = t.at(at);
    if (!r.is_container()) --t.leaves;
    t.Unuse(&r);
    if (r.is_container()) t.indexes.erase(at);
    --t.live;
    r.alias_of = kNil;
    r.kind = Kind{0};
    at = next;
  }
  return Status();
}

}  // namespace treering::tree

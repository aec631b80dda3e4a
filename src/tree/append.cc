// SPDX-License-Identifier: Apache-2.0
// Tree::Append: nodes in preorder, checked, all or none.
//
// New records are staged at the end of the record vector, linked among themselves but not yet to
// the tree; whatever goes wrong, an exception of the allocator included, cuts them off again. Open
// containers are on a stack, so nothing recurses. Equal keys are found when a container is
// complete, by comparing pairs in small ones and by a hash table in large ones: linear in all. The
// last step links the new subtrees to their parent and cannot fail. Values are checked by value.cc
// and copied by leaf_data.cc.
#include <algorithm>
#include <utility>

#include "tree/nodes.h"
#include "tree/path.h"

namespace treering::tree {

using base::Code;
using base::Result;
using base::Status;

namespace {

struct Frame {
  uint32_t id = kNil;  // kNil: above the root
  uint64_t left = 0;
  uint64_t next_index = 0;
  uint32_t first = kNil;
  uint32_t last = kNil;
  KeyKind custom = KeyKind::kNone;  // what the children of a custom node have
};

bool IsIndexed(Kind kind) { return kind == Kind::kList || kind == Kind::kTuple; }

class Appender {
 public:
  Appender(Tree::Impl* impl, uint32_t parent, Owner owner)
      : t_(*impl), reader_(impl), parent_(parent), owner_(std::move(owner)) {
    first_ = static_cast<uint32_t>(t_.records.size());
  }
  ~Appender() {
    if (!done_) Undo();
  }
  Appender(const Appender&) = delete;
  Appender& operator=(const Appender&) = delete;

  Status Run(const Node* nodes, uint64_t count);
  uint32_t first() const { return first_; }

 private:
  Status Start(uint64_t count);
  Status Stage(const Node& node);
  Status CloseFull();
  Status StageKey(const Node& node, Frame* frame, Record* r);
  Status StageText(const Key& key, Record* r);
  Status StageAlias(const Node& node, Record* r);
  Status StageContainer(const Node& node, Record* r);
  Status CheckUnique(uint32_t first_child, uint64_t count);
  Status CheckUniqueInParent();
  void Commit();
  void Undo();
  // "child 3 of 'params'", for nodes whose key is at fault.
  Status KeyError(const Frame& frame, const std::string& message,
                  Code code = Code::kInvalidArgument);
  Status At(uint32_t id, Status status) { return std::move(status).WithContext(t_.Quoted(id)); }
  Status Twice(uint32_t id) {
    return Status(Code::kInvalidArgument,
                  t_.Quoted(id) + ": key given twice, but keys of one node are unique");
  }

  Tree::Impl& t_;
  ValueReader reader_;
  uint32_t parent_;
  Owner owner_;
  uint32_t slot_ = 0;
  uint32_t first_ = 0;
  uint64_t to_come_ = 0;
  std::vector<Frame> stack_;
  KeyTable scratch_;
  const Attribute* last_attributes_ = nullptr;
  uint64_t last_attribute_count_ = 0;
  uint32_t last_set_ = 0;
  bool copying_ = false;
  bool done_ = false;
};

Status Appender::Start(uint64_t count) {
  Frame base;
  base.id = parent_;
  base.left = UINT64_MAX;
  if (parent_ == kNil) {
    if (t_.root != kNil) {
      return Status(Code::kInvalidArgument, "the tree has a root already; append below a node");
    }
    if (count == 0) return Status(Code::kInvalidArgument, "there is no node to append as the root");
    base.left = 1;
  } else {
    const Record& p = t_.at(parent_);
    if (!p.is_container() || p.kind == Kind::kNone) {
      return Status(Code::kInvalidArgument, t_.Quoted(parent_) + " is of kind " +
                                                KindName(t_.Resolve(p).kind) +
                                                " and has no children; append below a container");
    }
    base.next_index = p.size;
    if (p.children.first != kNil) base.custom = t_.at(p.children.first).key_kind;
  }
  if (count > uint64_t{kNil} - 1 - t_.records.size()) {
    return Status(Code::kLimit, "a tree has at most 4294967294 nodes");
  }
  const size_t wanted = t_.records.size() + static_cast<size_t>(count);
  if (wanted > t_.records.capacity()) {
    t_.records.reserve(std::max(wanted + 1, t_.records.size() + t_.records.size() / 2));
  }
  if (owner_.use_count() != 0) slot_ = t_.AddOwner(std::move(owner_));
  stack_.reserve(kMaxDepth + 2);
  stack_.push_back(base);
  return Status();
}

Status Appender::KeyError(const Frame& frame, const std::string& message, Code code) {
  if (frame.id == kNil) return Status(code, "the root: " + message);
  return Status(code, "child " + std::to_string(frame.next_index) + " of " + t_.Quoted(frame.id) +
                          ": " + message);
}

Status Appender::StageText(const Key& key, Record* r) {
  std::string_view text = key.text;
  r->key_kind = key.kind;
  if (text.size() > kMaxKeyText) {
    return Status(Code::kLimit, "the key has " + std::to_string(text.size()) +
                                    " bytes, above the limit of 65535");
  }
  if (key.kind == KeyKind::kString) {
    if (!IsWtf8(text)) return Status(Code::kInvalidArgument, "the key is not UTF-8");
  } else {
    if (text.empty()) return Status(Code::kInvalidArgument, "a bigint key needs 1 or more bytes");
    text = text.substr(0, static_cast<size_t>(MinimalIntegerSize(text.data(), text.size())));
    if (FitsInt64(text, &r->key.integer)) {
      r->key_kind = KeyKind::kInt;
      return Status();
    }
  }
  r->key.text = t_.arena.Text(text);
  r->key_size = static_cast<uint16_t>(text.size());
  return Status();
}

Status Appender::StageKey(const Node& node, Frame* frame, Record* r) {
  const Key& key = node.key;
  if (frame->id == kNil) {
    if (key.kind == KeyKind::kNone) return Status();
    return KeyError(*frame, "a root has no key");
  }
  const Kind kind = t_.at(frame->id).kind;
  const bool text = key.kind == KeyKind::kString;
  bool fits = false;
  if (IsIndexed(kind)) fits = key.kind == KeyKind::kIndex || key.kind == KeyKind::kNone;
  if (kind == Kind::kDict) {
    fits = text || key.kind == KeyKind::kInt || key.kind == KeyKind::kBigInt;
  }
  if (kind == Kind::kNamedTuple || kind == Kind::kDataclass) fits = text;
  if (kind == Kind::kCustom) {
    fits = (text || key.kind == KeyKind::kIndex) &&
           (frame->custom == KeyKind::kNone || frame->custom == key.kind);
    frame->custom = key.kind;
  }
  if (!fits) {
    return KeyError(*frame, "key kind " + std::to_string(static_cast<int>(key.kind)) +
                                " does not go into a " + KindName(kind));
  }
  if (IsIndexed(kind) || key.kind == KeyKind::kIndex) {
    if (key.kind == KeyKind::kIndex && key.integer != static_cast<int64_t>(frame->next_index)) {
      return KeyError(*frame, "index " + std::to_string(key.integer) + " where " +
                                  std::to_string(frame->next_index) + " is next");
    }
    r->key_kind = KeyKind::kIndex;
    r->key.integer = static_cast<int64_t>(frame->next_index);
  } else if (key.kind == KeyKind::kInt) {
    r->key_kind = KeyKind::kInt;
    r->key.integer = key.integer;
  } else {
    Status status = StageText(key, r);
    if (!status.ok()) return KeyError(*frame, std::string(status.message()), status.code());
  }
  return Status();
}

Status Appender::StageAlias(const Node& node, Record* r) {
  const auto own = static_cast<uint32_t>(t_.records.size() - 1);
  const uint32_t target = Narrow(node.alias_of);
  if (target >= own || !t_.Live(target) || t_.at(target).is_container()) {
    return Status(Code::kInvalidArgument,
                  "alias of " +
                      (node.alias_of == kNoNode ? "no node" : std::to_string(node.alias_of)) +
                      ", which is no earlier leaf of this tree");
  }
  r->alias_of = t_.at(target).alias_of == kNil ? target : t_.at(target).alias_of;
  r->kind = t_.at(r->alias_of).kind;
  if (node.value.form != ValueForm::kAbstract) {
    return Status(Code::kInvalidArgument, "an alias has no value of its own");
  }
  return Status();
}

Status Appender::StageContainer(const Node& node, Record* r) {
  if (node.value.form != ValueForm::kAbstract) {
    return Status(Code::kInvalidArgument,
                  std::string("a ") + KindName(node.kind) + " has no value");
  }
  if (node.kind == Kind::kNone && node.child_count != 0) {
    return Status(Code::kInvalidArgument, "a none has no children");
  }
  if (node.child_count > to_come_) {
    return Status(Code::kInvalidArgument, "child count " + std::to_string(node.child_count) +
                                              " with " + std::to_string(to_come_) +
                                              " nodes to follow; give the children in preorder");
  }
  r->children = {kNil, kNil};
  return Status();
}

Status Appender::CloseFull() {
  while (stack_.back().left == 0) {
    const Frame frame = stack_.back();
    stack_.pop_back();
    if (frame.id == kNil || stack_.empty()) {
      return Status(Code::kInvalidArgument,
                    "more nodes than the root's subtree has; check the child counts");
    }
    Record& r = t_.at(frame.id);
    r.children = {frame.first, frame.last};
    r.size = frame.next_index;
    TR_RETURN_IF_ERROR(CheckUnique(frame.first, frame.next_index));
  }
  return Status();
}

Status Appender::Stage(const Node& node) {
  TR_RETURN_IF_ERROR(CloseFull());
  Frame& frame = stack_.back();
  const auto id = static_cast<uint32_t>(t_.records.size());
  t_.records.emplace_back();
  Record& r = t_.records.back();
  r.kind = node.kind;
  r.parent = frame.id;
  const uint32_t depth = frame.id == kNil ? 0 : uint32_t{t_.at(frame.id).depth} + 1;
  if (depth > t_.max_depth) {
    return KeyError(frame, "deeper than the limit of " + std::to_string(t_.max_depth),
                    Code::kLimit);
  }
  r.depth = static_cast<uint16_t>(depth);
  TR_RETURN_IF_ERROR(StageKey(node, &frame, &r));
  r.previous = frame.last;
  (frame.last == kNil ? frame.first : t_.at(frame.last).next) = id;
  frame.last = id;
  ++frame.next_index;
  --frame.left;
  if (node.attributes != last_attributes_ || node.attribute_count != last_attribute_count_) {
    Status status = CheckAttributes(node.attributes, node.attribute_count);
    if (!status.ok()) return At(id, std::move(status));
    last_set_ = t_.Intern(node.attributes, node.attribute_count);
    last_attributes_ = node.attributes;
    last_attribute_count_ = node.attribute_count;
  }
  r.attributes = last_set_;
  const auto number = static_cast<uint8_t>(node.kind);
  if (number >= 1 && number <= 7) {
    Status status = StageContainer(node, &r);
    if (!status.ok()) return At(id, std::move(status));
    Frame inner;
    inner.id = id;
    inner.left = node.child_count;
    stack_.push_back(inner);
    return Status();
  }
  Status status;
  if (node.child_count != 0) {
    status = Status(Code::kInvalidArgument, "a leaf has no children");
  } else if (node.kind == Kind::kAlias) {
    status = StageAlias(node, &r);
  } else if ((number >= 64 && number <= 71) || node.kind == Kind::kPlaceholder) {
    status = reader_.Read(node, &r, slot_ != 0);
    if (status.ok() && r.form != ValueForm::kAbstract) t_.Use(&r, slot_);
  } else {
    status = Status(Code::kInvalidArgument, "kind " + std::to_string(number) + " is not known");
  }
  return status.ok() ? std::move(status) : At(id, std::move(status));
}

Status Appender::CheckUnique(uint32_t first_child, uint64_t count) {
  if (count < 2 || t_.at(first_child).key_kind == KeyKind::kIndex) return Status();
  if (count <= 8) {
    for (uint32_t a = first_child; a != kNil; a = t_.at(a).next) {
      for (uint32_t b = first_child; b != a; b = t_.at(b).next) {
        if (t_.at(a).Name() == t_.at(b).Name()) return Twice(a);
      }
    }
    return Status();
  }
  scratch_.Clear(count);
  const uint64_t seed = t_.seed();
  for (uint32_t a = first_child; a != kNil; a = t_.at(a).next) {
    const Key key = t_.at(a).Name();
    if (!scratch_.InsertNew(a, key, HashKey(key, seed), t_.records.data())) return Twice(a);
  }
  return Status();
}

// The new children of the node that all is appended to: among each other, and with those there.
Status Appender::CheckUniqueInParent() {
  const Frame& base = stack_.front();
  if (parent_ == kNil || base.first == kNil || t_.at(base.first).key_kind == KeyKind::kIndex) {
    return Status();
  }
  TR_RETURN_IF_ERROR(CheckUnique(base.first, base.next_index - t_.at(parent_).size));
  for (uint32_t a = base.first; a != kNil; a = t_.at(a).next) {
    if (t_.Find(parent_, t_.at(a).Name()) != kNil) return Twice(a);
  }
  return Status();
}

Status Appender::Run(const Node* nodes, uint64_t count) {
  TR_RETURN_IF_ERROR(Start(count));
  for (uint64_t i = 0; i < count; ++i) {
    to_come_ = count - i - 1;
    TR_RETURN_IF_ERROR(Stage(nodes[i]));
  }
  while (stack_.size() > 1) {
    if (stack_.back().left != 0) {
      return Status(Code::kInvalidArgument, t_.Quoted(stack_.back().id) + ": the last " +
                                                std::to_string(stack_.back().left) +
                                                " of its children are not given");
    }
    const Frame frame = stack_.back();
    stack_.pop_back();
    t_.at(frame.id).children = {frame.first, frame.last};
    t_.at(frame.id).size = frame.next_index;
    TR_RETURN_IF_ERROR(CheckUnique(frame.first, frame.next_index));
  }
  TR_RETURN_IF_ERROR(CheckUniqueInParent());
  if (slot_ == 0) {
    copying_ = true;
    CopyLeafData(&t_, first_, static_cast<uint32_t>(t_.records.size()));
  }
  const auto index = t_.indexes.find(parent_);
  if (index != t_.indexes.end()) {
    index->second->Reserve(stack_.front().next_index - t_.at(parent_).size, t_.records.data(),
                           t_.seed());
  }
  Commit();
  return Status();
}

// Allocates nothing.
void Appender::Commit() {
  const Frame& base = stack_.front();
  const auto index = t_.indexes.find(parent_);
  for (uint32_t id = base.first; parent_ != kNil && id != kNil;) {
    const uint32_t next = t_.at(id).next;
    t_.at(id).next = kNil;
    t_.Link(parent_, id);
    if (index != t_.indexes.end()) index->second->Insert(id, HashKey(t_.at(id).Name(), t_.seed()));
    id = next;
  }
  if (parent_ == kNil) t_.root = first_;
  for (size_t i = first_; i < t_.records.size(); ++i) {
    const Record& r = t_.records[i];
    if (!r.is_container()) ++t_.leaves;
    if (r.alias_of != kNil) ++t_.at(r.alias_of).alias_count;
  }
  t_.live += t_.records.size() - first_;
  t_.DropIfUnused(slot_);
  done_ = true;
}

void Appender::Undo() {
  for (size_t i = first_; i < t_.records.size(); ++i) t_.Unuse(&t_.records[i]);
  t_.records.resize(first_);
  t_.DropIfUnused(slot_);
  for (uint32_t slot = 1; copying_ && slot <= t_.owners.size(); ++slot) t_.DropIfUnused(slot);
}

}  // namespace

Result<NodeId> Tree::Append(NodeId parent, const Node* nodes, uint64_t count, Owner owner) {
  if (parent != kNoNode && !impl_->Live(parent)) {
    return Status(Code::kInvalidArgument,
                  "there is no node " + std::to_string(parent) + " to append below");
  }
  Appender appender(impl_.get(), Narrow(parent), std::move(owner));
  TR_RETURN_IF_ERROR(appender.Run(nodes, count));
  return Widen(appender.first());
}

}  // namespace treering::tree

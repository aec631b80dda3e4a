// SPDX-License-Identifier: Apache-2.0
// Looking nodes up by key, typed path and display path.
//
// A display path says less than typed keys do: a bare `0` may be an int key, an index or text, so
// each component is tried as all the keys it may mean, in the order that path.h fixes. When there
// is no such node, the message names the first component that is missing and the nearest name
// beside it; at most a thousand siblings are looked at for that, so a wrong path stays cheap in a
// dict of a million keys. The index itself is in nodes.cc.
#include "tree/nodes.h"
#include "tree/path.h"

namespace treering::tree {

using base::Code;
using base::Result;
using base::Status;

namespace {

constexpr uint64_t kSiblings = 1000;

Status NotFound(const Tree::Impl& t, uint32_t parent, const std::string& display,
                const std::string& text) {
  const Record& p = t.at(parent);
  std::string message = "no '" + display + "' under " + t.Quoted(parent);
  if (!p.is_container()) {
    return Status(Code::kNotFoundPath,
                  message + ", which is a leaf of kind " + KindName(t.Resolve(p).kind));
  }
  if (p.size == 0) return Status(Code::kNotFoundPath, message + ", which has no children");
  if (t.at(p.children.first).key_kind == KeyKind::kIndex) {
    return Status(Code::kNotFoundPath,
                  message + ", a " + KindName(p.kind) + " of " + std::to_string(p.size));
  }
  std::vector<std::string> names;
  std::vector<uint32_t> ids;
  uint64_t looked = 0;
  for (uint32_t c = p.children.first; c != kNil && looked < kSiblings; c = t.at(c).next, ++looked) {
    const Key key = t.at(c).Name();
    if (key.text.size() > 1024) continue;
    names.push_back(key.kind == KeyKind::kString ? std::string(key.text) : DisplayKey(key));
    ids.push_back(c);
  }
  const int64_t nearest = Nearest(text, names);
  if (nearest >= 0) {
    return Status(Code::kNotFoundPath,
                  message + "; nearest is '" + t.Display(ids[static_cast<size_t>(nearest)]) + "'");
  }
  return Status(Code::kNotFoundPath, message + ", which has " + std::to_string(p.size) +
                                         " children, the first '" + t.Display(p.children.first) +
                                         "'");
}

}  // namespace

NodeId Tree::Child(NodeId id, const Key& key) const { return Widen(impl_->Find(Narrow(id), key)); }

Result<NodeId> Tree::Find(std::string_view display_path) const {
  TR_ASSIGN_OR_RETURN(const std::vector<Component> components, ParsePath(display_path));
  uint32_t at = impl_->root;
  if (at == kNil) return Status(Code::kNotFoundPath, "the tree is empty");
  for (const Component& component : components) {
    uint32_t child = kNil;
    for (const Key& key : Candidates(component)) {
      child = impl_->Find(at, key);
      if (child != kNil) break;
    }
    if (child == kNil) {
      const std::string shown =
          component.numeric ? component.text : DisplayKey(Key::String(component.text));
      return NotFound(*impl_, at, shown, component.text);
    }
    at = child;
  }
  return Widen(at);
}

Result<NodeId> Tree::FindKeys(const Key* keys, uint64_t count) const {
  uint32_t at = impl_->root;
  if (at == kNil) return Status(Code::kNotFoundPath, "the tree is empty");
  for (uint64_t i = 0; i < count; ++i) {
    const uint32_t child = impl_->Find(at, keys[i]);
    if (child == kNil) {
      const std::string shown = DisplayKey(keys[i]);
      const bool text = keys[i].kind == KeyKind::kString;
      return NotFound(*impl_, at, shown, text ? std::string(keys[i].text) : shown);
    }
    at = child;
  }
  return Widen(at);
}

std::vector<std::string> Tree::PathComponents(NodeId id) const {
  std::vector<std::string> components;
  for (const Key& key : impl_->Keys(Narrow(id))) components.push_back(DisplayKey(key));
  return components;
}

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// Filters: which leaves are meant.
//
// People select leaves as Flax NNX does: by the type of the variable or a base of it, by tag, by
// what the path contains, and by boolean combinations. The type chain and the tag are attributes of
// the leaf, so no host language is asked. A filter is immutable and shared; nesting is limited when
// it is made, which is why matching may recurse over it. Which filter gets a leaf that several
// accept is the business of whoever applies them.
#include "tree/filter.h"

#include <algorithm>

namespace treering::tree {

using base::Code;
using base::Result;
using base::Status;

namespace {

constexpr uint32_t kMaxNesting = 64;

bool IsPosition(const Key& key) { return key.kind == KeyKind::kIndex || key.kind == KeyKind::kInt; }

bool SamePlace(const Key& a, const Key& b) {
  return IsPosition(a) && IsPosition(b) ? a.integer == b.integer : a == b;
}

// Whether a key's display form is what was typed: a bare decimal is never a string key's.
bool Means(const Component& component, const Key& key) {
  if (component.numeric && component.fits)
    return IsPosition(key) && key.integer == component.integer;
  if (component.numeric) return key.kind == KeyKind::kBigInt && key.text == component.bigint;
  return key.kind == KeyKind::kString && key.text == component.text;
}

bool HasType(const Node& leaf, const std::string& name) {
  for (uint64_t i = 0; i < leaf.attribute_count; ++i) {
    if (leaf.attributes[i].id != kVariableType) continue;
    std::string_view chain = leaf.attributes[i].value;
    for (;;) {
      const size_t end = chain.find('\0');
      if (chain.substr(0, end) == name) return true;
      if (end == std::string_view::npos) return false;
      chain.remove_prefix(end + 1);
    }
  }
  return false;
}

bool HasTag(const Node& leaf, const std::string& tag) {
  return std::any_of(leaf.attributes, leaf.attributes + leaf.attribute_count,
                     [&tag](const Attribute& a) { return a.id == kTag && a.value == tag; });
}

bool ContainsText(const Key& key, const std::string& part) {
  if (key.kind == KeyKind::kString) return key.text.find(part) != std::string_view::npos;
  return DisplayKey(key).find(part) != std::string::npos;
}

bool MatchesGlobParts(const Glob& glob, const std::vector<Key>& path) {
  std::vector<std::string> components;
  components.reserve(path.size());
  for (const Key& key : path) components.push_back(DisplayKey(key));
  return glob.Matches(components);
}

}  // namespace

std::shared_ptr<Filter> Filter::Make(Kind kind, std::string text) {
  std::shared_ptr<Filter> filter(new Filter());
  filter->kind_ = kind;
  filter->text_ = std::move(text);
  return filter;
}

FilterPtr Filter::Everything() { return Make(Kind::kEverything, {}); }
FilterPtr Filter::Nothing() { return Make(Kind::kNothing, {}); }
FilterPtr Filter::OfType(std::string name) { return Make(Kind::kType, std::move(name)); }
FilterPtr Filter::WithTag(std::string tag) { return Make(Kind::kTag, std::move(tag)); }

FilterPtr Filter::PathContains(const Key& key) {
  const auto filter = Make(Kind::kPathContains, std::string(key.text));
  filter->key_ = {key.kind, key.integer, filter->text_};
  return filter;
}

FilterPtr Filter::PathContainsText(std::string part) {
  return Make(Kind::kPathContains, std::move(part));  // key_ stays of kind kNone
}

Result<FilterPtr> Filter::PathIn(std::string_view display_path) {
  const auto filter = Make(Kind::kPathIn, {});
  TR_ASSIGN_OR_RETURN(filter->components_, ParsePath(display_path));
  return FilterPtr(filter);
}

Result<FilterPtr> Filter::MatchesGlob(std::string_view pattern) {
  const auto filter = Make(Kind::kGlob, {});
  TR_ASSIGN_OR_RETURN(Glob glob, Glob::Compile(pattern));
  filter->glob_ = std::make_shared<const Glob>(std::move(glob));
  return FilterPtr(filter);
}

Result<FilterPtr> Filter::Nest(Kind kind, std::vector<FilterPtr> children) {
  const auto filter = Make(kind, {});
  for (const FilterPtr& child : children) {
    if (child == nullptr) return Status(Code::kInvalidArgument, "a child of the filter is null");
    filter->depth_ = std::max(filter->depth_, child->depth_ + 1);
  }
  if (filter->depth_ > kMaxNesting) {
    return Status(Code::kLimit, "filters are nested more than 64 deep");
  }
  filter->children_ = std::move(children);
  return FilterPtr(filter);
}

Result<FilterPtr> Filter::All(std::vector<FilterPtr> children) {
  return Nest(Kind::kAll, std::move(children));
}
Result<FilterPtr> Filter::Any(std::vector<FilterPtr> children) {
  return Nest(Kind::kAny, std::move(children));
}
Result<FilterPtr> Filter::Not(FilterPtr child) { return Nest(Kind::kNot, {std::move(child)}); }

FilterPtr Filter::Callback(Match match) {
  const auto filter = Make(Kind::kCallback, {});
  filter->match_ = std::move(match);
  return filter;
}

bool Filter::Matches(const std::vector<Key>& path, const Node& leaf) const {
  const auto accepts = [&](const FilterPtr& child) { return child->Matches(path, leaf); };
  switch (kind_) {
    case Kind::kEverything:
      return true;
    case Kind::kNothing:
      return false;
    case Kind::kType:
      return HasType(leaf, text_);
    case Kind::kTag:
      return HasTag(leaf, text_);
    case Kind::kPathContains:
      return std::any_of(path.begin(), path.end(), [this](const Key& key) {
        return key_.kind == KeyKind::kNone ? ContainsText(key, text_) : SamePlace(key, key_);
      });
    case Kind::kPathIn:
      return std::equal(components_.begin(), components_.end(), path.begin(), path.end(), Means);
    case Kind::kGlob:
      return MatchesGlobParts(*glob_, path);
    case Kind::kAll:
      return std::all_of(children_.begin(), children_.end(), accepts);
    case Kind::kAny:
      return std::any_of(children_.begin(), children_.end(), accepts);
    case Kind::kNot:
      return !accepts(children_[0]);
    case Kind::kCallback:
      return match_ != nullptr && match_(path, leaf);
  }
  return false;
}

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// Predicates on (path, leaf) with the semantics of Flax NNX's filters.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tree/glob.h"
#include "tree/key.h"
#include "tree/path.h"
#include "tree/tree.h"

namespace treering::tree {

class Filter;
using FilterPtr = std::shared_ptr<const Filter>;

class Filter {
 public:
  enum class Kind {
    kEverything = 1,
    kNothing,
    kType,
    kTag,
    kPathContains,
    kPathIn,
    kGlob,
    kAll,
    kAny,
    kNot,
    kCallback
  };
  using Match = std::function<bool(const std::vector<Key>& path, const Node& leaf)>;

  static FilterPtr Everything();
  static FilterPtr Nothing();
  static FilterPtr OfType(std::string name);  // the variable type or a base of it
  static FilterPtr WithTag(std::string tag);
  static FilterPtr PathContains(const Key& key);  // an index equals an int key of the same number
  static FilterPtr PathContainsText(std::string part);  // substring of a component's text
  static base::Result<FilterPtr> PathIn(std::string_view display_path);
  static base::Result<FilterPtr> MatchesGlob(std::string_view pattern);
  static base::Result<FilterPtr> All(std::vector<FilterPtr> children);
  static base::Result<FilterPtr> Any(std::vector<FilterPtr> children);
  static base::Result<FilterPtr> Not(FilterPtr child);
  static FilterPtr Callback(Match match);

  // Nesting is at most 64 deep (the constructors refuse more), so this may recurse over filters.
  bool Matches(const std::vector<Key>& path, const Node& leaf) const;
  Kind kind() const { return kind_; }

 private:
  Filter() = default;
  Kind kind_ = Kind::kNothing;
  static std::shared_ptr<Filter> Make(Kind kind, std::string text);
  static base::Result<FilterPtr> Nest(Kind kind, std::vector<FilterPtr> children);
  std::string text_;
  Key key_;  // its text is text_
  std::vector<Component> components_;
  std::shared_ptr<const Glob> glob_;
  std::vector<FilterPtr> children_;
  uint32_t depth_ = 1;
  Match match_;
};

}  // namespace treering::tree

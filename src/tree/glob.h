// SPDX-License-Identifier: Apache-2.0
// Globs over display paths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace treering::tree {

// `*` and `?` within a component, `[a-z]`, `[!a-z]`, `**` for any number of components. Quoted
// components match literally. Time is linear in pattern times path: no backtracking explosion.
class Glob {
 public:
  static base::Result<Glob> Compile(std::string_view pattern);
  // `components` are display forms (DisplayKey) from the root down.
  bool Matches(const std::vector<std::string>& components) const;

 private:
  struct Part {
    bool any_depth = false;
    bool literal = false;  // `pattern` is a display form to be equal to
    std::string pattern;
  };
  std::vector<Part> parts_;
};

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// Path globs, matched while walking down a tree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/output.h"

namespace treering::cli {

// The glob of the library: `*` within a component, `?`, sets, `**`, quoted components literal. A
// state says how much of the pattern the components up to a node have used up, so that each
// node costs one step from the state of its parent and no path is ever put together.
class Pattern {
 public:
  using State = uint64_t;

  Outcome Parse(std::string_view text);
  // Whether a path holds anything that only a glob means.
  static bool IsGlob(std::string_view path);

  State Root() const { return Closure(1); }
  // Behind one more component, given as it is displayed. 0: nothing below can match.
  State Step(State state, std::string_view component) const;
  bool Matches(State state) const { return (state >> parts_.size() & 1) != 0; }

 private:
  struct Part {
    std::string text;
    bool literal = false;
    bool any_depth = false;
  };
  State Closure(State state) const;

  std::vector<Part> parts_;
};

}  // namespace treering::cli

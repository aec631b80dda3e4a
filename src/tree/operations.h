// SPDX-License-Identifier: Apache-2.0
// Functions from trees to trees. Data are shared, never copied.
#pragma once

#include <vector>

#include "tree/filter.h"
#include "tree/report.h"
#include "tree/tree.h"

namespace treering::tree {

// Each leaf goes to the first filter that accepts it. See treering_tree_split.
base::Result<std::vector<Tree>> Split(const Tree& tree, const std::vector<FilterPtr>& filters,
                                      bool exhaustive);
base::Result<Tree> Merge(const std::vector<const Tree*>& trees);
// All or nothing: *tree is unchanged on failure.
base::Status Update(Tree* tree, const Tree& with);
base::Result<Tree> Abstract(const Tree& tree);

struct CompareOptions {
  bool values = true;
  bool attributes = true;
  bool kinds = true;
};
// Empty if they agree; `a` is what was expected, `b` what was found.
Report Compare(const Tree& a, const Tree& b, const CompareOptions& options);

}  // namespace treering::tree

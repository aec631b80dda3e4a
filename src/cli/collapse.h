// SPDX-License-Identifier: Apache-2.0
// Walks a model with repeated siblings as one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/model.h"

namespace treering::cli {

// Nodes that are shown as one: the first stands for all.
struct Group {
  std::vector<uint32_t> members;
  std::string path;   // from the root of the item: "layers/[0-31]/kernel"
  std::string label;  // its last component
  uint32_t depth = 0;
};

// Visits the kept nodes in preorder; siblings whose names differ only in a number and that agree in
// kind, dtype, shape, size, attributes, and in all that below them, are one group if `collapse` is
// set. `visit` answers whether to go below.
void WalkGroups(const Model& model, bool collapse, const std::function<bool(const Group&)>& visit);

// "0-31", "0,2,…,30", "1-3,7"; with zeros in front up to `width`.
std::string Ranges(std::vector<uint64_t> numbers, size_t width);

}  // namespace treering::cli

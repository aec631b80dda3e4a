// SPDX-License-Identifier: Apache-2.0
// From the words of the command line to nodes.
#pragma once

#include <string>
#include <vector>

#include "cli/address.h"
#include "cli/checkpoint.h"
#include "cli/model.h"
#include "cli/options.h"

namespace treering::cli {

// One item with what was chosen of it.
struct Selected {
  Item item;
  Model model;
};

// Opens the file of `word` and says which items and path are meant.
struct Target {
  Checkpoint checkpoint;
  std::vector<Item> items;
  std::string path;
  bool several = false;  // the file has several items: paths are shown with theirs
  bool boxed = false;
  std::vector<AxisRange> box;

  Outcome Open(const Options& options, bool with_box);
  // A path, ready to print: with its item where there are several.
  std::string Shown(const Item& item, const std::string& path) const;
};

// The parts of each item that the path chooses; not found if there is none.
Outcome SelectModels(const Target& target, std::vector<Selected>* out);
// The leaves that the path chooses, with their items; without loading what is beside them.
Outcome SelectLeaves(const Target& target, std::vector<std::pair<Item, uint64_t>>* out);

}  // namespace treering::cli

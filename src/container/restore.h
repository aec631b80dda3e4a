// SPDX-License-Identifier: Apache-2.0
// Restoring an item into the shape of a target tree, strictly or with relaxations asked for one by
// one.
#pragma once

#include <string>
#include <vector>

#include "container/container.h"

namespace treering::container {

struct Rename {
  std::string target;  // display paths
  std::string stored;
};

struct RestoreOptions {
  tree::Cast cast = tree::Cast::kNever;
  bool allow_missing = false;
  bool allow_unexpected = false;
  bool pad_or_truncate = false;
  bool ignore_kinds = false;
  uint32_t threads = 0;
  tree::FilterPtr filter;
  std::vector<Rename> renames;
  Progress progress;
};

// *report is filled on success and on kMismatch*. See treering_checkpoint_restore.
base::Result<tree::Tree> Restore(const Container& container, std::string_view item,
                                 const tree::Tree& target, const RestoreOptions& options,
                                 tree::Report* report);

}  // namespace treering::container

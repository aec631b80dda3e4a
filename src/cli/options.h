// SPDX-License-Identifier: Apache-2.0
// The command line: verbs, options, help.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/output.h"

namespace treering::cli {

struct Options {
  std::string verb;
  std::vector<std::string> targets;  // FILE[:[ITEM:]PATH-GLOB]; of rm the steps too
  std::string item;
  bool item_given = false;
  bool json = false;
  bool exact_bytes = false;
  bool details = false;
  bool collapse = true;
  bool full = false;
  bool raw = false;
  uint64_t depth = UINT64_MAX;
  uint32_t threads = 0;
  std::string metric;  // by which versions are ranked; empty: not given
  bool lowest = false;
  bool dry_run = false;
  uint64_t keep_latest = 0;  // of prune; 0: not given
  uint64_t keep_every = 0;
  uint64_t keep_best = 0;
  bool help = false;
  bool version = false;
};

// Reads the whole command line. Options may stand before and behind the verb; "--" ends them.
Outcome ParseOptions(int argc, char** argv, Options* out);

// The help of a verb, or of the tool.
const char* HelpText(const std::string& verb);

}  // namespace treering::cli

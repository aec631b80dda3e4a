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
  std::vector<std::string> targets;  // FILE[:[ITEM:]PATH-GLOB]
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
  bool help = false;
  bool version = false;
};

// Reads the whole command line. Options may stand before and behind the verb; "--" ends them.
Outcome ParseOptions(int argc, char** argv, Options* out);

// The help of a verb, or of the tool.
const char* HelpText(const std::string& verb);

}  // namespace treering::cli

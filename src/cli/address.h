// SPDX-License-Identifier: Apache-2.0
// FILE[:[ITEM:]PATH][BOX] and DIR@VERSION[:…]: what a word of the command line points at.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/output.h"

namespace treering::cli {

struct Address {
  std::string file;     // with a version: the manager's directory
  std::string version;  // "latest", "best" or a step; empty: `file` is a container
  std::string path;     // with the item in front, if it was given so
  bool path_given = false;
};

// The longest beginning of `word` before a colon (or all of it) that exists as a file; else the
// longest that is a directory with a version behind it; else up to the first colon.
Address ParseAddress(const std::string& word);

// The step that a version's text means: a number, TREERING_LATEST, TREERING_BEST. False: none.
bool ParseVersion(std::string_view text, int64_t* out);

// Splits "item:path" at its first colon that is neither in quotes nor behind a '['.
bool SplitItem(std::string_view path, std::string* item, std::string* rest);

// One axis of a box as written: an index, or a range with ends that may be left out.
struct AxisRange {
  bool index = false;
  bool has_begin = false;
  bool has_end = false;
  int64_t begin = 0;
  int64_t end = 0;
};

// Takes a box off the end of *path. False: there is none. A bracket that is a component of its own
// (a/[0]) belongs to the glob.
Outcome SplitBox(std::string* path, bool* found, std::vector<AxisRange>* box);

// The box within a shape, as NumPy cuts it: ranges are clamped, an index outside is an error.
struct Box {
  std::vector<uint64_t> origin;
  std::vector<uint64_t> extent;
  std::vector<bool> dropped;  // axes that an index takes away
};
Outcome Resolve(const std::vector<AxisRange>& ranges, const std::vector<uint64_t>& shape, Box* out);

}  // namespace treering::cli

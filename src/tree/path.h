// SPDX-License-Identifier: Apache-2.0
// Display paths: how typed paths are written for people, and read back (DESIGN section 4, rule 12).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tree/key.h"

namespace treering::tree {

// "layers", "0", "\"a/b\"": one key as a path component. Big ints are written in decimal.
std::string DisplayKey(const Key& key);
void AppendDisplayKey(const Key& key, std::string* out);

// A component as somebody typed it. A bare decimal that fits int64 finds an int key or an index,
// else the string key of that text; a longer one a bigint, else the string.
struct Component {
  std::string text;      // unquoted, unescaped
  bool quoted = false;   // only a string key can be meant
  bool numeric = false;  // bare and decimal ("-3" too, "007" not)
  bool fits = false;     // and `integer` holds it
  int64_t integer = 0;
  std::string bigint;  // numeric and not fits: two's complement, little-endian, minimal
};

// "" is the root: no components. kInvalidArgument says at which byte the quoting is wrong.
base::Result<std::vector<Component>> ParsePath(std::string_view path);

// The keys a component may mean, in order of preference (pointing into `component`).
std::vector<Key> Candidates(const Component& component);

// Edit distance, at most `limit` + 1: for "nearest name" in messages.
uint32_t EditDistance(std::string_view a, std::string_view b, uint32_t limit);
// The index of the nearest of `names`, or -1 if none is near (a third of the length).
int64_t Nearest(std::string_view name, const std::vector<std::string>& names);

// Control characters, quotes, backslashes, invalid UTF-8 and surrogates as JSON escapes or U+FFFD:
// safe to print.
std::string EscapeForTerminal(std::string_view text);
// The same, but quotes and backslashes stay: for display paths, which bring their own escapes.
std::string EscapeUnprintable(std::string_view text);

}  // namespace treering::tree

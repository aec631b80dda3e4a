// SPDX-License-Identifier: Apache-2.0
// The typed name of a node under its parent.
#pragma once

#include <cstdint>
#include <string_view>

namespace treering::tree {

// Numbers as in FORMAT.md 7.1 and 7.2, and in the C ABI.
enum class KeyKind : uint8_t { kNone = 0, kIndex = 1, kString = 2, kInt = 3, kBigInt = 4 };

enum class Kind : uint8_t {
  kDict = 1,
  kList = 2,
  kTuple = 3,
  kNamedTuple = 4,
  kDataclass = 5,
  kCustom = 6,
  kNone = 7,
  kArray = 64,
  kBool = 65,
  kInt = 66,
  kFloat = 67,
  kComplex = 68,
  kString = 69,
  kBytes = 70,
  kPrngKey = 71,
  kAlias = 96,        // input only: in a tree an alias shows the kind of what it names
  kPlaceholder = 97,  // restore targets only
};
inline bool IsContainer(Kind k) { return static_cast<uint8_t>(k) < 64; }
inline bool IsArrayLike(Kind k) { return k == Kind::kArray || k == Kind::kPrngKey; }
const char* KindName(Kind kind);  // "dict", "array", "PRNG key"

// `text` is borrowed: from the tree, the index of a container, or the caller.
struct Key {
  KeyKind kind = KeyKind::kNone;
  int64_t integer = 0;
  std::string_view text;

  bool operator==(const Key& o) const {
    return kind == o.kind && integer == o.integer && text == o.text;
  }
  bool operator!=(const Key& o) const { return !(*this == o); }
  static Key String(std::string_view s) { return {KeyKind::kString, 0, s}; }
  static Key Int(int64_t i) { return {KeyKind::kInt, i, {}}; }
  static Key Index(int64_t i) { return {KeyKind::kIndex, i, {}}; }
};

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic that says when it overflows. Every size that a file or a caller gives goes
// through here: multiplying by hand is how the size checks of other formats were bypassed.
#pragma once

#include <cstdint>

#include "base/planted.h"

namespace treering::base {

// Each returns false and leaves *out alone if the mathematical result does not fit.
inline bool CheckedAdd(uint64_t a, uint64_t b, uint64_t* out) {
  if (a > UINT64_MAX - b) return false;
  *out = a + b;
  return true;
}

inline bool CheckedMul(uint64_t a, uint64_t b, uint64_t* out) {
  if (a != 0 && b > UINT64_MAX / a && !Planted(24)) return false;
  *out = a * b;
  return true;
}

// True if [offset, offset + size) lies within [0, limit).
inline bool InBounds(uint64_t offset, uint64_t size, uint64_t limit) {
  return offset <= limit && size <= limit - offset;
}

// The least multiple of `alignment` (a power of two) that is >= value.
inline bool CheckedAlignUp(uint64_t value, uint64_t alignment, uint64_t* out) {
  if (!CheckedAdd(value, alignment - 1, &value)) return false;
  *out = value & ~(alignment - 1);
  return true;
}

}  // namespace treering::base

// SPDX-License-Identifier: Apache-2.0
// Elements apart into planes of bytes and together again; what a plane's bytes look like.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace treering::codec {

constexpr uint32_t kMaxPlanes = 8;

// Splits `count` elements of `width` bytes (2, 4 or 8) into `width` planes of `count` bytes each,
// which stand in `planes` one behind the other. Elements are rotated left by one bit first if
// `rotate` is set.
void SplitPlanes(const uint8_t* elements, uint64_t count, uint32_t width, bool rotate,
                 uint8_t* planes);

// The inverse: planes[i] is plane i, `count` bytes long.
void MergePlanes(const uint8_t* const* planes, uint64_t count, uint32_t width, bool rotate,
                 uint8_t* elements);

enum class PlaneKind {
  kNoise,      // nothing to gain: stored as it is
  kSkewed,     // few symbols, no order: entropy coding alone
  kDominated,  // one byte nearly everywhere: matches pay
};

// Judges a plane by a sample of its bytes; a function of the bytes alone.
PlaneKind JudgePlane(base::ByteSpan plane);

}  // namespace treering::codec

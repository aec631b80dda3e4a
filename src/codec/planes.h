// SPDX-License-Identifier: Apache-2.0
// The bytes of each element apart, and together again.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace treering::codec {

constexpr uint32_t kMaxElement = 8;
using ConstPlanes = std::array<const uint8_t*, kMaxElement>;
using Planes = std::array<uint8_t*, kMaxElement>;

// Plane i gets byte i of each of `count` little-endian elements of `width` (2, 4 or 8) bytes, which
// are rotated left by one bit before if asked: sign and exponent of a binary32 or bfloat16 then
// part at a byte's border.
void SplitPlanes(const uint8_t* src, uint64_t count, uint32_t width, bool rotate,
                 const Planes& planes);
// The inverse.
void JoinPlanes(const ConstPlanes& planes, uint64_t count, uint32_t width, bool rotate,
                uint8_t* dst);

// What a look at some of a plane's bytes says.
enum class PlaneKind {
  kNoise,     // more than 7.9 bits of entropy a byte: not worth a coder
  kUneven,    // worth an entropy coder
  kOneValue,  // one value makes up more than nine tenths: repetitions will pay as well
};
// By integers alone, so that every processor decides alike.
PlaneKind LookAtPlane(base::ByteSpan plane);

}  // namespace treering::codec

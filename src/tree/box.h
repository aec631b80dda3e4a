// SPDX-License-Identifier: Apache-2.0
// Boxes of arrays: intersection, and moving elements between differently laid out memory.
#pragma once

#include <array>
#include <cstdint>

#include "base/status.h"
#include "tree/dtype.h"

namespace treering::tree {

inline constexpr uint32_t kMaxRank = 32;
using Dims = std::array<uint64_t, kMaxRank>;

// origin[i] ... origin[i] + extent[i] - 1 on each axis.
struct Box {
  uint32_t rank = 0;
  Dims origin{};
  Dims extent{};
  // Elements in it (extents were checked when the box was made).
  uint64_t elements() const;
};

// The whole of an array. The rank is at most kMaxRank.
Box WholeBox(const uint64_t* shape, uint32_t rank);
// False if they do not meet; *out is only set if they do.
bool Intersect(const Box& a, const Box& b, Box* out);
// True if the box lies within [0, shape), without overflow.
bool Within(const Box& box, const uint64_t* shape);

// Memory that holds a box of elements.
//   kPackedBits: C order, sub-byte elements packed from bit 0 of `data`, no strides.
//   kStrided:    one or more whole bytes an element (sub-byte: one each); element (0,..,0) at
//                `data`, strides in bytes, which may be negative or zero (source only).
enum class Layout { kPackedBits, kStrided };
struct Memory {
  void* data = nullptr;
  Layout layout = Layout::kStrided;
  Box box;  // which part of the array lies there
  std::array<int64_t, kMaxRank> strides{};
};

// C-order strides in bytes for a box of that dtype. For sub-byte dtypes one byte an element.
void ContiguousStrides(Dtype dtype, const Box& box, int64_t* strides);
// Packed for sub-byte dtypes, else strided without gaps: how chunk bytes lie.
Memory Contiguous(Dtype dtype, const Box& box, void* data);
// True if `inner`'s elements are adjacent, in C order, in memory that holds `outer` contiguously;
// then *first is the element offset.
bool IsContiguousRun(const Box& outer, const Box& inner, uint64_t* first);

// Copies the elements of `part` (which lies in both boxes) from `src` to `dst`. Same dtype. Runs of
// adjacent bytes go by memcpy; sub-byte elements are packed, unpacked (int2/int4 sign-extended,
// others zero-extended) and shifted as the two layouts need; one-per-byte input keeps only its low
// bits. Never reads or writes outside the elements; in packed destinations the bits of other
// elements stay.
void CopyBox(Dtype dtype, const Memory& dst, const Memory& src, const Box& part);

}  // namespace treering::tree

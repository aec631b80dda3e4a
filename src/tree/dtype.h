// SPDX-License-Identifier: Apache-2.0
// Element types: DLPack's code and bits, and the table of those we know.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace treering::tree {

struct Dtype {
  uint8_t code = 0;
  uint8_t bits = 0;

  bool operator==(const Dtype& o) const { return code == o.code && bits == o.bits; }
  bool operator!=(const Dtype& o) const { return !(*this == o); }
  // The number of the C ABI.
  uint32_t number() const { return static_cast<uint32_t>(code) << 8 | bits; }
  static Dtype FromNumber(uint32_t n) {
    return {static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n)};
  }
};

// NULL for one that is not in the table (FORMAT.md section 8).
const char* DtypeName(Dtype dtype);
// bits 0 where there is none of that name.
Dtype DtypeByName(std::string_view name);
inline bool IsKnown(Dtype dtype) { return DtypeName(dtype) != nullptr; }

// Bits of one element where elements lie packed: 2, 4, 8, 16 … (6-bit forms count 8).
inline uint32_t StorageBits(Dtype dtype) { return dtype.bits == 6 ? 8u : dtype.bits; }
inline bool IsSubByte(Dtype dtype) { return dtype.bits == 2 || dtype.bits == 4; }
// Bytes of one element where each has at least one of its own.
inline uint32_t ElementBytes(Dtype dtype) { return dtype.bits < 8 ? 1u : dtype.bits / 8u; }
// A float of two, four or eight bytes: what rotating before a byte-plane split is for.
bool IsFloat(Dtype dtype);

// Packed bytes of an array. False on overflow (also of the product of the non-zero dimensions
// alone).
bool RawSize(Dtype dtype, const uint64_t* shape, uint32_t rank, uint64_t* out);
// Product of the dimensions; false on overflow, as above.
bool ElementCount(const uint64_t* shape, uint32_t rank, uint64_t* out);

// "float32[512,512]", "int32[]".
std::string Describe(Dtype dtype, const uint64_t* shape, uint32_t rank);

}  // namespace treering::tree

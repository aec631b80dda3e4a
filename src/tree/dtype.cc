// SPDX-License-Identifier: Apache-2.0
// The table of element types, and sizes of arrays of them.
//
// A dtype is two bytes that a file or a caller gives, so any pair may come. The table names the
// ones of FORMAT.md section 8; everything else stays a dtype without a name, of which only sizes
// are known. Sizes never wrap: the product of the non-zero dimensions is held below 2^63 even where
// a dimension is 0, so that no later product over some of the axes can overflow.
#include "tree/dtype.h"

#include "base/checked.h"

namespace treering::tree {
namespace {

struct Row {
  const char* name;
  Dtype dtype;
};

constexpr Row kTable[] = {
    {"bool", {6, 8}},
    {"int2", {0, 2}},
    {"int4", {0, 4}},
    {"int8", {0, 8}},
    {"int16", {0, 16}},
    {"int32", {0, 32}},
    {"int64", {0, 64}},
    {"uint2", {1, 2}},
    {"uint4", {1, 4}},
    {"uint8", {1, 8}},
    {"uint16", {1, 16}},
    {"uint32", {1, 32}},
    {"uint64", {1, 64}},
    {"float16", {2, 16}},
    {"float32", {2, 32}},
    {"float64", {2, 64}},
    {"bfloat16", {4, 16}},
    {"complex64", {5, 64}},
    {"complex128", {5, 128}},
    {"float8_e3m4", {7, 8}},
    {"float8_e4m3", {8, 8}},
    {"float8_e4m3b11fnuz", {9, 8}},
    {"float8_e4m3fn", {10, 8}},
    {"float8_e4m3fnuz", {11, 8}},
    {"float8_e5m2", {12, 8}},
    {"float8_e5m2fnuz", {13, 8}},
    {"float8_e8m0fnu", {14, 8}},
    {"float6_e2m3fn", {15, 6}},
    {"float6_e3m2fn", {16, 6}},
    {"float4_e2m1fn", {17, 4}},
};

constexpr uint64_t kMost = UINT64_MAX >> 1;

}  // namespace

const char* DtypeName(Dtype dtype) {
  for (const Row& row : kTable) {
    if (row.dtype == dtype) return row.name;
  }
  return nullptr;
}

Dtype DtypeByName(std::string_view name) {
  for (const Row& row : kTable) {
    if (name == row.name) return row.dtype;
  }
  return {};
}

bool IsFloat(Dtype dtype) {
  const bool wide = dtype.bits == 16 || dtype.bits == 32 || dtype.bits == 64;
  return (dtype.code == 2 && wide) || (dtype.code == 4 && dtype.bits == 16);
}

bool ElementCount(const uint64_t* shape, uint32_t rank, uint64_t* out) {
  uint64_t product = 1;
  bool empty = false;
  for (uint32_t i = 0; i < rank; ++i) {
    if (shape[i] == 0) {
      empty = true;
    } else if (!base::CheckedMul(product, shape[i], &product) || product > kMost) {
      return false;
    }
  }
  *out = empty ? 0 : product;
  return true;
}

bool RawSize(Dtype dtype, const uint64_t* shape, uint32_t rank, uint64_t* out) {
  uint64_t count = 0;
  if (!ElementCount(shape, rank, &count)) return false;
  // Eight elements are a whole number of bytes for any width.
  const uint64_t bits = StorageBits(dtype);
  uint64_t bytes = 0;
  if (!base::CheckedMul(count / 8, bits, &bytes)) return false;
  if (!base::CheckedAdd(bytes, (count % 8 * bits + 7) / 8, &bytes) || bytes > kMost) return false;
  *out = bytes;
  return true;
}

std::string Describe(Dtype dtype, const uint64_t* shape, uint32_t rank) {
  std::string text;
  if (const char* name = DtypeName(dtype)) {
    text = name;
  } else {
    text =
        "dtype(code " + std::to_string(dtype.code) + ", " + std::to_string(dtype.bits) + " bits)";
  }
  text += '[';
  for (uint32_t i = 0; i < rank; ++i) {
    if (i != 0) text += ',';
    text += std::to_string(shape[i]);
  }
  text += ']';
  return text;
}

}  // namespace treering::tree

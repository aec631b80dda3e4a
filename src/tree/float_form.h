// SPDX-License-Identifier: Apache-2.0
// The binary floating-point forms below 32 bits, described by numbers and handled by one
// arithmetic.
#pragma once

#include <cstdint>

#include "tree/dtype.h"

namespace treering::tree {

enum class Special : uint8_t {
  kIeee,    // top exponent: infinity and NaNs
  kFn,      // no infinity; all bits but the sign set: NaN
  kFnuz,    // no infinity, no negative zero; its code is the NaN
  kFinite,  // neither infinity nor NaN
  kScale,   // float8_e8m0fnu: powers of two, no sign, no zero; all bits set: NaN
};

struct FloatForm {
  uint8_t exponent_bits = 0;
  uint8_t mantissa_bits = 0;
  int16_t bias = 0;
  Special special = Special::kIeee;
};

// False for dtypes that are no float below 32 bits.
bool FloatFormOf(Dtype dtype, FloatForm* out);
// Every code of every form is a binary64 value; bits above the form's width are ignored.
double DecodeFloat(const FloatForm& form, uint32_t code);
// Rounds to nearest, ties to even. Beyond the largest: infinity, where there is none NaN, where
// there is none either the largest. NaN in a form without one: a zero. kScale: ties go up, what is
// positive and below its smallest becomes that, zero and negative numbers become NaN.
uint32_t EncodeFloat(const FloatForm& form, double value);

}  // namespace treering::tree

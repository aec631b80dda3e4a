// SPDX-License-Identifier: Apache-2.0
// Decoding and rounding of small floats.
//
// float16, bfloat16 and the forms of eight, six and four bits differ in the widths of their fields,
// the bias, and what the extreme codes mean; so five numbers and one arithmetic serve all. Binary64
// holds each of their values exactly, subnormals too, and rounding goes from binary64 in one step
// on the integers of its representation: a carry out of the mantissa runs into the exponent by
// itself. Where a form lacks a value (infinity, NaN, zero) the answer is the one of ml_dtypes, so
// that the codes agree with what Python users see. No table, no libm, no dependence on the rounding
// mode.
#include "tree/float_form.h"

#include <cstring>
#include <limits>

namespace treering::tree {
namespace {

uint64_t BitsOf(double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

double FromBits(uint64_t bits) {
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

constexpr uint64_t kMantissaMask = (uint64_t{1} << 52) - 1;

// 2^exponent for normal binary64 exponents.
double PowerOfTwo(int32_t exponent) {
  return FromBits(static_cast<uint64_t>(exponent + 1023) << 52);
}

uint32_t SignMask(const FloatForm& form) {
  return form.special == Special::kScale ? 0u : 1u << (form.exponent_bits + form.mantissa_bits);
}

// The code of the largest finite magnitude.
uint32_t LargestCode(const FloatForm& form) {
  const uint32_t all = (1u << (form.exponent_bits + form.mantissa_bits)) - 1;
  switch (form.special) {
    case Special::kIeee:
      return all - (1u << form.mantissa_bits);
    case Special::kFn:
    case Special::kScale:
      return all - 1;
    case Special::kFnuz:
    case Special::kFinite:
      break;
  }
  return all;
}

uint32_t NanCode(const FloatForm& form, uint32_t sign) {
  const uint32_t all = (1u << (form.exponent_bits + form.mantissa_bits)) - 1;
  switch (form.special) {
    case Special::kIeee:  // quiet: the top bit of the mantissa alone
      return sign | (LargestCode(form) + 1) | 1u << (form.mantissa_bits - 1);
    case Special::kFn:
      return sign | all;
    case Special::kFnuz:
      return SignMask(form);
    case Special::kFinite:
      return sign ^ SignMask(form);
    case Special::kScale:
      break;
  }
  return all;
}

uint32_t BeyondLargest(const FloatForm& form, uint32_t sign) {
  if (form.special == Special::kIeee) return sign | (LargestCode(form) + 1);
  if (form.special == Special::kFinite) return sign | LargestCode(form);
  return NanCode(form, sign);
}

uint32_t EncodeScale(const FloatForm& form, double value) {
  if (!(value > 0)) return NanCode(form, 0);
  const uint64_t bits = BitsOf(value);
  int32_t code = static_cast<int32_t>(bits >> 52) - 1023 + form.bias;
  if ((bits & kMantissaMask) >> 51 != 0) ++code;
  if (code < 0) return 0;
  return code > static_cast<int32_t>(LargestCode(form)) ? NanCode(form, 0)
                                                        : static_cast<uint32_t>(code);
}

}  // namespace

bool FloatFormOf(Dtype dtype, FloatForm* out) {
  switch (dtype.number()) {
    case 2 << 8 | 16:
      return *out = {5, 10, 15, Special::kIeee}, true;
    case 4 << 8 | 16:
      return *out = {8, 7, 127, Special::kIeee}, true;
    case 7 << 8 | 8:
      return *out = {3, 4, 3, Special::kIeee}, true;
    case 8 << 8 | 8:
      return *out = {4, 3, 7, Special::kIeee}, true;
    case 9 << 8 | 8:
      return *out = {4, 3, 11, Special::kFnuz}, true;
    case 10 << 8 | 8:
      return *out = {4, 3, 7, Special::kFn}, true;
    case 11 << 8 | 8:
      return *out = {4, 3, 8, Special::kFnuz}, true;
    case 12 << 8 | 8:
      return *out = {5, 2, 15, Special::kIeee}, true;
    case 13 << 8 | 8:
      return *out = {5, 2, 16, Special::kFnuz}, true;
    case 14 << 8 | 8:
      return *out = {8, 0, 127, Special::kScale}, true;
    case 15 << 8 | 6:
      return *out = {2, 3, 1, Special::kFinite}, true;
    case 16 << 8 | 6:
      return *out = {3, 2, 3, Special::kFinite}, true;
    case 17 << 8 | 4:
      return *out = {2, 1, 1, Special::kFinite}, true;
    default:
      return false;
  }
}

double DecodeFloat(const FloatForm& form, uint32_t code) {
  const uint32_t all = (1u << (form.exponent_bits + form.mantissa_bits)) - 1;
  const uint32_t sign = code & SignMask(form);
  const uint32_t magnitude = code & all;
  if (form.special == Special::kScale) {
    return magnitude == all ? std::numeric_limits<double>::quiet_NaN()
                            : PowerOfTwo(static_cast<int32_t>(magnitude) - form.bias);
  }
  if (form.special == Special::kFnuz && sign != 0 && magnitude == 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const uint32_t largest = LargestCode(form);
  double value = 0;
  if (magnitude > largest) {
    const bool infinity = form.special == Special::kIeee && magnitude == largest + 1;
    value = infinity ? std::numeric_limits<double>::infinity()
                     : std::numeric_limits<double>::quiet_NaN();
  } else {
    const int32_t exponent = static_cast<int32_t>(magnitude >> form.mantissa_bits);
    const uint32_t one = 1u << form.mantissa_bits;
    const uint32_t mantissa = (magnitude & (one - 1)) | (exponent != 0 ? one : 0u);
    const int32_t power = (exponent != 0 ? exponent : 1) - form.bias - form.mantissa_bits;
    value = static_cast<double>(mantissa) * PowerOfTwo(power);
  }
  return sign != 0 ? -value : value;
}

uint32_t EncodeFloat(const FloatForm& form, double value) {
  if (form.special == Special::kScale) return EncodeScale(form, value);
  const uint64_t bits = BitsOf(value);
  const uint32_t sign = bits >> 63 != 0 ? SignMask(form) : 0;
  const int32_t exponent = static_cast<int32_t>(bits >> 52 & 0x7ff);
  uint64_t mantissa = bits & kMantissaMask;
  if (exponent == 0x7ff) return mantissa != 0 ? NanCode(form, sign) : BeyondLargest(form, sign);
  uint32_t code = 0;
  const int32_t biased = exponent - 1023 + form.bias;
  int32_t shift = 52 - form.mantissa_bits + (biased < 1 ? 1 - biased : 0);
  if (exponent != 0 && shift <= 53) {  // else less than half of the smallest
    mantissa |= kMantissaMask + 1;
    const uint64_t kept = mantissa >> shift;
    const uint64_t rest = mantissa & ((uint64_t{1} << shift) - 1);
    const uint64_t half = uint64_t{1} << (shift - 1);
    const uint64_t rounded = kept + (rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0);
    if (biased > static_cast<int32_t>(1u << form.exponent_bits)) return BeyondLargest(form, sign);
    const uint32_t base = biased < 1 ? 0u : static_cast<uint32_t>(biased - 1) << form.mantissa_bits;
    code = base + static_cast<uint32_t>(rounded);
  }
  if (code > LargestCode(form)) return BeyondLargest(form, sign);
  if (code == 0 && form.special == Special::kFnuz) return 0;
  return sign | code;
}

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// Conversions: small floats code by code, one rounding everywhere, saturation, and what is safe.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "tree/cast.h"

extern "C" {
#include <cmocka.h>
}

namespace treering::tree {
namespace {

using base::Code;

constexpr Dtype kBool = {6, 8}, kInt2 = {0, 2}, kInt4 = {0, 4}, kInt8 = {0, 8}, kInt32 = {0, 32},
                kInt64 = {0, 64}, kUint4 = {1, 4}, kUint8 = {1, 8}, kUint64 = {1, 64},
                kFloat16 = {2, 16}, kFloat32 = {2, 32}, kFloat64 = {2, 64}, kBfloat16 = {4, 16},
                kComplex64 = {5, 64}, kComplex128 = {5, 128};

const char* values_path = nullptr;

// The values of a form by code, as the file has them.
struct Form {
  std::string name;
  std::vector<double> values;
};

std::vector<Form> ReadForms() {
  std::vector<Form> forms;
  std::ifstream file(values_path);
  std::string word;
  while (file >> word) {
    if (word == "#") {
      std::getline(file, word);
    } else if (word == "form") {
      forms.emplace_back();
      file >> forms.back().name >> word;
    } else {
      forms.back().values.push_back(std::strtod(word.c_str(), nullptr));
    }
  }
  return forms;
}

template <typename To, typename From>
To Convert(Dtype to, Dtype from, From value) {
  To out{};
  ConvertElements(to, &out, from, &value, 1);
  return out;
}

bool Same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

int WrongDecodings(const Form& form) {
  const Dtype dtype = DtypeByName(form.name);
  int wrong = form.values.size() == 1u << dtype.bits ? 0 : 1;
  for (size_t code = 0; code < form.values.size(); ++code) {
    const double value = Convert<double>(kFloat64, dtype, static_cast<uint8_t>(code));
    if (!Same(value, form.values[code])) ++wrong;
    const uint8_t back = Convert<uint8_t>(dtype, kFloat64, form.values[code]);
    if (!std::isnan(value) && back != code) ++wrong;
    if (std::isnan(value) && !std::isnan(form.values[back])) ++wrong;
  }
  return wrong;
}

void EveryCodeOfEverySmallFloatHasItsValueAndComesBack(void**) {
  const std::vector<Form> forms = ReadForms();
  assert_int_equal(forms.size(), 11);
  for (const Form& form : forms) assert_int_equal(WrongDecodings(form), 0);
}

// The nearest value, by looking at all; of two equally near the one with the even code. `beyond`
// is what a number that rounds above the largest becomes.
double NearestByModel(const Form& form, double x) {
  double largest = 0, second = 0, nan = 0;
  bool infinite = false, largest_is_odd = false;
  for (size_t code = 0; code < form.values.size(); ++code) {
    const double value = form.values[code];
    if (std::isnan(value)) nan = value;
    if (std::isinf(value)) infinite = true;
    if (std::isfinite(value) && value > largest) {
      second = largest;
      largest = value;
      largest_is_odd = code % 2 != 0;
    }
  }
  const double limit = largest + (largest - second) / 2;
  const double size = std::fabs(x);
  if (size > limit || (size == limit && largest_is_odd)) {
    if (infinite) return std::copysign(std::numeric_limits<double>::infinity(), x);
    return std::isnan(nan) ? nan : std::copysign(largest, x);
  }
  double best = 0, distance = std::numeric_limits<double>::infinity();
  for (size_t code = 0; code < form.values.size(); ++code) {
    const double value = form.values[code];
    if (!std::isfinite(value)) continue;
    if (value != 0 && std::signbit(value) != std::signbit(x)) continue;
    const double d = std::fabs(value - x);
    if (d < distance || (d == distance && code % 2 == 0)) {
      best = value;
      distance = d;
    }
  }
  return best == 0 ? std::copysign(0.0, x) : best;
}

int WrongRoundings(const Form& form, Dtype from, uint32_t step) {
  const Dtype dtype = DtypeByName(form.name);
  int wrong = 0;
  for (uint32_t code = 0; code < 65536; code += step) {
    const double x = Convert<double>(kFloat64, from, static_cast<uint16_t>(code));
    const uint8_t rounded = Convert<uint8_t>(dtype, from, static_cast<uint16_t>(code));
    if (std::isnan(x)) continue;
    double expected = NearestByModel(form, x);
    if (form.name.find("fnuz") != std::string::npos && expected == 0) expected = 0.0;
    const double found = rounded < form.values.size() ? form.values[rounded] : 1e300;
    if (!Same(found, expected)) ++wrong;
  }
  return wrong;
}

void EveryHalfAndBfloatRoundsToTheNearestValueOfEverySmallFloat(void**) {
  for (const Form& form : ReadForms()) {
    if (form.name == "float8_e8m0fnu") continue;
    assert_int_equal(WrongRoundings(form, kFloat16, 1), 0);
    assert_int_equal(WrongRoundings(form, kBfloat16, 7), 0);
  }
}

void PowersOfTwoRoundUpFromTheMiddleAndHaveNoZero(void**) {
  const Dtype scale = DtypeByName("float8_e8m0fnu");
  const double from[] = {1,   1.49, 1.5,  3,   5.9,      6,          0x1.8p127, 0x1.7p127,
                         0.0, -0.0, -1.0, NAN, HUGE_VAL, 0x1.7p-127, 0x1p-127,  1e-300};
  const int to[] = {127, 127, 128, 129, 129, 130, 255, 254, 255, 255, 255, 255, 255, 0, 0, 0};
  for (size_t i = 0; i < 16; ++i) {
    assert_int_equal(Convert<uint8_t>(scale, kFloat64, from[i]), to[i]);
  }
}

void NanInAFormWithoutOneIsAZero(void**) {
  for (const char* name : {"float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"}) {
    const Dtype dtype = DtypeByName(name);
    const uint8_t code = Convert<uint8_t>(dtype, kFloat64, std::nan(""));
    assert_true(Convert<double>(kFloat64, dtype, code) == 0);
  }
}

// binary16 and bfloat16 against what the standard says of their fields.
double ValueOf16(uint32_t code, int exponent_bits, int mantissa_bits) {
  const int exponent = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double mantissa = code & ((1u << mantissa_bits) - 1);
  const double sign = code >> 15 != 0 ? -1 : 1;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  if (exponent == (1 << exponent_bits) - 1) return mantissa != 0 ? NAN : sign * HUGE_VAL;
  const double one = exponent != 0 ? std::ldexp(1.0, mantissa_bits) : 0;
  const int power = (exponent != 0 ? exponent : 1) - bias - mantissa_bits;
  return sign * std::ldexp(one + mantissa, power);
}

int Wrong16(Dtype dtype, int exponent_bits, int mantissa_bits) {
  int wrong = 0;
  for (uint32_t code = 0; code < 65536; ++code) {
    const double expected = ValueOf16(code, exponent_bits, mantissa_bits);
    const uint16_t element = static_cast<uint16_t>(code);
    if (!Same(Convert<double>(kFloat64, dtype, element), expected)) ++wrong;
    const uint16_t back = Convert<uint16_t>(dtype, kFloat64, expected);
    if (std::isnan(expected) ? !std::isnan(ValueOf16(back, exponent_bits, mantissa_bits))
                             : back != code) {
      ++wrong;
    }
    // Just above, at, and just below the middle to the next code, where both are finite.
    const double next = ValueOf16(code + 1, exponent_bits, mantissa_bits);
    if (!std::isfinite(expected) || !std::isfinite(next) || (code & 0x7fff) == 0x7fff) continue;
    const double middle = expected + (next - expected) / 2;
    if (Convert<uint16_t>(dtype, kFloat64, middle) != (code + 1) / 2 * 2) ++wrong;
    if (Convert<uint16_t>(dtype, kFloat64, std::nextafter(middle, expected)) != code) ++wrong;
    if (Convert<uint16_t>(dtype, kFloat64, std::nextafter(middle, next)) != code + 1) ++wrong;
  }
  return wrong;
}

void EveryHalfAndEveryBfloatIsItsValueAndMiddlesGoToEven(void**) {
  assert_int_equal(Wrong16(kFloat16, 5, 10), 0);
  assert_int_equal(Wrong16(kBfloat16, 8, 7), 0);
}

void IntegersRoundOnceOnTheirWayToNarrowFloats(void**) {
  // Above the middle of two binary32 values by 1: binary64 alone would lose that 1.
  const int64_t above = (int64_t{1} << 62) + (int64_t{1} << 38) + 1;
  assert_true(Convert<float>(kFloat32, kInt64, above) == 0x1.000002p62f);
  assert_true(Convert<float>(kFloat32, kInt64, -above) == -0x1.000002p62f);
  assert_true(Convert<float>(kFloat32, kInt64, above - 1) == 0x1p62f);
  assert_true(Convert<float>(kFloat32, kUint64, UINT64_MAX) == 0x1p64f);
  assert_true(Convert<double>(kFloat64, kUint64, UINT64_MAX) == 0x1p64);
  const int64_t half = (int64_t{1} << 62) + (int64_t{1} << 54) + 1;
  assert_int_equal(Convert<uint16_t>(kBfloat16, kInt64, half), 0x5e81);
  assert_int_equal(Convert<uint16_t>(kBfloat16, kInt64, half - 1), 0x5e80);
  assert_true(Convert<float>(kFloat32, kInt64, INT64_MIN) == -0x1p63f);
}

void FloatsTruncateAndSaturateToIntegers(void**) {
  assert_int_equal(Convert<int32_t>(kInt32, kFloat64, 2.9), 2);
  assert_int_equal(Convert<int32_t>(kInt32, kFloat64, -2.9), -2);
  assert_int_equal(Convert<int32_t>(kInt32, kFloat64, 1e10), INT32_MAX);
  assert_int_equal(Convert<int32_t>(kInt32, kFloat64, -HUGE_VAL), INT32_MIN);
  assert_int_equal(Convert<int32_t>(kInt32, kFloat64, std::nan("")), 0);
  assert_true(Convert<int64_t>(kInt64, kFloat64, 0x1p63) == INT64_MAX);
  assert_true(Convert<int64_t>(kInt64, kFloat64, -0x1p63) == INT64_MIN);
  assert_true(Convert<uint64_t>(kUint64, kFloat64, 0x1p64) == UINT64_MAX);
  assert_true(Convert<uint64_t>(kUint64, kFloat64, 0x1.8p63) == 3ull << 62);
  assert_int_equal(Convert<uint64_t>(kUint64, kFloat64, -1.0), 0);
  assert_int_equal(Convert<uint8_t>(kUint8, kFloat32, 255.9f), 255);
}

void IntegersSaturateAndNeverWrap(void**) {
  assert_int_equal(Convert<int8_t>(kInt8, kInt32, 300), 127);
  assert_int_equal(Convert<int8_t>(kInt8, kInt32, -300), -128);
  assert_int_equal(Convert<uint8_t>(kUint8, kInt32, -1), 0);
  assert_true(Convert<int64_t>(kInt64, kUint64, UINT64_MAX) == INT64_MAX);
  assert_int_equal(Convert<int8_t>(kInt4, kInt32, 8), 7);
  assert_int_equal(Convert<int8_t>(kInt4, kInt32, -9), -8);
  assert_int_equal(Convert<int8_t>(kInt2, kInt32, 2), 1);
  assert_int_equal(Convert<uint8_t>(kUint4, kInt32, 16), 15);
}

void SubByteIntegersAreTheirLowBits(void**) {
  assert_int_equal(Convert<int32_t>(kInt32, kInt4, uint8_t{0xf8}), -8);
  assert_int_equal(Convert<int32_t>(kInt32, kInt4, uint8_t{0x08}), -8);
  assert_int_equal(Convert<int32_t>(kInt32, kInt2, uint8_t{0x03}), -1);
  assert_int_equal(Convert<int32_t>(kInt32, kUint4, uint8_t{0xff}), 15);
}

void EverythingButZeroIsTrue(void**) {
  assert_int_equal(Convert<uint8_t>(kBool, kFloat64, 0.1), 1);
  assert_int_equal(Convert<uint8_t>(kBool, kFloat64, -0.0), 0);
  assert_int_equal(Convert<uint8_t>(kBool, kFloat64, std::nan("")), 1);
  assert_int_equal(Convert<uint8_t>(kBool, kInt64, int64_t{1} << 40), 1);
  assert_int_equal(Convert<uint8_t>(kBool, kUint64, uint64_t{1} << 63), 1);
  assert_int_equal(Convert<int32_t>(kInt32, kBool, uint8_t{1}), 1);
}

void ComplexNumbersLoseTheirImaginaryPartAndGainAZero(void**) {
  const float pair[4] = {1.5f, 2.5f, 0.0f, 3.0f};
  double wide[4] = {};
  double real[2] = {};
  uint8_t truth[2] = {};
  ConvertElements(kComplex128, wide, kComplex64, pair, 2);
  ConvertElements(kFloat64, real, kComplex64, pair, 2);
  ConvertElements(kBool, truth, kComplex64, pair, 2);
  for (int i = 0; i < 4; ++i) assert_true(wide[i] == static_cast<double>(pair[i]));
  assert_true(real[0] == 1.5 && real[1] == 0);
  assert_true(truth[0] == 1 && truth[1] == 1);
  ConvertElements(kComplex128, wide, kFloat64, real, 2);
  assert_true(wide[0] == 1.5 && wide[1] == 0 && wide[2] == 0 && wide[3] == 0);
}

int WrongInLongRuns(uint64_t n) {
  std::vector<int32_t> in(n);
  for (uint64_t i = 0; i < n; ++i) in[i] = static_cast<int32_t>(i) - 500;
  std::vector<float> out(n + 1, -1.0f);
  ConvertElements(kFloat32, out.data(), kInt32, in.data(), n);
  int wrong = out[n] == -1.0f ? 0 : 1;
  for (uint64_t i = 0; i < n; ++i) {
    if (out[i] != static_cast<float>(in[i])) ++wrong;
  }
  return wrong;
}

void RunsOfAnyLengthAreConvertedWhole(void**) {
  for (const uint64_t n : {0u, 1u, 255u, 256u, 257u, 1000u}) {
    assert_int_equal(WrongInLongRuns(n), 0);
  }
}

struct SafeRow {
  const char* name;
  const char* numpy;  // numpy.can_cast to each row's dtype
};

constexpr SafeRow kNumpy[] = {
    {"bool", "11111111111111"},      {"int8", "01111000011111"},
    {"int16", "00111000001111"},     {"int32", "00011000000101"},
    {"int64", "00001000000101"},     {"uint8", "00111111111111"},
    {"uint16", "00011011101111"},    {"uint32", "00001001100101"},
    {"uint64", "00000000100101"},    {"float16", "00000000011111"},
    {"float32", "00000000001111"},   {"float64", "00000000000101"},
    {"complex64", "00000000000011"}, {"complex128", "00000000000001"},
};

// The pairs on which NumPy differs: not every such integer is a value of binary64.
bool NumpyIsLoose(Dtype from, Dtype to) {
  return (from == kInt64 || from == kUint64) && (to == kFloat64 || to == kComplex128);
}

void CastsAreSafeWhereNumpySaysSoExceptForWideIntegersToFloats(void**) {
  for (const SafeRow& row : kNumpy) {
    const Dtype from = DtypeByName(row.name);
    for (size_t i = 0; i < sizeof kNumpy / sizeof kNumpy[0]; ++i) {
      const Dtype to = DtypeByName(kNumpy[i].name);
      const bool expected = row.numpy[i] == '1' && !NumpyIsLoose(from, to);
      if (IsSafeCast(from, to) != expected) print_error("%s to %s\n", row.name, kNumpy[i].name);
      assert_int_equal(IsSafeCast(from, to), expected);
    }
  }
}

bool Safe(const char* from, const char* to) {
  return IsSafeCast(DtypeByName(from), DtypeByName(to));
}

void SmallFormsAreSafeIfEveryValueSurvives(void**) {
  assert_true(Safe("float8_e4m3fn", "bfloat16") && Safe("float8_e5m2", "float16"));
  assert_true(Safe("float4_e2m1fn", "float6_e2m3fn") && Safe("float4_e2m1fn", "float8_e4m3fn"));
  assert_true(Safe("float6_e3m2fn", "float8_e4m3fn") && Safe("float8_e8m0fnu", "bfloat16"));
  assert_true(Safe("bfloat16", "float32") && Safe("bfloat16", "complex64"));
  assert_true(Safe("int2", "int4") && Safe("uint2", "int4") && Safe("int4", "float8_e4m3fn"));
  assert_true(Safe("float8_e4m3fnuz", "float16") && Safe("bool", "int2"));
  assert_false(Safe("float8_e4m3fn", "float8_e4m3fnuz"));  // no negative zero
  assert_false(Safe("float8_e5m2", "float8_e4m3fn"));
  assert_false(Safe("float8_e8m0fnu", "float16") || Safe("bool", "float8_e8m0fnu"));
  assert_false(Safe("bfloat16", "float16") || Safe("float16", "bfloat16"));
  assert_false(Safe("int4", "uint4") || Safe("uint4", "int4") || Safe("int8", "float8_e4m3fn"));
  assert_false(Safe("float4_e2m1fn", "int8") || Safe("uint2", "bool"));
  assert_false(IsSafeCast({2, 32}, {99, 1}) || IsSafeCast({99, 1}, {99, 1}));
}

void ACastIsAllowedOnlyAsAskedFor(void**) {
  assert_true(CheckCast(kFloat32, kFloat32, Cast::kNever).ok());
  assert_int_equal(CheckCast(kFloat16, kFloat32, Cast::kNever).code(), Code::kMismatchDtype);
  assert_true(CheckCast(kFloat16, kFloat32, Cast::kSafe).ok());
  assert_int_equal(CheckCast(kFloat32, kFloat16, Cast::kSafe).code(), Code::kMismatchDtype);
  assert_true(CheckCast(kFloat32, kFloat16, Cast::kAny).ok());
  assert_int_equal(CheckCast(kFloat32, {99, 8}, Cast::kAny).code(), Code::kUnsupportedDtype);
  const std::string text(CheckCast(kFloat32, kFloat16, Cast::kSafe).message());
  assert_true(text.find("float32") != text.npos && text.find("float16") != text.npos);
}

}  // namespace
}  // namespace treering::tree

int main(int argc, char** argv) {
  using namespace treering::tree;  // NOLINT(google-build-using-namespace)
  if (argc != 2) return 1;
  values_path = argv[1];
  const CMUnitTest tests[] = {
      cmocka_unit_test(EveryCodeOfEverySmallFloatHasItsValueAndComesBack),
      cmocka_unit_test(EveryHalfAndBfloatRoundsToTheNearestValueOfEverySmallFloat),
      cmocka_unit_test(PowersOfTwoRoundUpFromTheMiddleAndHaveNoZero),
      cmocka_unit_test(NanInAFormWithoutOneIsAZero),
      cmocka_unit_test(EveryHalfAndEveryBfloatIsItsValueAndMiddlesGoToEven),
      cmocka_unit_test(IntegersRoundOnceOnTheirWayToNarrowFloats),
      cmocka_unit_test(FloatsTruncateAndSaturateToIntegers),
      cmocka_unit_test(IntegersSaturateAndNeverWrap),
      cmocka_unit_test(SubByteIntegersAreTheirLowBits),
      cmocka_unit_test(EverythingButZeroIsTrue),
      cmocka_unit_test(ComplexNumbersLoseTheirImaginaryPartAndGainAZero),
      cmocka_unit_test(RunsOfAnyLengthAreConvertedWhole),
      cmocka_unit_test(CastsAreSafeWhereNumpySaysSoExceptForWideIntegersToFloats),
      cmocka_unit_test(SmallFormsAreSafeIfEveryValueSurvives),
      cmocka_unit_test(ACastIsAllowedOnlyAsAskedFor),
  };
  return cmocka_run_group_tests_name("tree cast", tests, nullptr, nullptr);
}

// SPDX-License-Identifier: Apache-2.0
// Elements as text, exact and short.
//
// A float is written with the fewest digits that no other value of its own dtype is nearer to: 0.1
// in bfloat16 is "0.1", though the float32 of the same value needs more digits. Narrow floats come
// as float32, which holds each of them exactly; how many bits of precision the dtype has decides
// how near is near enough. In JSON a float has the digits of its exact value as a double, which is
// what readers compare with. Integers are never taken through a float.
#include "cli/elements.h"

#include <treering/treering.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace treering::cli {

namespace {

constexpr uint32_t kIntCode = 0;
constexpr uint32_t kUintCode = 1;
constexpr uint32_t kSmallFloatCode = 7;  // and all that follow it
constexpr int kMostDigits = 9;
constexpr double kWrittenOut = 1e6;  // whole numbers below are written digit by digit

uint32_t Code(uint32_t dtype) { return dtype >> 8; }
uint32_t Bits(uint32_t dtype) { return dtype & 0xff; }

bool IsNarrowFloat(uint32_t dtype) {
  return dtype == TREERING_FLOAT16 || dtype == TREERING_BFLOAT16 || Code(dtype) >= kSmallFloatCode;
}

// Bits of the significand, with the hidden one.
int Precision(uint32_t dtype) {
  switch (dtype) {
    case TREERING_FLOAT16:
      return 11;
    case TREERING_BFLOAT16:
      return 8;
    case TREERING_FLOAT8_E3M4:
      return 5;
    case TREERING_FLOAT8_E4M3:
    case TREERING_FLOAT8_E4M3B11FNUZ:
    case TREERING_FLOAT8_E4M3FN:
    case TREERING_FLOAT8_E4M3FNUZ:
    case TREERING_FLOAT6_E2M3FN:
      return 4;
    case TREERING_FLOAT8_E5M2:
    case TREERING_FLOAT8_E5M2FNUZ:
    case TREERING_FLOAT6_E3M2FN:
      return 3;
    case TREERING_FLOAT4_E2M1FN:
      return 2;
    case TREERING_FLOAT8_E8M0FNU:
      return 1;
    default:
      return 24;
  }
}

template <typename T>
T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

std::string NotFinite(double value, bool json) {
  if (std::isnan(value)) return json ? "\"NaN\"" : "nan";
  if (json) return value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  return value > 0 ? "inf" : "-inf";
}

// "1" → "1.0": a float is seen to be one.
std::string WithPoint(std::string text) {
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

template <typename T>
std::string Shortest(T value) {
  char buffer[48];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return WithPoint(std::string(buffer, end.ptr));
}

std::string NarrowText(uint32_t dtype, float value, bool json) {
  if (!std::isfinite(value)) return NotFinite(static_cast<double>(value), json);
  const double exact = static_cast<double>(value);
  if (json) return Shortest(exact);
  if (exact == 0) return std::signbit(value) ? "-0.0" : "0.0";
  if (std::fabs(exact) < kWrittenOut && exact == std::trunc(exact)) return Shortest(value);
  int exponent = 0;
  const double fraction = std::frexp(exact, &exponent);
  // Half the gap to the neighbour; below a power of two the gap is half as wide.
  double near = std::ldexp(1.0, exponent - Precision(dtype) - 1);
  if (std::fabs(fraction) == 0.5) near /= 2;
  for (int digits = 1; digits <= kMostDigits; ++digits) {
    char buffer[48];
    const std::to_chars_result end =
        std::to_chars(buffer, buffer + sizeof(buffer), exact, std::chars_format::general, digits);
    double read = 0;
    std::from_chars(buffer, end.ptr, read);
    if (std::fabs(read - exact) < near) return Shortest(read);
  }
  return Shortest(value);
}

std::string IntText(uint32_t dtype, const uint8_t* p) {
  const bool is_signed = Code(dtype) == kIntCode;
  switch (ReadSize(dtype)) {
    case 1:
      return std::to_string(is_signed ? Load<int8_t>(p) : Load<uint8_t>(p));
    case 2:
      return std::to_string(is_signed ? Load<int16_t>(p) : Load<uint16_t>(p));
    case 4:
      return is_signed ? std::to_string(Load<int32_t>(p)) : std::to_string(Load<uint32_t>(p));
    default:
      return is_signed ? std::to_string(Load<int64_t>(p)) : std::to_string(Load<uint64_t>(p));
  }
}

std::string Float32Text(float value, bool json) {
  if (!std::isfinite(value)) return NotFinite(static_cast<double>(value), json);
  return json ? Shortest(static_cast<double>(value)) : Shortest(value);
}

std::string Joined(const std::string& real, std::string imaginary, bool json) {
  if (json) return "[" + real + ", " + imaginary + "]";
  if (imaginary[0] != '-') imaginary = "+" + imaginary;
  return real + imaginary + "j";
}

}  // namespace

uint32_t ReadAs(uint32_t dtype) { return IsNarrowFloat(dtype) ? TREERING_FLOAT32 : dtype; }

uint64_t ReadSize(uint32_t dtype) {
  const uint64_t bits = Bits(ReadAs(dtype));
  return bits < 8 ? 1 : bits / 8;
}

uint64_t PackedBits(uint32_t dtype) {
  const uint64_t bits = Bits(dtype);
  return bits == 6 ? 8 : bits;
}

std::string FloatText(double value, bool json) {
  return std::isfinite(value) ? Shortest(value) : NotFinite(value, json);
}

std::string ComplexText(double real, double imaginary, bool json) {
  return Joined(FloatText(real, json), FloatText(imaginary, json), json);
}

std::string ElementText(uint32_t dtype, const uint8_t* p, bool json) {
  switch (dtype) {
    case TREERING_BOOL:
      if (json) return *p != 0 ? "true" : "false";
      return *p != 0 ? "True" : "False";
    case TREERING_FLOAT32:
      return Float32Text(Load<float>(p), json);
    case TREERING_FLOAT64:
      return FloatText(Load<double>(p), json);
    case TREERING_COMPLEX64:
      return Joined(Float32Text(Load<float>(p), json), Float32Text(Load<float>(p + 4), json), json);
    case TREERING_COMPLEX128:
      return ComplexText(Load<double>(p), Load<double>(p + 8), json);
    default:
      break;
  }
  if (Code(dtype) == kIntCode || Code(dtype) == kUintCode) return IntText(dtype, p);
  return NarrowText(dtype, Load<float>(p), json);
}

}  // namespace treering::cli

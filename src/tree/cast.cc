// SPDX-License-Identifier: Apache-2.0
// Converting elements: into one of four wide kinds, between the kinds, and out of them.
//
// Thirty dtypes make 900 pairs; a pair here is a load into binary64, int64, uint64 or complex
// binary64, a change of kind, and a store, over blocks that stay in the nearest cache. Each value
// is rounded once: loads are exact, and where an integer of more than 53 bits goes through binary64
// to a narrower float, that step rounds to odd, which makes the next rounding the right one. Which
// conversions are safe is asked of the values: forms of at most 8 bits are tried one by one. What
// is safe here is safe in NumPy; NumPy also calls int64 and uint64 to float64 safe, we do not.
#include "tree/cast.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "tree/float_form.h"

namespace treering::tree {
namespace {

using base::Code;
using base::Status;

constexpr uint64_t kBlock = 256;

enum class Kind { kSigned, kUnsigned, kReal, kComplex };

Kind KindOf(Dtype dtype) {
  if (dtype.code == 0) return Kind::kSigned;
  if (dtype.code == 1 || dtype.code == 6) return Kind::kUnsigned;
  return dtype.code == 5 ? Kind::kComplex : Kind::kReal;
}

// The elements on their way: of the kind that the functions below agree on.
struct Wide {
  int64_t sint[kBlock];
  uint64_t uint[kBlock];
  double real[kBlock];
  double imaginary[kBlock];
};

template <typename Element, typename Out>
void LoadAs(const uint8_t* src, uint64_t n, Out* out, uint64_t step = 1) {
  for (uint64_t i = 0; i < n; ++i) {
    Element element;
    std::memcpy(&element, src + i * step * sizeof element, sizeof element);
    out[i] = static_cast<Out>(element);
  }
}

template <typename Element, typename In>
void StoreAs(const In* in, uint64_t n, uint8_t* dst, uint64_t step = 1) {
  for (uint64_t i = 0; i < n; ++i) {
    const Element element = static_cast<Element>(in[i]);
    std::memcpy(dst + i * step * sizeof element, &element, sizeof element);
  }
}

// For floats: beyond the largest the C++ conversion is undefined only by the letter; IEC 60559
// defines it, and the static_assert holds the platform to it.
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559,
              "binary32 and binary64 are needed");

void LoadSigned(Dtype from, const uint8_t* src, uint64_t n, int64_t* out) {
  switch (from.bits) {
    case 8:
      return LoadAs<int8_t>(src, n, out);
    case 16:
      return LoadAs<int16_t>(src, n, out);
    case 32:
      return LoadAs<int32_t>(src, n, out);
    case 64:
      return LoadAs<int64_t>(src, n, out);
    default:
      break;
  }
  const int32_t top = 1 << (from.bits - 1);
  for (uint64_t i = 0; i < n; ++i) out[i] = ((src[i] & (2 * top - 1)) ^ top) - top;
}

void LoadUnsigned(Dtype from, const uint8_t* src, uint64_t n, uint64_t* out) {
  switch (from.bits) {
    case 8:
      LoadAs<uint8_t>(src, n, out);
      break;
    case 16:
      return LoadAs<uint16_t>(src, n, out);
    case 32:
      return LoadAs<uint32_t>(src, n, out);
    case 64:
      return LoadAs<uint64_t>(src, n, out);
    default:
      for (uint64_t i = 0; i < n; ++i) out[i] = src[i] & ((1u << from.bits) - 1);
      return;
  }
  if (from.code == 6) {
    for (uint64_t i = 0; i < n; ++i) out[i] = out[i] != 0 ? 1 : 0;
  }
}

void LoadReal(Dtype from, const uint8_t* src, uint64_t n, double* out) {
  if (from.bits == 64) return LoadAs<double>(src, n, out);
  if (from.bits == 32) return LoadAs<float>(src, n, out);
  FloatForm form;
  if (!FloatFormOf(from, &form)) return;
  uint16_t codes[kBlock];
  if (from.bits == 16) {
    LoadAs<uint16_t>(src, n, codes);
  } else {
    LoadAs<uint8_t>(src, n, codes);
  }
  for (uint64_t i = 0; i < n; ++i) out[i] = DecodeFloat(form, codes[i]);
}

void Load(Dtype from, const uint8_t* src, uint64_t n, Wide* wide) {
  switch (KindOf(from)) {
    case Kind::kSigned:
      return LoadSigned(from, src, n, wide->sint);
    case Kind::kUnsigned:
      return LoadUnsigned(from, src, n, wide->uint);
    case Kind::kReal:
      return LoadReal(from, src, n, wide->real);
    case Kind::kComplex:
      break;
  }
  if (from.bits == 64) {
    LoadAs<float>(src, n, wide->real, 2);
    LoadAs<float>(src + sizeof(float), n, wide->imaginary, 2);
  } else {
    LoadAs<double>(src, n, wide->real, 2);
    LoadAs<double>(src + sizeof(double), n, wide->imaginary, 2);
  }
}

// An integer as binary64; inexact results get an odd last bit, so that rounding them again to a
// narrower form gives what rounding the integer once would have given.
double ToOdd(uint64_t magnitude) {
  int32_t shift = 0;
  while (magnitude >> shift >> 53 != 0) ++shift;
  uint64_t kept = magnitude >> shift;
  if (kept << shift != magnitude) kept |= 1;
  return std::ldexp(static_cast<double>(kept), shift);
}

double ToReal(int64_t value, bool once_more) {
  if (!once_more || (value <= int64_t{1} << 53 && value >= -(int64_t{1} << 53))) {
    return static_cast<double>(value);
  }
  return value < 0 ? -ToOdd(uint64_t{0} - static_cast<uint64_t>(value))
                   : ToOdd(static_cast<uint64_t>(value));
}

double ToReal(uint64_t value, bool once_more) {
  if (!once_more || value <= uint64_t{1} << 53) return static_cast<double>(value);
  return ToOdd(value);
}

constexpr double kTwo63 = 9223372036854775808.0;

int64_t ToSigned(double value) {
  if (value >= kTwo63) return std::numeric_limits<int64_t>::max();
  if (value >= -kTwo63) return static_cast<int64_t>(value);
  return value < 0 ? std::numeric_limits<int64_t>::min() : 0;  // 0: NaN
}

uint64_t ToUnsigned(double value) {
  if (value >= 2 * kTwo63) return std::numeric_limits<uint64_t>::max();
  return value > 0 ? static_cast<uint64_t>(value) : 0;
}

// What `to` is stored from becomes valid: for bool an unsigned 0 or 1.
void ChangeToBool(Kind from, uint64_t n, Wide* wide) {
  for (uint64_t i = 0; i < n; ++i) {
    bool set = false;
    if (from == Kind::kSigned) set = wide->sint[i] != 0;
    if (from == Kind::kUnsigned) set = wide->uint[i] != 0;
    if (from == Kind::kReal) set = !(wide->real[i] == 0);
    if (from == Kind::kComplex) set = !(wide->real[i] == 0 && wide->imaginary[i] == 0);
    wide->uint[i] = set ? 1 : 0;
  }
}

void ChangeToInteger(Kind from, Kind to, uint64_t n, Wide* wide) {
  for (uint64_t i = 0; i < n; ++i) {
    if (from == Kind::kSigned) {
      wide->uint[i] = static_cast<uint64_t>(std::max<int64_t>(wide->sint[i], 0));
    } else if (from == Kind::kUnsigned) {
      wide->sint[i] = static_cast<int64_t>(std::min(wide->uint[i], UINT64_MAX >> 1));
    } else if (to == Kind::kSigned) {
      wide->sint[i] = ToSigned(wide->real[i]);
    } else {
      wide->uint[i] = ToUnsigned(wide->real[i]);
    }
  }
}

void Change(Kind from, Dtype dtype, uint64_t n, Wide* wide) {
  const Kind to = KindOf(dtype);
  if (dtype.code == 6) return ChangeToBool(from, n, wide);
  if (from == to) return;
  if (to == Kind::kSigned || to == Kind::kUnsigned) return ChangeToInteger(from, to, n, wide);
  const bool once_more = dtype.bits != (to == Kind::kComplex ? 128 : 64);
  for (uint64_t i = 0; i < n; ++i) {
    if (from == Kind::kSigned) wide->real[i] = ToReal(wide->sint[i], once_more);
    if (from == Kind::kUnsigned) wide->real[i] = ToReal(wide->uint[i], once_more);
    if (from != Kind::kComplex) wide->imaginary[i] = 0;
  }
}

template <typename T>
void ClampAndStore(Dtype to, T* values, uint64_t n, uint8_t* dst) {
  const bool is_signed = std::numeric_limits<T>::is_signed;
  if (to.bits < 64) {
    const T most = static_cast<T>((uint64_t{1} << (to.bits - (is_signed ? 1 : 0))) - 1);
    const T least = is_signed ? static_cast<T>(-most - 1) : T{0};
    for (uint64_t i = 0; i < n; ++i) values[i] = std::clamp(values[i], least, most);
  }
  switch (to.bits) {
    case 16:
      return StoreAs<uint16_t>(values, n, dst);
    case 32:
      return StoreAs<uint32_t>(values, n, dst);
    case 64:
      return StoreAs<uint64_t>(values, n, dst);
    default:
      return StoreAs<uint8_t>(values, n, dst);
  }
}

void StoreReal(Dtype to, const double* values, uint64_t n, uint8_t* dst) {
  if (to.bits == 64) return StoreAs<double>(values, n, dst);
  if (to.bits == 32) return StoreAs<float>(values, n, dst);
  FloatForm form;
  if (!FloatFormOf(to, &form)) return;
  uint32_t codes[kBlock];
  for (uint64_t i = 0; i < n; ++i) codes[i] = EncodeFloat(form, values[i]);
  if (to.bits == 16) {
    StoreAs<uint16_t>(codes, n, dst);
  } else {
    StoreAs<uint8_t>(codes, n, dst);
  }
}

void Store(Dtype to, Wide* wide, uint64_t n, uint8_t* dst) {
  switch (KindOf(to)) {
    case Kind::kSigned:
      return ClampAndStore(to, wide->sint, n, dst);
    case Kind::kUnsigned:
      return ClampAndStore(to, wide->uint, n, dst);
    case Kind::kReal:
      return StoreReal(to, wide->real, n, dst);
    case Kind::kComplex:
      break;
  }
  if (to.bits == 64) {
    StoreAs<float>(wide->real, n, dst, 2);
    StoreAs<float>(wide->imaginary, n, dst + sizeof(float), 2);
  } else {
    StoreAs<double>(wide->real, n, dst, 2);
    StoreAs<double>(wide->imaginary, n, dst + sizeof(double), 2);
  }
}

// Bits of magnitude that integers have, and that floats hold without rounding.
uint32_t IntegerBits(Dtype dtype) {
  if (dtype.code == 0) return dtype.bits - 1u;
  if (dtype.code == 1) return dtype.bits;
  const uint32_t part = dtype.code == 5 ? dtype.bits / 2u : dtype.bits;
  if (dtype.code == 2 || dtype.code == 5) return part == 16 ? 11 : part == 32 ? 24 : 53;
  return 0;
}

// Tries every value of a dtype of at most 8 bits.
bool EveryValueSurvives(Dtype from, Dtype to) {
  const Dtype wide = {5, 128};
  for (uint32_t code = 0; code < 1u << from.bits; ++code) {
    if (from.code == 6 && code > 1) break;
    const uint8_t element = static_cast<uint8_t>(code);
    uint8_t converted[16];
    double before[2];
    double after[2];
    ConvertElements(wide, before, from, &element, 1);
    ConvertElements(to, converted, from, &element, 1);
    ConvertElements(wide, after, to, converted, 1);
    if (std::isnan(before[0]) && std::isnan(after[0])) continue;
    if (before[0] != after[0] || std::signbit(before[0]) != std::signbit(after[0])) return false;
  }
  return true;
}

}  // namespace

bool IsSafeCast(Dtype from, Dtype to) {
  if (!IsKnown(from) || !IsKnown(to)) return false;
  if (from == to) return true;
  if (from.bits <= 8) return EveryValueSurvives(from, to);
  const Kind kind = KindOf(from);
  const Kind target = KindOf(to);
  if (kind == Kind::kSigned && target == Kind::kUnsigned) return false;
  if (kind == Kind::kSigned || kind == Kind::kUnsigned) {
    return to.code != 6 && IntegerBits(from) <= IntegerBits(to);
  }
  if (kind == Kind::kComplex) return target == Kind::kComplex && from.bits <= to.bits;
  if (to.code != 2 && to.code != 5) return false;
  const uint32_t part = target == Kind::kComplex ? to.bits / 2u : to.bits;
  return part > from.bits || (part == from.bits && from.code == 2);
}

Status CheckCast(Dtype from, Dtype to, Cast cast) {
  for (const Dtype dtype : {from, to}) {
    if (!IsKnown(dtype)) {
      return Status(Code::kUnsupportedDtype,
                    Describe(dtype, nullptr, 0) + " is not known to this version; use a newer one");
    }
  }
  if (from == to || cast == Cast::kAny) return Status();
  const std::string pair = std::string(DtypeName(from)) + " to " + DtypeName(to);
  if (cast == Cast::kNever) {
    return Status(Code::kMismatchDtype, "stored as " + std::string(DtypeName(from)) +
                                            ", wanted as " + DtypeName(to) +
                                            "; ask for a cast if that is meant");
  }
  if (IsSafeCast(from, to)) return Status();
  return Status(
      Code::kMismatchDtype,
      "casting " + pair + " does not keep every value; ask for any cast if that is meant");
}

void ConvertElements(Dtype to, void* dst, Dtype from, const void* src, uint64_t n) {
  const uint64_t from_width = ElementBytes(from);
  const uint64_t to_width = ElementBytes(to);
  if (n == 0) return;
  if (from == to) {
    std::memcpy(dst, src, static_cast<size_t>(n * from_width));
    return;
  }
  const uint8_t* in = static_cast<const uint8_t*>(src);
  uint8_t* out = static_cast<uint8_t*>(dst);
  Wide wide;
  for (uint64_t i = 0; i < n; i += kBlock) {
    const uint64_t count = std::min(kBlock, n - i);
    Load(from, in + i * from_width, count, &wide);
    Change(KindOf(from), to, count, &wide);
    Store(to, &wide, count, out + i * to_width);
  }
}

}  // namespace treering::tree

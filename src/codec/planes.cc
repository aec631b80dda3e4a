// SPDX-License-Identifier: Apache-2.0
// Splitting elements into byte planes, joining them, and judging a plane.
//
// In floating-point weights the exponent byte has about 2.6 bits of information and the mantissa
// bytes have nearly 8, so a coder should see the first and skip the others. Elements are moved
// through blocks of a fixed size in local arrays: the compiler then needs no proof that pointers
// do not overlap and makes vector code of the plain loops, at any width.
//
// Values are handled as little-endian integers made of bytes, so the planes are the same on every
// host. The judgement samples the plane and uses fixed-point logarithms for the same reason.
#include "codec/planes.h"

#include <algorithm>
#include <cstring>

namespace treering::codec {
namespace {

constexpr size_t kBlock = 64;  // elements

template <typename T>
T ToLittleEndian(T value) {
  uint8_t bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  return base::LoadLe<T>(bytes);  // its own inverse
}

template <typename T, bool kRotate>
void SplitBlock(const uint8_t* src, uint8_t (*out)[kBlock]) {
  T values[kBlock];
  std::memcpy(values, src, sizeof values);
  for (T& value : values) value = ToLittleEndian(value);
  if (kRotate) {
    for (T& value : values) value = static_cast<T>(value << 1 | value >> (sizeof(T) * 8 - 1));
  }
  for (size_t plane = 0; plane < sizeof(T); ++plane) {
    for (size_t i = 0; i < kBlock; ++i)
      out[plane][i] = static_cast<uint8_t>(values[i] >> 8 * plane);
  }
}

template <typename T, bool kRotate>
void JoinBlock(const uint8_t (*in)[kBlock], uint8_t* dst) {
  T values[kBlock] = {};
  for (size_t plane = 0; plane < sizeof(T); ++plane) {
    for (size_t i = 0; i < kBlock; ++i) {
      values[i] = static_cast<T>(values[i] | static_cast<T>(T{in[plane][i]} << 8 * plane));
    }
  }
  if (kRotate) {
    for (T& value : values) value = static_cast<T>(value >> 1 | value << (sizeof(T) * 8 - 1));
  }
  for (T& value : values) value = ToLittleEndian(value);
  std::memcpy(dst, values, sizeof values);
}

template <typename T, bool kRotate>
void Split(const uint8_t* src, uint64_t count, const Planes& planes) {
  uint8_t out[sizeof(T)][kBlock];
  uint8_t rest[sizeof(T) * kBlock] = {};
  for (uint64_t at = 0; at < count; at += kBlock) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(kBlock, count - at));
    const uint8_t* from = src + at * sizeof(T);
    if (n < kBlock) from = static_cast<const uint8_t*>(std::memcpy(rest, from, n * sizeof(T)));
    SplitBlock<T, kRotate>(from, out);
    for (size_t plane = 0; plane < sizeof(T); ++plane)
      std::memcpy(planes[plane] + at, out[plane], n);
  }
}

template <typename T, bool kRotate>
void Join(const ConstPlanes& planes, uint64_t count, uint8_t* dst) {
  uint8_t in[sizeof(T)][kBlock] = {};
  uint8_t rest[sizeof(T) * kBlock];
  for (uint64_t at = 0; at < count; at += kBlock) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(kBlock, count - at));
    for (size_t plane = 0; plane < sizeof(T); ++plane)
      std::memcpy(in[plane], planes[plane] + at, n);
    uint8_t* to = dst + at * sizeof(T);
    JoinBlock<T, kRotate>(in, n < kBlock ? rest : to);
    if (n < kBlock) std::memcpy(to, rest, n * sizeof(T));
  }
}

// log2(x) in 1/65536, for x >= 1: the bits of the fraction come from squaring one after the other.
uint64_t Log2Fixed(uint64_t x) {
  uint64_t whole = 0;
  while (x >> (whole + 1) != 0) ++whole;
  uint64_t mantissa = whole <= 31 ? x << (31 - whole) : x >> (whole - 31);  // [2^31, 2^32)
  uint64_t log = whole;
  for (int bit = 0; bit < 16; ++bit) {
    mantissa = mantissa * mantissa >> 31;
    const bool carry = mantissa >> 32 != 0;
    log = log << 1 | (carry ? 1u : 0u);
    if (carry) mantissa >>= 1;
  }
  return log;
}

}  // namespace

void SplitPlanes(const uint8_t* src, uint64_t count, uint32_t width, bool rotate,
                 const Planes& planes) {
  if (width == 2)
    return (rotate ? Split<uint16_t, true> : Split<uint16_t, false>)(src, count, planes);
  if (width == 4)
    return (rotate ? Split<uint32_t, true> : Split<uint32_t, false>)(src, count, planes);
  return (rotate ? Split<uint64_t, true> : Split<uint64_t, false>)(src, count, planes);
}

void JoinPlanes(const ConstPlanes& planes, uint64_t count, uint32_t width, bool rotate,
                uint8_t* dst) {
  if (width == 2)
    return (rotate ? Join<uint16_t, true> : Join<uint16_t, false>)(planes, count, dst);
  if (width == 4)
    return (rotate ? Join<uint32_t, true> : Join<uint32_t, false>)(planes, count, dst);
  return (rotate ? Join<uint64_t, true> : Join<uint64_t, false>)(planes, count, dst);
}

PlaneKind LookAtPlane(base::ByteSpan plane) {
  constexpr uint64_t kRuns = 16;
  constexpr uint64_t kRun = 512;
  uint32_t histogram[256] = {};
  uint64_t total = 0;
  const uint64_t step = std::max(plane.size / kRuns, kRun);
  for (uint64_t at = 0; at < plane.size; at += step) {
    const uint64_t end = std::min(plane.size, at + kRun);
    for (uint64_t i = at; i < end; ++i) ++histogram[plane.data[i]];
    total += end - at;
  }
  if (total == 0) return PlaneKind::kNoise;
  uint64_t most = 0;
  uint64_t sum = 0;  // of n * log2(n), in 1/65536
  for (const uint32_t n : histogram) {
    most = std::max<uint64_t>(most, n);
    if (n > 1) sum += n * Log2Fixed(n);
  }
  if (most * 10 > total * 9) return PlaneKind::kOneValue;
  const uint64_t information = total * Log2Fixed(total) - sum;  // bits, in 1/65536
  return information * 10 > total * 79 * 65536 ? PlaneKind::kNoise : PlaneKind::kUneven;
}

}  // namespace treering::codec

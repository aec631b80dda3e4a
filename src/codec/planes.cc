// SPDX-License-Identifier: Apache-2.0
// Splitting, merging and judging planes of bytes.
//
// The bytes of a float differ in kind: an exponent takes few values, a mantissa all of them. Put
// apart, the one compresses to a third and the other can be left alone at the price of a copy.
//
// Work goes by blocks of constant length, because gcc makes vectors of such loops at -O2 already
// and of no others; the rest at the end goes through the same code in a padded block. So there is
// one loop per width, and no processor's own instructions.
//
// Which coder a kind of plane gets is for codec.cc to say.
#include "codec/planes.h"

#include <array>
#include <cstring>

namespace treering::codec {
namespace {

using base::LoadLe;

constexpr uint64_t kBlock = 64;  // elements

void StoreLe(uint8_t* p, uint16_t v) { base::StoreLe16(p, v); }
void StoreLe(uint8_t* p, uint32_t v) { base::StoreLe32(p, v); }
void StoreLe(uint8_t* p, uint64_t v) { base::StoreLe64(p, v); }

// An integer of half the bytes. Values are halved and halved again until they are bytes, and put
// together the same way: each step is one that a vector unit has an instruction for.
template <typename T>
struct HalfOf;
template <>
struct HalfOf<uint16_t> {
  using Type = uint8_t;
};
template <>
struct HalfOf<uint32_t> {
  using Type = uint16_t;
};
template <>
struct HalfOf<uint64_t> {
  using Type = uint32_t;
};

// Plane i of the values goes to `out` + i * stride.
template <typename T>
void Part(const T* values, uint8_t* out, uint64_t stride) {
  if constexpr (sizeof(T) == 1) {
    std::memcpy(out, values, kBlock);
  } else {
    using Half = typename HalfOf<T>::Type;
    Half low[kBlock], high[kBlock];
    for (uint64_t i = 0; i < kBlock; ++i) low[i] = static_cast<Half>(values[i]);
    for (uint64_t i = 0; i < kBlock; ++i) high[i] = static_cast<Half>(values[i] >> 4 * sizeof(T));
    Part(low, out, stride);
    Part(high, out + sizeof(Half) * stride, stride);
  }
}

template <typename T, bool kRotate>
void SplitBlock(const uint8_t* in, uint8_t* out, uint64_t stride) {
  T values[kBlock];
  for (uint64_t i = 0; i < kBlock; ++i) values[i] = LoadLe<T>(in + i * sizeof(T));
  if constexpr (kRotate) {
    for (T& v : values) v = static_cast<T>(v << 1 | v >> (8 * sizeof(T) - 1));
  }
  Part(values, out, stride);
}

template <typename T, bool kRotate>
void Split(const uint8_t* elements, uint64_t count, uint8_t* planes) {
  uint64_t done = 0;
  for (; done + kBlock <= count; done += kBlock) {
    SplitBlock<T, kRotate>(elements + done * sizeof(T), planes + done, count);
  }
  if (done == count) return;
  uint8_t in[kBlock * sizeof(T)] = {};
  uint8_t out[kBlock * sizeof(T)];
  std::memcpy(in, elements + done * sizeof(T), (count - done) * sizeof(T));
  SplitBlock<T, kRotate>(in, out, kBlock);
  for (uint32_t plane = 0; plane < sizeof(T); ++plane) {
    std::memcpy(planes + plane * count + done, out + plane * kBlock, count - done);
  }
}

template <typename T>
void Join(const uint8_t* const* planes, uint64_t at, T* values) {
  if constexpr (sizeof(T) == 1) {
    std::memcpy(values, planes[0] + at, kBlock);
  } else {
    using Half = typename HalfOf<T>::Type;
    Half low[kBlock], high[kBlock];
    Join(planes, at, low);
    Join(planes + sizeof(Half), at, high);
    for (uint64_t i = 0; i < kBlock; ++i) {
      values[i] = static_cast<T>(low[i] | static_cast<T>(T{high[i]} << 4 * sizeof(T)));
    }
  }
}

template <typename T, bool kRotate>
void MergeBlock(const uint8_t* const* planes, uint64_t at, uint8_t* out) {
  T values[kBlock];
  Join(planes, at, values);
  if constexpr (kRotate) {
    for (T& v : values) v = static_cast<T>(v >> 1 | v << (8 * sizeof(T) - 1));
  }
  for (uint64_t i = 0; i < kBlock; ++i) StoreLe(out + i * sizeof(T), values[i]);
}

template <typename T, bool kRotate>
void Merge(const uint8_t* const* planes, uint64_t count, uint8_t* elements) {
  uint64_t done = 0;
  for (; done + kBlock <= count; done += kBlock) {
    MergeBlock<T, kRotate>(planes, done, elements + done * sizeof(T));
  }
  if (done == count) return;
  uint8_t in[kBlock * sizeof(T)] = {};
  uint8_t out[kBlock * sizeof(T)];
  const uint8_t* rest[sizeof(T)];
  for (uint32_t plane = 0; plane < sizeof(T); ++plane) {
    std::memcpy(in + plane * kBlock, planes[plane] + done, count - done);
    rest[plane] = in + plane * kBlock;
  }
  MergeBlock<T, kRotate>(rest, 0, out);
  std::memcpy(elements + done * sizeof(T), out, (count - done) * sizeof(T));
}

// Sampling: runs of 64 bytes, one in eight, counted in four tables so that equal neighbours do
// not wait for each other. A short plane is counted whole.
constexpr uint64_t kRun = 64;
constexpr uint64_t kRunDistance = 512;
constexpr uint64_t kCountWhole = 16384;

using Histogram = std::array<uint32_t, 256>;

uint64_t Sample(base::ByteSpan plane, Histogram* histogram) {
  std::array<Histogram, 4> counts{};
  const uint64_t distance = plane.size <= kCountWhole ? kRun : kRunDistance;
  uint64_t total = 0;
  for (uint64_t at = 0; at + kRun <= plane.size; at += distance) {
    const uint8_t* p = plane.data + at;
    for (uint64_t i = 0; i < kRun; i += 4) {
      ++counts[0][p[i]];
      ++counts[1][p[i + 1]];
      ++counts[2][p[i + 2]];
      ++counts[3][p[i + 3]];
    }
    total += kRun;
  }
  for (size_t b = 0; b < 256; ++b) {
    (*histogram)[b] = counts[0][b] + counts[1][b] + counts[2][b] + counts[3][b];
  }
  return total;
}

constexpr uint32_t kFraction = 12;                        // bits behind the point
constexpr uint32_t kNoiseBits = (79u << kFraction) / 10;  // 7.9 bits a byte

// The binary logarithm, rounded down to 12 bits behind the point. In integers, because libraries
// of floating point differ in the last bit, and the same input must give the same file everywhere.
uint32_t Log2(uint64_t value) {
  uint32_t whole = 0;
  while (value >> whole > 1) ++whole;
  uint64_t mantissa =
      whole < 31 ? value << (31 - whole) : value >> (whole - 31);  // in [1, 2) << 31
  uint32_t result = whole;
  for (uint32_t i = 0; i < kFraction; ++i) {
    mantissa = mantissa * mantissa >> 31;
    const uint32_t bit = mantissa >> 32 != 0 ? 1 : 0;
    mantissa >>= bit;
    result = result << 1 | bit;
  }
  return result;
}

}  // namespace

void SplitPlanes(const uint8_t* elements, uint64_t count, uint32_t width, bool rotate,
                 uint8_t* planes) {
  switch (width) {
    case 2:
      return rotate ? Split<uint16_t, true>(elements, count, planes)
                    : Split<uint16_t, false>(elements, count, planes);
    case 4:
      return rotate ? Split<uint32_t, true>(elements, count, planes)
                    : Split<uint32_t, false>(elements, count, planes);
    default:
      return rotate ? Split<uint64_t, true>(elements, count, planes)
                    : Split<uint64_t, false>(elements, count, planes);
  }
}

void MergePlanes(const uint8_t* const* planes, uint64_t count, uint32_t width, bool rotate,
                 uint8_t* elements) {
  switch (width) {
    case 2:
      return rotate ? Merge<uint16_t, true>(planes, count, elements)
                    : Merge<uint16_t, false>(planes, count, elements);
    case 4:
      return rotate ? Merge<uint32_t, true>(planes, count, elements)
                    : Merge<uint32_t, false>(planes, count, elements);
    default:
      return rotate ? Merge<uint64_t, true>(planes, count, elements)
                    : Merge<uint64_t, false>(planes, count, elements);
  }
}

PlaneKind JudgePlane(base::ByteSpan plane) {
  Histogram histogram{};
  const uint64_t total = Sample(plane, &histogram);
  if (total == 0) return PlaneKind::kSkewed;  // shorter than a run: the coder may try
  uint64_t bits = 0;
  uint32_t most = 0;
  const uint32_t log_total = Log2(total);
  for (const uint32_t count : histogram) {
    if (count == 0) continue;
    if (count > most) most = count;
    bits += uint64_t{count} * (log_total - Log2(count));
  }
  if (most > total / 10 * 9) return PlaneKind::kDominated;
  return bits > total * kNoiseBits ? PlaneKind::kNoise : PlaneKind::kSkewed;
}

}  // namespace treering::codec

// SPDX-License-Identifier: Apache-2.0
// What is encoded comes back, is smaller or raw, is the same whatever came before, and pays.
#include "codec/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmath>
#include <cstring>
#include <vector>

extern "C" {
#include <cmocka.h>
}

using treering::base::ByteSpan;
using treering::base::Code;
using treering::codec::Codec;
using treering::codec::CodecParams;

namespace {

using Bytes = std::vector<uint8_t>;

class Random {
 public:
  uint64_t Next() {
    x_ ^= x_ << 13;
    x_ ^= x_ >> 7;
    return x_ ^= x_ << 17;
  }
  double Gauss(double sigma) {
    const double u = (static_cast<double>(Next() >> 11) + 1) / 9007199254740993.0;
    const double v = static_cast<double>(Next() >> 11) / 9007199254740992.0;
    return sigma * std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  uint64_t x_ = 88172645463325252u;
};

// Gaussian bfloat16 (width 2) or binary32 (width 4) of deviation 0.02.
Bytes Gaussian(size_t size, uint32_t width) {
  Random random;
  Bytes bytes(size);
  for (size_t at = 0; at + width <= size; at += width) {
    const float value = static_cast<float>(random.Gauss(0.02));
    uint32_t bits = 0;
    std::memcpy(&bits, &value, 4);
    if (width == 2) {
      treering::base::StoreLe16(&bytes[at], static_cast<uint16_t>((bits + 0x8000) >> 16));
    } else {
      treering::base::StoreLe32(&bytes[at], bits);
    }
  }
  return bytes;
}

enum class Content { kZero, kText, kFloats, kNoise };

Bytes Make(Content content, size_t size) {
  if (content == Content::kFloats) return Gaussian(size, 2);
  Random random;
  Bytes bytes(size);
  for (uint8_t& b : bytes) {
    if (content == Content::kText) b = static_cast<uint8_t>('a' + random.Next() % 3);
    if (content == Content::kNoise) b = static_cast<uint8_t>(random.Next() >> 20);
  }
  return bytes;
}

// Every codec with each of its parameters.
const CodecParams kParams[] = {
    {0, 3, 1, false}, {1, 3, 1, false}, {1, -5, 1, false}, {1, 19, 1, false}, {2, 3, 2, false},
    {2, 3, 2, true},  {2, 3, 4, false}, {2, 3, 4, true},   {2, 3, 8, false},  {2, 3, 8, true},
};

// Encodes, decodes into memory with a guard byte behind, and compares.
bool RoundTrips(Codec* codec, const CodecParams& params, const Bytes& raw) {
  Bytes out{1, 2, 3};
  uint8_t used = 99;
  if (!codec->Encode(params, ByteSpan(raw), &out, &used).ok()) return false;
  if (used == treering::codec::kRaw && !out.empty()) return false;
  if (used != treering::codec::kRaw && (used != params.codec || out.size() >= raw.size())) {
    return false;
  }
  const bool as_is = used == treering::codec::kRaw;
  Bytes back(raw.size() + 1, 0xEE);
  const uint8_t param = as_is ? uint8_t{0} : treering::codec::ParamByte(params);
  const ByteSpan stored = as_is ? ByteSpan(raw) : ByteSpan(out);
  if (!codec->Decode(used, param, stored, back.data(), raw.size()).ok()) return false;
  const bool guarded = back.back() == 0xEE;
  back.pop_back();
  return guarded && back == raw;
}

bool SizesRoundTrip(Content content) {
  Codec codec;
  const Bytes longest = Make(content, 262144 + 8);
  bool ok = true;
  const auto check = [&](const CodecParams& params, size_t size) {
    const Bytes raw(longest.begin(), longest.begin() + static_cast<ptrdiff_t>(size));
    ok = ok && RoundTrips(&codec, params, raw);
  };
  for (const CodecParams& params : kParams) {
    for (size_t size = 0; size < 140; ++size) check(params, size);
    for (size_t base : {256u, 512u, 4096u, 16384u, 32768u, 65536u}) {
      for (size_t size : {base - 8, base - 1, base, base + 1, base + 8}) check(params, size);
    }
    if (params.level < 19) check(params, 131072);
    if (params.level < 19) check(params, 262144 + 8);
  }
  return ok;
}

void EverySizeOfEveryContentRoundTrips(void** /*state*/) {
  assert_true(SizesRoundTrip(Content::kZero));
  assert_true(SizesRoundTrip(Content::kText));
  assert_true(SizesRoundTrip(Content::kFloats));
  assert_true(SizesRoundTrip(Content::kNoise));
}

size_t EncodedSize(const CodecParams& params, const Bytes& raw) {
  Codec codec;
  Bytes out;
  uint8_t used = 0;
  if (!codec.Encode(params, ByteSpan(raw), &out, &used).ok()) return SIZE_MAX;
  return used == treering::codec::kRaw ? raw.size() : out.size();
}

void GaussianFloatsShrinkAsFarAsTheirExponentsAllow(void** /*state*/) {
  const size_t size = 1 << 20;
  assert_true(148 * EncodedSize({2, 3, 2, true}, Gaussian(size, 2)) <= 100 * size);
  assert_true(118 * EncodedSize({2, 3, 4, true}, Gaussian(size, 4)) <= 100 * size);
}

void ZerosShrinkToNearlyNothingWhateverTheCodec(void** /*state*/) {
  const Bytes zeros(1 << 18);
  assert_true(EncodedSize({1, 3, 1, false}, zeros) < 64);
  assert_true(EncodedSize({2, 3, 8, true}, zeros) < 512);
}

void NoiseIsAnsweredAsRaw(void** /*state*/) {
  const Bytes noise = Make(Content::kNoise, 100000);
  assert_true(EncodedSize({1, 3, 1, false}, noise) == noise.size());
  assert_true(EncodedSize({2, 3, 4, false}, noise) == noise.size());
}

// A fresh context, and one that has seen other inputs, levels and codecs, give the same bytes.
bool HistoryLeavesNoTrace() {
  Codec old;
  Bytes expected, got;
  uint8_t used = 0;
  bool same = true;
  const Content contents[] = {Content::kText, Content::kFloats, Content::kZero};
  for (size_t round = 0; round < 200; ++round) {
    const CodecParams& params = kParams[(round * 7 + round / 3) % 10];
    const Bytes raw = Make(contents[round % 3], 1000 + 8 * (round * 1237 % 9000));
    Codec fresh;
    same = same && fresh.Encode(params, ByteSpan(raw), &expected, &used).ok();
    same = same && old.Encode(params, ByteSpan(raw), &got, &used).ok();
    same = same && got == expected;
  }
  return same;
}

void TheBytesDoNotDependOnWhatCameBefore(void** /*state*/) { assert_true(HistoryLeavesNoTrace()); }

Code EncodeCode(const CodecParams& params, ByteSpan raw) {
  Codec codec;
  Bytes out;
  uint8_t used = 0;
  return codec.Encode(params, raw, &out, &used).code();
}

void ParametersThatMeanNothingAreRefused(void** /*state*/) {
  const uint8_t bytes[8] = {};
  const ByteSpan raw(bytes, 8);
  const uint8_t elements[] = {0, 1, 3, 5, 16};
  for (const uint8_t element : elements) {
    assert_true(EncodeCode({2, 3, element, false}, raw) == Code::kInvalidArgument);
  }
  assert_true(EncodeCode({3, 3, 1, false}, raw) == Code::kUnsupportedCodec);
  assert_true(EncodeCode({1, 3, 1, false}, ByteSpan(bytes, (1u << 30) + 1)) == Code::kLimit);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(EverySizeOfEveryContentRoundTrips),
      cmocka_unit_test(GaussianFloatsShrinkAsFarAsTheirExponentsAllow),
      cmocka_unit_test(ZerosShrinkToNearlyNothingWhateverTheCodec),
      cmocka_unit_test(NoiseIsAnsweredAsRaw),
      cmocka_unit_test(TheBytesDoNotDependOnWhatCameBefore),
      cmocka_unit_test(ParametersThatMeanNothingAreRefused),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

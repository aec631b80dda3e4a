// SPDX-License-Identifier: Apache-2.0
// Decoding what no encoder wrote: an answer always, memory outside never touched.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <vector>

#include "codec/codec.h"

extern "C" {
#include <cmocka.h>
}

using treering::base::ByteSpan;
using treering::base::Code;
using treering::codec::Codec;
using treering::codec::CodecParams;

namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kRaw = 512;

// Elements of four bytes: two of noise, one of few values, one of zeros.
Bytes Raw(size_t size) {
  Bytes raw(size);
  uint32_t x = 1;
  for (size_t i = 0; i < size; ++i) {
    x = x * 1664525u + 1013904223u;
    if (i % 4 < 2) raw[i] = static_cast<uint8_t>(x >> 24);
    if (i % 4 == 3) raw[i] = static_cast<uint8_t>(60 + (x >> 30) % 3);
  }
  return raw;
}

struct Stored {
  uint8_t codec = 0;
  uint8_t param = 0;
  Bytes bytes;
};

Stored Encode(const CodecParams& params, size_t size) {
  Codec codec;
  Stored stored;
  const bool ok = codec.Encode(params, ByteSpan(Raw(size)), &stored.bytes, &stored.codec).ok();
  if (!ok || stored.codec != params.codec) return Stored();
  stored.param = treering::codec::ParamByte(params);
  return stored;
}

// Copies to memory of exactly the sizes, where a sanitizer sees a byte too many.
Code Decode(Codec* codec, uint8_t id, uint8_t param, const Bytes& bytes, size_t raw_size) {
  std::unique_ptr<uint8_t[]> in(new uint8_t[bytes.size()]);
  std::unique_ptr<uint8_t[]> out(new uint8_t[raw_size]);
  for (size_t i = 0; i < bytes.size(); ++i) in[i] = bytes[i];
  return codec->Decode(id, param, ByteSpan(in.get(), bytes.size()), out.get(), raw_size).code();
}

bool IsAnswer(Code code) { return code == Code::kOk || code == Code::kCorruptStructure; }

const CodecParams kFrame{1, 3, 1, false};
const CodecParams kPlanes{2, 3, 4, false};

bool SurvivesEveryByteFlipped(const CodecParams& params) {
  Codec codec;
  Stored stored = Encode(params, kRaw);
  bool ok = !stored.bytes.empty();
  for (size_t at = 0; at < stored.bytes.size(); ++at) {
    const uint8_t was = stored.bytes[at];
    for (unsigned value = 0; value < 256; ++value) {
      stored.bytes[at] = static_cast<uint8_t>(value);
      const Code code = Decode(&codec, stored.codec, stored.param, stored.bytes, kRaw);
      ok = ok && IsAnswer(code) && (value != was || code == Code::kOk);
    }
    stored.bytes[at] = was;
  }
  return ok;
}

void EveryByteSetToEveryValueGetsAnAnswer(void** /*state*/) {
  assert_true(SurvivesEveryByteFlipped(kFrame));
  assert_true(SurvivesEveryByteFlipped(kPlanes));
}

bool RefusesEveryPrefixAndExtension(const CodecParams& params) {
  Codec codec;
  const Stored stored = Encode(params, kRaw);
  bool ok = !stored.bytes.empty();
  for (size_t size = 0; size < stored.bytes.size(); ++size) {
    const Bytes prefix(stored.bytes.begin(), stored.bytes.begin() + static_cast<ptrdiff_t>(size));
    ok = ok && Decode(&codec, stored.codec, stored.param, prefix, kRaw) == Code::kCorruptStructure;
  }
  Bytes longer = stored.bytes;
  longer.push_back(0);
  ok = ok && Decode(&codec, stored.codec, stored.param, longer, kRaw) == Code::kCorruptStructure;
  longer = stored.bytes;
  longer.insert(longer.end(), stored.bytes.begin(), stored.bytes.end());
  return ok && Decode(&codec, stored.codec, stored.param, longer, kRaw) == Code::kCorruptStructure;
}

void EveryPrefixAndEveryAdditionIsRefused(void** /*state*/) {
  assert_true(RefusesEveryPrefixAndExtension(kFrame));
  assert_true(RefusesEveryPrefixAndExtension(kPlanes));
}

bool RefusesEveryOtherSize(const CodecParams& params) {
  Codec codec;
  const Stored stored = Encode(params, kRaw);
  bool ok = !stored.bytes.empty();
  for (size_t size = 0; size < 2 * kRaw; ++size) {
    const Code code = Decode(&codec, stored.codec, stored.param, stored.bytes, size);
    ok = ok && (code == Code::kOk) == (size == kRaw) && IsAnswer(code);
  }
  return ok;
}

void ASizeThatIsALieIsRefused(void** /*state*/) {
  assert_true(RefusesEveryOtherSize(kFrame));
  assert_true(RefusesEveryOtherSize(kPlanes));
}

bool RefusesParameters() {
  Codec codec;
  const Stored frame = Encode(kFrame, kRaw);
  const Stored planes = Encode(kPlanes, kRaw);
  bool ok = !frame.bytes.empty() && !planes.bytes.empty();
  for (unsigned param = 0; param < 256; ++param) {
    const auto byte = static_cast<uint8_t>(param);
    ok = ok && (Decode(&codec, 1, byte, frame.bytes, kRaw) == Code::kOk) == (param == 0);
    ok = ok && (Decode(&codec, 0, byte, Raw(kRaw), kRaw) == Code::kOk) == (param == 0);
    const bool meant = param == 4 || param == 0x84;  // rotating back gives other bytes, no error
    ok = ok && (Decode(&codec, 2, byte, planes.bytes, kRaw) == Code::kOk) == meant;
  }
  for (unsigned id = 3; id < 256; ++id) {
    const Code code = Decode(&codec, static_cast<uint8_t>(id), 0, frame.bytes, kRaw);
    ok = ok && code == Code::kUnsupportedCodec;
  }
  return ok;
}

void ParametersAndCodecsThatAreUnknownAreRefused(void** /*state*/) {
  assert_true(RefusesParameters());
}

// Frames that zstd itself would take, and the format does not.
bool RefusesFramesThatTheFormatForbids() {
  Codec codec;
  const Bytes skippable{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
  // One raw block "abcd": single segment, content size in one byte.
  const Bytes good{0x28, 0xb5, 0x2f, 0xfd, 0x20, 4, 0x21, 0, 0, 'a', 'b', 'c', 'd'};
  // The same with a dictionary id of 7, and without content size (a window byte instead).
  const Bytes dictionary{0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 4, 0x21, 0, 0, 'a', 'b', 'c', 'd'};
  const Bytes unsized{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x21, 0, 0, 'a', 'b', 'c', 'd'};
  Bytes behind = good, before = skippable;
  behind.insert(behind.end(), skippable.begin(), skippable.end());
  before.insert(before.end(), good.begin(), good.end());
  bool ok = Decode(&codec, 1, 0, good, 4) == Code::kOk;
  for (const Bytes& bytes : {skippable, dictionary, unsized, behind, before}) {
    ok = ok && Decode(&codec, 1, 0, bytes, 4) == Code::kCorruptStructure;
  }
  return ok;
}

void FramesThatTheFormatForbidsAreRefused(void** /*state*/) {
  assert_true(RefusesFramesThatTheFormatForbids());
}

bool SurvivesNoise() {
  Codec codec;
  uint64_t x = 88172645463325252u;
  bool ok = true;
  for (unsigned round = 0; round < 20000; ++round) {
    Bytes bytes(round % 97);
    for (uint8_t& b : bytes) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      b = static_cast<uint8_t>(x >> 24);
    }
    const Bytes magic{0x28, 0xb5, 0x2f, 0xfd};
    const size_t at = round % 3 == 1 ? 0 : 16;
    for (size_t i = 0; round % 3 != 0 && i < 4 && at + i < bytes.size(); ++i) {
      bytes[at + i] = magic[i];
    }
    ok = ok && IsAnswer(Decode(&codec, 1, 0, bytes, 64));
    ok = ok && IsAnswer(Decode(&codec, 2, static_cast<uint8_t>(2 << round % 3), bytes, 64));
  }
  return ok;
}

void RandomBytesGetAnAnswer(void** /*state*/) { assert_true(SurvivesNoise()); }

void MoreThanTheLimitIsRefusedBeforeAnythingIsTouched(void** /*state*/) {
  const uint8_t bytes[16] = {};
  uint8_t out = 0;
  const uint8_t ids[] = {0, 1, 2};
  for (const uint8_t id : ids) {
    Code code = Code::kOk;
    {
      Codec codec;
      const uint8_t param = id == 2 ? 2 : 0;
      code = codec.Decode(id, param, ByteSpan(bytes, 16), &out, (uint64_t{1} << 30) + 2).code();
    }
    assert_true(code == Code::kCorruptStructure);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(EveryByteSetToEveryValueGetsAnAnswer),
      cmocka_unit_test(EveryPrefixAndEveryAdditionIsRefused),
      cmocka_unit_test(ASizeThatIsALieIsRefused),
      cmocka_unit_test(ParametersAndCodecsThatAreUnknownAreRefused),
      cmocka_unit_test(FramesThatTheFormatForbidsAreRefused),
      cmocka_unit_test(RandomBytesGetAnAnswer),
      cmocka_unit_test(MoreThanTheLimitIsRefusedBeforeAnythingIsTouched),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

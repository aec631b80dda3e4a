// SPDX-License-Identifier: Apache-2.0
// Planes: against the definition of the format, and back again.
#include "codec/planes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <vector>

extern "C" {
#include <cmocka.h>
}

using treering::base::ByteSpan;
using treering::codec::JudgePlane;
using treering::codec::PlaneKind;

namespace {

std::vector<uint8_t> Noise(size_t size) {
  std::vector<uint8_t> bytes(size);
  uint64_t x = 88172645463325252u;
  for (uint8_t& b : bytes) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    b = static_cast<uint8_t>(x >> 32);
  }
  return bytes;
}

// FORMAT.md 9.4, word for word: plane i is byte i of every element, rotated as an integer.
std::vector<uint8_t> ByDefinition(const std::vector<uint8_t>& raw, uint32_t width, bool rotate) {
  const size_t count = raw.size() / width;
  std::vector<uint8_t> planes(raw.size());
  for (size_t e = 0; e < count; ++e) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < width; ++i) value |= uint64_t{raw[e * width + i]} << 8 * i;
    if (rotate) value = value << 1 | value >> (8 * width - 1);
    for (uint32_t i = 0; i < width; ++i) {
      planes[i * count + e] = static_cast<uint8_t>(value >> 8 * i);
    }
  }
  return planes;
}

bool SplitsAndMerges(size_t count, uint32_t width, bool rotate) {
  const std::vector<uint8_t> raw = Noise(count * width);
  std::vector<uint8_t> planes(raw.size()), back(raw.size());
  treering::codec::SplitPlanes(raw.data(), count, width, rotate, planes.data());
  const uint8_t* pointers[treering::codec::kMaxPlanes] = {};
  for (uint32_t i = 0; i < width; ++i) pointers[i] = planes.data() + i * count;
  treering::codec::MergePlanes(pointers, count, width, rotate, back.data());
  return planes == ByDefinition(raw, width, rotate) && back == raw;
}

void PlanesAreThoseOfTheDefinitionAndMergeBack(void** /*state*/) {
  for (uint32_t width : {2u, 4u, 8u}) {
    for (size_t count = 0; count < 200; ++count) {
      assert_true(SplitsAndMerges(count, width, false));
      assert_true(SplitsAndMerges(count, width, true));
    }
  }
}

PlaneKind Judge(size_t size, uint32_t one_in) {
  std::vector<uint8_t> bytes = Noise(size);
  for (size_t i = 0; i < size; ++i) {
    if (one_in != 0 && (i * 2654435761u >> 8) % one_in != 0) bytes[i] = 7;
  }
  return JudgePlane(ByteSpan(bytes));
}

void PlanesAreJudgedByTheirSymbols(void** /*state*/) {
  for (size_t size : {16384u, 65536u, 524288u}) {
    assert_true(Judge(size, 0) == PlaneKind::kNoise);
    assert_true(Judge(size, 2) == PlaneKind::kSkewed);
    assert_true(Judge(size, 30) == PlaneKind::kDominated);
  }
  assert_true(JudgePlane(ByteSpan()) == PlaneKind::kSkewed);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(PlanesAreThoseOfTheDefinitionAndMergeBack),
      cmocka_unit_test(PlanesAreJudgedByTheirSymbols),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// SPDX-License-Identifier: Apache-2.0
// The table of dtypes, and sizes that never wrap.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string>

#include "tree/dtype.h"

extern "C" {
#include <cmocka.h>
}

namespace treering::tree {
namespace {

struct Row {
  const char* name;
  uint32_t number;
  uint32_t storage_bits;
  uint32_t element_bytes;
};

// As FORMAT.md section 8 has them: the numbers are promised.
constexpr Row kRows[] = {
    {"bool", 0x0608, 8, 1},           {"int2", 0x0002, 2, 1},
    {"int4", 0x0004, 4, 1},           {"int8", 0x0008, 8, 1},
    {"int16", 0x0010, 16, 2},         {"int32", 0x0020, 32, 4},
    {"int64", 0x0040, 64, 8},         {"uint2", 0x0102, 2, 1},
    {"uint4", 0x0104, 4, 1},          {"uint8", 0x0108, 8, 1},
    {"uint16", 0x0110, 16, 2},        {"uint32", 0x0120, 32, 4},
    {"uint64", 0x0140, 64, 8},        {"float16", 0x0210, 16, 2},
    {"float32", 0x0220, 32, 4},       {"float64", 0x0240, 64, 8},
    {"bfloat16", 0x0410, 16, 2},      {"complex64", 0x0540, 64, 8},
    {"complex128", 0x0580, 128, 16},  {"float8_e3m4", 0x0708, 8, 1},
    {"float8_e4m3", 0x0808, 8, 1},    {"float8_e4m3b11fnuz", 0x0908, 8, 1},
    {"float8_e4m3fn", 0x0a08, 8, 1},  {"float8_e4m3fnuz", 0x0b08, 8, 1},
    {"float8_e5m2", 0x0c08, 8, 1},    {"float8_e5m2fnuz", 0x0d08, 8, 1},
    {"float8_e8m0fnu", 0x0e08, 8, 1}, {"float6_e2m3fn", 0x0f06, 8, 1},
    {"float6_e3m2fn", 0x1006, 8, 1},  {"float4_e2m1fn", 0x1104, 4, 1},
};

void EveryDtypeHasItsNumberNameAndWidth(void**) {
  for (const Row& row : kRows) {
    const Dtype dtype = Dtype::FromNumber(row.number);
    assert_int_equal(DtypeByName(row.name).number(), row.number);
    assert_string_equal(DtypeName(dtype), row.name);
    assert_int_equal(StorageBits(dtype), row.storage_bits);
    assert_int_equal(ElementBytes(dtype), row.element_bytes);
    assert_int_equal(IsSubByte(dtype), row.storage_bits < 8);
  }
}

void NoOtherNumberAndNoOtherNameIsKnown(void**) {
  uint32_t known = 0;
  for (uint32_t number = 0; number < 65536; ++number) {
    if (IsKnown(Dtype::FromNumber(number))) ++known;
  }
  assert_int_equal(known, sizeof kRows / sizeof kRows[0]);
  for (const char* name : {"", "float", "Float32", "float32 ", "int128", "str"}) {
    assert_int_equal(DtypeByName(name).bits, 0);
  }
}

void OnlyWideFloatsAreRotated(void**) {
  uint32_t floats = 0;
  for (uint32_t number = 0; number < 65536; ++number) {
    if (IsFloat(Dtype::FromNumber(number))) ++floats;
  }
  assert_int_equal(floats, 4);
  assert_true(IsFloat({2, 16}) && IsFloat({2, 32}) && IsFloat({2, 64}) && IsFloat({4, 16}));
}

uint64_t Size(Dtype dtype, std::initializer_list<uint64_t> shape) {
  uint64_t size = 12345;
  const bool fits = RawSize(dtype, shape.begin(), static_cast<uint32_t>(shape.size()), &size);
  if (!fits && size != 12345) return UINT64_MAX - 1;  // the output was touched
  return fits ? size : UINT64_MAX;
}

void SizesRoundUpToWholeBytes(void**) {
  assert_int_equal(Size({2, 32}, {}), 4);
  assert_int_equal(Size({2, 32}, {3, 5}), 60);
  assert_int_equal(Size({0, 4}, {}), 1);
  assert_int_equal(Size({0, 4}, {3}), 2);
  assert_int_equal(Size({0, 4}, {4}), 2);
  assert_int_equal(Size({0, 2}, {4}), 1);
  assert_int_equal(Size({0, 2}, {5, 5}), 7);
  assert_int_equal(Size({15, 6}, {5}), 5);
  assert_int_equal(Size({5, 128}, {2}), 32);
  assert_int_equal(Size({6, 8}, {0, 7}), 0);
  assert_int_equal(Size({99, 24}, {3}), 9);  // a dtype without a name has a size too
}

void SizesThatDoNotFitAreRefused(void**) {
  const uint64_t most = UINT64_MAX >> 1;
  assert_int_equal(Size({0, 8}, {most}), most);
  assert_int_equal(Size({0, 8}, {most + 1}), UINT64_MAX);
  assert_int_equal(Size({0, 16}, {most}), UINT64_MAX);
  assert_int_equal(Size({0, 2}, {most}), most / 4 + 1);
  assert_int_equal(Size({0, 2}, {most, 2}), UINT64_MAX);
  assert_int_equal(Size({5, 128}, {most / 16}), most - 15);
  assert_int_equal(Size({5, 128}, {most / 16 + 1}), UINT64_MAX);
  assert_int_equal(Size({0, 8}, {1u << 31, 1u << 31, 2}), UINT64_MAX);
  assert_int_equal(Size({0, 8}, {1u << 31, 1u << 31, 4}), UINT64_MAX);
  assert_int_equal(Size({0, 8}, {UINT64_MAX, UINT64_MAX}), UINT64_MAX);
}

void AZeroDimensionHidesNoOverflow(void**) {
  assert_int_equal(Size({0, 8}, {0, UINT64_MAX}), UINT64_MAX);
  assert_int_equal(Size({0, 8}, {UINT64_MAX >> 1, 0, 2}), UINT64_MAX);
  assert_int_equal(Size({0, 8}, {UINT64_MAX >> 1, 0, 1}), 0);
}

void DescriptionsNameDtypeAndShape(void**) {
  const uint64_t shape[] = {512, 1, 0};
  assert_string_equal(Describe({2, 32}, shape, 3).c_str(), "float32[512,1,0]");
  assert_string_equal(Describe({0, 32}, nullptr, 0).c_str(), "int32[]");
  assert_string_equal(Describe({77, 9}, shape, 1).c_str(), "dtype(code 77, 9 bits)[512]");
}

}  // namespace
}  // namespace treering::tree

int main() {
  using namespace treering::tree;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(EveryDtypeHasItsNumberNameAndWidth),
      cmocka_unit_test(NoOtherNumberAndNoOtherNameIsKnown),
      cmocka_unit_test(OnlyWideFloatsAreRotated),
      cmocka_unit_test(SizesRoundUpToWholeBytes),
      cmocka_unit_test(SizesThatDoNotFitAreRefused),
      cmocka_unit_test(AZeroDimensionHidesNoOverflow),
      cmocka_unit_test(DescriptionsNameDtypeAndShape),
  };
  return cmocka_run_group_tests_name("tree dtype", tests, nullptr, nullptr);
}

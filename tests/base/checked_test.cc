// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic at the borders of 64 bits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checked.h"

extern "C" {
#include <cmocka.h>
}

namespace base = treering::base;

namespace {

void AddSaysWhenItOverflows(void**) {
  uint64_t out = 7;
  assert_true(base::CheckedAdd(UINT64_MAX - 1, 1, &out));
  assert_true(out == UINT64_MAX);
  assert_false(base::CheckedAdd(UINT64_MAX, 1, &out));
  assert_false(base::CheckedAdd(1, UINT64_MAX, &out));
  assert_true(out == UINT64_MAX);
}

void MulSaysWhenItOverflows(void**) {
  uint64_t out = 7;
  assert_true(base::CheckedMul(0, UINT64_MAX, &out));
  assert_true(out == 0);
  assert_true(base::CheckedMul(UINT64_C(0xffffffff), UINT64_C(0x100000001), &out));
  assert_true(out == UINT64_MAX);
  assert_false(base::CheckedMul(UINT64_C(0x100000000), UINT64_C(0x100000000), &out));
  assert_false(base::CheckedMul(UINT64_MAX, 2, &out));
  assert_true(out == UINT64_MAX);
}

void BoundsHoldWhereTheSumWouldWrap(void**) {
  assert_true(base::InBounds(0, 0, 0));
  assert_true(base::InBounds(10, 0, 10));
  assert_true(base::InBounds(3, 7, 10));
  assert_false(base::InBounds(3, 8, 10));
  assert_false(base::InBounds(11, 0, 10));
  assert_false(base::InBounds(UINT64_MAX, 2, 10));
  assert_false(base::InBounds(2, UINT64_MAX, 10));
  assert_true(base::InBounds(0, UINT64_MAX, UINT64_MAX));
}

void AlignUpGivesTheNextMultipleOrFails(void**) {
  uint64_t out = 7;
  assert_true(base::CheckedAlignUp(0, 64, &out));
  assert_true(out == 0);
  assert_true(base::CheckedAlignUp(65, 64, &out));
  assert_true(out == 128);
  assert_true(base::CheckedAlignUp(UINT64_MAX - 63, 64, &out));
  assert_true(out == UINT64_MAX - 63);
  assert_false(base::CheckedAlignUp(UINT64_MAX - 62, 64, &out));
  assert_true(out == UINT64_MAX - 63);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AddSaysWhenItOverflows),
      cmocka_unit_test(MulSaysWhenItOverflows),
      cmocka_unit_test(BoundsHoldWhereTheSumWouldWrap),
      cmocka_unit_test(AlignUpGivesTheNextMultipleOrFails),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

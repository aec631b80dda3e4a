// SPDX-License-Identifier: Apache-2.0
// Status and Result carry what failed through copies, moves and the two macros.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string>

#include "base/status.h"

extern "C" {
#include <cmocka.h>
}

using treering::base::Code;
using treering::base::Result;
using treering::base::Status;

namespace {

Status Half(int n, int* out) {
  if (n % 2 != 0) return Status(Code::kInvalidArgument, "odd", 5, 9);
  *out = n / 2;
  return Status();
}

Result<int> HalfOf(int n) {
  int half = 0;
  TR_RETURN_IF_ERROR(Half(n, &half));
  return half;
}

Result<std::string> QuarterText(int n) {
  TR_ASSIGN_OR_RETURN(const int half, HalfOf(n));
  TR_ASSIGN_OR_RETURN(const int quarter, HalfOf(half));
  return std::to_string(quarter);
}

void AnOkStatusHasNoDetail(void**) {
  const Status ok;
  assert_true(ok.ok());
  assert_true(ok.code() == Code::kOk);
  assert_int_equal(ok.os_error(), 0);
  assert_true(ok.offset() == Status::kNoOffset);
  assert_int_equal(ok.message().size(), 0);
  assert_int_equal(sizeof(Status), sizeof(void*));
}

void ACopyKeepsEverythingAndStandsAlone(void**) {
  Status first(Code::kIoNoSpace, "full", 28, 4096);
  Status copy(first);
  first = Status();
  const bool kept = copy.code() == Code::kIoNoSpace && copy.os_error() == 28 &&
                    copy.offset() == 4096 && copy.message() == "full";
  const Status& alias = copy;
  copy = alias;
  const bool after_self = copy.message() == "full";
  const bool emptied = first.ok();
  copy = Status();
  assert_true(kept);
  assert_true(after_self);
  assert_true(emptied);
  assert_int_equal(treering::base::ClassOf(Code::kIoNoSpace), 80);
}

void ContextGoesInFrontAndOnlyOnFailures(void**) {
  const bool failed = Status(Code::kIo, "b").WithContext("a").message() == "a: b";
  const bool ok = Status().WithContext("a").ok();
  assert_true(failed);
  assert_true(ok);
}

void TheMacrosPassValuesAndFailuresOn(void**) {
  const bool value = QuarterText(12).value() == "3";
  const Result<std::string> failed = QuarterText(6);
  const bool same = !failed.ok() && failed.status().os_error() == 5 &&
                    failed.status().offset() == 9 && failed.status().message() == "odd";
  assert_true(value);
  assert_true(same);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AnOkStatusHasNoDetail),
      cmocka_unit_test(ACopyKeepsEverythingAndStandsAlone),
      cmocka_unit_test(ContextGoesInFrontAndOnlyOnFailures),
      cmocka_unit_test(TheMacrosPassValuesAndFailuresOn),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

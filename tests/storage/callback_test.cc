// SPDX-License-Identifier: Apache-2.0
// Files in memory and behind the caller's functions.
#include "storage/callback.h"

#include <cerrno>
#include <cstring>

#include "scratch.h"
#include "storage/memory.h"

namespace {

using namespace scratch;
using treering::storage::BorrowedRegion;
using treering::storage::OpenCallback;
using treering::storage::OpenRegion;
using treering::storage::OwnedRegion;
using treering::storage::Region;
using treering::storage::WriteToCallback;
using treering::storage::WriteToVector;

void Check(Outcome outcome, Code code, int os_error) {
  assert_int_equal(outcome.code, static_cast<int>(code));
  assert_int_equal(outcome.os_error, os_error);
  assert_true(outcome.tells);
}

void MemoryIsReadWithinItsBounds(void**) {
  Outcome inside, end, beyond, wrapping;
  bool equal = false;
  [&] {
    const auto file = OpenRegion(BorrowedRegion(ByteSpan("0123456789")), "blob");
    char back[4] = "";
    inside = Of(file->ReadAt(4, back, 3));
    equal = std::strcmp(back, "456") == 0 && file->size() == 10 && file->name() == "blob";
    end = Of(file->ReadAt(10, nullptr, 0));
    beyond = Of(file->ReadAt(8, back, 3), "blob");
    wrapping = Of(file->ReadAt(UINT64_MAX, back, 3), "blob");
  }();
  Check(inside, Code::kOk, 0);
  assert_true(equal);
  Check(end, Code::kOk, 0);
  Check(beyond, Code::kCorruptTruncated, 0);
  assert_int_equal(beyond.offset, 10);
  Check(wrapping, Code::kCorruptTruncated, 0);
}

void AnOwnedRegionOutlivesItsFileAndIsNotCopied(void**) {
  bool same = false;
  [&] {
    std::vector<uint8_t> bytes = Pattern(1000);
    const uint8_t* const address = bytes.data();
    auto file = OpenRegion(OwnedRegion(std::move(bytes)), "blob");
    auto mapped = file->Map();
    file.reset();
    if (!mapped.ok()) return;
    const ByteSpan view = mapped.value()->bytes();
    same = view.data == address && view.text() == ByteSpan(Pattern(1000)).text();
  }();
  assert_true(same);
}

void WritingToAVectorAppends(void**) {
  bool equal = false;
  [&] {
    std::vector<uint8_t> out = {'>'};
    const auto file = WriteToVector(&out);
    const bool written = file->Append(ByteSpan("one")).ok() && file->Append(ByteSpan()).ok() &&
                         file->Append(ByteSpan("two")).ok() && file->Sync().ok();
    equal = written && file->Close().ok() && ByteSpan(out).text() == ">onetwo";
  }();
  assert_true(equal);
}

void AReadCallbackSeesOnlyRangesWithinTheSize(void**) {
  Outcome inside, none, beyond, view;
  int calls = 0;
  bool equal = false;
  [&] {
    const auto read_at = [&calls](uint64_t offset, void* dst, uint64_t n) {
      ++calls;
      std::memcpy(dst, &"0123456789"[offset], static_cast<size_t>(n));
      return 0;
    };
    const auto file = OpenCallback(read_at, 10, "object");
    char back[11] = "";
    inside = Of(file->ReadAt(0, back, 10));
    equal = std::strcmp(back, "0123456789") == 0 && file->size() == 10;
    none = Of(file->ReadAt(10, back, 0));
    beyond = Of(file->ReadAt(1, back, 10), "object");
    view = Of(file->Map().status(), "object");
  }();
  Check(inside, Code::kOk, 0);
  assert_true(equal);
  Check(none, Code::kOk, 0);
  Check(beyond, Code::kCorruptTruncated, 0);
  Check(view, Code::kUnsupportedNoView, 0);
  assert_int_equal(calls, 1);
}

void WhatAReadCallbackAnswersIsPassedOn(void**) {
  Outcome failed;
  [&] {
    const auto file = OpenCallback([](uint64_t, void*, uint64_t) { return -77; }, 10, "object");
    char back[4];
    failed = Of(file->ReadAt(3, back, 4), "object");
  }();
  Check(failed, Code::kIo, -77);
  assert_int_equal(failed.offset, 3);
}

void AFailedWriteCallbackIsNotCalledAgain(void**) {
  Outcome first, failed, again, sync, close;
  int writes = 0, flushes = 0;
  [&] {
    const auto write = [&writes](const void*, uint64_t) { return ++writes == 2 ? ENOSPC : 0; };
    const auto file = WriteToCallback(write, [&flushes] { return ++flushes, 0; });
    first = Of(file->Append(ByteSpan("abc")));
    failed = Of(file->Append(ByteSpan("def")), "callback");
    again = Of(file->Append(ByteSpan("ghi")));
    sync = Of(file->Sync());
    close = Of(file->Close());
  }();
  Check(first, Code::kOk, 0);
  for (const Outcome& outcome : {failed, again, sync, close}) {
    Check(outcome, Code::kIoNoSpace, ENOSPC);
  }
  assert_int_equal(failed.offset, 3);
  assert_int_equal(writes, 2);
  assert_int_equal(flushes, 0);
}

void AFlushCallbackIsCalledOnceIfThereIsOne(void**) {
  Outcome without, failed, again, late;
  int flushes = 0;
  [&] {
    const auto write = [](const void*, uint64_t) { return 0; };
    const auto plain = WriteToCallback(write, nullptr);
    without = Of(plain->Sync());
    if (plain->Close().ok()) late = Of(plain->Append(ByteSpan("x")));
    const auto file = WriteToCallback(write, [&flushes] { return ++flushes, 5; });
    failed = Of(file->Sync());
    again = Of(file->Sync());
  }();
  Check(without, Code::kOk, 0);
  Check(late, Code::kWrongState, 0);
  Check(failed, Code::kIoSync, 5);
  Check(again, Code::kIoSync, 5);
  assert_int_equal(flushes, 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(MemoryIsReadWithinItsBounds),
      cmocka_unit_test(AnOwnedRegionOutlivesItsFileAndIsNotCopied),
      cmocka_unit_test(WritingToAVectorAppends),
      cmocka_unit_test(AReadCallbackSeesOnlyRangesWithinTheSize),
      cmocka_unit_test(WhatAReadCallbackAnswersIsPassedOn),
      cmocka_unit_test(AFailedWriteCallbackIsNotCalledAgain),
      cmocka_unit_test(AFlushCallbackIsCalledOnceIfThereIsOne),
  };
  return cmocka_run_group_tests_name("memory and callbacks", tests, nullptr, nullptr);
}

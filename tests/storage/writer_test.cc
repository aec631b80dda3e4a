// SPDX-License-Identifier: Apache-2.0
// Both writers put the same bytes in the file, however they are appended, and keep their failures.
#include "scratch.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>

namespace {

using namespace scratch;

constexpr uint64_t kMiB = uint64_t{1} << 20;

// The first step that failed, or OK if the file holds the bytes at every flush and at the end.
Status WritePieces(Directory* directory, ByteSpan bytes, const std::vector<uint64_t>& pieces,
                   uint32_t io_threads, uint64_t flush_every, bool flush_at_end) {
  WriteOptions options;
  options.io_threads = io_threads;
  TR_ASSIGN_OR_RETURN(const auto file, directory->CreateToWrite("a", options));
  uint64_t at = 0;
  for (uint64_t i = 0; at < bytes.size; ++i) {
    const uint64_t n = std::min(pieces[static_cast<size_t>(i % pieces.size())], bytes.size - at);
    TR_RETURN_IF_ERROR(file->Append(bytes.Sub(at, n)));
    at += n;
    if (flush_every != 0 && i % flush_every == 0) {
      TR_RETURN_IF_ERROR(file->Sync());
      if (!Holds(directory, "a", bytes.Sub(0, at))) return Status(Code::kInternal, "after a flush");
    }
  }
  if (flush_at_end) TR_RETURN_IF_ERROR(file->Sync());
  TR_RETURN_IF_ERROR(file->Close());
  if (!Holds(directory, "a", bytes)) return Status(Code::kInternal, "after Close");
  return Status();
}

int PiecesCode(uint64_t size, const std::vector<uint64_t>& pieces, uint64_t flush_every = 0,
               bool flush_at_end = true) {
  const std::vector<uint8_t> bytes = Pattern(size);
  for (uint32_t threads = 0; threads <= 2; ++threads) {
    Scratch scratch;
    const Status status =
        WritePieces(&*scratch, ByteSpan(bytes), pieces, threads, flush_every, flush_at_end);
    if (status.ok()) continue;
    print_message("io_threads %u, size %llu: %s\n", threads, static_cast<unsigned long long>(size),
                  std::string(status.message()).c_str());
    return static_cast<int>(status.code());
  }
  return 0;
}

void AnEmptyFileIsEmpty(void**) { assert_int_equal(PiecesCode(0, {1}), 0); }

void SingleBytesArriveInOrder(void**) { assert_int_equal(PiecesCode(2 * kMiB + 100, {1}), 0); }

void PiecesOfAnySizeArriveInOrder(void**) {
  assert_int_equal(PiecesCode(3 * kMiB + 17, {65535}), 0);
  assert_int_equal(PiecesCode(9 * kMiB, {kMiB}), 0);
  assert_int_equal(PiecesCode(23 * kMiB + 1, {5 * kMiB}), 0);
  assert_int_equal(PiecesCode(31 * kMiB + 4095, {1, 65535, 5 * kMiB, 4096, kMiB - 1, 3, 2 * kMiB}),
                   0);
  assert_int_equal(PiecesCode(19 * kMiB + 511, {19 * kMiB + 511}), 0);
}

void SizesAroundWholeBuffersAreExact(void**) {
  for (const int buffers : {1, 2, 3, 8, 9, 16}) {
    for (const int more : {-1, 0, 1}) {
      const int64_t size = int64_t{buffers} * (1 << 20) + more;
      assert_int_equal(PiecesCode(static_cast<uint64_t>(size), {700001}), 0);
    }
  }
}

void AFlushInTheMiddleShowsWhatWasAppended(void**) {
  assert_int_equal(PiecesCode(7 * kMiB + 5, {300000}, 5), 0);
  assert_int_equal(PiecesCode(12 * kMiB, {kMiB}, 2), 0);
}

void ClosingWithoutFlushingKeepsTheExactBytes(void**) {
  assert_int_equal(PiecesCode(100, {100}, 0, false), 0);
  assert_int_equal(PiecesCode(11 * kMiB + 77, {1234567}, 0, false), 0);
}

void AbandoningAFileEndsItsThreads(void**) {
  bool created = true;
  const std::vector<uint8_t>* bytes = new std::vector<uint8_t>(Pattern(13 * kMiB));
  for (uint32_t threads = 0; threads <= 2; ++threads) {
    Scratch scratch;
    WriteOptions options;
    options.io_threads = threads;
    const auto file = scratch->CreateToWrite("a", options);
    created = created && file.ok() && file.value()->Append(ByteSpan(*bytes)).ok();
  }
  delete bytes;
  assert_true(created);
}

void AClosedFileTakesNothing(void**) {
  for (uint32_t threads = 0; threads <= 2; ++threads) {
    Outcome append, sync, close;
    [&] {
      Scratch scratch;
      WriteOptions options;
      options.io_threads = threads;
      const auto file = scratch->CreateToWrite("a", options);
      if (!file.ok() || !file.value()->Close().ok()) return;
      append = Of(file.value()->Append(ByteSpan("late")));
      sync = Of(file.value()->Sync());
      close = Of(file.value()->Close());
    }();
    assert_int_equal(append.code, static_cast<int>(Code::kWrongState));
    assert_int_equal(sync.code, static_cast<int>(Code::kWrongState));
    assert_int_equal(close.code, 0);
  }
}

struct Failures {
  Outcome append, again, sync, close;
};

// Writes 40 MiB where files may have 3.
Failures RunIntoTheLimit(uint32_t threads) {
  Failures seen;
  Scratch scratch;
  WriteOptions options;
  options.io_threads = threads;
  const auto file = scratch->CreateToWrite("a", options);
  if (!file.ok()) return seen;
  struct rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const struct rlimit limit = {3 * kMiB, before.rlim_max};
  void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::vector<uint8_t> bytes = Pattern(kMiB);
  Status status;
  for (int i = 0; i < 40 && status.ok(); ++i) status = file.value()->Append(ByteSpan(bytes));
  seen.append = Of(status, file.value()->name().c_str());
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  seen.again = Of(file.value()->Append(ByteSpan(bytes)));
  seen.sync = Of(file.value()->Sync());
  seen.close = Of(file.value()->Close());
  return seen;
}

void TheFirstFailureIsKeptAndAnsweredEverAfter(void**) {
  for (uint32_t threads = 0; threads <= 2; ++threads) {
    const Failures seen = RunIntoTheLimit(threads);
    assert_true(seen.append.tells);
    for (const Outcome& outcome : {seen.append, seen.again, seen.sync, seen.close}) {
      assert_int_equal(outcome.code, static_cast<int>(Code::kIo));
      assert_int_equal(outcome.os_error, EFBIG);
      // With two threads a later write may be the first to be refused.
      assert_true(outcome.offset <= (threads < 2 ? 3 : 40) * kMiB);
    }
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AnEmptyFileIsEmpty),
      cmocka_unit_test(SingleBytesArriveInOrder),
      cmocka_unit_test(PiecesOfAnySizeArriveInOrder),
      cmocka_unit_test(SizesAroundWholeBuffersAreExact),
      cmocka_unit_test(AFlushInTheMiddleShowsWhatWasAppended),
      cmocka_unit_test(ClosingWithoutFlushingKeepsTheExactBytes),
      cmocka_unit_test(AbandoningAFileEndsItsThreads),
      cmocka_unit_test(AClosedFileTakesNothing),
      cmocka_unit_test(TheFirstFailureIsKeptAndAnsweredEverAfter),
  };
  return cmocka_run_group_tests_name("writers", tests, nullptr, nullptr);
}

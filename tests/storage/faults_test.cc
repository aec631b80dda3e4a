// SPDX-License-Identifier: Apache-2.0
// What the system refuses: renaming ladders, failed writes and flushes, interrupted transfers.
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <string>
#include <vector>

#include "faults.h"

extern "C" {
#include <cmocka.h>
}

using treering::base::ByteSpan;
using treering::base::Code;
using treering::base::Status;
using treering::storage::Replace;
using treering::storage::WritableFile;
using treering::storage::WriteOptions;

namespace {

constexpr size_t kMiB = size_t{1} << 20;

std::unique_ptr<WritableFile> Create(TestFolder& folder, uint32_t io_threads) {
  WriteOptions options;
  options.io_threads = io_threads;
  return std::move(folder.dir().CreateToWrite("a", options).value());
}

// Appends MiB by MiB until one fails, at most n; then Sync. The first failure.
Status Fill(WritableFile& file, size_t n) {
  const std::string piece = Noise(kMiB);
  for (size_t i = 0; i < n; ++i) TR_RETURN_IF_ERROR(file.Append(ByteSpan(std::string_view(piece))));
  return file.Sync();
}

bool FailedWriteSticks(uint32_t io_threads, size_t from, size_t size) {
  TestFolder folder;
  auto file = Create(folder, io_threads);
  faults.write_error = EIO;
  faults.write_error_from = static_cast<int64_t>(from);
  const Status first = Fill(*file, size);
  faults.write_error = 0;
  const Status append = file->Append(ByteSpan("x"));
  const Status sync = file->Sync();
  const Status close = file->Close();
  const bool told = first.code() == Code::kIo && first.os_error() == EIO &&
                    first.message().find("a'") != std::string_view::npos;
  return told && append.code() == Code::kIo && sync.code() == Code::kIo && !close.ok() &&
         faults.fsync_calls == 0;
}

void AFailedWriteSticksAndIsNeverFollowedByAnFsync(void**) {
  for (const uint32_t threads : {0u, 1u, 2u}) {
    assert_true(FailedWriteSticks(threads, 0, 1));
    assert_true(FailedWriteSticks(threads, 0, 40));
    assert_true(FailedWriteSticks(threads, 5 * kMiB, 40));
    assert_true(FailedWriteSticks(threads, 5 * kMiB, 6));
  }
}

bool FailedFsyncSticks(uint32_t io_threads, size_t size) {
  TestFolder folder;
  auto file = Create(folder, io_threads);
  faults.fsync_error = EIO;
  const Status first = Fill(*file, size);
  faults.fsync_error = 0;
  const Status second = file->Sync();
  const Status append = file->Append(ByteSpan("x"));
  return first.code() == Code::kIoSync && first.os_error() == EIO &&
         second.code() == Code::kIoSync && append.code() == Code::kIoSync &&
         faults.fsync_calls == 1;
}

void AFailedFsyncIsToldOnceAndNeverTriedAgain(void**) {
  for (const uint32_t threads : {0u, 2u}) {
    assert_true(FailedFsyncSticks(threads, 1));
    assert_true(FailedFsyncSticks(threads, 5));
  }
}

bool CloseTells(uint32_t io_threads) {
  TestFolder folder;
  auto file = Create(folder, io_threads);
  const bool appended = file->Append(ByteSpan("gathered only")).ok();
  faults.write_error = ENOSPC;
  return appended && file->Close().code() == Code::kIoNoSpace;
}

void CloseTellsThatGatheredBytesWereLost(void**) {
  assert_true(CloseTells(0));
  assert_true(CloseTells(1));
}

bool FallsBack(uint32_t io_threads) {
  TestFolder folder;
  auto file = Create(folder, io_threads);
  faults.refuse_direct = true;
  std::string text;
  for (int i = 0; i < 12; ++i) text += Noise(kMiB);
  const bool ok = Fill(*file, 12).ok() && file->Close().ok() && faults.direct_writes == 0;
  return ok && folder.Get("a") == text;
}

void WhereDirectWritingIsRefusedThePageCacheServes(void**) {
  assert_true(FallsBack(1));
  assert_true(FallsBack(4));
}

// With the calls failing as set, a rename to a free name works and one to a taken name does not.
bool RenamesWithoutReplacing() {
  TestFolder folder;
  const int rename_error = faults.rename_error;
  folder.Put("a", "new");
  folder.Put("taken", "old");
  const Status refused = folder.dir().Rename("a", "taken", Replace::kNoChecked);
  const bool both = folder.Get("a") == "new" && folder.Get("taken") == "old";
  const Status done = folder.dir().Rename("a", "free", Replace::kNoChecked);
  const bool moved = folder.Get("a") == "?" && folder.Get("free") == "new";
  return refused.code() == Code::kAlreadyExists && both && done.ok() && moved &&
         rename_error == faults.rename_error;
}

void EveryRungOfTheLadderRenamesWithoutReplacing(void**) {
  for (const int unknown : {EINVAL, ENOSYS, EOPNOTSUPP}) {
    faults.rename_error = unknown;
    assert_true(RenamesWithoutReplacing());
    for (const int no_links : {EPERM, EOPNOTSUPP}) {
      faults.rename_error = unknown;
      faults.link_error = no_links;
      assert_true(RenamesWithoutReplacing());
    }
  }
}

void ARealFailureOfARenameDoesNotFallThrough(void**) {
  TestFolder folder;
  folder.Put("a", "new");
  faults.rename_error = EACCES;
  const Code first = folder.dir().Rename("a", "b", Replace::kNoChecked).code();
  faults.rename_error = ENOSYS;
  faults.link_error = ENOSPC;
  const Code second = folder.dir().Rename("a", "b", Replace::kNoChecked).code();
  const bool kept = folder.Get("a") == "new" && folder.Get("b") == "?";
  assert_true(first == Code::kIoPermission);
  assert_true(second == Code::kIoNoSpace);
  assert_true(kept);
}

void AFailedFlushOfADirectoryIsToldUnlessThereIsNothingToFlush(void**) {
  TestFolder folder;
  const bool fine = folder.dir().Sync().ok() && faults.fsync_calls == 1;
  faults.fsync_error = EINVAL;
  const bool nothing = folder.dir().Sync().ok();
  faults.fsync_error = EIO;
  const Status failed = folder.dir().Sync();
  const bool told = failed.code() == Code::kIoSync && failed.os_error() == EIO;
  assert_true(fine);
  assert_true(nothing);
  assert_true(told);
}

// Appends all of text in pieces of the given sizes, taken round and round.
bool AppendAll(WritableFile& file, std::string_view text, const std::vector<size_t>& pieces) {
  size_t i = 0;
  while (!text.empty()) {
    const size_t n = std::min(pieces[i++ % pieces.size()], text.size());
    if (!file.Append(ByteSpan(text.substr(0, n))).ok()) return false;
    text.remove_prefix(n);
  }
  return file.Append(ByteSpan()).ok();
}

bool Writes(const std::string& text, const std::vector<size_t>& pieces, uint32_t io_threads,
            bool sync) {
  TestFolder folder;
  WriteOptions options;
  options.io_threads = io_threads;
  auto file = std::move(folder.dir().CreateToWrite("a", options).value());
  const bool ok = AppendAll(*file, text, pieces) && (!sync || file->Sync().ok()) &&
                  file->Close().ok() && file->Close().ok();
  return ok && folder.Get("a") == text;
}

void InterruptedAndShortWritesLoseNothing(void**) {
  const std::string text = Noise(5 * kMiB + 77);
  faults.short_transfers = true;
  assert_true(Writes(text, {300000}, 0, true));
  faults.short_transfers = true;
  faults.refuse_direct = true;
  assert_true(Writes(text, {300000}, 2, true));
}

int ThreadsNow() {
  DIR* tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return -1;
  int n = -2;  // "." and ".."
  while (readdir(tasks) != nullptr) ++n;
  closedir(tasks);
  return n;
}

// Threads beyond those there were, after appending n bytes to a file with three.
int ThreadsAfter(size_t n) {
  TestFolder folder;
  WriteOptions options;
  options.io_threads = 3;
  const int before = ThreadsNow();
  auto file = std::move(folder.dir().CreateToWrite("a", options).value());
  if (!AppendAll(*file, Noise(n), {100000})) return -1;
  const int after = ThreadsNow();
  return before < 0 ? -1 : after - before;
}

void OnlyALargeFileStartsThreads(void**) {
  assert_int_equal(ThreadsAfter(2 * kMiB), 0);
  assert_int_equal(ThreadsAfter(4 * kMiB), 3);
}

void InterruptedAndShortReadsAreMadeWhole(void**) {
  TestFolder folder;
  const std::string text = Noise(5000);
  folder.Put("a", text);
  auto file = std::move(folder.dir().OpenToRead("a").value());
  faults.short_transfers = true;
  std::string got(4000, '\0');
  const bool read = file->ReadAt(700, got.data(), got.size()).ok();
  const bool same = got == text.substr(700, 4000);
  assert_true(read);
  assert_true(same);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AFailedWriteSticksAndIsNeverFollowedByAnFsync),
      cmocka_unit_test(AFailedFsyncIsToldOnceAndNeverTriedAgain),
      cmocka_unit_test(CloseTellsThatGatheredBytesWereLost),
      cmocka_unit_test(WhereDirectWritingIsRefusedThePageCacheServes),
      cmocka_unit_test(EveryRungOfTheLadderRenamesWithoutReplacing),
      cmocka_unit_test(ARealFailureOfARenameDoesNotFallThrough),
      cmocka_unit_test(AFailedFlushOfADirectoryIsToldUnlessThereIsNothingToFlush),
      cmocka_unit_test(InterruptedAndShortWritesLoseNothing),
      cmocka_unit_test(InterruptedAndShortReadsAreMadeWhole),
      cmocka_unit_test(OnlyALargeFileStartsThreads),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

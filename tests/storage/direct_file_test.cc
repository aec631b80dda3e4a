// SPDX-License-Identifier: Apache-2.0
// Direct writing falls back to the page cache where it is refused; reserving never costs a file.
#include "storage/direct_file.h"

#include "scratch.h"

namespace {

using namespace scratch;
using treering::storage::DirectFile;
using treering::storage::OpenAt;

constexpr uint64_t kMiB = uint64_t{1} << 20;

struct Seen {
  int errors = -1;
  bool whole = false;
};

// Writes at two offsets of which the second, or the memory, is not aligned.
Seen WriteUnaligned(uint64_t shift) {
  Seen seen;
  Scratch scratch;
  auto fd = OpenAt(AT_FDCWD, scratch.Path("a").c_str(), O_CREAT | O_EXCL | O_WRONLY, "a");
  if (!fd.ok()) return seen;
  DirectFile file(std::move(fd.value()));
  const std::vector<uint8_t> bytes = Pattern(kMiB + shift);
  const uint64_t first = 64 * 1024 + 1;
  file.GoDirect(kMiB);
  seen.errors = file.Reserve(5 * kMiB) + file.WriteAt(ByteSpan(bytes.data(), first), 0) +
                file.WriteAt(ByteSpan(bytes).Sub(first, bytes.size() - first), first) +
                file.Truncate(bytes.size()) + file.Sync() + file.Close();
  seen.whole = Holds(&*scratch, "a", ByteSpan(bytes));
  return seen;
}

void AWriteThatCannotBeDirectGoesThroughThePageCache(void**) {
  for (const uint64_t shift : {uint64_t{0}, uint64_t{1}, uint64_t{4095}}) {
    const Seen seen = WriteUnaligned(shift);
    assert_int_equal(seen.errors, 0);
    assert_true(seen.whole);
  }
}

void ReservingASecondTimeAfterCuttingIsPossible(void**) {
  Seen seen;
  [&] {
    Scratch scratch;
    auto fd = OpenAt(AT_FDCWD, scratch.Path("a").c_str(), O_CREAT | O_EXCL | O_WRONLY, "a");
    if (!fd.ok()) return;
    DirectFile file(std::move(fd.value()));
    seen.errors = file.Reserve(kMiB) + file.Truncate(10) + file.Reserve(2 * kMiB) +
                  file.WriteAt(ByteSpan("0123456789"), 0) + file.Truncate(10) + file.Close();
    seen.whole = Holds(&*scratch, "a", ByteSpan("0123456789"));
  }();
  assert_int_equal(seen.errors, 0);
  assert_true(seen.whole);
}

void AFileThatCannotBeReservedIsStillWritten(void**) {
  int error = -1;
  [&] {
    auto fd = OpenAt(AT_FDCWD, "/dev/null", O_WRONLY, "/dev/null");
    if (!fd.ok()) return;
    DirectFile file(std::move(fd.value()));
    error = file.Reserve(kMiB) + file.Reserve(2 * kMiB) + file.WriteAt(ByteSpan("bytes"), 0);
  }();
  assert_int_equal(error, 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AWriteThatCannotBeDirectGoesThroughThePageCache),
      cmocka_unit_test(ReservingASecondTimeAfterCuttingIsPossible),
      cmocka_unit_test(AFileThatCannotBeReservedIsStillWritten),
  };
  return cmocka_run_group_tests_name("direct file", tests, nullptr, nullptr);
}

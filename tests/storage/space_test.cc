// SPDX-License-Identifier: Apache-2.0
// A full disk, tried on a small file system in memory; skipped where none may be mounted.
#include "scratch.h"

#include <errno.h>

#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

namespace {

using namespace scratch;

constexpr uint64_t kMiB = uint64_t{1} << 20;

// The mount is seen by this process alone and ends with it.
bool MountSmall(const std::string& path) {
#ifdef __linux__
  static const bool apart =
      unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return apart && mount("tmpfs", path.c_str(), "tmpfs", 0, "size=6m") == 0;
#else
  (void)path;
  return false;
#endif
}

void Unmount(const std::string& path) {
#ifdef __linux__
  umount2(path.c_str(), MNT_DETACH);
#else
  (void)path;
#endif
}

struct Seen {
  bool mounted = false;
  Outcome write;
  bool whole = false;
};

Seen WriteInSixMiB(uint64_t size, uint32_t threads) {
  Seen seen;
  Scratch scratch;
  mkdir(scratch.Path("small").c_str(), 0777);
  seen.mounted = MountSmall(scratch.Path("small"));
  if (!seen.mounted) return seen;
  {
    // By path: a directory opened before the mounts were set apart does not see them.
    const auto directory = treering::storage::OpenPosixDirectory(scratch.Path("small"));
    const std::vector<uint8_t> bytes = Pattern(size);
    if (directory.ok()) {
      seen.write =
          Of(WriteWhole(directory.value().get(), "a", ByteSpan(bytes), threads), "small/a");
      seen.whole = Holds(directory.value().get(), "a", ByteSpan(bytes));
    }
  }
  Unmount(scratch.Path("small"));
  return seen;
}

void AFullDiskIsToldAsNoSpace(void**) {
  for (uint32_t threads = 0; threads <= 2; ++threads) {
    const Seen seen = WriteInSixMiB(20 * kMiB, threads);
    if (!seen.mounted) return;  // skip() is "not ok" in the TAP of cmocka 1.1.5
    assert_int_equal(seen.write.code, static_cast<int>(Code::kIoNoSpace));
    assert_int_equal(seen.write.os_error, ENOSPC);
    assert_true(seen.write.tells);
    assert_false(seen.whole);
  }
}

void AFileThatJustFitsIsWrittenThoughReservingAheadDoesNotFit(void**) {
  for (uint32_t threads = 0; threads <= 2; ++threads) {
    const Seen seen = WriteInSixMiB(5 * kMiB + 600001, threads);
    if (!seen.mounted) return;  // skip() is "not ok" in the TAP of cmocka 1.1.5
    assert_int_equal(seen.write.code, 0);
    assert_true(seen.whole);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AFullDiskIsToldAsNoSpace),
      cmocka_unit_test(AFileThatJustFitsIsWrittenThoughReservingAheadDoesNotFit),
  };
  return cmocka_run_group_tests_name("space", tests, nullptr, nullptr);
}

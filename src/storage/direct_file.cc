// SPDX-License-Identifier: Apache-2.0
// Direct writing and preallocation, each given up as soon as the file system refuses it.
//
// A direct write that extends a file holds the lock of the whole file, so parallel writers would
// take turns: the file is made longer first, in growing steps, and cut to its size at the end.
// Which file systems write directly, and with which alignment, is known for sure only by trying:
// EINVAL means no, at any moment, and from then on the page cache is used.
//
// A step may be more than is ever written. It must not fail a file that fits, so where it does not
// fit only what is needed is asked for, and a limit on the size of files (which would kill the
// process with SIGXFSZ) is never run into here. What the bytes are is the caller's affair.
#include "storage/direct_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace treering::storage {
namespace {

constexpr uint64_t kLargestStep = uint64_t{1} << 30;

#ifdef O_DIRECT
bool SetDirect(int fd, bool on) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return false;
  return fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

// What offsets and sizes must be multiples of; 0 if direct writing is out of the question.
uint64_t DirectGranularity(int fd) {
#ifdef STATX_DIOALIGN
  struct statx info;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
      (info.stx_mask & STATX_DIOALIGN) != 0) {
    if (info.stx_dio_offset_align == 0) return 0;
    if (info.stx_dio_mem_align > DirectFile::kAlignment) return 0;
    return std::max<uint64_t>(info.stx_dio_offset_align, DirectFile::kAlignment);
  }
#endif
  (void)fd;
  return DirectFile::kAlignment;
}
#endif

}  // namespace

void DirectFile::GoDirect(uint64_t block_size) {
#ifdef O_DIRECT
  const uint64_t granularity = DirectGranularity(fd_.get());
  if (granularity == 0 || block_size % granularity != 0) return;
  if (!SetDirect(fd_.get(), true)) return;
  granularity_ = granularity;
  direct_.store(true, std::memory_order_relaxed);
#else
  (void)block_size;
#endif
}

int DirectFile::WriteAt(base::ByteSpan bytes, uint64_t offset) {
  int error = WriteAllAt(fd_.get(), bytes, offset);
#ifdef O_DIRECT
  if (error == EINVAL && direct_.load(std::memory_order_relaxed)) {
    // Another writer may have been refused as well; turning it off twice does no harm, and writing
    // again what has been written neither.
    if (SetDirect(fd_.get(), false)) error = WriteAllAt(fd_.get(), bytes, offset);
  }
#endif
  return error;
}

// Extends the file to `end`: 0 or the errno.
int DirectFile::Allocate(uint64_t end) {
#ifdef __linux__
  int result = 0;
  do {
    result =
        fallocate(fd_.get(), 0, static_cast<off_t>(reserved_), static_cast<off_t>(end - reserved_));
  } while (result != 0 && errno == EINTR);
  if (result != 0) return errno;
  reserved_ = end;
  return 0;
#else
  (void)end;
  return EOPNOTSUPP;
#endif
}

int DirectFile::Reserve(uint64_t end) {
  if (!reserves_ || end <= reserved_) return 0;
  uint64_t target = end + step_;
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    target = std::min<uint64_t>(target, limit.rlim_cur);
    if (target < end) return 0;  // writing will tell
  }
  step_ = std::min(step_ * 2, kLargestStep);
  int error = Allocate(target);
  const auto full = [&error] { return error == ENOSPC || error == EDQUOT; };
  if (full()) {
    step_ = 0;
    error = Allocate(end);
    if (full()) return error;
  }
  reserves_ = error == 0;
  return 0;
}

int DirectFile::Truncate(uint64_t size) {
  int result = 0;
  do {
    result = ftruncate(fd_.get(), static_cast<off_t>(size));
  } while (result != 0 && errno == EINTR);
  if (result != 0) return errno;
  reserved_ = size;
  return 0;
}

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// Events by eventfd where there is one, else by a pipe.
//
// Whoever polls sees the descriptor readable once something was written to it; nothing is ever read
// from it, so it stays so. Neither end survives an exec, and writing cannot block: one write of
// eight bytes, or of one, fits into what is empty.
#include "storage/event.h"

#include <cerrno>
#include <utility>

#ifdef __linux__
#include <sys/eventfd.h>
#endif
#include <fcntl.h>
#include <unistd.h>

namespace treering::storage {
namespace {

base::Status NoDescriptor() {
  const int error = errno;
  return base::Status(base::Code::kIo,
                      "the system gave no descriptor to wait on; close some, or wait by a call",
                      error);
}

}  // namespace

base::Status Event::Open() {
#ifdef __linux__
  read_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return read_.open() ? base::Status() : NoDescriptor();
#else
  int ends[2];
  if (pipe(ends) != 0) return NoDescriptor();
  Fd read(ends[0]);
  Fd write(ends[1]);
  for (const int end : ends) {
    if (fcntl(end, F_SETFD, FD_CLOEXEC) != 0) return NoDescriptor();
  }
  read_ = std::move(read);
  write_ = std::move(write);
  return base::Status();
#endif
}

void Event::Set() {
  const uint64_t one = 1;
#ifdef __linux__
  const int fd = read_.get();
  const size_t size = sizeof one;
#else
  const int fd = write_.get();
  const size_t size = 1;
#endif
  while (write(fd, &one, size) < 0 && errno == EINTR) {
  }
}

}  // namespace treering::storage

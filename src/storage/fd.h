// SPDX-License-Identifier: Apache-2.0
// File descriptors of a POSIX system: owned, above 2, with the retries that every call needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"

namespace treering::storage {

// Owns a descriptor and closes it unchecked; Close is the checked way.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      CloseChecked();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { CloseChecked(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  // Gives the descriptor away.
  int Release() { return std::exchange(fd_, -1); }
  // 0 or the errno; the descriptor is gone either way.
  int CloseChecked();

 private:
  int fd_ = -1;
};

// openat with O_CLOEXEC, retried on EINTR, never answering 0, 1 or 2: a library that is handed a
// closed standard descriptor would write its bytes where the host prints. `what` is for the
// message.
base::Result<Fd> OpenAt(int directory, const char* name, int flags, std::string_view path);

// Writes all of `bytes` at `offset`, in calls of at most 1 GiB. 0 or the errno.
int WriteAllAt(int fd, base::ByteSpan bytes, uint64_t offset);

// fsync to the medium: 0 or the errno.
int SyncFd(int fd);

// What a write or a flush of the file that failed becomes. A failed flush is kIoSync, whatever
// errno.
base::Status WriteFailure(int os_error, const std::string& file, uint64_t offset);
base::Status SyncFailure(int os_error, const std::string& file);
// What using a file after Close is.
base::Status ClosedFile(const std::string& file);

// "directory/name", or "name" in the current directory.
std::string JoinPath(std::string_view directory, std::string_view name);

}  // namespace treering::storage

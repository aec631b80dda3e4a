// SPDX-License-Identifier: Apache-2.0
// Descriptors: opening, writing in full, flushing, closing, and errno as a Status.
//
// System calls are interrupted, write less than asked and report failure once. This file holds the
// loops, so that the rest calls things which either happened or did not.
//
// close is never retried: on Linux the descriptor is gone even after EINTR, and a second close
// would hit a stranger's file. What a failure means is decided by the classes that call this.
#include "storage/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "base/planted.h"
#include "storage/posix.h"

namespace treering::storage {
namespace {

// strerror_r is one of two functions, by platform; overloads take whichever it is.
[[maybe_unused]] const char* ErrorText(int, const char* buffer) { return buffer; }
[[maybe_unused]] const char* ErrorText(const char* text, const char*) { return text; }

base::Code CodeOf(int os_error) {
  switch (os_error) {
    case ENOSPC:
#ifdef EDQUOT
    case EDQUOT:
#endif
      return base::Code::kIoNoSpace;
    case EACCES:
    case EPERM:
      return base::Code::kIoPermission;
    case EROFS:
      return base::Code::kIoReadOnly;
    case ENOENT:
    case ENOTDIR:
      return base::Code::kNotFoundFile;
    case EEXIST:
      return base::Code::kAlreadyExists;
    case ENOMEM:
      return base::Code::kNoMemory;
    case ENAMETOOLONG:
      return base::Code::kInvalidArgument;
    default:
      return base::Code::kIo;
  }
}

const char* Advice(base::Code code) {
  switch (code) {
    case base::Code::kIoNoSpace:
      return "; free some space or write elsewhere";
    case base::Code::kIoPermission:
      return "; change the permissions or choose another place";
    case base::Code::kIoReadOnly:
      return "; choose another place";
    case base::Code::kNotFoundFile:
      return "; check the path";
    case base::Code::kInvalidArgument:
      return "; choose a shorter one";
    default:
      return "";
  }
}

}  // namespace

base::Status StatusFromErrno(int os_error, std::string what) {
  char buffer[128] = "";
  what += ": ";
  what += ErrorText(strerror_r(os_error, buffer, sizeof buffer), buffer);
  const base::Code code = CodeOf(os_error);
  what += Advice(code);
  return base::Status(code, std::move(what), os_error);
}

int Fd::CloseChecked() {
  if (fd_ < 0) return 0;
  const int result = close(std::exchange(fd_, -1));
  return result == 0 || errno == EINTR ? 0 : errno;
}

base::Result<Fd> OpenAt(int directory, const char* name, int flags, std::string_view path) {
  int raw = -1;
  do {
    raw = openat(directory, name, flags | O_CLOEXEC, 0666);
  } while (raw < 0 && errno == EINTR);
  const int open_error = errno;
  Fd fd(raw);
  if (raw < 0) return StatusFromErrno(open_error, "cannot open '" + std::string(path) + "'");
  if (raw > 2) return fd;
  Fd higher(fcntl(raw, F_DUPFD_CLOEXEC, 3));
  if (higher.open()) return higher;
  return StatusFromErrno(errno, "cannot open '" + std::string(path) + "'");
}

int WriteAllAt(int fd, base::ByteSpan bytes, uint64_t offset) {
  while (bytes.size != 0) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(bytes.size, uint64_t{1} << 30));
    const ssize_t done = pwrite(fd, bytes.data, n, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR && !base::Planted(10)) continue;
    if (done < 0) return errno;
    if (base::Planted(9)) return 0;
    if (done == 0) return EIO;  // a regular file that takes nothing would loop for ever
    bytes = bytes.Sub(static_cast<uint64_t>(done), bytes.size - static_cast<uint64_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return 0;
}

int SyncFd(int fd) {
#ifdef F_FULLFSYNC  // Apple: fsync alone stops at the drive's cache
  if (fcntl(fd, F_FULLFSYNC) == 0) return 0;
#endif
  int result = 0;
  do {
    result = fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

base::Status WriteFailure(int os_error, const std::string& file, uint64_t offset) {
  const base::Status failed = StatusFromErrno(os_error, "cannot write '" + file + "'");
  return base::Status(failed.code(), std::string(failed.message()), os_error, offset);
}

base::Status SyncFailure(int os_error, const std::string& file) {
  const base::Status failed = StatusFromErrno(os_error, "cannot flush '" + file + "' to the disk");
  return base::Status(base::Code::kIoSync, std::string(failed.message()), os_error);
}

base::Status ClosedFile(const std::string& file) {
  return base::Status(base::Code::kWrongState, "'" + file + "' is closed");
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  if (directory.empty() || directory == ".") return std::string(name);
  std::string path(directory);
  if (path.back() != '/') path += '/';
  path += name;
  return path;
}

}  // namespace treering::storage

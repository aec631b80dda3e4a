// SPDX-License-Identifier: Apache-2.0
// One writer at a time: a lock that the kernel frees however its holder ends.
//
// Classic POSIX locks are dropped when anything in the process closes the file, so open file
// description locks are used where the system has them, and flock elsewhere. Both belong to the
// description: a child that was forked while the lock was held keeps it until it ends. Neither says
// when it becomes free, so waiting is asking again, at growing intervals.
//
// What the file's text says, and what a lock protects, is the business of the rooms above.
#include "storage/posix_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/planted.h"
#include "storage/fd.h"
#include "storage/posix.h"

namespace treering::storage {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr uint64_t kMaxText = 4096;

// 0 or the errno.
int SetLock(int fd, bool locked) {
#ifdef F_OFD_SETLK
  struct flock range = {};
  range.l_type = static_cast<short>(locked ? F_WRLCK : F_UNLCK);
  range.l_whence = SEEK_SET;
  return fcntl(fd, base::Planted(17) ? F_SETLK : F_OFD_SETLK, &range) == 0 ? 0 : errno;
#else
  return flock(fd, (locked ? LOCK_EX : LOCK_UN) | LOCK_NB) == 0 ? 0 : errno;
#endif
}

bool Held(int error) { return error == EAGAIN || error == EACCES || error == EWOULDBLOCK; }

int64_t SteadyMilliseconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

void Sleep(int64_t milliseconds) {
  timespec time = {};
  time.tv_sec = static_cast<time_t>(milliseconds / 1000);
  time.tv_nsec = static_cast<long>(milliseconds % 1000) * 1000000;
  nanosleep(&time, nullptr);
}

// 0, or the errno of the last try.
int LockBefore(int fd, int64_t timeout_ms) {
  const int64_t start = SteadyMilliseconds();
  int64_t pause = 1;
  for (;;) {
    const int error = SetLock(fd, true);
    if (error == EINTR) continue;
    if (error == 0 || !Held(error)) return error;
    const int64_t left = timeout_ms - (SteadyMilliseconds() - start);
    if (left <= 0) return error;
    Sleep(std::min(pause, left));
    pause = std::min<int64_t>(pause * 2, 100);
  }
}

std::string ReadText(int fd) {
  std::string text(kMaxText, '\0');
  const ssize_t got = pread(fd, &text[0], text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

class PosixLock : public Lock {
 public:
  PosixLock(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Status Unlock() override {
    if (!fd_.open()) return {};
    const int error = SetLock(fd_.get(), false);
    fd_.CloseChecked();
    return error == 0 ? Status() : StatusFromErrno(error, "cannot unlock '" + path_ + "'");
  }

  Status Write(std::string_view text) override {
    int error = ftruncate(fd_.get(), 0) == 0 ? 0 : errno;
    if (error == 0) error = WriteAllAt(fd_.get(), base::ByteSpan(text), 0);
    return error == 0 ? Status() : WriteFailure(error, path_, 0);
  }

 private:
  Fd fd_;
  std::string path_;
};

}  // namespace

Result<std::unique_ptr<Lock>> LockPosixFile(int directory, const char* name, std::string path,
                                            int64_t timeout_ms) {
  TR_ASSIGN_OR_RETURN(
      Fd fd, OpenAt(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, path));
  const int error = LockBefore(fd.get(), timeout_ms);
  if (error == 0) return std::unique_ptr<Lock>(new PosixLock(std::move(fd), std::move(path)));
  if (Held(error)) return Status(Code::kBusy, ReadText(fd.get()), error);
  if (error == ENOSYS || error == ENOLCK || error == EOPNOTSUPP || error == EINVAL) {
    return Status(Code::kUnsupportedFeature,
                  FileSystemOf(fd.get(), path) + " has no locks that work", error);
  }
  return StatusFromErrno(error, "cannot lock '" + path + "'");
}

std::string FileSystemOf(int fd, const std::string& path) {
  struct stat info;
  FILE* mounts = fstat(fd, &info) == 0 ? fopen("/proc/self/mountinfo", "re") : nullptr;
  std::string found;
  char line[4096];
  while (mounts != nullptr && fgets(line, sizeof(line), mounts) != nullptr) {
    unsigned device_major = 0, device_minor = 0;
    char point[1024] = {}, type[64] = {};
    // 36 35 98:0 /root /mount/point options ... - type source
    if (sscanf(line, "%*d %*d %u:%u %*s %1023s", &device_major, &device_minor, point) != 3)
      continue;
    const char* rest =
        std::char_traits<char>::find(line, std::char_traits<char>::length(line), '-');
    while (rest != nullptr && sscanf(rest, "- %63s", type) != 1) {
      rest = std::char_traits<char>::find(rest + 1, std::char_traits<char>::length(rest + 1), '-');
    }
    if (device_major != major(info.st_dev) || device_minor != minor(info.st_dev)) continue;
    found = std::string(type) + " mounted on " + point;
  }
  if (mounts != nullptr) fclose(mounts);
  return "'" + path + "'" + (found.empty() ? "" : " (" + found + ")");
}

}  // namespace treering::storage

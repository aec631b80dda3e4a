// SPDX-License-Identifier: Apache-2.0
// The wrapped system calls and the test folder.
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

Faults faults;

void Faults::Clear() {
  fsync_error = fsync_calls = rename_error = link_error = write_error = direct_writes = 0;
  write_error_from = 0;
  refuse_direct = short_transfers = false;
}

extern "C" {
int __real_fsync(int fd);
long __real_syscall(long number, long a, long b, long c, long d, long e);
int __real_linkat(int from_dir, const char* from, int to_dir, const char* to, int flags);
ssize_t __real_pwrite64(int fd, const void* data, size_t n, off64_t offset);
ssize_t __real_pread64(int fd, void* data, size_t n, off64_t offset);

int __wrap_fsync(int fd) {
  ++faults.fsync_calls;
  if (faults.fsync_error == 0) return __real_fsync(fd);
  errno = faults.fsync_error;
  return -1;
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e) {
  if (number != SYS_renameat2 || faults.rename_error == 0) {
    return __real_syscall(number, a, b, c, d, e);
  }
  errno = faults.rename_error;
  return -1;
}

int __wrap_linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) {
  if (faults.link_error == 0) return __real_linkat(from_dir, from, to_dir, to, flags);
  errno = faults.link_error;
  return -1;
}

// Every second call is interrupted, the others do half.
static bool Interrupted(size_t* n) {
  static std::atomic<unsigned> calls{0};
  if (!faults.short_transfers) return false;
  if (*n > 1) *n /= 2;
  if (++calls % 2 == 0) return false;
  errno = EINTR;
  return true;
}

ssize_t __wrap_pwrite64(int fd, const void* data, size_t n, off64_t offset) {
  const bool direct = (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
  if (direct && faults.refuse_direct) {
    errno = EINVAL;
    return -1;
  }
  if (faults.write_error != 0 && offset >= faults.write_error_from) {
    errno = faults.write_error;
    return -1;
  }
  if (direct) ++faults.direct_writes;
  if (!direct && Interrupted(&n)) return -1;
  return __real_pwrite64(fd, data, n, offset);
}
ssize_t __wrap_pwrite(int fd, const void* data, size_t n, off64_t offset) {
  return __wrap_pwrite64(fd, data, n, offset);
}

ssize_t __wrap_pread64(int fd, void* data, size_t n, off64_t offset) {
  return Interrupted(&n) ? -1 : __real_pread64(fd, data, n, offset);
}
ssize_t __wrap_pread(int fd, void* data, size_t n, off64_t offset) {
  return __wrap_pread64(fd, data, n, offset);
}
}  // extern "C"

TestFolder::TestFolder() {
  path_ = "storage-test-XXXXXX";  // where the tests run, not in /tmp: that may be no real disk
  if (mkdtemp(path_.data()) == nullptr) abort();
  dir_ = std::move(treering::storage::OpenPosixDirectory(path_).value());
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  faults.Clear();
}

void TestFolder::Put(const std::string& name, std::string_view text) const {
  std::ofstream(path_ + "/" + name, std::ios::binary) << text;
}

std::string TestFolder::Get(const std::string& name) const {
  std::ifstream in(path_ + "/" + name, std::ios::binary);
  if (!in) return "?";
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

std::string Noise(size_t n) {
  std::string out(n, '\0');
  uint64_t state = 88172645463325252u;
  for (char& c : out) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state >> 32);
  }
  return out;
}

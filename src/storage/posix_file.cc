// SPDX-License-Identifier: Apache-2.0
// A regular file to read: by pread, or mapped as one region.
//
// Opening must not hang or hand out something that is not a file, so it opens without blocking and
// asks what it got before anything is read. The size at that moment is the file's size for good:
// reads beyond it are refused, and a file that has become shorter is reported as truncated.
//
// A mapping cannot be protected from a file that is cut off later; that is told to callers, not
// mended here. Checking what the bytes mean is the container's.
#include "storage/posix_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "base/checked.h"
#include "storage/posix.h"

namespace treering::storage {
namespace {

using base::Code;
using base::Result;
using base::Status;

class Mapping : public Region {
 public:
  Mapping(void* address, size_t size) : address_(address), length_(size) {
    bytes_ = base::ByteSpan(address, size);
  }
  ~Mapping() override { munmap(address_, length_); }

 private:
  void* address_;
  size_t length_;
};

class EmptyRegion : public Region {};

class PosixFile : public ReadableFile {
 public:
  PosixFile(Fd fd, uint64_t size, std::string name)
      : fd_(std::move(fd)), size_(size), name_(std::move(name)) {}

  Status ReadAt(uint64_t offset, void* dst, uint64_t n) const override;
  Result<std::shared_ptr<const Region>> Map() const override;
  uint64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }

 private:
  Status Truncated(uint64_t end) const {
    return Status(Code::kCorruptTruncated,
                  "'" + name_ + "' ends at byte " + std::to_string(end) +
                      ", before the bytes that were asked for; restore a whole copy",
                  0, end);
  }

  Fd fd_;
  uint64_t size_;
  std::string name_;
};

Status PosixFile::ReadAt(uint64_t offset, void* dst, uint64_t n) const {
  if (!base::InBounds(offset, n, size_)) return Truncated(size_);
  uint8_t* to = static_cast<uint8_t*>(dst);
  while (n != 0) {
    const size_t want = static_cast<size_t>(std::min<uint64_t>(n, uint64_t{1} << 30));
    const ssize_t got = pread(fd_.get(), to, want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const Status failed = StatusFromErrno(errno, "cannot read '" + name_ + "'");
      return Status(failed.code(), std::string(failed.message()), failed.os_error(), offset);
    }
    if (got == 0) return Truncated(offset);
    to += got;
    offset += static_cast<uint64_t>(got);
    n -= static_cast<uint64_t>(got);
  }
  return Status();
}

Result<std::shared_ptr<const Region>> PosixFile::Map() const {
  struct stat info;
  if (fstat(fd_.get(), &info) != 0) return StatusFromErrno(errno, "cannot map '" + name_ + "'");
  const uint64_t now = static_cast<uint64_t>(info.st_size);
  if (now < size_) return Truncated(now);
  if (size_ == 0) return std::shared_ptr<const Region>(new EmptyRegion);
  if (size_ > SIZE_MAX) {
    return Status(Code::kUnsupportedNoView, "'" + name_ + "' is larger than the address space");
  }
  const size_t length = static_cast<size_t>(size_);
  void* address = mmap(nullptr, length, PROT_READ, MAP_PRIVATE, fd_.get(), 0);
  if (address == MAP_FAILED && errno == ENODEV) {
    return Status(Code::kUnsupportedNoView, "the file system of '" + name_ + "' cannot map",
                  ENODEV);
  }
  if (address == MAP_FAILED) return StatusFromErrno(errno, "cannot map '" + name_ + "'");
  std::unique_ptr<const Region> region(new (std::nothrow) Mapping(address, length));
  if (region == nullptr) {
    munmap(address, length);
    return Status(Code::kNoMemory, "out of memory");
  }
  return std::shared_ptr<const Region>(std::move(region));
}

Status NotAFile(const std::string& path, const char* kind) {
  return Status(Code::kInvalidArgument, "'" + path + "' is " + kind + "; give the path of a file");
}

}  // namespace

Result<std::unique_ptr<ReadableFile>> OpenRegularFile(int directory, const char* name,
                                                      std::string path) {
  Result<Fd> opened = OpenAt(directory, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, path);
  if (opened.status().os_error() == ENXIO) return NotAFile(path, "a socket");
  TR_ASSIGN_OR_RETURN(Fd fd, std::move(opened));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return StatusFromErrno(errno, "cannot open '" + path + "'");
  if (S_ISDIR(info.st_mode)) return NotAFile(path, "a directory");
  if (!S_ISREG(info.st_mode)) return NotAFile(path, "a pipe or a device");
  return std::unique_ptr<ReadableFile>(
      new PosixFile(std::move(fd), static_cast<uint64_t>(info.st_size), std::move(path)));
}

}  // namespace treering::storage

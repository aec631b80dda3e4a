// SPDX-License-Identifier: Apache-2.0
// Writing a file on the calling thread, through the page cache.
//
// Many appends are small, so they are gathered in one buffer; a large one goes to the kernel
// straight from the caller's memory. The page cache alone would leave all work to the final fsync:
// every few MiB the kernel is asked to start writing what it has, so that the disk works meanwhile.
//
// Invariant: bytes [0, written_) are in the file, used_ bytes of the buffer follow them. The first
// failure is kept and answered ever after; no fsync follows it, because it could succeed for pages
// that the kernel has dropped.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <algorithm>
#include <new>

#include "storage/posix.h"
#include "storage/posix_file.h"

namespace treering::storage {
namespace {

using base::ByteSpan;
using base::Status;

constexpr uint64_t kBufferSize = uint64_t{1} << 20;
constexpr uint64_t kPieceSize = uint64_t{8} << 20;  // writeback is started after this much
constexpr uint64_t kPageSize = 4096;

class BufferedWriter : public WritableFile {
 public:
  BufferedWriter(Fd fd, std::string path) : fd_(std::move(fd)), name_(std::move(path)) {}

  Status Append(ByteSpan bytes) override;
  Status Sync() override;
  Status Close() override;
  const std::string& name() const override { return name_; }

 private:
  Status Usable() const { return failure_.ok() && !fd_.open() ? ClosedFile(name_) : failure_; }
  uint64_t Gather(ByteSpan bytes, uint64_t most);
  Status Flush();
  Status Write(ByteSpan bytes);
  int StartWriteback();

  Fd fd_;
  std::string name_;
  std::unique_ptr<uint8_t[]> buffer_;
  uint64_t used_ = 0;
  uint64_t written_ = 0;
  uint64_t started_ = 0;  // writeback of [0, started_) has been asked for
  Status failure_;
};

// Copies at most `most` bytes into the buffer and answers how many.
uint64_t BufferedWriter::Gather(ByteSpan bytes, uint64_t most) {
  const uint64_t n = std::min({bytes.size, most, kBufferSize - used_});
  if (n != 0) memcpy(buffer_.get() + used_, bytes.data, static_cast<size_t>(n));
  used_ += n;
  return n;
}

Status BufferedWriter::Append(ByteSpan bytes) {
  TR_RETURN_IF_ERROR(Usable());
  if (buffer_ == nullptr) buffer_.reset(new uint8_t[kBufferSize]);
  while (bytes.size != 0) {
    uint64_t done = 0;
    if (bytes.size < kBufferSize) {
      done = Gather(bytes, kBufferSize);
      if (used_ == kBufferSize) TR_RETURN_IF_ERROR(Flush());
    } else {
      // Whole pages go straight; what is before them completes a page in the buffer.
      done = Gather(bytes, (kPageSize - (written_ + used_) % kPageSize) % kPageSize);
      TR_RETURN_IF_ERROR(Flush());
      const uint64_t straight = (bytes.size - done) / kPageSize * kPageSize;
      TR_RETURN_IF_ERROR(Write(bytes.Sub(done, straight)));
      done += straight;
    }
    bytes = bytes.Sub(done, bytes.size - done);
  }
  return Status();
}

Status BufferedWriter::Flush() {
  TR_RETURN_IF_ERROR(Write(ByteSpan(buffer_.get(), used_)));
  used_ = 0;
  return Status();
}

Status BufferedWriter::Write(ByteSpan bytes) {
  while (bytes.size != 0) {
    const uint64_t n = std::min(bytes.size, kPieceSize);
    int error = WriteAllAt(fd_.get(), bytes.Sub(0, n), written_);
    if (error == 0) {
      written_ += n;
      error = StartWriteback();
    }
    if (error != 0) return failure_ = WriteFailure(error, name_, written_);
    bytes = bytes.Sub(n, bytes.size - n);
  }
  return Status();
}

// Only a hint, but one that may be the first to hear that bytes are lost: 0 or that errno.
int BufferedWriter::StartWriteback() {
#ifdef SYNC_FILE_RANGE_WRITE
  if (written_ - started_ < kPieceSize) return 0;
  const off_t from = static_cast<off_t>(started_);
  const off_t n = static_cast<off_t>(written_ - started_);
  started_ = written_;
  if (sync_file_range(fd_.get(), from, n, SYNC_FILE_RANGE_WRITE) != 0) {
    if (errno == EIO || errno == ENOSPC || errno == EDQUOT) return errno;
  }
#endif
  return 0;
}

Status BufferedWriter::Sync() {
  TR_RETURN_IF_ERROR(Usable());
  TR_RETURN_IF_ERROR(Flush());
  const int error = SyncFd(fd_.get());
  if (error != 0) failure_ = SyncFailure(error, name_);
  return failure_;
}

Status BufferedWriter::Close() {
  if (!fd_.open()) return failure_;
  const Status flushed = failure_.ok() ? Flush() : failure_;
  const int error = fd_.CloseChecked();
  if (flushed.ok() && error != 0) {
    failure_ = StatusFromErrno(error, "cannot close '" + name_ + "'");
  }
  return failure_;
}

}  // namespace

std::unique_ptr<WritableFile> NewBufferedWriter(Fd fd, std::string path) {
  return std::make_unique<BufferedWriter>(std::move(fd), std::move(path));
}

}  // namespace treering::storage

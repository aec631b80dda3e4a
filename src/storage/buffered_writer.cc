// SPDX-License-Identifier: Apache-2.0
// A new file written on the calling thread, through the page cache.
//
// Many small appends would cost a system call each, and a big file would leave all of its writing
// to the fsync at the end. So small appends gather in one reused buffer, big ones go out in pieces
// that end at multiples of 1 MiB, and every 8 MiB the kernel is asked to start writing what lies
// behind, so that the device works while the caller prepares the next bytes.
//
// Invariant: gathered_ holds the bytes [offset_, offset_ + gathered_size_) of the file; all before
// is written. The first failure is kept and answers every later call.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "storage/posix.h"
#include "storage/posix_file.h"

namespace treering::storage {
namespace {

using base::Code;
using base::Status;

constexpr uint64_t kPiece = uint64_t{1} << 20;
constexpr uint64_t kBehind = uint64_t{8} << 20;

class BufferedWriter : public WritableFile {
 public:
  BufferedWriter(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  Status Append(base::ByteSpan bytes) override;
  Status Sync() override;
  Status Close() override;
  const std::string& name() const override { return name_; }

 private:
  Status Usable() const;
  Status Failed(int os_error) {
    failure_ = StatusFromErrno(os_error, "cannot write '" + name_ + "'");
    return failure_;
  }
  void Gather(base::ByteSpan bytes);
  Status WriteOut(base::ByteSpan bytes);
  Status WriteGathered();
  int StartWriteback();

  Fd fd_;
  std::string name_;
  std::unique_ptr<uint8_t[]> gathered_;
  uint64_t gathered_size_ = 0;
  uint64_t offset_ = 0;
  uint64_t started_ = 0;  // writing of the bytes before has been started
  Status failure_;
};

Status BufferedWriter::Usable() const {
  if (!failure_.ok() || fd_.open()) return failure_;
  return Status(Code::kWrongState, "'" + name_ + "' is closed");
}

Status BufferedWriter::Append(base::ByteSpan bytes) {
  TR_RETURN_IF_ERROR(Usable());
  while (bytes.size != 0) {
    const uint64_t to_boundary = kPiece - (offset_ + gathered_size_) % kPiece;
    const uint64_t n = std::min(bytes.size, to_boundary);
    if (n == kPiece) {  // a whole piece, and nothing gathered
      TR_RETURN_IF_ERROR(WriteOut(bytes.Sub(0, n)));
    } else {
      Gather(bytes.Sub(0, n));
      if (n == to_boundary) TR_RETURN_IF_ERROR(WriteGathered());
    }
    bytes = bytes.Sub(n, bytes.size - n);
  }
  return Status();
}

void BufferedWriter::Gather(base::ByteSpan bytes) {
  if (gathered_ == nullptr) gathered_.reset(new uint8_t[kPiece]);
  std::memcpy(gathered_.get() + gathered_size_, bytes.data, static_cast<size_t>(bytes.size));
  gathered_size_ += bytes.size;
}

Status BufferedWriter::WriteOut(base::ByteSpan bytes) {
  int error = WriteAllAt(fd_.get(), bytes, offset_);
  if (error != 0) return Failed(error);
  offset_ += bytes.size;
  if (offset_ - started_ >= kBehind) error = StartWriteback();
  return error == 0 ? Status() : Failed(error);
}

Status BufferedWriter::WriteGathered() {
  if (gathered_size_ == 0) return Status();
  const uint64_t size = std::exchange(gathered_size_, 0);
  return WriteOut(base::ByteSpan(gathered_.get(), size));
}

// Only a hint, but one that may be the first to hear that the bytes cannot be kept.
int BufferedWriter::StartWriteback() {
  const uint64_t from = std::exchange(started_, offset_);
#if defined(__linux__) && defined(SYNC_FILE_RANGE_WRITE)
  const int result = sync_file_range(fd_.get(), static_cast<off64_t>(from),
                                     static_cast<off64_t>(offset_ - from), SYNC_FILE_RANGE_WRITE);
  if (result != 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT)) return errno;
#else
  (void)from;
#endif
  return 0;
}

Status BufferedWriter::Sync() {
  TR_RETURN_IF_ERROR(Usable());
  TR_RETURN_IF_ERROR(WriteGathered());
  const int error = SyncFd(fd_.get());
  if (error == 0) return Status();
  const Status failed = StatusFromErrno(error, "cannot flush '" + name_ + "' to the medium");
  failure_ = Status(Code::kIoSync, std::string(failed.message()), error);
  return failure_;
}

Status BufferedWriter::Close() {
  if (!fd_.open()) return failure_;
  if (failure_.ok()) failure_ = WriteGathered();
  const int error = fd_.CloseChecked();
  if (error == 0 || !failure_.ok()) return failure_;
  failure_ = StatusFromErrno(error, "cannot close '" + name_ + "'");
  return failure_;
}

}  // namespace

std::unique_ptr<WritableFile> NewBufferedWriter(Fd fd, std::string path) {
  return std::make_unique<BufferedWriter>(std::move(fd), std::move(path));
}

}  // namespace treering::storage

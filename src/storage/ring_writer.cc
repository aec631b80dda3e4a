// SPDX-License-Identifier: Apache-2.0
// Writing a file by a few threads from a ring of buffers.
//
// The page cache costs a copy and leaves gigabytes behind that push out what the host needs. So
// appends are copied into a small ring of buffers that stay warm, and threads write the full ones
// straight to the disk while the caller fills the next. Adjacent full buffers are written in one
// call: the further the disk is behind, the larger its requests.
//
// Invariant: buffer i of the file (i = offset / kBufferSize) lives in slot i % kSlots, and is busy
// from being handed over until it is written. The caller alone touches the slot that is not busy at
// filled_. A file of up to kQuietSize starts no thread and is written by one plain call.
//
// Workers note errno and offset only; the caller turns the first into a status and keeps it.
#include <string.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/checked.h"
#include "base/parallel.h"
#include "storage/direct_file.h"
#include "storage/page_memory.h"
#include "storage/posix.h"
#include "storage/posix_file.h"

namespace treering::storage {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint64_t kBufferSize = uint64_t{1} << 20;
// Tried with 1 GiB on ext4 on a virtual disk, 2 cores shared with other work, two rounds of medians
// of 3, each beside raw direct writes: calls of one buffer were 18 to 28 % slower with one thread,
// buffers of 256 KiB about half as fast; 16 buffers were faster in one round, slower in the other.
constexpr uint64_t kSlots = 8;
constexpr uint64_t kMostAtOnce = 4;
constexpr uint64_t kQuietSize = 2 * kBufferSize;

class RingWriter : public WritableFile {
 public:
  RingWriter(Fd fd, std::string path, uint32_t threads)
      : file_(std::move(fd)),
        name_(std::move(path)),
        threads_(std::min(threads, static_cast<uint32_t>(kSlots))) {}
  ~RingWriter() override { Stop(); }

  Status Append(ByteSpan bytes) override;
  Status Sync() override;
  Status Close() override;
  const std::string& name() const override { return name_; }

 private:
  Status Usable() const { return failure_.ok() && !file_.open() ? ClosedFile(name_) : failure_; }
  Status HandOver();
  void Start();
  void Stop();
  Status Flush();
  Status WriteTail();
  Status Noted();
  void Work();
  void WriteOneRun(std::unique_lock<std::mutex>* lock);
  template <typename Condition>
  void WaitWhile(std::unique_lock<std::mutex>* lock, Condition condition);
  uint8_t* Slot(uint64_t buffer) { return ring_.data() + buffer % kSlots * kBufferSize; }
  uint64_t size() const { return filled_ * kBufferSize + used_; }

  // The caller's.
  DirectFile file_;
  std::string name_;
  uint32_t threads_;
  PageMemory ring_;
  uint64_t used_ = 0;     // bytes in the slot at filled_
  uint64_t flushed_ = 0;  // the file is this long and whole
  bool started_ = false;
  uint32_t workers_ = 0;
  Status failure_;

  // Shared, under the mutex; filled_ is changed by the caller only.
  std::mutex mutex_;
  std::condition_variable work_, space_;
  uint64_t filled_ = 0;  // buffers handed over
  uint64_t taken_ = 0;   // buffers below are written or being written
  uint64_t done_ = 0;    // this many have been written, in any order
  bool busy_[kSlots] = {};
  bool stop_ = false;
  int error_ = 0;
  uint64_t error_offset_ = 0;

  base::ThreadGroup group_;
};

Status RingWriter::Append(ByteSpan bytes) {
  TR_RETURN_IF_ERROR(Usable());
  if (ring_.data() == nullptr && !ring_.Map(kSlots * kBufferSize)) {
    return Status(Code::kNoMemory, "out of memory for the buffers of '" + name_ + "'");
  }
  while (bytes.size != 0) {
    if (used_ == kBufferSize) TR_RETURN_IF_ERROR(HandOver());
    const uint64_t n = std::min(bytes.size, kBufferSize - used_);
    memcpy(Slot(filled_) + used_, bytes.data, static_cast<size_t>(n));
    used_ += n;
    bytes = bytes.Sub(n, bytes.size - n);
  }
  return Status();
}

// Gives the full buffer to the workers and waits until the next slot is free.
Status RingWriter::HandOver() {
  if (!started_ && size() >= kQuietSize) Start();
  if (started_) {
    const int error = file_.Reserve(size());
    if (error != 0) return failure_ = WriteFailure(error, name_, size() - kBufferSize);
  }
  std::unique_lock<std::mutex> lock(mutex_);
  busy_[filled_ % kSlots] = true;
  ++filled_;
  used_ = 0;
  if (!started_) return Status();
  work_.notify_one();
  WaitWhile(&lock, [this] { return busy_[filled_ % kSlots]; });
  return Noted();
}

void RingWriter::Start() {
  started_ = true;
  ring_.PreferHugePages();
  file_.GoDirect(kBufferSize);
  workers_ = group_.Start(threads_, [this](uint32_t) { Work(); });
}

// With no threads to be had, the caller does their work instead of waiting.
template <typename Condition>
void RingWriter::WaitWhile(std::unique_lock<std::mutex>* lock, Condition condition) {
  while (condition()) {
    if (workers_ == 0) {
      WriteOneRun(lock);
    } else {
      space_.wait(*lock);
    }
  }
}

void RingWriter::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return stop_ || taken_ < filled_; });
    if (stop_) return;
    WriteOneRun(&lock);
  }
}

// Takes the oldest full buffers and writes them with the lock let go. After a failure buffers are
// dropped: the file is lost, and the caller must not wait for ever.
void RingWriter::WriteOneRun(std::unique_lock<std::mutex>* lock) {
  const uint64_t first = taken_;
  const uint64_t to_end_of_ring = kSlots - first % kSlots;
  const uint64_t count = std::min({filled_ - first, to_end_of_ring, kMostAtOnce});
  const bool lost = error_ != 0;
  taken_ += count;
  lock->unlock();
  const uint64_t offset = first * kBufferSize;
  const int error = lost ? 0 : file_.WriteAt(ByteSpan(Slot(first), count * kBufferSize), offset);
  lock->lock();
  if (error != 0 && error_ == 0) {
    error_ = error;
    error_offset_ = offset;
  }
  for (uint64_t i = 0; i < count; ++i) busy_[(first + i) % kSlots] = false;
  done_ += count;
  space_.notify_one();
}

// Under the lock: what a worker has noted becomes the failure of the file.
Status RingWriter::Noted() {
  if (error_ != 0 && failure_.ok()) failure_ = WriteFailure(error_, name_, error_offset_);
  return failure_;
}

// Everything appended is in the file, which has its exact size. More may be appended: the slot of
// the last, partial buffer stays as it is and is written again when it is full.
Status RingWriter::Flush() {
  if (!failure_.ok() || flushed_ == size()) return failure_;
  if (!started_) {
    const int error = file_.WriteAt(ByteSpan(ring_.data(), size()), 0);
    if (error != 0) return failure_ = WriteFailure(error, name_, 0);
  } else {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      WaitWhile(&lock, [this] { return done_ < filled_; });
      TR_RETURN_IF_ERROR(Noted());
    }
    TR_RETURN_IF_ERROR(WriteTail());
  }
  flushed_ = size();
  return Status();
}

// The partial buffer, padded to whole blocks; then the padding and what was reserved are cut off.
Status RingWriter::WriteTail() {
  uint64_t padded = 0;
  if (!base::CheckedAlignUp(used_, file_.granularity(), &padded)) padded = kBufferSize;
  uint8_t* const tail = Slot(filled_);
  memset(tail + used_, 0, static_cast<size_t>(padded - used_));
  const uint64_t offset = filled_ * kBufferSize;
  int error = file_.WriteAt(ByteSpan(tail, padded), offset);
  if (error == 0) error = file_.Truncate(size());
  if (error != 0) failure_ = WriteFailure(error, name_, offset);
  return failure_;
}

Status RingWriter::Sync() {
  TR_RETURN_IF_ERROR(Usable());
  TR_RETURN_IF_ERROR(Flush());
  const int error = file_.Sync();
  if (error != 0) failure_ = SyncFailure(error, name_);
  return failure_;
}

Status RingWriter::Close() {
  if (!file_.open()) return failure_;
  const Status flushed = Flush();
  Stop();
  const int error = file_.Close();
  if (flushed.ok() && error != 0) failure_ = StatusFromErrno(error, "cannot close '" + name_ + "'");
  return failure_;
}

void RingWriter::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  group_.Join();
}

}  // namespace

std::unique_ptr<WritableFile> NewRingWriter(Fd fd, std::string path, uint32_t threads) {
  return std::make_unique<RingWriter>(std::move(fd), std::move(path), threads);
}

}  // namespace treering::storage

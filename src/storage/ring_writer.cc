// SPDX-License-Identifier: Apache-2.0
// A new file written by threads from a ring of reused buffers, past the page cache.
//
// The appending thread copies into the current buffer; full ones are taken by threads that pwrite
// them with O_DIRECT. Whole, aligned buffers at multiples of their size satisfy any file system's
// alignment; one that still says EINVAL gets ordinary writes from then on. The size is allocated
// ahead in growing steps, because direct writes that extend a file wait for each other.
//
// A small file pays for none of this: until three buffers are needed, there are no threads.
//
// Invariant: buffers are full in ring order from taken_ to filled_; a thread takes a run of
// neighbours, so free and full ones never mix behind it. The last, partial buffer is written
// through the page cache by Sync or Close, which then cut the file to its size. The first failure
// is kept, ends the threads' work and answers every later call.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>

#include "base/parallel.h"
#include "storage/posix.h"
#include "storage/posix_file.h"

namespace treering::storage {
namespace {

using base::Code;
using base::Status;

constexpr uint64_t kBuffer = uint64_t{1} << 20;
constexpr uint64_t kBuffers = 8;
constexpr uint64_t kBeforeThreads = 2;  // full buffers that wait before threads are started
constexpr uint64_t kLongestRun = 1;     // buffers per write
constexpr uint64_t kFirstStep = uint64_t{16} << 20;
constexpr uint64_t kLastStep = uint64_t{256} << 20;
constexpr std::align_val_t kAlignment{uint64_t{2} << 20};

struct AlignedFree {
  void operator()(uint8_t* p) const { ::operator delete(p, kAlignment); }
};

class RingWriter : public WritableFile {
 public:
  RingWriter(Fd fd, std::string name, uint32_t threads)
      : fd_(std::move(fd)), name_(std::move(name)), wanted_threads_(threads) {}
  ~RingWriter() override { StopThreads(); }

  Status Append(base::ByteSpan bytes) override;
  Status Sync() override;
  Status Close() override;
  const std::string& name() const override { return name_; }

 private:
  uint8_t* Buffer(uint64_t number) const { return ring_.get() + number % kBuffers * kBuffer; }
  Status Usable() const;
  Status Keep(Status failure) { return failure_ = std::move(failure); }
  Status NextBuffer();
  void Start();
  void Drain(bool wait);
  uint64_t RunLength() const;
  void WriteRun(uint64_t first, uint64_t count);
  void Preallocate(uint64_t end);
  void LeaveDirect();
  int WaitForThreads(uint64_t most_pending);
  Status Flush();
  void StopThreads();

  Fd fd_;
  std::string name_;
  uint32_t wanted_threads_;
  std::unique_ptr<uint8_t, AlignedFree> ring_;
  uint64_t fill_ = 0;       // bytes in the current buffer, number filled_
  uint64_t allocated_ = 0;  // size of the file as far as it was allocated ahead
  uint64_t step_ = kFirstStep;
  bool started_ = false;
  uint32_t threads_ = 0;
  Status failure_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable work_;
  std::condition_variable room_;
  uint64_t filled_ = 0;       // buffers filled so far; written by the appending thread alone
  uint64_t taken_ = 0;        // buffers taken by threads so far
  uint64_t written_ = 0;      // buffers written so far, those after the first gap not counted
  bool done_[kBuffers] = {};  // written, but a buffer before it is not yet
  int error_ = 0;
  bool stop_ = false;
  bool direct_ = false;
  base::ThreadGroup group_;
};

Status RingWriter::Usable() const {
  if (!failure_.ok() || fd_.open()) return failure_;
  return Status(Code::kWrongState, "'" + name_ + "' is closed");
}

Status RingWriter::Append(base::ByteSpan bytes) {
  TR_RETURN_IF_ERROR(Usable());
  if (ring_ == nullptr) {
    ring_.reset(static_cast<uint8_t*>(::operator new(kBuffers* kBuffer, kAlignment)));
  }
  while (bytes.size != 0) {
    if (fill_ == kBuffer) TR_RETURN_IF_ERROR(NextBuffer());
    const uint64_t n = std::min(bytes.size, kBuffer - fill_);
    std::memcpy(Buffer(filled_) + fill_, bytes.data, static_cast<size_t>(n));
    fill_ += n;
    bytes = bytes.Sub(n, bytes.size - n);
  }
  return Status();
}

// Hands the full current buffer over and waits for a free one.
Status RingWriter::NextBuffer() {
  if (!started_ && filled_ + 1 >= kBeforeThreads) Start();
  Preallocate((filled_ + 1) * kBuffer);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++filled_;
  }
  fill_ = 0;
  work_.notify_one();
  if (started_ && threads_ == 0) Drain(false);
  const int error = WaitForThreads(kBuffers - 1);
  return error == 0 ? Status() : Keep(StatusFromErrno(error, "cannot write '" + name_ + "'"));
}

// The error of the threads, or 0 once at most `most_pending` buffers are full and not written.
int RingWriter::WaitForThreads(uint64_t most_pending) {
  std::unique_lock<std::mutex> lock(mutex_);
  room_.wait(lock, [&] { return error_ != 0 || filled_ - written_ <= most_pending; });
  return error_;
}

void RingWriter::Start() {
  started_ = true;
#ifdef O_DIRECT
  const int flags = fcntl(fd_.get(), F_GETFL);
  direct_ = flags >= 0 && fcntl(fd_.get(), F_SETFL, flags | O_DIRECT) == 0;
#endif
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  madvise(ring_.get(), kBuffers * kBuffer, MADV_HUGEPAGE);
#endif
  const uint32_t most = static_cast<uint32_t>(kBuffers);
  threads_ = group_.Start(std::min(wanted_threads_, most), [this](uint32_t) { Drain(true); });
}

// Writes full buffers: a thread until it is told to stop, the appending thread (`wait` is false)
// until none is left.
void RingWriter::Drain(bool wait) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (wait) work_.wait(lock, [&] { return stop_ || error_ != 0 || taken_ < filled_; });
    if (stop_ || error_ != 0 || taken_ == filled_) return;
    const uint64_t first = taken_;
    const uint64_t count = RunLength();
    taken_ += count;
    lock.unlock();
    WriteRun(first, count);
    lock.lock();
  }
}

// How many neighbours to write at once, up to the end of the ring's memory.
uint64_t RingWriter::RunLength() const {
  const uint64_t to_end = kBuffers - taken_ % kBuffers;
  return std::min({filled_ - taken_, to_end, kLongestRun});
}

void RingWriter::WriteRun(uint64_t first, uint64_t count) {
  const base::ByteSpan bytes(Buffer(first), count * kBuffer);
  int error = WriteAllAt(fd_.get(), bytes, first * kBuffer);
  if (error == EINVAL) {
    LeaveDirect();
    error = WriteAllAt(fd_.get(), bytes, first * kBuffer);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  if (error != 0 && error_ == 0) error_ = error;
  for (uint64_t i = first; i < first + count; ++i) done_[i % kBuffers] = true;
  while (written_ < taken_ && done_[written_ % kBuffers]) done_[written_++ % kBuffers] = false;
  room_.notify_one();
  if (error != 0) work_.notify_all();
}

void RingWriter::LeaveDirect() {
#ifdef O_DIRECT
  std::lock_guard<std::mutex> lock(mutex_);
  if (!direct_) return;
  direct_ = false;
  const int flags = fcntl(fd_.get(), F_GETFL);
  if (flags >= 0) fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT);
#endif
}

// Only speed: a file system that cannot, or has no room for a whole step, is left to the writes,
// which say by themselves when the space has run out.
void RingWriter::Preallocate(uint64_t end) {
#ifdef __linux__
  if (!started_ || end <= allocated_ || step_ == 0) return;
  const off_t from = static_cast<off_t>(allocated_);
  if (fallocate(fd_.get(), 0, from, static_cast<off_t>(step_)) == 0) {
    allocated_ += step_;
    step_ = std::min(step_ * 2, kLastStep);
  } else if (errno != EINTR) {
    step_ = 0;
    allocated_ = UINT64_MAX;  // unknown: cut at the end in any case
  }
#else
  (void)end;
#endif
}

// Everything appended is in the file, and the file is exactly that long.
Status RingWriter::Flush() {
  int error = 0;
  if (!started_ && filled_ != 0) {
    error = WriteAllAt(fd_.get(), base::ByteSpan(Buffer(0), filled_ * kBuffer), 0);
  } else if (started_) {
    error = WaitForThreads(0);
    LeaveDirect();
  }
  const uint64_t at = filled_ * kBuffer;
  if (error == 0) error = WriteAllAt(fd_.get(), base::ByteSpan(Buffer(filled_), fill_), at);
  if (error == 0 && allocated_ > at + fill_) {
    error = ftruncate(fd_.get(), static_cast<off_t>(at + fill_)) == 0 ? 0 : errno;
    allocated_ = at + fill_;
    step_ = 0;
  }
  return error == 0 ? Status() : Keep(StatusFromErrno(error, "cannot write '" + name_ + "'"));
}

Status RingWriter::Sync() {
  TR_RETURN_IF_ERROR(Usable());
  TR_RETURN_IF_ERROR(Flush());
  const int error = SyncFd(fd_.get());
  if (error == 0) return Status();
  const Status failed = StatusFromErrno(error, "cannot flush '" + name_ + "' to the medium");
  return Keep(Status(Code::kIoSync, std::string(failed.message()), error));
}

Status RingWriter::Close() {
  if (!fd_.open()) return failure_;
  if (failure_.ok()) failure_ = Flush();
  StopThreads();
  const int error = fd_.CloseChecked();
  if (error == 0 || !failure_.ok()) return failure_;
  return Keep(StatusFromErrno(error, "cannot close '" + name_ + "'"));
}

void RingWriter::StopThreads() {
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

// SPDX-License-Identifier: Apache-2.0
// Files behind functions of the caller: an object store, a socket, a test.
//
// The caller knows how to move bytes and nothing else, so a callback does all or answers a number
// that is not zero. That number is passed on as it is, as the error of the system below us; a write
// that answers ENOSPC or EDQUOT is told apart, since a person can do something about it. The bounds
// are checked here: a callback never sees a range outside the size that was promised.
//
// After a failed write the file stays failed, because what has arrived is not known any more.
// Retrying, and what makes bytes durable, is left to the caller.
#include "storage/callback.h"

#include <cerrno>
#include <utility>

#include "base/checked.h"

namespace treering::storage {
namespace {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;

Status Failed(const char* operation, const std::string& name, int32_t answer, uint64_t offset,
              Code code = Code::kIo) {
  return Status(code,
                std::string("cannot ") + operation + " '" + name +
                    "': the caller's function answered " + std::to_string(answer),
                answer, offset);
}

Code CodeOfWrite(int32_t answer) {
#ifdef EDQUOT
  if (answer == EDQUOT) return Code::kIoNoSpace;
#endif
  return answer == ENOSPC ? Code::kIoNoSpace : Code::kIo;
}

class CallbackFile : public ReadableFile {
 public:
  CallbackFile(ReadAtCallback read_at, uint64_t size, std::string name)
      : read_at_(std::move(read_at)), size_(size), name_(std::move(name)) {}

  Status ReadAt(uint64_t offset, void* dst, uint64_t n) const override {
    if (!base::InBounds(offset, n, size_)) {
      return Status(Code::kCorruptTruncated,
                    "'" + name_ + "' ends at byte " + std::to_string(size_) +
                        ", before the bytes that were asked for; restore a whole copy",
                    0, size_);
    }
    if (n == 0) return Status();
    const int32_t answer = read_at_(offset, dst, n);
    return answer == 0 ? Status() : Failed("read", name_, answer, offset);
  }
  Result<std::shared_ptr<const Region>> Map() const override {
    return Status(Code::kUnsupportedNoView,
                  "'" + name_ + "' is read by a function and cannot be mapped; copy instead");
  }
  uint64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }

 private:
  ReadAtCallback read_at_;
  uint64_t size_;
  std::string name_;
};

class CallbackWriter : public WritableFile {
 public:
  CallbackWriter(WriteCallback write, FlushCallback flush)
      : write_(std::move(write)), flush_(std::move(flush)) {}

  Status Append(ByteSpan bytes) override {
    TR_RETURN_IF_ERROR(Usable());
    if (bytes.size == 0) return Status();
    const int32_t answer = write_(bytes.data, bytes.size);
    if (answer != 0) return failure_ = Failed("write", name_, answer, size_, CodeOfWrite(answer));
    size_ += bytes.size;
    return Status();
  }
  Status Sync() override {
    TR_RETURN_IF_ERROR(Usable());
    if (!flush_) return Status();
    const int32_t answer = flush_();
    if (answer != 0) failure_ = Failed("flush", name_, answer, Status::kNoOffset, Code::kIoSync);
    return failure_;
  }
  Status Close() override {
    closed_ = true;
    return failure_;
  }
  const std::string& name() const override { return name_; }

 private:
  Status Usable() const {
    if (!failure_.ok() || !closed_) return failure_;
    return Status(Code::kWrongState, "'" + name_ + "' is closed");
  }

  WriteCallback write_;
  FlushCallback flush_;
  uint64_t size_ = 0;
  Status failure_;
  bool closed_ = false;
  std::string name_ = "callback";
};

}  // namespace

std::unique_ptr<ReadableFile> OpenCallback(ReadAtCallback read_at, uint64_t size,
                                           std::string name) {
  return std::make_unique<CallbackFile>(std::move(read_at), size, std::move(name));
}

std::unique_ptr<WritableFile> WriteToCallback(WriteCallback write, FlushCallback flush) {
  return std::make_unique<CallbackWriter>(std::move(write), std::move(flush));
}

}  // namespace treering::storage

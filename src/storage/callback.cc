// SPDX-License-Identifier: Apache-2.0
// Files behind the caller's read, write and flush functions.
//
// A caller brings its own storage (an object store, a socket, an archive) as functions that answer
// an errno-like number. Reads are checked against the size that was given before the caller is
// asked, so a damaged container cannot make it read elsewhere.
//
// The caller's number is passed on and never interpreted: what it means is known to the caller
// alone. The first failure of a writer is kept; flush is not called after it.
#include "storage/callback.h"

#include "base/checked.h"

namespace treering::storage {
namespace {

using base::Code;
using base::Result;
using base::Status;

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
    const int32_t error = read_at_(offset, dst, n);
    if (error == 0) return Status();
    return Status(
        Code::kIo,
        "cannot read '" + name_ + "': the read callback answered " + std::to_string(error), error,
        offset);
  }
  Result<std::shared_ptr<const Region>> Map() const override {
    return Status(Code::kUnsupportedNoView,
                  "'" + name_ + "' is read through a callback and cannot be mapped; copy instead");
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

  Status Append(base::ByteSpan bytes) override {
    TR_RETURN_IF_ERROR(Usable());
    if (bytes.size == 0) return Status();
    return Kept(write_(bytes.data, bytes.size), Code::kIo, "write");
  }
  Status Sync() override {
    TR_RETURN_IF_ERROR(Usable());
    return flush_ ? Kept(flush_(), Code::kIoSync, "flush") : Status();
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
  Status Kept(int32_t error, Code code, const char* what) {
    if (error == 0) return Status();
    failure_ = Status(code,
                      std::string("cannot ") + what + ": the " + what + " callback answered " +
                          std::to_string(error),
                      error);
    return failure_;
  }

  WriteCallback write_;
  FlushCallback flush_;
  Status failure_;
  bool closed_ = false;
  std::string name_ = "write callback";
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

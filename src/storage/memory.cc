// SPDX-License-Identifier: Apache-2.0
// Files that are bytes in memory.
//
// Containers also come from and go to memory: a blob of a database, a test, a message. Reading
// copies out of a region that the file keeps alive; mapping hands out that same region, so that a
// view lives as long as its holder, not as long as the file. Writing appends to the caller's
// vector; there is nothing to flush and nothing to close.
//
// Whether borrowed bytes stay unchanged is the caller's promise and not checked here.
#include "storage/memory.h"

#include <string.h>

#include <utility>

#include "base/checked.h"

namespace treering::storage {
namespace {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;

class Borrowed : public Region {
 public:
  explicit Borrowed(ByteSpan bytes) { bytes_ = bytes; }
};

class Owned : public Region {
 public:
  explicit Owned(std::vector<uint8_t> bytes) : buffer_(std::move(bytes)) {
    bytes_ = ByteSpan(buffer_);
  }

 private:
  std::vector<uint8_t> buffer_;
};

class RegionFile : public ReadableFile {
 public:
  RegionFile(std::shared_ptr<const Region> region, std::string name)
      : region_(std::move(region)), name_(std::move(name)) {}

  Status ReadAt(uint64_t offset, void* dst, uint64_t n) const override {
    const ByteSpan bytes = region_->bytes();
    if (!base::InBounds(offset, n, bytes.size)) {
      return Status(Code::kCorruptTruncated,
                    "'" + name_ + "' ends at byte " + std::to_string(bytes.size) +
                        ", before the bytes that were asked for; restore a whole copy",
                    0, bytes.size);
    }
    if (n != 0) memcpy(dst, bytes.data + offset, static_cast<size_t>(n));
    return Status();
  }
  Result<std::shared_ptr<const Region>> Map() const override { return region_; }
  uint64_t size() const override { return region_->bytes().size; }
  const std::string& name() const override { return name_; }

 private:
  std::shared_ptr<const Region> region_;
  std::string name_;
};

class VectorWriter : public WritableFile {
 public:
  explicit VectorWriter(std::vector<uint8_t>* out) : out_(out) {}

  Status Append(ByteSpan bytes) override {
    if (bytes.size > out_->max_size() - out_->size()) {
      return Status(Code::kNoMemory, "what is written does not fit into memory");
    }
    if (bytes.size != 0) out_->insert(out_->end(), bytes.data, bytes.data + bytes.size);
    return Status();
  }
  Status Sync() override { return Status(); }
  Status Close() override { return Status(); }
  const std::string& name() const override { return name_; }

 private:
  std::vector<uint8_t>* out_;
  std::string name_ = "memory";
};

}  // namespace

std::unique_ptr<ReadableFile> OpenRegion(std::shared_ptr<const Region> region, std::string name) {
  return std::make_unique<RegionFile>(std::move(region), std::move(name));
}

std::shared_ptr<const Region> BorrowedRegion(ByteSpan bytes) {
  return std::make_shared<const Borrowed>(bytes);
}

std::shared_ptr<const Region> OwnedRegion(std::vector<uint8_t> bytes) {
  return std::make_shared<const Owned>(std::move(bytes));
}

std::unique_ptr<WritableFile> WriteToVector(std::vector<uint8_t>* out) {
  return std::make_unique<VectorWriter>(out);
}

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// Files that are memory: a region to read, a vector to append to.
//
// A container in memory must behave as one on disk does, down to the status of a read past its end.
// A region is always its own map, so reading from memory never copies unless asked to.
//
// Keeping borrowed bytes alive and unchanged is the caller's; running out of memory while appending
// leaves the vector as it was.
#include "storage/memory.h"

#include <cstring>

#include "base/checked.h"

namespace treering::storage {
namespace {

using base::Code;
using base::Result;
using base::Status;

class Borrowed : public Region {
 public:
  explicit Borrowed(base::ByteSpan bytes) { bytes_ = bytes; }
};

class Owned : public Region {
 public:
  explicit Owned(std::vector<uint8_t> bytes) : kept_(std::move(bytes)) {
    bytes_ = base::ByteSpan(kept_);
  }

 private:
  std::vector<uint8_t> kept_;
};

class RegionFile : public ReadableFile {
 public:
  RegionFile(std::shared_ptr<const Region> region, std::string name)
      : region_(std::move(region)), name_(std::move(name)) {}

  Status ReadAt(uint64_t offset, void* dst, uint64_t n) const override {
    const base::ByteSpan all = region_->bytes();
    if (!base::InBounds(offset, n, all.size)) {
      return Status(Code::kCorruptTruncated,
                    "'" + name_ + "' ends at byte " + std::to_string(all.size) +
                        ", before the bytes that were asked for; restore a whole copy",
                    0, all.size);
    }
    if (n != 0) std::memcpy(dst, all.data + offset, static_cast<size_t>(n));
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

  Status Append(base::ByteSpan bytes) override {
    if (closed_) return Status(Code::kWrongState, "'" + name_ + "' is closed");
    if (bytes.size != 0) out_->insert(out_->end(), bytes.data, bytes.data + bytes.size);
    return Status();
  }
  Status Sync() override {
    return closed_ ? Status(Code::kWrongState, "'" + name_ + "' is closed") : Status();
  }
  Status Close() override {
    closed_ = true;
    return Status();
  }
  const std::string& name() const override { return name_; }

 private:
  std::vector<uint8_t>* out_;
  bool closed_ = false;
  std::string name_ = "memory";
};

}  // namespace

std::unique_ptr<ReadableFile> OpenRegion(std::shared_ptr<const Region> region, std::string name) {
  return std::make_unique<RegionFile>(std::move(region), std::move(name));
}

std::shared_ptr<const Region> BorrowedRegion(base::ByteSpan bytes) {
  return std::make_shared<const Borrowed>(bytes);
}

std::shared_ptr<const Region> OwnedRegion(std::vector<uint8_t> bytes) {
  return std::make_shared<const Owned>(std::move(bytes));
}

std::unique_ptr<WritableFile> WriteToVector(std::vector<uint8_t>* out) {
  return std::make_unique<VectorWriter>(out);
}

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// Opens containers from memory and counts what is read of them.
#pragma once

#include <atomic>

#include "container/container.h"
#include "ring_builder.h"

namespace written {

namespace container = treering::container;
using container::Container;
using container::LoadOptions;
using container::OpenOptions;
using container::ReadOptions;
using container::ReadRequest;

struct Counts {
  std::atomic<uint64_t> reads{0};
  std::atomic<uint64_t> bytes{0};
};

// A file in memory that cannot be mapped unless asked for.
class CountingFile : public storage::ReadableFile {
 public:
  CountingFile(const Bytes& bytes, Counts* counts)
      : file_(storage::OpenRegion(storage::BorrowedRegion(ByteSpan(bytes)), "x.ring")),
        counts_(counts) {}
  Status ReadAt(uint64_t offset, void* dst, uint64_t n) const override {
    ++counts_->reads;
    counts_->bytes += n;
    return file_->ReadAt(offset, dst, n);
  }
  base::Result<std::shared_ptr<const storage::Region>> Map() const override { return file_->Map(); }
  uint64_t size() const override { return file_->size(); }
  const std::string& name() const override { return file_->name(); }

 private:
  std::unique_ptr<storage::ReadableFile> file_;
  Counts* counts_;
};

struct Opened {
  std::shared_ptr<const Container> container;
  Status status;
  const Container* operator->() const { return container.get(); }
};

// `bytes` outlive the container.
inline Opened OpenBytes(const Bytes& bytes, OpenOptions options = OpenOptions(),
                        Counts* counts = nullptr) {
  static Counts unused;
  auto opened = Container::Open(
      std::make_unique<CountingFile>(bytes, counts != nullptr ? counts : &unused), options);
  Opened out;
  if (opened.ok()) out.container = opened.value();
  out.status = opened.status();
  return out;
}
inline OpenOptions Mapped() {
  OpenOptions options;
  options.map = true;
  return options;
}

// The raw bytes of a leaf, empty where reading fails.
inline Bytes ReadWhole(const Container& c, uint32_t node, Status* status) {
  auto info = c.Node(node);
  if (!info.ok()) {
    *status = info.status();
    return Bytes();
  }
  Bytes out(static_cast<size_t>(std::min<uint64_t>(info->value.size, 1 << 26)) + 1);
  ReadRequest request;
  request.node = node;
  request.dst = out.data();
  request.dst_size = info->value.size;
  if (info->value.size >= out.size()) request.dst_size = out.size();
  *status = c.Read(&request, 1, ReadOptions());
  out.pop_back();
  return out;
}
inline Code ReadCode(const Container& c, uint32_t node) {
  Status status;
  ReadWhole(c, node, &status);
  return status.code();
}

}  // namespace written

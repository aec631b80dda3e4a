// SPDX-License-Identifier: Apache-2.0
// Making an open container, and the small answers that it gives about itself.
//
// Opening does as little as it can: both ends of the file are read and checked (frame.h), an index
// view is made over blocks that nobody has read yet, and the first question pays for what it
// touches. Everything after that is const and may run on many threads; the only state that changes
// is which blocks are verified and which other files are open, each behind its own mutex.
#include <string>
#include <utility>

#include "container/frame.h"
#include "container/reader.h"

namespace treering::container {

using base::Code;
using base::Result;
using base::Status;

Reader::Reader(std::unique_ptr<storage::ReadableFile> file, OpenOptions options)
    : file_(std::move(file)), options_(std::move(options)) {
  if (options_.max_index_bytes == 0) options_.max_index_bytes = uint64_t{1} << 30;
  if (options_.max_depth == 0) options_.max_depth = tree::kMaxDepth;
}

Status Reader::Open() {
  if (options_.max_depth > tree::kMostDepth) {
    return Status(Code::kInvalidArgument, "max_depth is " + std::to_string(options_.max_depth) +
                                              "; use at most " + std::to_string(tree::kMostDepth) +
                                              ", or 0 for " + std::to_string(tree::kMaxDepth));
  }
  if (options_.map && file_->size() != 0) {
    auto region = file_->Map();
    if (region.ok()) region_ = std::move(region.value());
    if (!region.ok() && region.status().code() != Code::kUnsupportedNoView) {
      return std::move(region.status());
    }
  }
  Frame frame;
  TR_RETURN_IF_ERROR(ReadFrame(*file_, region_, options_.max_index_bytes, &frame));
  TR_ASSIGN_OR_RETURN(
      index_, IndexView::Create(file_.get(), region_, frame.trailer, frame.tail, frame.table));
  others_.Start(index_.get(), &options_, &file_->name());
  chunks_.Start(ChunkFile{file_.get(), region_, frame.trailer.index_offset}, &others_,
                &file_->name());
  return Status();
}

Result<std::shared_ptr<const Container>> Container::Open(
    std::unique_ptr<storage::ReadableFile> file, OpenOptions options) {
  auto reader = std::make_shared<Reader>(std::move(file), std::move(options));
  TR_RETURN_IF_ERROR(reader->Open());
  return std::shared_ptr<const Container>(std::move(reader));
}

Result<std::string_view> Reader::metadata() const {
  const uint64_t size = index_->trailer().sections[format::kMetadata].size();
  TR_ASSIGN_OR_RETURN(const base::ByteSpan bytes, index_->Bytes(format::kMetadata, 0, size));
  return bytes.text();
}

Result<base::ByteSpan> Reader::StoredChunk(const format::ChunkRecord& chunk,
                                           std::vector<uint8_t>* scratch) const {
  TR_ASSIGN_OR_RETURN(const ChunkFile* where, chunks_.Locate(chunk));
  base::ByteSpan stored;
  if (where->region != nullptr) {
    stored = where->region->bytes().Sub(chunk.offset, chunk.stored_size);
  } else {
    if (scratch->size() < chunk.stored_size) scratch->resize(chunk.stored_size);
    TR_RETURN_IF_ERROR(where->file->ReadAt(chunk.offset, scratch->data(), chunk.stored_size));
    stored = base::ByteSpan(scratch->data(), chunk.stored_size);
  }
  TR_RETURN_IF_ERROR(chunks_.Verify(chunk, stored));
  return stored;
}

Status Reader::Broken(std::string what) const {
  return Status(Code::kCorruptStructure,
                "'" + name() + "': " + std::move(what) + "; restore an intact copy");
}

std::string Reader::DisplayName(uint32_t id) const {
  Result<std::string> path = Path(id);
  if (!path.ok()) return "node " + std::to_string(id);
  return path->empty() ? "the root" : "'" + *path + "'";
}

Status Reader::Named(uint32_t id, Status status) const {
  return status.ok() ? std::move(status) : std::move(status).WithContext(DisplayName(id));
}

}  // namespace treering::container

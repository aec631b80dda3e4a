// SPDX-License-Identifier: Apache-2.0
// Writing the index behind the chunks: sections, block hashes, trailer.
//
// Sections are written from where they were built; only a block that straddles two of them, or a
// section and padding, is put together in a buffer to be hashed. Everything is laid out before a
// byte is written, so a limit that is reached leaves the file without an end.
//
// FORMAT.md sections 5, 7.3 and 12 say what is made here.
#include <algorithm>
#include <string>

#include "base/checked.h"
#include "container/index_builder.h"

namespace treering::container {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint64_t kSectionAlignment = 64;
constexpr uint8_t kZeros[kSectionAlignment] = {};

// Hashes a stream of bytes in blocks of the index, each hash appended to the table.
class BlockHasher {
 public:
  explicit BlockHasher(std::vector<uint8_t>* table) : table_(table) {}

  void Update(ByteSpan bytes) {
    while (bytes.size != 0) {
      uint64_t taken = format::kBlockSize;
      if (held_.empty() && bytes.size >= taken) {
        Add(bytes.Sub(0, taken));
      } else {
        taken = std::min(bytes.size, format::kBlockSize - held_.size());
        held_.insert(held_.end(), bytes.data, bytes.data + taken);
        if (held_.size() == format::kBlockSize) Finish();
      }
      bytes = bytes.Sub(taken, bytes.size - taken);
    }
  }
  void Finish() {
    if (!held_.empty()) Add(ByteSpan(held_));
    held_.clear();
  }

 private:
  void Add(ByteSpan block) { base::ByteWriter(table_).U64(codec::Hash64(block)); }
  std::vector<uint8_t>* table_;
  std::vector<uint8_t> held_;
};

uint64_t PaddingBehind(uint64_t size) {
  return (kSectionAlignment - size % kSectionAlignment) % kSectionAlignment;
}

}  // namespace

// Where a child was hashed to or behind, in order of node id: section 7.3.
void IndexBuilder::FillHashSlots() {
  const uint64_t count = format::HashSlotsFor(hashed_.size());
  std::vector<uint8_t>& slots = section(format::kHashSlots);
  slots.assign(count * format::kStride[format::kHashSlots], 0);
  for (const Hashed& entry : hashed_) {
    uint64_t slot = entry.hash & (count - 1);
    while (base::LoadLe32(slots.data() + slot * 8 + 4) != 0) slot = (slot + 1) & (count - 1);
    base::StoreLe32(slots.data() + slot * 8, static_cast<uint32_t>(entry.hash >> 32));
    base::StoreLe32(slots.data() + slot * 8 + 4, entry.node);
  }
  std::vector<Hashed>().swap(hashed_);
}

Status IndexBuilder::LayOut(format::Trailer* trailer) {
  uint64_t offset = 0;
  for (uint32_t i = 0; i < format::kSectionCount; ++i) {
    const uint32_t stride = format::kStride[i];
    if (stride == 0) continue;  // reserved: all zero
    const uint64_t count = sections_[i].size() / stride;
    if (count > UINT32_MAX - 1) {
      return Status(Code::kLimit, "section " + std::to_string(i) + " of the index would have " +
                                      std::to_string(count) +
                                      " records of at most 4294967294; write several files");
    }
    trailer->sections[i] = {offset, static_cast<uint32_t>(count), stride};
    offset += sections_[i].size() + PaddingBehind(sections_[i].size());
  }
  trailer->index_size = offset;
  const uint64_t blocks = (offset + format::kBlockSize - 1) / format::kBlockSize;
  trailer->block_count = static_cast<uint32_t>(blocks);
  return Status();
}

Status IndexBuilder::WriteSections(const format::Trailer& trailer, std::vector<uint8_t>* table,
                                   ChunkWriter* out) {
  table->reserve(size_t{trailer.block_count} * 8);
  BlockHasher hasher(table);
  for (const std::vector<uint8_t>& bytes : sections_) {
    const ByteSpan padding(kZeros, PaddingBehind(bytes.size()));
    hasher.Update(ByteSpan(bytes));
    hasher.Update(padding);
    TR_RETURN_IF_ERROR(out->Append(ByteSpan(bytes)));
    TR_RETURN_IF_ERROR(out->Append(padding));
  }
  hasher.Finish();
  return out->Append(ByteSpan(*table));
}

base::Result<format::Trailer> IndexBuilder::Finish(std::string_view metadata, ChunkWriter* out) {
  FillHashSlots();
  section(format::kChunks).swap(*out->records());
  section(format::kMetadata).assign(metadata.begin(), metadata.end());
  format::Trailer trailer;
  TR_RETURN_IF_ERROR(LayOut(&trailer));
  TR_RETURN_IF_ERROR(out->AlignTo(kSectionAlignment));
  trailer.index_offset = out->offset();
  std::vector<uint8_t> table;
  TR_RETURN_IF_ERROR(WriteSections(trailer, &table, out));

  uint8_t header[format::kHeaderSize];
  format::EncodeHeader(header);
  trailer.header_hash = codec::Hash64(ByteSpan(header, sizeof header));
  trailer.table_hash = codec::Hash64(ByteSpan(table));
  trailer.leaf_count = leaf_count_;
  trailer.raw_bytes = raw_bytes_;
  trailer.content = content_.Digest();
  trailer.file_size = out->offset() + format::kTrailerSize;
  trailer.file = format::FileDigest(ByteSpan(header, sizeof header), ByteSpan(table), trailer);
  uint8_t bytes[format::kTrailerSize];
  format::EncodeTrailer(trailer, bytes);
  TR_RETURN_IF_ERROR(out->Append(ByteSpan(bytes, sizeof bytes)));
  return trailer;
}

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// The index of an open container, block by block.
//
// An index may be a gigabyte of which a caller wants three records, so nothing is read or hashed
// before it is touched. In a mapping or in memory the bytes are used where they lie; of a file that
// is read, memory of the index's size is reserved and only the blocks that are touched are filled
// (memory that is never written costs no page).
//
// Invariant: a byte of a block is handed out only after the block's state is kVerified, and a
// verified block never changes. Blocks are read and hashed in memory of the thread that needs them
// and put in place under one mutex; no lock is held while the file, which may be a function of the
// caller's, is read. Looking is one atomic load.
//
// Records are decoded at each use; whether what they name exists is checked by whoever follows.
#include "container/index_view.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/planted.h"
#include "codec/hash.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;
using format::Section;

namespace {

enum BlockState : uint8_t { kUntouched = 0, kFilled = 1, kVerified = 2 };
constexpr uint64_t kBlock = format::kBlockSize;
constexpr uint64_t kLargeRead = uint64_t{4} << 20;

const char* const kSectionNames[format::kSectionCount] = {
    "item",  "node",  "hash slot", "attribute byte", "dimension", "text byte",
    "piece", "chunk", "file",      "metadata byte",  "reserved",  "reserved"};

}  // namespace

struct IndexView::Impl {
  const storage::ReadableFile* file = nullptr;
  std::shared_ptr<const storage::Region> region;
  format::Trailer trailer;
  std::vector<uint64_t> table;
  std::unique_ptr<uint8_t[]> buffer;  // where there is no region
  const uint8_t* bytes = nullptr;     // the index
  std::unique_ptr<std::atomic<uint8_t>[]> states;
  std::mutex mutex;

  uint64_t BlockBytes(uint64_t block) const {
    return std::min(kBlock, trailer.index_size - block * kBlock);
  }
  Status Mismatch(uint64_t block) const;
  Status Verify(uint64_t block);
  Status Touch(uint64_t block);
  Status Read(uint64_t first, uint64_t count);
  void TakeFromTail(ByteSpan tail);
  Status Missing(Section section, uint64_t id) const;

  // The fast path of every access: `size` > 0 bytes at `offset` of the index, within it.
  Result<ByteSpan> At(uint64_t offset, uint64_t size) {
    const uint64_t last = (offset + size - 1) / kBlock;
    for (uint64_t block = offset / kBlock; block <= last; ++block) {
      if (states[block].load(std::memory_order_acquire) == kVerified) continue;
      TR_RETURN_IF_ERROR(Touch(block));
    }
    return ByteSpan(bytes + offset, size);
  }
  // The known bytes of record `id`.
  Result<ByteSpan> Record(Section section, uint32_t id) {
    const format::SectionEntry& entry = trailer.sections[section];
    if (id >= entry.count) return Missing(section, id);
    return At(entry.offset + uint64_t{id} * entry.stride, format::kStride[section]);
  }
};

Status IndexView::Impl::Mismatch(uint64_t block) const {
  const uint64_t offset = trailer.index_offset + block * kBlock;
  return Status(Code::kCorruptChecksum,
                "'" + file->name() + "': block " + std::to_string(block) +
                    " of the index, at byte " + std::to_string(offset) +
                    ", does not have the hash that the file states; restore an intact copy",
                0, offset);
}

Status IndexView::Impl::Verify(uint64_t block) {
  const uint64_t hash = codec::Hash64(ByteSpan(bytes + block * kBlock, BlockBytes(block)));
  if (hash != table[block] && !base::Planted(22)) return Mismatch(block);
  states[block].store(kVerified, std::memory_order_release);
  return Status();
}

// Reads and verifies blocks of a file without a region, and puts those that are right in place.
Status IndexView::Impl::Read(uint64_t first, uint64_t count) {
  const uint64_t begin = first * kBlock;
  const uint64_t size = std::min((first + count) * kBlock, trailer.index_size) - begin;
  const std::unique_ptr<uint8_t[]> read(new uint8_t[static_cast<size_t>(size)]);
  TR_RETURN_IF_ERROR(file->ReadAt(trailer.index_offset + begin, read.get(), size));
  for (uint64_t block = first; block < first + count; ++block) {
    const ByteSpan found(read.get() + (block - first) * kBlock, BlockBytes(block));
    if (codec::Hash64(found) != table[block]) return Mismatch(block);
    std::lock_guard<std::mutex> lock(mutex);
    if (states[block].load(std::memory_order_relaxed) == kVerified) continue;
    std::memcpy(buffer.get() + block * kBlock, found.data, static_cast<size_t>(found.size));
    states[block].store(kVerified, std::memory_order_release);
  }
  return Status();
}

Status IndexView::Impl::Touch(uint64_t block) {
  if (buffer == nullptr) return Verify(block);
  {
    std::lock_guard<std::mutex> lock(mutex);
    const uint8_t state = states[block].load(std::memory_order_relaxed);
    if (state == kVerified) return Status();
    if (state == kFilled) {
      // If it fails it is read again the next time: the medium may have answered wrongly once.
      states[block].store(kUntouched, std::memory_order_relaxed);
      return Verify(block);
    }
  }
  return Read(block, 1);
}

// Blocks that lie wholly in what was read when opening need not be read again.
void IndexView::Impl::TakeFromTail(ByteSpan tail) {
  const uint64_t tail_offset = trailer.file_size - tail.size;
  for (uint64_t block = trailer.block_count; block-- > 0;) {
    const uint64_t offset = trailer.index_offset + block * kBlock;
    if (offset < tail_offset) return;
    if (!base::InBounds(offset - tail_offset, BlockBytes(block), tail.size)) return;
    std::memcpy(buffer.get() + block * kBlock, tail.data + (offset - tail_offset),
                static_cast<size_t>(BlockBytes(block)));
    states[block].store(kFilled, std::memory_order_relaxed);
  }
}

Status IndexView::Impl::Missing(Section section, uint64_t id) const {
  return Status(Code::kCorruptStructure, "'" + file->name() + "': " + kSectionNames[section] + " " +
                                             std::to_string(id) +
                                             " is referred to, but there are " +
                                             std::to_string(trailer.sections[section].count) +
                                             "; the file is damaged, restore an intact copy");
}

IndexView::IndexView(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
IndexView::~IndexView() = default;

Result<std::unique_ptr<IndexView>> IndexView::Create(const storage::ReadableFile* file,
                                                     std::shared_ptr<const storage::Region> region,
                                                     const format::Trailer& trailer, ByteSpan tail,
                                                     ByteSpan table) {
  auto impl = std::make_unique<Impl>();
  impl->file = file;
  impl->trailer = trailer;
  impl->states.reset(new std::atomic<uint8_t>[trailer.block_count]());
  impl->table.resize(trailer.block_count);
  if (table.size != uint64_t{trailer.block_count} * 8 || tail.size > trailer.file_size ||
      !base::InBounds(trailer.index_offset, trailer.index_size, trailer.file_size)) {
    return Status(Code::kInternal, "'" + file->name() + "': the index lies outside the file");
  }
  for (uint32_t i = 0; i < trailer.block_count; ++i) {
    impl->table[i] = base::LoadLe64(table.data + uint64_t{i} * 8);
  }
  if (region != nullptr) {
    if (!base::InBounds(trailer.index_offset, trailer.index_size, region->bytes().size)) {
      return Status(Code::kInternal, "'" + file->name() + "': the mapping lacks the index");
    }
    impl->bytes = region->bytes().data + trailer.index_offset;
    impl->region = std::move(region);
  } else if (trailer.index_size != 0) {
    // Not value-initialised: what is not touched must stay without pages.
    impl->buffer.reset(new uint8_t[static_cast<size_t>(trailer.index_size)]);
    impl->bytes = impl->buffer.get();
    impl->TakeFromTail(tail);
  }
  return std::unique_ptr<IndexView>(new IndexView(std::move(impl)));
}

const format::Trailer& IndexView::trailer() const { return impl_->trailer; }

uint32_t IndexView::count(Section section) const { return impl_->trailer.sections[section].count; }

Result<ByteSpan> IndexView::Bytes(Section section, uint64_t offset, uint64_t size) const {
  const format::SectionEntry& entry = impl_->trailer.sections[section];
  if (!base::InBounds(offset, size, entry.size())) return impl_->Missing(section, offset + size);
  if (size == 0) return ByteSpan(impl_->bytes, 0);
  return impl_->At(entry.offset + offset, size);
}

Status IndexView::TouchAll() const {
  Impl& impl = *impl_;
  const uint64_t step = impl.buffer != nullptr ? kLargeRead / kBlock : 1;
  for (uint64_t block = 0; block < impl.trailer.block_count;) {
    const uint64_t first = block;
    const uint64_t limit = std::min<uint64_t>(first + step, impl.trailer.block_count);
    while (block < limit && impl.states[block].load(std::memory_order_acquire) == kUntouched) {
      ++block;
    }
    if (impl.buffer != nullptr && block > first) {
      TR_RETURN_IF_ERROR(impl.Read(first, block - first));
      continue;
    }
    if (impl.states[first].load(std::memory_order_acquire) != kVerified) {
      TR_RETURN_IF_ERROR(impl.Touch(first));
    }
    block = first + 1;
  }
  return Status();
}

Status IndexView::CheckBlock(uint32_t block) const {
  const Impl& impl = *impl_;
  if (block >= impl.trailer.block_count) {
    return Status(Code::kInvalidArgument, "block " + std::to_string(block) + " of the index of '" +
                                              impl.file->name() + "': there are " +
                                              std::to_string(impl.trailer.block_count));
  }
  std::vector<uint8_t> scratch(static_cast<size_t>(impl.BlockBytes(block)));
  const uint64_t offset = impl.trailer.index_offset + block * kBlock;
  TR_RETURN_IF_ERROR(impl.file->ReadAt(offset, scratch.data(), scratch.size()));
  if (codec::Hash64(ByteSpan(scratch)) != impl.table[block]) return impl.Mismatch(block);
  return Status();
}

namespace {

// Puts the file, and which record it is, in front of what the decoder says.
template <typename T>
Result<T> Named(Result<T> result, const std::string& file, Section section, uint32_t id) {
  if (result.ok()) return result;
  return std::move(result.status())
      .WithContext("'" + file + "': " + kSectionNames[section] + " " + std::to_string(id));
}

}  // namespace

Result<format::ItemRecord> IndexView::Item(uint32_t id) const {
  TR_ASSIGN_OR_RETURN(const ByteSpan bytes, impl_->Record(format::kItems, id));
  return Named(format::DecodeItem(bytes), impl_->file->name(), format::kItems, id);
}

Result<format::NodeRecord> IndexView::Node(uint32_t id) const {
  TR_ASSIGN_OR_RETURN(const ByteSpan bytes, impl_->Record(format::kNodes, id));
  return Named(format::DecodeNode(bytes), impl_->file->name(), format::kNodes, id);
}

Result<format::PieceRecord> IndexView::Piece(uint32_t id) const {
  TR_ASSIGN_OR_RETURN(const ByteSpan bytes, impl_->Record(format::kPieces, id));
  return Named(format::DecodePiece(bytes), impl_->file->name(), format::kPieces, id);
}

Result<format::ChunkRecord> IndexView::Chunk(uint32_t id) const {
  TR_ASSIGN_OR_RETURN(const ByteSpan bytes, impl_->Record(format::kChunks, id));
  return Named(format::DecodeChunk(bytes), impl_->file->name(), format::kChunks, id);
}

Result<format::FileRecord> IndexView::File(uint32_t id) const {
  TR_ASSIGN_OR_RETURN(const ByteSpan bytes, impl_->Record(format::kFiles, id));
  return Named(format::DecodeFile(bytes), impl_->file->name(), format::kFiles, id);
}

Result<std::string_view> IndexView::Text(uint64_t offset, uint64_t size) const {
  TR_ASSIGN_OR_RETURN(const ByteSpan bytes, Bytes(format::kText, offset, size));
  return bytes.text();
}

Status IndexView::Dims(uint32_t at, uint32_t rank, uint64_t* out) const {
  const format::SectionEntry& entry = impl_->trailer.sections[format::kDims];
  if (rank == 0) return Status();
  if (!base::InBounds(at, rank, entry.count)) {
    return impl_->Missing(format::kDims, uint64_t{at} + rank);
  }
  TR_ASSIGN_OR_RETURN(const ByteSpan bytes, impl_->At(entry.offset + uint64_t{at} * entry.stride,
                                                      uint64_t{rank} * entry.stride));
  for (uint32_t i = 0; i < rank; ++i)
    out[i] = base::LoadLe64(bytes.data + uint64_t{i} * entry.stride);
  return Status();
}

Result<ByteSpan> IndexView::AttributeSet(uint32_t attributes) const {
  if (attributes == 0)
    return Status(Code::kInternal, "a node without attributes has no set of them");
  const uint64_t offset = (uint64_t{attributes} - 1) * 8;
  const uint64_t left_from = impl_->trailer.sections[format::kAttributes].size();
  TR_ASSIGN_OR_RETURN(const ByteSpan first8, Bytes(format::kAttributes, offset, 8));
  Result<uint64_t> size = format::AttributeSetSize(first8, left_from - offset);
  if (!size.ok()) return std::move(size.status()).WithContext("'" + impl_->file->name() + "'");
  return Bytes(format::kAttributes, offset, *size);
}

}  // namespace treering::container

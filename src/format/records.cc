// SPDX-License-Identifier: Apache-2.0
// Items, pieces, chunks and file-table entries: the flat records of the index.
//
// Each is read through a cursor bounded by the record's size in this version; bytes behind it
// belong to a later minor version and are ignored. What one record alone can prove wrong is refused
// here, so that a record that was accepted encodes to the bytes it came from. Whether ids and
// positions lie inside their sections is checked by whoever follows them, at each use.
#include <cstring>
#include <string>

#include "base/checked.h"
#include "format/records.h"
#include "format/refuse.h"

namespace treering::format {
namespace {

using base::ByteReader;
using base::ByteSpan;
using base::Status;

constexpr uint64_t kIds = 0xffffffff;  // ids are below it
constexpr uint64_t kMostBytes = UINT64_MAX >> 1;

Status CheckRawChunk(const ChunkRecord& chunk) {
  TR_EXPECT(chunk.param == 0, "chunk.param", chunk.param, "0 for codec raw");
  TR_EXPECT(chunk.stored_size == chunk.raw_size, "chunk.stored_size", chunk.stored_size,
            "raw_size " + std::to_string(chunk.raw_size) + " for codec raw");
  if (chunk.raw_size > 240 && chunk.stored_hash != chunk.raw_hash.low) {
    return Refuse("chunk.stored_hash", chunk.stored_hash, chunk.raw_hash.low);
  }
  return Status();
}

Status CheckCodec(const ChunkRecord& chunk) {
  constexpr uint8_t kZstd = 1;
  constexpr uint8_t kPlanes = 2;
  if (chunk.codec == 0) return CheckRawChunk(chunk);
  if (chunk.codec > kPlanes) return Status();  // unknown: the leaf's affair
  TR_EXPECT(chunk.stored_size < chunk.raw_size, "chunk.stored_size", chunk.stored_size,
            "less than raw_size " + std::to_string(chunk.raw_size));
  if (chunk.codec == kZstd) {
    TR_EXPECT(chunk.param == 0, "chunk.param", chunk.param, "0 for codec zstd");
    return Status();
  }
  const uint32_t width = chunk.param & 0x7fu;
  TR_EXPECT(width == 2 || width == 4 || width == 8, "chunk.param", chunk.param,
            "element size 2, 4 or 8, and bit 7");
  TR_EXPECT(chunk.raw_size % width == 0, "chunk.raw_size", chunk.raw_size,
            "a multiple of " + std::to_string(width));
  return Status();
}

}  // namespace

void Encode(const ItemRecord& record, uint8_t* out) {
  base::StoreLe64(out, record.name);
  base::StoreLe32(out + 8, record.name_size);
  base::StoreLe32(out + 12, record.kind);
  base::StoreLe32(out + 16, record.root);
  base::StoreLe32(out + 20, record.node_count);
  base::StoreLe64(out + 24, 0);
}

base::Result<ItemRecord> DecodeItem(ByteSpan bytes) {
  TR_EXPECT(bytes.size >= kStride[kItems], "item", bytes.size, "32 bytes");
  ByteReader in(bytes);
  ItemRecord item;
  item.name = in.U64();
  item.name_size = in.U32();
  item.kind = in.U32();
  item.root = in.U32();
  item.node_count = in.U32();
  if (!in.Zeros(8)) return RefuseReserved("item");
  TR_EXPECT(item.name_size >= 1 && item.name_size <= kMaxItemName, "item.name_size", item.name_size,
            "1 to 255");
  TR_EXPECT(item.node_count >= 1 && base::InBounds(item.root, item.node_count, kIds),
            "item.node_count", item.node_count, "at least 1, and root + node_count below 2^32");
  const bool one = item.kind == kJsonItem || item.kind == kBlobItem;
  TR_EXPECT(!one || item.node_count == 1, "item.node_count", item.node_count,
            "1 for a JSON document or blob");
  return item;
}

void Encode(const PieceRecord& record, uint8_t* out) {
  base::StoreLe32(out, record.leaf);
  base::StoreLe32(out + 4, record.origin);
  base::StoreLe32(out + 8, record.extent);
  base::StoreLe32(out + 12, record.chunk_shape);
  base::StoreLe32(out + 16, record.first_chunk);
  base::StoreLe32(out + 20, record.chunk_count);
  base::StoreLe64(out + 24, 0);
}

base::Result<PieceRecord> DecodePiece(ByteSpan bytes) {
  TR_EXPECT(bytes.size >= kStride[kPieces], "piece", bytes.size, "32 bytes");
  ByteReader in(bytes);
  PieceRecord piece;
  piece.leaf = in.U32();
  piece.origin = in.U32();
  piece.extent = in.U32();
  piece.chunk_shape = in.U32();
  piece.first_chunk = in.U32();
  piece.chunk_count = in.U32();
  if (!in.Zeros(8)) return RefuseReserved("piece");
  TR_EXPECT(piece.leaf < kIds, "piece.leaf", piece.leaf, "below 2^32 - 1");
  TR_EXPECT(piece.chunk_count >= 1 && base::InBounds(piece.first_chunk, piece.chunk_count, kIds),
            "piece.chunk_count", piece.chunk_count,
            "at least 1, and first_chunk + chunk_count below 2^32");
  return piece;
}

void Encode(const ChunkRecord& record, uint8_t* out) {
  base::StoreLe64(out, record.offset);
  base::StoreLe32(out + 8, record.stored_size);
  base::StoreLe32(out + 12, record.raw_size);
  base::StoreLe64(out + 16, record.stored_hash);
  base::StoreLe64(out + 24, record.raw_hash.low);
  base::StoreLe64(out + 32, record.raw_hash.high);
  base::StoreLe32(out + 40, record.file);
  out[44] = record.codec;
  out[45] = record.param;
  base::StoreLe16(out + 46, 0);
}

base::Result<ChunkRecord> DecodeChunk(ByteSpan bytes) {
  TR_EXPECT(bytes.size >= kStride[kChunks], "chunk", bytes.size, "48 bytes");
  ByteReader in(bytes);
  ChunkRecord chunk;
  chunk.offset = in.U64();
  chunk.stored_size = in.U32();
  chunk.raw_size = in.U32();
  chunk.stored_hash = in.U64();
  chunk.raw_hash.low = in.U64();
  chunk.raw_hash.high = in.U64();
  chunk.file = in.U32();
  chunk.codec = in.U8();
  chunk.param = in.U8();
  if (!in.Zeros(2)) return RefuseReserved("chunk");
  TR_EXPECT(chunk.stored_size >= 1, "chunk.stored_size", chunk.stored_size, "1 or more");
  TR_EXPECT(chunk.raw_size >= 1 && chunk.raw_size <= kMaxChunkRaw, "chunk.raw_size", chunk.raw_size,
            "1 to 2^30");
  TR_EXPECT(
      chunk.offset >= kHeaderSize && base::InBounds(chunk.offset, chunk.stored_size, kMostBytes),
      "chunk.offset", chunk.offset, "64 or more, and an end below 2^63");
  TR_RETURN_IF_ERROR(CheckCodec(chunk));
  return chunk;
}

bool IsFileName(std::string_view name) {
  if (name.empty() || name.size() > kMaxFileName || name == "." || name == "..") return false;
  for (const char c : name) {
    const bool fine =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!fine) return false;
  }
  return true;
}

void Encode(const FileRecord& record, uint8_t* out) {
  base::StoreLe64(out, record.folder);
  base::StoreLe64(out + 8, record.name);
  base::StoreLe32(out + 16, record.folder_size);
  base::StoreLe32(out + 20, record.name_size);
  base::StoreLe64(out + 24, record.size);
  out[32] = record.algorithm;
  std::memset(out + 33, 0, 7);
  std::memcpy(out + 40, record.digest.data(), record.digest.size());
}

base::Result<FileRecord> DecodeFile(ByteSpan bytes) {
  TR_EXPECT(bytes.size >= kStride[kFiles], "file", bytes.size, "72 bytes");
  ByteReader in(bytes);
  FileRecord file;
  file.folder = in.U64();
  file.name = in.U64();
  file.folder_size = in.U32();
  file.name_size = in.U32();
  file.size = in.U64();
  file.algorithm = in.U8();
  if (!in.Zeros(7)) return RefuseReserved("file");
  const ByteSpan digest = in.Bytes(file.digest.size());
  if (digest.data != nullptr) std::memcpy(file.digest.data(), digest.data, file.digest.size());
  TR_EXPECT(file.folder_size <= kMaxFileName, "file.folder_size", file.folder_size, "0 to 128");
  TR_EXPECT(file.folder_size != 0 || file.folder == 0, "file.folder", file.folder,
            "0 where folder_size is 0");
  TR_EXPECT(file.name_size >= 1 && file.name_size <= kMaxFileName, "file.name_size", file.name_size,
            "1 to 128");
  TR_EXPECT(file.size >= kHeaderSize + kTrailerSize && file.size <= kMostBytes, "file.size",
            file.size, "416 or more, below 2^63");
  TR_EXPECT(file.algorithm != 0, "file.algorithm", file.algorithm, "1 or more");
  ByteReader unused(ByteSpan(file.digest.data() + 16, 16));
  if (file.algorithm == kDigestXxh3 && !unused.Zeros(16)) return RefuseReserved("file.digest");
  return file;
}

}  // namespace treering::format

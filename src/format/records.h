// SPDX-License-Identifier: Apache-2.0
// The records of a container as structs, and the one place that turns them into bytes and back.
//
// Encode writes exactly the stride's bytes to `out`. Decode takes at least as many (what lies
// behind belongs to a later minor version), checks what can be checked within the record (reserved
// bytes, ranges, patterns) and nothing that needs another record; bounds against other sections are
// the caller's duty at each use. Decoding is total: any bytes give a record, which encodes to the
// same bytes again, or kCorruptStructure saying field, found and expected.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/hash.h"

namespace treering::format {

inline constexpr uint64_t kHeaderSize = 64;
inline constexpr uint64_t kTrailerSize = 352;
inline constexpr uint64_t kTailSize = 64;  // the part of the trailer that never changes
inline constexpr uint64_t kBlockSize = 16384;
inline constexpr uint64_t kOpenReadSize = 65536;
inline constexpr uint16_t kMajor = 1;
inline constexpr uint16_t kMinor = 0;
inline constexpr uint32_t kNoParent = 0xffffffff;
inline constexpr uint64_t kMaxInline = 16;
inline constexpr uint64_t kMaxPacked = 65535;         // raw bytes of a packed leaf
inline constexpr uint64_t kPackedChunkSize = 262144;  // decoded bytes of a packed chunk, at most
inline constexpr uint64_t kMaxChunkRaw = uint64_t{1} << 30;
inline constexpr uint64_t kMaxRank = 32;
inline constexpr uint64_t kMaxKeyText = 65535;
inline constexpr uint64_t kMaxItemName = 255;
inline constexpr uint64_t kMaxFileName = 128;
inline constexpr uint64_t kHashedFrom = 17;  // children, from which a container is hashed

enum Section : uint32_t {
  kItems = 0,
  kNodes,
  kHashSlots,
  kAttributes,
  kDims,
  kText,
  kPieces,
  kChunks,
  kFiles,
  kMetadata,
  kSectionCount = 12,
};
// Bytes of one record of each section as this version knows it; 0 for the reserved slots.
inline constexpr std::array<uint32_t, kSectionCount> kStride = {32, 64, 8,  1, 8, 1,
                                                                32, 48, 72, 1, 0, 0};

struct SectionEntry {
  uint64_t offset = 0;  // from the start of the index
  uint32_t count = 0;
  uint32_t stride = 0;
  uint64_t size() const { return uint64_t{count} * stride; }
};

struct Trailer {
  uint64_t header_hash = 0;
  uint64_t index_offset = 0;
  uint64_t index_size = 0;
  uint32_t block_count = 0;
  uint64_t table_hash = 0;
  uint64_t leaf_count = 0;
  codec::Hash128 content;
  codec::Hash128 file;
  std::array<SectionEntry, kSectionCount> sections;
  uint64_t raw_bytes = 0;
  uint64_t file_size = 0;
  uint16_t major = kMajor;
  uint16_t minor = kMinor;
  uint64_t features_compat = 0;
  uint64_t features_ro_compat = 0;
  uint64_t features_incompat = 0;

  uint64_t table_offset() const { return index_offset + index_size; }
};

void EncodeHeader(uint8_t out[kHeaderSize]);
// Magic, then major (a higher one is kUnsupportedVersion), then reserved bytes.
base::Status DecodeHeader(base::ByteSpan bytes);
bool HasHeaderMagic(base::ByteSpan bytes);   // of a file's first bytes, any size
bool HasTrailerMagic(base::ByteSpan bytes);  // of a file's last bytes, any size

// Encode computes trailer_hash. The `file` digest must be set before; FileDigest computes it.
void EncodeTrailer(const Trailer& trailer, uint8_t out[kTrailerSize]);
// `bytes` are the last kTrailerSize bytes or more of a file of `file_size` bytes. Checks, in this
// order: magic (kCorruptTruncated), the hash (kCorruptChecksum; from the frozen tail, for any
// trailer_size that fits `bytes`), major, incompatible features, then the rest: reserved bytes,
// sizes, the section directory's order, bounds, strides and alignment. The limit of the index is
// the caller's to check.
base::Result<Trailer> DecodeTrailer(base::ByteSpan bytes, uint64_t file_size);
// FORMAT.md section 12. `trailer` is encoded with a zero `file` field and its hash ignored.
codec::Hash128 FileDigest(base::ByteSpan header, base::ByteSpan table, const Trailer& trailer);

enum ItemKind : uint32_t { kTreeItem = 1, kJsonItem = 2, kBlobItem = 3 };

struct ItemRecord {
  uint64_t name = 0;
  uint32_t name_size = 0;
  uint32_t kind = 0;
  uint32_t root = 0;
  uint32_t node_count = 0;
};

enum Storage : uint8_t { kNoStorage = 0, kInline = 1, kPacked = 2, kInPieces = 3, kAliasOf = 4 };
inline constexpr uint16_t kChildrenHashed = 1;

struct NodeRecord {
  uint8_t kind = 0;
  uint8_t key_kind = 0;
  uint8_t dtype_bits = 0;
  uint8_t dtype_code = 0;
  uint8_t rank = 0;
  uint8_t storage = 0;
  uint16_t flags = 0;
  uint32_t parent = kNoParent;
  uint32_t key_size = 0;
  uint64_t key = 0;
  uint32_t attributes = 0;
  uint32_t shape = 0;
  uint64_t size = 0;
  uint32_t a = 0;
  uint32_t b = 0;
  std::array<uint8_t, 16> value{};
  codec::Hash128 identity() const {
    return {base::LoadLe64(value.data()), base::LoadLe64(value.data() + 8)};
  }
};

struct PieceRecord {
  uint32_t leaf = 0;
  uint32_t origin = 0;
  uint32_t extent = 0;
  uint32_t chunk_shape = 0;
  uint32_t first_chunk = 0;
  uint32_t chunk_count = 0;
};

struct ChunkRecord {
  uint64_t offset = 0;
  uint32_t stored_size = 0;
  uint32_t raw_size = 0;
  uint64_t stored_hash = 0;
  codec::Hash128 raw_hash;
  uint32_t file = 0;
  uint8_t codec = 0;
  uint8_t param = 0;
};

inline constexpr uint8_t kDigestXxh3 = 1;

struct FileRecord {
  uint64_t folder = 0;
  uint64_t name = 0;
  uint32_t folder_size = 0;
  uint32_t name_size = 0;
  uint64_t size = 0;
  uint8_t algorithm = kDigestXxh3;
  std::array<uint8_t, 32> digest{};
};
// The strict pattern of folder and base names in the file table.
bool IsFileName(std::string_view name);

void Encode(const ItemRecord& record, uint8_t* out);
void Encode(const NodeRecord& record, uint8_t* out);
void Encode(const PieceRecord& record, uint8_t* out);
void Encode(const ChunkRecord& record, uint8_t* out);
void Encode(const FileRecord& record, uint8_t* out);
base::Result<ItemRecord> DecodeItem(base::ByteSpan bytes);
base::Result<NodeRecord> DecodeNode(base::ByteSpan bytes);
base::Result<PieceRecord> DecodePiece(base::ByteSpan bytes);
base::Result<ChunkRecord> DecodeChunk(base::ByteSpan bytes);
base::Result<FileRecord> DecodeFile(base::ByteSpan bytes);

// One attribute of a set; `value` points into what it was decoded from.
struct AttributeRecord {
  uint16_t id = 0;
  uint16_t flags = 0;
  base::ByteSpan value;
};
inline constexpr uint16_t kCriticalAttribute = 1;
// Appends a set (8-aligned size). `attributes` must be in ascending order of id.
void EncodeAttributes(const std::vector<AttributeRecord>& attributes, std::vector<uint8_t>* out);
// The set's whole size, from its first 8 bytes; checked against `left`, the bytes from there to the
// section's end.
base::Result<uint64_t> AttributeSetSize(base::ByteSpan first8, uint64_t left);
base::Result<std::vector<AttributeRecord>> DecodeAttributes(base::ByteSpan set);

// The hash of a child in the hash table, FORMAT.md 7.3. `text` for string and bigint keys, else
// `key`.
uint64_t ChildHash(uint32_t parent, uint8_t key_kind, uint64_t key, base::ByteSpan text);
// Slots for that many entries: 0, or the least power of two >= 4/3 of them.
uint64_t HashSlotsFor(uint64_t entries);

// The identity of a leaf in pieces, FORMAT.md 12, fed in the order of the text.
class PiecesIdentity {
 public:
  PiecesIdentity(uint8_t code, uint8_t bits, const uint64_t* shape, uint32_t rank);
  void Piece(const uint64_t* origin, const uint64_t* extent, const uint64_t* chunk_shape);
  void Chunk(const codec::Hash128& raw_hash);
  codec::Hash128 Digest() const { return hasher_.Digest(); }

 private:
  void Words(const uint64_t* words, uint32_t count);
  codec::Hasher128 hasher_;
  uint32_t rank_;
};

// The content digest, fed item by item and node by node.
class ContentDigest {
 public:
  void Item(uint32_t kind, std::string_view name, uint32_t root, uint32_t node_count);
  // `shape` has record.rank elements; `attributes` is the encoded set or empty; `identity` counts
  // for leaves.
  void Node(const NodeRecord& record, base::ByteSpan key_text, const uint64_t* shape,
            base::ByteSpan attributes, const codec::Hash128& identity);
  codec::Hash128 Digest() const { return hasher_.Digest(); }

 private:
  codec::Hasher128 hasher_;
  std::vector<uint8_t> buffer_;
  uint32_t root_ = 0;
};

// Kinds as FORMAT.md 7.1 has them.
inline bool IsContainerKind(uint8_t kind) { return kind >= 1 && kind <= 63; }
inline bool IsLeafKind(uint8_t kind) { return kind >= 64 && kind <= 127; }

}  // namespace treering::format

// SPDX-License-Identifier: Apache-2.0
// Header and trailer: the two ends of a container, and what opening may conclude from them.
//
// The trailer is found from the end of the file, before anything is known of its version. So the
// order of checks is part of the format: magic, then the hash over as many bytes as the frozen last
// 64 say, then version and features, and only then fields whose meaning this version knows.
// The section directory leaves no freedom: each offset follows from the sections before it, so that
// every byte of the index belongs to one section or is padding at a place known in advance.
// Limits that the caller sets (the size of the index) are the caller's to check.
#include <algorithm>
#include <cstring>
#include <string>

#include "base/checked.h"
#include "base/planted.h"
#include "format/records.h"
#include "format/refuse.h"

namespace treering::format {
namespace {

using base::ByteReader;
using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint8_t kHeaderMagic[8] = {0x89, 'T', 'R', 'R', 0x0d, 0x0a, 0x1a, 0x0a};
constexpr uint8_t kTrailerMagic[8] = {0x0a, 0x1a, 0x0a, 0x0d, 'R', 'R', 'T', 0x89};
constexpr uint64_t kHashSize = 16;  // trailer_hash and magic, which the hash leaves out
constexpr uint64_t kMostRecords = 0xfffffffe;

constexpr const char* kSectionName[kSectionCount] = {
    "items",  "nodes",  "hash slots", "attributes", "dims",        "text",
    "pieces", "chunks", "files",      "metadata",   "reserved 10", "reserved 11"};

std::string Hex(uint64_t value) {
  std::string text = "0x";
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 15];
  return text;
}

std::string SectionField(uint32_t slot, const char* field) {
  return std::string("trailer section ") + kSectionName[slot] + '.' + field;
}

// Bits of features_incompat that this version knows: none so far.
constexpr uint64_t kKnownIncompat = 0;

Status CheckVersion(uint16_t major) {
  if (major == 0) return Refuse("major", 0, "1 or more");
  if (major == kMajor) return Status();
  return Status(Code::kUnsupportedVersion, "container version " + std::to_string(major) +
                                               ", this reader knows up to " +
                                               std::to_string(kMajor) + "; use a newer treering");
}

// What the last 64 bytes say, in every version: hash, major, incompatible features.
Status CheckTail(ByteSpan bytes, uint64_t file_size) {
  const uint8_t* tail = bytes.data + (bytes.size - kTailSize);
  const uint64_t size = base::LoadLe32(tail + 8);
  if (size < kTailSize || size > bytes.size) {
    return Refuse("trailer.trailer_size", size, kTrailerSize, file_size - kTailSize + 8);
  }
  const uint64_t stored = base::LoadLe64(tail + 48);
  const uint64_t computed = codec::Hash64(bytes.Sub(bytes.size - size, size - kHashSize));
  if (stored != computed) {
    return Status(Code::kCorruptChecksum,
                  "trailer hash: found " + Hex(stored) + ", computed " + Hex(computed), 0,
                  file_size - std::min(size, file_size));
  }
  TR_RETURN_IF_ERROR(CheckVersion(base::LoadLe16(tail + 12)));
  const uint64_t unknown = base::LoadLe64(tail + 32) & ~kKnownIncompat;
  if (unknown != 0 && !base::Planted(25)) {
    return Status(Code::kUnsupportedFeature, "incompatible feature bits " + Hex(unknown) +
                                                 " are not known; use a newer treering");
  }
  TR_EXPECT(size == kTrailerSize, "trailer.trailer_size", size, kTrailerSize);
  return Status();
}

Status CheckCounts(const Trailer& trailer) {
  for (const uint32_t slot : {kNodes, kPieces, kChunks}) {
    const uint64_t count = trailer.sections[slot].count;
    TR_EXPECT(count <= kMostRecords, SectionField(slot, "count"), count, "at most 4294967294");
  }
  const uint64_t slots = trailer.sections[kHashSlots].count;
  TR_EXPECT((slots & (slots - 1)) == 0, SectionField(kHashSlots, "count"), slots,
            "0 or a power of two");
  const uint64_t nodes = trailer.sections[kNodes].count;
  TR_EXPECT(trailer.leaf_count <= nodes, "trailer.leaf_count", trailer.leaf_count,
            "at most " + std::to_string(nodes) + ", the number of nodes");
  return Status();
}

// Sections that are arrays of records may have grown in a later minor version.
bool MayHaveGrown(uint32_t slot) {
  return slot == kItems || slot == kNodes || slot == kPieces || slot == kChunks || slot == kFiles;
}

Status CheckSections(const Trailer& trailer) {
  uint64_t end = 0;
  for (uint32_t slot = 0; slot < kSectionCount; ++slot) {
    const SectionEntry& entry = trailer.sections[slot];
    if (kStride[slot] == 0) {
      const uint64_t set = entry.offset | entry.count | entry.stride;
      TR_EXPECT(set == 0, SectionField(slot, "entry"), set, "zero");
      continue;
    }
    const bool stride_fits = MayHaveGrown(slot)
                                 ? entry.stride >= kStride[slot] && entry.stride % 8 == 0
                                 : entry.stride == kStride[slot];
    TR_EXPECT(stride_fits, SectionField(slot, "stride"), entry.stride, uint64_t{kStride[slot]});
    TR_EXPECT(entry.offset == end, SectionField(slot, "offset"), entry.offset, end);
    if (!base::InBounds(entry.offset, entry.size(), trailer.index_size) ||
        !base::CheckedAlignUp(entry.offset + entry.size(), 64, &end) || end > trailer.index_size) {
      return Refuse(
          SectionField(slot, "count"), entry.count,
          "a section inside the index of " + std::to_string(trailer.index_size) + " bytes");
    }
  }
  TR_EXPECT(end == trailer.index_size, "trailer.index_size", trailer.index_size, end);
  return CheckCounts(trailer);
}

Status CheckSizes(const Trailer& trailer, uint32_t block_size, uint64_t file_size) {
  if (file_size < trailer.file_size) {
    return Status(Code::kCorruptTruncated, "the file has " + std::to_string(file_size) +
                                               " bytes, its trailer says " +
                                               std::to_string(trailer.file_size));
  }
  TR_EXPECT(file_size == trailer.file_size, "trailer.file_size", trailer.file_size, file_size);
  TR_EXPECT(block_size == kBlockSize, "trailer.block_size", block_size, kBlockSize);
  TR_EXPECT(trailer.index_offset >= kHeaderSize && trailer.index_offset % 64 == 0,
            "trailer.index_offset", trailer.index_offset, "a multiple of 64, 64 or more");
  TR_EXPECT(trailer.index_size % 64 == 0, "trailer.index_size", trailer.index_size,
            "a multiple of 64");
  const uint64_t blocks = trailer.index_size / kBlockSize + (trailer.index_size % kBlockSize != 0);
  TR_EXPECT(trailer.block_count == blocks, "trailer.block_count", trailer.block_count, blocks);
  uint64_t end = 0;
  const bool fits = base::CheckedAdd(trailer.index_offset, trailer.index_size, &end) &&
                    base::CheckedAdd(end, 8 * blocks + kTrailerSize, &end);
  TR_EXPECT(fits && end == file_size, "trailer.index_size", trailer.index_size,
            "an index that ends at the block-hash table");
  return Status();
}

}  // namespace

bool HasHeaderMagic(ByteSpan bytes) {
  return bytes.size >= sizeof kHeaderMagic &&
         std::memcmp(bytes.data, kHeaderMagic, sizeof kHeaderMagic) == 0;
}

bool HasTrailerMagic(ByteSpan bytes) {
  return bytes.size >= sizeof kTrailerMagic &&
         std::memcmp(bytes.data + (bytes.size - sizeof kTrailerMagic), kTrailerMagic,
                     sizeof kTrailerMagic) == 0;
}

void EncodeHeader(uint8_t out[kHeaderSize]) {
  std::memset(out, 0, kHeaderSize);
  std::memcpy(out, kHeaderMagic, sizeof kHeaderMagic);
  base::StoreLe16(out + 8, kMajor);
}

Status DecodeHeader(ByteSpan bytes) {
  TR_EXPECT(bytes.size >= kHeaderSize, "header", bytes.size, "64 bytes");
  if (!HasHeaderMagic(bytes)) {
    return Refuse("header.magic", base::LoadLe64(bytes.data), base::LoadLe64(kHeaderMagic), 0);
  }
  TR_RETURN_IF_ERROR(CheckVersion(base::LoadLe16(bytes.data + 8)));
  ByteReader rest(bytes.Sub(10, kHeaderSize - 10));
  return rest.Zeros(kHeaderSize - 10) ? Status() : RefuseReserved("header");
}

void EncodeTrailer(const Trailer& trailer, uint8_t out[kTrailerSize]) {
  std::memset(out, 0, kTrailerSize);
  base::StoreLe64(out, trailer.header_hash);
  base::StoreLe64(out + 8, trailer.index_offset);
  base::StoreLe64(out + 16, trailer.index_size);
  base::StoreLe32(out + 24, static_cast<uint32_t>(kBlockSize));
  base::StoreLe32(out + 28, trailer.block_count);
  base::StoreLe64(out + 32, trailer.table_hash);
  base::StoreLe64(out + 40, trailer.leaf_count);
  base::StoreLe64(out + 48, trailer.content.low);
  base::StoreLe64(out + 56, trailer.content.high);
  base::StoreLe64(out + 64, trailer.file.low);
  base::StoreLe64(out + 72, trailer.file.high);
  uint8_t* entry = out + 80;
  for (const SectionEntry& section : trailer.sections) {
    base::StoreLe64(entry, section.offset);
    base::StoreLe32(entry + 8, section.count);
    base::StoreLe32(entry + 12, section.stride);
    entry += 16;
  }
  base::StoreLe64(out + 272, trailer.raw_bytes);
  base::StoreLe64(out + 288, trailer.file_size);
  base::StoreLe32(out + 296, static_cast<uint32_t>(kTrailerSize));
  base::StoreLe16(out + 300, trailer.major);
  base::StoreLe16(out + 302, trailer.minor);
  base::StoreLe64(out + 304, trailer.features_compat);
  base::StoreLe64(out + 312, trailer.features_ro_compat);
  base::StoreLe64(out + 320, trailer.features_incompat);
  base::StoreLe64(out + 336, codec::Hash64(ByteSpan(out, kTrailerSize - kHashSize)));
  std::memcpy(out + 344, kTrailerMagic, sizeof kTrailerMagic);
}

base::Result<Trailer> DecodeTrailer(ByteSpan bytes, uint64_t file_size) {
  if (bytes.size < kTrailerSize || file_size < bytes.size) {
    return Status(Code::kCorruptTruncated, "trailer: found " + std::to_string(bytes.size) +
                                               " bytes, expected " + std::to_string(kTrailerSize));
  }
  if (!HasTrailerMagic(bytes)) {
    return Status(Code::kCorruptTruncated,
                  "the file does not end in a trailer: it was cut short or never finished", 0,
                  file_size);
  }
  TR_RETURN_IF_ERROR(CheckTail(bytes, file_size));
  ByteReader in(bytes.Sub(bytes.size - kTrailerSize, kTrailerSize));
  Trailer trailer;
  trailer.header_hash = in.U64();
  trailer.index_offset = in.U64();
  trailer.index_size = in.U64();
  const uint32_t block_size = in.U32();
  trailer.block_count = in.U32();
  trailer.table_hash = in.U64();
  trailer.leaf_count = in.U64();
  trailer.content = {in.U64(), in.U64()};
  trailer.file = {in.U64(), in.U64()};
  for (SectionEntry& section : trailer.sections) section = {in.U64(), in.U32(), in.U32()};
  trailer.raw_bytes = in.U64();
  bool zeros = in.Zeros(8);
  trailer.file_size = in.U64();
  in.U32();  // trailer_size
  trailer.major = in.U16();
  trailer.minor = in.U16();
  trailer.features_compat = in.U64();
  trailer.features_ro_compat = in.U64();
  trailer.features_incompat = in.U64();
  zeros = in.Zeros(8) && zeros;
  if (!zeros) return RefuseReserved("trailer");
  TR_RETURN_IF_ERROR(CheckSizes(trailer, block_size, file_size));
  TR_RETURN_IF_ERROR(CheckSections(trailer));
  return trailer;
}

}  // namespace treering::format

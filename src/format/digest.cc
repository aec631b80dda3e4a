// SPDX-License-Identifier: Apache-2.0
// What is hashed for identities, digests and the hash table of children.
//
// Each of these is a hash over a byte string that FORMAT.md spells out; this file writes those
// strings and nothing else. They are streams: no digest needs memory in proportion to the tree.
// Every part is of fixed width or preceded by its length, so that two different trees never feed
// the same bytes. The order in which things are fed is the caller's duty, and part of the format.
#include <cstring>

#include "format/records.h"

namespace treering::format {

using base::ByteSpan;
using base::ByteWriter;

codec::Hash128 FileDigest(ByteSpan header, ByteSpan table, const Trailer& trailer) {
  uint8_t bytes[kTrailerSize];
  EncodeTrailer(trailer, bytes);
  codec::Hasher128 hasher;
  hasher.Update(header);
  hasher.Update(table);
  hasher.Update(ByteSpan(bytes, 64));             // up to `file`
  hasher.Update(ByteSpan(bytes + 80, 336 - 80));  // from behind it to the hash
  return hasher.Digest();
}

uint64_t ChildHash(uint32_t parent, uint8_t key_kind, uint64_t key, ByteSpan text) {
  constexpr uint64_t kPrefix = 8;
  uint8_t buffer[128] = {};
  base::StoreLe32(buffer, parent);
  buffer[4] = key_kind;
  const bool has_text = key_kind == 2 || key_kind == 4;
  if (!has_text) {
    base::StoreLe64(buffer + kPrefix, key);
    return codec::Hash64(ByteSpan(buffer, kPrefix + 8));
  }
  if (text.size <= sizeof buffer - kPrefix) {
    if (text.size != 0) std::memcpy(buffer + kPrefix, text.data, static_cast<size_t>(text.size));
    return codec::Hash64(ByteSpan(buffer, kPrefix + text.size));
  }
  std::vector<uint8_t> bytes(buffer, buffer + kPrefix);
  bytes.insert(bytes.end(), text.data, text.data + text.size);
  return codec::Hash64(ByteSpan(bytes));
}

uint64_t HashSlotsFor(uint64_t entries) {
  if (entries == 0) return 0;
  uint64_t slots = 1;
  while (slots * 3 < entries * 4) slots *= 2;  // entries are nodes: below 2^32
  return slots;
}

PiecesIdentity::PiecesIdentity(uint8_t code, uint8_t bits, const uint64_t* shape, uint32_t rank)
    : rank_(rank) {
  const uint8_t start[8] = {code, bits, static_cast<uint8_t>(rank), 0, 0, 0, 0, 0};
  hasher_.Update(ByteSpan(start, sizeof start));
  Words(shape, rank);
}

void PiecesIdentity::Piece(const uint64_t* origin, const uint64_t* extent,
                           const uint64_t* chunk_shape) {
  Words(origin, rank_);
  Words(extent, rank_);
  Words(chunk_shape, rank_);
}

void PiecesIdentity::Chunk(const codec::Hash128& raw_hash) {
  const uint64_t words[2] = {raw_hash.low, raw_hash.high};
  Words(words, 2);
}

void PiecesIdentity::Words(const uint64_t* words, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    uint8_t bytes[8];
    base::StoreLe64(bytes, words[i]);
    hasher_.Update(ByteSpan(bytes, sizeof bytes));
  }
}

void ContentDigest::Item(uint32_t kind, std::string_view name, uint32_t root, uint32_t node_count) {
  root_ = root;
  buffer_.clear();
  ByteWriter out(&buffer_);
  out.U32(kind);
  out.U32(static_cast<uint32_t>(name.size()));
  out.Bytes(ByteSpan(name));
  out.U32(node_count);
  out.U32(0);
  hasher_.Update(ByteSpan(buffer_));
}

void ContentDigest::Node(const NodeRecord& record, ByteSpan key_text, const uint64_t* shape,
                         ByteSpan attributes, const codec::Hash128& identity) {
  buffer_.clear();
  ByteWriter out(&buffer_);
  out.U8(record.kind);
  out.U8(record.key_kind);
  out.U8(record.dtype_bits);
  out.U8(record.dtype_code);
  out.U8(record.rank);
  out.Zeros(3);
  out.U32(record.parent == kNoParent ? kNoParent : record.parent - root_);
  out.U32(record.key_size);
  const bool has_text = record.key_kind == 2 || record.key_kind == 4;
  out.U64(has_text ? 0 : record.key);
  if (has_text) out.Bytes(key_text);
  for (uint32_t i = 0; i < record.rank; ++i) out.U64(shape[i]);
  out.U64(record.size);
  out.U32(static_cast<uint32_t>(attributes.size));
  out.Bytes(attributes);
  out.U32(0);
  if (record.storage == kAliasOf) {
    out.U64(uint64_t{record.a} - root_);
  } else if (IsLeafKind(record.kind)) {
    out.U64(identity.low);
    out.U64(identity.high);
  }
  hasher_.Update(ByteSpan(buffer_));
}

}  // namespace treering::format

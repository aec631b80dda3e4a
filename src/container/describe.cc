// SPDX-License-Identifier: Apache-2.0
// What the index says of a node: key, value, shape, attributes, path, size in the file.
//
// Records are decoded for each question; nothing is kept. An alias is followed once, to a leaf with
// a lower id that is no alias itself, so there are no chains. Kinds, dtypes and attributes that are
// not known are passed on as they are: only reading a value refuses them, in LoadLeaf.
#include <algorithm>

#include "base/checked.h"
#include "container/pieces.h"
#include "container/reader.h"
#include "tree/path.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;
using tree::Key;
using tree::KeyKind;

namespace {

constexpr uint8_t kAliasKind = static_cast<uint8_t>(tree::Kind::kAlias);
constexpr uint8_t kLastLeafKind = static_cast<uint8_t>(tree::Kind::kPrngKey);
constexpr uint32_t kLastKnownAttribute = tree::kTypeName;
constexpr uint32_t kFirstOwnAttribute = 32768;

bool HasShape(uint8_t kind) { return tree::IsArrayLike(static_cast<tree::Kind>(kind)); }

}  // namespace

Result<Key> Reader::KeyOf(const format::NodeRecord& record) const {
  Key key;
  key.kind = static_cast<KeyKind>(record.key_kind);
  if (key.kind == KeyKind::kString || key.kind == KeyKind::kBigInt) {
    TR_ASSIGN_OR_RETURN(key.text, index_->Text(record.key, record.key_size));
  } else {
    key.integer = static_cast<int64_t>(record.key);
  }
  return key;
}

Status Reader::Resolve(uint32_t id, const format::NodeRecord& record, uint32_t* value_id,
                       format::NodeRecord* value) const {
  *value_id = id;
  if (record.kind != kAliasKind) {
    *value = record;
    return Status();
  }
  if (record.a < id) {
    TR_ASSIGN_OR_RETURN(*value, index_->Node(record.a));
    *value_id = record.a;
    if (format::IsLeafKind(value->kind) && value->kind != kAliasKind) return Status();
  }
  return Broken("node " + std::to_string(id) + " is an alias of node " + std::to_string(record.a) +
                ", which is no leaf before it");
}

Result<NodeInfo> Reader::Node(uint32_t id) const {
  NodeInfo info;
  info.id = id;
  TR_ASSIGN_OR_RETURN(info.record, index_->Node(id));
  TR_RETURN_IF_ERROR(Resolve(id, info.record, &info.value_id, &info.value));
  TR_ASSIGN_OR_RETURN(info.key, KeyOf(info.record));
  if (HasShape(info.value.kind)) {
    if (info.value.rank > tree::kMaxRank) return Broken("a rank above 32");
    TR_RETURN_IF_ERROR(index_->Dims(info.value.shape, info.value.rank, info.shape.data()));
  }
  return info;
}

Result<std::vector<Key>> Reader::PathKeys(uint32_t id) const {
  std::vector<Key> keys;
  TR_ASSIGN_OR_RETURN(format::NodeRecord record, index_->Node(id));
  while (record.parent != format::kNoParent) {
    if (record.parent >= id) {
      return Broken("the parent of node " + std::to_string(id) + " does not come before it");
    }
    if (keys.size() >= options_.max_depth) {
      return Status(Code::kLimit, "'" + name() + "': node " + std::to_string(id) +
                                      " is deeper than the limit of " +
                                      std::to_string(options_.max_depth) + "; raise max_depth");
    }
    TR_ASSIGN_OR_RETURN(const Key key, KeyOf(record));
    keys.push_back(key);
    id = record.parent;
    TR_ASSIGN_OR_RETURN(record, index_->Node(id));
  }
  std::reverse(keys.begin(), keys.end());
  return keys;
}

Result<std::string> Reader::Path(uint32_t id) const {
  TR_ASSIGN_OR_RETURN(const std::vector<Key> keys, PathKeys(id));
  std::string path;
  for (const Key& key : keys) {
    if (!path.empty()) path += '/';
    tree::AppendDisplayKey(key, &path);
  }
  return path;
}

Result<std::vector<tree::Attribute>> Reader::Attributes(const format::NodeRecord& record) const {
  std::vector<tree::Attribute> list;
  if (record.attributes == 0) return list;
  TR_ASSIGN_OR_RETURN(const ByteSpan set, index_->AttributeSet(record.attributes));
  auto decoded = format::DecodeAttributes(set);
  if (!decoded.ok()) return std::move(decoded.status()).WithContext("'" + name() + "'");
  for (const format::AttributeRecord& attribute : *decoded) {
    list.push_back({attribute.id, attribute.flags, attribute.value.text()});
  }
  return list;
}

Status Reader::CheckAttributes(uint32_t attributes) const {
  if (attributes == 0) return Status();
  TR_ASSIGN_OR_RETURN(const ByteSpan set, index_->AttributeSet(attributes));
  auto decoded = format::DecodeAttributes(set);
  if (!decoded.ok()) return std::move(decoded.status()).WithContext("'" + name() + "'");
  for (const format::AttributeRecord& attribute : *decoded) {
    const bool known = attribute.id <= kLastKnownAttribute || attribute.id >= kFirstOwnAttribute;
    if (known || (attribute.flags & format::kCriticalAttribute) == 0) continue;
    return Status(Code::kUnsupportedFeature,
                  "'" + name() + "': attribute " + std::to_string(attribute.id) +
                      " must be understood and is not known; use a newer treering");
  }
  return Status();
}

Status Reader::LoadLeaf(uint32_t id, uint32_t* checked_attributes, Leaf* out) const {
  TR_ASSIGN_OR_RETURN(const format::NodeRecord record, index_->Node(id));
  out->id = id;
  TR_RETURN_IF_ERROR(Resolve(id, record, &out->value_id, &out->value));
  const format::NodeRecord& value = out->value;
  if (!format::IsLeafKind(value.kind)) {
    return Status(Code::kInvalidArgument, "'" + name() + "': it is no leaf and has no bytes");
  }
  if (value.kind > kLastLeafKind) {
    return Status(Code::kUnsupportedKind, "'" + name() + "': kind " + std::to_string(value.kind) +
                                              " is not known; use a newer treering");
  }
  if (value.attributes != *checked_attributes) {
    TR_RETURN_IF_ERROR(CheckAttributes(value.attributes));
    *checked_attributes = value.attributes;
  }
  out->array = HasShape(value.kind);
  if (!out->array) {
    out->dtype = {1, 8};
    out->rank = 1;
    out->shape[0] = value.size;
    return Status();
  }
  out->dtype = {value.dtype_code, value.dtype_bits};
  out->rank = value.rank;
  if (!tree::IsKnown(out->dtype)) {
    return Status(Code::kUnsupportedDtype, "'" + name() + "': dtype code " +
                                               std::to_string(value.dtype_code) + " of " +
                                               std::to_string(value.dtype_bits) +
                                               " bits is not known; use a newer treering");
  }
  if (value.rank > tree::kMaxRank) return Broken("a rank above 32");
  TR_RETURN_IF_ERROR(index_->Dims(value.shape, value.rank, out->shape.data()));
  uint64_t size = 0;
  if (tree::RawSize(out->dtype, out->shape.data(), out->rank, &size) && size == value.size) {
    return Status();
  }
  return Broken("the size of an array is not the one of its shape");
}

Status Reader::CheckBacked(const Leaf& leaf, uint64_t* chunks_left) const {
  const format::NodeRecord& value = leaf.value;
  if (value.storage == format::kInline && value.size <= format::kMaxInline) return Status();
  if (value.storage == format::kPacked) {
    TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk, index_->Chunk(value.a));
    if (base::InBounds(value.b, value.size, chunk.raw_size)) return Status();
    return Broken("a packed leaf lies outside its chunk");
  }
  if (value.storage != format::kInPieces) return Broken("a leaf is stored in no known way");
  uint64_t sum = 0;      // at most 2^32 chunks of 2^30 bytes
  uint64_t padding = 0;  // at most: each chunk of 2- and 4-bit elements ends with a whole byte
  for (uint64_t i = 0; i < value.b; ++i) {
    TR_ASSIGN_OR_RETURN(const PieceGrid grid, LoadPiece(*this, leaf, uint64_t{value.a} + i));
    if (grid.record.chunk_count > *chunks_left) return Broken("pieces share chunks");
    *chunks_left -= grid.record.chunk_count;
    if (tree::IsSubByte(leaf.dtype)) padding += grid.record.chunk_count;
    for (uint32_t k = 0; k < grid.record.chunk_count; ++k) {
      TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk,
                          index_->Chunk(grid.record.first_chunk + k));
      TR_RETURN_IF_ERROR(chunks_.Locate(chunk).status());
      sum += chunk.raw_size;
    }
  }
  if (sum >= value.size && sum - value.size <= padding) return Status();
  return Broken("the chunks of a leaf do not add up to its size");
}

Result<uint64_t> Reader::StoredSize(const NodeInfo& node) const {
  if (node.value.storage != format::kInPieces) {
    return format::IsLeafKind(node.value.kind) ? node.value.size : 0;
  }
  uint64_t sum = 0;
  uint64_t chunks = 0;
  for (uint64_t i = 0; i < node.value.b; ++i) {
    const uint64_t id = uint64_t{node.value.a} + i;
    if (id > UINT32_MAX) return Broken("a piece that does not exist");
    TR_ASSIGN_OR_RETURN(const format::PieceRecord piece, index_->Piece(static_cast<uint32_t>(id)));
    const uint32_t count = index_->count(format::kChunks);
    chunks += piece.chunk_count;
    if (!base::InBounds(piece.first_chunk, piece.chunk_count, count) || chunks > count) {
      return Broken("a piece has chunks that do not exist");
    }
    for (uint32_t k = 0; k < piece.chunk_count; ++k) {
      TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk, index_->Chunk(piece.first_chunk + k));
      if (!base::CheckedAdd(sum, chunk.stored_size, &sum)) return Broken("sizes overflow");
    }
  }
  return sum;
}

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Where the value of a leaf goes.
//
// By its raw size: up to 16 bytes into the node record, up to 65535 into a packed chunk, more into
// pieces; several pieces and a chunk shape of the caller's are kept as such from 17 bytes on. Most
// leaves are small, so their path has no allocation: the bytes are copied once, into the packed
// chunk, and hashed there. Strings, bytes and ints are handled as uint8 arrays throughout.
#include "container/leaf_writer.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace treering::container {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;
using tree::Kind;
using tree::ValueForm;

constexpr int32_t kAbiCodecs = 3;  // raw 1, zstd 2, zstd planes 3; 0 is the default
constexpr int32_t kDefaultLevel = 3;
constexpr int32_t kLowestLevel = -7;
constexpr int32_t kHighestLevel = 22;
constexpr tree::Dtype kBytes = {1, 8};
constexpr uint64_t kPackedAlignment = 64;

// Bytes of the units that a host may hold in another order.
uint32_t UnitOf(const tree::Node& leaf) {
  if (tree::IsArrayLike(leaf.kind)) return SwapUnit(leaf.dtype);
  return leaf.kind == Kind::kFloat || leaf.kind == Kind::kComplex ? 8 : 1;
}

uint64_t AlignmentOf(const tree::Node& leaf) {
  if (leaf.value.size >= kPackedAlignment) return kPackedAlignment;
  if (tree::IsArrayLike(leaf.kind)) return std::min(tree::ElementBytes(leaf.dtype), 16u);
  return leaf.kind == Kind::kFloat || leaf.kind == Kind::kComplex ? 8 : 1;
}

uint64_t ElementsOf(const ArrayLeaf& leaf, uint64_t size) {
  if (!tree::IsSubByte(leaf.dtype)) return size / tree::ElementBytes(leaf.dtype);
  uint64_t elements = 0;
  return tree::ElementCount(leaf.shape, leaf.rank, &elements) ? elements : 0;
}

}  // namespace

Status CheckCodec(int32_t codec, int32_t level) {
  if (codec < 0 || codec > kAbiCodecs) {
    return Status(
        Code::kInvalidArgument,
        "codec " + std::to_string(codec) + " is unknown; use 1 (raw), 2 (zstd) or 3 (zstd planes)");
  }
  if (level < kLowestLevel || level > kHighestLevel) {
    return Status(Code::kInvalidArgument, "compression level " + std::to_string(level) +
                                              " is unknown; use -7 to 22; 0 is the default, 3");
  }
  return Status();
}

LeafWriter::LeafWriter(ChunkWriter* chunks, IndexBuilder* index, const LeafDefaults& defaults)
    : chunks_(chunks),
      defaults_(defaults),
      packer_(chunks, index),
      arrays_(chunks, index, defaults.chunk_bytes) {}

Status LeafWriter::Params(const tree::Node& leaf, codec::CodecParams* params) const {
  const tree::StorageHints& hints = leaf.hints;
  if (hints.codec != 0 || hints.level != 0) {
    TR_RETURN_IF_ERROR(CheckCodec(hints.codec, hints.level));
  }
  const int32_t codec = hints.codec != 0 ? hints.codec : defaults_.codec;
  if (codec <= 1) return Status();
  const int32_t level = hints.level != 0 ? hints.level : defaults_.level;
  params->level = level != 0 ? level : kDefaultLevel;
  params->codec = codec::kZstd;
  const uint32_t unit = tree::IsArrayLike(leaf.kind) ? SwapUnit(leaf.dtype) : 1;
  if (codec == kAbiCodecs && (unit == 2 || unit == 4 || unit == 8)) {
    params->codec = codec::kZstdPlanes;
    params->element = static_cast<uint8_t>(unit);
    params->rotate = tree::IsFloat(leaf.dtype) || leaf.dtype.code == 5;
  }
  return Status();
}

Status LeafWriter::Write(const tree::Node& leaf, uint32_t id, format::NodeRecord* record,
                         codec::Hash128* identity) {
  const tree::Value& value = leaf.value;
  if (value.form == ValueForm::kAbstract) {
    return Status(Code::kInvalidArgument,
                  leaf.kind == Kind::kPlaceholder
                      ? "it is a placeholder and has no value; give it one or remove it"
                      : "it is abstract and has no value; give it data, a fill callback or pieces");
  }
  ArrayLeaf array;
  array.dtype = leaf.dtype;
  array.rank = leaf.rank;
  array.shape = leaf.shape;
  array.value = &value;
  array.chunk_shape = leaf.hints.chunk_shape;
  if (!tree::IsArrayLike(leaf.kind)) {
    array.dtype = kBytes;
    array.rank = 1;
    array.shape = &value.size;
    array.chunk_shape = nullptr;
  }
  TR_RETURN_IF_ERROR(Params(leaf, &array.params));
  record->size = value.size;
  const bool small = value.size <= format::kMaxInline;
  if (!small && (value.size > format::kMaxPacked || array.chunk_shape != nullptr ||
                 (value.form == ValueForm::kPieces && value.piece_count > 1))) {
    record->storage = format::kInPieces;
    return arrays_.Write(array, id, record, identity);
  }
  uint8_t* room = record->value.data();
  record->storage = format::kInline;
  if (!small) {
    record->storage = format::kPacked;
    TR_RETURN_IF_ERROR(
        packer_.Place(array.params, id, value.size, AlignmentOf(leaf), &room, &record->b));
  }
  TR_RETURN_IF_ERROR(Copy(array, UnitOf(leaf), value.size, room));
  *identity = codec::Hash128Of(ByteSpan(room, value.size));
  if (small) return chunks_->Report(value.size);
  base::StoreLe64(record->value.data(), identity->low);
  base::StoreLe64(record->value.data() + 8, identity->high);
  return Status();
}

// The raw bytes of a small leaf.
Status LeafWriter::Copy(const ArrayLeaf& leaf, uint32_t unit, uint64_t size, uint8_t* dst) {
  const tree::Value& value = *leaf.value;
  if (size == 0) return Status();
  if (value.form == ValueForm::kFill) {
    FillReader fill(value, leaf.dtype);
    TR_RETURN_IF_ERROR(fill.Next(ElementsOf(leaf, size), dst, &scratch_));
    if (unit != SwapUnit(leaf.dtype)) ToLittleEndian(unit, dst, size);
    return Status();
  }
  if (value.form == ValueForm::kPieces) {
    TR_RETURN_IF_ERROR(CopyPieces(leaf, size, dst));
  } else if (value.strides == nullptr && !value.one_per_byte) {
    std::memcpy(dst, value.data, static_cast<size_t>(size));
    if (tree::IsSubByte(leaf.dtype)) ClearTail(leaf.dtype, ElementsOf(leaf, size), dst);
  } else {
    Source source;
    source.dtype = leaf.dtype;
    source.box = tree::WholeBox(leaf.shape, leaf.rank);
    source.data = value.data;
    source.strides = value.strides;
    source.one_per_byte = value.one_per_byte;
    std::memset(dst, 0, static_cast<size_t>(size));
    Gather(source, source.box, source.box, dst);
  }
  ToLittleEndian(unit, dst, size);
  return Status();
}

Status LeafWriter::CopyPieces(const ArrayLeaf& leaf, uint64_t size, uint8_t* dst) {
  TR_RETURN_IF_ERROR(arrays_.SortPieces(leaf, &sources_));
  const tree::Box whole = tree::WholeBox(leaf.shape, leaf.rank);
  std::memset(dst, 0, static_cast<size_t>(size));
  for (const Source& source : sources_) Gather(source, source.box, whole, dst);
  return Status();
}

}  // namespace treering::container

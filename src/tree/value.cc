// SPDX-License-Identifier: Apache-2.0
// Checking and storing the values of leaves.
//
// Whatever a caller says of a leaf is checked here once, so that all later code may believe the
// record: sizes follow from dtype and shape without overflow, strides stay inside int64, ints are
// minimal, text is text, pieces lie within the array. Shapes, strides and pieces go to the arena;
// data stay where they are (copying is CopyLeafData's, after everything was checked). Paths are
// put in front of the messages by the caller, who knows them.
#include <algorithm>

#include "base/checked.h"
#include "tree/nodes.h"
#include "tree/path.h"

namespace treering::tree {

using base::Code;
using base::Status;

namespace {

constexpr char kNothing[1] = {0};  // what empty data point to

Status Bad(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

uint64_t FixedSize(Kind kind) {
  if (kind == Kind::kBool) return 1;
  if (kind == Kind::kFloat) return 8;
  if (kind == Kind::kComplex) return 16;
  return 0;
}

Status WrongSize(const char* what, uint64_t expected, uint64_t found) {
  return Bad(std::string("data of ") + what + " take " + std::to_string(expected) +
             " bytes, but data_size says " + std::to_string(found));
}

}  // namespace

Status ValueReader::Read(const Node& node, Record* r, bool lent) {
  if (!lent && node.value.form == ValueForm::kData && node.value.strides != nullptr &&
      node.destination != nullptr) {
    return Bad("data beside a destination with strides must be lent");
  }
  r->kind = node.kind;
  r->form = node.value.form;
  if (node.kind == Kind::kPlaceholder) {
    if (node.value.form != ValueForm::kAbstract) return Bad("a placeholder has no value");
    return Extras(node, r);
  }
  if (node.value.form == ValueForm::kFill && node.value.fill == nullptr) {
    return Bad("the fill callback is null");
  }
  TR_RETURN_IF_ERROR(IsArrayLike(node.kind) ? Array(node, r) : Scalar(node, r));
  if (node.value.form == ValueForm::kData) {
    if (node.value.data == nullptr && r->size != 0) return Bad("data are null");
    r->data = r->size == 0 ? kNothing : node.value.data;
  }
  return Extras(node, r);
}

Status ValueReader::Array(const Node& node, Record* r) {
  // A container may hold dtypes of a later version: their metadata are kept, their bytes are not.
  const bool known = IsKnown(node.dtype);
  if (!known && (node.value.form != ValueForm::kAbstract || node.dtype.bits == 0)) {
    return Bad("dtype " + std::to_string(node.dtype.number()) + " is not known");
  }
  if (node.rank > kMaxRank) {
    return Status(Code::kLimit, "rank " + std::to_string(node.rank) + " is above the limit of 32");
  }
  if (node.rank != 0 && node.shape == nullptr) return Bad("the shape is null");
  uint64_t raw = 0;
  if (!RawSize(node.dtype, node.shape, node.rank, &raw) || raw > INT64_MAX) {
    return Bad("the shape's product overflows; check the dimensions");
  }
  if (node.kind == Kind::kPrngKey && (node.dtype.code != 1 || node.rank == 0)) {
    return Bad("a PRNG key has an unsigned dtype and a trailing dimension of words");
  }
  const bool sub_byte = IsSubByte(node.dtype);
  r->dtype = node.dtype;
  r->rank = static_cast<uint8_t>(node.rank);
  r->size = known ? raw : node.value.size;
  r->one_per_byte = sub_byte && node.value.one_per_byte;
  uint64_t count = 0;
  if (known && node.value.size != 0 && node.value.size != raw &&
      !(r->one_per_byte && ElementCount(node.shape, node.rank, &count) &&
        count == node.value.size)) {
    return WrongSize(Describe(node.dtype, node.shape, node.rank).c_str(), raw, node.value.size);
  }
  if (last_shape_ == nullptr || last_rank_ != node.rank ||
      !std::equal(node.shape, node.shape + node.rank, last_shape_)) {
    last_shape_ = impl_->arena.Array(node.shape, node.rank);
    last_rank_ = node.rank;
  }
  r->shape = node.rank == 0 ? nullptr : last_shape_;
  if (node.value.strides != nullptr) {
    TR_RETURN_IF_ERROR(Strides(node, r, node.value.strides, node.shape));
  }
  return node.value.form == ValueForm::kPieces ? Pieces(node, r) : Status();
}

Status ValueReader::Strides(const Node& node, Record* r, const int64_t* strides,
                            const uint64_t* extent) {
  if (IsSubByte(node.dtype) && !r->one_per_byte) {
    return Bad("strides need elements of whole bytes: set one_per_byte");
  }
  uint64_t reach = 0;
  for (uint32_t i = 0; i < node.rank; ++i) {
    const uint64_t step =
        strides[i] < 0 ? 0 - static_cast<uint64_t>(strides[i]) : static_cast<uint64_t>(strides[i]);
    uint64_t span = 0;
    if (extent[i] > 1 && (!base::CheckedMul(step, extent[i] - 1, &span) ||
                          !base::CheckedAdd(reach, span, &reach) || reach > INT64_MAX)) {
      return Bad("stride " + std::to_string(strides[i]) + " reaches beyond memory");
    }
  }
  return Status();
}

Status ValueReader::Pieces(const Node& node, Record* r) {
  const Value& value = node.value;
  if (value.piece_count != 0 && value.pieces == nullptr) return Bad("pieces are null");
  for (uint64_t i = 0; i < value.piece_count; ++i) {
    const Piece& piece = value.pieces[i];
    const std::string name = "piece " + std::to_string(i);
    if (node.rank != 0 && (piece.origin == nullptr || piece.extent == nullptr)) {
      return Bad(name + " has no origin or extent");
    }
    bool empty = false;
    for (uint32_t axis = 0; axis < node.rank; ++axis) {
      empty = empty || piece.extent[axis] == 0;
      if (!base::InBounds(piece.origin[axis], piece.extent[axis], node.shape[axis])) {
        return Bad(name + " reaches from " + std::to_string(piece.origin[axis]) + " over " +
                   std::to_string(piece.extent[axis]) + " on axis " + std::to_string(axis) +
                   ", beyond " + std::to_string(node.shape[axis]));
      }
    }
    if (piece.data == nullptr && !empty) return Bad(name + " has no data");
    if (piece.strides != nullptr) {
      TR_RETURN_IF_ERROR(Strides(node, r, piece.strides, piece.extent));
    }
  }
  uint64_t bytes = 0;
  if (!base::CheckedMul(value.piece_count, sizeof(Piece), &bytes) || bytes > INT64_MAX) {
    return Status(Code::kLimit, "too many pieces");
  }
  auto* pieces = reinterpret_cast<Piece*>(impl_->arena.Allocate(static_cast<size_t>(bytes)));
  for (uint64_t i = 0; i < value.piece_count; ++i) {
    const Piece& piece = value.pieces[i];
    pieces[i].origin = impl_->arena.Array(piece.origin, node.rank);
    pieces[i].extent = impl_->arena.Array(piece.extent, node.rank);
    pieces[i].data = piece.data == nullptr ? kNothing : piece.data;
    pieces[i].strides = nullptr;
    if (piece.strides != nullptr) {
      pieces[i].strides = impl_->arena.Array(piece.strides, node.rank);
    }
  }
  r->pieces = pieces;
  return Status();
}

Status ValueReader::Scalar(const Node& node, Record* r) {
  const Value& value = node.value;
  const char* name = KindName(node.kind);
  const uint64_t fixed = FixedSize(node.kind);
  if (value.strides != nullptr || value.form == ValueForm::kPieces) {
    return Bad(std::string("strides and pieces are for arrays, not for a ") + name);
  }
  if (fixed != 0 && value.size != 0 && value.size != fixed) {
    return WrongSize(name, fixed, value.size);
  }
  r->size = fixed != 0 ? fixed : value.size;
  const bool checked = node.kind == Kind::kBool || node.kind == Kind::kInt ||
                       node.kind == Kind::kString;  // their bytes are looked at
  if (checked && value.form == ValueForm::kFill) {
    return Bad(std::string("a ") + name + " is given as data, not by callback");
  }
  if (value.size > INT64_MAX) return Bad("data_size is beyond memory");
  if (value.form != ValueForm::kData || !checked) return Status();
  if (value.data == nullptr && r->size != 0) return Bad("data are null");
  const auto* bytes = static_cast<const uint8_t*>(value.data);
  if (node.kind == Kind::kBool && bytes[0] > 1) {
    return Bad("a bool is 0 or 1, not " + std::to_string(bytes[0]));
  }
  if (node.kind == Kind::kInt) {
    if (value.size == 0) return Bad("an int takes 1 or more bytes, but data_size is 0");
    r->size = MinimalIntegerSize(bytes, value.size);
  }
  if (node.kind == Kind::kString && !IsWtf8(base::ByteSpan(bytes, value.size).text())) {
    return Bad("the string is not UTF-8; store other bytes as kind bytes");
  }
  return Status();
}

Status ValueReader::Extras(const Node& node, Record* r) {
  const StorageHints& hints = node.hints;
  const bool fill = node.value.form == ValueForm::kFill;
  const bool pieces = node.value.form == ValueForm::kPieces;
  if (hints.codec < 0 || hints.codec > 3) {
    return Bad("codec " + std::to_string(hints.codec) + " is not known");
  }
  if (!fill && !pieces && node.value.strides == nullptr && hints.codec == 0 && hints.level == 0 &&
      hints.chunk_shape == nullptr && node.destination == nullptr) {
    return Status();
  }
  for (uint32_t i = 0; hints.chunk_shape != nullptr && i < r->rank; ++i) {
    if (hints.chunk_shape[i] == 0) return Bad("the chunk shape is 0 on axis " + std::to_string(i));
  }
  Extra extra;
  extra.fill = node.value.fill;
  extra.fill_user = node.value.fill_user;
  extra.piece_count = pieces ? node.value.piece_count : 0;
  extra.destination = node.destination;
  extra.destination_size = node.destination_size;
  extra.codec = hints.codec;
  extra.level = hints.level;
  if (node.value.strides != nullptr && r->rank != 0) {
    extra.strides = impl_->arena.Array(node.value.strides, r->rank);
  }
  if (hints.chunk_shape != nullptr) {
    extra.chunk_shape = impl_->arena.Array(hints.chunk_shape, r->rank);
  }
  r->extra = impl_->arena.Array(&extra, 1);
  return Status();
}

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// Leaves that consist of pieces.
//
// Each piece is cut by its own grid. Where the chunks in grid order are the memory in order, they
// are handed on from where they lie; else each is gathered into staging memory first. What a leaf
// means is told by the hashes of its chunks, which the chunk writer gives when a chunk is added,
// long before it may be compressed and written.
//
// A leaf that a callback fills is one piece, read front to back once; a grid that would need
// another order is refused, since it would need the whole leaf in memory.
#include "container/array_writer.h"

#include <cstring>
#include <utility>

namespace treering::container {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kLargeAlignment = 4096;
constexpr uint64_t kLarge = 65536;

}  // namespace

Status ArrayWriter::SortPieces(const ArrayLeaf& leaf, std::vector<Source>* sources) {
  std::vector<Source> given;
  std::vector<tree::Box> boxes;
  for (uint64_t i = 0; i < leaf.value->piece_count; ++i) {
    given.push_back(
        SourceOf(leaf.value->pieces[i], leaf.dtype, leaf.rank, leaf.value->one_per_byte));
    if (given.back().box.elements() == 0) {
      given.pop_back();
    } else {
      boxes.push_back(given.back().box);
    }
  }
  std::vector<uint32_t> order;
  TR_RETURN_IF_ERROR(SortAndCheckCover(&order, boxes, leaf.shape, leaf.rank));
  sources->clear();
  for (const uint32_t i : order) sources->push_back(given[i]);
  return Status();
}

Status ArrayWriter::Write(const ArrayLeaf& leaf, uint32_t id, format::NodeRecord* record,
                          codec::Hash128* identity) {
  if (leaf.value->form == tree::ValueForm::kPieces) {
    TR_RETURN_IF_ERROR(SortPieces(leaf, &sources_));
  } else {
    Source whole;
    whole.dtype = leaf.dtype;
    whole.box = tree::WholeBox(leaf.shape, leaf.rank);
    whole.data = leaf.value->data;
    whole.strides = leaf.value->strides;
    whole.one_per_byte = leaf.value->one_per_byte;
    sources_.assign(1, whole);
  }
  if (sources_.size() > UINT32_MAX - 1 - uint64_t{index_->piece_count()}) {
    return Status(Code::kLimit, "the file would have more than 4294967294 pieces");
  }
  record->a = index_->piece_count();
  record->b = static_cast<uint32_t>(sources_.size());
  FillReader fill(*leaf.value, leaf.dtype);
  format::PiecesIdentity pieces(leaf.dtype.code, leaf.dtype.bits, leaf.shape, leaf.rank);
  for (const Source& source : sources_) {
    TR_RETURN_IF_ERROR(WritePiece(leaf, source, id, &fill, &pieces));
  }
  *identity = pieces.Digest();
  base::StoreLe64(record->value.data(), identity->low);
  base::StoreLe64(record->value.data() + 8, identity->high);
  return Status();
}

Status ArrayWriter::WritePiece(const ArrayLeaf& leaf, const Source& source, uint32_t id,
                               FillReader* fill, format::PiecesIdentity* identity) {
  TR_ASSIGN_OR_RETURN(const ChunkPlan plan,
                      PlanChunks(leaf.dtype, source.box, leaf.chunk_shape, chunk_bytes_));
  if (leaf.value->form == tree::ValueForm::kFill && !plan.runs) {
    return Status(Code::kUnsupported,
                  "a leaf filled by a callback cannot be stored in tiles; give it whole or in "
                  "pieces, or leave out its chunk shape");
  }
  const uint32_t rank = leaf.rank;
  format::PieceRecord record;
  record.leaf = id;
  record.origin = index_->AddDims(source.box.origin.data(), rank);
  record.extent = index_->AddDims(source.box.extent.data(), rank);
  record.chunk_shape = index_->AddDims(plan.shape.data(), rank);
  record.first_chunk = chunks_->count();
  record.chunk_count = plan.count;
  index_->AddPiece(record);
  identity->Piece(source.box.origin.data(), source.box.extent.data(), plan.shape.data());
  uint64_t elements = 0;
  for (uint32_t i = 0; i < plan.count; ++i) {
    codec::Hash128 raw_hash;
    TR_RETURN_IF_ERROR(WriteChunk(leaf, plan, source, i, elements, fill, &raw_hash));
    identity->Chunk(raw_hash);
    elements += plan.Cell(i).elements();
  }
  return Status();
}

// `first_element`: how many elements of the piece are in the chunks before.
Status ArrayWriter::WriteChunk(const ArrayLeaf& leaf, const ChunkPlan& plan, const Source& source,
                               uint32_t i, uint64_t first_element, FillReader* fill,
                               codec::Hash128* raw_hash) {
  const tree::Box cell = plan.Cell(i);
  const uint64_t elements = cell.elements();
  const uint64_t size = plan.RawSize(cell);
  const uint64_t bits = tree::StorageBits(leaf.dtype);
  uint64_t alignment = 1;
  if (i == 0) alignment = plan.RawSize(plan.piece) >= kLarge ? kLargeAlignment : kAlignment;
  const bool filled = leaf.value->form == tree::ValueForm::kFill;
  const bool whole_bytes = first_element * bits % 8 == 0 && elements * bits % 8 == 0;
  if (!filled && plan.runs && whole_bytes && IsPlain(source)) {
    const auto* const data = static_cast<const uint8_t*>(source.data);
    return chunks_->Add(leaf.params, alignment, ByteSpan(data + first_element * bits / 8, size),
                        raw_hash);
  }
  std::vector<uint8_t>* const stage = chunks_->stage();
  if (stage->size() < size) stage->resize(size);
  if (filled) {
    TR_RETURN_IF_ERROR(fill->Next(elements, stage->data(), &scratch_));
  } else {
    if (bits < 8) std::memset(stage->data(), 0, static_cast<size_t>(size));
    Gather(source, cell, cell, stage->data());
    ToLittleEndian(SwapUnit(leaf.dtype), stage->data(), size);
  }
  return chunks_->Add(leaf.params, alignment, ByteSpan(stage->data(), size), raw_hash);
}

}  // namespace treering::container

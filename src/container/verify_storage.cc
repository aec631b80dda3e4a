// SPDX-License-Identifier: Apache-2.0
// Verifying where leaves lie: packed chunks, pieces, grids, coverage, identities of pieces.
//
// Each piece belongs to one leaf and each chunk record to one piece or to the packed leaves, so a
// record is claimed when it is met and a second claim is refused. That is also what keeps this
// linear: no chunk is walked twice, however many leaves a file claims to have.
//
// What the chunks hold is checked when they are read; packed leaves are noted for that.
#include <algorithm>

#include "base/checked.h"
#include "container/verify_parts.h"
#include "container/verify_values.h"
#include "tree/tree.h"

namespace treering::container {

using base::Code;
using base::Status;
using tree::FindingKind;

namespace {

constexpr uint64_t kLargePiece = 65536;

}  // namespace

Status StorageCheck::Leaf(uint32_t id, const format::NodeRecord& record, const tree::Dims& shape) {
  const bool inside = record.storage == format::kInline;
  if (inside != (record.size <= format::kMaxInline)) {
    findings_->InvalidNode(
        id, "leaves of at most 16 bytes inline, and no others",
        std::to_string(record.size) + " bytes, storage " + std::to_string(record.storage));
    usage_->complete = false;
    return Status();
  }
  uint64_t elements = 0;
  const tree::Dtype dtype{record.dtype_code, record.dtype_bits};
  const bool bits =
      tree::IsSubByte(dtype) && tree::ElementCount(shape.data(), record.rank, &elements);
  const uint8_t spare = bits ? SpareBits(dtype, elements) : uint8_t{0};
  if (inside) {
    if (!AreValues(record, spare, base::ByteSpan(record.value.data(), record.size))) {
      findings_->NoValue(id);
    }
    return Status();
  }
  return record.storage == format::kPacked ? Packed(id, record, spare) : Pieces(id, record, shape);
}

Status StorageCheck::Packed(uint32_t id, const format::NodeRecord& record, uint8_t spare) {
  if (record.a >= usage_->roles.size()) {
    findings_->InvalidNode(id, "a chunk below " + std::to_string(usage_->roles.size()),
                           "chunk " + std::to_string(record.a));
    return Status();
  }
  uint8_t& role = usage_->roles[record.a];
  if (role != Usage::kUnused && role != Usage::kPackedChunk) {
    findings_->InvalidNode(id, "a packed chunk",
                           "chunk " + std::to_string(record.a) + " of node " +
                               std::to_string(usage_->leaves[record.a]));
    return Status();
  }
  role = Usage::kPackedChunk;
  usage_->packed.push_back({record.a, record.b, static_cast<uint32_t>(record.size), id, spare});
  return Status();
}

Status StorageCheck::Pieces(uint32_t id, const format::NodeRecord& record,
                            const tree::Dims& shape) {
  const bool array = tree::IsArrayLike(static_cast<tree::Kind>(record.kind));
  dtype_ = array ? tree::Dtype{record.dtype_code, record.dtype_bits} : tree::Dtype{1, 8};
  whole_ = tree::WholeBox(shape.data(), array ? record.rank : 1);
  if (!base::InBounds(record.a, record.b, usage_->pieces.size()) || whole_.rank == 0 ||
      (!array && record.b != 1)) {
    findings_->InvalidNode(id, array ? "pieces that exist" : "one piece that exists",
                           std::to_string(record.b) + " from piece " + std::to_string(record.a));
    usage_->complete = false;
    return Status();
  }
  format::PiecesIdentity identity(dtype_.code, dtype_.bits, shape.data(), whole_.rank);
  Coverage coverage(whole_);
  tree::Dims before{};
  bool fits = true;
  for (uint32_t i = 0; i < record.b && fits; ++i) {
    PieceGrid grid;
    TR_RETURN_IF_ERROR(Piece(id, record.a + i, &grid, &fits));
    if (!fits) break;
    if (i != 0 && !(before < grid.box.origin)) {
      findings_->InvalidNode(id, "pieces in order of their origins", "another order");
    }
    before = grid.box.origin;
    coverage.Add(grid.box);
    identity.Piece(grid.box.origin.data(), grid.box.extent.data(), grid.chunk_shape.data());
    TR_RETURN_IF_ERROR(Chunks(id, grid, &identity, &fits));
  }
  if (!fits) {
    usage_->complete = false;
    return Status();
  }
  const auto kind = static_cast<tree::Kind>(record.kind);
  if (kind == tree::Kind::kString || kind == tree::Kind::kInt) usage_->long_values.push_back(id);
  if (!coverage.Exact()) {
    findings_->InvalidNode(id, "pieces that cover each element once", "gaps or overlaps");
  } else if (identity.Digest() != record.identity()) {
    findings_->InvalidNode(id, "the identity of its chunks", "another one");
  }
  return Status();
}

Status StorageCheck::Piece(uint32_t id, uint32_t piece, PieceGrid* grid, bool* fits) {
  *fits = false;
  const auto record = index_.Piece(piece);
  Status read = record.ok() ? Status() : record.status();
  if (read.ok()) {
    grid->record = *record;
    grid->box.rank = whole_.rank;
    read = index_.Dims(record->origin, whole_.rank, grid->box.origin.data());
    if (read.ok()) read = index_.Dims(record->extent, whole_.rank, grid->box.extent.data());
    if (read.ok()) read = index_.Dims(record->chunk_shape, whole_.rank, grid->chunk_shape.data());
  }
  if (read.code() == Code::kCorruptChecksum) {
    findings_->Node(id, FindingKind::kDamaged, Code::kCorruptChecksum, "",
                    "pieces in a damaged part of the index");
    return Status();
  }
  if (!read.ok()) return findings_->FailedNode(id, read);
  uint8_t& claimed = usage_->pieces[piece];
  if (claimed != 0 || record->leaf != id) {
    findings_->InvalidNode(
        id, "pieces of its own",
        "piece " + std::to_string(piece) + " of node " + std::to_string(record->leaf));
    return Status();
  }
  claimed = 1;
  *fits = Grid(id, grid);
  return Status();
}

bool StorageCheck::Grid(uint32_t id, PieceGrid* grid) {
  uint64_t chunks = 1;
  bool fits = true;
  for (uint32_t i = 0; i < whole_.rank && fits; ++i) {
    const uint64_t extent = grid->box.extent[i];
    const uint64_t step = grid->chunk_shape[i];
    fits = extent >= 1 && step >= 1 && step <= extent &&
           base::InBounds(grid->box.origin[i], extent, whole_.extent[i]);
    if (!fits) break;
    grid->cells[i] = (extent - 1) / step + 1;
    fits = base::CheckedMul(chunks, grid->cells[i], &chunks);
  }
  const format::PieceRecord& record = grid->record;
  if (fits && chunks == record.chunk_count &&
      base::InBounds(record.first_chunk, chunks, usage_->roles.size())) {
    return true;
  }
  findings_->InvalidNode(id, "pieces inside the array, with the chunks of their grids",
                         "a piece with " + std::to_string(record.chunk_count) +
                             " chunks from chunk " + std::to_string(record.first_chunk));
  return false;
}

Status StorageCheck::Chunks(uint32_t id, const PieceGrid& grid, format::PiecesIdentity* identity,
                            bool* fits) {
  const bool large = PackedBytes(dtype_, grid.box.elements()) >= kLargePiece;
  CellWalk walk(grid, grid.box);
  Cell cell;
  *fits = false;
  for (bool first = true; walk.Next(&cell); first = false) {
    uint8_t& role = usage_->roles[cell.chunk];
    if (role != Usage::kUnused) {
      findings_->InvalidNode(id, "chunk records of its own",
                             "chunk " + std::to_string(cell.chunk) + " again");
      return Status();
    }
    role = !first ? Usage::kFollowing : large ? Usage::kFirstOfLarge : Usage::kFirst;
    usage_->leaves[cell.chunk] = id;
    usage_->spare[cell.chunk] = SpareBits(dtype_, cell.box.elements());
    const auto chunk = index_.Chunk(cell.chunk);
    if (!chunk.ok() && chunk.status().code() == Code::kCorruptChecksum) {
      findings_->Node(id, FindingKind::kDamaged, Code::kCorruptChecksum, "",
                      "chunk records in a damaged part of the index");
      return Status();
    }
    if (!chunk.ok()) return findings_->FailedNode(id, chunk.status());
    const uint64_t bytes = PackedBytes(dtype_, cell.box.elements());
    if (chunk->raw_size != bytes) {
      findings_->InvalidNode(
          id, std::to_string(bytes) + " bytes in chunk " + std::to_string(cell.chunk),
          std::to_string(chunk->raw_size));
      return Status();
    }
    identity->Chunk(chunk->raw_hash);
  }
  *fits = true;
  return Status();
}

}  // namespace treering::container

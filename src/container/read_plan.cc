// SPDX-License-Identifier: Apache-2.0
// Planning reads: from requests to chunks.
//
// Every request is checked in full before a byte is read: that the leaf is one that we understand,
// that the box lies in it, that the memory is large enough, that pieces cover the box exactly once.
// What is planned per chunk is small (16 bytes where it has to be copied or decoded, 48 for each
// 8 MiB that can be read in place), so that a plan for a terabyte is megabytes.
//
// Records are decoded again when the plan runs. Carrying it out is read.cc's.
#include "container/read_plan.h"

#include <cstring>

#include "base/checked.h"
#include "codec/codec.h"

namespace treering::container {

using base::Status;
using tree::Box;

namespace {

constexpr uint64_t kMostDirect = uint64_t{8} << 20;  // bytes of one task

bool Inside(const Box& inner, const Box& outer) {
  for (uint32_t i = 0; i < inner.rank; ++i) {
    if (inner.origin[i] < outer.origin[i] ||
        inner.origin[i] + inner.extent[i] > outer.origin[i] + outer.extent[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool Delivery::RunOf(const Box& cell, uint64_t* first_byte) const {
  uint64_t first = 0;
  if (!as_stored() || !Inside(cell, box) || !tree::IsContiguousRun(box, cell, &first)) return false;
  const uint64_t bits = tree::StorageBits(stored);
  const uint64_t elements = cell.elements();
  if (bits < 8) {
    // The last byte of the cell must not hold elements of another, unless it ends the box.
    if (first * bits % 8 != 0) return false;
    if (elements * bits % 8 != 0 && first + elements != box.elements()) return false;
    *first_byte = first * bits / 8;
  } else {
    *first_byte = first * (bits / 8);
  }
  return true;
}

Status ReadPlan::Add(const ReadRequest& request) {
  Leaf leaf;
  TR_RETURN_IF_ERROR(reader_.LoadLeaf(request.node, &checked_attributes_, &leaf));
  const bool as_stored = request.dtype.bits == 0 || (leaf.array && request.dtype == leaf.dtype);
  const bool plain = request.whole && request.strides == nullptr && as_stored &&
                     !(request.one_per_byte && tree::IsSubByte(leaf.dtype)) &&
                     request.dst != nullptr && request.dst_size >= leaf.value.size;
  if (plain) return AddWhole(leaf, request.dst);
  Delivery delivery;
  TR_RETURN_IF_ERROR(MakeDelivery(leaf, request, &delivery));
  if (delivery.box.elements() == 0) return Status();
  return AddDelivery(leaf, delivery);
}

Status ReadPlan::AddWhole(const Leaf& leaf, void* dst) {
  const format::NodeRecord& value = leaf.value;
  if (value.size == 0) return Status();
  if (value.storage == format::kPacked && !NeedsSwap(leaf.dtype) &&
      value.size <= format::kMaxPacked) {
    total_ += value.size;
    Entry entry;
    entry.node = leaf.id;
    entry.size = static_cast<uint32_t>(value.size);
    entry.dst = static_cast<uint8_t*>(dst);
    entry.packed = true;
    parts_.push_back({value.a, static_cast<uint32_t>(entries_.size()), value.b, 0});
    entries_.push_back(entry);
    return Status();
  }
  Delivery delivery;
  delivery.stored = leaf.dtype;
  delivery.wanted = leaf.dtype;
  delivery.box = tree::WholeBox(leaf.shape.data(), leaf.rank);
  delivery.dst = tree::Contiguous(leaf.dtype, delivery.box, dst);
  delivery.dense = true;
  delivery.bytes = value.size;
  return AddDelivery(leaf, delivery);
}

Status ReadPlan::AddDelivery(const Leaf& leaf, const Delivery& delivery) {
  const format::NodeRecord& value = leaf.value;
  total_ += delivery.bytes;
  if (delivery.dst.layout == tree::Layout::kPackedBits && delivery.bytes != 0) {
    // Copies of bits leave the bits behind the last element alone: they are zero from here on.
    const uint64_t bytes = PackedBytes(delivery.wanted, delivery.box.elements());
    static_cast<uint8_t*>(delivery.dst.data)[bytes - 1] = 0;
  }
  const Box whole = tree::WholeBox(leaf.shape.data(), leaf.rank);
  if (value.storage == format::kInline && value.size <= format::kMaxInline) {
    if (inline_ == nullptr) inline_ = std::make_unique<Scratch>();
    Deliver(delivery, whole, value.value.data(), delivery.box, inline_.get(), &bits_);
    return Status();
  }
  const uint32_t number = static_cast<uint32_t>(entries_.size());
  entries_.emplace_back();
  entries_.back().node = leaf.id;
  if (value.storage == format::kInPieces) return AddPieces(leaf, number, delivery);
  if (value.storage != format::kPacked || value.size > format::kMaxPacked) {
    return reader_.Broken("a leaf is stored in no known way");
  }
  PieceGrid grid;
  grid.box = whole;
  grids_.push_back(grid);
  Keep(number, delivery);
  entries_.back().packed = true;
  entries_.back().size = static_cast<uint32_t>(value.size);
  parts_.push_back({value.a, number, value.b, static_cast<uint32_t>(grids_.size())});
  return Status();
}

void ReadPlan::Keep(uint32_t entry, const Delivery& delivery) {
  if (entries_[entry].delivery != 0) return;
  deliveries_.push_back(delivery);
  entries_[entry].delivery = static_cast<uint32_t>(deliveries_.size());
}

Status ReadPlan::AddPieces(const Leaf& leaf, uint32_t entry, const Delivery& delivery) {
  Coverage coverage(delivery.box);
  uint64_t chunks = 0;
  for (uint64_t i = 0; i < leaf.value.b; ++i) {
    TR_ASSIGN_OR_RETURN(const PieceGrid grid, LoadPiece(reader_, leaf, uint64_t{leaf.value.a} + i));
    chunks += grid.record.chunk_count;
    if (chunks > reader_.index().count(format::kChunks)) {
      return reader_.Broken("the pieces of a leaf share chunks");
    }
    Box part;
    if (!tree::Intersect(grid.box, delivery.box, &part)) continue;
    coverage.Add(part);
    TR_RETURN_IF_ERROR(AddCells(grid, entry, delivery, part));
  }
  if (coverage.Exact()) return Status();
  return reader_.Broken("the pieces of a leaf do not cover each element exactly once");
}

Status ReadPlan::AddCells(const PieceGrid& grid, uint32_t entry, const Delivery& delivery,
                          const Box& part) {
  bool kept = false;
  CellWalk walk(grid, part);
  Cell cell;
  while (walk.Next(&cell)) {
    TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk, reader_.index().Chunk(cell.chunk));
    if (chunk.raw_size != PackedBytes(delivery.stored, cell.box.elements())) {
      return reader_.Broken("a chunk of " + std::to_string(chunk.raw_size) +
                            " raw bytes has not the size of its box");
    }
    if (AddDirect(cell, chunk, entry, delivery)) continue;
    if (!kept) grids_.push_back(grid);
    kept = true;
    Keep(entry, delivery);
    parts_.push_back({cell.chunk, entry, cell.chunk - grid.record.first_chunk,
                      static_cast<uint32_t>(grids_.size())});
  }
  return Status();
}

bool ReadPlan::AddDirect(const Cell& cell, const format::ChunkRecord& chunk, uint32_t entry,
                         const Delivery& delivery) {
  uint64_t first = 0;
  if (chunk.codec != codec::kRaw || chunk.stored_size != chunk.raw_size ||
      !delivery.RunOf(cell.box, &first)) {
    return false;
  }
  if (NeedsSwap(delivery.stored)) Keep(entry, delivery);
  uint8_t* dst = static_cast<uint8_t*>(delivery.dst.data) + first;
  if (!directs_.empty()) {
    Direct& last = directs_.back();
    if (last.entry == entry && last.file == chunk.file && last.dst + last.size == dst &&
        last.offset + last.size == chunk.offset &&
        last.first_chunk + last.chunk_count == cell.chunk &&
        last.size + chunk.raw_size <= kMostDirect) {
      last.size += chunk.raw_size;
      ++last.chunk_count;
      return true;
    }
  }
  directs_.push_back({chunk.offset, dst, chunk.raw_size, chunk.file, cell.chunk, 1, entry});
  return true;
}

}  // namespace treering::container

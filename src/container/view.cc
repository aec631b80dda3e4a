// SPDX-License-Identifier: Apache-2.0
// Bytes of a leaf where they lie: a pointer into the mapping instead of a copy.
//
// A view exists if the bytes of the box are the bytes of the file: in the index, in a raw packed
// chunk, or in raw chunks that follow each other without a gap. The chunks are put in the order of
// the box and must fill it exactly, so that no byte of a view is one whose hash was not compared.
//
// Which chunks were verified is not remembered: a mapping shows what is in the file now, so each
// call verifies what it hands out. Only within one load is the last packed chunk remembered, since
// a thousand leaves may share it. A big-endian host gets views of bytes alone.
#include <algorithm>

#include "base/checked.h"
#include "codec/codec.h"
#include "container/delivery.h"
#include "container/pieces.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;
using tree::Box;

namespace {

Status NoView(std::string why) {
  return Status(Code::kUnsupportedNoView,
                "there is no view of it: " + std::move(why) + "; read it instead");
}

// The bytes of `inner` within bytes that hold `outer` in C order.
struct ByteRun {
  uint64_t first = 0;
  uint64_t size = 0;
};

bool FindRun(tree::Dtype dtype, const Box& outer, const Box& inner, ByteRun* out) {
  uint64_t first = 0;
  if (!tree::IsContiguousRun(outer, inner, &first)) return false;
  const uint64_t bits = tree::StorageBits(dtype);
  const uint64_t elements = inner.elements();
  out->size = PackedBytes(dtype, elements);
  if (bits >= 8) {
    out->first = first * (bits / 8);
    return true;
  }
  out->first = first * bits / 8;
  const bool ends = first + elements == outer.elements();
  return first * bits % 8 == 0 && (elements * bits % 8 == 0 || ends);
}

struct Extent {  // of one chunk: where its share of the box begins, in the box and in the file
  uint64_t in_box = 0;
  uint64_t in_file = 0;
  uint64_t size = 0;
  uint32_t chunk = 0;
};

class Viewer {
 public:
  Viewer(const Reader& reader, const Leaf& leaf, const Box& box)
      : reader_(reader), leaf_(leaf), box_(box) {}

  Result<Container::View> Run(uint32_t* checked_chunk) const {
    switch (leaf_.value.storage) {
      case format::kInline:
        return Inline();
      case format::kPacked:
        return Packed(checked_chunk);
      case format::kInPieces:
        return InPieces();
      default:
        return reader_.Broken("a leaf is stored in no known way");
    }
  }

 private:
  Result<Container::View> Part(ByteSpan whole,
                               std::shared_ptr<const storage::Region> region) const {
    const Box all = tree::WholeBox(leaf_.shape.data(), leaf_.rank);
    ByteRun run;
    if (!FindRun(leaf_.dtype, all, box_, &run))
      return NoView("the box's elements are not adjacent");
    return Container::View{whole.Sub(run.first, run.size), std::move(region)};
  }

  Result<Container::View> Inline() const {
    const uint64_t size = leaf_.value.size;
    if (size > format::kMaxInline) return reader_.Broken("an inline leaf is too large");
    const uint64_t stride = reader_.index().trailer().sections[format::kNodes].stride;
    TR_ASSIGN_OR_RETURN(const ByteSpan bytes,
                        reader_.index().Bytes(format::kNodes, leaf_.value_id * stride + 48, size));
    if (reader_.region() == nullptr) return NoView("the file is not mapped");
    return Part(bytes, reader_.region());
  }

  Result<Container::View> Packed(uint32_t* checked_chunk) const {
    TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk, reader_.index().Chunk(leaf_.value.a));
    if (!base::InBounds(leaf_.value.b, leaf_.value.size, chunk.raw_size)) {
      return reader_.Broken("a packed leaf lies outside its chunk");
    }
    TR_ASSIGN_OR_RETURN(const ChunkFile* where, Mapped(chunk));
    const ByteSpan stored = where->region->bytes().Sub(chunk.offset, chunk.stored_size);
    if (*checked_chunk != leaf_.value.a) TR_RETURN_IF_ERROR(reader_.chunks().Verify(chunk, stored));
    *checked_chunk = leaf_.value.a;
    return Part(stored.Sub(leaf_.value.b, leaf_.value.size), where->region);
  }

  // The file of a raw chunk, with its region.
  Result<const ChunkFile*> Mapped(const format::ChunkRecord& chunk) const {
    TR_ASSIGN_OR_RETURN(const ChunkFile* where, reader_.chunks().Locate(chunk));
    if (chunk.codec != codec::kRaw) return NoView("its bytes are compressed");
    if (where->region == nullptr) return NoView("the file is not mapped");
    return where;
  }

  Status AddPiece(const PieceGrid& grid, std::vector<Extent>* extents, uint32_t* file) const {
    Box part;
    if (!tree::Intersect(grid.box, box_, &part)) return Status();
    CellWalk walk(grid, part);
    Cell cell;
    while (walk.Next(&cell)) {
      TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk, reader_.index().Chunk(cell.chunk));
      if (chunk.raw_size != PackedBytes(leaf_.dtype, cell.box.elements())) {
        return reader_.Broken("a chunk has not the size of its box");
      }
      TR_RETURN_IF_ERROR(Mapped(chunk).status());
      Box meet;
      ByteRun in_cell;
      ByteRun in_box;
      if (!tree::Intersect(cell.box, box_, &meet) ||
          !FindRun(leaf_.dtype, cell.box, meet, &in_cell) ||
          !FindRun(leaf_.dtype, box_, meet, &in_box)) {
        return NoView("the box's elements are not adjacent");
      }
      if (extents->empty()) *file = chunk.file;
      if (chunk.file != *file) return NoView("its bytes lie in several files");
      const Extent extent = {in_box.first, chunk.offset + in_cell.first, in_box.size, cell.chunk};
      if (!extents->empty() &&
          extent.in_file - extents->front().in_file != extent.in_box - extents->front().in_box) {
        return NoView("its chunks are not adjacent");
      }
      extents->push_back(extent);
    }
    return Status();
  }

  Result<Container::View> InPieces() const {
    std::vector<Extent> extents;
    uint32_t file = 0;
    uint64_t chunks = 0;
    for (uint64_t i = 0; i < leaf_.value.b; ++i) {
      TR_ASSIGN_OR_RETURN(const PieceGrid grid,
                          LoadPiece(reader_, leaf_, uint64_t{leaf_.value.a} + i));
      chunks += grid.record.chunk_count;
      if (chunks > reader_.index().count(format::kChunks)) {
        return reader_.Broken("the pieces of a leaf share chunks");
      }
      TR_RETURN_IF_ERROR(AddPiece(grid, &extents, &file));
    }
    std::sort(extents.begin(), extents.end(),
              [](const Extent& a, const Extent& b) { return a.in_box < b.in_box; });
    uint64_t end = 0;
    for (const Extent& extent : extents) {
      if (extent.in_box != end) return reader_.Broken("pieces do not cover the box exactly once");
      end += extent.size;
    }
    const uint64_t size = PackedBytes(leaf_.dtype, box_.elements());
    if (end != size) return reader_.Broken("pieces do not cover the box exactly once");
    return VerifyAll(extents, size);
  }

  Result<Container::View> VerifyAll(const std::vector<Extent>& extents, uint64_t size) const {
    std::shared_ptr<const storage::Region> region;
    for (const Extent& extent : extents) {
      TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk, reader_.index().Chunk(extent.chunk));
      TR_ASSIGN_OR_RETURN(const ChunkFile* where, Mapped(chunk));
      region = where->region;
      const ByteSpan stored = region->bytes().Sub(chunk.offset, chunk.stored_size);
      TR_RETURN_IF_ERROR(reader_.chunks().Verify(chunk, stored));
    }
    return Container::View{region->bytes().Sub(extents.front().in_file, size), region};
  }

  const Reader& reader_;
  const Leaf& leaf_;
  const Box& box_;
};

}  // namespace

Result<Container::View> Reader::ViewOfLeaf(const Leaf& leaf, const Box& box,
                                           uint32_t* checked_chunk) const {
  if (NeedsSwap(leaf.dtype)) return NoView("this host is big-endian");
  if (box.elements() == 0) {
    if (region_ == nullptr) return NoView("the file is not mapped");
    return View{ByteSpan(region_->bytes().data, 0), region_};
  }
  return Viewer(*this, leaf, box).Run(checked_chunk);
}

Result<Container::View> Reader::ViewOf(uint32_t node, const Box* box) const {
  uint32_t checked_attributes = 0;
  uint32_t checked_chunk = UINT32_MAX;
  Leaf leaf;
  Status status = LoadLeaf(node, &checked_attributes, &leaf);
  if (!status.ok()) return Named(node, std::move(status));
  const Box whole = tree::WholeBox(leaf.shape.data(), leaf.rank);
  if (box != nullptr && (box->rank != leaf.rank || !tree::Within(*box, leaf.shape.data()))) {
    return Named(node, Status(Code::kMismatchShape,
                              "the box does not lie within " +
                                  tree::Describe(leaf.dtype, leaf.shape.data(), leaf.rank) +
                                  "; ask for the shape first"));
  }
  Result<View> view = ViewOfLeaf(leaf, box != nullptr ? *box : whole, &checked_chunk);
  if (!view.ok()) return Named(node, std::move(view.status()));
  return view;
}

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// The pieces of a leaf as boxes, the cells of their chunk grids, and whether a box is covered.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "container/reader.h"
#include "tree/box.h"

namespace treering::container {

// A piece whose numbers were checked against the leaf and the chunks that exist.
struct PieceGrid {
  format::PieceRecord record;
  tree::Box box;           // origin and extent in the array
  tree::Dims chunk_shape;  // each 1 ... extent
  tree::Dims cells;        // chunks along each axis; the product is record.chunk_count
};
base::Result<PieceGrid> LoadPiece(const Reader& reader, const Leaf& leaf, uint64_t piece);

// The bytes that `elements` of a dtype take in a chunk.
inline uint64_t PackedBytes(tree::Dtype dtype, uint64_t elements) {
  const uint64_t bits = tree::StorageBits(dtype);
  return bits >= 8 ? elements * (bits / 8) : (elements * bits + 7) / 8;
}

// One chunk of a piece, as a box of the array.
struct Cell {
  uint32_t chunk = 0;
  tree::Box box;
};

// Box of cell number `cell` (C order) of the grid.
void CellAt(const PieceGrid& grid, uint32_t cell, Cell* out);

// Walks the cells of a grid that meet a box which lies within the piece, in C order.
class CellWalk {
 public:
  CellWalk(const PieceGrid& grid, const tree::Box& part);
  // False at the end.
  bool Next(Cell* out);

 private:
  const PieceGrid& grid_;
  tree::Dims first_;
  tree::Dims last_;
  tree::Dims at_;
  bool done_ = false;
};

// Collects the parts of a box that pieces cover, and says whether they cover it exactly once.
class Coverage {
 public:
  explicit Coverage(const tree::Box& wanted) : wanted_(wanted) {}
  void Add(const tree::Box& part);
  bool Exact();

 private:
  struct Part {
    const uint64_t* origin;
    const uint64_t* extent;
  };
  std::vector<uint64_t> Origins(uint32_t axis) const;
  bool IsGrid() const;
  bool Disjoint() const;
  uint32_t BestAxis() const;
  bool Meet(const Part& a, const Part& b) const;

  const tree::Box wanted_;
  uint64_t elements_ = 0;
  bool too_many_ = false;
  std::vector<uint64_t> words_;  // origin and extent of each part
};

}  // namespace treering::container

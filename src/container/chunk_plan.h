// SPDX-License-Identifier: Apache-2.0
// How a piece is cut into chunks, and whether pieces make up an array.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "tree/box.h"
#include "tree/dtype.h"

namespace treering::container {

inline constexpr uint64_t kMaxWrittenChunk = uint64_t{64} << 20;

struct ChunkPlan {
  tree::Dtype dtype;
  tree::Box piece;
  tree::Dims shape{};   // of a chunk that is not clipped
  tree::Dims counts{};  // cells on each axis
  uint32_t count = 0;
  bool runs = false;  // cells in grid order are the piece in C order

  // Cell number i of the grid, clipped to the piece, in the array's coordinates.
  tree::Box Cell(uint32_t i) const;
  uint64_t RawSize(const tree::Box& cell) const;
};

// `wanted` is a chunk shape given by the caller (longer sides are cut to the piece's), or null for
// rows near chunk_bytes. Every extent is at least 1, the rank too.
base::Result<ChunkPlan> PlanChunks(tree::Dtype dtype, const tree::Box& piece,
                                   const uint64_t* wanted, uint64_t chunk_bytes);

// Sorts boxes by origin and answers OK if they cover each element of the array exactly once.
base::Status SortAndCheckCover(std::vector<uint32_t>* order, const std::vector<tree::Box>& boxes,
                               const uint64_t* shape, uint32_t rank);

}  // namespace treering::container

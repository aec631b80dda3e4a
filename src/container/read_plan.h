// SPDX-License-Identifier: Apache-2.0
// Many reads as one plan: each chunk is read, verified and decoded once, and bytes that need no
// change go straight to where they are wanted.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "container/delivery.h"
#include "container/pieces.h"
#include "container/reader.h"

namespace treering::container {

class ReadPlan {
 public:
  explicit ReadPlan(const Reader& reader) : reader_(reader) {}

  // Checks the request and copies what lies in the index. Destinations are borrowed until Run ends.
  base::Status Add(const ReadRequest& request);
  // A whole leaf as stored, in C order without gaps, into value.size bytes.
  base::Status AddWhole(const Leaf& leaf, void* dst);
  base::Status Run(const ReadOptions& options);

 private:
  struct Entry {  // a leaf that is read
    uint32_t node = 0;
    uint32_t size = 0;       // raw bytes, if packed
    uint8_t* dst = nullptr;  // if there is no delivery
    uint32_t delivery = 0;   // 1 + position in deliveries_; 0: packed, whole, as stored
    bool packed = false;
  };
  struct Part {  // what one entry needs of one chunk
    uint32_t chunk = 0;
    uint32_t entry = 0;
    uint32_t at = 0;     // packed: offset in the chunk; pieces: number of the cell
    uint32_t piece = 0;  // 1 + position in grids_ (packed: of the whole leaf); 0: no delivery
  };
  struct Direct {  // adjacent raw chunks whose bytes are the destination's
    uint64_t offset = 0;
    uint8_t* dst = nullptr;
    uint64_t size = 0;
    uint32_t file = 0;
    uint32_t first_chunk = 0;
    uint32_t chunk_count = 0;
    uint32_t entry = 0;
  };
  struct Group {  // parts of one chunk: positions in parts_
    size_t begin = 0;
    size_t end = 0;
  };

  base::Status AddDelivery(const Leaf& leaf, const Delivery& delivery);
  base::Status AddPieces(const Leaf& leaf, uint32_t entry, const Delivery& delivery);
  base::Status AddCells(const PieceGrid& grid, uint32_t entry, const Delivery& delivery,
                        const tree::Box& part);
  bool AddDirect(const Cell& cell, const format::ChunkRecord& chunk, uint32_t entry,
                 const Delivery& delivery);
  void Keep(uint32_t entry, const Delivery& delivery);
  void MakeGroups();
  base::Status RunTask(uint64_t task, Scratch* scratch);
  base::Status RunDirect(const Direct& direct);
  base::Status RunGroup(const Group& group, Scratch* scratch);
  bool MayPass(const Group& group, const format::ChunkRecord& chunk) const;
  base::Status PassRanges(const Group& group, const format::ChunkRecord& chunk);
  base::Status RunPart(const Part& part, base::ByteSpan decoded, Scratch* scratch, uint64_t* bytes);
  base::Status Account(uint64_t bytes);
  uint8_t* WholeChunkPlace(const Part& part, const format::ChunkRecord& chunk) const;

  const Reader& reader_;
  uint32_t checked_attributes_ = 0;
  std::unique_ptr<Scratch> inline_;  // for conversions while planning
  std::vector<Entry> entries_;
  std::vector<Delivery> deliveries_;
  std::vector<PieceGrid> grids_;
  std::vector<Part> parts_;
  std::vector<Direct> directs_;
  std::vector<Group> groups_;
  std::mutex bits_;      // around writes to packed destinations, whose bytes parts may share
  std::mutex progress_;  // around the caller's callback and done_
  const Progress* callback_ = nullptr;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace treering::container

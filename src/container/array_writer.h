// SPDX-License-Identifier: Apache-2.0
// Leaves that consist of pieces: their grids, chunks and identity.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "codec/codec.h"
#include "container/chunk_plan.h"
#include "container/chunk_writer.h"
#include "container/gather.h"
#include "container/index_builder.h"
#include "format/records.h"
#include "tree/tree.h"

namespace treering::container {

// A leaf as an array: strings, bytes and ints are uint8 arrays of rank 1 here.
struct ArrayLeaf {
  tree::Dtype dtype;
  uint32_t rank = 0;
  const uint64_t* shape = nullptr;
  const tree::Value* value = nullptr;
  const uint64_t* chunk_shape = nullptr;
  codec::CodecParams params;
};

class ArrayWriter {
 public:
  ArrayWriter(ChunkWriter* chunks, IndexBuilder* index, uint64_t chunk_bytes)
      : chunks_(chunks), index_(index), chunk_bytes_(chunk_bytes) {}

  // Fills a, b and value of *record, the record of node `id`.
  base::Status Write(const ArrayLeaf& leaf, uint32_t id, format::NodeRecord* record,
                     codec::Hash128* identity);

  // The pieces of a leaf that were given, without empty ones, in order and covering it.
  base::Status SortPieces(const ArrayLeaf& leaf, std::vector<Source>* sources);

 private:
  base::Status WritePiece(const ArrayLeaf& leaf, const Source& source, uint32_t id,
                          FillReader* fill, format::PiecesIdentity* identity);
  base::Status WriteChunk(const ArrayLeaf& leaf, const ChunkPlan& plan, const Source& source,
                          uint32_t i, uint64_t first_element, FillReader* fill,
                          codec::Hash128* raw_hash);

  ChunkWriter* chunks_;
  IndexBuilder* index_;
  uint64_t chunk_bytes_;
  std::vector<Source> sources_;
  std::vector<uint8_t> scratch_;
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Small leaves share chunks: the packed chunks that are open.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "codec/codec.h"
#include "container/chunk_writer.h"
#include "container/index_builder.h"

namespace treering::container {

class Packer {
 public:
  Packer(ChunkWriter* chunks, IndexBuilder* index) : chunks_(chunks), index_(index) {}

  // Room for the `size` bytes of leaf `node`, to be filled before the next call. Its chunk is told
  // to the index when it is known.
  base::Status Place(const codec::CodecParams& params, uint32_t node, uint64_t size,
                     uint64_t alignment, uint8_t** room, uint32_t* offset);
  // Writes the chunks that are not full.
  base::Status Close();

 private:
  struct Pack {
    codec::CodecParams params;
    std::vector<uint8_t> bytes;
    uint64_t used = 0;
    std::vector<uint32_t> nodes;
  };
  Pack* Find(const codec::CodecParams& params);
  base::Status Write(Pack* pack);

  ChunkWriter* chunks_;
  IndexBuilder* index_;
  std::vector<std::unique_ptr<Pack>> packs_;
  Pack* last_ = nullptr;
};

}  // namespace treering::container

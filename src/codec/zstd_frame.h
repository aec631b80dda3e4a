// SPDX-License-Identifier: Apache-2.0
// One zstd frame in, one zstd frame out, by the stable API of libzstd only.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/status.h"

namespace treering::codec {

// How to compress: a level, or the setting for bytes that have no repetitions but uneven
// frequencies (exponents), where looking for matches costs time and size.
struct ZstdMode {
  bool entropy_only = false;
  int32_t level = 3;
};

// Contexts for one thread, made when first needed.
class ZstdFrames {
 public:
  ZstdFrames();
  ~ZstdFrames();
  ZstdFrames(const ZstdFrames&) = delete;
  ZstdFrames& operator=(const ZstdFrames&) = delete;

  // Writes one frame that states its content size into dst and answers its length, or 0 if it
  // would not fit into `capacity` bytes. src must not be empty.
  base::Result<uint64_t> Compress(const ZstdMode& mode, base::ByteSpan src, uint8_t* dst,
                                  uint64_t capacity);

  // Decodes `frame`, which must be exactly one frame of exactly `size` bytes of content, without a
  // dictionary; anything else is kCorruptStructure.
  base::Status Decompress(base::ByteSpan frame, uint8_t* dst, uint64_t size);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace treering::codec

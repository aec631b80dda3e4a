// SPDX-License-Identifier: Apache-2.0
// Chunks from wherever they lie to verified bytes, stored or decoded.
#pragma once

#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/codec.h"
#include "container/other_files.h"
#include "format/records.h"

namespace treering::container {

// Memory that only grows and is not initialised: what was in it is lost at each use.
class Buffer {
 public:
  uint8_t* Room(uint64_t n) {
    if (n > size_) {
      memory_.reset();
      size_ = 0;
      memory_.reset(new uint8_t[static_cast<size_t>(n)]);
      size_ = n;
    }
    return memory_.get();
  }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  uint64_t size_ = 0;
};

// Memory and contexts that one thread uses again and again.
struct Scratch {
  codec::Codec codec;
  Buffer stored;
  Buffer decoded;
  Buffer gathered;   // elements as stored, a block at a time
  Buffer converted;  // the same elements in another dtype
};

// The same of a vector.
inline uint8_t* Room(std::vector<uint8_t>* buffer, uint64_t n) {
  if (buffer->size() < n) {
    buffer->clear();  // nothing to copy when it grows
    buffer->resize(static_cast<size_t>(n));
  }
  return buffer->data();
}

// A few bytes of a decoded chunk and where they go. They lie within the chunk.
struct ChunkRange {
  uint64_t at = 0;
  uint64_t size = 0;
  uint8_t* dst = nullptr;
};

class ChunkReader {
 public:
  void Start(ChunkFile own, OtherFiles* others, const std::string* name) {
    own_ = std::move(own);
    others_ = others;
    name_ = name;
  }

  // Where a chunk lies, with its offset and sizes checked against that file and its codec known.
  base::Result<const ChunkFile*> Locate(const format::ChunkRecord& chunk) const;
  // The verified stored bytes: in the mapping, or read into *scratch.
  base::Result<base::ByteSpan> Stored(const format::ChunkRecord& chunk, Buffer* scratch) const;
  // The verified decoded bytes: in the mapping, or in *scratch.
  base::Result<base::ByteSpan> Decoded(const format::ChunkRecord& chunk, Scratch* scratch) const;
  // Likewise, written to dst, which has raw_size bytes.
  base::Status DecodeTo(const format::ChunkRecord& chunk, void* dst, Scratch* scratch) const;
  // A few ranges of a raw chunk, which is hashed while it passes through a small buffer: no memory
  // of its size is touched. What was copied is only good if the answer is OK.
  base::Status CopyRanges(const format::ChunkRecord& chunk,
                          const std::vector<ChunkRange>& ranges) const;
  // kCorruptChecksum unless these are the chunk's stored bytes.
  base::Status Verify(const format::ChunkRecord& chunk, base::ByteSpan stored) const;

 private:
  base::Status Mismatch(const format::ChunkRecord& chunk) const;

  ChunkFile own_;
  OtherFiles* others_ = nullptr;
  const std::string* name_ = nullptr;
};

}  // namespace treering::container

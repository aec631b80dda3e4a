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
  // kCorruptChecksum unless these are the chunk's stored bytes.
  base::Status Verify(const format::ChunkRecord& chunk, base::ByteSpan stored) const;

 private:
  ChunkFile own_;
  OtherFiles* others_ = nullptr;
  const std::string* name_ = nullptr;
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Chunks from wherever they lie to verified bytes, stored or decoded.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/codec.h"
#include "container/other_files.h"
#include "format/records.h"

namespace treering::container {

// Memory and contexts that one thread uses again and again. Buffers only grow.
struct Scratch {
  codec::Codec codec;
  std::vector<uint8_t> stored;
  std::vector<uint8_t> decoded;
  std::vector<uint8_t> gathered;   // elements as stored, a block at a time
  std::vector<uint8_t> converted;  // the same elements in another dtype
};

// At least n bytes of *buffer; what was in it is lost.
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
  base::Result<base::ByteSpan> Stored(const format::ChunkRecord& chunk,
                                      std::vector<uint8_t>* scratch) const;
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

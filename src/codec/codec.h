// SPDX-License-Identifier: Apache-2.0
// Chunk bytes in, chunk bytes out. Pure functions of their input and one reusable context.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace treering::codec {

// Ids as in FORMAT.md; open: a reader meets ids it does not know.
enum CodecId : uint8_t {
  kRaw = 0,
  kZstd = 1,
  kZstdPlanes = 2,  // the bytes of each element apart, each plane raw or one zstd frame
};

struct CodecParams {
  uint8_t codec = kRaw;
  int32_t level = 3;    // kZstd; kZstdPlanes chooses for each plane by what it holds
  uint8_t element = 1;  // kZstdPlanes: bytes per element, 2, 4 or 8
  bool rotate = false;  // kZstdPlanes: floats; rotate each element left by one bit first, which
                        // puts a binary32 or bfloat16 exponent into one byte
};

// One per thread. Holds the zstd contexts and the scratch memory, so that a chunk costs no
// allocation once warm.
class Codec {
 public:
  Codec();
  ~Codec();
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  // Appends nothing and answers kRaw in *used if the result would not be smaller than the input
  // (for kZstdPlanes also if it is no whole number of elements); then the caller stores the input
  // itself. Otherwise fills *out (replaced, not appended).
  base::Status Encode(const CodecParams& params, base::ByteSpan raw, std::vector<uint8_t>* out,
                      uint8_t* used);

  // Decodes exactly raw_size bytes into dst. Total: any input gives those bytes or kCorrupt; an
  // unknown codec is kUnsupportedCodec. The caller has verified the hash of `stored` already.
  // `param` is the chunk's parameter byte (kZstdPlanes: low 4 bits element size, bit 7 rotate).
  base::Status Decode(uint8_t codec, uint8_t param, base::ByteSpan stored, void* dst,
                      uint64_t raw_size);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The parameter byte of a chunk record that belongs to params.
uint8_t ParamByte(const CodecParams& params);

}  // namespace treering::codec

// SPDX-License-Identifier: Apache-2.0
// The hashes, by XXH3 compiled into this file.
//
// A tree has a million small leaves and a few huge ones, and both are hashed here. Compiled in,
// XXH3 costs 3 to 6 ns for a leaf of 16 to 64 bytes, a third less than through the shared library,
// whose entry points cannot be inlined; and a block in the second-level cache runs at 28 GB/s
// (EPYC, gcc 12 -O3), more than memory delivers. The library's run-time choice of wider vectors
// (45 GB/s) is left alone: Debian's static library has not got it, and its AVX-512 code returns
// with dirty upper registers, which makes later SSE code of the process up to five times slower.
//
// Invariant: XXH3 with seed 0 and the default secret, as FORMAT.md says, whatever the processor.
#define XXH_INLINE_ALL
#include "codec/hash.h"

#include <xxhash.h>

namespace treering::codec {
namespace {

constexpr uint64_t kLongInput = 240;  // above it XXH3-64 is the low half of XXH3-128

Hash128 FromXxh(XXH128_hash_t hash) { return Hash128{hash.low64, hash.high64}; }

}  // namespace

uint64_t Hash64(base::ByteSpan bytes) {
  return XXH3_64bits(bytes.data, static_cast<size_t>(bytes.size));
}

Hash128 Hash128Of(base::ByteSpan bytes) {
  return FromXxh(XXH3_128bits(bytes.data, static_cast<size_t>(bytes.size)));
}

BothHashes HashBoth(base::ByteSpan bytes) {
  const Hash128 hash128 = Hash128Of(bytes);
  return BothHashes{bytes.size > kLongInput ? hash128.low : Hash64(bytes), hash128};
}

// XXH3_state_t is declared with an alignment of 64, which `new` keeps to.
struct Hasher128::State {
  XXH3_state_t xxh;
};
static_assert(alignof(XXH3_state_t) == 64, "XXH3 wants its state in whole cache lines");

Hasher128::Hasher128() : state_(new State) { Reset(); }

Hasher128::~Hasher128() = default;

// Neither call below can fail: both refuse null states alone.
void Hasher128::Update(base::ByteSpan bytes) {
  if (bytes.size == 0) return;
  static_cast<void>(XXH3_128bits_update(&state_->xxh, bytes.data, static_cast<size_t>(bytes.size)));
}

Hash128 Hasher128::Digest() const { return FromXxh(XXH3_128bits_digest(&state_->xxh)); }

void Hasher128::Reset() { static_cast<void>(XXH3_128bits_reset(&state_->xxh)); }

}  // namespace treering::codec

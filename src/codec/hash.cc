// SPDX-License-Identifier: Apache-2.0
// XXH3 through the xxhash library.
//
// Every stored byte is hashed on the way out and on the way in, so the widest vector unit of the
// processor should do it, without building for one processor. Where libxxhash has a dispatcher
// (TREERING_XXH_DISPATCH, found by the build) long inputs go through it, else the code of the
// header is compiled in. Measured on 256 KiB in cache: 41 GB/s by the dispatcher with AVX-512, 19
// GB/s by the header alone. Short inputs never need it.
//
// The values are the same on every processor; XXH3 is little-endian by definition.
#include "codec/hash.h"

#ifdef TREERING_XXH_DISPATCH
#define XXH_STATIC_LINKING_ONLY  // the size of the state
#include <xxh_x86dispatch.h>     // renames the functions below to those that dispatch
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

namespace treering::codec {
namespace {

constexpr uint64_t kShort = 240;  // up to here XXH3-64 is a function of its own

Hash128 From(XXH128_hash_t hash) { return Hash128{hash.low64, hash.high64}; }

}  // namespace

uint64_t Hash64(base::ByteSpan bytes) {
  return XXH3_64bits(bytes.data, static_cast<size_t>(bytes.size));
}

Hash128 Hash128Of(base::ByteSpan bytes) {
  return From(XXH3_128bits(bytes.data, static_cast<size_t>(bytes.size)));
}

BothHashes HashBoth(base::ByteSpan bytes) {
  const Hash128 wide = Hash128Of(bytes);
  return BothHashes{bytes.size > kShort ? wide.low : Hash64(bytes), wide};
}

struct Hasher128::State {
  XXH3_state_t xxh;  // aligned to 64 bytes by its type, which new respects
};

Hasher128::Hasher128() : state_(new State) { Reset(); }
Hasher128::~Hasher128() = default;

void Hasher128::Reset() { XXH3_128bits_reset(&state_->xxh); }

void Hasher128::Update(base::ByteSpan bytes) {
  if (bytes.size != 0)
    XXH3_128bits_update(&state_->xxh, bytes.data, static_cast<size_t>(bytes.size));
}

Hash128 Hasher128::Digest() const { return From(XXH3_128bits_digest(&state_->xxh)); }

}  // namespace treering::codec

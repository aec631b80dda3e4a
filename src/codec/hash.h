// SPDX-License-Identifier: Apache-2.0
// XXH3, the one hash of the format: 64 bits for what is stored, 128 bits for what is meant.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace treering::codec {

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Hash128& other) const { return low == other.low && high == other.high; }
  bool operator!=(const Hash128& other) const { return !(*this == other); }
};

uint64_t Hash64(base::ByteSpan bytes);
Hash128 Hash128Of(base::ByteSpan bytes);

// The 64-bit and the 128-bit hash of the same bytes in one pass: above 240 bytes the first is the
// low half of the second (a property of XXH3), below it both are cheap.
struct BothHashes {
  uint64_t hash64;
  Hash128 hash128;
};
BothHashes HashBoth(base::ByteSpan bytes);

// Hash128Of over bytes that come in pieces.
class Hasher128 {
 public:
  Hasher128();
  ~Hasher128();
  Hasher128(const Hasher128&) = delete;
  Hasher128& operator=(const Hasher128&) = delete;
  void Update(base::ByteSpan bytes);
  Hash128 Digest() const;
  void Reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace treering::codec

// SPDX-License-Identifier: Apache-2.0
// The hashes against published values of XXH3, against each other, and in pieces.
#include "codec/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <vector>

extern "C" {
#include <cmocka.h>
}

using treering::base::ByteSpan;
using treering::codec::Hash128;
using treering::codec::Hasher128;

namespace {

std::vector<uint8_t> Bytes(size_t size) {
  std::vector<uint8_t> bytes(size);
  uint32_t x = 2654435761u;
  for (uint8_t& b : bytes) {
    x = x * 1664525u + 1013904223u;
    b = static_cast<uint8_t>(x >> 24);
  }
  return bytes;
}

// The values for no bytes, seed 0, as xxhsum prints them.
void NoBytesHashToThePublishedValues(void** /*state*/) {
  assert_true(treering::codec::Hash64(ByteSpan()) == 0x2d06800538d394c2);
  const Hash128 hash = treering::codec::Hash128Of(ByteSpan());
  assert_true(hash.high == 0x99aa06d3014798d8);
  assert_true(hash.low == 0x6001c324468d497f);
}

bool BothAgree(size_t size) {
  const std::vector<uint8_t> bytes = Bytes(size);
  const ByteSpan span(bytes);
  const treering::codec::BothHashes both = treering::codec::HashBoth(span);
  return both.hash64 == treering::codec::Hash64(span) &&
         both.hash128 == treering::codec::Hash128Of(span);
}

void BothHashesInOnePassAreTheTwoHashes(void** /*state*/) {
  for (size_t size = 0; size < 600; ++size) assert_true(BothAgree(size));
  assert_true(BothAgree(1 << 20));
}

bool PiecesAgree(size_t size, size_t piece) {
  const std::vector<uint8_t> bytes = Bytes(size);
  Hasher128 hasher;
  hasher.Update(ByteSpan(bytes));
  hasher.Reset();
  for (size_t at = 0; at < size; at += piece) {
    hasher.Update(ByteSpan(bytes).Sub(at, at + piece < size ? piece : size - at));
    hasher.Update(ByteSpan());
  }
  const Hash128 whole = treering::codec::Hash128Of(ByteSpan(bytes));
  return hasher.Digest() == whole && hasher.Digest() == whole;
}

void PiecesHashLikeTheWhole(void** /*state*/) {
  for (size_t size : {0u, 1u, 16u, 240u, 241u, 256u, 257u, 1024u, 5000u}) {
    for (size_t piece : {1u, 7u, 64u, 256u, 1023u}) assert_true(PiecesAgree(size, piece));
  }
}

bool EveryBitMatters(size_t size) {
  std::vector<uint8_t> bytes = Bytes(size);
  const treering::codec::BothHashes before = treering::codec::HashBoth(ByteSpan(bytes));
  bool differ = true;
  for (size_t bit = 0; bit < 8 * size; ++bit) {
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const treering::codec::BothHashes after = treering::codec::HashBoth(ByteSpan(bytes));
    differ = differ && after.hash64 != before.hash64 && after.hash128 != before.hash128;
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  return differ;
}

void AFlippedBitChangesBothHashes(void** /*state*/) {
  for (size_t size : {1u, 8u, 16u, 100u, 200u, 300u}) assert_true(EveryBitMatters(size));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(NoBytesHashToThePublishedValues),
      cmocka_unit_test(BothHashesInOnePassAreTheTwoHashes),
      cmocka_unit_test(PiecesHashLikeTheWhole),
      cmocka_unit_test(AFlippedBitChangesBothHashes),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

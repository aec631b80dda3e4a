// SPDX-License-Identifier: Apache-2.0
// Identities, the content digest and the children's hash, against byte strings written out by hand.
#include "record_checks.h"

namespace treering::format {
namespace {

using base::ByteSpan;
using base::ByteWriter;
using codec::Hash128;

void AChildIsHashedByParentKindAndKey(void**) {
  const uint8_t text[] = {9, 0, 0, 0, 2, 0, 0, 0, 'k', 'e', 'y'};
  assert_true(ChildHash(9, 2, 77, ByteSpan("key", 3)) == codec::Hash64(ByteSpan(text, 11)));
  const uint8_t number[] = {9, 0, 0, 0, 3, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  assert_true(ChildHash(9, 3, uint64_t{0} - 2, ByteSpan()) == codec::Hash64(ByteSpan(number, 16)));
}

uint64_t HashOfLongKey(size_t size) {
  Bytes bytes;
  ByteWriter out(&bytes);
  out.U32(1);
  out.U8(2);
  out.Zeros(3);
  for (size_t i = 0; i < size; ++i) out.U8(static_cast<uint8_t>(i));
  return codec::Hash64(ByteSpan(bytes));
}

uint64_t ChildHashOfLongKey(size_t size) {
  Bytes text(size);
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<uint8_t>(i);
  return ChildHash(1, 2, 0, ByteSpan(text));
}

void KeysOfAnyLengthAreHashedWhole(void**) {
  for (const size_t size : {0u, 1u, 119u, 120u, 121u, 1000u, 65535u}) {
    assert_true(ChildHashOfLongKey(size) == HashOfLongKey(size));
  }
}

void HashSlotsAreTheLeastPowerOfTwoThatLeavesAQuarterFree(void**) {
  const uint64_t pairs[][2] = {
      {0, 0},   {1, 2},   {2, 4},      {3, 4},      {4, 8},
      {6, 8},   {7, 16},  {12, 16},    {13, 32},    {17, 32},
      {24, 32}, {25, 64}, {768, 1024}, {769, 2048}, {0xfffffffe, 1ull << 33}};
  for (const auto& pair : pairs) assert_int_equal(HashSlotsFor(pair[0]), pair[1]);
}

Hash128 PiecesByHand() {
  Bytes bytes;
  ByteWriter out(&bytes);
  for (const int byte : {2, 32, 2, 0, 0, 0, 0, 0}) out.U8(static_cast<uint8_t>(byte));
  for (const int word : {4, 6, 0, 0, 2, 6, 1, 6, 100, 101, 102, 103, 2, 0, 2, 6, 2, 6, 104, 105}) {
    out.U64(static_cast<uint64_t>(word));
  }
  return codec::Hash128Of(ByteSpan(bytes));
}

// A (4, 6) array in two pieces of two rows, the first in two chunks.
Hash128 PiecesByClass() {
  const uint64_t shape[] = {4, 6};
  const uint64_t first[][2] = {{0, 0}, {2, 6}, {1, 6}};
  const uint64_t second[][2] = {{2, 0}, {2, 6}, {2, 6}};
  PiecesIdentity identity(2, 32, shape, 2);
  identity.Piece(first[0], first[1], first[2]);
  identity.Chunk({100, 101});
  identity.Chunk({102, 103});
  identity.Piece(second[0], second[1], second[2]);
  identity.Chunk({104, 105});
  return identity.Digest();
}

void ALeafInPiecesIsItsGridAndItsChunks(void**) { assert_true(PiecesByClass() == PiecesByHand()); }

void NodeByHand(ByteWriter* out, int kind, int key_kind, uint32_t parent, uint64_t size) {
  out->U8(static_cast<uint8_t>(kind));
  out->U8(static_cast<uint8_t>(key_kind));
  const bool array = kind == 64;
  out->U8(array ? 32 : 0);
  out->U8(array ? 2 : 0);
  out->U8(array ? 1 : 0);
  out->Zeros(3);
  out->U32(parent);
  out->U32(key_kind == 2 ? 1 : 0);
  out->U64(key_kind == 3 ? 7 : 0);
  if (key_kind == 2) out->U8('w');
  if (array) out->U64(5);
  out->U64(size);
}

// {"w": float32[5] with attributes, 7: the same again}
Hash128 ContentByHand(ByteSpan attributes) {
  Bytes bytes;
  ByteWriter out(&bytes);
  out.U32(1);
  out.U32(5);
  out.Bytes(ByteSpan("model", 5));
  out.U32(3);
  out.U32(0);
  NodeByHand(&out, 1, 0, kNoParent, 2);
  out.U32(0);
  out.U32(0);
  NodeByHand(&out, 64, 2, 0, 20);
  out.U32(static_cast<uint32_t>(attributes.size));
  out.Bytes(attributes);
  out.U32(0);
  out.U64(201);
  out.U64(202);
  NodeByHand(&out, 96, 3, 0, 0);
  out.U32(0);
  out.U32(0);
  out.U64(1);
  return codec::Hash128Of(ByteSpan(bytes));
}

Hash128 ContentByClass(ByteSpan attributes, uint32_t root, uint32_t chunk, uint64_t text) {
  const uint64_t shape[] = {5};
  NodeRecord dict;
  dict.kind = 1;
  dict.size = 2;
  dict.a = root + 1;
  NodeRecord array;
  array.kind = 64;
  array.key_kind = 2;
  array.key_size = 1;
  array.key = text;
  array.dtype_bits = 32;
  array.dtype_code = 2;
  array.rank = 1;
  array.storage = kPacked;
  array.parent = root;
  array.size = 20;
  array.a = chunk;
  array.attributes = 1;
  NodeRecord alias;
  alias.kind = 96;
  alias.key_kind = 3;
  alias.key = 7;
  alias.parent = root;
  alias.storage = kAliasOf;
  alias.a = root + 1;
  ContentDigest digest;
  digest.Item(kTreeItem, "model", root, 3);
  digest.Node(dict, ByteSpan(), nullptr, ByteSpan(), {});
  digest.Node(array, ByteSpan("w", 1), shape, attributes, {201, 202});
  digest.Node(alias, ByteSpan(), nullptr, ByteSpan(), {});
  return digest.Digest();
}

void TheContentDigestIsTheTreeAndNotItsPlace(void**) {
  const ByteSpan attributes("attributes..8.16", 16);
  const Hash128 expected = ContentByHand(attributes);
  assert_true(ContentByClass(attributes, 0, 0, 0) == expected);
  assert_true(ContentByClass(attributes, 40, 9, 1000) == expected);
  assert_true(ContentByClass(ByteSpan(), 0, 0, 0) == ContentByHand(ByteSpan()));
  assert_true(ContentByClass(ByteSpan(), 0, 0, 0) != expected);
}

}  // namespace
}  // namespace treering::format

int main() {
  using namespace treering::format;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(AChildIsHashedByParentKindAndKey),
      cmocka_unit_test(KeysOfAnyLengthAreHashedWhole),
      cmocka_unit_test(HashSlotsAreTheLeastPowerOfTwoThatLeavesAQuarterFree),
      cmocka_unit_test(ALeafInPiecesIsItsGridAndItsChunks),
      cmocka_unit_test(TheContentDigestIsTheTreeAndNotItsPlace),
  };
  return cmocka_run_group_tests_name("format digest", tests, nullptr, nullptr);
}

// SPDX-License-Identifier: Apache-2.0
// Node records: golden bytes of each sort, and every contradiction within one is refused by field.
#include "record_checks.h"

namespace treering::format {
namespace {

constexpr uint8_t kDict = 1, kList = 2, kNone = 7, kArray = 64, kBool = 65, kInt = 66, kFloat = 67,
                  kComplex = 68, kString = 69, kAlias = 96;

NodeRecord ARoot(uint8_t kind, uint64_t children) {
  NodeRecord node;
  node.kind = kind;
  node.size = children;
  node.a = children != 0 ? 1 : 0;
  return node;
}

NodeRecord AChild(uint8_t kind, uint8_t storage, uint64_t size) {
  NodeRecord node;
  node.kind = kind;
  node.key_kind = 2;
  node.key_size = 6;
  node.key = 0x40;
  node.parent = 0;
  node.storage = storage;
  node.size = size;
  return node;
}

NodeRecord AnArray(uint8_t storage, uint64_t size) {
  NodeRecord node = AChild(kArray, storage, size);
  node.dtype_code = 2;
  node.dtype_bits = 32;
  node.rank = 2;
  node.shape = 8;
  node.attributes = 3;
  if (storage == kPacked) {
    node.a = 5;
    node.b = 192;
  }
  if (storage == kInPieces) {
    node.a = 6;
    node.b = 2;
  }
  for (uint8_t i = 0; i < 16 && storage != kInline; ++i)
    node.value[i] = static_cast<uint8_t>(i + 1);
  return node;
}

NodeRecord AnInt(uint64_t size, uint8_t top, uint8_t below) {
  NodeRecord node = AChild(kInt, kInline, size);
  node.value[size - 1] = top;
  if (size > 1) node.value[size - 2] = below;
  return node;
}

NodeRecord AnAlias() {
  NodeRecord node = AChild(kAlias, kAliasOf, 0);
  node.a = 4;
  return node;
}

NodeRecord Hashed(uint8_t kind, uint64_t children) {
  NodeRecord node = ARoot(kind, children);
  node.flags = kChildrenHashed;
  return node;
}

Bytes Node(const NodeRecord& record) { return EncodeToBytes(record, 64); }

const Bytes kRootDict = Node(ARoot(kDict, 3));
const Bytes kPackedArray = Node(AnArray(kPacked, 4096));
const Bytes kPiecesArray = Node(AnArray(kInPieces, 1 << 20));
const Bytes kInlineArray = Node(AnArray(kInline, 8));
const Bytes kAliasNode = Node(AnAlias());

void NodesHaveTheBytesOfTheFormat(void**) {
  assert_true(IsHex(kRootDict,
                    "01 00 00 00 00 00 0000 ffffffff 00000000 0000000000000000 00000000 00000000"
                    "0300000000000000 01000000 00000000 00000000000000000000000000000000"));
  assert_true(IsHex(kPackedArray,
                    "40 02 20 02 02 02 0000 00000000 06000000 4000000000000000 03000000 08000000"
                    "0010000000000000 05000000 c0000000 0102030405060708090a0b0c0d0e0f10"));
  assert_true(IsHex(kPiecesArray,
                    "40 02 20 02 02 03 0000 00000000 06000000 4000000000000000 03000000 08000000"
                    "0000100000000000 06000000 02000000 0102030405060708090a0b0c0d0e0f10"));
  assert_true(IsHex(Node(AnInt(2, 0xff, 0x7f)),
                    "42 02 00 00 00 01 0000 00000000 06000000 4000000000000000 00000000 00000000"
                    "0200000000000000 00000000 00000000 7fff0000000000000000000000000000"));
  assert_true(IsHex(kAliasNode,
                    "60 02 00 00 00 04 0000 00000000 06000000 4000000000000000 00000000 00000000"
                    "0000000000000000 04000000 00000000 00000000000000000000000000000000"));
}

void AnAcceptedNodeEncodesToItsBytes(void**) {
  const Bytes* const all[] = {&kRootDict, &kPackedArray, &kPiecesArray, &kInlineArray, &kAliasNode};
  for (const Bytes* bytes : all) {
    assert_true(Accepts(*bytes, DecodeNode));
    assert_int_equal(FlipViolations(*bytes, DecodeNode), 0);
    assert_int_equal(PrefixesAccepted(*bytes, DecodeNode), 0);
  }
}

void TheIdentityIsTheValueOfALeafThatIsNotInline(void**) {
  const codec::Hash128 identity = AnArray(kPacked, 4096).identity();
  assert_true(identity.low == 0x0807060504030201 && identity.high == 0x100f0e0d0c0b0a09);
}

void KindsThatDoNotExistAreRefusedAndUnknownOnesKept(void**) {
  for (int kind = 0; kind < 256; ++kind) {
    const Bytes bytes = With(kRootDict, 0, kind);
    if (kind == 0 || kind > 127) assert_true(RefusesNaming(bytes, DecodeNode, "node.kind"));
    if (kind > 7 && kind < 64) assert_true(Accepts(bytes, DecodeNode));
  }
  for (const int kind : {72, 95, 97, 127}) {
    assert_true(Accepts(With(kPackedArray, 0, kind), DecodeNode));
    assert_true(Accepts(With(With(kPackedArray, 0, kind), 5, 77), DecodeNode));
    assert_true(RefusesNaming(With(With(kPackedArray, 0, kind), 6, 1), DecodeNode, "node.flags"));
    assert_true(RefusesNaming(With(With(kPackedArray, 0, kind), 4, 33), DecodeNode, "node.rank"));
  }
}

void KeysAreCheckedPerKind(void**) {
  assert_true(RefusesNaming(With(kRootDict, 1, 1), DecodeNode, "node.key_kind"));
  assert_true(RefusesNaming(With(kRootDict, 16, 1), DecodeNode, "node.key"));
  assert_true(RefusesNaming(With(kPackedArray, 1, 0), DecodeNode, "node.key_kind"));
  assert_true(RefusesNaming(With(kPackedArray, 1, 5), DecodeNode, "node.key_kind"));
  assert_true(RefusesNaming(With(kPackedArray, 1, 1), DecodeNode, "node.key_size"));
  assert_true(RefusesNaming(With(kPackedArray, 1, 3), DecodeNode, "node.key_size"));
  assert_true(RefusesNaming(With(kPackedArray, 1, 4), DecodeNode, "node.key_size"));
  assert_true(Accepts(With32(kPackedArray, 12, 65535), DecodeNode));
  assert_true(Accepts(With32(kPackedArray, 12, 0), DecodeNode));
  assert_true(RefusesNaming(With32(kPackedArray, 12, 65536), DecodeNode, "node.key_size"));
  const Bytes bigint = With(kPackedArray, 1, 4);
  assert_true(Accepts(With32(bigint, 12, 9), DecodeNode));
  assert_true(RefusesNaming(With32(bigint, 12, 8), DecodeNode, "node.key_size"));
  const Bytes number = With32(With(kPackedArray, 1, 3), 12, 0);
  assert_true(Accepts(With64(number, 16, UINT64_MAX), DecodeNode));
  const Bytes index = With32(With(kPackedArray, 1, 1), 12, 0);
  assert_true(RefusesNaming(With64(index, 16, 0xffffffff), DecodeNode, "node.key"));
}

void FlagsAreForContainersOfManyKeyedChildren(void**) {
  assert_true(Accepts(Node(Hashed(kDict, 17)), DecodeNode));
  assert_true(RefusesNaming(Node(Hashed(kDict, 16)), DecodeNode, "node.flags"));
  assert_true(RefusesNaming(Node(Hashed(kList, 17)), DecodeNode, "node.flags"));
  assert_true(RefusesNaming(With(kPackedArray, 6, 1), DecodeNode, "node.flags"));
  for (const int flags : {2, 4, 128}) {
    assert_true(RefusesNaming(With(Node(Hashed(kDict, 17)), 6, flags), DecodeNode, "node.flags"));
  }
  assert_true(RefusesNaming(With(kRootDict, 7, 1), DecodeNode, "node.flags"));
}

void OnlyArraysAndKeysHaveADtypeAndAShape(void**) {
  assert_true(RefusesNaming(With(kRootDict, 2, 8), DecodeNode, "node.dtype_bits"));
  assert_true(RefusesNaming(With(kRootDict, 3, 1), DecodeNode, "node.dtype_code"));
  assert_true(RefusesNaming(With(kRootDict, 4, 1), DecodeNode, "node.rank"));
  assert_true(RefusesNaming(With(kRootDict, 28, 1), DecodeNode, "node.shape"));
  assert_true(RefusesNaming(With(kPackedArray, 2, 0), DecodeNode, "node.dtype_bits"));
  assert_true(RefusesNaming(With(kPackedArray, 4, 33), DecodeNode, "node.rank"));
  assert_true(RefusesNaming(With(kPackedArray, 4, 0), DecodeNode, "node.shape"));
  assert_true(Accepts(With(kPackedArray, 3, 200), DecodeNode));  // an unknown dtype is a record
  const Bytes scalar = With32(With(kInlineArray, 4, 0), 28, 0);
  assert_true(RefusesNaming(scalar, DecodeNode, "node.size"));
  assert_true(Accepts(With64(scalar, 32, 4), DecodeNode));
}

void AContainerHoldsChildrenAndNothingElse(void**) {
  assert_true(RefusesNaming(With(kRootDict, 5, 1), DecodeNode, "node.storage"));
  assert_true(RefusesNaming(With(kRootDict, 40, 0), DecodeNode, "node.a"));
  assert_true(RefusesNaming(With(Node(ARoot(kDict, 0)), 40, 1), DecodeNode, "node.a"));
  assert_true(RefusesNaming(With64(kRootDict, 32, UINT64_MAX), DecodeNode, "node.size"));
  assert_true(RefusesNaming(With64(kRootDict, 32, 0xffffffff), DecodeNode, "node.size"));
  assert_true(Accepts(With64(kRootDict, 32, 0xfffffffe), DecodeNode));
  assert_true(RefusesNaming(With(kRootDict, 44, 1), DecodeNode, "node.b"));
  assert_true(RefusesNaming(With(kRootDict, 63, 1), DecodeNode, "node.value"));
  assert_true(RefusesNaming(Node(ARoot(kNone, 1)), DecodeNode, "node.size"));
}

void ALeafLiesWhereItsSizeSays(void**) {
  for (const int storage : {0, 4, 5, 255}) {
    assert_true(RefusesNaming(With(kPackedArray, 5, storage), DecodeNode, "node.storage"));
  }
  assert_true(RefusesNaming(With64(kInlineArray, 32, 17), DecodeNode, "node.size"));
  assert_true(RefusesNaming(With(kInlineArray, 40, 1), DecodeNode, "node.a"));
  assert_true(RefusesNaming(With(kInlineArray, 44, 1), DecodeNode, "node.b"));
  assert_true(Accepts(With(kInlineArray, 55, 1), DecodeNode));
  assert_true(RefusesNaming(With(kInlineArray, 56, 1), DecodeNode, "node.value"));
  for (const uint64_t size : {uint64_t{16}, uint64_t{65536}, UINT64_MAX}) {
    assert_true(RefusesNaming(With64(kPackedArray, 32, size), DecodeNode, "node.size"));
  }
  assert_true(RefusesNaming(With32(kPackedArray, 40, 0xffffffff), DecodeNode, "node.a"));
  assert_true(RefusesNaming(With64(kPiecesArray, 32, 16), DecodeNode, "node.size"));
  assert_true(RefusesNaming(With64(kPiecesArray, 32, uint64_t{1} << 63), DecodeNode, "node.size"));
  assert_true(RefusesNaming(With32(kPiecesArray, 44, 0), DecodeNode, "node.b"));
  assert_true(RefusesNaming(With32(kPiecesArray, 44, 0xfffffffa), DecodeNode, "node.b"));
}

void APackedLeafIsAlignedAndInsideItsChunk(void**) {
  assert_true(RefusesNaming(With32(kPackedArray, 44, 96), DecodeNode, "node.b"));
  assert_true(Accepts(With32(kPackedArray, 44, 262144 - 4096), DecodeNode));
  assert_true(RefusesNaming(With32(kPackedArray, 44, 262144 - 4032), DecodeNode, "node.b"));
  const Bytes small = With64(kPackedArray, 32, 20);
  assert_true(Accepts(With32(small, 44, 4), DecodeNode));
  assert_true(RefusesNaming(With32(small, 44, 2), DecodeNode, "node.b"));
  NodeRecord text = AChild(kString, kPacked, 20);
  text.b = 3;
  assert_true(Accepts(Node(text), DecodeNode));
}

void ScalarsHaveTheirSizes(void**) {
  assert_true(Accepts(Node(AChild(kBool, kInline, 1)), DecodeNode));
  assert_true(RefusesNaming(Node(AChild(kBool, kInline, 2)), DecodeNode, "node.size"));
  assert_true(
      RefusesNaming(With(Node(AChild(kBool, kInline, 1)), 48, 2), DecodeNode, "node.value"));
  assert_true(Accepts(Node(AChild(kFloat, kInline, 8)), DecodeNode));
  assert_true(RefusesNaming(Node(AChild(kFloat, kInline, 4)), DecodeNode, "node.size"));
  assert_true(Accepts(Node(AChild(kComplex, kInline, 16)), DecodeNode));
  assert_true(RefusesNaming(Node(AChild(kComplex, kInline, 8)), DecodeNode, "node.size"));
  assert_true(Accepts(Node(AChild(kString, kInline, 0)), DecodeNode));
}

void AnIntIsNoLongerThanItNeeds(void**) {
  assert_true(RefusesNaming(Node(AChild(kInt, kInline, 0)), DecodeNode, "node.size"));
  assert_true(Accepts(Node(AnInt(1, 0, 0)), DecodeNode));
  assert_true(Accepts(Node(AnInt(1, 0xff, 0)), DecodeNode));
  assert_true(Accepts(Node(AnInt(2, 0, 0x80)), DecodeNode));
  assert_true(RefusesNaming(Node(AnInt(2, 0, 0x7f)), DecodeNode, "node.size"));
  assert_true(Accepts(Node(AnInt(16, 0xff, 0x7f)), DecodeNode));
  assert_true(RefusesNaming(Node(AnInt(16, 0xff, 0x80)), DecodeNode, "node.size"));
}

void AnAliasNamesALeafAndNothingElse(void**) {
  assert_true(RefusesNaming(With(kAliasNode, 5, 1), DecodeNode, "node.storage"));
  assert_true(RefusesNaming(With(kAliasNode, 24, 1), DecodeNode, "node.attributes"));
  assert_true(RefusesNaming(With(kAliasNode, 32, 1), DecodeNode, "node.size"));
  assert_true(RefusesNaming(With32(kAliasNode, 40, 0xffffffff), DecodeNode, "node.a"));
  assert_true(RefusesNaming(With(kAliasNode, 44, 1), DecodeNode, "node.b"));
  assert_true(RefusesNaming(With(kAliasNode, 48, 1), DecodeNode, "node.value"));
}

}  // namespace
}  // namespace treering::format

int main() {
  using namespace treering::format;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(NodesHaveTheBytesOfTheFormat),
      cmocka_unit_test(AnAcceptedNodeEncodesToItsBytes),
      cmocka_unit_test(TheIdentityIsTheValueOfALeafThatIsNotInline),
      cmocka_unit_test(KindsThatDoNotExistAreRefusedAndUnknownOnesKept),
      cmocka_unit_test(KeysAreCheckedPerKind),
      cmocka_unit_test(FlagsAreForContainersOfManyKeyedChildren),
      cmocka_unit_test(OnlyArraysAndKeysHaveADtypeAndAShape),
      cmocka_unit_test(AContainerHoldsChildrenAndNothingElse),
      cmocka_unit_test(ALeafLiesWhereItsSizeSays),
      cmocka_unit_test(APackedLeafIsAlignedAndInsideItsChunk),
      cmocka_unit_test(ScalarsHaveTheirSizes),
      cmocka_unit_test(AnIntIsNoLongerThanItNeeds),
      cmocka_unit_test(AnAliasNamesALeafAndNothingElse),
  };
  return cmocka_run_group_tests_name("format node", tests, nullptr, nullptr);
}

// SPDX-License-Identifier: Apache-2.0
// Node records: one fixed shape for containers, leaves and aliases of every kind.
//
// The fields mean different things per kind, so each group is checked by what the kind says it
// holds and must otherwise be zero: one value has one encoding. Kinds that this version does not
// know keep their place in the tree (key, parent, children, attributes are checked as for all) and
// whatever else they carry, so that a walk passes them. Ids are compared with each other and with
// the sections by whoever walks; here only sums that would wrap are refused.
#include <cstring>
#include <string>

#include "base/checked.h"
#include "format/records.h"
#include "format/refuse.h"
#include "tree/dtype.h"

namespace treering::format {
namespace {

using base::ByteReader;
using base::ByteSpan;
using base::Status;

constexpr uint64_t kIds = 0xffffffff;  // ids are below it

enum Kind : uint8_t {
  kDict = 1,
  kList = 2,
  kTuple = 3,
  kNone = 7,
  kLastContainer = 7,
  kArray = 64,
  kBool = 65,
  kInt = 66,
  kFloat = 67,
  kComplex = 68,
  kPrngKey = 71,
  kLastLeaf = 71,
  kAlias = 96,
};

enum KeyKind : uint8_t { kNoKey = 0, kIndex = 1, kString = 2, kIntKey = 3, kBigint = 4 };

bool HasDtype(uint8_t kind) { return kind == kArray || kind == kPrngKey; }

bool IsZero(const std::array<uint8_t, 16>& value, uint64_t from) {
  for (uint64_t i = from; i < value.size(); ++i) {
    if (value[i] != 0) return false;
  }
  return true;
}

Status CheckKey(const NodeRecord& node) {
  TR_EXPECT(node.key_kind <= kBigint, "node.key_kind", node.key_kind, "0 to 4");
  const bool root = node.parent == kNoParent;
  TR_EXPECT(root == (node.key_kind == kNoKey), "node.key_kind", node.key_kind,
            root ? "0 for a root" : "1 to 4 for a child");
  TR_EXPECT(node.key_kind != kNoKey || node.key == 0, "node.key", node.key, "0 for a root");
  switch (node.key_kind) {
    case kString:
      TR_EXPECT(node.key_size <= kMaxKeyText, "node.key_size", node.key_size, "at most 65535");
      break;
    case kBigint:
      TR_EXPECT(node.key_size >= 9 && node.key_size <= kMaxKeyText, "node.key_size", node.key_size,
                "9 to 65535 for a bigint key");
      break;
    default:
      TR_EXPECT(node.key_size == 0, "node.key_size", node.key_size, "0 for a key without text");
  }
  TR_EXPECT(node.key_kind != kIndex || node.key < kIds, "node.key", node.key,
            "an index below 2^32 - 1");
  return Status();
}

Status CheckDtype(const NodeRecord& node) {
  if (!HasDtype(node.kind)) {
    TR_EXPECT(node.dtype_bits == 0, "node.dtype_bits", node.dtype_bits, "0 for this kind");
    TR_EXPECT(node.dtype_code == 0, "node.dtype_code", node.dtype_code, "0 for this kind");
    TR_EXPECT(node.rank == 0, "node.rank", node.rank, "0 for this kind");
  }
  TR_EXPECT(!HasDtype(node.kind) || node.dtype_bits != 0, "node.dtype_bits", node.dtype_bits,
            "1 or more for an array");
  TR_EXPECT(node.rank != 0 || node.shape == 0, "node.shape", node.shape, "0 for rank 0");
  return Status();
}

// What holds for containers of any kind, known or not.
Status CheckContainer(const NodeRecord& node) {
  TR_EXPECT((node.a == 0) == (node.size == 0), "node.a", node.a,
            "the first child's id, 0 if and only if there is none");
  TR_EXPECT(base::InBounds(node.a, node.size, kIds), "node.size", node.size,
            "first child + number of children below 2^32");
  if (node.flags == kChildrenHashed) {
    TR_EXPECT(node.size >= kHashedFrom, "node.flags", node.flags, "0 below 17 children");
  }
  if (node.kind > kLastContainer) return Status();
  const bool indexed = node.kind == kList || node.kind == kTuple;
  TR_EXPECT(!indexed || node.flags == 0, "node.flags", node.flags, "0 for indexed children");
  TR_EXPECT(node.kind != kNone || node.size == 0, "node.size", node.size, "0 for none");
  TR_EXPECT(node.storage == kNoStorage, "node.storage", node.storage, "0 for a container");
  TR_EXPECT(node.b == 0, "node.b", node.b, "0 for a container");
  TR_EXPECT(IsZero(node.value, 0), "node.value", node.value[0], "zeros for a container");
  return Status();
}

// The alignment of a leaf inside its packed chunk.
uint32_t PackedAlignment(const NodeRecord& node) {
  if (node.size >= 64) return 64;
  const tree::Dtype dtype = {node.dtype_code, node.dtype_bits};
  if (!HasDtype(node.kind) || !tree::IsKnown(dtype)) return 1;
  return tree::ElementBytes(dtype);
}

Status CheckPlace(const NodeRecord& node) {
  switch (node.storage) {
    case kInline:
      TR_EXPECT(node.size <= kMaxInline, "node.size", node.size, "at most 16 for an inline leaf");
      TR_EXPECT(node.a == 0, "node.a", node.a, "0 for an inline leaf");
      TR_EXPECT(node.b == 0, "node.b", node.b, "0 for an inline leaf");
      TR_EXPECT(IsZero(node.value, node.size), "node.value", node.value[15],
                "zeros behind an inline leaf's bytes");
      return Status();
    case kPacked:
      TR_EXPECT(node.size > kMaxInline && node.size <= kMaxPacked, "node.size", node.size,
                "17 to 65535 for a packed leaf");
      TR_EXPECT(node.a < kIds, "node.a", node.a, "a chunk id below 2^32 - 1");
      TR_EXPECT(base::InBounds(node.b, node.size, kPackedChunkSize), "node.b", node.b,
                "an end within the 262144 bytes of a packed chunk");
      TR_EXPECT(node.b % PackedAlignment(node) == 0, "node.b", node.b,
                "a multiple of " + std::to_string(PackedAlignment(node)));
      return Status();
    case kInPieces:
      TR_EXPECT(node.size > kMaxInline && node.size <= UINT64_MAX >> 1, "node.size", node.size,
                "17 to 2^63 - 1 for a leaf in pieces");
      TR_EXPECT(node.b >= 1 && base::InBounds(node.a, node.b, kIds), "node.b", node.b,
                "at least 1 piece, and first piece + number below 2^32");
      return Status();
    default:
      return Refuse("node.storage", node.storage, "1, 2 or 3 for a leaf");
  }
}

// An int's two's complement must not be longer than it needs.
bool IsShortest(const std::array<uint8_t, 16>& value, uint64_t size) {
  if (size < 2) return true;
  const uint8_t top = value[size - 1];
  const bool negative = (value[size - 2] & 0x80) != 0;
  return !((top == 0 && !negative) || (top == 0xff && negative));
}

Status CheckScalar(const NodeRecord& node) {
  switch (node.kind) {
    case kBool:
      TR_EXPECT(node.size == 1, "node.size", node.size, "1 for a bool");
      TR_EXPECT(node.value[0] <= 1, "node.value", node.value[0], "0 or 1 for a bool");
      return Status();
    case kInt:
      TR_EXPECT(node.size >= 1, "node.size", node.size, "1 or more for an int");
      TR_EXPECT(node.storage != kInline || IsShortest(node.value, node.size), "node.size",
                node.size, "the least number of bytes that holds the int");
      return Status();
    case kFloat:
      TR_EXPECT(node.size == 8, "node.size", node.size, "8 for a float");
      return Status();
    case kComplex:
      TR_EXPECT(node.size == 16, "node.size", node.size, "16 for a complex");
      return Status();
    default:
      break;
  }
  uint64_t size = 0;
  const tree::Dtype dtype = {node.dtype_code, node.dtype_bits};
  if (HasDtype(node.kind) && node.rank == 0 && tree::IsKnown(dtype) &&
      tree::RawSize(dtype, nullptr, 0, &size)) {
    TR_EXPECT(node.size == size, "node.size", node.size, size);
  }
  return Status();
}

Status CheckAlias(const NodeRecord& node) {
  TR_EXPECT(node.storage == kAliasOf, "node.storage", node.storage, "4 for an alias");
  TR_EXPECT(node.attributes == 0, "node.attributes", node.attributes, "0 for an alias");
  TR_EXPECT(node.size == 0, "node.size", node.size, "0 for an alias");
  TR_EXPECT(node.a < kIds, "node.a", node.a, "a leaf's id below 2^32 - 1");
  TR_EXPECT(node.b == 0, "node.b", node.b, "0 for an alias");
  TR_EXPECT(IsZero(node.value, 0), "node.value", node.value[0], "zeros for an alias");
  return Status();
}

Status CheckNode(const NodeRecord& node) {
  const bool container = IsContainerKind(node.kind);
  TR_EXPECT(container || IsLeafKind(node.kind), "node.kind", node.kind, "1 to 127");
  TR_EXPECT((node.flags & ~kChildrenHashed) == 0 && (container || node.flags == 0), "node.flags",
            node.flags, container ? "0 or 1" : "0 for a leaf");
  TR_RETURN_IF_ERROR(CheckKey(node));
  // Of kinds that are not known too: shapes are kept in room for so many dimensions.
  TR_EXPECT(node.rank <= kMaxRank, "node.rank", node.rank, "at most 32");
  const bool known =
      container ? node.kind <= kLastContainer : node.kind <= kLastLeaf || node.kind == kAlias;
  if (known) TR_RETURN_IF_ERROR(CheckDtype(node));
  if (container) return CheckContainer(node);
  if (!known) return Status();
  if (node.kind == kAlias) return CheckAlias(node);
  TR_RETURN_IF_ERROR(CheckPlace(node));
  return CheckScalar(node);
}

}  // namespace

void Encode(const NodeRecord& record, uint8_t* out) {
  out[0] = record.kind;
  out[1] = record.key_kind;
  out[2] = record.dtype_bits;
  out[3] = record.dtype_code;
  out[4] = record.rank;
  out[5] = record.storage;
  base::StoreLe16(out + 6, record.flags);
  base::StoreLe32(out + 8, record.parent);
  base::StoreLe32(out + 12, record.key_size);
  base::StoreLe64(out + 16, record.key);
  base::StoreLe32(out + 24, record.attributes);
  base::StoreLe32(out + 28, record.shape);
  base::StoreLe64(out + 32, record.size);
  base::StoreLe32(out + 40, record.a);
  base::StoreLe32(out + 44, record.b);
  std::memcpy(out + 48, record.value.data(), record.value.size());
}

base::Result<NodeRecord> DecodeNode(ByteSpan bytes) {
  TR_EXPECT(bytes.size >= kStride[kNodes], "node", bytes.size, "64 bytes");
  ByteReader in(bytes);
  NodeRecord node;
  node.kind = in.U8();
  node.key_kind = in.U8();
  node.dtype_bits = in.U8();
  node.dtype_code = in.U8();
  node.rank = in.U8();
  node.storage = in.U8();
  node.flags = in.U16();
  node.parent = in.U32();
  node.key_size = in.U32();
  node.key = in.U64();
  node.attributes = in.U32();
  node.shape = in.U32();
  node.size = in.U64();
  node.a = in.U32();
  node.b = in.U32();
  const ByteSpan value = in.Bytes(node.value.size());
  if (value.data != nullptr) std::memcpy(node.value.data(), value.data, node.value.size());
  TR_RETURN_IF_ERROR(CheckNode(node));
  return node;
}

}  // namespace treering::format

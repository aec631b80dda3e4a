// SPDX-License-Identifier: Apache-2.0
// Attribute sets: a length-prefixed list of (id, flags, value) that nodes share.
//
// Two steps, because a set is found by its offset alone: its first eight bytes give its size, which
// is held against the section's end before more is touched; then the set is decoded to its last
// byte. Ids ascend, padding is zero and a set is never empty, so one list has one encoding, which
// the content digest relies on. Values are opaque here; what an id means is the reader's affair.
#include <algorithm>
#include <string>

#include "base/checked.h"
#include "format/records.h"
#include "format/refuse.h"

namespace treering::format {
namespace {

using base::ByteReader;
using base::ByteSpan;

uint64_t PaddingBehind(uint64_t size) { return (8 - size % 8) % 8; }

}  // namespace

void EncodeAttributes(const std::vector<AttributeRecord>& attributes, std::vector<uint8_t>* out) {
  if (attributes.empty()) return;
  uint64_t size = 0;
  for (const AttributeRecord& attribute : attributes) {
    size += 8 + attribute.value.size + PaddingBehind(attribute.value.size);
  }
  base::ByteWriter writer(out);
  writer.U32(static_cast<uint32_t>(attributes.size()));
  writer.U32(static_cast<uint32_t>(size));
  for (const AttributeRecord& attribute : attributes) {
    writer.U16(attribute.id);
    writer.U16(attribute.flags);
    writer.U32(static_cast<uint32_t>(attribute.value.size));
    writer.Bytes(attribute.value);
    writer.Zeros(PaddingBehind(attribute.value.size));
  }
}

base::Result<uint64_t> AttributeSetSize(ByteSpan first8, uint64_t left) {
  TR_EXPECT(first8.size >= 8 && left >= 8, "attribute set", std::min(first8.size, left),
            "8 bytes or more");
  const uint64_t count = base::LoadLe32(first8.data);
  const uint64_t size = base::LoadLe32(first8.data + 4);
  TR_EXPECT(size % 8 == 0 && size <= left - 8, "attribute set.size", size,
            "a multiple of 8, at most " + std::to_string(left - 8));
  TR_EXPECT(count >= 1 && count <= size / 8, "attribute set.count", count,
            "1 to " + std::to_string(size / 8) + " in " + std::to_string(size) + " bytes");
  return 8 + size;
}

base::Result<std::vector<AttributeRecord>> DecodeAttributes(ByteSpan set) {
  TR_ASSIGN_OR_RETURN(const uint64_t size, AttributeSetSize(set, set.size));
  TR_EXPECT(set.size == size, "attribute set", set.size, size);
  ByteReader in(set);
  const uint32_t count = in.U32();
  in.U32();
  std::vector<AttributeRecord> attributes;
  attributes.reserve(count);  // each takes 8 bytes of the set, or its count was refused
  uint32_t least_id = 1;
  for (uint32_t i = 0; i < count; ++i) {
    AttributeRecord attribute;
    attribute.id = in.U16();
    attribute.flags = in.U16();
    const uint32_t length = in.U32();
    attribute.value = in.Bytes(length);
    TR_EXPECT(in.ok(), "attribute.size", length, "a value that ends inside the set");
    TR_EXPECT(attribute.id >= least_id, "attribute.id", attribute.id,
              "ascending ids: " + std::to_string(least_id) + " or more");
    TR_EXPECT((attribute.flags & ~kCriticalAttribute) == 0, "attribute.flags", attribute.flags,
              "0 or 1");
    if (!in.Zeros(PaddingBehind(length))) return RefuseReserved("attribute padding");
    least_id = attribute.id + 1u;
    attributes.push_back(attribute);
  }
  TR_EXPECT(in.done(), "attribute set.size", size - 8,
            std::to_string(size - 8 - in.left()) + ", where the last attribute ends");
  return attributes;
}

}  // namespace treering::format

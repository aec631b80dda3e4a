// SPDX-License-Identifier: Apache-2.0
// STORE as bytes: written once, when a directory becomes a store.
//
// The identity in it is what the names of attempts are hashed with, so that a folder copied in from
// another store is not taken for one of this one. What a later minor version puts behind the last
// field is ignored.
#include "format/store_record.h"

#include <cstring>

#include "format/refuse.h"
#include "format/sealed_record.h"

namespace treering::format {
namespace {

constexpr std::array<uint8_t, 8> kStoreMagic = {0x89, 'T', 'R', 'S', 0x0d, 0x0a, 0x1a, 0x0a};

}  // namespace

std::vector<uint8_t> EncodeStore(const StoreRecord& record) {
  std::vector<uint8_t> out;
  BeginRecord({kStoreMagic, "store", record.features_compat, record.features_ro_compat,
               record.features_incompat, 0},
              &out);
  base::ByteWriter writer(&out);
  writer.Bytes(base::ByteSpan(record.uuid.data(), record.uuid.size()));
  writer.U64(static_cast<uint64_t>(record.created));
  writer.U64(record.metadata.size());
  writer.Bytes(base::ByteSpan(record.metadata));
  EndRecord(&out);
  return out;
}

base::Result<StoreRecord> DecodeStore(base::ByteSpan bytes) {
  Seal seal{kStoreMagic, "store", 0, 0, 0, 0};
  base::ByteSpan body;
  codec::Hash128 digest;
  TR_RETURN_IF_ERROR(OpenRecord(bytes, &seal, &body, &digest));
  StoreRecord record;
  record.features_compat = seal.features_compat;
  record.features_ro_compat = seal.features_ro_compat;
  record.features_incompat = seal.features_incompat;
  base::ByteReader in(body);
  const base::ByteSpan uuid = in.Bytes(record.uuid.size());
  if (in.ok()) std::memcpy(record.uuid.data(), uuid.data, record.uuid.size());
  record.created = static_cast<int64_t>(in.U64());
  const uint64_t size = in.U64();
  const uint64_t left = in.left();
  TR_EXPECT(in.ok() && (size == left || (seal.minor > 0 && size < left)), "store.metadata_size",
            size, left);
  record.metadata = std::string(in.Bytes(size).text());
  return record;
}

}  // namespace treering::format

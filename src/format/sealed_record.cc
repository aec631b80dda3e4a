// SPDX-License-Identifier: Apache-2.0
// Verifying a small record before any of it is parsed.
//
// A record is read whole, so one hash over all of it is enough. The order of checks is part of the
// format: size and magic, then the hash, then the version and the features, which are to be trusted
// only now, and then the fields.
#include "format/sealed_record.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/planted.h"
#include "format/refuse.h"

namespace treering::format {
namespace {

using base::Code;
using base::Status;

constexpr uint16_t kRecordMajor = 1;
constexpr uint16_t kRecordMinor = 0;
constexpr uint64_t kKnownRecordIncompat = 0;

codec::Hash128 HashOf(base::ByteSpan bytes) {
  codec::Hasher128 hasher;
  hasher.Update(bytes);
  return hasher.Digest();
}

}  // namespace

void BeginRecord(const Seal& seal, std::vector<uint8_t>* out) {
  base::ByteWriter writer(out);
  writer.Bytes(base::ByteSpan(seal.magic.data(), seal.magic.size()));
  writer.U16(kRecordMajor);
  writer.U16(kRecordMinor);
  writer.U32(0);
  writer.U64(0);  // EndRecord
  writer.U64(seal.features_compat);
  writer.U64(seal.features_ro_compat);
  writer.U64(seal.features_incompat);
}

codec::Hash128 EndRecord(std::vector<uint8_t>* out) {
  base::StoreLe64(out->data() + 16, out->size() + kSealHash);
  const codec::Hash128 digest = HashOf(base::ByteSpan(*out));
  base::ByteWriter writer(out);
  writer.U64(digest.low);
  writer.U64(digest.high);
  return digest;
}

Status OpenRecord(base::ByteSpan bytes, Seal* seal, base::ByteSpan* body, codec::Hash128* digest) {
  const std::string what = seal->what;
  if (bytes.size < seal->magic.size() ||
      std::memcmp(bytes.data, seal->magic.data(), seal->magic.size()) != 0) {
    if (bytes.size == 0) return Status(Code::kCorruptTruncated, "the " + what + " is empty");
    return Status(Code::kNotTreering, "this is no " + what + " of treering");
  }
  if (bytes.size < kSealHead + kSealHash) {
    return Status(Code::kCorruptTruncated,
                  "the " + what + " is cut off after " + std::to_string(bytes.size) + " bytes");
  }
  const uint64_t size = base::LoadLe64(bytes.data + 16);
  if (bytes.size < size) {
    return Status(Code::kCorruptTruncated, "the " + what + " is cut off after " +
                                               std::to_string(bytes.size) + " of " +
                                               std::to_string(size) + " bytes");
  }
  const uint64_t end = bytes.size - kSealHash;
  digest->low = base::LoadLe64(bytes.data + end);
  digest->high = base::LoadLe64(bytes.data + end + 8);
  const codec::Hash128 computed = HashOf(bytes.Sub(0, end));
  if (computed.low != digest->low || computed.high != digest->high) {
    return Status(Code::kCorruptChecksum,
                  "the " + what + " does not have the hash that it states; restore an intact copy");
  }
  const uint16_t major = base::LoadLe16(bytes.data + 8);
  if (major > kRecordMajor) {
    return Status(Code::kUnsupportedVersion, "the " + what + " has format version " +
                                                 std::to_string(major) + "; use a newer treering");
  }
  seal->features_compat = base::LoadLe64(bytes.data + 24);
  seal->features_ro_compat = base::LoadLe64(bytes.data + 32);
  seal->features_incompat = base::LoadLe64(bytes.data + 40);
  const uint64_t unknown = seal->features_incompat & ~kKnownRecordIncompat;
  if (unknown != 0 && !base::Planted(25)) {
    return Status(Code::kUnsupportedFeature, "the " + what + " uses the incompatible features " +
                                                 std::to_string(unknown) +
                                                 ", which are not known; use a newer treering");
  }
  TR_EXPECT(major == kRecordMajor, "major", major, uint64_t{kRecordMajor});
  TR_EXPECT(base::LoadLe16(bytes.data + 10) == kRecordMinor, "minor",
            base::LoadLe16(bytes.data + 10), uint64_t{kRecordMinor});
  if (base::LoadLe32(bytes.data + 12) != 0) return RefuseReserved(what);
  TR_EXPECT(size == bytes.size, "size", size, bytes.size);
  *body = bytes.Sub(kSealHead, end - kSealHead);
  return {};
}

}  // namespace treering::format

// SPDX-License-Identifier: Apache-2.0
// Verifying a small record before any of it is parsed.
//
// A record is read whole, so one hash over all of it is enough. The order of checks is part of the
// format: size and magic, then the hash, then the version and the features, which are to be trusted
// only now, and then the fields. Damage and strangeness are told apart: a record whose magic alone
// was hit is still known by its hash, and one that was never flushed by its zeros; what else lacks
// the magic is not ours. Magic, size and hash keep their places in every future version.
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

Status CutOff(const std::string& what, uint64_t size, const std::string& whole) {
  return Status(Code::kCorruptTruncated, "the " + what + " is cut off: it has " +
                                             std::to_string(size) + " of " + whole + " bytes");
}

// The hash of a record with these bytes behind its magic.
codec::Hash128 HashOf(const Seal& seal, base::ByteSpan bytes) {
  codec::Hasher128 hasher;
  hasher.Update(base::ByteSpan(seal.magic.data(), seal.magic.size()));
  hasher.Update(bytes.Sub(seal.magic.size(), bytes.size - seal.magic.size() - kSealHash));
  return hasher.Digest();
}

// Size, magic, hash: nothing else is looked at, but for the size that tells a part from a whole.
Status CheckWhole(base::ByteSpan bytes, const Seal& seal, codec::Hash128* digest) {
  const std::string what = seal.what;
  const size_t start = static_cast<size_t>(std::min<uint64_t>(bytes.size, seal.magic.size()));
  const bool ours = start == 0 || std::memcmp(bytes.data, seal.magic.data(), start) == 0;
  const bool zeros = std::all_of(bytes.data, bytes.data + start, [](uint8_t b) { return b == 0; });
  Status stranger(Code::kNotTreering, "this is no " + what + " of treering");
  if (bytes.size < kSealHead + kSealHash) {
    if (!ours && !zeros) return stranger;
    return CutOff(what, bytes.size, "at least " + std::to_string(kSealHead + kSealHash));
  }
  const uint64_t size = base::LoadLe64(bytes.data + 16);
  if (ours && bytes.size < size) return CutOff(what, bytes.size, std::to_string(size));
  const uint8_t* stated = bytes.data + (bytes.size - kSealHash);
  *digest = {base::LoadLe64(stated), base::LoadLe64(stated + 8)};
  const codec::Hash128 computed = HashOf(seal, bytes);
  const bool same = computed.low == digest->low && computed.high == digest->high;
  if (ours && same) return {};
  if (!ours && !same && !zeros) return stranger;
  return Status(Code::kCorruptChecksum, "the " + what +
                                            (ours ? " does not have the hash that it states"
                                                  : " has lost its first bytes") +
                                            "; restore it from a copy");
}

Status CheckVersion(base::ByteSpan bytes, Seal* seal) {
  const std::string what = seal->what;
  const uint16_t major = base::LoadLe16(bytes.data + 8);
  if (major > kRecordMajor) {
    return Status(Code::kUnsupportedVersion, "the " + what + " has format version " +
                                                 std::to_string(major) + "; use a newer treering");
  }
  seal->minor = base::LoadLe16(bytes.data + 10);
  seal->features_compat = base::LoadLe64(bytes.data + 24);
  seal->features_ro_compat = base::LoadLe64(bytes.data + 32);
  seal->features_incompat = base::LoadLe64(bytes.data + 40);
  const uint64_t unknown = seal->features_incompat & ~kKnownRecordIncompat;
  if (unknown != 0 && !base::Planted(25)) {
    return Status(Code::kUnsupportedFeature, "the " + what + " uses the incompatible features " +
                                                 std::to_string(unknown) +
                                                 ", which are not known; use a newer treering");
  }
  TR_EXPECT(major == kRecordMajor, what + ".major", major, uint64_t{kRecordMajor});
  return {};
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
  codec::Hasher128 hasher;
  hasher.Update(base::ByteSpan(*out));
  const codec::Hash128 digest = hasher.Digest();
  base::ByteWriter writer(out);
  writer.U64(digest.low);
  writer.U64(digest.high);
  return digest;
}

Status OpenRecord(base::ByteSpan bytes, Seal* seal, base::ByteSpan* body, codec::Hash128* digest) {
  TR_RETURN_IF_ERROR(CheckWhole(bytes, *seal, digest));
  TR_RETURN_IF_ERROR(CheckVersion(bytes, seal));
  const uint64_t size = base::LoadLe64(bytes.data + 16);
  TR_EXPECT(size == bytes.size, std::string(seal->what) + ".size", size, bytes.size);
  if (base::LoadLe32(bytes.data + 12) != 0) return RefuseReserved(seal->what);
  *body = bytes.Sub(kSealHead, bytes.size - kSealHead - kSealHash);
  return {};
}

}  // namespace treering::format

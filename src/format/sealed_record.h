// SPDX-License-Identifier: Apache-2.0
// What the records of a manager's directory have in common: magic, version, features, size, hash.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/hash.h"

namespace treering::format {

// Layout: magic 8, u16 major, u16 minor, u32 reserved, u64 record size, three u64 of features; the
// body; h128 of everything before.
inline constexpr uint64_t kSealHead = 48;
inline constexpr uint64_t kSealHash = 16;

struct Seal {
  std::array<uint8_t, 8> magic{};
  const char* what = "";  // for messages: "record"
  uint64_t features_compat = 0;
  uint64_t features_ro_compat = 0;
  uint64_t features_incompat = 0;
  uint16_t minor = 0;  // a higher one may have put more behind the fields that are known
};

// Writes the head; the body follows in *out.
void BeginRecord(const Seal& seal, std::vector<uint8_t>* out);
// Fills in the size and appends the hash, which it returns.
codec::Hash128 EndRecord(std::vector<uint8_t>* out);
// Verifies a whole record; on success `seal` has features and minor version, and *body what lies
// between head and hash. kCorruptTruncated: the file is shorter than it says, or than any record.
// kCorruptChecksum: the hash is wrong, or would be right with the right magic. kNotTreering: it is
// something else. Then kUnsupportedVersion, kUnsupportedFeature, kCorruptStructure.
base::Status OpenRecord(base::ByteSpan bytes, Seal* seal, base::ByteSpan* body,
                        codec::Hash128* digest);

}  // namespace treering::format

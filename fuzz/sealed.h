// SPDX-License-Identifier: Apache-2.0
// The claim of the targets for records under one hash: what is accepted encodes to its bytes.
#pragma once

#include <algorithm>

#include "format/sealed_record.h"
#include "record.h"

namespace treering::fuzz {

inline void ClaimKnownRefusal(const base::Status& status) {
  const int code_class = base::ClassOf(status.code());
  Claim(code_class == static_cast<int>(base::Code::kCorrupt) ||
        code_class == static_cast<int>(base::Code::kUnsupported) ||
        status.code() == base::Code::kNotTreering);
  Claim(!status.message().empty());
}

// `decode` gives a Result, `encode` takes what is in it and gives bytes.
template <typename Decode, typename Encode>
void CheckSealed(const std::vector<uint8_t>& bytes, Decode decode, Encode encode) {
  auto record = decode(base::ByteSpan(bytes));
  if (!record.ok()) return ClaimKnownRefusal(record.status());
  Claim(bytes.size() >= format::kSealHead + format::kSealHash);
  const uint16_t minor = base::LoadLe16(bytes.data() + 10);
  const std::vector<uint8_t> again = encode(&*record);
  Claim(minor > 0 || again == bytes);
  // Of a later minor version the fields that are known come first, and the same.
  Claim(again.size() <= bytes.size());
  Claim(std::equal(again.begin() + 24, again.end() - format::kSealHash, bytes.begin() + 24));
}

// Tries the input as it is, and then under the magic, size and hash that are right, so that the
// fuzzer gets past them.
template <typename Decode, typename Encode>
int CheckSealedInput(const uint8_t* data, size_t size, char letter, Decode decode, Encode encode) {
  std::vector<uint8_t> bytes(data, data + size);
  CheckSealed(bytes, decode, encode);
  if (size < format::kSealHead + format::kSealHash) return 0;
  const uint8_t magic[8] = {0x89, 'T', 'R', static_cast<uint8_t>(letter), 0x0d, 0x0a, 0x1a, 0x0a};
  std::memcpy(bytes.data(), magic, sizeof magic);
  bytes.resize(size - format::kSealHash);
  format::EndRecord(&bytes);
  CheckSealed(bytes, decode, encode);
  return 0;
}

}  // namespace treering::fuzz

// SPDX-License-Identifier: Apache-2.0
// The claim of every record's target: what a decoder accepts encodes to the bytes it came from.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "format/records.h"

namespace treering::fuzz {

// Ends the process, which is how a target reports a finding.
inline void Claim(bool holds) {
  if (!holds) std::abort();
}

// A refusal must be the structure error and say something.
inline void ClaimRefusal(const base::Status& status) {
  Claim(status.code() == base::Code::kCorruptStructure && !status.message().empty());
}

// Tries the input as it is; a longer one is a record of a later minor version.
template <typename Decode>
int CheckRecord(const uint8_t* data, size_t size, uint64_t stride, Decode decode) {
  const auto record = decode(base::ByteSpan(data, size));
  if (!record.ok()) {
    ClaimRefusal(record.status());
    return 0;
  }
  Claim(size >= stride);
  std::vector<uint8_t> bytes(static_cast<size_t>(stride), 0xee);
  format::Encode(record.value(), bytes.data());
  Claim(std::memcmp(bytes.data(), data, bytes.size()) == 0);
  return 0;
}

}  // namespace treering::fuzz

// SPDX-License-Identifier: Apache-2.0
// Claim: a header that is accepted is the header.
#include "record.h"

using namespace treering;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const base::ByteSpan input(data, size);
  const base::Status status = format::DecodeHeader(input);
  if (!status.ok()) {
    const bool newer = status.code() == base::Code::kUnsupportedVersion;
    if (!newer) fuzz::ClaimRefusal(status);
    fuzz::Claim(!newer || format::HasHeaderMagic(input));
    return 0;
  }
  uint8_t bytes[format::kHeaderSize];
  format::EncodeHeader(bytes);
  fuzz::Claim(std::memcmp(bytes, data, sizeof bytes) == 0);
  return 0;
}

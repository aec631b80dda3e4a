// SPDX-License-Identifier: Apache-2.0
// Claim: an attribute set that is accepted encodes to the same bytes, and lies inside them.
#include "record.h"

using namespace treering;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const base::ByteSpan input(data, size);
  const auto set_size = format::AttributeSetSize(input, size);
  if (!set_size.ok()) {
    fuzz::ClaimRefusal(set_size.status());
    return 0;
  }
  fuzz::Claim(set_size.value() <= size);
  const base::ByteSpan set = input.Sub(0, set_size.value());
  const auto attributes = format::DecodeAttributes(set);
  if (!attributes.ok()) {
    fuzz::ClaimRefusal(attributes.status());
    return 0;
  }
  std::vector<uint8_t> bytes;
  format::EncodeAttributes(attributes.value(), &bytes);
  fuzz::Claim(bytes.size() == set.size && std::memcmp(bytes.data(), data, bytes.size()) == 0);
  return 0;
}

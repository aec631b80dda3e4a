// SPDX-License-Identifier: Apache-2.0
// Claim: an item record that is accepted encodes to the same bytes.
#include "record.h"

using namespace treering;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::CheckRecord(data, size, format::kStride[format::kItems], format::DecodeItem);
}

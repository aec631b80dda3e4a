// SPDX-License-Identifier: Apache-2.0
// Claim: a file STORE that is accepted encodes to the same bytes.
#include "format/store_record.h"
#include "sealed.h"

using namespace treering;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::CheckSealedInput(
      data, size, 'S', format::DecodeStore,
      [](format::StoreRecord* record) { return format::EncodeStore(*record); });
}

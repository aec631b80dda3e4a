// SPDX-License-Identifier: Apache-2.0
// Arbitrary bytes as a container: opened, walked, read, loaded and verified without a crash.

#include "walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  treering_checkpoint* checkpoint = fuzz::Open(data, size);
  if (checkpoint == nullptr) return 0;
  fuzz::WalkAll(checkpoint);
  treering_checkpoint_free(checkpoint);
  return 0;
}

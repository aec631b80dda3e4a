// SPDX-License-Identifier: Apache-2.0
// The file STORE of a manager's directory: identity, features, the caller's metadata.
#pragma once

#include <string>
#include <vector>

#include "format/manifest.h"

namespace treering::format {

struct StoreRecord {
  Uuid uuid{};
  int64_t created = kNoTime;
  uint64_t features_compat = 0;
  uint64_t features_ro_compat = 0;
  uint64_t features_incompat = 0;
  std::string metadata;  // JSON or empty
};

std::vector<uint8_t> EncodeStore(const StoreRecord& record);
// As DecodeManifest.
base::Result<StoreRecord> DecodeStore(base::ByteSpan bytes);

}  // namespace treering::format

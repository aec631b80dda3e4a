// SPDX-License-Identifier: Apache-2.0
// What a container that a manager wrote says of its version, in its metadata. FORMAT.md, part II.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/manifest.h"

namespace treering::format {

struct VersionNote {
  int64_t step = 0;
  std::vector<Metric> metrics;   // names are UTF-8
  std::string metrics_document;  // JSON or empty
  std::string metadata;          // JSON or empty
};

// One JSON object.
std::string EncodeVersionNote(const VersionNote& note);
// The exact inverse. kNotFound where the text is no such note.
base::Result<VersionNote> DecodeVersionNote(std::string_view text);
// Text as a JSON string, quotes included.
std::string JsonQuoted(std::string_view text);

}  // namespace treering::format

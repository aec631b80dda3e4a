// SPDX-License-Identifier: Apache-2.0
// The one wording in which a record is refused: which field, what was found, what was expected.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace treering::format {

inline base::Status Refuse(std::string_view field, uint64_t found, std::string_view expected,
                           uint64_t offset = base::Status::kNoOffset) {
  std::string text(field);
  text += ": found ";
  text += std::to_string(found);
  text += ", expected ";
  text += expected;
  return base::Status(base::Code::kCorruptStructure, std::move(text), 0, offset);
}

inline base::Status Refuse(std::string_view field, uint64_t found, uint64_t expected,
                           uint64_t offset = base::Status::kNoOffset) {
  return Refuse(field, found, std::string_view(std::to_string(expected)), offset);
}

inline base::Status RefuseReserved(std::string_view record) {
  return base::Status(base::Code::kCorruptStructure,
                      std::string(record) + ": found a reserved byte that is set, expected zero");
}

}  // namespace treering::format

// Inside a decoder: refuses unless `condition` holds.
#define TR_EXPECT(condition, field, found, expected)                                   \
  do {                                                                                 \
    if (!(condition)) return ::treering::format::Refuse((field), (found), (expected)); \
  } while (0)

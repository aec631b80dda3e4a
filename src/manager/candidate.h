// SPDX-License-Identifier: Apache-2.0
// What policies know of a version: its step, its time, its metrics.
#pragma once

#include <cstdint>
#include <vector>

#include "format/manifest.h"

namespace treering::manager {

struct Candidate {
  int64_t step = 0;
  int64_t time = 0;  // of the commit, ns since 1970; format::kNoTime if it is not known
  const std::vector<format::Metric>* metrics = nullptr;  // borrowed; null: none
};

}  // namespace treering::manager

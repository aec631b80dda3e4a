// SPDX-License-Identifier: Apache-2.0
// How far a save or a load is, and the caller's chance to stop it.
#pragma once

#include <cstdint>
#include <functional>

namespace treering::container {

// Bytes of leaf data. Non-zero answers cancel: the operation ends with kCancelled.
using Progress = std::function<int32_t(uint64_t done, uint64_t total)>;

}  // namespace treering::container

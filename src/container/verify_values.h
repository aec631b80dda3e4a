// SPDX-License-Identifier: Apache-2.0
// Whether the bytes of leaves are values of their kinds and dtypes.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/status.h"
#include "container/verify_parts.h"

namespace treering::container {

// Bits behind the last of so many elements; 0 unless they are of 2 or 4 bits.
uint8_t SpareBits(tree::Dtype dtype, uint64_t elements);

// Of all bytes of a leaf, or of a chunk of an array. `spare` bits at the end must be zero.
bool AreValues(const format::NodeRecord& leaf, uint8_t spare, base::ByteSpan bytes);

// Strings and ints in pieces, which are values as a whole only. Reads them in windows.
base::Status CheckLongValues(const Container& container, const Usage& usage, Findings* findings);

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Converting elements between dtypes, only ever when asked.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "tree/dtype.h"

namespace treering::tree {

enum class Cast { kNever = 0, kSafe = 1, kAny = 2 };

// True if every value of `from` is a value of `to`: signed zeros, infinities and NaN count, NaN
// payloads do not. As in NumPy, except that int64 and uint64 to float64 and complex128 are not
// safe.
bool IsSafeCast(Dtype from, Dtype to);
// kMismatchDtype, naming both, if `cast` does not allow it; kUnsupportedDtype for unknown ones.
base::Status CheckCast(Dtype from, Dtype to, Cast cast);

// Converts n elements, each in whole bytes without gaps (sub-byte: one per byte), host order. Each
// value is rounded once, floats to nearest even; where a small float lacks the value the answer is
// that of float_form.h. Float to integer truncates and saturates, NaN gives 0; integer to integer
// saturates; complex to real drops the imaginary part; anything to bool is != 0. dst and src do not
// overlap.
void ConvertElements(Dtype to, void* dst, Dtype from, const void* src, uint64_t n);

}  // namespace treering::tree

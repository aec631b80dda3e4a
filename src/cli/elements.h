// SPDX-License-Identifier: Apache-2.0
// One element of an array as text.
#pragma once

#include <cstdint>
#include <string>

namespace treering::cli {

// As which dtype elements are read so that they can be shown exactly: floats below 32 bits as
// float32, everything else as it is (2- and 4-bit integers one per byte).
uint32_t ReadAs(uint32_t dtype);
// Bytes of an element of ReadAs(dtype).
uint64_t ReadSize(uint32_t dtype);
// Bits of an element as it is packed.
uint64_t PackedBits(uint32_t dtype);

// The shortest text that means the element among the values of its dtype; for JSON, among doubles.
// `element` holds ReadSize(dtype) bytes in the host's order.
std::string ElementText(uint32_t dtype, const uint8_t* element, bool json);
std::string FloatText(double value, bool json);
std::string ComplexText(double real, double imaginary, bool json);

}  // namespace treering::cli

// SPDX-License-Identifier: Apache-2.0
// UTF-8 with lone surrogates (WTF-8), two's complement integers of any size, and hashes of text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace treering::tree {

// The code point that starts at text[*at], and moves *at behind it; UINT32_MAX, and one byte on,
// where the bytes are no UTF-8. Surrogates are decoded like any other code point.
uint32_t NextCodePoint(std::string_view text, size_t* at);
void AppendCodePoint(uint32_t code_point, std::string* out);
inline bool IsSurrogate(uint32_t c) { return c >= 0xd800 && c <= 0xdfff; }
inline bool IsControl(uint32_t c) { return c < 0x20 || (c >= 0x7f && c <= 0x9f); }

// True for UTF-8 in which surrogates may be encoded if they do not form a pair.
bool IsWtf8(std::string_view text);

// How many of the bytes of a little-endian two's complement integer are needed: at least 1.
uint64_t MinimalIntegerSize(const void* bytes, uint64_t size);
// True if that many bytes (minimal) fit int64; then the value.
bool FitsInt64(std::string_view minimal, int64_t* value);
// The decimal digits of a little-endian two's complement integer, and back. `decimal` matches
// -?[0-9]+; the result is minimal.
std::string IntegerToDecimal(std::string_view bytes);
std::string DecimalToInteger(std::string_view decimal);

// A hash for tables in memory only; its values may change.
uint64_t HashText(std::string_view text, uint64_t seed);
inline uint64_t HashNumber(uint64_t value, uint64_t seed) {
  uint64_t h = (value ^ seed) * 0x9e3779b97f4a7c15u;
  h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
  return h ^ (h >> 32);
}

}  // namespace treering::tree

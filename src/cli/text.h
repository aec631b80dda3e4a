// SPDX-License-Identifier: Apache-2.0
// Text for people: code points, escapes, sizes, decimal digits of large integers.
#pragma once

#include <treering/treering.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace treering::cli {

// The code point at *at, which moves behind it; surrogates are code points here. UINT32_MAX where
// the bytes are no (W)UTF-8: *at moves by one byte.
uint32_t NextCodePoint(std::string_view text, size_t* at);

// True for what must not reach a terminal as it is: control characters, marks that turn the
// direction of writing, line separators, invisible spaces, surrogates.
bool IsUnprintable(uint32_t c);

// One line that is safe to print: \n, \u202e, and \xff for bytes that are no text.
std::string Printable(std::string_view text);
// The same for text of several lines: newlines and tabs stay.
std::string PrintableLines(std::string_view text);
// In double quotes, with JSON's escapes, safe to print.
std::string Quoted(std::string_view text);

// As a JSON string with its quotes. Lone surrogates become \udXXX; a byte that is no text becomes
// \udc80 to \udcff, as Python's surrogateescape has it.
void AppendJsonString(std::string_view text, std::string* out);

// A key as a component of a display path, quoted where it must be.
std::string DisplayKey(const treering_key& key);

// How many columns the text takes, counting one for each code point.
size_t Columns(std::string_view text);

// "196.5 MiB"; with `exact` the bytes in decimal.
std::string Size(uint64_t bytes, bool exact);
// "1.24 B" for 1240000000 (k, M, B, T); below ten thousand the number itself.
std::string Count(uint64_t count);
// "1 leaf", "2 leaves".
std::string Plural(uint64_t count, const char* one, const char* many);

// Decimal digits of a two's complement little-endian integer of any size.
std::string Decimal(std::string_view bytes);
std::string Hex(const void* data, uint64_t size);

}  // namespace treering::cli

// SPDX-License-Identifier: Apache-2.0
// What every record must satisfy, as functions that count violations; tests assert 0.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "format/records.h"

extern "C" {
#include <cmocka.h>
}

namespace treering::format {

using Bytes = std::vector<uint8_t>;

inline std::string HexOf(const Bytes& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// The bytes in hexadecimal; spaces are for the reader.
inline bool IsHex(const Bytes& bytes, const char* expected) {
  std::string text;
  for (; *expected != 0; ++expected) {
    if (*expected != ' ') text += *expected;
  }
  if (HexOf(bytes) == text) return true;
  print_error("found    %s\nexpected %s\n", HexOf(bytes).c_str(), text.c_str());
  return false;
}

template <typename Record>
Bytes EncodeToBytes(const Record& record, uint64_t size) {
  Bytes bytes(size, 0xee);  // so that a byte that Encode forgets shows
  Encode(record, bytes.data());
  return bytes;
}

// `decode` takes a ByteSpan and returns Result<Record>.
template <typename Decode>
bool Accepts(const Bytes& bytes, Decode decode) {
  return decode(base::ByteSpan(bytes)).ok();
}

// True if refused as a structure error whose message names the field.
template <typename Decode>
bool RefusesNaming(const Bytes& bytes, Decode decode, const char* field) {
  const auto result = decode(base::ByteSpan(bytes));
  if (result.ok()) {
    print_error("accepted, although %s is wrong\n", field);
    return false;
  }
  const std::string message(result.status().message());
  const bool fine = result.status().code() == base::Code::kCorruptStructure &&
                    message.find(field) == 0 && message.find("found") != std::string::npos &&
                    message.find("expected") != std::string::npos;
  if (!fine) print_error("refused, but for '%s'; wanted %s\n", message.c_str(), field);
  return fine;
}

template <typename Decode>
int PrefixesAccepted(const Bytes& bytes, Decode decode) {
  int accepted = 0;
  for (size_t n = 0; n < bytes.size(); ++n) {
    const Bytes prefix(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
    if (Accepts(prefix, decode)) ++accepted;
  }
  return accepted;
}

// Sets every byte to every other value. A violation is an answer that is neither the structure
// error nor a record that encodes to the same bytes.
template <typename Decode>
int FlipViolations(Bytes bytes, Decode decode) {
  int violations = 0;
  for (uint8_t& byte : bytes) {
    const uint8_t before = byte;
    for (int value = 0; value < 256; ++value) {
      byte = static_cast<uint8_t>(value);
      const auto result = decode(base::ByteSpan(bytes));
      if (!result.ok()) {
        if (result.status().code() != base::Code::kCorruptStructure) ++violations;
      } else if (EncodeToBytes(result.value(), bytes.size()) != bytes) {
        ++violations;
      }
    }
    byte = before;
  }
  return violations;
}

// How many of the values 1 ... 255 of the bytes [from, to) are accepted.
template <typename Decode>
int ReservedAccepted(Bytes bytes, Decode decode, size_t from, size_t to) {
  int accepted = 0;
  for (size_t i = from; i < to; ++i) {
    for (int value = 1; value < 256; ++value) {
      bytes[i] = static_cast<uint8_t>(value);
      if (Accepts(bytes, decode)) ++accepted;
    }
    bytes[i] = 0;
  }
  return accepted;
}

// The record with one byte changed.
inline Bytes With(Bytes bytes, size_t at, int value) {
  bytes[at] = static_cast<uint8_t>(value);
  return bytes;
}

inline Bytes With32(Bytes bytes, size_t at, uint32_t value) {
  base::StoreLe32(bytes.data() + at, value);
  return bytes;
}

inline Bytes With64(Bytes bytes, size_t at, uint64_t value) {
  base::StoreLe64(bytes.data() + at, value);
  return bytes;
}

}  // namespace treering::format

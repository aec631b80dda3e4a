// SPDX-License-Identifier: Apache-2.0
// Names that prove whose they are.
//
// What the library deletes it must have made, and a name is all that is left of a dead attempt. So
// an attempt's name ends in a hash over the store's identity, the step and the attempt's random
// bits: nobody gets such a name by accident, and a folder of another store does not pass. Each name
// has one spelling: parsing makes the name again and compares.
#include "format/names.h"

#include <algorithm>
#include <cstring>

#include "codec/hash.h"

namespace treering::format {
namespace {

constexpr size_t kRecordDigits = 20, kStepDigits = 8, kBitsHex = 32, kTagHex = 16;

bool IsDigits(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

// False if the number is not below 2^64.
bool ParseNumber(std::string_view digits, uint64_t* out) {
  if (!IsDigits(digits) || digits.size() > kRecordDigits) return false;
  uint64_t value = 0;
  for (const char c : digits) {
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *out = value;
  return true;
}

std::string Padded(uint64_t number, size_t digits) {
  std::string text = std::to_string(number);
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}

void AppendHex(uint64_t value, int bytes, std::string* out) {
  for (int i = 2 * bytes - 1; i >= 0; --i) *out += "0123456789abcdef"[value >> (4 * i) & 15];
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t Tag(const Uuid& store, int64_t step, const Uuid& bits) {
  uint8_t bytes[40];
  std::memcpy(bytes, store.data(), 16);
  base::StoreLe64(bytes + 16, static_cast<uint64_t>(step));
  std::memcpy(bytes + 24, bits.data(), 16);
  return codec::Hash64(base::ByteSpan(bytes, sizeof(bytes)));
}

}  // namespace

std::string RecordName(uint64_t number) { return Padded(number, kRecordDigits); }

bool ParseRecordName(std::string_view name, uint64_t* number) {
  return name.size() == kRecordDigits && ParseNumber(name, number) && *number != 0;
}

std::string AttemptName(const Uuid& store, int64_t step, const Uuid& bits) {
  std::string name = Padded(static_cast<uint64_t>(step), kStepDigits) + "-";
  for (const uint8_t byte : bits) AppendHex(byte, 1, &name);
  AppendHex(Tag(store, step, bits), 8, &name);
  return name;
}

bool ParseAttemptName(const Uuid& store, std::string_view name, int64_t* step, Uuid* bits) {
  constexpr size_t kEnd = 1 + kBitsHex + kTagHex;
  uint64_t number = 0;
  if (name.size() < kStepDigits + kEnd) return false;
  if (!ParseNumber(name.substr(0, name.size() - kEnd), &number) || number > INT64_MAX) return false;
  const std::string_view hex = name.substr(name.size() - kEnd + 1, kBitsHex);
  Uuid found{};
  for (size_t i = 0; i < found.size(); ++i) {
    const int high = HexDigit(hex[2 * i]), low = HexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    found[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (AttemptName(store, static_cast<int64_t>(number), found) != name) return false;
  *step = static_cast<int64_t>(number);
  *bits = found;
  return true;
}

bool LooksLikeAttempt(std::string_view name) {
  constexpr size_t kHex = kBitsHex + kTagHex;
  if (name.size() < kStepDigits + 1 + kHex) return false;
  const std::string_view step = name.substr(0, name.size() - 1 - kHex);
  const std::string_view hex = name.substr(name.size() - kHex);
  return IsDigits(step) && name[step.size()] == '-' &&
         std::all_of(hex.begin(), hex.end(), [](char c) { return HexDigit(c) >= 0; });
}

std::string TemporaryRecordName(std::string_view attempt_name) {
  return "." + std::string(attempt_name) + ".tmp";
}

bool ParseTemporaryRecordName(const Uuid& store, std::string_view name) {
  constexpr std::string_view kEnd = ".tmp";
  int64_t step = 0;
  Uuid bits{};
  return name.size() > 1 + kEnd.size() && name[0] == '.' &&
         name.substr(name.size() - kEnd.size()) == kEnd &&
         ParseAttemptName(store, name.substr(1, name.size() - 1 - kEnd.size()), &step, &bits);
}

bool IsAttemptFile(std::string_view name) {
  constexpr std::string_view kPart = "part-", kEnd = ".ring";
  if (name == kContainerName || name == "index.ring") return true;
  return name.size() == kPart.size() + 5 + kEnd.size() && name.substr(0, kPart.size()) == kPart &&
         IsDigits(name.substr(kPart.size(), 5)) && name.substr(kPart.size() + 5) == kEnd;
}

}  // namespace treering::format

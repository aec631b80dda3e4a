// SPDX-License-Identifier: Apache-2.0
// WTF-8, integers of any size, hashes of text.
//
// Keys are any text that a host language can hold, Python's lone surrogates included, so what is
// checked is UTF-8 that may encode surrogates; a pair of them must be the one code point it means,
// because otherwise one text would have two spellings and a dict two equal keys. Integers of any
// size are little-endian two's complement and minimal for the same reason. Conversion to decimal
// works on limbs of nine digits, which is quadratic; keys are at most 64 KiB, so that is bounded.
#include "tree/text.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bytes.h"

namespace treering::tree {
namespace {

constexpr uint32_t kBillion = 1000000000;

bool IsTail(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// Two's complement negation of a little-endian number, in place.
void Negate(std::string* bytes) {
  uint32_t carry = 1;
  for (char& c : *bytes) {
    const uint32_t sum = (static_cast<uint8_t>(c) ^ 0xffu) + carry;
    c = static_cast<char>(sum & 0xff);
    carry = sum >> 8;
  }
}

}  // namespace

uint32_t NextCodePoint(std::string_view text, size_t* at) {
  const size_t start = (*at)++;
  const uint32_t first = static_cast<uint8_t>(text[start]);
  if (first < 0x80) return first;
  const uint32_t tails = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  if (first < 0xc2 || first > 0xf4 || text.size() - start <= tails) return UINT32_MAX;
  uint32_t c = first & (0x3fu >> tails);
  for (uint32_t i = 1; i <= tails; ++i) {
    if (!IsTail(text[start + i])) return UINT32_MAX;
    c = c << 6 | (static_cast<uint8_t>(text[start + i]) & 0x3fu);
  }
  if (tails == 2 && c < 0x800) return UINT32_MAX;
  if (tails == 3 && (c < 0x10000 || c > 0x10ffff)) return UINT32_MAX;
  *at = start + tails + 1;
  return c;
}

void AppendCodePoint(uint32_t c, std::string* out) {
  const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

bool IsWtf8(std::string_view text) {
  uint32_t before = 0;
  for (size_t at = 0; at < text.size();) {
    if (text.size() - at >= 8) {
      uint64_t word;
      std::memcpy(&word, text.data() + at, 8);
      if ((word & 0x8080808080808080u) == 0) {
        at += 8;
        before = 0;
        continue;
      }
    }
    const uint32_t c = NextCodePoint(text, &at);
    if (c == UINT32_MAX) return false;
    if (before >= 0xd800 && before < 0xdc00 && c >= 0xdc00 && c < 0xe000) return false;
    before = c;
  }
  return true;
}

uint64_t MinimalIntegerSize(const void* bytes, uint64_t size) {
  const auto* p = static_cast<const uint8_t*>(bytes);
  while (size > 1) {
    const uint8_t sign = (p[size - 2] & 0x80) != 0 ? 0xff : 0;
    if (p[size - 1] != sign) break;
    --size;
  }
  return size;
}

bool FitsInt64(std::string_view minimal, int64_t* value) {
  if (minimal.empty() || minimal.size() > 8) return false;
  uint64_t v = (static_cast<uint8_t>(minimal.back()) & 0x80) != 0 ? UINT64_MAX : 0;
  for (size_t i = minimal.size(); i > 0; --i) v = v << 8 | static_cast<uint8_t>(minimal[i - 1]);
  *value = static_cast<int64_t>(v);
  return true;
}

std::string IntegerToDecimal(std::string_view bytes) {
  std::string magnitude(bytes);
  const bool negative = !magnitude.empty() && (static_cast<uint8_t>(magnitude.back()) & 0x80) != 0;
  if (negative) Negate(&magnitude);
  magnitude.resize((magnitude.size() + 3) / 4 * 4);
  std::vector<uint32_t> limbs(magnitude.size() / 4);
  const auto* p = reinterpret_cast<const uint8_t*>(magnitude.data());
  for (size_t i = 0; i < limbs.size(); ++i) limbs[i] = base::LoadLe32(p + 4 * i);
  std::string digits;  // least significant first
  while (!limbs.empty()) {
    uint64_t rest = 0;
    for (size_t i = limbs.size(); i > 0; --i) {
      const uint64_t value = rest << 32 | limbs[i - 1];
      limbs[i - 1] = static_cast<uint32_t>(value / kBillion);
      rest = value % kBillion;
    }
    while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
    for (int i = 0; i < 9; ++i, rest /= 10) digits.push_back(static_cast<char>('0' + rest % 10));
  }
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
  if (digits.empty()) digits = "0";
  if (negative) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string DecimalToInteger(std::string_view decimal) {
  const bool negative = !decimal.empty() && decimal[0] == '-';
  if (negative) decimal.remove_prefix(1);
  std::vector<uint32_t> limbs;
  for (size_t at = 0; at < decimal.size();) {
    uint64_t carry = 0;
    uint64_t scale = 1;
    for (; at < decimal.size() && scale < kBillion; ++at, scale *= 10) {
      carry = carry * 10 + static_cast<uint64_t>(decimal[at] - '0');
    }
    for (uint32_t& limb : limbs) {
      carry += limb * scale;
      limb = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) limbs.push_back(static_cast<uint32_t>(carry));
  }
  std::string bytes(limbs.size() * 4 + 1, '\0');
  for (size_t i = 0; i < limbs.size(); ++i) {
    base::StoreLe32(reinterpret_cast<uint8_t*>(&bytes[4 * i]), limbs[i]);
  }
  if (negative) Negate(&bytes);
  bytes.resize(static_cast<size_t>(MinimalIntegerSize(bytes.data(), bytes.size())));
  return bytes;
}

uint64_t HashText(std::string_view text, uint64_t seed) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  size_t left = text.size();
  uint64_t h = HashNumber(left, seed);
  for (; left >= 8; left -= 8, p += 8) h = HashNumber(base::LoadLe64(p), h);
  if (left >= 4) {
    h = HashNumber(base::LoadLe32(p), h);
    p += 4;
    left -= 4;
  }
  uint64_t tail = 0;
  for (size_t i = 0; i < left; ++i) tail = tail << 8 | p[i];
  return left == 0 ? h : HashNumber(tail, h);
}

}  // namespace treering::tree

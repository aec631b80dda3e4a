// SPDX-License-Identifier: Apache-2.0
// Text for people: escapes, numbers and sizes.
//
// Names and strings come from files that nobody has checked, and from command lines in any
// encoding. They are printed so that a terminal cannot be steered by them and so that JSON stays
// valid, without losing which name is meant: every escape can be read back.
//
// Invariant: what these functions answer holds no control character other than those asked for.
#include "cli/text.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace treering::cli {

namespace {

constexpr char kHex[] = "0123456789abcdef";

void AppendUnicodeEscape(uint32_t c, std::string* out) {
  if (c >= 0x10000) {
    AppendUnicodeEscape(0xd800 + ((c - 0x10000) >> 10), out);
    c = 0xdc00 + ((c - 0x10000) & 0x3ff);
  }
  out->append("\\u");
  for (int shift = 12; shift >= 0; shift -= 4) out->push_back(kHex[c >> shift & 15]);
}

char ShortEscape(uint32_t c) {
  switch (c) {
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return 0;
  }
}

struct Escaping {
  bool quotes = false;      // escape " and backslash
  bool lines = false;       // let newline and tab through
  bool json_bytes = false;  // a byte that is no text becomes \udcXX, else \xXX
};

void AppendEscaped(std::string_view text, const Escaping& how, std::string* out) {
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = NextCodePoint(text, &at);
    if (c == UINT32_MAX) {
      const auto byte = static_cast<uint8_t>(text[start]);
      if (how.json_bytes) {
        AppendUnicodeEscape(0xdc00u + byte, out);
      } else {
        out->append({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
      }
    } else if (how.quotes && (c == '"' || c == '\\')) {
      out->append({'\\', static_cast<char>(c)});
    } else if (how.lines && (c == '\n' || c == '\t')) {
      out->push_back(static_cast<char>(c));
    } else if (ShortEscape(c) != 0) {
      out->append({'\\', ShortEscape(c)});
    } else if (IsUnprintable(c)) {
      AppendUnicodeEscape(c, out);
    } else {
      out->append(text.substr(start, at - start));
    }
  }
}

bool LooksLikeInteger(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty() || LooksLikeInteger(text)) return true;
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = NextCodePoint(text, &at);
    if (c == UINT32_MAX || IsUnprintable(c)) return true;
    if (c < 0x80 &&
        std::string_view("/\"\\*?[]:").find(static_cast<char>(c)) != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace

uint32_t NextCodePoint(std::string_view text, size_t* at) {
  const auto byte = [&text](size_t i) {
    return static_cast<uint32_t>(static_cast<uint8_t>(text[i]));
  };
  const uint32_t first = byte(*at);
  const size_t start = (*at)++;
  if (first < 0x80) return first;
  if (first < 0xc2 || first > 0xf4) return UINT32_MAX;
  const size_t more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
  uint32_t c = first & (0x3fu >> more);
  if (text.size() - *at < more) return UINT32_MAX;
  for (size_t i = 1; i <= more; ++i) {
    if ((byte(start + i) & 0xc0) != 0x80) return UINT32_MAX;
    c = c << 6 | (byte(start + i) & 0x3f);
  }
  if ((more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10ffff))) return UINT32_MAX;
  *at = start + 1 + more;
  return c;
}

bool IsUnprintable(uint32_t c) {
  if (c < 0x20 || (c >= 0x7f && c <= 0x9f)) return true;
  if (c < 0x600) return c == 0xad;
  return c == 0x61c || c == 0x180e || c == 0x200b || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
         (c >= 0xd800 && c < 0xe000) || (c >= 0xfff9 && c <= 0xfffb) ||
         (c >= 0xe0000 && c <= 0xe007f);
}

std::string Printable(std::string_view text) {
  std::string out;
  AppendEscaped(text, {}, &out);
  return out;
}

std::string PrintableLines(std::string_view text) {
  std::string out;
  AppendEscaped(text, {false, true, false}, &out);
  return out;
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  AppendEscaped(text, {true, false, false}, &out);
  return out + '"';
}

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  AppendEscaped(text, {true, false, true}, out);
  out->push_back('"');
}

std::string DisplayKey(const treering_key& key) {
  const std::string_view text(key.text == nullptr ? "" : key.text, key.text_size);
  if (key.kind == TREERING_KEY_INDEX || key.kind == TREERING_KEY_INT) {
    return std::to_string(key.integer);
  }
  if (key.kind == TREERING_KEY_BIGINT) return Decimal(text);
  if (!NeedsQuotes(text)) return std::string(text);
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

size_t Columns(std::string_view text) {
  size_t columns = 0;
  for (const char c : text) columns += (static_cast<uint8_t>(c) & 0xc0) != 0x80;
  return columns;
}

std::string Size(uint64_t bytes, bool exact) {
  if (exact) return std::to_string(bytes);
  if (bytes < 1024) return std::to_string(bytes) + " B";
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  int unit = 0;
  while (value >= 1023.95 && unit < 5) {
    value /= 1024;
    ++unit;
  }
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), unit >= 2 ? "%.2f %s" : "%.1f %s", value, kUnits[unit]);
  return buffer;
}

std::string Count(uint64_t count) {
  if (count < 10000) return std::to_string(count);
  static constexpr const char* kUnits[] = {"k", "M", "B", "T"};
  double value = static_cast<double>(count) / 1000;
  int unit = 0;
  while (value >= 999.995 && unit < 3) {
    value /= 1000;
    ++unit;
  }
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.2f %s", value, kUnits[unit]);
  return buffer;
}

std::string Plural(uint64_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string Decimal(std::string_view bytes) {
  constexpr uint64_t kBase = 1000000000;
  std::string magnitude(bytes);
  const bool negative = !bytes.empty() && (static_cast<uint8_t>(bytes.back()) & 0x80) != 0;
  uint32_t carry = 1;
  for (size_t i = 0; negative && i < magnitude.size(); ++i) {
    const uint32_t byte =
        (~static_cast<uint32_t>(static_cast<uint8_t>(magnitude[i])) & 0xff) + carry;
    magnitude[i] = static_cast<char>(byte & 0xff);
    carry = byte >> 8;
  }
  std::vector<uint32_t> words((magnitude.size() + 3) / 4, 0);
  for (size_t i = 0; i < magnitude.size(); ++i) {
    words[i / 4] |= static_cast<uint32_t>(static_cast<uint8_t>(magnitude[i])) << (8 * (i % 4));
  }
  std::string digits;  // lowest first
  for (;;) {
    while (!words.empty() && words.back() == 0) words.pop_back();
    if (words.empty()) break;
    uint64_t rest = 0;
    for (size_t i = words.size(); i-- > 0;) {
      rest = rest << 32 | words[i];
      words[i] = static_cast<uint32_t>(rest / kBase);
      rest %= kBase;
    }
    for (int i = 0; i < 9; ++i, rest /= 10) digits.push_back(static_cast<char>('0' + rest % 10));
  }
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
  if (digits.empty()) digits = "0";
  if (negative) digits.push_back('-');
  return std::string(digits.rbegin(), digits.rend());
}

std::string Hex(const void* data, uint64_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  std::string out;
  for (uint64_t i = 0; i < size; ++i) {
    out.push_back(kHex[bytes[i] >> 4]);
    out.push_back(kHex[bytes[i] & 15]);
  }
  return out;
}

}  // namespace treering::cli

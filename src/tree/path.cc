// SPDX-License-Identifier: Apache-2.0
// Display paths, written and read back; nearest names; text made safe to print.
//
// A display path must be readable and yet name every node: so a key is written bare where it cannot
// be misread, and else in JSON quotes. The rules of quoting are frozen with the format. Reading
// is exact as well: what cannot have been written (an empty bare component, a quote in the middle)
// is refused with the byte it stands at, instead of being guessed at. Names may come from a hostile
// file, so the work of comparing them is bounded.
#include "tree/path.h"

#include <algorithm>

#include "tree/text.h"

namespace treering::tree {

using base::Code;
using base::Result;
using base::Status;

namespace {

constexpr char kHex[] = "0123456789abcdef";
// Decimal digits of the longest bigint key, and some.
constexpr size_t kMaxDigits = 157830;
constexpr size_t kMaxCompared = 1024;

bool LooksLikeInteger(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool IsDecimal(std::string_view text) {
  if (!LooksLikeInteger(text) || text == "-0") return false;
  if (text[0] == '-') text.remove_prefix(1);
  return text.size() == 1 || text[0] != '0';
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty() || LooksLikeInteger(text)) return true;
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = NextCodePoint(text, &at);
    if (c == UINT32_MAX || IsControl(c) || IsSurrogate(c)) return true;
    if (c < 0x80 &&
        std::string_view("/\"\\*?[]:").find(static_cast<char>(c)) != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

void AppendUnicodeEscape(uint32_t c, std::string* out) {
  out->append("\\u");
  for (int shift = 12; shift >= 0; shift -= 4) out->push_back(kHex[c >> shift & 15]);
}

// JSON's escapes; what is no UTF-8 at all becomes U+FFFD.
void AppendEscaped(std::string_view text, std::string* out, bool quotes = true) {
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = NextCodePoint(text, &at);
    const size_t place = c < 0x80 ? std::string_view("\"\\\b\f\n\r\t").find(static_cast<char>(c))
                                  : std::string_view::npos;
    if (c == UINT32_MAX) {
      out->append("\xef\xbf\xbd");
    } else if (place != std::string_view::npos && (quotes || place >= 2)) {
      out->push_back('\\');
      out->push_back("\"\\bfnrt"[place]);
    } else if (IsControl(c) || IsSurrogate(c)) {
      AppendUnicodeEscape(c, out);
    } else {
      out->append(text.substr(start, at - start));
    }
  }
}

// Reads a path byte by byte; `at_` is where it is.
class PathReader {
 public:
  explicit PathReader(std::string_view path) : path_(path) {}

  Result<std::vector<Component>> Run() {
    std::vector<Component> components;
    while (!path_.empty()) {
      Component component;
      component.quoted = at_ < path_.size() && path_[at_] == '"';
      TR_RETURN_IF_ERROR(component.quoted ? Quoted(&component) : Bare(&component));
      if (!IsWtf8(component.text)) return Wrong("text that is no UTF-8");
      components.push_back(std::move(component));
      if (at_ == path_.size()) break;
      if (path_[at_] != '/') return Wrong("more text behind a closing quote");
      ++at_;
    }
    return components;
  }

 private:
  Status Wrong(const char* what) const {
    return Status(Code::kInvalidArgument, "path '" + EscapeForTerminal(path_.substr(0, 200)) +
                                              "' has " + what + " at byte " + std::to_string(at_));
  }

  Status Bare(Component* component) {
    const size_t end = std::min(path_.find('/', at_), path_.size());
    const std::string_view text = path_.substr(at_, end - at_);
    if (text.empty()) return Wrong("an empty component (an empty key is written \"\")");
    const size_t quote = text.find('"');
    if (quote != std::string_view::npos) {
      at_ += quote;
      return Wrong("a quote inside a component (quote the whole component, as JSON does)");
    }
    at_ = end;
    component->text = std::string(text);
    if (!IsDecimal(text) || text.size() > kMaxDigits) return Status();
    component->numeric = true;
    component->bigint = DecimalToInteger(text);
    component->fits = FitsInt64(component->bigint, &component->integer);
    if (component->fits) component->bigint.clear();
    return Status();
  }

  Status Quoted(Component* component) {
    const size_t start = at_++;
    for (;;) {
      const size_t end = std::min(path_.find_first_of("\"\\", at_), path_.size());
      component->text.append(path_.substr(at_, end - at_));
      at_ = end;
      if (at_ == path_.size()) {
        at_ = start;
        return Wrong("a quote that is not closed");
      }
      if (path_[at_] == '"') break;
      TR_RETURN_IF_ERROR(Escape(&component->text));
    }
    ++at_;
    return Status();
  }

  Status Escape(std::string* out) {
    const char c = at_ + 1 < path_.size() ? path_[at_ + 1] : '\0';
    if (c == 'u') return UnicodeEscape(out);
    const size_t place = std::string_view("\"\\/bfnrt").find(c);
    if (c == '\0' || place == std::string_view::npos) return Wrong("an unknown escape");
    out->push_back("\"\\/\b\f\n\r\t"[place]);
    at_ += 2;
    return Status();
  }

  bool HexAt(size_t at, uint32_t* out) const {
    if (path_.size() < at + 6 || path_[at] != '\\' || path_[at + 1] != 'u') return false;
    *out = 0;
    for (size_t i = at + 2; i < at + 6; ++i) {
      const char lower = static_cast<char>(path_[i] | 0x20);
      const char digit = path_[i] >= '0' && path_[i] <= '9' ? path_[i] : lower;
      const size_t value = std::string_view(kHex).find(digit);
      if (value == std::string_view::npos) return false;
      *out = *out << 4 | static_cast<uint32_t>(value);
    }
    return true;
  }

  Status UnicodeEscape(std::string* out) {
    uint32_t c = 0;
    if (!HexAt(at_, &c)) return Wrong("a \\u without four hex digits");
    at_ += 6;
    uint32_t low = 0;
    if (c >= 0xd800 && c < 0xdc00 && HexAt(at_, &low) && low >= 0xdc00 && low < 0xe000) {
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
      at_ += 6;
    }
    AppendCodePoint(c, out);
    return Status();
  }

  std::string_view path_;
  size_t at_ = 0;
};

}  // namespace

void AppendDisplayKey(const Key& key, std::string* out) {
  if (key.kind == KeyKind::kIndex || key.kind == KeyKind::kInt) {
    out->append(std::to_string(key.integer));
  } else if (key.kind == KeyKind::kBigInt) {
    out->append(IntegerToDecimal(key.text));
  } else if (NeedsQuotes(key.text)) {
    out->push_back('"');
    AppendEscaped(key.text, out);
    out->push_back('"');
  } else {
    out->append(key.text);
  }
}

std::string DisplayKey(const Key& key) {
  std::string out;
  AppendDisplayKey(key, &out);
  return out;
}

Result<std::vector<Component>> ParsePath(std::string_view path) { return PathReader(path).Run(); }

std::vector<Key> Candidates(const Component& component) {
  std::vector<Key> keys;
  if (component.numeric && component.fits) {
    keys.push_back(Key::Int(component.integer));
    keys.push_back(Key::Index(component.integer));
  } else if (component.numeric) {
    keys.push_back({KeyKind::kBigInt, 0, component.bigint});
  }
  keys.push_back(Key::String(component.text));
  return keys;
}

uint32_t EditDistance(std::string_view a, std::string_view b, uint32_t limit) {
  while (!a.empty() && !b.empty() && a.front() == b.front()) {
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  while (!a.empty() && !b.empty() && a.back() == b.back()) {
    a.remove_suffix(1);
    b.remove_suffix(1);
  }
  if (a.size() > b.size()) std::swap(a, b);
  const uint32_t over = limit + 1;
  if (b.size() - a.size() > limit) return over;
  std::vector<uint32_t> row(b.size() + 1, over);
  for (size_t j = 0; j <= std::min<size_t>(b.size(), limit); ++j) row[j] = static_cast<uint32_t>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    const size_t from = i > limit ? i - limit : 1;
    const size_t to = std::min<size_t>(b.size(), i + limit);
    uint32_t diagonal = row[from - 1];
    row[from - 1] = from == 1 ? static_cast<uint32_t>(std::min<size_t>(i, over)) : over;
    uint32_t best = row[from - 1];
    for (size_t j = from; j <= to; ++j) {
      const uint32_t above = row[j];
      const uint32_t cost = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({cost, above + 1, row[j - 1] + 1, over});
      diagonal = above;
      best = std::min(best, row[j]);
    }
    if (best == over) return over;
  }
  return std::min(row[b.size()], over);
}

int64_t Nearest(std::string_view name, const std::vector<std::string>& names) {
  if (name.size() < 2 || name.size() > kMaxCompared) return -1;
  uint32_t limit = std::min<uint32_t>(static_cast<uint32_t>((name.size() + 2) / 3), 32);
  int64_t nearest = -1;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].size() > kMaxCompared) continue;
    const uint32_t distance = EditDistance(name, names[i], limit);
    if (distance > limit || distance >= std::max<size_t>(names[i].size(), 2)) continue;
    nearest = static_cast<int64_t>(i);
    if (distance == 0) break;
    limit = distance - 1;
  }
  return nearest;
}

std::string EscapeUnprintable(std::string_view text) {
  std::string out;
  AppendEscaped(text, &out, false);
  return out;
}

std::string EscapeForTerminal(std::string_view text) {
  std::string out;
  AppendEscaped(text, &out);
  return out;
}

}  // namespace treering::tree

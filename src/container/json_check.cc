// SPDX-License-Identifier: Apache-2.0
// Whether a text is JSON: RFC 8259, strictly, and UTF-8.
//
// Metadata and JSON items are promised to be readable by any JSON parser, so they are checked when
// they are written. One pass, no recursion: what is open is a stack of bits, at most 128, and the
// state says what may come next. Values are not looked at; equal keys in an object are allowed, as
// the RFC has it. A byte order mark is refused.
#include <array>

#include "container/writer.h"
#include "tree/text.h"

namespace treering::container {
namespace {

constexpr size_t kMaxJsonDepth = 128;

class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : text_(text) {}
  bool Run();
  size_t at() const { return at_; }
  bool too_deep() const { return too_deep_; }

 private:
  enum class Next { kValue, kValueOrEnd, kKey, kKeyOrEnd, kCommaOrEnd };

  bool Step();
  bool Open(bool object);
  bool Close(char c);
  bool Value(char c);
  bool Key();
  bool Scalar(char c);
  bool String();
  bool Escape();
  bool Number();
  bool Digits();
  bool Word(std::string_view word);
  void SkipSpace();
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::array<bool, kMaxJsonDepth> is_object_{};
  size_t depth_ = 0;
  bool too_deep_ = false;
  Next next_ = Next::kValue;
};

bool JsonScanner::Run() {
  for (;;) {
    SkipSpace();
    if (depth_ == 0 && next_ == Next::kCommaOrEnd) return at_ == text_.size();
    if (at_ == text_.size() || !Step()) return false;
  }
}

bool JsonScanner::Step() {
  const char c = text_[at_];
  const bool may_end = next_ != Next::kValue && next_ != Next::kKey;
  if (may_end && (c == ']' || c == '}')) return Close(c);
  switch (next_) {
    case Next::kValue:
    case Next::kValueOrEnd:
      return Value(c);
    case Next::kKey:
    case Next::kKeyOrEnd:
      return Key();
    case Next::kCommaOrEnd:
      if (!Take(',')) return false;
      next_ = is_object_[depth_ - 1] ? Next::kKey : Next::kValue;
      return true;
  }
  return false;
}

bool JsonScanner::Open(bool object) {
  too_deep_ = depth_ == kMaxJsonDepth;
  if (too_deep_) return false;
  is_object_[depth_++] = object;
  ++at_;
  next_ = object ? Next::kKeyOrEnd : Next::kValueOrEnd;
  return true;
}

bool JsonScanner::Close(char c) {
  if (is_object_[depth_ - 1] != (c == '}')) return false;
  --depth_;
  ++at_;
  next_ = Next::kCommaOrEnd;
  return true;
}

bool JsonScanner::Value(char c) {
  if (c == '{' || c == '[') return Open(c == '{');
  next_ = Next::kCommaOrEnd;
  return Scalar(c);
}

bool JsonScanner::Key() {
  if (!String()) return false;
  SkipSpace();
  next_ = Next::kValue;
  return Take(':');
}

bool JsonScanner::Scalar(char c) {
  if (c == '"') return String();
  if (c == 't') return Word("true");
  if (c == 'f') return Word("false");
  if (c == 'n') return Word("null");
  return Number();
}

bool JsonScanner::Word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

bool JsonScanner::String() {
  if (!Take('"')) return false;
  while (at_ < text_.size()) {
    const auto byte = static_cast<unsigned char>(text_[at_]);
    if (byte == '"') return Take('"');
    if (byte < 0x20) return false;
    if (byte == '\\') {
      if (!Escape()) return false;
    } else if (byte < 0x80) {
      ++at_;
    } else {
      size_t after = at_;
      const uint32_t c = tree::NextCodePoint(text_, &after);
      if (c == UINT32_MAX || tree::IsSurrogate(c)) return false;
      at_ = after;
    }
  }
  return false;
}

bool JsonScanner::Escape() {
  ++at_;
  if (at_ == text_.size()) return false;
  const char c = text_[at_];
  if (c != 'u') {
    if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) return false;
    ++at_;
    return true;
  }
  ++at_;
  for (int i = 0; i < 4; ++i, ++at_) {
    if (at_ == text_.size()) return false;
    const char h = text_[at_];
    if (!((h >= '0' && h <= '9') || (h >= 'a' && h <= 'f') || (h >= 'A' && h <= 'F'))) return false;
  }
  return true;
}

bool JsonScanner::Digits() {
  const size_t begin = at_;
  while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
  return at_ != begin;
}

bool JsonScanner::Number() {
  Take('-');
  if (!Take('0') && !Digits()) return false;
  if (Take('.') && !Digits()) return false;
  if (Take('e') || Take('E')) {
    if (!Take('+')) Take('-');
    return Digits();
  }
  return true;
}

void JsonScanner::SkipSpace() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
    ++at_;
  }
}

}  // namespace

bool IsJson(std::string_view text, uint64_t* error_offset, bool* too_deep) {
  JsonScanner scanner(text);
  if (scanner.Run()) return true;
  *error_offset = scanner.at();
  if (too_deep != nullptr) *too_deep = scanner.too_deep();
  return false;
}

}  // namespace treering::container

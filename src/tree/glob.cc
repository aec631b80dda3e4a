// SPDX-License-Identifier: Apache-2.0
// Globs over display paths, in time linear in pattern times path.
//
// `**` stands for any number of components and `*` for any run of characters within one. Both
// levels use the same idea: walk greedily and remember only the last star; when something later
// does not fit, let that star take one more. Earlier stars never need another try, so there is no
// backtracking explosion whatever the pattern. Characters are code points. A component of the
// pattern in JSON quotes is compared literally, in its canonical spelling.
#include "tree/glob.h"

#include <algorithm>

#include "tree/path.h"
#include "tree/text.h"

namespace treering::tree {

using base::Code;
using base::Result;
using base::Status;

namespace {

// Where the set that starts at pattern[at] == '[' ends (behind its ']'); npos if it does not.
size_t SetEnd(std::string_view pattern, size_t at) {
  size_t end = at + 1;
  if (end < pattern.size() && pattern[end] == '!') ++end;
  if (end < pattern.size() && pattern[end] == ']') ++end;  // a ] in front is meant literally
  end = pattern.find(']', end);
  return end == std::string_view::npos ? end : end + 1;
}

// `body` is what stands between the brackets.
bool InSet(std::string_view body, uint32_t c) {
  const bool negated = !body.empty() && body[0] == '!';
  if (negated) body.remove_prefix(1);
  bool found = false;
  for (size_t at = 0; at < body.size();) {
    const uint32_t low = NextCodePoint(body, &at);
    uint32_t high = low;
    if (at + 1 < body.size() && body[at] == '-') {
      ++at;
      high = NextCodePoint(body, &at);
    }
    found = found || (c >= low && c <= high);
  }
  return found != negated;
}

// Matches one character of `text` against the unit of the pattern at *p, which is no star.
bool MatchUnit(std::string_view pattern, size_t* p, std::string_view text, size_t* t) {
  const uint32_t c = NextCodePoint(text, t);
  if (pattern[*p] == '[') {
    const size_t end = SetEnd(pattern, *p);
    const std::string_view body = pattern.substr(*p + 1, end - *p - 2);
    *p = end;
    return InSet(body, c);
  }
  const bool any = pattern[*p] == '?';
  return NextCodePoint(pattern, p) == c || any;
}

bool MatchComponent(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;  // behind the last star
  size_t resume = 0;                     // where in the text it ends for now
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      resume = t;
      continue;
    }
    size_t next_p = p;
    size_t next_t = t;
    if (p < pattern.size() && MatchUnit(pattern, &next_p, text, &next_t)) {
      p = next_p;
      t = next_t;
      continue;
    }
    if (star == std::string_view::npos) return false;
    NextCodePoint(text, &resume);
    p = star;
    t = resume;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// The end of the quoted component that starts at `at`; npos if its quote is not closed.
size_t QuoteEnd(std::string_view pattern, size_t at) {
  for (size_t i = at + 1; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

Status Wrong(std::string_view pattern, const char* what, size_t at) {
  return Status(Code::kInvalidArgument, "pattern '" + EscapeForTerminal(pattern.substr(0, 200)) +
                                            "' has " + what + " at byte " + std::to_string(at));
}

}  // namespace

Result<Glob> Glob::Compile(std::string_view pattern) {
  Glob glob;
  if (!IsWtf8(pattern)) return Wrong(pattern, "text that is no UTF-8", 0);
  for (size_t at = 0; at < pattern.size();) {
    Part part;
    size_t end = 0;
    if (pattern[at] == '"') {
      end = QuoteEnd(pattern, at);
      if (end == std::string_view::npos) return Wrong(pattern, "a quote that is not closed", at);
      TR_ASSIGN_OR_RETURN(const std::vector<Component> parsed,
                          ParsePath(pattern.substr(at, end - at)));
      part.literal = true;
      part.pattern = DisplayKey(Key::String(parsed[0].text));
    } else {
      end = std::min(pattern.find('/', at), pattern.size());
      part.pattern = std::string(pattern.substr(at, end - at));
      part.any_depth = part.pattern == "**";
      for (size_t i = 0; i < part.pattern.size(); ++i) {
        if (part.pattern[i] != '[') continue;
        const size_t set_end = SetEnd(part.pattern, i);
        if (set_end == std::string_view::npos) {
          return Wrong(pattern, "a set that is not closed", at + i);
        }
        i = set_end - 1;
      }
      if (part.pattern.empty()) return Wrong(pattern, "an empty component", at);
    }
    if (end < pattern.size() && pattern[end] != '/') {
      return Wrong(pattern, "more text behind a closing quote", end);
    }
    if (end + 1 == pattern.size()) return Wrong(pattern, "an empty component", end + 1);
    glob.parts_.push_back(std::move(part));
    at = end + 1;
  }
  return glob;
}

bool Glob::Matches(const std::vector<std::string>& components) const {
  const auto fits = [](const Part& part, const std::string& component) {
    return part.literal ? part.pattern == component : MatchComponent(part.pattern, component);
  };
  size_t p = 0;
  size_t c = 0;
  size_t star = SIZE_MAX;  // behind the last `**`
  size_t resume = 0;
  while (c < components.size()) {
    if (p < parts_.size() && parts_[p].any_depth) {
      star = ++p;
      resume = c;
    } else if (p < parts_.size() && fits(parts_[p], components[c])) {
      ++p;
      ++c;
    } else if (star != SIZE_MAX) {
      p = star;
      c = ++resume;
    } else {
      return false;
    }
  }
  while (p < parts_.size() && parts_[p].any_depth) ++p;
  return p == parts_.size();
}

}  // namespace treering::tree

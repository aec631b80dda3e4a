// SPDX-License-Identifier: Apache-2.0
// Path globs as a small automaton.
//
// A million paths against a pattern must not cost a million strings. Bit i of a state says that the
// first i parts of the pattern may have been used up; a component moves bits on, `**` keeps its
// bit and passes it on for free. Within a component only the last star is ever tried again, so
// that no pattern takes more than pattern times text.
#include "cli/pattern.h"

#include <algorithm>

#include "cli/text.h"

namespace treering::cli {

namespace {

constexpr size_t kMostParts = 62;

// Behind the ']' of the set that starts at `at`; npos where it is not closed.
size_t SetEnd(std::string_view pattern, size_t at) {
  size_t end = at + 1;
  if (end < pattern.size() && pattern[end] == '!') ++end;
  if (end < pattern.size() && pattern[end] == ']') ++end;
  end = pattern.find(']', end);
  return end == std::string_view::npos ? end : end + 1;
}

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

// One character of `text` against what stands at *p, which is no star.
bool MatchOne(std::string_view pattern, size_t* p, std::string_view text, size_t* t) {
  const uint32_t c = NextCodePoint(text, t);
  if (pattern[*p] == '[') {
    const size_t begin = *p + 1;
    *p = SetEnd(pattern, *p);
    return InSet(pattern.substr(begin, *p - begin - 1), c);
  }
  const bool any = pattern[*p] == '?';
  return NextCodePoint(pattern, p) == c || any;
}

bool MatchComponent(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      resume = t;
      continue;
    }
    size_t next_p = p;
    size_t next_t = t;
    if (p < pattern.size() && MatchOne(pattern, &next_p, text, &next_t)) {
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

// Behind the closing quote of the component at `at`; npos where it is not closed.
size_t QuoteEnd(std::string_view text, size_t at) {
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

Outcome Wrong(std::string_view text, const char* what) {
  return Usage("path '" + std::string(text.substr(0, 200)) + "' has " + what);
}

bool SetsClosed(std::string_view part) {
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '[') continue;
    const size_t end = SetEnd(part, i);
    if (end == std::string_view::npos) return false;
    i = end - 1;
  }
  return true;
}

}  // namespace

bool Pattern::IsGlob(std::string_view path) {
  bool quoted = false;
  for (size_t i = 0; i < path.size(); ++i) {
    if (quoted && path[i] == '\\') {
      ++i;
    } else if (path[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && std::string_view("*?[").find(path[i]) != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

Outcome Pattern::Parse(std::string_view text) {
  parts_.clear();
  for (size_t at = 0; at < text.size();) {
    const bool quoted = text[at] == '"';
    const size_t end = quoted ? QuoteEnd(text, at) : std::min(text.find('/', at), text.size());
    if (end == std::string_view::npos) return Wrong(text, "a quote that is not closed");
    Part part;
    part.text = std::string(text.substr(at, end - at));
    part.literal = quoted;
    part.any_depth = part.text == "**";
    if (part.text.empty()) return Wrong(text, "an empty component (an empty key is written \"\")");
    if (!quoted && !SetsClosed(part.text)) return Wrong(text, "a set that is not closed");
    if (end < text.size() && text[end] != '/') return Wrong(text, "more text behind a quote");
    if (end + 1 == text.size()) return Wrong(text, "an empty component at its end");
    if (parts_.size() == kMostParts) return Wrong(text, "more than 62 components");
    parts_.push_back(std::move(part));
    at = end + 1;
  }
  return {};
}

Pattern::State Pattern::Closure(State state) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].any_depth && (state >> i & 1) != 0) state |= State{1} << (i + 1);
  }
  return state;
}

Pattern::State Pattern::Step(State state, std::string_view component) const {
  State next = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    if ((state >> i & 1) == 0) continue;
    if (parts_[i].any_depth) {
      next |= State{1} << i;
    } else if (parts_[i].literal ? parts_[i].text == component
                                 : MatchComponent(parts_[i].text, component)) {
      next |= State{1} << (i + 1);
    }
  }
  return Closure(next);
}

}  // namespace treering::cli

// SPDX-License-Identifier: Apache-2.0
// Takes FILE[:[ITEM:]PATH][BOX] and DIR@VERSION[:…] apart.
//
// Colons and @ may stand in file names, in keys and in boxes, and brackets in globs and in boxes.
// Files that exist decide about the first; display paths quote keys with colons, so that an open
// colon parts the item from the path; and brackets are a box if they end the word, stand directly
// behind a name and hold nothing but what boxes are made of. Numbers are bounded while they are
// read.
#include "cli/address.h"

#include <sys/stat.h>
#include <treering/treering.h>

#include <algorithm>

namespace treering::cli {

namespace {

bool Exists(const std::string& file) {
  struct stat info;
  return ::stat(file.c_str(), &info) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// True if `word` is a directory and a version; then *address gets them.
bool TakeVersion(const std::string& word, Address* address) {
  const size_t at = word.rfind('@');
  int64_t step = 0;
  if (at == std::string::npos || at == 0 || !ParseVersion(word.substr(at + 1), &step)) return false;
  if (!IsDirectory(word.substr(0, at))) return false;
  address->file = word.substr(0, at);
  address->version = word.substr(at + 1);
  return true;
}

bool ReadNumber(std::string_view* text, int64_t* out) {
  const bool negative = !text->empty() && text->front() == '-';
  if (negative) text->remove_prefix(1);
  int64_t value = 0;
  size_t digits = 0;
  while (digits < text->size() && (*text)[digits] >= '0' && (*text)[digits] <= '9') {
    if (value > (INT64_MAX - 9) / 10) return false;
    value = value * 10 + ((*text)[digits++] - '0');
  }
  text->remove_prefix(digits);
  *out = negative ? -value : value;
  return digits != 0;
}

// "3", "-1", "2:5", ":", … without blanks. False where it is no range; *steps: where it has a step.
bool ReadAxis(std::string_view text, AxisRange* out, bool* steps) {
  const auto at_number = [&text] { return !text.empty() && text.front() != ':'; };
  if (text.empty()) return false;
  if (at_number()) {
    if (!ReadNumber(&text, &out->begin)) return false;
    out->has_begin = true;
  }
  if (text.empty()) {
    out->index = true;
    return true;
  }
  if (text.front() != ':') return false;
  text.remove_prefix(1);
  if (at_number()) {
    if (!ReadNumber(&text, &out->end)) return false;
    out->has_end = true;
  }
  if (!text.empty() && text.front() == ':') {
    text.remove_prefix(1);
    int64_t step = 1;
    if (at_number() && !ReadNumber(&text, &step)) return false;
    *steps = step != 1;
  }
  return text.empty();
}

// A position as NumPy reads it: from the end if negative, clamped.
uint64_t Clamp(int64_t position, uint64_t size) {
  if (position >= 0) return std::min(static_cast<uint64_t>(position), size);
  const uint64_t back = static_cast<uint64_t>(-position);
  return back > size ? 0 : size - back;
}

std::string ShapeText(const std::vector<uint64_t>& shape) {
  std::string text;
  for (const uint64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

}  // namespace

Address ParseAddress(const std::string& word) {
  Address address;
  address.file = word;
  if (Exists(word)) return address;
  size_t colon = word.rfind(':');
  while (colon != std::string::npos && colon != 0 && !Exists(word.substr(0, colon))) {
    colon = word.rfind(':', colon - 1);
  }
  if (colon == std::string::npos || colon == 0) {
    if (TakeVersion(word, &address)) return address;
    colon = word.rfind(':');
    while (colon != std::string::npos && colon != 0 &&
           !TakeVersion(word.substr(0, colon), &address)) {
      colon = word.rfind(':', colon - 1);
    }
  }
  if (colon == std::string::npos || colon == 0) colon = word.find(':', 1);
  if (colon == std::string::npos) return address;
  if (address.version.empty()) address.file = word.substr(0, colon);
  address.path = word.substr(colon + 1);
  address.path_given = true;
  return address;
}

bool ParseVersion(std::string_view text, int64_t* out) {
  if (text == "latest" || text == "best") {
    *out = text == "best" ? TREERING_BEST : TREERING_LATEST;
    return true;
  }
  if (text.empty()) return false;
  int64_t step = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || step > (INT64_MAX - (c - '0')) / 10) return false;
    step = step * 10 + (c - '0');
  }
  *out = step;
  return true;
}

bool SplitItem(std::string_view path, std::string* item, std::string* rest) {
  bool quoted = false;
  for (size_t i = 0; i < path.size(); ++i) {
    if (quoted && path[i] == '\\') {
      ++i;
    } else if (path[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && path[i] == '[') {
      return false;
    } else if (!quoted && path[i] == ':') {
      *item = std::string(path.substr(0, i));
      *rest = std::string(path.substr(i + 1));
      return true;
    }
  }
  return false;
}

Outcome SplitBox(std::string* path, bool* found, std::vector<AxisRange>* box) {
  *found = false;
  box->clear();
  if (path->empty() || path->back() != ']') return {};
  const size_t open = path->rfind('[');
  if (open == std::string::npos || (open != 0 && (*path)[open - 1] == '/')) return {};
  std::string body = path->substr(open + 1, path->size() - open - 2);
  if (body.find_first_not_of("0123456789:,- ") != std::string::npos) return {};
  body.erase(std::remove(body.begin(), body.end(), ' '), body.end());
  bool steps = false;
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find(',', at), body.size());
    AxisRange range;
    bool step = false;
    if (!ReadAxis(std::string_view(body).substr(at, end - at), &range, &step)) return {};
    steps = steps || step;
    box->push_back(range);
    at = end + 1;
  }
  if (steps) return Usage("box " + path->substr(open) + " has a step; only step 1 is possible");
  *found = true;
  path->resize(open);
  return {};
}

Outcome Resolve(const std::vector<AxisRange>& ranges, const std::vector<uint64_t>& shape,
                Box* out) {
  if (ranges.size() > shape.size()) {
    return Usage("the box has " + std::to_string(ranges.size()) + " axes, the leaf has shape " +
                 ShapeText(shape));
  }
  out->origin.assign(shape.size(), 0);
  out->extent = shape;
  out->dropped.assign(shape.size(), false);
  for (size_t axis = 0; axis < ranges.size(); ++axis) {
    const AxisRange& range = ranges[axis];
    const uint64_t size = shape[axis];
    if (range.index) {
      const uint64_t back = static_cast<uint64_t>(range.begin < 0 ? -range.begin : range.begin);
      if (range.begin < 0 ? back > size : back >= size) {
        return {kDifferent, "index " + std::to_string(range.begin) + " is outside axis " +
                                std::to_string(axis) + " of shape " + ShapeText(shape)};
      }
      out->origin[axis] = range.begin < 0 ? size - back : back;
      out->extent[axis] = 1;
      out->dropped[axis] = true;
      continue;
    }
    const uint64_t begin = range.has_begin ? Clamp(range.begin, size) : 0;
    const uint64_t end = range.has_end ? Clamp(range.end, size) : size;
    out->origin[axis] = begin;
    out->extent[axis] = end > begin ? end - begin : 0;
  }
  return {};
}

}  // namespace treering::cli

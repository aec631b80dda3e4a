// SPDX-License-Identifier: Apache-2.0
// Reports: findings in groups, for a person to read.
//
// The error that people see most is a checkpoint that does not fit their model, and what helps is
// the whole picture: what is missing, what is only in the checkpoint, what differs, and which names
// are nearly the same. So findings are shown in groups of at most 20 lines, with the next step at
// the end. Looking for near names compares at most 100 paths with 1000 others: a report about a
// million leaves must not take minutes. Paths are escaped, since they may come from a hostile file.
#include "tree/report.h"

#include <algorithm>
#include <array>

#include "tree/path.h"

namespace treering::tree {
namespace {

constexpr size_t kLines = 20;
constexpr size_t kAsked = 100;
constexpr size_t kCompared = 1000;

struct Group {
  FindingKind first, last;
  const char* title;
  const char* expected;  // word in front of what was expected and found
  const char* found;
};

constexpr Group kGroups[] = {
    {FindingKind::kMissing, FindingKind::kMissing, "missing", "wanted ", "has "},
    {FindingKind::kUnexpected, FindingKind::kUnexpected, "unexpected", "wanted ", "has "},
    {FindingKind::kDifferentKind, FindingKind::kDifferentAttributes, "different", "wanted ",
     "has "},
    {FindingKind::kDamaged, FindingKind::kDamaged, "damaged", "wanted ", "found "},
    {FindingKind::kInvalid, FindingKind::kInvalid, "invalid", "wanted ", "found "},
    {FindingKind::kUnreadable, FindingKind::kUnreadable, "unreadable", "needs ", "found "},
    {FindingKind::kSkippedVersion, FindingKind::kSkippedVersion, "passed over", "wanted ", ""},
    {FindingKind::kBadRecord, FindingKind::kBadRecord, "unusable records", "wanted ", ""},
    {FindingKind::kLeftover, FindingKind::kLeftover, "left over", "wanted ", ""},
    {FindingKind::kUnknownName, FindingKind::kUnknownName, "unknown names", "wanted ", ""},
};

bool In(const Group& group, const Finding& finding) {
  return finding.kind >= group.first && finding.kind <= group.last;
}

const char* Aspect(FindingKind kind) {
  if (kind == FindingKind::kDifferentValue) return "value differs";
  if (kind == FindingKind::kDifferentAttributes) return "attributes differ";
  return "";
}

std::string Shown(const std::string& path) {
  return path.empty() ? "(root)" : EscapeUnprintable(path);
}

void AppendLine(const Group& group, const Finding& finding, size_t width, std::string* out) {
  std::string line = Shown(finding.path);
  const auto part = [&line](const std::string& text) {
    if (!text.empty()) line += "  " + text;
  };
  if (line.size() < width) line.append(width - line.size(), ' ');
  if (!finding.expected.empty()) part(group.expected + EscapeUnprintable(finding.expected));
  if (!finding.found.empty()) part(group.found + EscapeUnprintable(finding.found));
  part(Aspect(finding.kind));
  if (finding.offset != base::Status::kNoOffset) {
    part("at byte " + std::to_string(finding.offset));
  }
  if (!finding.nearest.empty()) part("did you mean " + Shown(finding.nearest) + "?");
  line.erase(line.find_last_not_of(' ') + 1);
  *out += "    " + line + "\n";
}

void AppendGroup(const Group& group, const std::vector<Finding>& findings, std::string* out) {
  std::vector<const Finding*> members;
  uint64_t count = 0;
  for (const Finding& finding : findings) {
    if (!In(group, finding)) continue;
    ++count;
    if (members.size() < kLines) members.push_back(&finding);
  }
  if (count == 0) return;
  if (count > kLines) members.pop_back();  // the last line says how many more
  size_t width = 0;
  for (const Finding* f : members) width = std::max(width, std::min<size_t>(f->path.size(), 60));
  *out += std::string("  ") + group.title + " (" + std::to_string(count) + "):\n";
  for (const Finding* finding : members) AppendLine(group, *finding, width, out);
  if (count > members.size()) {
    *out += "    and " + std::to_string(count - members.size()) + " more\n";
  }
}

constexpr const char* kDone[] = {"cast", "padded",  "truncated", "renamed",
                                 "kept", "skipped", "restored"};

void AppendCounts(const std::vector<Finding>& findings, std::string* out) {
  std::array<uint64_t, 7> counts{};
  for (const Finding& finding : findings) {
    const auto at = static_cast<size_t>(finding.kind) - static_cast<size_t>(FindingKind::kCast);
    if (at < counts.size()) ++counts[at];
  }
  std::string line;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    line += (line.empty() ? "  " : ", ") + std::to_string(counts[i]) + " " + kDone[i];
  }
  if (!line.empty()) *out += line + "\n";
}

struct Seen {
  bool missing = false, unexpected = false, kind = false, dtype = false, shape = false;
  bool broken = false, unreadable = false;
};

Seen Look(const std::vector<Finding>& findings) {
  Seen seen;
  for (const Finding& f : findings) {
    seen.missing |= f.kind == FindingKind::kMissing;
    seen.unexpected |= f.kind == FindingKind::kUnexpected;
    seen.kind |= f.kind == FindingKind::kDifferentKind;
    seen.dtype |= f.kind == FindingKind::kDifferentDtype;
    seen.shape |= f.kind == FindingKind::kDifferentShape;
    seen.broken |= f.kind == FindingKind::kDamaged || f.kind == FindingKind::kInvalid;
    seen.unreadable |= f.kind == FindingKind::kUnreadable;
  }
  return seen;
}

std::string Advice(const std::vector<Finding>& findings) {
  const Seen seen = Look(findings);
  std::string advice;
  const auto add = [&advice](bool when, const char* text) {
    if (when) advice += (advice.empty() ? "" : " ") + std::string(text);
  };
  add(seen.missing, "To keep the target's value of missing leaves: allow_missing.");
  add(seen.missing && seen.unexpected, "If names changed: give renames.");
  add(seen.unexpected, "To ignore leaves the target lacks: allow_unexpected.");
  add(seen.kind, "If only containers differ in kind: ignore_kinds.");
  add(seen.dtype, "To convert dtypes: cast.");
  add(seen.shape, "To cut or pad shapes: pad_or_truncate.");
  add(seen.broken, "The other leaves can be read; take what is damaged from another checkpoint.");
  add(seen.unreadable, "Put the files that are named back in place, or use a newer version.");
  return advice;
}

std::vector<std::string> PathsOf(const std::vector<Finding>& findings, FindingKind kind) {
  std::vector<std::string> paths;
  for (const Finding& f : findings) {
    if (f.kind == kind && paths.size() < kCompared) paths.push_back(f.path);
  }
  return paths;
}

}  // namespace

uint64_t Report::differences() const {
  return static_cast<uint64_t>(
      std::count_if(findings_.begin(), findings_.end(), [](const Finding& f) {
        return f.kind >= FindingKind::kMissing && f.kind <= FindingKind::kDifferentAttributes;
      }));
}

void Report::FindNearest() {
  const auto missing = PathsOf(findings_, FindingKind::kMissing);
  const auto unexpected = PathsOf(findings_, FindingKind::kUnexpected);
  size_t asked[2] = {0, 0};
  for (Finding& f : findings_) {
    const bool is_missing = f.kind == FindingKind::kMissing;
    if ((!is_missing && f.kind != FindingKind::kUnexpected) || !f.nearest.empty()) continue;
    if (++asked[is_missing ? 0 : 1] > kAsked) continue;
    const auto& names = is_missing ? unexpected : missing;
    const int64_t nearest = Nearest(f.path, names);
    if (nearest >= 0) f.nearest = names[static_cast<size_t>(nearest)];
  }
}

void Report::Finish() {
  text_.clear();
  for (const Group& group : kGroups) AppendGroup(group, findings_, &text_);
  AppendCounts(findings_, &text_);
  const std::string advice = Advice(findings_);
  if (!advice.empty()) text_ += advice + "\n";
}

std::string Report::Summary() const {
  std::string line;
  for (const Group& group : kGroups) {
    uint64_t count = 0;
    const Finding* first = nullptr;
    for (const Finding& f : findings_) {
      if (!In(group, f)) continue;
      if (count++ == 0) first = &f;
    }
    if (count == 0) continue;
    line += (line.empty() ? "" : ", ") + std::to_string(count) + " " + group.title;
    line += " (" + std::string(count > 1 ? "first: " : "") + Shown(first->path);
    if (!first->expected.empty())
      line += " " + (group.expected + EscapeUnprintable(first->expected));
    if (!first->found.empty()) line += " " + (group.found + EscapeUnprintable(first->found));
    line += ")";
  }
  std::string advice = Advice(findings_);
  if (line.empty()) return "no differences";
  if (!advice.empty()) {
    advice.pop_back();
    line += "; " + advice;
  }
  return line;
}

}  // namespace treering::tree

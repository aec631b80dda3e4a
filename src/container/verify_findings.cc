// SPDX-License-Identifier: Apache-2.0
// Findings of a verification: from what went wrong to what a person can act on.
//
// A damaged block of the index makes hundreds of records unreadable, and a damaged chunk every leaf
// in it. The first is told once, the second for each leaf, because leaves are what people know. So
// a node has at most one finding, and findings are bounded by the number of records.
//
// Paths come from the index that may itself be damaged: where a path cannot be read the node's
// number stands for it. Failures of the machine (memory, cancellation) are no findings.
#include "container/verify_findings.h"

#include <algorithm>
#include <utility>

#include "tree/path.h"

namespace treering::container {

using base::Code;
using base::Status;
using tree::FindingKind;

namespace {

constexpr int kUnsupportedClass = 48;
constexpr int kCorruptClass = 40;
constexpr int kNotFoundClass = 16;
constexpr int kIoClass = 80;
constexpr int kLimitClass = 56;

// Greater is worse.
int Severity(Code code) {
  switch (base::ClassOf(code)) {
    case kCorruptClass:
      return 5;
    case kIoClass:
      return 4;
    case kNotFoundClass:
      return 3;
    case kUnsupportedClass:
      return 2;
    case kLimitClass:
      return 1;
    default:
      return 0;
  }
}

std::string Count(uint64_t n, const char* what) { return std::to_string(n) + " " + what; }

}  // namespace

bool IsAbort(Code code) { return code != Code::kOk && Severity(code) == 0; }

FindingKind KindOf(Code code) {
  if (code == Code::kCorruptStructure) return FindingKind::kInvalid;
  return base::ClassOf(code) == kCorruptClass ? FindingKind::kDamaged : FindingKind::kUnreadable;
}

void Findings::Add(FindingKind kind, Code code, std::string path, std::string expected,
                   std::string found, uint64_t offset) {
  tree::Finding finding;
  finding.kind = kind;
  finding.code = code;
  finding.path = std::move(path);
  finding.expected = std::move(expected);
  finding.found = std::move(found);
  finding.offset = offset;
  report_->Add(std::move(finding));
  if (kind == FindingKind::kDamaged) ++damaged_;
  if (kind == FindingKind::kInvalid) ++invalid_;
  if (kind == FindingKind::kUnreadable) ++unreadable_;
  if (Severity(code) > Severity(worst_)) {
    worst_ = code;
    worst_offset_ = offset;
  }
}

void Findings::Invalid(std::string path, std::string expected, std::string found, uint64_t offset) {
  Add(FindingKind::kInvalid, Code::kCorruptStructure, std::move(path), std::move(expected),
      std::move(found), offset);
}

void Findings::Node(uint32_t id, FindingKind kind, Code code, std::string expected,
                    std::string found, uint64_t offset) {
  if (!nodes_.emplace(id, report_->findings().size()).second) return;
  Add(kind, code, PathOf(id), std::move(expected), std::move(found), offset);
}

void Findings::Alias(uint32_t id, uint32_t leaf) {
  const auto found = nodes_.find(leaf);
  if (found == nodes_.end()) return;
  const tree::Finding of_leaf = report_->findings()[found->second];
  Node(id, of_leaf.kind, of_leaf.code, of_leaf.expected, of_leaf.found, of_leaf.offset);
}

void Findings::InvalidNode(uint32_t id, std::string expected, std::string found) {
  Node(id, FindingKind::kInvalid, Code::kCorruptStructure, std::move(expected), std::move(found));
}

void Findings::NoValue(uint32_t id) {
  InvalidNode(id, "a value of its kind and dtype", "other bytes");
}

Status Findings::Failed(std::string path, const Status& status) {
  if (status.ok() || status.code() == Code::kCorruptChecksum) return Status();
  if (IsAbort(status.code()) || base::ClassOf(status.code()) == kIoClass) return status;
  Add(KindOf(status.code()), status.code(), std::move(path), "", std::string(status.message()),
      status.offset());
  return Status();
}

Status Findings::FailedNode(uint32_t id, const Status& status) {
  if (status.ok() || status.code() == Code::kCorruptChecksum) return Status();
  if (IsAbort(status.code()) || base::ClassOf(status.code()) == kIoClass) return status;
  Node(id, KindOf(status.code()), status.code(), "", std::string(status.message()),
       status.offset());
  return Status();
}

std::string Findings::PathOf(uint32_t node) const {
  auto path = container_.Path(node);
  std::string text = path.ok() ? std::move(path.value()) : "node " + std::to_string(node);
  if (items_.size() < 2) return text;
  const auto behind =
      std::upper_bound(items_.begin(), items_.end(), node,
                       [](uint32_t id, const NamedItem& item) { return id < item.root; });
  if (behind == items_.begin() || node >= std::prev(behind)->end) return text;
  return tree::EscapeForTerminal(std::prev(behind)->name) + ":" + text;
}

Status Findings::Finish() {
  if (report_->empty()) {
    report_->Finish();
    return Status();
  }
  const tree::Finding& first = report_->findings().front();
  std::string text = "'" + container_.name() + "': ";
  std::string list;
  const auto add = [&list](uint64_t n, const char* what) {
    if (n != 0) list += (list.empty() ? "" : ", ") + Count(n, what);
  };
  add(damaged_, damaged_ == 1 ? "damaged leaf" : "damaged leaves");
  add(invalid_, invalid_ == 1 ? "breach of the format" : "breaches of the format");
  add(unreadable_, unreadable_ == 1 ? "unreadable node" : "unreadable nodes");
  text += list + "; the first: ";
  text += first.path.empty() ? "the root" : "'" + tree::EscapeForTerminal(first.path) + "'";
  if (!first.found.empty()) text += ", " + tree::EscapeForTerminal(first.found);
  text += damaged_ + invalid_ != 0 ? "; restore an intact copy"
                                   : "; bring what is missing, or use a newer treering";
  report_->Finish();
  return Status(worst_, std::move(text), 0, worst_offset_);
}

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Findings that can be walked: what a comparison, a restore or a verification has to tell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace treering::tree {

// Numbers of the C ABI.
enum class FindingKind : int32_t {
  kMissing = 1,
  kUnexpected = 2,
  kDifferentKind = 3,
  kDifferentDtype = 4,
  kDifferentShape = 5,
  kDifferentValue = 6,
  kDifferentAttributes = 7,
  kCast = 16,
  kPadded = 17,
  kTruncated = 18,
  kRenamed = 19,
  kKept = 20,
  kSkipped = 21,
  kRestored = 22,
  kDamaged = 32,
  kInvalid = 33,
  kUnreadable = 34,
  kSkippedVersion = 48,
  kBadRecord = 49,
  kLeftover = 50,
  kUnknownName = 51,
};

struct Finding {
  FindingKind kind;
  base::Code code = base::Code::kOk;
  std::string path;
  std::string expected;
  std::string found;
  std::string nearest;
  uint64_t offset = base::Status::kNoOffset;
};

class Report {
 public:
  void Add(Finding finding) { findings_.push_back(std::move(finding)); }
  const std::vector<Finding>& findings() const { return findings_; }
  bool empty() const { return findings_.empty(); }
  // How many are differences (kinds 1 to 7).
  uint64_t differences() const;
  // Fills `nearest` of every missing finding from the unexpected ones' paths, and the other way
  // round.
  void FindNearest();
  // Groups with at most 20 lines each, and what to do. Computed once by Finish, so that reading is
  // const.
  void Finish();
  const std::string& text() const { return text_; }
  // One line for an error: "3 leaves missing (first: a/b), 1 different (…); …".
  std::string Summary() const;

 private:
  std::vector<Finding> findings_;
  std::string text_;
};

}  // namespace treering::tree

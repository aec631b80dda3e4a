// SPDX-License-Identifier: Apache-2.0
// Policies that decide which versions stay: pure functions of the list of versions and the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "manager/candidate.h"

namespace treering::manager {

struct PreservePolicy {
  enum class Kind : int32_t {
    kAll = 1,
    kLatest,        // the `n` greatest steps
    kEverySteps,    // steps that `interval` divides, or, not `exact`, at least `interval` after the
                    // last one so kept, from the first
    kClosest,       // for each multiple of `interval` the step nearest to it (of two the later; a
                    // step halfway belongs to the even multiple), and the greatest step
    kEverySeconds,  // at least `interval` after the last one so kept, from the first
    kYounger,       // from the first on that is at most `interval` old
    kBest,          // the `n` best by `metric`, of equal ones the later; all while there are no
                    // more than `n` versions, those without the metric counted
    kSteps,         // the steps listed
    kCallback,      // `preserve` says which
  };

  Kind kind = Kind::kAll;
  uint64_t n = 0;            // kLatest, kBest: at least 1, unless `allow_zero`
  int64_t interval = 0;      // steps, or ns for kEverySeconds and kYounger; at least 1
  bool exact = true;         // kEverySteps
  uint64_t max_to_keep = 0;  // kEverySteps, kClosest: the last so many of them; 0: all
  std::string metric;        // kBest
  bool lowest = false;       // kBest: the lowest value is the best
  // kBest: versions without the metric, or with NaN, all stay and do not count; or all go.
  bool keep_without_metrics = true;
  // Orbax to the letter: n = 0 of kLatest and kBest keeps none; ns of 0 are allowed.
  bool allow_zero = false;
  std::vector<int64_t> steps;  // kSteps: in any order
  // kCallback: sets keep[0 … count), which are 0, to 1. On a failure nothing is dropped.
  std::function<base::Status(const Candidate* versions, uint64_t count, uint8_t* keep)> preserve;
};

struct Decision {
  bool keep = true;
  std::string rule;  // for people: the first rule that keeps it, or the rules that all do not
};

// For people: "latest 2", "best 3 by loss (lowest)".
std::string RuleName(const PreservePolicy& policy);

// INVALID_ARGUMENT names the policy by its position.
base::Status CheckPreservePolicies(const std::vector<PreservePolicy>& policies);

// One decision for each version. A version stays if one of the policies, which were checked, keeps
// it; an empty list keeps everything. All policies are asked. The greatest step stays in any case,
// unless `may_drop_newest`: Orbax's best-N may drop the version that a run would resume from.
//
// A version of unknown time is kept by kEverySeconds and kYounger for itself alone: it neither
// counts as the last one kept, nor keeps those after it. Dropping cannot be undone.
base::Result<std::vector<Decision>> Decide(const std::vector<PreservePolicy>& policies,
                                           const std::vector<Candidate>& ascending, int64_t now,
                                           bool may_drop_newest);

}  // namespace treering::manager

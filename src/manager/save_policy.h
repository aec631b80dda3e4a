// SPDX-License-Identifier: Apache-2.0
// Policies that decide whether a step is saved: pure functions of the step, the versions there are,
// and the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "manager/candidate.h"

namespace treering::manager {

struct SavePolicy {
  enum class Kind : int32_t {
    kInterval = 1,  // `interval` divides the step, whatever was saved before
    kSteps,         // the steps listed
    kContinuous,    // no save is running, and the greatest step is at least `interval` old
    kPreemption,    // the context says so
    kInitial,       // there is no version
    kCallback,      // `decide` says so
  };

  Kind kind = Kind::kInterval;
  int64_t interval = 1;        // kInterval: steps, at least 1; kContinuous: ns, 0 or more
  std::vector<int64_t> steps;  // kSteps: in any order
  // kCallback. The versions are ascending by step.
  std::function<bool(int64_t step, const Candidate* versions, uint64_t count)> decide;
};

struct SaveContext {
  int64_t now = 0;  // ns since 1970; format::kNoTime if there is no clock
  bool saving = false;
  bool preempted = false;
};

// What Orbax's manager does by its options: every `interval` steps, the steps listed, on
// preemption, and the first save of all whatever its step.
std::vector<SavePolicy> UsualSavePolicies(int64_t interval, std::vector<int64_t> steps);

// INVALID_ARGUMENT names the policy by its position.
base::Status CheckSavePolicies(const std::vector<SavePolicy>& policies);

// Whether one of the policies, which were checked, wants `step` saved; an empty list wants every
// step. They are asked in order until one does, so a callback behind others is not always called.
// `versions` are ascending by step; those being saved may be among them. That steps come
// in ascending order (Orbax: no save at or below the greatest step) is the manager's to ask first.
//
// A time that is not known, or that lies in the future because a clock was set back, counts as long
// ago: one save too many does less harm than none.
bool ShouldSave(const std::vector<SavePolicy>& policies, int64_t step,
                const std::vector<Candidate>& versions, const SaveContext& context);

}  // namespace treering::manager

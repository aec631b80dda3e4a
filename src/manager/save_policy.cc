// SPDX-License-Identifier: Apache-2.0
// Whether a step is saved.
//
// Every policy is a question about one step that can be answered from the list of versions, the
// clock and two flags, so nothing is remembered from call to call: two processes that see the same
// directory decide the same, and a run that was resumed decides as if it had never stopped.
//
// The rules are those of Orbax's save decision policies, with one mend: there, a version whose time
// lies in the future keeps the continuous policy from saving until the clock has caught up.
//
// Which versions there are, and the order of steps, is left to the manager.
#include "manager/save_policy.h"

#include <algorithm>
#include <string>
#include <utility>

namespace treering::manager {
namespace {

using base::Code;
using base::Status;
using Kind = SavePolicy::Kind;

bool IsListed(const std::vector<int64_t>& steps, int64_t step) {
  return std::find(steps.begin(), steps.end(), step) != steps.end();
}

// Whether the last version is at least `interval` old, as far as is known.
bool LongAgo(const std::vector<Candidate>& versions, int64_t interval, int64_t now) {
  if (versions.empty()) return true;
  const int64_t last = versions.back().time;
  if (last == format::kNoTime || now == format::kNoTime || last > now) return true;
  return static_cast<uint64_t>(now) - static_cast<uint64_t>(last) >=
         static_cast<uint64_t>(interval);
}

bool Wants(const SavePolicy& policy, int64_t step, const std::vector<Candidate>& versions,
           const SaveContext& context) {
  switch (policy.kind) {
    case Kind::kInterval:
      return step % policy.interval == 0;
    case Kind::kSteps:
      return IsListed(policy.steps, step);
    case Kind::kContinuous:
      return !context.saving && LongAgo(versions, policy.interval, context.now);
    case Kind::kPreemption:
      return context.preempted;
    case Kind::kInitial:
      return versions.empty();
    case Kind::kCallback:
      return policy.decide(step, versions.data(), versions.size());
  }
  return false;
}

Status Check(const SavePolicy& policy) {
  switch (policy.kind) {
    case Kind::kInterval:
      if (policy.interval >= 1) return {};
      return Status(Code::kInvalidArgument, "an interval of " + std::to_string(policy.interval) +
                                                " steps; it must be at least 1");
    case Kind::kContinuous:
      if (policy.interval >= 0) return {};
      return Status(Code::kInvalidArgument,
                    "a minimum interval of " + std::to_string(policy.interval) +
                        " ns; it must be 0 or more, and 0 saves whenever no save is running");
    case Kind::kSteps:
      for (const int64_t step : policy.steps) {
        if (step >= 0) continue;
        return Status(Code::kInvalidArgument,
                      "the listed step " + std::to_string(step) + " is negative; steps begin at 0");
      }
      return {};
    case Kind::kCallback:
      if (policy.decide) return {};
      return Status(Code::kInvalidArgument, "the callback is missing; give one that decides");
    case Kind::kPreemption:
    case Kind::kInitial:
      return {};
  }
  return Status(Code::kInvalidArgument, "there is no kind " +
                                            std::to_string(static_cast<int32_t>(policy.kind)) +
                                            "; the kinds are 1 to 6");
}

}  // namespace

std::vector<SavePolicy> UsualSavePolicies(int64_t interval, std::vector<int64_t> steps) {
  std::vector<SavePolicy> policies(4);
  policies[0].interval = interval;
  policies[1].kind = Kind::kSteps;
  policies[1].steps = std::move(steps);
  policies[2].kind = Kind::kPreemption;
  policies[3].kind = Kind::kInitial;
  return policies;
}

Status CheckSavePolicies(const std::vector<SavePolicy>& policies) {
  for (size_t i = 0; i < policies.size(); ++i) {
    Status status = Check(policies[i]);
    if (!status.ok()) return std::move(status).WithContext("save policy " + std::to_string(i));
  }
  return {};
}

bool ShouldSave(const std::vector<SavePolicy>& policies, int64_t step,
                const std::vector<Candidate>& versions, const SaveContext& context) {
  if (policies.empty()) return true;
  return std::any_of(policies.begin(), policies.end(), [&](const SavePolicy& policy) {
    return Wants(policy, step, versions, context);
  });
}

}  // namespace treering::manager

// SPDX-License-Identifier: Apache-2.0
// What a policy of preservation is called, and what it may ask for.
//
// A policy that is wrong drops versions for good, so what can only be a mistake, such as a field
// left at zero, is refused when a manager is opened or pruned and never reaches the marking in
// preservation.cc, which relies on it: intervals of steps are not zero, callbacks are there.
#include <string>
#include <utility>

#include "manager/preservation.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Status;
using Kind = PreservePolicy::Kind;

std::string Seconds(int64_t ns) {
  std::string text = std::to_string(ns / 1000000000);
  std::string fraction = std::to_string(1000000000 + ns % 1000000000);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (ns % 1000000000 != 0) text += "." + fraction.substr(1);
  return text + " s";
}

Status CheckSteps(const std::vector<int64_t>& steps) {
  for (const int64_t step : steps) {
    if (step >= 0) continue;
    return Status(Code::kInvalidArgument,
                  "the listed step " + std::to_string(step) + " is negative; steps begin at 0");
  }
  return {};
}

Status CheckAtLeast(int64_t interval, int64_t least, const char* unit) {
  if (interval >= least) return {};
  return Status(Code::kInvalidArgument, "an interval of " + std::to_string(interval) + " " + unit +
                                            "; it must be at least " + std::to_string(least));
}

Status CheckCount(const PreservePolicy& policy) {
  if (policy.kind == Kind::kBest && policy.metric.empty()) {
    return Status(Code::kInvalidArgument, "best by which metric? give its name");
  }
  if (policy.n > 0 || policy.allow_zero) return {};
  return Status(Code::kInvalidArgument,
                "'" + RuleName(policy) +
                    "' would keep no version; give at least 1, or allow zero if that is meant");
}

Status Check(const PreservePolicy& policy) {
  switch (policy.kind) {
    case Kind::kAll:
      return {};
    case Kind::kLatest:
    case Kind::kBest:
      return CheckCount(policy);
    case Kind::kEverySteps:
    case Kind::kClosest:
      return CheckAtLeast(policy.interval, 1, "steps");
    case Kind::kEverySeconds:
    case Kind::kYounger:
      return CheckAtLeast(policy.interval, policy.allow_zero ? 0 : 1, "ns");
    case Kind::kSteps:
      return CheckSteps(policy.steps);
    case Kind::kCallback:
      if (policy.preserve) return {};
      return Status(Code::kInvalidArgument, "the callback is missing; give one that decides");
  }
  return Status(Code::kInvalidArgument, "there is no kind " +
                                            std::to_string(static_cast<int32_t>(policy.kind)) +
                                            "; the kinds are 1 to 9");
}

}  // namespace

std::string RuleName(const PreservePolicy& policy) {
  const std::string n = std::to_string(policy.n);
  const std::string steps = std::to_string(policy.interval) + " steps";
  const std::string last =
      policy.max_to_keep == 0 ? "" : ", the last " + std::to_string(policy.max_to_keep);
  switch (policy.kind) {
    case Kind::kAll:
      return "all";
    case Kind::kLatest:
      return "latest " + n;
    case Kind::kEverySteps:
      return (policy.exact ? "every " : "at least every ") + steps + last;
    case Kind::kClosest:
      return "closest to every " + steps + last;
    case Kind::kEverySeconds:
      return "every " + Seconds(policy.interval);
    case Kind::kYounger:
      return "younger than " + Seconds(policy.interval);
    case Kind::kBest:
      return "best " + n + " by " + policy.metric + (policy.lowest ? " (lowest)" : " (highest)");
    case Kind::kSteps:
      return "listed steps";
    case Kind::kCallback:
      return "callback";
  }
  return "";
}

Status CheckPreservePolicies(const std::vector<PreservePolicy>& policies) {
  for (size_t i = 0; i < policies.size(); ++i) {
    Status status = Check(policies[i]);
    if (!status.ok()) return std::move(status).WithContext("keep policy " + std::to_string(i));
  }
  return {};
}

}  // namespace treering::manager

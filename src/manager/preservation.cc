// SPDX-License-Identifier: Apache-2.0
// Which versions stay.
//
// Each policy marks the versions that it would keep, in one pass over the list (best-N selects
// besides); a version goes when no policy marked it. The first mark gives the reason, so that a dry
// run says the rule and not only the verdict.
//
// The rules are those of Orbax's preservation policies, with three mends: the greatest step stays
// unless its loss is asked for; what is not known, a time or a metric that is no number, never
// drops a version by itself; a count of 0 must be meant.
// What policies are called and what they may ask for is in preservation_rules.cc.
//
// Dropping is left to the manager, as is asking at all only after a commit.
#include "manager/preservation.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

namespace treering::manager {
namespace {

using base::Result;
using base::Status;
using Kind = PreservePolicy::Kind;

enum Mark : uint8_t { kDrop = 0, kKeep = 1, kKeepUnknown = 2 };
using Marks = std::vector<uint8_t>;
using Versions = std::vector<Candidate>;

// b - a, where a <= b.
uint64_t Distance(int64_t a, int64_t b) {
  return static_cast<uint64_t>(b) - static_cast<uint64_t>(a);
}

void MarkLatest(uint64_t n, Marks* marks) {
  const uint64_t size = marks->size();
  for (uint64_t i = size - std::min(n, size); i < size; ++i) (*marks)[i] = kKeep;
}

// Takes all marks away but the last `max_to_keep`; 0: none.
void Trim(uint64_t max_to_keep, Marks* marks) {
  if (max_to_keep == 0) return;
  for (size_t i = marks->size(); i-- > 0;) {
    if ((*marks)[i] == kDrop) continue;
    if (max_to_keep == 0) {
      (*marks)[i] = kDrop;
    } else {
      --max_to_keep;
    }
  }
}

void MarkEverySteps(const PreservePolicy& policy, const Versions& versions, Marks* marks) {
  size_t last = 0;  // kept, when not exact
  for (size_t i = 0; i < versions.size(); ++i) {
    const bool keep = policy.exact ? versions[i].step % policy.interval == 0
                                   : i == 0 || Distance(versions[last].step, versions[i].step) >=
                                                   static_cast<uint64_t>(policy.interval);
    if (!keep) continue;
    (*marks)[i] = kKeep;
    last = i;
  }
}

// Each step belongs to one multiple, and steps ascend: so those of a multiple are neighbours.
void MarkClosest(int64_t interval, const Versions& versions, Marks* marks) {
  size_t best = 0;
  int64_t best_multiple = 0;
  int64_t best_distance = 0;
  for (size_t i = 0; i < versions.size(); ++i) {
    const int64_t below = versions[i].step / interval;
    const int64_t after = versions[i].step % interval;
    const int64_t before = interval - after;
    const bool up = after > before || (after == before && below % 2 == 1);
    const int64_t multiple = up ? below + 1 : below;
    const int64_t distance = up ? before : after;
    if (i == 0 || multiple != best_multiple) {
      (*marks)[i] = kKeep;
    } else if (distance <= best_distance) {
      (*marks)[best] = kDrop;
      (*marks)[i] = kKeep;
    } else {
      continue;
    }
    best = i;
    best_multiple = multiple;
    best_distance = distance;
  }
  if (!versions.empty()) marks->back() = kKeep;
}

void MarkEverySeconds(int64_t interval, const Versions& versions, Marks* marks) {
  const Candidate* last = nullptr;  // kept
  for (size_t i = 0; i < versions.size(); ++i) {
    const Candidate& version = versions[i];
    if (version.time == format::kNoTime) {
      (*marks)[i] = kKeepUnknown;
    } else if (last == nullptr ||
               (version.time >= last->time &&
                Distance(last->time, version.time) >= static_cast<uint64_t>(interval))) {
      (*marks)[i] = kKeep;
      last = &version;
    }
  }
}

void MarkYounger(int64_t duration, int64_t now, const Versions& versions, Marks* marks) {
  bool young = false;
  for (size_t i = 0; i < versions.size(); ++i) {
    const int64_t time = versions[i].time;
    const bool known = time != format::kNoTime && now != format::kNoTime;
    young =
        young || (known && (time >= now || Distance(time, now) <= static_cast<uint64_t>(duration)));
    (*marks)[i] = young ? kKeep : known ? kDrop : kKeepUnknown;
  }
}

// Null if there is none, or if it is no number.
const double* MetricOf(const Candidate& version, std::string_view name) {
  if (version.metrics == nullptr) return nullptr;
  for (const format::Metric& metric : *version.metrics) {
    if (metric.name == name) return std::isnan(metric.value) ? nullptr : &metric.value;
  }
  return nullptr;
}

void MarkBest(const PreservePolicy& policy, const Versions& versions, Marks* marks) {
  if (versions.size() <= policy.n) return MarkLatest(policy.n, marks);
  if (policy.n == 0) return;
  struct Ranked {
    double value;
    size_t at;
  };
  std::vector<Ranked> ranked;
  for (size_t i = 0; i < versions.size(); ++i) {
    const double* value = MetricOf(versions[i], policy.metric);
    if (value != nullptr) {
      ranked.push_back({policy.lowest ? -*value : *value, i});
    } else if (policy.keep_without_metrics) {
      (*marks)[i] = kKeepUnknown;
    }
  }
  const auto better = [](const Ranked& a, const Ranked& b) {
    return a.value > b.value || (a.value == b.value && a.at > b.at);
  };
  if (ranked.size() > policy.n) {
    const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(policy.n);
    std::nth_element(ranked.begin(), end, ranked.end(), better);
    ranked.erase(end, ranked.end());
  }
  for (const Ranked& best : ranked) (*marks)[best.at] = kKeep;
}

void MarkSteps(std::vector<int64_t> steps, const Versions& versions, Marks* marks) {
  std::sort(steps.begin(), steps.end());
  for (size_t i = 0; i < versions.size(); ++i) {
    if (std::binary_search(steps.begin(), steps.end(), versions[i].step)) (*marks)[i] = kKeep;
  }
}

Status MarkAsked(const PreservePolicy& policy, const Versions& versions, Marks* marks) {
  Status status = policy.preserve(versions.data(), versions.size(), marks->data());
  if (!status.ok()) return status;
  for (uint8_t& mark : *marks) mark = mark == 0 ? kDrop : kKeep;
  return {};
}

Status MarkKept(const PreservePolicy& policy, const Versions& versions, int64_t now, Marks* marks) {
  switch (policy.kind) {
    case Kind::kAll:
      MarkLatest(versions.size(), marks);
      break;
    case Kind::kLatest:
      MarkLatest(policy.n, marks);
      break;
    case Kind::kEverySteps:
      MarkEverySteps(policy, versions, marks);
      Trim(policy.max_to_keep, marks);
      break;
    case Kind::kClosest:
      MarkClosest(policy.interval, versions, marks);
      Trim(policy.max_to_keep, marks);
      break;
    case Kind::kEverySeconds:
      MarkEverySeconds(policy.interval, versions, marks);
      break;
    case Kind::kYounger:
      MarkYounger(policy.interval, now, versions, marks);
      break;
    case Kind::kBest:
      MarkBest(policy, versions, marks);
      break;
    case Kind::kSteps:
      MarkSteps(policy.steps, versions, marks);
      break;
    case Kind::kCallback:
      return MarkAsked(policy, versions, marks);
  }
  return {};
}

std::string UnknownOf(const PreservePolicy& policy) {
  if (policy.kind != Kind::kBest) return RuleName(policy) + ": its time is not known";
  return RuleName(policy) + ": it has no " + policy.metric;
}

}  // namespace

Result<std::vector<Decision>> Decide(const std::vector<PreservePolicy>& policies,
                                     const std::vector<Candidate>& ascending, int64_t now,
                                     bool may_drop_newest) {
  if (policies.empty()) {
    return std::vector<Decision>(ascending.size(), {true, "no policy: all versions stay"});
  }
  std::vector<Decision> decisions(ascending.size(), {false, ""});
  std::string none = "no rule keeps it: ";
  for (size_t at = 0; at < policies.size(); ++at) {
    Marks marks(ascending.size(), kDrop);
    Status status = MarkKept(policies[at], ascending, now, &marks);
    if (!status.ok()) return std::move(status).WithContext("keep policy " + std::to_string(at));
    const std::string name = RuleName(policies[at]);
    none += (at == 0 ? "" : "; ") + name;
    for (size_t i = 0; i < marks.size(); ++i) {
      if (marks[i] == kDrop || decisions[i].keep) continue;
      decisions[i] = {true, marks[i] == kKeep ? name : UnknownOf(policies[at])};
    }
  }
  if (!decisions.empty() && !decisions.back().keep && !may_drop_newest) {
    decisions.back() = {true, "the newest step is always kept"};
  }
  for (Decision& decision : decisions) {
    if (!decision.keep) decision.rule = none;
  }
  return decisions;
}

}  // namespace treering::manager

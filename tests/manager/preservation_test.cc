// SPDX-License-Identifier: Apache-2.0
// Which versions stay, policy by policy, and what is said of each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "manager/preservation.h"

extern "C" {
#include <cmocka.h>
}

namespace {

using treering::base::Code;
using treering::base::Status;
using treering::format::kNoTime;
using treering::format::Metric;
using treering::manager::Candidate;
using treering::manager::Decision;
using treering::manager::PreservePolicy;
using Kind = PreservePolicy::Kind;
using Policies = std::vector<PreservePolicy>;

constexpr int64_t kNow = 1000;

struct Version {
  int64_t step;
  int64_t time;
  std::vector<Metric> metrics;
};
using Versions = std::vector<Version>;

PreservePolicy Policy(Kind kind, int64_t interval = 0, uint64_t max_to_keep = 0) {
  PreservePolicy policy;
  policy.kind = kind;
  policy.interval = interval;
  policy.max_to_keep = max_to_keep;
  return policy;
}

PreservePolicy Latest(uint64_t n) {
  PreservePolicy policy = Policy(Kind::kLatest);
  policy.n = n;
  return policy;
}

PreservePolicy Greedy(int64_t interval, uint64_t max_to_keep = 0) {
  PreservePolicy policy = Policy(Kind::kEverySteps, interval, max_to_keep);
  policy.exact = false;
  return policy;
}

PreservePolicy Best(uint64_t n, bool lowest = true, bool keep_without = true) {
  PreservePolicy policy = Policy(Kind::kBest);
  policy.n = n;
  policy.metric = "loss";
  policy.lowest = lowest;
  policy.keep_without_metrics = keep_without;
  return policy;
}

PreservePolicy Listed(std::vector<int64_t> steps) {
  PreservePolicy policy = Policy(Kind::kSteps);
  policy.steps = std::move(steps);
  return policy;
}

PreservePolicy Zero(PreservePolicy policy) {
  policy.n = 0;
  policy.interval = 0;
  policy.allow_zero = true;
  return policy;
}

Versions AtSteps(const std::vector<int64_t>& steps) {
  Versions versions;
  for (const int64_t step : steps) versions.push_back({step, 0, {}});
  return versions;
}

// Steps 0, 1, 2 …
Versions AtTimes(const std::vector<int64_t>& times) {
  Versions versions;
  for (const int64_t time : times) {
    versions.push_back({static_cast<int64_t>(versions.size()), time, {}});
  }
  return versions;
}

// Steps 0, 1, 2 …; a loss of NaN is stored as such.
Versions WithLosses(const std::vector<double>& losses) {
  Versions versions;
  for (const double loss : losses) {
    versions.push_back({static_cast<int64_t>(versions.size()), 0, {{"acc", 1}, {"loss", loss}}});
  }
  return versions;
}

// Decides, also whether the policies are good; a failure is one decision with the message.
std::vector<Decision> Decisions(const Policies& policies, const Versions& versions,
                                bool may_drop_newest, int64_t now) {
  std::vector<Candidate> candidates;
  for (const Version& version : versions) {
    candidates.push_back({version.step, version.time, &version.metrics});
  }
  Status checked = treering::manager::CheckPreservePolicies(policies);
  if (!checked.ok()) return {{true, std::string(checked.message())}};
  auto decided = treering::manager::Decide(policies, candidates, now, may_drop_newest);
  if (!decided.ok()) return {{true, std::string(decided.status().message())}};
  return *decided;
}

// The steps that stay, like "1 2 5"; the newest may go.
std::string Kept(const Policies& policies, const Versions& versions, bool may_drop_newest = true,
                 int64_t now = kNow) {
  const std::vector<Decision> decisions = Decisions(policies, versions, may_drop_newest, now);
  if (decisions.size() != versions.size()) return decisions.at(0).rule;
  std::string kept;
  for (size_t i = 0; i < versions.size(); ++i) {
    if (decisions[i].keep) kept += (kept.empty() ? "" : " ") + std::to_string(versions[i].step);
  }
  return kept;
}

// The same for versions saved one after the other, each followed by dropping.
std::string KeptInTurn(const Policies& policies, const Versions& all, bool may_drop_newest) {
  Versions there;
  for (const Version& next : all) {
    there.push_back(next);
    const std::vector<Decision> decisions = Decisions(policies, there, may_drop_newest, kNow);
    Versions kept;
    for (size_t i = 0; i < there.size(); ++i) {
      if (decisions.at(i).keep) kept.push_back(there[i]);
    }
    there = std::move(kept);
  }
  return Kept({}, there);
}

std::string RuleOf(const Policies& policies, const Versions& versions, size_t at,
                   bool may_drop_newest = false) {
  const Decision decision = Decisions(policies, versions, may_drop_newest, kNow).at(at);
  return (decision.keep ? "kept: " : "dropped: ") + decision.rule;
}

std::string Refusal(PreservePolicy policy) {
  const Status status = treering::manager::CheckPreservePolicies({Latest(1), std::move(policy)});
  return status.code() == Code::kInvalidArgument ? std::string(status.message()) : "";
}

void NoPolicyKeepsEverything(void**) {
  assert_string_equal(Kept({}, AtSteps({1, 2, 3})).c_str(), "1 2 3");
  assert_string_equal(Kept({Policy(Kind::kAll)}, AtSteps({1, 2, 3})).c_str(), "1 2 3");
}

void NothingIsDecidedOfNothing(void**) {
  const Policies every = {Policy(Kind::kAll),
                          Latest(2),
                          Policy(Kind::kEverySteps, 5),
                          Greedy(5),
                          Policy(Kind::kClosest, 5, 1),
                          Policy(Kind::kEverySeconds, 5),
                          Policy(Kind::kYounger, 5),
                          Best(1),
                          Listed({1})};
  assert_int_equal(Decisions(every, {}, false, kNow).size(), 0);
  assert_int_equal(Decisions({}, {}, false, kNow).size(), 0);
}

void LatestKeepsTheGreatestSteps(void**) {
  assert_string_equal(Kept({Latest(2)}, AtSteps({1, 2, 3})).c_str(), "2 3");
  assert_string_equal(Kept({Latest(3)}, AtSteps({1, 2, 3})).c_str(), "1 2 3");
  assert_string_equal(Kept({Latest(UINT64_MAX)}, AtSteps({1, 2, 3})).c_str(), "1 2 3");
}

void ExactIntervalsKeepTheStepsTheyDivide(void**) {
  const Versions versions = AtSteps({0, 1, 3, 4, 6, 8, 9});
  assert_string_equal(Kept({Policy(Kind::kEverySteps, 3)}, versions).c_str(), "0 3 6 9");
  assert_string_equal(Kept({Policy(Kind::kEverySteps, 3, 2)}, versions).c_str(), "6 9");
  assert_string_equal(Kept({Policy(Kind::kEverySteps, 3, 9)}, versions).c_str(), "0 3 6 9");
  assert_string_equal(Kept({Policy(Kind::kEverySteps, INT64_MAX)}, versions).c_str(), "0");
}

void GreedyIntervalsCountFromTheLastOneKept(void**) {
  const Versions versions = AtSteps({1, 2, 4, 6, 7, 8, 11});
  assert_string_equal(Kept({Greedy(3)}, versions).c_str(), "1 4 7 11");
  assert_string_equal(Kept({Greedy(3, 2)}, versions).c_str(), "7 11");
  assert_string_equal(Kept({Greedy(INT64_MAX)}, AtSteps({0, 1, INT64_MAX})).c_str(),
                      "0 9223372036854775807");
}

void ClosestKeepsOneForEachMultipleAndTheGreatest(void**) {
  const Versions versions = AtSteps({1, 8, 9, 11, 13, 21, 24, 29, 31, 32});
  assert_string_equal(Kept({Policy(Kind::kClosest, 10)}, versions).c_str(), "1 11 21 31 32");
  assert_string_equal(Kept({Policy(Kind::kClosest, 10, 2)}, versions).c_str(), "31 32");
  assert_string_equal(Kept({Policy(Kind::kClosest, 10)}, AtSteps({7})).c_str(), "7");
}

void AStepHalfwayBelongsToTheEvenMultiple(void**) {
  assert_string_equal(
      Kept({Policy(Kind::kClosest, 10)}, AtSteps({4, 5, 15, 16, 25, 35, 90})).c_str(),
      "4 16 35 90");
  assert_string_equal(Kept({Policy(Kind::kClosest, 10)}, AtSteps({5, 6, 14, 15, 25, 90})).c_str(),
                      "5 14 25 90");
  assert_string_equal(
      Kept({Policy(Kind::kClosest, INT64_MAX)}, AtSteps({0, INT64_MAX - 1, INT64_MAX})).c_str(),
      "0 9223372036854775807");
}

void SecondsCountFromTheLastOneKept(void**) {
  const PreservePolicy policy = Policy(Kind::kEverySeconds, 10);
  assert_string_equal(Kept({policy}, AtTimes({3, 12, 13, 20, 22, 24})).c_str(), "0 2 5");
  assert_string_equal(Kept({policy}, AtTimes({100, 50, 109, 110})).c_str(), "0 3");
  assert_string_equal(
      Kept({Policy(Kind::kEverySeconds, INT64_MAX)}, AtTimes({INT64_MIN + 1, -2, 0, INT64_MAX}))
          .c_str(),
      "0 2 3");
  assert_string_equal(Kept({Zero(policy)}, AtTimes({3, 3, 2, 4})).c_str(), "0 1 3");
}

void AnUnknownTimeNeitherDropsNorStartsAnInterval(void**) {
  assert_string_equal(
      Kept({Policy(Kind::kEverySeconds, 10)}, AtTimes({kNoTime, 3, 5, kNoTime, 12, 13})).c_str(),
      "0 1 3 5");
  assert_string_equal(
      Kept({Policy(Kind::kYounger, 100)}, AtTimes({10, kNoTime, 20, 950, kNoTime})).c_str(),
      "1 3 4");
  assert_string_equal(Kept({Policy(Kind::kYounger, 100)}, AtTimes({1, 2}), true, kNoTime).c_str(),
                      "0 1");
}

void YoungerKeepsEverythingFromTheFirstYoungOne(void**) {
  const PreservePolicy policy = Policy(Kind::kYounger, 100);
  assert_string_equal(Kept({policy}, AtTimes({800, 899, 900, 950})).c_str(), "2 3");
  assert_string_equal(Kept({policy}, AtTimes({800, 950, 10, 960})).c_str(), "1 2 3");
  assert_string_equal(Kept({policy}, AtTimes({1, 2})).c_str(), "");
  assert_string_equal(Kept({policy}, AtTimes({INT64_MIN + 1, INT64_MAX})).c_str(), "1");
  assert_string_equal(Kept({Zero(policy)}, AtTimes({999, 1000})).c_str(), "1");
}

void TheBestTwoOfFourAreNotTheNewest(void**) {
  assert_string_equal(Kept({Best(2, false)}, WithLosses({5, 9, 7, 1})).c_str(), "1 2");
  assert_string_equal(KeptInTurn({Best(2, false)}, WithLosses({5, 9, 7, 1}), true).c_str(), "1 2");
  assert_string_equal(Kept({Best(2)}, WithLosses({5, 9, 7, 1})).c_str(), "0 3");
}

void TheNewestStaysUnlessItsLossIsAskedFor(void**) {
  const Policies best = {Best(2, false)};
  assert_string_equal(Kept(best, WithLosses({5, 9, 7, 1}), false).c_str(), "1 2 3");
  assert_string_equal(KeptInTurn(best, WithLosses({5, 9, 7, 1}), false).c_str(), "1 2 3");
  assert_string_equal(KeptInTurn(best, WithLosses({5, 9, 7, 1, 8}), false).c_str(), "1 4");
  assert_string_equal(Kept({Listed({})}, AtSteps({1, 2}), false).c_str(), "2");
  assert_string_equal(Kept({Listed({})}, AtSteps({1, 2}), true).c_str(), "");
}

void OfEqualMetricsTheLaterStepIsBetter(void**) {
  const Versions versions = WithLosses({2, 1, 2, 1, 1, 2});
  assert_string_equal(Kept({Best(2)}, versions).c_str(), "3 4");
  assert_string_equal(Kept({Best(4)}, versions).c_str(), "1 3 4 5");
  assert_string_equal(Kept({Best(2, false)}, versions).c_str(), "2 5");
  assert_string_equal(Kept({Best(1)}, WithLosses({-0.0, 0.0})).c_str(), "1");
  assert_string_equal(Kept({Best(1, false)}, WithLosses({INFINITY, 3, -INFINITY})).c_str(), "0");
}

void VersionsWithoutTheMetricStayOrGoByTheFlag(void**) {
  Versions versions = WithLosses({3, NAN, 1, 2, 4});
  versions[3].metrics = {{"acc", 0}};
  assert_string_equal(Kept({Best(2)}, versions).c_str(), "0 1 2 3");
  assert_string_equal(Kept({Best(2, true, false)}, versions).c_str(), "0 2");
  assert_string_equal(Kept({Best(4, true, false)}, versions).c_str(), "0 2 4");
  assert_string_equal(Kept({Best(5, true, false)}, versions).c_str(), "0 1 2 3 4");
  assert_string_equal(Kept({Zero(Best(0))}, versions).c_str(), "");
}

void ListedStepsStay(void**) {
  assert_string_equal(Kept({Listed({9, 1, 4, 1})}, AtSteps({1, 2, 3, 4})).c_str(), "1 4");
}

void ACallbackKeepsWhatItMarks(void**) {
  PreservePolicy policy = Policy(Kind::kCallback);
  policy.preserve = [](const Candidate* versions, uint64_t count, uint8_t* keep) {
    for (uint64_t i = 0; i < count; ++i) {
      keep[i] = versions[i].step > 2 ? 7 : keep[i];
    }
    return Status();
  };
  assert_string_equal(Kept({policy}, AtSteps({1, 2, 3, 4})).c_str(), "3 4");
  assert_string_equal(RuleOf({policy}, AtSteps({1, 2, 3, 4}), 2).c_str(), "kept: callback");
}

void ACallbackThatFailsDecidesNothing(void**) {
  PreservePolicy policy = Policy(Kind::kCallback);
  policy.preserve = [](const Candidate*, uint64_t, uint8_t*) {
    return Status(Code::kWrongState, "no");
  };
  const std::vector<Candidate> two(2);
  const Code code =
      treering::manager::Decide({Latest(2), policy}, two, kNow, false).status().code();
  assert_true(code == Code::kWrongState);
  assert_string_equal(Kept({Latest(2), policy}, AtSteps({1, 2})).c_str(), "keep policy 1: no");
}

void OnePolicyOfSeveralIsEnough(void**) {
  Versions versions = WithLosses({9, 1, 8, 7, 6, 5, 4, 3, 2, 3, 4});
  assert_string_equal(
      Kept({Latest(2), Policy(Kind::kEverySteps, 4), Best(2), Listed({5})}, versions).c_str(),
      "0 1 4 5 8 9 10");
}

void EachDecisionNamesTheRule(void**) {
  const Policies two = {Latest(2), Policy(Kind::kEverySteps, 100)};
  const Versions steps = AtSteps({100, 150, 199, 200});
  assert_string_equal(RuleOf(two, steps, 0).c_str(), "kept: every 100 steps");
  assert_string_equal(RuleOf(two, steps, 1).c_str(),
                      "dropped: no rule keeps it: latest 2; every 100 steps");
  assert_string_equal(RuleOf(two, steps, 3).c_str(), "kept: latest 2");
  assert_string_equal(RuleOf({}, steps, 0).c_str(), "kept: no policy: all versions stay");
  assert_string_equal(RuleOf({Best(1, false)}, WithLosses({3, 1}), 1).c_str(),
                      "kept: the newest step is always kept");
  assert_string_equal(RuleOf({Best(1, false)}, WithLosses({3, 1}), 1, true).c_str(),
                      "dropped: no rule keeps it: best 1 by loss (highest)");
  assert_string_equal(RuleOf({Best(1)}, WithLosses({NAN, 1}), 0).c_str(),
                      "kept: best 1 by loss (lowest): it has no loss");
  assert_string_equal(RuleOf({Policy(Kind::kYounger, 90500000000)}, AtTimes({kNoTime}), 0).c_str(),
                      "kept: younger than 90.5 s: its time is not known");
}

void EveryPolicyHasAName(void**) {
  using treering::manager::RuleName;
  assert_string_equal(RuleName(Policy(Kind::kAll)).c_str(), "all");
  assert_string_equal(RuleName(Greedy(5, 3)).c_str(), "at least every 5 steps, the last 3");
  assert_string_equal(RuleName(Policy(Kind::kClosest, 5)).c_str(), "closest to every 5 steps");
  assert_string_equal(RuleName(Policy(Kind::kEverySeconds, 60000000000)).c_str(), "every 60 s");
  assert_string_equal(RuleName(Policy(Kind::kEverySeconds, 1)).c_str(), "every 0.000000001 s");
  assert_string_equal(RuleName(Listed({})).c_str(), "listed steps");
}

void ACountOfZeroMustBeMeant(void**) {
  assert_string_equal(Refusal(Latest(0)).c_str(),
                      "keep policy 1: 'latest 0' would keep no version; give at least 1, or allow "
                      "zero if that is meant");
  assert_string_equal(Refusal(Best(0)).c_str(),
                      "keep policy 1: 'best 0 by loss (lowest)' would keep no version; give at "
                      "least 1, or allow zero if that is meant");
  assert_string_equal(Refusal(Zero(Latest(0))).c_str(), "");
  assert_string_equal(Kept({Zero(Latest(0))}, AtSteps({1, 2})).c_str(), "");
  assert_string_equal(Kept({Zero(Latest(0))}, AtSteps({1, 2}), false).c_str(), "2");
}

void ArgumentsThatCannotBeMeantAreRefusedByPosition(void**) {
  const char* steps = "keep policy 1: an interval of 0 steps; it must be at least 1";
  const char* ns = "keep policy 1: an interval of 0 ns; it must be at least 1";
  PreservePolicy nameless = Best(1);
  nameless.metric.clear();
  assert_string_equal(Refusal(Policy(Kind::kEverySteps)).c_str(), steps);
  assert_string_equal(Refusal(Zero(Policy(Kind::kEverySteps))).c_str(), steps);
  assert_string_equal(Refusal(Policy(Kind::kClosest)).c_str(), steps);
  assert_string_equal(Refusal(Policy(Kind::kEverySeconds)).c_str(), ns);
  assert_string_equal(Refusal(Policy(Kind::kYounger)).c_str(), ns);
  assert_string_equal(Refusal(nameless).c_str(),
                      "keep policy 1: best by which metric? give its name");
  assert_string_equal(Refusal(Listed({3, -1})).c_str(),
                      "keep policy 1: the listed step -1 is negative; steps begin at 0");
  assert_string_equal(Refusal(Policy(Kind::kCallback)).c_str(),
                      "keep policy 1: the callback is missing; give one that decides");
  assert_string_equal(Refusal(Policy(static_cast<Kind>(10))).c_str(),
                      "keep policy 1: there is no kind 10; the kinds are 1 to 9");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(NoPolicyKeepsEverything),
      cmocka_unit_test(NothingIsDecidedOfNothing),
      cmocka_unit_test(LatestKeepsTheGreatestSteps),
      cmocka_unit_test(ExactIntervalsKeepTheStepsTheyDivide),
      cmocka_unit_test(GreedyIntervalsCountFromTheLastOneKept),
      cmocka_unit_test(ClosestKeepsOneForEachMultipleAndTheGreatest),
      cmocka_unit_test(AStepHalfwayBelongsToTheEvenMultiple),
      cmocka_unit_test(SecondsCountFromTheLastOneKept),
      cmocka_unit_test(AnUnknownTimeNeitherDropsNorStartsAnInterval),
      cmocka_unit_test(YoungerKeepsEverythingFromTheFirstYoungOne),
      cmocka_unit_test(TheBestTwoOfFourAreNotTheNewest),
      cmocka_unit_test(TheNewestStaysUnlessItsLossIsAskedFor),
      cmocka_unit_test(OfEqualMetricsTheLaterStepIsBetter),
      cmocka_unit_test(VersionsWithoutTheMetricStayOrGoByTheFlag),
      cmocka_unit_test(ListedStepsStay),
      cmocka_unit_test(ACallbackKeepsWhatItMarks),
      cmocka_unit_test(ACallbackThatFailsDecidesNothing),
      cmocka_unit_test(OnePolicyOfSeveralIsEnough),
      cmocka_unit_test(EachDecisionNamesTheRule),
      cmocka_unit_test(EveryPolicyHasAName),
      cmocka_unit_test(ACountOfZeroMustBeMeant),
      cmocka_unit_test(ArgumentsThatCannotBeMeantAreRefusedByPosition),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// SPDX-License-Identifier: Apache-2.0
// Which steps are saved, policy by policy.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string>
#include <utility>
#include <vector>

#include "manager/save_policy.h"

extern "C" {
#include <cmocka.h>
}

namespace {

using treering::base::Code;
using treering::format::kNoTime;
using treering::manager::Candidate;
using treering::manager::SaveContext;
using treering::manager::SavePolicy;
using Kind = SavePolicy::Kind;

constexpr int64_t kNow = 1000;
constexpr SaveContext kIdle{kNow, false, false};
constexpr SaveContext kSaving{kNow, true, false};
constexpr SaveContext kPreempted{kNow, false, true};

SavePolicy Policy(Kind kind, int64_t interval = 1, std::vector<int64_t> steps = {}) {
  SavePolicy policy;
  policy.kind = kind;
  policy.interval = interval;
  policy.steps = std::move(steps);
  return policy;
}

bool Saves(const std::vector<SavePolicy>& policies, int64_t step,
           const std::vector<Candidate>& versions, const SaveContext& context) {
  return treering::manager::ShouldSave(policies, step, versions, context);
}

bool SavesContinuously(int64_t interval, int64_t time_of_last, const SaveContext& context) {
  return Saves({Policy(Kind::kContinuous, interval)}, 9,
               {{1, 0, nullptr}, {2, time_of_last, nullptr}}, context);
}

// The first ten steps that are saved of those below 50, each becoming a version.
std::string Run(const std::vector<SavePolicy>& policies, int64_t from) {
  std::string saved;
  std::vector<Candidate> versions;
  for (int64_t step = from; step < 50 && versions.size() < 10; ++step) {
    if (!Saves(policies, step, versions, kIdle)) continue;
    versions.push_back({step, 0, nullptr});
    saved += (saved.empty() ? "" : " ") + std::to_string(step);
  }
  return saved;
}

std::string Refusal(SavePolicy policy) {
  const auto status =
      treering::manager::CheckSavePolicies({Policy(Kind::kInitial), std::move(policy)});
  return status.code() == Code::kInvalidArgument ? std::string(status.message()) : "";
}

void NoPolicyWantsEveryStep(void**) {
  assert_string_equal(Run({}, 3).c_str(), "3 4 5 6 7 8 9 10 11 12");
}

void AnIntervalSavesItsMultiplesAndZero(void**) {
  assert_string_equal(Run({Policy(Kind::kInterval, 10)}, 0).c_str(), "0 10 20 30 40");
  assert_string_equal(Run({Policy(Kind::kInterval, 10)}, 7).c_str(), "10 20 30 40");
  assert_true(Saves({Policy(Kind::kInterval, INT64_MAX)}, INT64_MAX, {}, kIdle));
  assert_false(Saves({Policy(Kind::kInterval, INT64_MAX)}, INT64_MAX - 1, {}, kIdle));
}

void ListedStepsAreSavedInAnyOrderOfTheList(void**) {
  assert_string_equal(Run({Policy(Kind::kSteps, 1, {30, 4, 4, 49})}, 0).c_str(), "4 30 49");
  assert_string_equal(Run({Policy(Kind::kSteps)}, 0).c_str(), "");
}

void APreemptionSavesOnlyWithThePolicyForIt(void**) {
  assert_true(Saves({Policy(Kind::kPreemption)}, 7, {{1, 0, nullptr}}, kPreempted));
  assert_false(Saves({Policy(Kind::kPreemption)}, 7, {{1, 0, nullptr}}, kIdle));
  assert_false(Saves({Policy(Kind::kInterval, 10)}, 7, {{1, 0, nullptr}}, kPreempted));
}

void TheInitialSaveIsTheOnlyOneOfItsPolicy(void**) {
  assert_string_equal(Run({Policy(Kind::kInitial)}, 7).c_str(), "7");
}

void AContinuousSaveWaitsForTheRunningOneAndTheInterval(void**) {
  assert_true(SavesContinuously(100, kNow - 100, kIdle));
  assert_false(SavesContinuously(100, kNow - 99, kIdle));
  assert_false(SavesContinuously(100, kNow - 100, kSaving));
  assert_true(SavesContinuously(0, kNow, kIdle));
  assert_false(SavesContinuously(0, kNow, kSaving));
  assert_true(Saves({Policy(Kind::kContinuous, 100)}, 0, {}, kIdle));
  assert_false(Saves({Policy(Kind::kContinuous, 100)}, 0, {}, kSaving));
}

void ATimeThatIsUnknownOrInTheFutureDoesNotStopContinuousSaves(void**) {
  assert_true(SavesContinuously(100, kNoTime, kIdle));
  assert_true(SavesContinuously(100, kNow + 1, kIdle));
  assert_true(SavesContinuously(100, INT64_MAX, kIdle));
  assert_true(SavesContinuously(100, kNow - 1, {kNoTime, false, false}));
  assert_true(SavesContinuously(INT64_MAX, INT64_MIN + 1, kIdle));
  assert_true(SavesContinuously(100, INT64_MAX, {INT64_MIN + 1, false, false}));
}

void ACallbackSeesTheStepAndEveryVersion(void**) {
  int64_t seen = 0;
  SavePolicy policy = Policy(Kind::kCallback);
  policy.decide = [&seen](int64_t step, const Candidate* versions, uint64_t count) {
    seen = step;
    for (uint64_t i = 0; i < count; ++i) seen = seen * 10 + versions[i].step;
    return count == 2;
  };
  const bool two = Saves({policy}, 9, {{3, 0, nullptr}, {4, 0, nullptr}}, kIdle);
  assert_true(two);
  assert_int_equal(seen, 934);
  assert_false(Saves({policy}, 9, {{3, 0, nullptr}}, kIdle));
}

void OnePolicyOfSeveralIsEnoughAndEndsTheAsking(void**) {
  int asked = 0;
  SavePolicy never = Policy(Kind::kCallback);
  never.decide = [&asked](int64_t, const Candidate*, uint64_t) {
    ++asked;
    return false;
  };
  assert_true(Saves({Policy(Kind::kInterval, 5), never}, 10, {}, kIdle));
  assert_int_equal(asked, 0);
  assert_true(Saves({never, Policy(Kind::kInterval, 5)}, 10, {}, kIdle));
  assert_int_equal(asked, 1);
  assert_false(Saves({never, never}, 10, {}, kIdle));
  assert_int_equal(asked, 3);
}

void TheUsualPoliciesSaveTheFirstStepTheListedOnesAndOnPreemption(void**) {
  const auto usual = treering::manager::UsualSavePolicies(20, {25, 3});
  const bool checked = treering::manager::CheckSavePolicies(usual).ok();
  assert_true(checked);
  assert_string_equal(Run(usual, 7).c_str(), "7 20 25 40");
  assert_string_equal(Run(usual, 0).c_str(), "0 3 20 25 40");
  assert_true(Saves(usual, 11, {{7, 0, nullptr}}, kPreempted));
}

void ArgumentsThatCannotBeMeantAreRefusedByPosition(void**) {
  assert_string_equal(Refusal(Policy(Kind::kInterval, 0)).c_str(),
                      "save policy 1: an interval of 0 steps; it must be at least 1");
  assert_string_equal(Refusal(Policy(Kind::kInterval, -5)).c_str(),
                      "save policy 1: an interval of -5 steps; it must be at least 1");
  assert_string_equal(Refusal(Policy(Kind::kContinuous, -1)).c_str(),
                      "save policy 1: a minimum interval of -1 ns; it must be 0 or more, and 0 "
                      "saves whenever no save is running");
  assert_string_equal(Refusal(Policy(Kind::kSteps, 1, {0, -3})).c_str(),
                      "save policy 1: the listed step -3 is negative; steps begin at 0");
  assert_string_equal(Refusal(Policy(Kind::kCallback)).c_str(),
                      "save policy 1: the callback is missing; give one that decides");
  assert_string_equal(Refusal(Policy(static_cast<Kind>(0))).c_str(),
                      "save policy 1: there is no kind 0; the kinds are 1 to 6");
  assert_string_equal(Refusal(Policy(Kind::kContinuous, 0)).c_str(), "");
  assert_string_equal(Refusal(Policy(Kind::kPreemption, 0)).c_str(), "");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(NoPolicyWantsEveryStep),
      cmocka_unit_test(AnIntervalSavesItsMultiplesAndZero),
      cmocka_unit_test(ListedStepsAreSavedInAnyOrderOfTheList),
      cmocka_unit_test(APreemptionSavesOnlyWithThePolicyForIt),
      cmocka_unit_test(TheInitialSaveIsTheOnlyOneOfItsPolicy),
      cmocka_unit_test(AContinuousSaveWaitsForTheRunningOneAndTheInterval),
      cmocka_unit_test(ATimeThatIsUnknownOrInTheFutureDoesNotStopContinuousSaves),
      cmocka_unit_test(ACallbackSeesTheStepAndEveryVersion),
      cmocka_unit_test(OnePolicyOfSeveralIsEnoughAndEndsTheAsking),
      cmocka_unit_test(TheUsualPoliciesSaveTheFirstStepTheListedOnesAndOnPreemption),
      cmocka_unit_test(ArgumentsThatCannotBeMeantAreRefusedByPosition),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

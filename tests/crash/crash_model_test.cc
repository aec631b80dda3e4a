// SPDX-License-Identifier: Apache-2.0
// After a loss of power at any moment the old versions or the new are there, whole.
//
// Without arguments a sample of the states is judged, --all judges each and goes on with random
// scenarios; it prints its figures as one line of JSON. --seed N draws others.
#include "crash_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern "C" {
#include <cmocka.h>
}

#include <chrono>

namespace {

using crash::Explorer;
using crash::Figures;
using crash::Limits;
using crash::Scenario;

constexpr uint64_t kSampled = 20000, kAllStates = 220000;

struct Run {
  Explorer explorer;
  Limits limits;
  bool all = false;
  std::vector<Scenario> scenarios = crash::Scenarios();
};

Run* run_of_all_tests = nullptr;  // cmocka's states are void pointers to single tests

// Returns how many states were bad, and tells of them.
uint64_t Explore(const Scenario& scenario, const Limits& limits) {
  Explorer& explorer = run_of_all_tests->explorer;
  const uint64_t bad = explorer.figures().bad;
  const size_t told = explorer.findings().size();
  explorer.Explore(scenario, limits);
  for (size_t i = told; i < explorer.findings().size(); ++i) {
    fprintf(stderr, "%s\n", explorer.findings()[i].c_str());
  }
  return explorer.figures().bad - bad;
}

uint64_t ExploreNamed(const char* name) {
  uint64_t bad = 0, found = 0;
  for (const Scenario& scenario : run_of_all_tests->scenarios) {
    if (scenario.name != name) continue;
    ++found;
    bad += Explore(scenario, run_of_all_tests->limits);
  }
  return found == 0 ? UINT64_MAX : bad;
}

void ScenarioHasNoBadState(void** state) {
  assert_int_equal(ExploreNamed(static_cast<const char*>(*state)), 0);
}

void RandomScenariosHaveNoBadState(void**) {
  uint64_t bad = 0;
  {
    Limits limits = run_of_all_tests->limits;
    limits.thin_nested *= 16;
    const uint64_t enough = run_of_all_tests->all ? kAllStates : kSampled;
    for (uint64_t i = 0; run_of_all_tests->explorer.figures().states < enough && i < 1000; ++i) {
      bad += Explore(crash::RandomScenario(limits.seed * 1000 + i, 12), limits);
    }
  }
  assert_int_equal(bad, 0);
}

CMUnitTest Named(const char* sentence, const char* scenario) {
  return {sentence, ScenarioHasNoBadState, nullptr, nullptr, const_cast<char*>(scenario)};
}

void PrintFigures(const Figures& f, uint64_t seed, double seconds) {
  const auto number = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  printf(
      "{\"test\":\"recorded storage\",\"scenarios\":%llu,\"operations\":%llu,\"crashes\":%llu,"
      "\"states\":%llu,\"killed\":%llu,\"recovering\":%llu,\"bad\":%llu,\"seed\":%llu,"
      "\"seconds\":%.1f,\"states_per_second\":%.0f}\n",
      number(f.scenarios), number(f.operations), number(f.crashes), number(f.states),
      number(f.killed), number(f.recovering), number(f.bad), number(seed), seconds,
      static_cast<double>(f.states) / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  Run run;
  run.limits.thin_nested = 4;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--all") run.all = true;
    if (argument == "--seed" && i + 1 < argc) run.limits.seed = strtoull(argv[++i], nullptr, 10);
  }
  if (run.all) run.limits.thin_nested = 1;
  if (run.all) run.limits.draws = 2;
  run_of_all_tests = &run;
  const CMUnitTest tests[] = {
      Named("ACrashWhileCreatingLeavesAStoreOrNone", "create"),
      Named("ACrashWhileSavingLeavesTheOldOrTheNewVersions", "save"),
      Named("ACrashWhileSavingStepsOutOfOrderLeavesTheOldOrTheNew", "save out of order"),
      Named("ACrashWhileRetainingTakesDroppedVersionsOnly", "retain"),
      Named("ACrashWhileOverwritingLeavesTheOldOrTheNewContent", "overwrite"),
      Named("ACrashAmongSupersededRecordsLeavesTheHighest", "overwrite twice"),
      Named("ACrashWhileDeletingLeavesTheVersionOrNone", "delete"),
      Named("ACrashWhileDeletingAllLeavesAnyOfThemWhole", "delete all"),
      Named("ADeletedVersionDoesNotComeBackFromAnOlderRecord", "delete what was overwritten"),
      Named("AWriterAfterAKilledOneBuildsOnNothingThatVanishes", "killed"),
      Named("SavingAmongStrangersTouchesNoneOfThem", "save among strangers"),
      Named("RetainingAmongStrangersTouchesNoneOfThem", "retain among strangers"),
      Named("OverwritingAmongStrangersTouchesNoneOfThem", "overwrite among strangers"),
      Named("DeletingAmongStrangersTouchesNoneOfThem", "delete among strangers"),
      Named("DeletingAllAmongStrangersTouchesNoneOfThem", "delete all among strangers"),
      Named("AWriterAfterAKilledOneTouchesNoStranger", "killed among strangers"),
      cmocka_unit_test(RandomScenariosHaveNoBadState),
  };
  const auto start = std::chrono::steady_clock::now();
  const int failed = cmocka_run_group_tests_name("crash_model", tests, nullptr, nullptr);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (run.all) PrintFigures(run.explorer.figures(), run.limits.seed, seconds);
  return failed;
}

// SPDX-License-Identifier: Apache-2.0
// The N-th operation fails, for every N: the answer is documented, nothing is lost, saving goes on.
//
// Without arguments each failure is tried with one error in turn, with --all with every one; then
// it prints its figures as one line of JSON.
#include "crash_model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

extern "C" {
#include <cmocka.h>
}

#include <algorithm>
#include <chrono>

namespace {

using namespace crash;
using treering::base::Code;
using treering::base::Status;

constexpr int kErrors[] = {EIO, ENOSPC, EDQUOT, EROFS, EACCES, EMFILE};
constexpr uint64_t kErrorCount = 6;

enum class Mode {
  kOnce,            // the operation does nothing
  kOnceHappens,     // it takes effect, and answers with the error
  kForEver,         // with every later one of its kind
  kForEverChanges,  // with every later one that changes the medium
  kForEverAll,      // with everything later
};
constexpr const char* kModeNames[] = {"once", "once, having happened", "for ever, its kind",
                                      "for ever, all changes", "for ever, everything"};

struct Totals {
  uint64_t runs = 0;
  uint64_t failed_actions = 0;
  uint64_t unknown = 0;  // outcomes
  uint64_t bad = 0;
};

struct Loop {
  Contents contents;
  Totals totals;
  bool all = false;
};
Loop* loop_of_all_tests = nullptr;

// Answers that follow from an earlier failure: removals are refused (D8), a step is gone, or there.
bool Follows(const Status& status) {
  return status.code() == Code::kWrongState || status.code() == Code::kNotFound ||
         status.code() == Code::kAlreadyExists;
}

std::string Act(Machine* machine, const Action& action, int os_error) {
  std::string wrong;
  const bool opens = action.verb == Verb::kOpen || action.verb == Verb::kCreate;
  if (machine->store() == nullptr && !opens) {
    const Status opened = machine->Run({Verb::kOpen, {}, 0, 0, 0}, &wrong);
    if (!opened.ok()) {
      return Documented(opened, os_error) ? wrong
                                          : "opening again: " + std::string(opened.message());
    }
  }
  const Status status = machine->Run(action, &wrong);
  Totals& totals = loop_of_all_tests->totals;
  if (!status.ok()) ++totals.failed_actions;
  if (status.code() == Code::kOutcomeUnknown) ++totals.unknown;
  if (!wrong.empty()) return action.Text() + ": " + wrong;
  if (status.ok() || Documented(status, os_error) || Follows(status)) return {};
  return action.Text() + " answers " + std::to_string(static_cast<int>(status.code())) + ": " +
         std::string(status.message());
}

// After the fault is lifted: the same handle saves and cleans up, and all of it is there for good.
std::string GoOn(Machine* machine, Contents* contents) {
  Seen seen;
  std::string wrong =
      Look(machine->disk().AfterKill(1).get(), machine->expectation(), contents, &seen);
  if (!wrong.empty()) return "then " + wrong;
  // Cleaning up, if it is not refused, must not build on what a power loss can undo.
  wrong = Act(machine, {Verb::kCleanUp, {}, 0, 0, 0}, 0);
  for (const CrashState& state : machine->disk().CrashStates(1, 1)) {
    if (!wrong.empty()) return "then " + wrong;
    wrong =
        Look(machine->disk().AfterCrash(state, 1).get(), machine->expectation(), contents, &seen);
  }
  if (!wrong.empty()) return "after cleaning up and a power loss " + wrong;
  const Action more[] = {{Verb::kSave, {777}, 9, 0, 0}, {Verb::kCleanUp, {}, 0, 0, 0}};
  for (const Action& action : more) {
    wrong = Act(machine, action, 0);
    if (!wrong.empty()) return "then " + wrong;
  }
  if (!machine->expectation().Sure() || !machine->expectation().Allows(777, 9)) {
    return "the next save did not work";
  }
  wrong = LookAt(*machine->store(), machine->expectation(), contents, &seen);
  if (!wrong.empty()) return "then the same handle: " + wrong;
  wrong = Surplus(machine->disk(), *machine->store()->catalog(), {});
  if (!wrong.empty()) return "after cleaning up " + wrong;
  wrong = Act(machine, {Verb::kClose, {}, 0, 0, 0}, 0);
  if (wrong.empty() && machine->disk().handles() != 0) wrong = "a handle stays open";
  if (wrong.empty() && !machine->disk().violations().empty())
    wrong = machine->disk().violations()[0];
  if (!wrong.empty()) return "then " + wrong;
  CrashState worst;
  worst.unsynced = Unsynced::kLost;
  wrong = Look(machine->disk().AfterCrash(worst, 1).get(), machine->expectation(), contents, &seen);
  return wrong.empty() ? "" : "after a power loss " + wrong;
}

struct Start {
  std::unique_ptr<FileSystem> disk;
  Expectation expected;
};

Start Before(const Scenario& scenario) {
  std::string wrong;
  Start start;
  start.expected.store_may_lack = true;
  Machine machine(std::make_unique<FileSystem>(1), start.expected, &loop_of_all_tests->contents);
  for (const Action& action : scenario.before) {
    const Status status = machine.Run(action, &wrong);
    if (!status.ok()) fprintf(stderr, "%s\n", action.Text().c_str());
  }
  start.expected = machine.expectation();
  start.disk = machine.TakeDisk();
  return start;
}

// False once the fault lies behind the last operation.
bool FailAt(const Scenario& scenario, const Start& start, uint64_t at, Mode mode, int os_error) {
  Totals& totals = loop_of_all_tests->totals;
  Contents* contents = &loop_of_all_tests->contents;
  Machine machine(start.disk->AfterShutdown(7), start.expected, contents);
  Fault fault;
  fault.at = at;
  fault.os_error = os_error;
  fault.happens = mode == Mode::kOnceHappens;
  fault.for_ever = mode >= Mode::kForEver;
  fault.then = mode == Mode::kForEverChanges ? kChanges : kAll;
  fault.then_its_kind = mode == Mode::kForEver;
  machine.disk().SetFault(fault);
  std::string wrong;
  for (const Action& action : scenario.actions) {
    if (wrong.empty()) wrong = Act(&machine, action, os_error);
  }
  const bool hit = machine.disk().faults_hit() != 0;
  machine.disk().SetFault(Fault());
  if (wrong.empty()) wrong = GoOn(&machine, contents);
  ++totals.runs;
  if (wrong.empty()) return hit;
  if (++totals.bad <= 40) {
    fprintf(stderr, "%s, operation %d fails with %d (%s): %s\n", scenario.name.c_str(),
            static_cast<int>(at), os_error, kModeNames[static_cast<int>(mode)], wrong.c_str());
  }
  return hit;
}

// How many runs were bad.
uint64_t FailEverywhere(Mode mode) {
  const Totals before = loop_of_all_tests->totals;
  uint64_t turn = 0;
  for (const Scenario& scenario : Scenarios()) {
    const bool kills = std::any_of(scenario.actions.begin(), scenario.actions.end(),
                                   [](const Action& a) { return a.verb == Verb::kKill; });
    if (kills || scenario.strangers != Strangers::kNone) continue;
    const Start start = Before(scenario);
    bool hit = true;
    for (uint64_t at = 1; hit; ++at) {
      const uint64_t errors = loop_of_all_tests->all ? kErrorCount : 1;
      for (uint64_t i = 0; i < errors; ++i) {
        hit = FailAt(scenario, start, at, mode, kErrors[turn++ % kErrorCount]);
      }
    }
  }
  return loop_of_all_tests->totals.bad - before.bad;
}

void AnOperationThatFailsOnceLosesNothing(void**) {
  assert_int_equal(FailEverywhere(Mode::kOnce), 0);
}

void AnOperationThatHappensAndAnswersAnErrorLosesNothing(void**) {
  assert_int_equal(FailEverywhere(Mode::kOnceHappens), 0);
}

void AKindOfOperationThatFailsForEverLosesNothing(void**) {
  assert_int_equal(FailEverywhere(Mode::kForEver), 0);
}

void AMediumThatTakesNoChangesAnyMoreLosesNothing(void**) {
  assert_int_equal(FailEverywhere(Mode::kForEverChanges), 0);
}

void AMediumThatFailsForEverLosesNothing(void**) {
  assert_int_equal(FailEverywhere(Mode::kForEverAll), 0);
}

}  // namespace

int main(int argc, char** argv) {
  Loop loop;
  loop.all = argc > 1 && std::string(argv[1]) == "--all";
  loop_of_all_tests = &loop;
  const CMUnitTest tests[] = {
      cmocka_unit_test(AnOperationThatFailsOnceLosesNothing),
      cmocka_unit_test(AnOperationThatHappensAndAnswersAnErrorLosesNothing),
      cmocka_unit_test(AKindOfOperationThatFailsForEverLosesNothing),
      cmocka_unit_test(AMediumThatTakesNoChangesAnyMoreLosesNothing),
      cmocka_unit_test(AMediumThatFailsForEverLosesNothing),
  };
  const auto start = std::chrono::steady_clock::now();
  const int failed = cmocka_run_group_tests_name("error_loop", tests, nullptr, nullptr);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto number = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  if (loop.all) {
    printf(
        "{\"test\":\"failing operations\",\"runs\":%llu,\"failed_actions\":%llu,"
        "\"outcomes_unknown\":%llu,\"bad\":%llu,\"seconds\":%.1f}\n",
        number(loop.totals.runs), number(loop.totals.failed_actions), number(loop.totals.unknown),
        number(loop.totals.bad), seconds);
  }
  return failed;
}

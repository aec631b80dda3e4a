// SPDX-License-Identifier: Apache-2.0
// What the machines of the crash tests do.
#include "crash_model.h"

namespace crash {
namespace {

Action Create() { return {Verb::kCreate, {}, 0, 0, 0}; }
Action Open() { return {Verb::kOpen, {}, 0, 0, 0}; }
Action Save(int64_t step, int number) { return {Verb::kSave, {step}, number, 0, 0}; }
Action Overwrite(int64_t step, int number) { return {Verb::kOverwrite, {step}, number, 0, 0}; }
Action Remove(std::vector<int64_t> steps) { return {Verb::kRemove, std::move(steps), 0, 0, 0}; }
Action CleanUp() { return {Verb::kCleanUp, {}, 0, 0, 0}; }
Action Close() { return {Verb::kClose, {}, 0, 0, 0}; }
Action Kill() { return {Verb::kKill, {}, 0, 0, 0}; }
Action Failing(Action action, uint64_t change, int os_error) {
  action.fault = change;
  action.os_error = os_error;
  return action;
}

constexpr int kErrors[] = {5, 28, 122, 30, 13, 24};  // EIO ENOSPC EDQUOT EROFS EACCES EMFILE

std::vector<Action> Three() { return {Create(), Save(1, 1), Save(2, 2), Save(3, 3), Close()}; }

}  // namespace

std::vector<Scenario> Scenarios() {
  std::vector<Scenario> all = {
      {"create", {}, {Create(), Save(1, 1), Close()}, Strangers::kNone},
      {"save", Three(), {Open(), Save(4, 4), Save(5, 5), Close()}, Strangers::kNone},
      {"save out of order",
       Three(),
       {Open(), Save(9, 4), Save(0, 5), Save(8, 6)},
       Strangers::kNone},
      {"retain",
       Three(),
       {Open(), Save(4, 4), Remove({1}), Save(5, 5), Remove({2, 3})},
       Strangers::kNone},
      {"overwrite",
       Three(),
       {Open(), Overwrite(2, 4), Remove({}), Overwrite(3, 5), Remove({})},
       Strangers::kNone},
      {"overwrite twice",
       Three(),
       {Open(), Overwrite(3, 4), Overwrite(3, 5), Overwrite(1, 6), CleanUp()},
       Strangers::kNone},
      {"delete",
       Three(),
       {Open(), Remove({1}), Remove({3}), Save(3, 4), Remove({2, 3})},
       Strangers::kNone},
      {"delete all", Three(), {Open(), Remove({1, 2, 3}), Save(1, 4), Close()}, Strangers::kNone},
      {"delete what was overwritten",
       Three(),
       {Open(), Overwrite(2, 4), Remove({2}), Save(2, 5), Remove({1, 2})},
       Strangers::kNone},
      {"killed",
       Three(),
       {Open(), Save(4, 4), Kill(), Open(), Remove({2, 4}), Kill(), Open(), Overwrite(1, 5), Kill(),
        Open(), Close()},
       Strangers::kNone},
  };
  const size_t plain = all.size();
  for (size_t i = 1; i < plain; ++i) {
    Scenario scenario = all[i];
    scenario.name += " among strangers";
    scenario.strangers = Strangers::kInVersionsToo;
    all.push_back(std::move(scenario));
  }
  return all;
}

Scenario RandomScenario(uint64_t seed, uint32_t length) {
  uint64_t state = seed;
  const auto draw = [&](uint64_t n) {
    state = Mix(state, 7);
    return (state >> 16) % n;
  };
  Scenario scenario{"random " + std::to_string(seed),
                    Three(),
                    {Open()},
                    draw(3) == 0 ? Strangers::kAround : Strangers::kNone};
  int number = 10;
  std::set<int64_t> steps = {1, 2, 3};
  for (uint32_t i = 0; i < length; ++i) {
    const int64_t step = static_cast<int64_t>(draw(6));
    const bool there = steps.count(step) != 0;
    const uint64_t kind = draw(8);
    Action action = Overwrite(step, number);  // a failure before leaves open whether it is there
    if (kind == 0) action = CleanUp();
    if (kind == 1) {
      scenario.actions.push_back(draw(2) == 0 ? Kill() : Close());
      action = Open();
    }
    if (kind >= 6 && there && steps.size() > 1) {
      action = Remove({step});
      if (draw(2) == 0)
        action.steps.push_back(step == *steps.begin() ? *steps.rbegin() : *steps.begin());
    }
    ++number;
    const bool fails = action.verb != Verb::kOpen && draw(4) == 0;
    if (fails) action = Failing(action, 1 + draw(12), kErrors[draw(6)]);
    scenario.actions.push_back(action);
    if (fails && draw(2) == 0)
      scenario.actions.push_back(draw(2) == 0 ? CleanUp() : Overwrite(7, ++number));
    if (action.verb == Verb::kOverwrite) steps.insert(step);
    if (action.verb == Verb::kRemove) {
      for (const int64_t removed : action.steps) steps.erase(removed);
    }
  }
  return scenario;
}

}  // namespace crash

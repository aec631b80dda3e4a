// SPDX-License-Identifier: Apache-2.0
// Every way for the power to fail in the life of a store, and the verdict on what is found then.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "contents.h"
#include "machine.h"
#include "recording_storage.h"

namespace crash {

// Files that are nobody's and lie there from the start.
enum class Strangers : uint8_t { kNone, kAround, kInVersionsToo };

struct Scenario {
  std::string name;
  std::vector<Action> before;   // without a crash
  std::vector<Action> actions;  // a crash after every operation
  Strangers strangers = Strangers::kNone;
};

// The scenarios that are written by hand, and one of `length` random actions for a seed.
std::vector<Scenario> Scenarios();
Scenario RandomScenario(uint64_t seed, uint32_t length);

struct Figures {
  uint64_t scenarios = 0;
  uint64_t operations = 0;  // after which the power failed
  uint64_t crashes = 0;     // an operation, a subset of the names, remains of the bytes
  uint64_t states = 0;      // of them: different disks, each of which was judged
  uint64_t killed = 0;      // of the states: the process was killed, the power stayed
  uint64_t recovering = 0;  // of the states: the crash was in a recovery from another crash
  uint64_t bad = 0;
};

struct Limits {
  uint64_t seed = 1;
  uint32_t draws = 1;        // for torn and mixed remains
  uint32_t thin = 1;         // one disk in so many is judged
  uint32_t thin_nested = 1;  // one of so many recoveries is crashed in turn
};

class Explorer {
 public:
  // Adds to the figures.
  void Explore(const Scenario& scenario, const Limits& limits);
  const Figures& figures() const { return figures_; }
  // What was wrong, with all that is needed to find it again; the first ones of each
  // scenario only.
  const std::vector<std::string>& findings() const { return findings_; }

 private:
  // Judges what a crash now would leave.
  void CrashNow(const FileSystem& disk, const Expectation& expected, const Operation& last,
                bool nested);
  // "" or what is wrong after a recovery: verdict (a) to (h) of the crash tests. `expected` is what
  // may be found. `crash_again`: after every operation of the recovery too.
  std::string Judge(FileSystem* disk, const Expectation& expected, bool crash_again);
  std::string Recover(FileSystem* disk, Expectation* expected, Seen* seen, bool crash_again);
  std::string NextSave(manager::Store* store, Expectation* expected);
  void Tell(const std::string& what);

  Limits limits_;
  Figures figures_;
  Contents contents_;
  std::vector<Listed> strangers_;
  std::unordered_set<uint64_t> media_;   // that were crashed
  std::unordered_set<uint64_t> judged_;  // disks
  std::vector<std::string> findings_;
  uint64_t told_ = 0;  // of the scenario
  std::string where_;  // scenario and action, for findings
};

}  // namespace crash

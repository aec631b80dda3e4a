// SPDX-License-Identifier: Apache-2.0
// Every way for the power to fail in the life of a store, and the verdict on what is found then.
//
// After each operation of a scenario all disks are made that a loss of power could leave, and the
// one that a killed process leaves. Each different one is recovered: read, opened by a writer,
// saved to, crashed again in the worst way, opened again. The recoveries of the first level are
// crashed after each of their operations too. The verdict's letters: (a)(c) exactly the old or the
// new versions, the new ones if that was answered; (b) each verifies and is what was handed in; (d)
// no stranger changed; (e) nothing is left over once a writer has opened; (f) a second recovery
// ends as the first; (g) no handle stays open; (h) the next save works.
#include "crash_model.h"

#include <algorithm>

namespace crash {
namespace {

using base::Status;

constexpr int kNextNumber = 9;         // what is saved after every crash
constexpr uint64_t kMaxFindings = 10;  // told of one scenario
// Of how many pending changes all subsets are tried: of a crash, of a crash in a recovery.
constexpr uint64_t kAllSubsets = 12, kAllSubsetsNested = 6;

constexpr const char* kModes[] = {"kept", "lost", "torn", "zeroed", "mixed"};

std::string StateText(const CrashState& state) {
  std::string kept;
  for (uint64_t bits = state.kept; bits != 0; bits >>= 1) kept += (bits & 1) != 0 ? '1' : '0';
  return "names kept " + (kept.empty() ? "none" : kept.substr(0, 64)) + ", bytes " +
         kModes[static_cast<int>(state.unsynced)] + ", draw " + std::to_string(state.draw);
}

void PutFile(storage::Directory* in, const std::string& name, const std::string& text) {
  const auto file = in->CreateToWrite(name, {});
  if (!file.ok()) return;
  Status ignored = (*file)->Append(base::ByteSpan(text));
  ignored = (*file)->Sync();
  ignored = (*file)->Close();
}

// Files of no known name, and names that look like ours and are not: the hash in them is another
// store's.
void PutStrangers(FileSystem* disk, bool in_versions) {
  const std::string folder = "00000001-" + std::string(48, 'a');
  const auto root = disk->OpenRoot();
  PutFile(root.get(), "beside", "1");
  const auto run = root->OpenChild(kStoreFolder);
  PutFile(run->get(), "notes.txt", "2");
  const auto manifests = (*run)->OpenChild("manifests"), data = (*run)->OpenChild("data");
  PutFile(manifests->get(), "0000000000000000001", "3");
  PutFile(manifests->get(), "." + folder + ".tmp", "4");
  PutFile(data->get(), "default.ring", "5");
  const auto foreign = (*data)->MakeChild(folder);
  PutFile(foreign->get(), "default.ring", "6");
  const auto entries = (*data)->List();
  if (!entries.ok() || !in_versions) return;
  for (const storage::Entry& entry : *entries) {  // in the folders of versions
    if (entry.kind != storage::EntryKind::kDirectory || entry.name == folder) continue;
    const auto version = (*data)->OpenChild(entry.name);
    PutFile(version->get(), "mine.txt", "7");
  }
}

std::vector<Listed> StrangersOf(const FileSystem& with, const FileSystem& without) {
  std::set<std::string> known;
  for (const Listed& listed : without.List()) known.insert(listed.path);
  std::vector<Listed> strangers;
  for (const Listed& listed : with.List()) {
    if (known.count(listed.path) == 0) strangers.push_back(listed);
  }
  return strangers;
}

// Whether an action may fail so: it was made to, or an earlier one was, and so left another state.
bool Fits(const Scenario& scenario, const Action& action, const Status& status) {
  if (action.fault != 0 && Documented(status, action.os_error)) return true;
  const bool failing = std::any_of(scenario.actions.begin(), scenario.actions.end(),
                                   [](const Action& a) { return a.fault != 0; });
  return failing &&
         (status.code() == base::Code::kWrongState || status.code() == base::Code::kNotFound);
}

}  // namespace

void Explorer::Tell(const std::string& what) {
  ++figures_.bad;
  if (++told_ <= kMaxFindings) findings_.push_back(where_ + ": " + what);
}

void Explorer::Explore(const Scenario& scenario, const Limits& limits) {
  limits_ = limits;
  told_ = 0;
  ++figures_.scenarios;
  where_ = scenario.name;
  strangers_.clear();
  std::string wrong;
  Expectation nothing;
  nothing.store_may_lack = true;
  Machine first(std::make_unique<FileSystem>(Mix(limits_.seed, 1)), nothing, &contents_);
  for (const Action& action : scenario.before) {
    const Status status = first.Run(action, &wrong);
    if (!status.ok()) wrong = action.Text() + ": " + std::string(status.message());
  }
  const Expectation expected = first.expectation();
  std::unique_ptr<FileSystem> disk = first.TakeDisk();
  if (scenario.strangers != Strangers::kNone) {
    const std::unique_ptr<FileSystem> without = disk->AfterShutdown(4);
    PutStrangers(disk.get(), scenario.strangers == Strangers::kInVersionsToo);
    disk = disk->AfterShutdown(5);
    strangers_ = StrangersOf(*disk, *without);
  }
  Machine machine(std::move(disk), expected, &contents_);
  machine.set_after([&](const Operation& operation) {
    if ((Bit(operation.kind) & (kChanges | Bit(Op::kNote))) == 0) return;
    ++figures_.operations;
    CrashNow(machine.disk(), machine.expectation(), operation, false);
  });
  for (const Action& action : scenario.actions) {
    if (!wrong.empty()) break;
    where_ = scenario.name + ": " + action.Text();
    const Status status = machine.Run(action, &wrong);
    if (!status.ok() && !Fits(scenario, action, status)) wrong = std::string(status.message());
  }
  where_ = scenario.name;
  if (!wrong.empty()) Tell(wrong);
  for (const std::string& violation : machine.disk().violations()) Tell(violation);
}

void Explorer::CrashNow(const FileSystem& disk, const Expectation& expected, const Operation& last,
                        bool nested) {
  const uint64_t key = Mix(expected.Hash(), nested ? 1 : 0);
  // Where another crash has led to the very same medium, all of this was done.
  if (!media_.insert(Mix(disk.Medium(), key)).second) return;
  const auto judge = [&](FileSystem* found, uint64_t print, const std::string& state) {
    const uint64_t lot = Mix(print, limits_.seed);
    if (!nested && lot % limits_.thin != 0) return;
    ++figures_.states;
    if (nested) ++figures_.recovering;
    const bool crash_again = !nested && lot / limits_.thin % limits_.thin_nested == 0;
    const std::string wrong = Judge(found, expected, crash_again);
    if (!wrong.empty()) {
      Tell(std::string(nested ? "recovering, " : "") + "after " + NameOf(last.kind) + " '" +
           last.path + "', " + state + ": " + wrong);
    }
  };
  const std::vector<CrashState> states =
      disk.CrashStates(Mix(limits_.seed, figures_.operations), limits_.draws,
                       nested ? kAllSubsetsNested : kAllSubsets);
  figures_.crashes += states.size();
  for (const CrashState& state : states) {
    const std::unique_ptr<FileSystem> found = disk.AfterCrash(state, nested ? 3 : 2);
    const uint64_t print = Mix(found->Fingerprint(), key);
    if (judged_.insert(print).second) judge(found.get(), print, StateText(state));
  }
  // What a killed process leaves differs from all of these while names are pending only.
  if (disk.pending() == 0) return;
  const std::unique_ptr<FileSystem> found = disk.AfterKill(nested ? 3 : 2);
  ++figures_.crashes;
  const uint64_t before = figures_.states;
  judge(found.get(), Mix(disk.Medium(), key), "killed");
  figures_.killed += figures_.states - before;
}

std::string Explorer::Judge(FileSystem* disk, const Expectation& expected, bool crash_again) {
  Seen seen;
  std::string wrong = Look(disk, expected, &contents_, &seen);
  if (!wrong.empty()) return "(a)(b)(c) " + wrong;
  // A power loss has made sure what is seen; a kill has not.
  Expectation now = disk->pending() == 0 ? seen.Exactly() : expected;
  const int64_t handles = disk->handles();
  wrong = Recover(disk, &now, &seen, crash_again);
  disk->set_after(nullptr);
  if (!wrong.empty()) return wrong;
  if (disk->handles() != handles) return "(g) a handle stays open";
  if (!disk->violations().empty()) return disk->violations()[0];
  CrashState worst;
  worst.unsynced = Unsynced::kLost;
  const std::unique_ptr<FileSystem> again = disk->AfterCrash(worst, 5);
  const auto store = manager::Store::Open(again->OpenRoot(), kStoreFolder, {});
  if (!store.ok()) return "(f) " + std::string(store.status().message());
  wrong = LookAt(**store, now, &contents_, &seen);
  if (wrong.empty()) wrong = Surplus(*again, *(*store)->catalog(), strangers_);
  return wrong.empty() ? "" : "(f)(h) " + wrong;
}

std::string Explorer::Recover(FileSystem* disk, Expectation* expected, Seen* seen,
                              bool crash_again) {
  if (crash_again) {
    disk->set_after([this, disk, expected](const Operation& operation) {
      if ((Bit(operation.kind) & kChanges) == 0) return;
      ++figures_.operations;
      CrashNow(*disk, *expected, operation, true);
    });
  }
  const Expectation visible = seen->Exactly();
  const auto store = manager::Store::Open(disk->OpenRoot(), kStoreFolder, {});
  if (!store.ok()) return "(e) no writer can open: " + std::string(store.status().message());
  expected->store_may_lack = false;
  std::string wrong = LookAt(**store, visible, &contents_, seen);
  if (!wrong.empty()) return "(e) opened by a writer: " + wrong;
  *expected = seen->Exactly();
  wrong = Surplus(*disk, *(*store)->catalog(), strangers_);
  if (!wrong.empty()) return "(d)(e) " + wrong;
  wrong = NextSave(store->get(), expected);
  if (!wrong.empty()) return "(h) " + wrong;
  const Status closed = (*store)->Close();
  return closed.ok() ? "" : "(g) " + std::string(closed.message());
}

std::string Explorer::NextSave(manager::Store* store, Expectation* expected) {
  const int64_t step = expected->steps.empty() ? 0 : expected->steps.rbegin()->first + 1;
  expected->steps[step] = {kAbsent, kNextNumber};
  const Status saved = Machine::SaveWritten(store, step, contents_.Get(kNextNumber),
                                            contents_.RecordOf(kNextNumber));
  if (!saved.ok()) return std::string(saved.message());
  expected->steps[step] = {kNextNumber};
  Seen seen;
  return LookAt(*store, *expected, &contents_, &seen);
}

}  // namespace crash

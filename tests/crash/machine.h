// SPDX-License-Identifier: Apache-2.0
// One machine that saves and deletes versions, and what must be found on its disk at any moment.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "contents.h"
#include "manager/store.h"
#include "recording_storage.h"

namespace crash {

namespace manager = treering::manager;

inline constexpr const char* kStoreFolder = "run";
inline constexpr int kAbsent = 0;  // among the numbers of contents

// What may be found: of each step the contents of which one must be there. Steps that are not
// mentioned are not there.
struct Expectation {
  bool store_may_lack = false;
  std::map<int64_t, std::set<int>> steps;

  bool Allows(int64_t step, int number) const;
  // One answer for each step and nothing in doubt.
  bool Sure() const;
  uint64_t Hash() const;
  std::string Text() const;
};

// What was found.
struct Seen {
  bool store = false;
  std::map<int64_t, int> steps;
  Expectation Exactly() const;
};

// "" and *seen, or what is wrong: a store that cannot be read, versions that are not expected,
// contents that are not what was handed in. Opens read-only and changes nothing.
std::string Look(FileSystem* disk, const Expectation& expected, Contents* contents, Seen* seen);
// The same of an open store.
std::string LookAt(const manager::Store& store, const Expectation& expected, Contents* contents,
                   Seen* seen);

// "" or the name of what should not be in the store's folder: nothing but STORE, LOCK, usable
// records, the data that they name, and the strangers, which must be there and unchanged.
std::string Surplus(const FileSystem& disk, const manager::Catalog& catalog,
                    const std::vector<Listed>& strangers);

enum class Verb : uint8_t { kCreate, kOpen, kSave, kOverwrite, kRemove, kCleanUp, kClose, kKill };
struct Action {
  Verb verb = Verb::kOpen;
  std::vector<int64_t> steps;
  int number = 0;
  // The fault-th change of the medium in this action fails.
  uint64_t fault = 0;
  int os_error = 0;

  std::string Text() const;
};

class Machine {
 public:
  Machine(std::unique_ptr<FileSystem> disk, Expectation expectation, Contents* contents);
  ~Machine();

  FileSystem& disk() { return *disk_; }
  const Expectation& expectation() const { return expectation_; }
  manager::Store* store() { return store_.get(); }
  // Told after each operation of an action.
  void set_after(std::function<void(const Operation&)> after);

  // *wrong is filled if the answer, or what the store then says, is not as documented.
  base::Status Run(const Action& action, std::string* wrong);
  // The disk, given away after an orderly end.
  std::unique_ptr<FileSystem> TakeDisk();

  // Saves a version that was written before, into a store that is open.
  static base::Status SaveWritten(manager::Store* store, int64_t step, const Content& content,
                                  format::ManifestRecord record);

 private:
  base::Status Save(int64_t step, int number, bool overwrite);
  void Expect(const Action& action, const Expectation& before, const base::Status& status,
              std::string* wrong);
  // After a commit nothing is in doubt: what is to be seen is there for good.
  void Settle(std::string* wrong);

  std::unique_ptr<FileSystem> disk_;
  Expectation expectation_;
  Contents* contents_;
  std::unique_ptr<manager::Store> store_;
  std::function<void(const Operation&)> after_;
};

// Whether an answer is one that DURABILITY.md gives for a failure of the system.
bool Documented(const base::Status& status, int os_error);

}  // namespace crash

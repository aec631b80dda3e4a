// SPDX-License-Identifier: Apache-2.0
// One machine that saves and deletes versions, and what must be found on its disk at any moment.
//
// While an action runs, the old and the new are both right; once it has answered OK, only the new
// is; once it has failed, only the old, unless the answer was OUTCOME_UNKNOWN or it was a removal,
// of which any part may have happened. The next commit ends all doubt (D8).
#include "machine.h"

#include <algorithm>

#include "container/container.h"
#include "format/names.h"
#include "storage/memory.h"

namespace crash {

using base::ByteSpan;
using base::Code;
using base::Status;

bool Expectation::Allows(int64_t step, int number) const {
  const auto found = steps.find(step);
  return found == steps.end() ? number == kAbsent : found->second.count(number) != 0;
}

bool Expectation::Sure() const {
  return !store_may_lack && std::all_of(steps.begin(), steps.end(),
                                        [](const auto& s) { return s.second.size() == 1; });
}

uint64_t Expectation::Hash() const {
  uint64_t hash = store_may_lack ? 1 : 0;
  for (const auto& [step, numbers] : steps) {
    hash = Mix(hash, static_cast<uint64_t>(step));
    for (const int number : numbers) hash = Mix(hash, 1000 + static_cast<uint64_t>(number));
  }
  return hash;
}

std::string Expectation::Text() const {
  std::string text = store_may_lack ? "perhaps no store; " : "";
  for (const auto& [step, numbers] : steps) {
    text += std::to_string(step) + ":";
    for (const int number : numbers) text += " " + std::to_string(number);
    text += "; ";
  }
  return text;
}

Expectation Seen::Exactly() const {
  Expectation expectation;
  expectation.store_may_lack = !store;
  for (const auto& [step, number] : steps) expectation.steps[step] = {number};
  return expectation;
}

std::string LookAt(const manager::Store& store, const Expectation& expected, Contents* contents,
                   Seen* seen) {
  seen->store = true;
  seen->steps.clear();
  const std::shared_ptr<const manager::Catalog> catalog = store.catalog();
  if (!catalog->bad().empty()) {
    return "record " + catalog->bad()[0].name + ": " + std::string(catalog->bad()[0].why.message());
  }
  for (const manager::Record& record : catalog->versions()) {
    const std::string step = "step " + std::to_string(record->step) + ": ";
    const int number = Contents::NumberOf(*record);
    seen->steps[record->step] = number;
    if (number == kAbsent || !expected.Allows(record->step, number)) {
      return step + std::to_string(number) + " is there; expected is " + expected.Text();
    }
    const auto file = store.OpenFile(*record, {}, "default.ring");
    if (!file.ok()) return step + std::string(file.status().message());
    const auto region = (*file)->Map();
    if (!region.ok()) return step + std::string(region.status().message());
    const std::string wrong = contents->Check(*region, number);
    if (!wrong.empty()) return step + wrong;
    const format::ManifestRecord right = contents->RecordOf(number);
    if (record->files[0].size != right.files[0].size ||
        record->files[0].digest != right.files[0].digest) {
      return step + "the record is that of another container";
    }
  }
  for (const auto& [step, numbers] : expected.steps) {
    if (seen->steps.count(step) == 0 && numbers.count(kAbsent) == 0) {
      return "step " + std::to_string(step) + " is lost; expected is " + expected.Text();
    }
  }
  return {};
}

std::string Look(FileSystem* disk, const Expectation& expected, Contents* contents, Seen* seen) {
  *seen = Seen();
  const uint64_t before = disk->Fingerprint(), pending = disk->pending();
  const int64_t handles = disk->handles();
  std::string wrong;
  {
    manager::StoreOptions options;
    options.mode = manager::OpenMode::kReadOnly;
    const auto store = manager::Store::Open(disk->OpenRoot(), kStoreFolder, options);
    if (store.ok()) {
      wrong = LookAt(**store, expected, contents, seen);
    } else if (!expected.store_may_lack || store.status().code() != Code::kNotFoundFile) {
      wrong = "the store cannot be read: " + std::string(store.status().message());
    }
  }
  if (!wrong.empty()) return wrong;
  if (disk->handles() != handles) return "(g) reading left a handle open";
  const bool changed = disk->Fingerprint() != before || disk->pending() != pending;
  return changed ? "reading changed the disk" : "";
}

// Folders of data/ whose container is whole, which stay while there is no record at all: their
// records may be what was lost (D6).
std::set<std::string> PathsOfWhole(const FileSystem& disk) {
  std::set<std::string> paths;
  for (const Listed& listed : disk.List()) {
    const size_t name = listed.path.rfind("/default.ring");
    if (name == std::string::npos || listed.image == nullptr) continue;
    auto file = treering::storage::OpenRegion(
        treering::storage::BorrowedRegion(listed.image->bytes()), listed.path);
    if (!treering::container::Container::Open(std::move(file), {}).ok()) continue;
    paths.insert(listed.path);
    paths.insert(listed.path.substr(0, name + 1));
  }
  return paths;
}

std::string Surplus(const FileSystem& disk, const manager::Catalog& catalog,
                    const std::vector<Listed>& strangers) {
  const std::string top = std::string(kStoreFolder) + "/";
  std::map<std::string, ImagePtr> right = {
      {top, nullptr}, {top + "manifests/", nullptr}, {top + "data/", nullptr}};
  std::set<std::string> ours = {top + "STORE", top + "LOCK"};
  for (const manager::Record& record : catalog.records()) {
    ours.insert(top + "manifests/" + format::RecordName(record->number));
  }
  for (const std::string& folder : catalog.Folders()) {
    right[top + "data/" + folder + "/"] = nullptr;
    ours.insert(top + "data/" + folder + "/default.ring");
  }
  if (catalog.newest() == 0) ours.merge(PathsOfWhole(disk));
  for (const Listed& stranger : strangers) {
    right[stranger.path] = stranger.image;
    for (size_t at = stranger.path.find('/'); at != std::string::npos;
         at = stranger.path.find('/', at + 1)) {
      right[stranger.path.substr(0, at + 1)] = nullptr;
    }
  }
  if (!catalog.Obsolete().empty()) return "an obsolete record is left";
  std::set<std::string> found;
  for (const Listed& listed : disk.List()) {
    found.insert(listed.path);
    const auto expected = right.find(listed.path);
    if (expected == right.end() && ours.count(listed.path) == 0) return listed.path + " is left";
    if (expected != right.end() && expected->second != nullptr &&
        (listed.image == nullptr || listed.image->hash() != expected->second->hash())) {
      return listed.path + " was changed";
    }
  }
  for (const Listed& stranger : strangers) {
    if (found.count(stranger.path) == 0) return stranger.path + " was removed";
  }
  return {};
}

std::string Action::Text() const {
  constexpr const char* kVerbs[] = {"create", "open",     "save",  "overwrite",
                                    "remove", "clean up", "close", "kill"};
  std::string text = kVerbs[static_cast<int>(verb)];
  for (const int64_t step : steps) text += " " + std::to_string(step);
  if (number != 0) text += " = " + std::to_string(number);
  if (fault != 0) {
    text += " (change " + std::to_string(fault) + " fails: " + std::to_string(os_error) + ")";
  }
  return text;
}

bool Documented(const Status& status, int os_error) {
  const std::string_view message = status.message();
  if (message.empty() || message.back() == '.' || message.find('\n') != message.npos) return false;
  // What is refused because an outcome is unknown has no errno; everything else names its own.
  if (status.code() == Code::kWrongState) return status.os_error() == 0;
  if (status.os_error() != os_error) return false;
  return status.code() == Code::kOutcomeUnknown ||
         base::ClassOf(status.code()) == static_cast<int>(Code::kIo);
}

Machine::Machine(std::unique_ptr<FileSystem> disk, Expectation expectation, Contents* contents)
    : disk_(std::move(disk)), expectation_(std::move(expectation)), contents_(contents) {}

Machine::~Machine() { disk_->set_after(nullptr); }

void Machine::set_after(std::function<void(const Operation&)> after) {
  after_ = std::move(after);
  disk_->set_after(after_);
}

Status Machine::Save(int64_t step, int number, bool overwrite) {
  TR_ASSIGN_OR_RETURN(const auto attempt, store_->Begin(step, {}));
  TR_ASSIGN_OR_RETURN(const auto writer, container::Writer::Create(attempt->file(), {}));
  TR_RETURN_IF_ERROR(writer->AddTree("default", contents_->Get(number).tree));
  TR_RETURN_IF_ERROR(writer->Finish().status());
  TR_RETURN_IF_ERROR(attempt->Seal());
  return store_->Commit(attempt.get(), contents_->RecordOf(number), overwrite, nullptr);
}

Status Machine::SaveWritten(manager::Store* store, int64_t step, const Content& content,
                            format::ManifestRecord record) {
  TR_ASSIGN_OR_RETURN(const auto attempt, store->Begin(step, {}));
  TR_RETURN_IF_ERROR(attempt->file()->Append(ByteSpan(content.file)));
  TR_RETURN_IF_ERROR(attempt->Seal());
  return store->Commit(attempt.get(), std::move(record), false, nullptr);
}

Status Machine::Run(const Action& action, std::string* wrong) {
  const Expectation before = expectation_;
  if (action.verb == Verb::kSave || action.verb == Verb::kOverwrite) {
    std::set<int>& numbers = expectation_.steps[action.steps[0]];
    if (numbers.empty()) numbers.insert(kAbsent);
    numbers.insert(action.number);
  } else if (action.verb == Verb::kRemove) {
    for (const int64_t step : action.steps) expectation_.steps[step].insert(kAbsent);
  }
  Fault fault;
  fault.at = action.fault;
  fault.kinds = kChanges;
  fault.os_error = action.os_error;
  if (action.fault != 0) disk_->SetFault(fault);
  Status status;
  manager::StoreOptions options;
  options.mode = action.verb == Verb::kCreate ? manager::OpenMode::kCreateNew
                                              : manager::OpenMode::kOpenOrCreate;
  switch (action.verb) {
    case Verb::kCreate:
    case Verb::kOpen: {
      auto opened = manager::Store::Open(disk_->OpenRoot(), kStoreFolder, options);
      if (opened.ok()) store_ = std::move(*opened);
      status = opened.status();
      break;
    }
    case Verb::kSave:
    case Verb::kOverwrite:
      status = Save(action.steps[0], action.number, action.verb == Verb::kOverwrite);
      break;
    case Verb::kRemove:
      status = store_->Remove(action.steps);
      break;
    case Verb::kCleanUp:
      status = store_->CleanUp();
      break;
    case Verb::kClose:
      status = store_->Close();
      store_.reset();
      break;
    case Verb::kKill: {
      std::unique_ptr<FileSystem> after = disk_->AfterKill(Mix(disk_->Fingerprint(), 1));
      disk_->set_after(nullptr);
      store_.reset();
      disk_ = std::move(after);
      disk_->set_after(after_);
      break;
    }
  }
  if (action.fault != 0) disk_->SetFault(Fault());
  Expect(action, before, status, wrong);
  disk_->Note(action.Text() + (status.ok() ? ": done" : ": " + std::string(status.message())));
  return status;
}

void Machine::Expect(const Action& action, const Expectation& before, const Status& status,
                     std::string* wrong) {
  const bool save = action.verb == Verb::kSave || action.verb == Verb::kOverwrite;
  const bool opened = action.verb == Verb::kCreate || action.verb == Verb::kOpen;
  if (status.ok()) {
    if (opened) expectation_.store_may_lack = false;
    if (save) expectation_.steps[action.steps[0]] = {action.number};
    if (action.verb == Verb::kRemove) {
      for (const int64_t step : action.steps) expectation_.steps.erase(step);
    }
    if (save || opened) Settle(wrong);
  } else {
    const bool may_have_happened =
        status.code() == Code::kOutcomeUnknown ||
        (action.verb == Verb::kRemove && status.code() != Code::kWrongState &&
         status.code() != Code::kNotFound);
    if (!may_have_happened) expectation_ = before;
  }
  if (!wrong->empty() || store_ == nullptr) return;
  for (const auto& record : store_->catalog()->versions()) {
    if (!expectation_.Allows(record->step, Contents::NumberOf(*record))) {
      *wrong = "the store says that step " + std::to_string(record->step) + " is there";
    }
  }
  for (const auto& [step, numbers] : expectation_.steps) {
    if (numbers.count(kAbsent) == 0 && store_->catalog()->Find(step) == nullptr) {
      *wrong = "the store says that step " + std::to_string(step) + " is not there";
    }
  }
}

void Machine::Settle(std::string* wrong) {
  if (expectation_.Sure()) return;
  Seen seen;
  const std::string found = Look(disk_->AfterKill(1).get(), expectation_, contents_, &seen);
  if (!found.empty()) *wrong = found;
  expectation_ = seen.Exactly();
}

std::unique_ptr<FileSystem> Machine::TakeDisk() {
  store_.reset();
  disk_->set_after(nullptr);
  return disk_->AfterShutdown(Mix(disk_->Fingerprint(), 2));
}

}  // namespace crash

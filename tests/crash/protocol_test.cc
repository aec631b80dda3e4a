// SPDX-License-Identifier: Apache-2.0
// Rules of DURABILITY.md that no crash shows: locks, attempts, and what a failed save may drop.
#include <errno.h>

#include "../storage/scratch.h"
#include "contents.h"
#include "manager/manager.h"
#include "manager/store.h"
#include "recording_storage.h"

namespace {

using crash::Bit;
using crash::Contents;
using crash::Fault;
using crash::FileSystem;
using crash::Op;
using treering::base::Code;
using treering::base::Status;
namespace format = treering::format;
namespace manager = treering::manager;

using Store = std::unique_ptr<manager::Store>;

Store Open(FileSystem* disk) {
  auto store = manager::Store::Open(disk->OpenRoot(), "run", {});
  return store.ok() ? std::move(*store) : nullptr;
}

Fault FailAt(uint64_t at, uint32_t kinds, bool for_ever = false) {
  Fault fault;
  fault.at = at;
  fault.kinds = fault.then = kinds;
  fault.os_error = EIO;
  fault.for_ever = for_ever;
  return fault;
}

// "1 2 3": the steps that are there.
std::string Steps(const manager::Manager& runs) {
  std::string text;
  for (const auto& record : runs.Versions()) text += std::to_string(record->step) + " ";
  return text;
}

Status SaveStep(manager::Manager* runs, int64_t step, Contents* contents) {
  manager::SaveItem item;
  item.name = "default";
  item.tree = &contents->Get(static_cast<int>(step)).tree;
  manager::Saved saved;
  return runs->Save(step, {item}, {}, &saved);
}

// The steps that are left when the n-th operation of these kinds in the save of step 3 fails, of a
// store with steps 1 and 2 whose manager would keep one.
std::string LeftAfter(uint64_t n, uint32_t kinds, bool for_ever = false) {
  FileSystem disk(1);
  Contents contents;
  for (const bool keep_one : {false, true}) {
    manager::ManagerOptions options;
    manager::PreservePolicy latest;
    latest.kind = manager::PreservePolicy::Kind::kLatest;
    latest.n = 1;
    if (keep_one) options.keep_policies = {latest};
    auto opened = manager::Manager::Open(disk.OpenRoot(), "run", options);
    if (!opened.ok()) return std::string(opened.status().message());
    manager::Manager* runs = opened->get();
    if (!keep_one) {
      const bool saved = SaveStep(runs, 1, &contents).ok() && SaveStep(runs, 2, &contents).ok();
      if (!saved) return "no steps";
      continue;
    }
    disk.SetFault(FailAt(n, kinds, for_ever));
    const Status status = SaveStep(runs, 3, &contents);
    disk.SetFault(Fault());
    const bool right = n == 0 ? status.ok() : !status.ok();
    return right ? Steps(*runs) : "another answer";
  }
  return {};
}

void RetentionFollowsACommit(void**) {
  const std::string left = LeftAfter(0, 0);
  assert_string_equal(left.c_str(), "3 ");
}

void ASaveThatFailsDropsNothing(void**) {
  const std::string written = LeftAfter(1, Bit(Op::kSyncFile));
  const std::string renamed = LeftAfter(1, Bit(Op::kRename));
  assert_string_equal(written.c_str(), "1 2 ");
  assert_string_equal(renamed.c_str(), "1 2 ");
}

void ASaveWhoseOutcomeIsUnknownDropsNothing(void**) {
  // Flushes of directories: the attempt's, data/, and behind the rename manifests/.
  const std::string left = LeftAfter(3, Bit(Op::kSyncDirectory));
  assert_string_equal(left.c_str(), "1 2 3 ");
}

void AWriterThatIsRefusedRemovesNothing(void**) {
  int refused = 0, committed = -1;
  {
    FileSystem disk(1);
    Contents contents;
    const Store first = Open(&disk);
    // With a version there, since a whole container without any record would be left alone.
    auto version = first->Begin(4, {});
    Status status = (*version)->file()->Append(treering::base::ByteSpan(contents.Get(4).file));
    status = (*version)->Seal();
    status = first->Commit(version->get(), contents.RecordOf(4), false, nullptr);
    const auto attempt = first->Begin(5, {});
    const auto& content = contents.Get(5);
    status = (*attempt)->file()->Append(treering::base::ByteSpan(content.file));
    refused = static_cast<int>(manager::Store::Open(disk.OpenRoot(), "run", {}).status().code());
    status = (*attempt)->Seal();
    status = first->Commit(attempt->get(), contents.RecordOf(5), false, nullptr);
    const auto file = first->OpenFile(*first->catalog()->Find(5), {}, "default.ring");
    committed = static_cast<int>(status.ok() ? file.status().code() : status.code());
  }
  assert_int_equal(refused, static_cast<int>(Code::kBusy));
  assert_int_equal(committed, 0);
}

void TheFileOfTheLockOutlivesItsHolder(void**) {
  bool there = false, removed = false;
  {
    FileSystem disk(1);
    const Store store = Open(&disk);
    const Status closed = store->Close();
    for (const auto& listed : disk.List()) there = there || listed.path == "run/LOCK";
    for (const auto& operation : disk.log()) {
      removed = removed || (operation.kind == Op::kRemove && operation.path == "/run/LOCK");
    }
  }
  assert_true(there);
  assert_false(removed);
}

void ALockHoldsAgainstItsOwnProcess(void**) {
  int second = 0, after_close = 0;
  {
    scratch::Scratch folder;
    const auto lock = folder->LockFile("LOCK", 0);
    second = static_cast<int>(folder->LockFile("LOCK", 0).status().code());
    { const auto other = folder->OpenToRead("LOCK"); }  // its close drops classic locks
    after_close = static_cast<int>(folder->LockFile("LOCK", 0).status().code());
  }
  assert_int_equal(second, static_cast<int>(Code::kBusy));
  assert_int_equal(after_close, static_cast<int>(Code::kBusy));
}

void TwoAttemptsAtOneStepInOneSecondDiffer(void**) {
  bool both = false, differ = false;
  {
    FileSystem disk(1);
    const Store store = Open(&disk);
    const auto first = store->Begin(5, {}), second = store->Begin(5, {});
    both = first.ok() && second.ok();
    differ = both && (*first)->folder() != (*second)->folder();
  }
  assert_true(both);
  assert_true(differ);
}

void ARetryTakesAFolderOfItsOwn(void**) {
  bool both = false, differ = false;
  {
    FileSystem disk(1);
    const Store store = Open(&disk);
    std::string first;
    {
      const auto attempt = store->Begin(5, {});
      first = attempt.ok() ? (*attempt)->folder() : "";
      // Nothing of it can be removed.
      disk.SetFault(FailAt(1, Bit(Op::kRemove) | Bit(Op::kRemoveChild), true));
    }
    disk.SetFault(Fault());
    const auto second = store->Begin(5, {});
    both = !first.empty() && second.ok();
    differ = both && (*second)->folder() != first;
  }
  assert_true(both);
  assert_true(differ);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(RetentionFollowsACommit),
      cmocka_unit_test(ASaveThatFailsDropsNothing),
      cmocka_unit_test(ASaveWhoseOutcomeIsUnknownDropsNothing),
      cmocka_unit_test(AWriterThatIsRefusedRemovesNothing),
      cmocka_unit_test(TheFileOfTheLockOutlivesItsHolder),
      cmocka_unit_test(ALockHoldsAgainstItsOwnProcess),
      cmocka_unit_test(TwoAttemptsAtOneStepInOneSecondDiffer),
      cmocka_unit_test(ARetryTakesAFolderOfItsOwn),
  };
  return cmocka_run_group_tests_name("protocol", tests, nullptr, nullptr);
}

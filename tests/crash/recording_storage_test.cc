// SPDX-License-Identifier: Apache-2.0
// The recording file system itself: what programs see, what a crash leaves, how it fails on demand.
#include "recording_storage.h"

#include <errno.h>

#include <set>

#include "../storage/scratch.h"

namespace {

using crash::Bit;
using crash::CrashState;
using crash::Fault;
using crash::FileSystem;
using crash::kChanges;
using crash::Listed;
using crash::Op;
using crash::Unsynced;
using treering::base::ByteSpan;
using treering::base::Code;
using treering::base::Status;
using treering::storage::Directory;
using treering::storage::Replace;
using treering::storage::WritableFile;

using Dir = std::unique_ptr<Directory>;
using Writer = std::unique_ptr<WritableFile>;

void Ignore(const Status& status) { static_cast<void>(status.ok()); }

Writer Create(Directory* in, const char* name, uint64_t size) {
  auto file = in->CreateToWrite(name, {});
  if (!file.ok()) return nullptr;
  const std::vector<uint8_t> bytes = scratch::Pattern(size);
  Ignore(file.value()->Append(ByteSpan(bytes)));
  return std::move(file.value());
}

void Put(Directory* in, const char* name, uint64_t size, bool flush) {
  const Writer file = Create(in, name, size);
  if (flush) Ignore(file->Sync());
  Ignore(file->Close());
}

// "nothing", or "name:size", for a file whose bytes are not those of the pattern "name:size!";
// directories end in
// '/'. Separated by blanks.
std::string Text(const FileSystem& fs) {
  std::string text;
  for (const Listed& listed : fs.List()) {
    if (!text.empty()) text += ' ';
    text += listed.path;
    if (listed.image == nullptr) continue;
    const ByteSpan bytes = listed.image->bytes();
    text += ':' + std::to_string(bytes.size);
    const std::vector<uint8_t> right = scratch::Pattern(bytes.size);
    if (bytes.text() != ByteSpan(right).text()) text += '!';
  }
  return text.empty() ? "nothing" : text;
}

// What all crash states look like, in order, without repetition, separated by " | ".
std::string States(const FileSystem& fs, uint32_t draws = 1) {
  std::set<std::string> texts;
  for (const CrashState& state : fs.CrashStates(1, draws)) {
    texts.insert(Text(*fs.AfterCrash(state, 2)));
  }
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : " | ") + text;
  return joined;
}

void AFlushedFileWithAFlushedEntryIsWholeInEveryState(void**) {
  const std::string states = [] {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 1300, true);
    Ignore(root->Sync());
    return States(fs);
  }();
  assert_string_equal(states.c_str(), "a:1300");
}

void BytesThatWereNotFlushedAreThereOrLostOrTornOrZeros(void**) {
  std::string states;
  uint64_t most = 0;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 1300, false);
    Ignore(root->Sync());
    states = States(fs, 16);
    most = fs.CrashStates(1, 1).size();
  }
  assert_string_equal(states.c_str(), "a:0 | a:1024 | a:1300 | a:1300! | a:512");
  assert_int_equal(most, crash::kUnsyncedModes);
}

void TheFlushedHeadOfAFileIsKeptWhenItsTailIsLost(void**) {
  const std::string states = [] {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    const std::vector<uint8_t> bytes = scratch::Pattern(1500);
    const auto file = root->CreateToWrite("a", {});
    Ignore(file.value()->Append(ByteSpan(bytes).Sub(0, 600)));
    Ignore(file.value()->Sync());
    Ignore(file.value()->Append(ByteSpan(bytes).Sub(600, 900)));
    Ignore(root->Sync());
    return States(fs, 16);
  }();
  assert_string_equal(states.c_str(), "a:1024 | a:1500 | a:1500! | a:600");
}

void AnEntryIsSureOnlyOnceItsDirectoryIsFlushed(void**) {
  std::string before, after;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 5, true);
    before = States(fs);
    Ignore(root->Sync());
    after = States(fs);
  }
  assert_string_equal(before.c_str(), "a:5 | nothing");
  assert_string_equal(after.c_str(), "a:5");
}

void FlushingADirectoryDoesNotFlushItsOwnEntry(void**) {
  const std::string states = [] {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    const auto child = root->MakeChild("d");
    Put(child.value().get(), "a", 5, true);
    Ignore(child.value()->Sync());
    return States(fs);
  }();
  assert_string_equal(states.c_str(), "d/ d/a:5 | nothing");
}

void ARenameHappensWhollyOrNotAtAll(void**) {
  const std::string states = [] {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 5, true);
    Ignore(root->Sync());
    Ignore(root->Rename("a", "b", Replace::kNo));
    return States(fs);
  }();
  assert_string_equal(states.c_str(), "a:5 | b:5");
}

void ARenameMaySurviveWithoutTheBytesOfTheFile(void**) {
  const std::string states = [] {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 5, false);
    Ignore(root->Rename("a", "b", Replace::kNo));
    return States(fs);
  }();
  assert_string_equal(states.c_str(), "a:0 | a:5 | a:5! | b:0 | b:5 | b:5! | nothing");
}

void RemovalsThatWereNotFlushedMayComeBackInAnyCombination(void**) {
  const std::string states = [] {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 1, true);
    Put(root.get(), "b", 2, true);
    Ignore(root->Sync());
    Ignore(root->Remove("a"));
    Ignore(root->Remove("b"));
    return States(fs);
  }();
  assert_string_equal(states.c_str(), "a:1 | a:1 b:2 | b:2 | nothing");
}

void ARemovedDirectoryMayComeBackWithWhatWasInIt(void**) {
  std::string states, flushed;
  uint64_t pending = 0;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    const auto child = root->MakeChild("d");
    Put(child.value().get(), "a", 5, true);
    Ignore(child.value()->Sync());
    Ignore(root->Sync());
    Ignore(child.value()->Remove("a"));
    Ignore(root->RemoveChild("d"));
    states = States(fs);
    Ignore(root->Sync());
    flushed = States(fs);
    pending = fs.pending();
  }
  assert_string_equal(states.c_str(), "d/ | d/ d/a:5 | nothing");
  assert_string_equal(flushed.c_str(), "nothing");
  assert_int_equal(pending, 0);
}

void EverySubsetOfTwelvePendingChangesIsAStateAndOfMoreASample(void**) {
  uint64_t twelve = 0, distinct = 0, thirteen = 0;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    for (char name = 'a'; name < 'm'; ++name)
      Put(root.get(), std::string(1, name).c_str(), 0, true);
    twelve = fs.CrashStates(1, 1).size();
    std::set<uint64_t> prints;
    for (const CrashState& state : fs.CrashStates(1, 1)) {
      prints.insert(fs.AfterCrash(state, 2)->Fingerprint());
    }
    distinct = prints.size();
    Put(root.get(), "m", 0, true);
    thirteen = fs.CrashStates(1, 1).size();
  }
  assert_int_equal(twelve, 4096);
  assert_int_equal(distinct, 4096);
  assert_int_equal(thirteen, 64);
}

void AnOrderlyShutdownLosesNothing(void**) {
  std::string text;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 900, false);
    const auto child = root->MakeChild("d");
    for (int i = 0; i < 70; ++i) Put(child.value().get(), std::to_string(100 + i).c_str(), 0, true);
    Put(child.value().get(), "b", 3, false);
    text = Text(*fs.AfterShutdown(2));
  }
  assert_int_equal(text.substr(0, 8) == "a:900 d/", true);
  assert_int_equal(text.substr(text.size() - 5) == "d/b:3", true);
}

void AKilledProcessLeavesPendingWhatWasPending(void**) {
  std::string seen, states;
  bool equal = false;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    const auto child = root->MakeChild("d");
    Put(child.value().get(), "a", 5, true);
    const auto next = fs.AfterKill(2);
    seen = Text(*next);
    states = States(*next);
    equal = states == States(fs);
  }
  assert_string_equal(seen.c_str(), "d/ d/a:5");
  assert_string_equal(states.c_str(), "d/ | d/ d/a:5 | nothing");
  assert_true(equal);
}

// The medium after creating a file in one of three ways.
uint64_t MediumAfter(bool flush_file, bool flush_directory) {
  FileSystem fs(1);
  const Dir root = fs.OpenRoot();
  Put(root.get(), "a", 5, flush_file);
  if (flush_directory) Ignore(root->Sync());
  return fs.Medium();
}

void MediaAreEqualOnlyIfEveryCrashLeavesTheSame(void**) {
  assert_true(MediumAfter(true, true) == MediumAfter(true, true));
  assert_true(MediumAfter(true, true) != MediumAfter(true, false));
  assert_true(MediumAfter(true, true) != MediumAfter(false, true));
  assert_true(MediumAfter(true, false) != MediumAfter(false, false));
}

void ASecondFlushAfterAFailedOneSaysYesSavesNothingAndIsReported(void**) {
  int first = 0, second = 0;
  std::string states, violation;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    const Writer file = Create(root.get(), "a", 5);
    Ignore(root->Sync());
    Fault fault;
    fault.at = 1;
    fault.kinds = Bit(Op::kSyncFile);
    fault.os_error = EIO;
    fs.SetFault(fault);
    first = static_cast<int>(file->Sync().code());
    second = static_cast<int>(file->Sync().code());
    states = States(fs);
    violation = fs.violations().empty() ? "" : fs.violations()[0];
  }
  assert_int_equal(first, static_cast<int>(Code::kIoSync));
  assert_int_equal(second, 0);
  assert_string_equal(states.c_str(), "a:0 | a:5 | a:5!");
  assert_string_equal(violation.c_str(), "'/a' was flushed again after a failure");
}

// The codes of five removals of files that are not there (kNotFoundFile) or fail.
std::string Failures(const Fault& fault) {
  FileSystem fs(1);
  const Dir root = fs.OpenRoot();
  fs.SetFault(fault);
  std::string text;
  for (int i = 0; i < 5; ++i) {
    text += root->Remove("a").code() == Code::kNotFoundFile ? '.' : 'X';
    Ignore(root->Exists("a").status());
  }
  return text;
}

void TheNthOperationOfItsKindsFailsOnceOrForEver(void**) {
  Fault fault;
  fault.at = 2;
  fault.os_error = EIO;
  fault.kinds = Bit(Op::kRemove);
  const std::string once = Failures(fault);
  fault.for_ever = true;
  const std::string for_ever = Failures(fault);
  fault.kinds = crash::kAll;
  fault.at = 3;
  const std::string any = Failures(fault);
  fault.kinds = fault.then = kChanges;
  fault.at = 4;
  const std::string changes = Failures(fault);
  assert_string_equal(once.c_str(), ".X...");
  assert_string_equal(for_ever.c_str(), ".XXXX");
  assert_string_equal(any.c_str(), ".XXXX");
  assert_string_equal(changes.c_str(), "...XX");
}

void AFaultThatHappensTakesEffectAndHalfOfAWrite(void**) {
  int renamed = 0, written = 0;
  std::string text;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 5, true);
    Fault fault;
    fault.at = 1;
    fault.os_error = EIO;
    fault.happens = true;
    fs.SetFault(fault);
    renamed = static_cast<int>(root->Rename("a", "b", Replace::kNo).code());
    const Writer file = Create(root.get(), "c", 0);
    fault.os_error = ENOSPC;
    fs.SetFault(fault);
    const std::vector<uint8_t> bytes = scratch::Pattern(100);
    written = static_cast<int>(file->Append(ByteSpan(bytes)).code());
    text = Text(fs);
  }
  assert_int_equal(renamed, static_cast<int>(Code::kIo));
  assert_int_equal(written, static_cast<int>(Code::kIoNoSpace));
  assert_string_equal(text.c_str(), "b:5 c:50");
}

// What is reported when a record gets its name after a part of what must come before.
struct Order {
  bool flush_data = true, close_data = true, flush_folder = true, flush_parent = true;
  bool flush_record = true;
};

std::string Reported(const Order& order) {
  FileSystem fs(1);
  const Dir root = fs.OpenRoot();
  const auto run = root->MakeChild("run");
  const auto manifests = run.value()->MakeChild("manifests"), data = run.value()->MakeChild("data");
  const auto folder = data.value()->MakeChild("00000001-x");
  const Writer file = Create(folder.value().get(), "default.ring", 5);
  if (order.flush_data) Ignore(file->Sync());
  if (order.close_data) Ignore(file->Close());
  if (order.flush_folder) Ignore(folder.value()->Sync());
  if (order.flush_parent) Ignore(data.value()->Sync());
  Put(manifests.value().get(), ".00000001-x.tmp", 5, order.flush_record);
  Ignore(manifests.value()->Rename(".00000001-x.tmp", "00000000000000000001", Replace::kNo));
  return fs.violations().empty() ? "" : fs.violations()[0].substr(28);
}

void ARecordThatIsNamedBeforeWhatItNamesIsReported(void**) {
  Order order;
  const std::string right = Reported(order);
  order.flush_data = false;
  const std::string data = Reported(order);
  order.flush_data = true, order.close_data = false;
  const std::string open = Reported(order);
  order.close_data = true, order.flush_folder = false;
  const std::string folder = Reported(order);
  order.flush_folder = true, order.flush_parent = false;
  const std::string parent = Reported(order);
  order.flush_parent = true, order.flush_record = false;
  const std::string record = Reported(order);
  assert_string_equal(right.c_str(), "");
  assert_string_equal(data.c_str(), "was named before 'default.ring' was sure");
  assert_string_equal(open.c_str(), "was named before 'default.ring' was sure");
  assert_string_equal(folder.c_str(), "was named before its folder was flushed");
  assert_string_equal(parent.c_str(), "was named before its folder was flushed");
  assert_string_equal(record.c_str(), "was named before it was sure");
}

void ALockIsHeldOnceAndFreedByACrash(void**) {
  int first = 0, second = 0, freed = 0, crashed = 0;
  bool told = false;
  {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    auto lock = root->LockFile("LOCK", 0);
    first = static_cast<int>(lock.status().code());
    Ignore(lock.value()->Write("held"));
    const auto busy = root->LockFile("LOCK", 0);
    second = static_cast<int>(busy.status().code());
    told = busy.status().message() == "held";
    Ignore(root->Sync());
    const auto next = fs.AfterCrash({}, 2);
    crashed = static_cast<int>(next->OpenRoot()->LockFile("LOCK", 0).status().code());
    lock.value().reset();
    freed = static_cast<int>(root->LockFile("LOCK", 0).status().code());
  }
  assert_int_equal(first, 0);
  assert_int_equal(second, static_cast<int>(Code::kBusy));
  assert_true(told);
  assert_int_equal(crashed, 0);
  assert_int_equal(freed, 0);
}

void ARemovedFileStaysReadableThroughItsHandle(void**) {
  const bool readable = [] {
    FileSystem fs(1);
    const Dir root = fs.OpenRoot();
    Put(root.get(), "a", 5, true);
    const auto file = root->OpenToRead("a");
    Ignore(root->Remove("a"));
    uint8_t bytes[5];
    return file.value()->ReadAt(0, bytes, 5).ok() && file.value()->Map().ok();
  }();
  assert_true(readable);
}

void HandlesAreCounted(void**) {
  int64_t most = 0, least = -1;
  {
    FileSystem fs(1);
    {
      const Dir root = fs.OpenRoot();
      const Writer dropped = Create(root.get(), "a", 5);
      const Writer closed = Create(root.get(), "b", 5);
      Ignore(closed->Close());
      const auto reader = root->OpenToRead("a");
      const auto absent = root->OpenToRead("absent");
      const auto child = root->MakeChild("d");
      const auto parent = child.value()->OpenParent();
      const auto lock = root->LockFile("LOCK", 0);
      most = fs.handles();
    }
    least = fs.handles();
  }
  assert_int_equal(most, 6);
  assert_int_equal(least, 0);
}

uint64_t Drawn(uint64_t seed) {
  FileSystem fs(seed);
  uint64_t bits = 0;
  Ignore(fs.OpenRoot()->Random(&bits, sizeof(bits)));
  return bits;
}

void RandomBytesRepeatWithTheSeedOnly(void**) {
  assert_true(Drawn(1) == Drawn(1));
  assert_true(Drawn(1) != Drawn(2));
}

// One pass over all operations, right and wrong ones; the answers as codes and errno.
std::string Answers(Directory* root) {
  std::string text;
  const auto tell = [&](const Status& status) {
    text += std::to_string(static_cast<int>(status.code())) + '/' +
            std::to_string(status.os_error()) + ' ';
  };
  const auto list = [&](const Directory& directory) {
    const auto entries = directory.List();
    for (const auto& entry : entries.value()) {
      text += entry.name + (entry.kind == treering::storage::EntryKind::kDirectory ? "/ " : " ");
    }
  };
  Put(root, "b", 5, true);
  tell(root->CreateToWrite("b", {}).status());
  tell(root->OpenToRead("absent").status());
  tell(root->OpenChild("absent").status());
  tell(root->OpenChild("b").status());
  tell(root->RemoveChild("b"));
  tell(root->Remove("absent"));
  tell(root->SyncFile("b"));
  tell(root->SyncFile("absent"));
  const auto child = root->MakeChild("d");
  tell(child.status());
  tell(root->MakeChild("d").status());
  tell(root->OpenToRead("d").status());
  tell(root->Remove("d"));
  Put(child.value().get(), "x", 700, false);
  tell(root->RemoveChild("d"));
  tell(root->Rename("absent", "y", Replace::kNo));
  Put(root, "a", 3, true);
  tell(root->Rename("a", "b", Replace::kNo));
  tell(root->Rename("a", "b", Replace::kNoChecked));
  tell(root->Rename("a", "b", Replace::kYes));
  list(*root);
  const auto parent = child.value()->OpenParent();
  list(*parent.value());
  uint8_t byte = 0;
  tell(child.value()->OpenToRead("x").value()->ReadAt(699, &byte, 1));
  tell(child.value()->OpenToRead("x").value()->ReadAt(699, &byte, 2));
  tell(child.value()->Remove("x"));
  tell(root->RemoveChild("d"));
  tell(child.value()->CreateToWrite("y", {}).status());
  tell(child.value()->MakeChild("y").status());
  tell(child.value()->Sync());
  tell(root->Exists("d").status());
  tell(root->LockFile("LOCK", 0).status());
  tell(root->LockFile("a/b", 0).status());
  tell(root->CreateToWrite("..", {}).status());
  const Writer closed = Create(root, "z", 1);
  tell(closed->Close());
  tell(closed->Append(ByteSpan()));
  tell(closed->Sync());
  list(*root);
  return text;
}

void EveryOperationAnswersAsThePosixSystemDoes(void**) {
  std::string model, real;
  {
    FileSystem fs(1);
    model = Answers(fs.OpenRoot().get());
    scratch::Scratch folder;
    real = Answers(&*folder);
  }
  assert_string_equal(model.c_str(), real.c_str());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AFlushedFileWithAFlushedEntryIsWholeInEveryState),
      cmocka_unit_test(BytesThatWereNotFlushedAreThereOrLostOrTornOrZeros),
      cmocka_unit_test(TheFlushedHeadOfAFileIsKeptWhenItsTailIsLost),
      cmocka_unit_test(AnEntryIsSureOnlyOnceItsDirectoryIsFlushed),
      cmocka_unit_test(FlushingADirectoryDoesNotFlushItsOwnEntry),
      cmocka_unit_test(ARenameHappensWhollyOrNotAtAll),
      cmocka_unit_test(ARenameMaySurviveWithoutTheBytesOfTheFile),
      cmocka_unit_test(RemovalsThatWereNotFlushedMayComeBackInAnyCombination),
      cmocka_unit_test(ARemovedDirectoryMayComeBackWithWhatWasInIt),
      cmocka_unit_test(EverySubsetOfTwelvePendingChangesIsAStateAndOfMoreASample),
      cmocka_unit_test(AnOrderlyShutdownLosesNothing),
      cmocka_unit_test(AKilledProcessLeavesPendingWhatWasPending),
      cmocka_unit_test(MediaAreEqualOnlyIfEveryCrashLeavesTheSame),
      cmocka_unit_test(ASecondFlushAfterAFailedOneSaysYesSavesNothingAndIsReported),
      cmocka_unit_test(TheNthOperationOfItsKindsFailsOnceOrForEver),
      cmocka_unit_test(AFaultThatHappensTakesEffectAndHalfOfAWrite),
      cmocka_unit_test(ARecordThatIsNamedBeforeWhatItNamesIsReported),
      cmocka_unit_test(ALockIsHeldOnceAndFreedByACrash),
      cmocka_unit_test(ARemovedFileStaysReadableThroughItsHandle),
      cmocka_unit_test(HandlesAreCounted),
      cmocka_unit_test(RandomBytesRepeatWithTheSeedOnly),
      cmocka_unit_test(EveryOperationAnswersAsThePosixSystemDoes),
  };
  return cmocka_run_group_tests_name("recording_storage", tests, nullptr, nullptr);
}

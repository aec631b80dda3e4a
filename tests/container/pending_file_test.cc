// SPDX-License-Identifier: Apache-2.0
// PendingFile: the order of its operations, and what is left when each of them fails.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cmocka_all.h"
#include "container/pending_file.h"

namespace {

using treering::base::ByteSpan;
using treering::base::Code;
using treering::base::Result;
using treering::base::Status;
using treering::container::CommitOptions;
using treering::container::PendingFile;
using treering::storage::Directory;
using treering::storage::ReadableFile;
using treering::storage::Replace;
using treering::storage::WritableFile;
using treering::storage::WriteOptions;

// What a folder holds, what was done to it, and which operation is to fail.
struct Disk {
  std::map<std::string, std::string> files;
  std::vector<std::string> log;
  std::string failing;
  Status Do(const std::string& operation, Code code = Code::kIo) {
    log.push_back(operation);
    return operation == failing ? Status(code, operation + " failed", 5) : Status();
  }
};

class FakeFile : public WritableFile {
 public:
  FakeFile(Disk* disk, std::string name) : disk_(disk), name_(std::move(name)) {}
  Status Append(ByteSpan bytes) override {
    TR_RETURN_IF_ERROR(disk_->Do("append"));
    disk_->files[name_] += bytes.text();
    return Status();
  }
  Status Sync() override { return disk_->Do("sync", Code::kIoSync); }
  Status Close() override { return disk_->Do("close"); }
  const std::string& name() const override { return name_; }

 private:
  Disk* disk_;
  std::string name_;
};

class FakeDirectory : public Directory {
 public:
  explicit FakeDirectory(Disk* disk) : disk_(disk) {}
  Result<std::unique_ptr<ReadableFile>> OpenToRead(std::string_view) const override {
    return Status(Code::kUnsupported, "not here");
  }
  Result<std::unique_ptr<WritableFile>> CreateToWrite(std::string_view name,
                                                      const WriteOptions&) override {
    TR_RETURN_IF_ERROR(disk_->Do("create"));
    if (!disk_->files.emplace(name, "").second) return Status(Code::kAlreadyExists, "there");
    return std::unique_ptr<WritableFile>(new FakeFile(disk_, std::string(name)));
  }
  Status Rename(std::string_view from, std::string_view to, Replace replace) override {
    TR_RETURN_IF_ERROR(disk_->Do("rename"));
    if (replace != Replace::kYes && disk_->files.count(std::string(to)) != 0) {
      return Status(Code::kAlreadyExists, "there");
    }
    disk_->files[std::string(to)] = disk_->files[std::string(from)];
    disk_->files.erase(std::string(from));
    return Status();
  }
  Status Remove(std::string_view name) override {
    TR_RETURN_IF_ERROR(disk_->Do("remove"));
    disk_->files.erase(std::string(name));
    return Status();
  }
  Result<bool> Exists(std::string_view name) const override {
    TR_RETURN_IF_ERROR(disk_->Do("exists"));
    return disk_->files.count(std::string(name)) != 0;
  }
  Status Sync() override { return disk_->Do("sync folder", Code::kIoSync); }
  Result<std::unique_ptr<Directory>> OpenChild(std::string_view) const override {
    return Status(Code::kUnsupported, "not here");
  }
  Result<std::unique_ptr<Directory>> OpenParent() const override {
    return Status(Code::kUnsupported, "not here");
  }
  Status Random(void* dst, uint64_t n) override {
    std::fill_n(static_cast<uint8_t*>(dst), n, uint8_t{0xab});
    return disk_->Do("random");
  }
  Result<std::vector<treering::storage::Entry>> List() const override {
    return Status(Code::kUnsupported, "not here");
  }
  Result<std::unique_ptr<Directory>> MakeChild(std::string_view) override {
    return Status(Code::kUnsupported, "not here");
  }
  Status SyncFile(std::string_view) override { return Status(Code::kUnsupported, "not here"); }
  Status RemoveChild(std::string_view) override { return Status(Code::kUnsupported, "not here"); }
  Result<std::unique_ptr<treering::storage::Lock>> LockFile(std::string_view, int64_t) override {
    return Status(Code::kUnsupported, "not here");
  }
  int64_t Now() const override { return 0; }
  const std::string& name() const override { return name_; }

 private:
  Disk* disk_;
  std::string name_ = "folder";
};

Status Save(Disk* disk, const CommitOptions& options, const std::string& name = "a.ring") {
  TR_ASSIGN_OR_RETURN(
      const auto pending,
      PendingFile::Create(std::unique_ptr<Directory>(new FakeDirectory(disk)), name, options));
  TR_RETURN_IF_ERROR(pending->file()->Append(ByteSpan(std::string_view("new"))));
  return pending->Commit();
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

bool LogIs(const CommitOptions& options, const std::string& expected) {
  Disk disk;
  return Save(&disk, options).ok() && Join(disk.log) == expected && disk.files["a.ring"] == "new" &&
         disk.files.size() == 1;
}

void ACommitFlushesClosesRenamesAndFlushesTheFolder(void** /*state*/) {
  CommitOptions options;
  const bool strict =
      LogIs(options, "exists, random, create, append, sync, close, rename, sync folder");
  options.overwrite = true;
  const bool over = LogIs(options, "random, create, append, sync, close, rename, sync folder");
  options.durable = false;
  const bool quick = LogIs(options, "random, create, append, close, rename");
  assert_true(strict);
  assert_true(over);
  assert_true(quick);
}

// With an old file there and one operation failing: code, and whether all is as before.
struct Failure {
  Code code;
  bool untouched;
};
Failure FailAt(const char* operation) {
  Disk disk;
  disk.files["a.ring"] = "old";
  disk.failing = operation;
  CommitOptions options;
  options.overwrite = true;
  const Code code = Save(&disk, options).code();
  return {code, disk.files.size() == 1 && disk.files["a.ring"] == "old"};
}

void AFailingOperationLeavesTheOldFileAndNothingElse(void** /*state*/) {
  for (const char* operation : {"random", "create", "append", "close", "rename"}) {
    const Failure failure = FailAt(operation);
    assert_true(failure.code == Code::kIo);
    assert_true(failure.untouched);
  }
  const Failure sync = FailAt("sync");
  assert_true(sync.code == Code::kIoSync);
  assert_true(sync.untouched);
}

void AFailedFlushIsNotTriedAgain(void** /*state*/) {
  Disk disk;
  disk.failing = "sync";
  const bool failed = !Save(&disk, CommitOptions()).ok();
  const auto syncs = std::count(disk.log.begin(), disk.log.end(), "sync");
  const std::string last = disk.log.back();
  const bool removed = last == "remove";
  assert_true(failed);
  assert_int_equal(syncs, 1);
  assert_true(removed);
}

void AFolderThatCannotBeFlushedIsAnUnknownOutcome(void** /*state*/) {
  Disk disk;
  disk.files["a.ring"] = "old";
  disk.failing = "sync folder";
  CommitOptions options;
  options.overwrite = true;
  const Status status = Save(&disk, options);
  const bool in_place = disk.files.size() == 1 && disk.files["a.ring"] == "new";
  const int code = static_cast<int>(status.code());
  const int os_error = status.os_error();
  assert_int_equal(code, static_cast<int>(Code::kOutcomeUnknown));
  assert_int_equal(os_error, 5);
  assert_true(in_place);
}

Failure CreateWhereAFileIs() {
  Disk disk;
  disk.files["a.ring"] = "old";
  const Code code = Save(&disk, CommitOptions()).code();
  return {code, disk.files.size() == 1 && disk.files["a.ring"] == "old" && disk.log.size() == 1};
}

// Somebody else makes the name between Create and Commit.
Failure LoseTheRace() {
  Disk disk;
  auto pending = PendingFile::Create(std::unique_ptr<Directory>(new FakeDirectory(&disk)), "a.ring",
                                     CommitOptions());
  disk.files["a.ring"] = "theirs";
  const Code code = pending.value()->Commit().code();
  return {code, disk.files.size() == 1 && disk.files["a.ring"] == "theirs"};
}

void AnExistingNameIsRefusedAtOnceAndInARace(void** /*state*/) {
  const Failure early = CreateWhereAFileIs();
  const Failure late = LoseTheRace();
  assert_true(early.code == Code::kAlreadyExists);
  assert_true(early.untouched);
  assert_true(late.code == Code::kAlreadyExists);
  assert_true(late.untouched);
}

struct Abandoned {
  bool was_hidden;
  bool gone;
  Code twice;
};
Abandoned Abandon() {
  Disk disk;
  Abandoned result{};
  {
    auto pending = PendingFile::Create(std::unique_ptr<Directory>(new FakeDirectory(&disk)),
                                       "a.ring", CommitOptions());
    result.was_hidden = disk.files.count(".a.ring.abababababababababababababababab.tmp") == 1;
  }
  result.gone = disk.files.empty();
  auto pending = PendingFile::Create(std::unique_ptr<Directory>(new FakeDirectory(&disk)), "a.ring",
                                     CommitOptions());
  const bool first = pending.value()->Commit().ok();
  result.twice = first ? pending.value()->Commit().code() : Code::kInternal;
  return result;
}

void AnAbandonedFileIsRemoved(void** /*state*/) {
  const Abandoned result = Abandon();
  assert_true(result.was_hidden);
  assert_true(result.gone);
  assert_true(result.twice == Code::kWrongState);
}

// The temporary name of a long one: its size, and whether it was cut between code points.
std::string TemporaryOf(const std::string& name) {
  Disk disk;
  const auto pending = PendingFile::Create(std::unique_ptr<Directory>(new FakeDirectory(&disk)),
                                           name, CommitOptions());
  return disk.files.begin()->first;
}

void LongNamesAreCutBetweenCharacters(void** /*state*/) {
  std::string wide;
  for (int i = 0; i < 85; ++i) wide += "\xe2\x82\xac";
  const size_t plain = TemporaryOf(std::string(255, 'a')).size();
  const std::string cut = TemporaryOf(wide);
  const size_t size = cut.size();
  const bool whole = (size - 1 - 1 - 32 - 4) % 3 == 0 && size > 250;
  assert_int_equal(plain, 255);
  assert_true(size <= 255);
  assert_true(whole);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(ACommitFlushesClosesRenamesAndFlushesTheFolder),
      cmocka_unit_test(AFailingOperationLeavesTheOldFileAndNothingElse),
      cmocka_unit_test(AFailedFlushIsNotTriedAgain),
      cmocka_unit_test(AFolderThatCannotBeFlushedIsAnUnknownOutcome),
      cmocka_unit_test(AnExistingNameIsRefusedAtOnceAndInARace),
      cmocka_unit_test(AnAbandonedFileIsRemoved),
      cmocka_unit_test(LongNamesAreCutBetweenCharacters),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

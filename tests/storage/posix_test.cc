// SPDX-License-Identifier: Apache-2.0
// Directories and files of a POSIX system: what is refused and how it is told, renames, mappings.
#include "scratch.h"

#include <errno.h>

namespace {

using namespace scratch;
using treering::storage::OpenPosixDirectory;
using treering::storage::OpenPosixFile;
using treering::storage::Region;
using treering::storage::Split;
using treering::storage::SplitDirectory;

void Check(Outcome outcome, Code code, int os_error) {
  assert_int_equal(outcome.code, static_cast<int>(code));
  assert_int_equal(outcome.os_error, os_error);
  assert_true(outcome.tells);
}

Outcome OpenOutcome(void (*prepare)(Scratch*), const char* name) {
  Scratch scratch;
  prepare(&scratch);
  return Of(scratch->OpenToRead(name).status(), name);
}

void AMissingFileIsNotFoundByName(void**) {
  Check(OpenOutcome([](Scratch*) {}, "absent.ring"), Code::kNotFoundFile, ENOENT);
}

void AMissingDirectoryIsNotFoundByName(void**) {
  const Outcome outcome = Of(OpenPosixDirectory("no/such/place").status(), "no/such/place");
  Check(outcome, Code::kNotFoundFile, ENOENT);
}

void ADirectoryIsNotAFile(void**) {
  const auto prepare = [](Scratch* s) { mkdir(s->Path("folder").c_str(), 0777); };
  Check(OpenOutcome(prepare, "folder"), Code::kInvalidArgument, 0);
}

void AFifoIsRefusedWithoutWaitingForItsWriter(void**) {
  const auto prepare = [](Scratch* s) { mkfifo(s->Path("pipe").c_str(), 0666); };
  Check(OpenOutcome(prepare, "pipe"), Code::kInvalidArgument, 0);
}

void ADeviceIsNotAFile(void**) {
  Check(Of(OpenPosixFile("/dev/null").status(), "/dev/null"), Code::kInvalidArgument, 0);
}

void AFileWithoutPermissionIsTold(void**) {
  if (geteuid() == 0) return;  // root may; and skip() is "not ok" in the TAP of cmocka 1.1.5
  const auto prepare = [](Scratch* s) {
    close(open(s->Path("locked").c_str(), O_CREAT | O_WRONLY, 0));
  };
  Check(OpenOutcome(prepare, "locked"), Code::kIoPermission, EACCES);
}

void CreatingAnExistingFileIsRefused(void**) {
  const Outcome outcome = [] {
    Scratch scratch;
    if (!WriteWhole(&*scratch, "a", ByteSpan("old")).ok()) return Outcome();
    const Status status = WriteWhole(&*scratch, "a", ByteSpan("new"));
    return Holds(&*scratch, "a", ByteSpan("old")) ? Of(status, "a") : Outcome();
  }();
  Check(outcome, Code::kAlreadyExists, EEXIST);
}

void CreatingThroughADanglingLinkIsRefused(void**) {
  const Outcome outcome = [] {
    Scratch scratch;
    if (symlink("elsewhere", scratch.Path("link").c_str()) != 0) return Outcome();
    const Status status = WriteWhole(&*scratch, "link", ByteSpan("new"));
    return access(scratch.Path("elsewhere").c_str(), F_OK) != 0 ? Of(status, "link") : Outcome();
  }();
  Check(outcome, Code::kAlreadyExists, EEXIST);
}

void NamesThatAreNoComponentAreRefused(void**) {
  const char* const names[] = {"", ".", "..", "a/b", "/a"};
  for (const char* name : names) {
    const Outcome outcome = [name] {
      Scratch scratch;
      return Of(scratch->OpenToRead(name).status());
    }();
    Check(outcome, Code::kInvalidArgument, 0);
  }
  const Outcome with_nul = Of(OpenPosixFile(std::string_view("a\0b", 3)).status());
  Check(with_nul, Code::kInvalidArgument, 0);
}

void PathsAreSplitAtTheLastSlash(void**) {
  const auto split = [](std::string_view path, const char* directory, const char* name) {
    const auto result = Split(path);
    return result.ok() && result.value().directory == directory && result.value().name == name;
  };
  assert_true(split("a", ".", "a"));
  assert_true(split("/a", "/", "a"));
  assert_true(split("x/y/a.ring", "x/y", "a.ring"));
  for (const char* path : {"", "a/", "..", "x/.", "x/.."}) assert_false(Split(path).ok());
}

void RenamingDoesNotReplaceUnlessAsked(void**) {
  Outcome refused, replaced;
  bool kept = false, moved = false;
  [&] {
    Scratch scratch;
    (void)WriteWhole(&*scratch, "a", ByteSpan("from")).ok();
    (void)WriteWhole(&*scratch, "b", ByteSpan("to")).ok();
    refused = Of(scratch->Rename("a", "b", Replace::kNo), "b");
    kept = Holds(&*scratch, "a", ByteSpan("from")) && Holds(&*scratch, "b", ByteSpan("to"));
    replaced = Of(scratch->Rename("a", "b", Replace::kYes));
    moved = Holds(&*scratch, "b", ByteSpan("from")) && !scratch->Exists("a").value();
  }();
  Check(refused, Code::kAlreadyExists, EEXIST);
  assert_true(kept);
  Check(replaced, Code::kOk, 0);
  assert_true(moved);
}

void RenamingToAFreeNameMovesTheFile(void**) {
  Outcome renamed, missing;
  bool moved = false;
  [&] {
    Scratch scratch;
    (void)WriteWhole(&*scratch, "a", ByteSpan("bytes")).ok();
    renamed = Of(scratch->Rename("a", "b", Replace::kNo));
    moved = Holds(&*scratch, "b", ByteSpan("bytes")) && !scratch->Exists("a").value();
    missing = Of(scratch->Rename("a", "c", Replace::kNo), "a");
  }();
  Check(renamed, Code::kOk, 0);
  assert_true(moved);
  Check(missing, Code::kNotFoundFile, ENOENT);
}

void DirectoriesAreFlushedAndWalkedByComponent(void**) {
  Outcome flushed, child, parent, removed, again;
  bool same = false;
  [&] {
    Scratch scratch;
    mkdir(scratch.Path("inner").c_str(), 0777);
    (void)WriteWhole(&*scratch, "a", ByteSpan("bytes")).ok();
    flushed = Of(scratch->Sync());
    const auto inner = scratch->OpenChild("inner");
    child = Of(inner.status());
    if (!inner.ok()) return;
    const auto outer = inner.value()->OpenParent();
    parent = Of(outer.status());
    same = outer.ok() && Holds(outer.value().get(), "a", ByteSpan("bytes"));
    removed = Of(scratch->Remove("a"));
    again = Of(scratch->Remove("a"), "a");
  }();
  for (const Outcome& outcome : {flushed, child, parent, removed}) Check(outcome, Code::kOk, 0);
  assert_true(same);
  Check(again, Code::kNotFoundFile, ENOENT);
}

void ReadingBeyondTheEndTellsWhereTheBytesEnd(void**) {
  Outcome beyond, wrapping, cut, unmapped;
  [&] {
    Scratch scratch;
    const std::vector<uint8_t> bytes = Pattern(5000);
    (void)WriteWhole(&*scratch, "a", ByteSpan(bytes)).ok();
    const auto file = scratch->OpenToRead("a");
    std::vector<uint8_t> back(6000);
    if (!file.ok()) return;
    beyond = Of(file.value()->ReadAt(4999, back.data(), 2), "a");
    wrapping = Of(file.value()->ReadAt(10, back.data(), UINT64_MAX), "a");
    if (truncate(scratch.Path("a").c_str(), 3000) != 0) return;
    cut = Of(file.value()->ReadAt(1000, back.data(), 4000), "a");
    unmapped = Of(file.value()->Map().status(), "a");
  }();
  Check(beyond, Code::kCorruptTruncated, 0);
  assert_int_equal(beyond.offset, 5000);
  Check(wrapping, Code::kCorruptTruncated, 0);
  Check(cut, Code::kCorruptTruncated, 0);
  assert_int_equal(cut.offset, 3000);
  Check(unmapped, Code::kCorruptTruncated, 0);
}

void AMappingOutlivesItsFile(void**) {
  bool equal = false, empty = false;
  [&] {
    const std::vector<uint8_t> bytes = Pattern(100001);
    std::shared_ptr<const Region> region, nothing;
    {
      Scratch scratch;
      (void)WriteWhole(&*scratch, "a", ByteSpan(bytes)).ok();
      (void)WriteWhole(&*scratch, "b", ByteSpan()).ok();
      const auto file = scratch->OpenToRead("a");
      const auto none = scratch->OpenToRead("b");
      if (!file.ok() || !none.ok()) return;
      auto mapped = file.value()->Map();
      auto mapped_none = none.value()->Map();
      if (!mapped.ok() || !mapped_none.ok()) return;
      region = std::move(mapped.value());
      nothing = std::move(mapped_none.value());
    }
    equal = region->bytes().text() == ByteSpan(bytes).text();
    empty = nothing->bytes().size == 0;
  }();
  assert_true(equal);
  assert_true(empty);
}

void FilesNeverTakeAStandardDescriptor(void**) {
  int reused = -1;
  bool whole = false;
  [&] {
    Scratch scratch;
    const int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    close(STDIN_FILENO);
    whole = WriteWhole(&*scratch, "a", ByteSpan("bytes")).ok();
    const auto file = scratch->OpenToRead("a");
    const auto child = OpenPosixDirectory(scratch.path());
    reused = file.ok() && child.ok() && fcntl(STDIN_FILENO, F_GETFD) < 0 ? 0 : 1;
    if (kept >= 0) dup2(kept, STDIN_FILENO);
    close(kept);
  }();
  assert_true(whole);
  assert_int_equal(reused, 0);
}

void ALinkToADirectoryIsFollowedOnlyWhereThatIsAsked(void**) {
  Outcome unasked;
  bool followed = false, missing = false, above = false;
  [&] {
    Scratch scratch;
    const auto target = scratch->MakeChild("target");
    const auto inner = target.ok() ? target.value()->MakeChild("inner") : scratch->OpenParent();
    if (symlink("target/inner", scratch.Path("link").c_str()) != 0) return;
    if (symlink("absent", scratch.Path("dangling").c_str()) != 0) return;
    unasked = Of(scratch->OpenChild("link").status(), "link");
    const auto linked = scratch->OpenLinkedChild("link");
    followed = inner.ok() && linked.ok();
    missing = scratch->OpenLinkedChild("dangling").status().code() == Code::kNotFoundFile;
    const auto parent = linked.ok() ? linked.value()->OpenParent() : scratch->OpenParent();
    above = parent.ok() && parent.value()->Exists("inner").ok() &&
            parent.value()->Exists("inner").value() && parent.value()->Sync().ok();
  }();
  assert_int_not_equal(unasked.code, 0);
  assert_true(unasked.tells);
  assert_true(followed);
  assert_true(missing);
  assert_true(above);
}

void ADirectorysPathMayEndInDots(void**) {
  bool split = false, resolved = false, missing = false;
  [&] {
    Scratch scratch;
    const auto plain = SplitDirectory("some/run");
    split = plain.ok() && plain.value().directory == "some" && plain.value().name == "run";
    const auto dots = SplitDirectory(scratch.Path(".").c_str());
    resolved = dots.ok() && dots.value().name == scratch.path() && dots.value().directory[0] == '/';
    missing = SplitDirectory(scratch.Path("absent/..")).status().code() == Code::kNotFoundFile;
  }();
  assert_true(split);
  assert_true(resolved);
  assert_true(missing);
}

void RandomBytesDifferEachTime(void**) {
  bool differ = false;
  [&] {
    Scratch scratch;
    std::vector<uint8_t> a(1000), b(1000);
    const bool filled =
        scratch->Random(a.data(), a.size()).ok() && scratch->Random(b.data(), 1000).ok();
    differ =
        filled && a != b && std::vector<uint8_t>(a.end() - 16, a.end()) != std::vector<uint8_t>(16);
  }();
  assert_true(differ);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AMissingFileIsNotFoundByName),
      cmocka_unit_test(AMissingDirectoryIsNotFoundByName),
      cmocka_unit_test(ADirectoryIsNotAFile),
      cmocka_unit_test(AFifoIsRefusedWithoutWaitingForItsWriter),
      cmocka_unit_test(ADeviceIsNotAFile),
      cmocka_unit_test(AFileWithoutPermissionIsTold),
      cmocka_unit_test(CreatingAnExistingFileIsRefused),
      cmocka_unit_test(CreatingThroughADanglingLinkIsRefused),
      cmocka_unit_test(NamesThatAreNoComponentAreRefused),
      cmocka_unit_test(PathsAreSplitAtTheLastSlash),
      cmocka_unit_test(RenamingDoesNotReplaceUnlessAsked),
      cmocka_unit_test(RenamingToAFreeNameMovesTheFile),
      cmocka_unit_test(DirectoriesAreFlushedAndWalkedByComponent),
      cmocka_unit_test(ReadingBeyondTheEndTellsWhereTheBytesEnd),
      cmocka_unit_test(AMappingOutlivesItsFile),
      cmocka_unit_test(ALinkToADirectoryIsFollowedOnlyWhereThatIsAsked),
      cmocka_unit_test(ADirectorysPathMayEndInDots),
      cmocka_unit_test(FilesNeverTakeAStandardDescriptor),
      cmocka_unit_test(RandomBytesDifferEachTime),
  };
  return cmocka_run_group_tests_name("posix", tests, nullptr, nullptr);
}

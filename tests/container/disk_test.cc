// SPDX-License-Identifier: Apache-2.0
// Saving to real paths: what is in the folder afterwards, also when the disk is full.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

#include "../storage/scratch.h"
#include "container/pending_file.h"
#include "written.h"

namespace {

using scratch::Scratch;
using treering::container::CommitOptions;
using treering::container::PendingFile;
using namespace written;

std::vector<std::string> NamesIn(const std::string& path) {
  std::vector<std::string> names;
  DIR* const dir = opendir(path.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

Status Save(const std::string& path, const Tree& tree, const CommitOptions& options) {
  TR_ASSIGN_OR_RETURN(const auto pending, PendingFile::Create(path, options));
  TR_ASSIGN_OR_RETURN(const auto writer, Writer::Create(pending->file(), WriterOptions()));
  TR_RETURN_IF_ERROR(writer->AddTree("default", tree));
  const auto summary = writer->Finish();
  if (!summary.ok()) return summary.status();
  return pending->Commit();
}

Build Large(uint64_t size) {
  Build b;
  b.Container(Kind::kDict, Key(), 1);
  b.Array(Key::String("x"), kUint8, {size}, 3);
  return b;
}

struct Saved {
  Code first = Code::kInternal;
  Code second = Code::kInternal;
  Code over = Code::kInternal;
  bool whole = false;
  bool alone = false;
};

Saved SaveThrice(uint32_t io_threads) {
  Saved saved;
  Scratch folder;
  const Build b = Large(5000000);
  const Tree tree = b.Make();
  CommitOptions options;
  options.write.io_threads = io_threads;
  saved.first = Save(folder.Path("a.ring"), tree, options).code();
  saved.second = Save(folder.Path("a.ring"), tree, options).code();
  options.overwrite = true;
  saved.over = Save(folder.Path("a.ring"), tree, options).code();
  saved.whole = scratch::Holds(&*folder, "a.ring", ByteSpan(Write(tree).bytes));
  saved.alone = NamesIn(folder.path()) == std::vector<std::string>{"a.ring"};
  return saved;
}

void ASavedFileIsAloneInItsFolderAndReplacedOnlyIfAsked(void** /*state*/) {
  for (const uint32_t io_threads : {0u, 1u}) {
    const Saved saved = SaveThrice(io_threads);
    assert_true(saved.first == Code::kOk);
    assert_true(saved.second == Code::kAlreadyExists);
    assert_true(saved.over == Code::kOk);
    assert_true(saved.whole);
    assert_true(saved.alone);
  }
}

struct Refused {
  Code code = Code::kOk;
  bool untouched = false;
};

Refused SaveOver(const char* what, bool (*make)(const char* path), mode_t type) {
  Refused refused;
  Scratch folder;
  const std::string path = folder.Path(what);
  if (!make(path.c_str())) return refused;
  const Build b = Large(100);
  CommitOptions options;
  options.overwrite = true;
  refused.code = Save(path, b.Make(), options).code();
  struct stat info;
  refused.untouched = lstat(path.c_str(), &info) == 0 && (info.st_mode & S_IFMT) == type &&
                      NamesIn(folder.path()) == std::vector<std::string>{what};
  return refused;
}

void OnlyAFileIsReplaced(void** /*state*/) {
  const auto folder = [](const char* path) { return mkdir(path, 0777) == 0; };
  const auto pipe = [](const char* path) { return mkfifo(path, 0666) == 0; };
  const auto link = [](const char* path) { return symlink("/dev/null", path) == 0; };
  const Refused refused[] = {SaveOver("folder", folder, S_IFDIR), SaveOver("pipe", pipe, S_IFIFO),
                             SaveOver("link", link, S_IFLNK)};
  for (const Refused& r : refused) {
    assert_true(r.code == Code::kInvalidArgument);
    assert_true(r.untouched);
  }
}

// The mount is seen by this process alone and ends with it.
bool MountSmall(const std::string& path) {
#ifdef __linux__
  static const bool apart =
      unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return apart && mount("tmpfs", path.c_str(), "tmpfs", 0, "size=6m") == 0;
#else
  (void)path;
  return false;
#endif
}

struct Full {
  bool mounted = false;
  bool old_written = false;
  Code code = Code::kInternal;
  bool untouched = false;
};

Full SaveTooMuch(uint32_t io_threads) {
  Full full;
  Scratch folder;
  const std::string small = folder.Path("small");
  mkdir(small.c_str(), 0777);
  full.mounted = MountSmall(small);
  if (!full.mounted) return full;
  const Build old = Large(100000);
  const Build huge = Large(9000000);
  CommitOptions options;
  options.overwrite = true;
  options.write.io_threads = io_threads;
  full.old_written = Save(small + "/a.ring", old.Make(), options).ok();
  full.code = Save(small + "/a.ring", huge.Make(), options).code();
  full.untouched = NamesIn(small) == std::vector<std::string>{"a.ring"};
  {
    const auto directory = storage::OpenPosixDirectory(small);
    full.untouched =
        full.untouched && directory.ok() &&
        scratch::Holds(directory.value().get(), "a.ring", ByteSpan(Write(old.Make()).bytes));
  }
#ifdef __linux__
  umount2(small.c_str(), MNT_DETACH);
#endif
  return full;
}

void AFullDiskLeavesTheOldFileAndNothingElse(void** /*state*/) {
  for (const uint32_t io_threads : {0u, 1u}) {
    const Full full = SaveTooMuch(io_threads);
    if (!full.mounted) return;  // skip() is "not ok" in the TAP of cmocka 1.1.5
    assert_true(full.old_written);
    assert_true(full.code == Code::kIoNoSpace);
    assert_true(full.untouched);
  }
}

Code SaveAt(const std::string& path) {
  return Save(path, Large(10).Make(), CommitOptions()).code();
}

void PathsThatCannotBeFilesAreRefused(void** /*state*/) {
  assert_true(SaveAt("") == Code::kInvalidArgument);
  assert_true(SaveAt("a/") == Code::kInvalidArgument);
  assert_true(SaveAt("no-such-folder/a.ring") == Code::kNotFoundFile);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(ASavedFileIsAloneInItsFolderAndReplacedOnlyIfAsked),
      cmocka_unit_test(OnlyAFileIsReplaced),
      cmocka_unit_test(AFullDiskLeavesTheOldFileAndNothingElse),
      cmocka_unit_test(PathsThatCannotBeFilesAreRefused),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

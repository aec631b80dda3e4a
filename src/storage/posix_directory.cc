// SPDX-License-Identifier: Apache-2.0
// A directory held open, and the operations on the names in it.
//
// Names are looked up relative to the descriptor, so a directory that is moved or replaced while
// we work does not send our files elsewhere. Creation is exclusive and never follows a link. The
// hard part is renaming without replacing: not every file system can, so there is a ladder, each
// rung tried only where the one above is refused as unknown.
//
// Which names are ours and when to flush is the business of the rooms above.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/random.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <cstring>

#include "storage/posix.h"
#include "storage/posix_file.h"
#include "storage/posix_lock.h"

namespace treering::storage {
namespace {

using base::Code;
using base::Result;
using base::Status;

class PosixDirectory : public Directory {
 public:
  PosixDirectory(Fd fd, std::string name, bool readable = true)
      : fd_(std::move(fd)), name_(std::move(name)), readable_(readable) {}

  Result<std::unique_ptr<ReadableFile>> OpenToRead(std::string_view name) const override;
  Result<std::unique_ptr<WritableFile>> CreateToWrite(std::string_view name,
                                                      const WriteOptions& options) override;
  Status Rename(std::string_view from, std::string_view to, Replace replace) override;
  Status Remove(std::string_view name) override;
  Status SyncFile(std::string_view name) override;
  Result<bool> Exists(std::string_view name) const override;
  Result<std::vector<Entry>> List() const override;
  Result<std::unique_ptr<Directory>> MakeChild(std::string_view name) override;
  Status RemoveChild(std::string_view name) override;
  Result<std::unique_ptr<Lock>> LockFile(std::string_view name, int64_t timeout_ms) override;
  Status Sync() override;
  Result<std::unique_ptr<Directory>> OpenChild(std::string_view name) const override;
  Result<std::unique_ptr<Directory>> OpenLinkedChild(std::string_view name) const override;
  Result<std::unique_ptr<Directory>> OpenParent() const override;
  Status Random(void* dst, uint64_t n) override;
  int64_t Now() const override;
  const std::string& name() const override { return name_; }

 private:
  Status RenameError(int os_error, const std::string& from, const std::string& to) const {
    const bool taken = os_error == EEXIST;
    return StatusFromErrno(os_error, "cannot rename '" + JoinPath(name_, from) + "' to '" + to +
                                         (taken ? "', which is there already" : "'"));
  }
  Status RenameNoReplace(const std::string& from, const std::string& to, bool checked);

  Fd fd_;
  std::string name_;
  bool readable_;
};

Result<std::string> Component(std::string_view name) {
  const bool bad = name.empty() || name == "." || name == ".." ||
                   name.find('/') != std::string_view::npos ||
                   name.find('\0') != std::string_view::npos;
  if (!bad) return std::string(name);
  return Status(Code::kInvalidArgument, "a file name must be one path component, without '/'");
}

// What the listing itself tells, where it does: a name that vanishes after it was listed then stays
// in the list, and whoever opens it learns that the list is old. Else kOther.
EntryKind ListedKind([[maybe_unused]] const dirent& entry) {
#ifdef DT_REG
  if (entry.d_type == DT_REG) return EntryKind::kFile;
  if (entry.d_type == DT_DIR) return EntryKind::kDirectory;
#endif
  return EntryKind::kOther;
}

// One rung of the ladder has answered: `unknown` if the file system does not know the operation.
bool Unknown(int os_error) {
  return os_error == EINVAL || os_error == ENOSYS || os_error == EOPNOTSUPP;
}

// 0 or the errno.
int RenameExclusive(int directory, const char* from, const char* to) {
#if defined(__linux__) && defined(SYS_renameat2)
  constexpr unsigned kNoReplace = 1;  // RENAME_NOREPLACE
  return syscall(SYS_renameat2, directory, from, directory, to, kNoReplace) == 0 ? 0 : errno;
#else
  (void)directory, (void)from, (void)to;
  return ENOSYS;
#endif
}

Result<std::unique_ptr<Directory>> OpenDirectory(int at, const char* name, std::string path,
                                                 int flags = 0) {
  TR_ASSIGN_OR_RETURN(Fd fd, OpenAt(at, name, O_RDONLY | O_DIRECTORY | flags, path));
  return std::unique_ptr<Directory>(new PosixDirectory(std::move(fd), std::move(path)));
}

// One that may only be searched will do: all that is asked of it by name works.
Result<std::unique_ptr<Directory>> OpenAbove(int at, const char* name, std::string path) {
  auto opened = OpenDirectory(at, name, path);
#ifdef O_PATH
  if (!opened.ok() && opened.status().os_error() == EACCES) {
    TR_ASSIGN_OR_RETURN(Fd fd, OpenAt(at, name, O_PATH | O_DIRECTORY, path));
    return std::unique_ptr<Directory>(new PosixDirectory(std::move(fd), std::move(path), false));
  }
#endif
  return opened;
}

Result<std::unique_ptr<ReadableFile>> PosixDirectory::OpenToRead(std::string_view name) const {
  TR_ASSIGN_OR_RETURN(const std::string file, Component(name));
  return OpenRegularFile(fd_.get(), file.c_str(), JoinPath(name_, file));
}

Result<std::unique_ptr<WritableFile>> PosixDirectory::CreateToWrite(std::string_view name,
                                                                    const WriteOptions& options) {
  TR_ASSIGN_OR_RETURN(const std::string file, Component(name));
  std::string path = JoinPath(name_, file);
  TR_ASSIGN_OR_RETURN(
      Fd fd, OpenAt(fd_.get(), file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, path));
  if (options.io_threads == 0) return NewBufferedWriter(std::move(fd), std::move(path));
  return NewRingWriter(std::move(fd), std::move(path), options.io_threads);
}

Status PosixDirectory::RenameNoReplace(const std::string& from, const std::string& to,
                                       bool checked) {
  int error = RenameExclusive(fd_.get(), from.c_str(), to.c_str());
  if (error == 0) return Status();
  if (!Unknown(error)) return RenameError(error, from, to);
  if (linkat(fd_.get(), from.c_str(), fd_.get(), to.c_str(), 0) == 0) {
    if (unlinkat(fd_.get(), from.c_str(), 0) == 0) return Status();
    return Status(Code::kOutcomeUnknown,
                  "'" + JoinPath(name_, to) + "' is there, but its old name '" + from +
                      "' cannot be removed; look before trying again",
                  errno);
  }
  error = errno;
  if (error != EPERM && !Unknown(error)) return RenameError(error, from, to);
  if (!checked) {
    return Status(Code::kUnsupportedFeature,
                  FileSystemOf(fd_.get(), name_) +
                      " can neither rename without replacing nor link; take the writer's lock, or "
                      "choose another file system",
                  error);
  }
  TR_ASSIGN_OR_RETURN(const bool taken, Exists(to));
  if (taken) return RenameError(EEXIST, from, to);
  if (renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) == 0) return Status();
  return RenameError(errno, from, to);
}

Status PosixDirectory::Rename(std::string_view from, std::string_view to, Replace replace) {
  TR_ASSIGN_OR_RETURN(const std::string old_name, Component(from));
  TR_ASSIGN_OR_RETURN(const std::string new_name, Component(to));
  if (replace != Replace::kYes) {
    return RenameNoReplace(old_name, new_name, replace == Replace::kNoChecked);
  }
  if (renameat(fd_.get(), old_name.c_str(), fd_.get(), new_name.c_str()) == 0) return Status();
  return RenameError(errno, old_name, new_name);
}

Status PosixDirectory::Remove(std::string_view name) {
  // Removing is how a failure is undone, lack of memory too: it takes none unless it fails itself.
  char file[NAME_MAX + 1] = {};
  if (name.empty() || name.size() > NAME_MAX || name == "." || name == ".." ||
      name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos) {
    return Component(name).ok() ? StatusFromErrno(ENAMETOOLONG, "cannot remove a file")
                                : Component(name).status();
  }
  std::memcpy(file, name.data(), name.size());
  if (unlinkat(fd_.get(), file, 0) == 0) return Status();
  return StatusFromErrno(errno, "cannot remove '" + JoinPath(name_, file) + "'");
}

Status PosixDirectory::SyncFile(std::string_view name) {
  TR_ASSIGN_OR_RETURN(const std::string file, Component(name));
  const std::string path = JoinPath(name_, file);
  TR_ASSIGN_OR_RETURN(const Fd fd,
                      OpenAt(fd_.get(), file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, path));
  const int error = SyncFd(fd.get());
  return error == 0 ? Status() : SyncFailure(error, path);
}

Result<bool> PosixDirectory::Exists(std::string_view name) const {
  TR_ASSIGN_OR_RETURN(const std::string file, Component(name));
  struct stat info;
  if (fstatat(fd_.get(), file.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  return StatusFromErrno(errno, "cannot look for '" + JoinPath(name_, file) + "'");
}

Status PosixDirectory::Sync() {
  if (!readable_) return StatusFromErrno(EACCES, "cannot flush directory '" + name_ + "'");
  const int error = SyncFd(fd_.get());
  // File systems that keep no entries of their own (some network ones) have nothing to flush.
  if (error == 0 || error == EINVAL || error == ENOTSUP) return Status();
  const Status failed = StatusFromErrno(error, "cannot flush directory '" + name_ + "'");
  return Status(Code::kIoSync, std::string(failed.message()), error);
}

Result<std::unique_ptr<Directory>> PosixDirectory::OpenChild(std::string_view name) const {
  TR_ASSIGN_OR_RETURN(const std::string child, Component(name));
  return OpenDirectory(fd_.get(), child.c_str(), JoinPath(name_, child), O_NOFOLLOW);
}

Result<std::unique_ptr<Directory>> PosixDirectory::OpenLinkedChild(std::string_view name) const {
  TR_ASSIGN_OR_RETURN(const std::string child, Component(name));
  return OpenDirectory(fd_.get(), child.c_str(), JoinPath(name_, child));
}

Result<std::vector<Entry>> PosixDirectory::List() const {
  // A descriptor of its own: reading a directory moves the offset that descriptors share.
  TR_ASSIGN_OR_RETURN(Fd fd, OpenAt(fd_.get(), ".", O_RDONLY | O_DIRECTORY, name_));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()), closedir);
  if (stream == nullptr) return StatusFromErrno(errno, "cannot list '" + name_ + "'");
  fd.Release();
  std::vector<Entry> entries;
  // Only errno tells the end from a failure, and the calls in between set it too.
  for (;;) {
    errno = 0;
    const dirent* const found = readdir(stream.get());
    if (found == nullptr) break;
    const std::string name = found->d_name;
    if (name == "." || name == "..") continue;
    EntryKind kind = ListedKind(*found);
    if (kind == EntryKind::kOther) {
      struct stat info;
      if (fstatat(fd_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        // A name that is gone by now was removed while the directory was read.
        if (errno == ENOENT) continue;
        break;
      }
      kind = S_ISREG(info.st_mode)   ? EntryKind::kFile
             : S_ISDIR(info.st_mode) ? EntryKind::kDirectory
                                     : EntryKind::kOther;
    }
    entries.push_back({name, kind});
  }
  if (errno != 0) return StatusFromErrno(errno, "cannot list '" + name_ + "'");
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

Result<std::unique_ptr<Directory>> PosixDirectory::MakeChild(std::string_view name) {
  TR_ASSIGN_OR_RETURN(const std::string child, Component(name));
  if (mkdirat(fd_.get(), child.c_str(), 0777) != 0) {
    return StatusFromErrno(errno, "cannot create directory '" + JoinPath(name_, child) + "'");
  }
  auto opened = OpenChild(name);
  if (!opened.ok()) static_cast<void>(unlinkat(fd_.get(), child.c_str(), AT_REMOVEDIR));
  return opened;
}

Status PosixDirectory::RemoveChild(std::string_view name) {
  TR_ASSIGN_OR_RETURN(const std::string child, Component(name));
  if (unlinkat(fd_.get(), child.c_str(), AT_REMOVEDIR) == 0) return Status();
  return StatusFromErrno(errno, "cannot remove directory '" + JoinPath(name_, child) + "'");
}

Result<std::unique_ptr<Lock>> PosixDirectory::LockFile(std::string_view name, int64_t timeout_ms) {
  TR_ASSIGN_OR_RETURN(const std::string file, Component(name));
  return LockPosixFile(fd_.get(), file.c_str(), JoinPath(name_, file), timeout_ms);
}

int64_t PosixDirectory::Now() const {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

Result<std::unique_ptr<Directory>> PosixDirectory::OpenParent() const {
  return OpenAbove(fd_.get(), "..", JoinPath(name_, ".."));
}

Status PosixDirectory::Random(void* dst, uint64_t n) {
#ifdef __linux__
  uint8_t* to = static_cast<uint8_t*>(dst);
  while (n != 0) {
    const ssize_t got = getrandom(to, static_cast<size_t>(std::min<uint64_t>(n, 256)), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return StatusFromErrno(errno, "cannot get random bytes");
    to += got;
    n -= static_cast<uint64_t>(got);
  }
  return Status();
#else
  TR_ASSIGN_OR_RETURN(Fd fd, OpenAt(AT_FDCWD, "/dev/urandom", O_RDONLY, "/dev/urandom"));
  uint8_t* to = static_cast<uint8_t*>(dst);
  while (n != 0) {
    const ssize_t got = read(fd.get(), to, static_cast<size_t>(std::min<uint64_t>(n, 256)));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return StatusFromErrno(got < 0 ? errno : EIO, "cannot read '/dev/urandom'");
    to += got;
    n -= static_cast<uint64_t>(got);
  }
  return Status();
#endif
}

Status CheckPath(std::string_view path) {
  if (!path.empty() && path.find('\0') == std::string_view::npos) return Status();
  return Status(Code::kInvalidArgument, "a path must not be empty or contain a NUL character");
}

}  // namespace

Result<SplitPath> Split(std::string_view path) {
  const size_t slash = path.rfind('/');
  SplitPath split;
  if (slash == std::string_view::npos) {
    split.directory = ".";
    split.name = std::string(path);
  } else {
    split.directory = std::string(path.substr(0, slash == 0 ? 1 : slash));
    split.name = std::string(path.substr(slash + 1));
  }
  if (path.find('\0') != std::string_view::npos) {
    return Status(Code::kInvalidArgument, "a path must not contain a NUL character");
  }
  if (split.name.empty() || split.name == "." || split.name == "..") {
    return Status(Code::kInvalidArgument,
                  "'" + std::string(path) + "' names no file; give the path of a file");
  }
  return split;
}

Result<SplitPath> SplitDirectory(std::string_view path) {
  const std::string_view last = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  if ((last != "." && last != "..") || path.find('\0') != std::string_view::npos) {
    return Split(path);
  }
  const std::string asked(path);
  const std::unique_ptr<char, void (*)(void*)> found(realpath(asked.c_str(), nullptr), free);
  if (found == nullptr) return StatusFromErrno(errno, "cannot open '" + asked + "'");
  return Split(found.get());
}

Result<std::unique_ptr<Directory>> OpenPosixDirectory(std::string_view path) {
  TR_RETURN_IF_ERROR(CheckPath(path));
  const std::string name(path);
  return OpenDirectory(AT_FDCWD, name.c_str(), name);
}

Result<std::unique_ptr<Directory>> OpenPosixParent(std::string_view path) {
  TR_RETURN_IF_ERROR(CheckPath(path));
  const std::string name(path);
  return OpenAbove(AT_FDCWD, name.c_str(), name);
}

Result<std::unique_ptr<ReadableFile>> OpenPosixFile(std::string_view path) {
  TR_RETURN_IF_ERROR(CheckPath(path));
  const std::string name(path);
  return OpenRegularFile(AT_FDCWD, name.c_str(), name);
}

}  // namespace treering::storage

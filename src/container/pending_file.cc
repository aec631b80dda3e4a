// SPDX-License-Identifier: Apache-2.0
// A file that comes to exist whole or not at all.
//
// It is written under a temporary name beside its own, flushed, closed, renamed, and its folder is
// flushed. The order is the point: a rename that survives a power loss while the bytes do not would
// leave a torn file under a good name. A flush that fails is never tried again, since the kernel
// has forgotten the dirty pages by then.
//
// Until the rename everything can be undone, and is: by Commit where it fails, else by the
// destructor, which has nobody to tell and only tidies up. After the rename only the folder's flush
// can fail, and then the outcome is unknown.
#include "container/pending_file.h"

#include <new>
#include <string>
#include <utility>

#include "storage/posix.h"

namespace treering::container {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr size_t kMostName = 255;
constexpr size_t kRandomBytes = 16;
constexpr std::string_view kSuffix = ".tmp";

// The name cut such that `.NAME.<32 hex>.tmp` is at most 255 bytes, between code points.
std::string_view Cut(std::string_view name) {
  const size_t most = kMostName - 2 - 2 * kRandomBytes - kSuffix.size();
  if (name.size() <= most) return name;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;
  return name.substr(0, end);
}

Result<std::string> TemporaryName(storage::Directory* directory, std::string_view name) {
  uint8_t random[kRandomBytes];
  TR_RETURN_IF_ERROR(directory->Random(random, sizeof random));
  std::string temporary = "." + std::string(Cut(name)) + ".";
  for (const uint8_t byte : random) {
    temporary += "0123456789abcdef"[byte >> 4];
    temporary += "0123456789abcdef"[byte & 15];
  }
  return temporary.append(kSuffix);
}

Status AlreadyExists(const storage::Directory& directory, const std::string& name) {
  const std::string folder = directory.name() == "/" ? "" : directory.name();
  return Status(Code::kAlreadyExists,
                "'" + folder + "/" + name + "' exists; ask for overwrite, or choose another name");
}

}  // namespace

Result<std::unique_ptr<PendingFile>> PendingFile::Create(
    std::unique_ptr<storage::Directory> directory, std::string_view name,
    const CommitOptions& options) {
  std::unique_ptr<PendingFile> pending(new PendingFile);
  pending->name_ = name;
  pending->options_ = options;
  pending->gone_ = true;  // until there is something to remove
  if (!options.overwrite) {
    TR_ASSIGN_OR_RETURN(const bool exists, directory->Exists(name));
    if (exists) return AlreadyExists(*directory, pending->name_);
  } else {
    // The rename would put the file in the place of a device or a pipe, or fail late at a folder.
    Status status = directory->OpenToRead(name).status();
    if (status.code() == Code::kInvalidArgument) return status;
  }
  TR_ASSIGN_OR_RETURN(pending->temporary_, TemporaryName(directory.get(), name));
  pending->directory_ = std::move(directory);
  // From here on there may be a file: memory can run out between creating it and knowing of it.
  pending->gone_ = false;
  auto file = pending->directory_->CreateToWrite(pending->temporary_, options.write);
  pending->gone_ = file.status().code() == Code::kAlreadyExists;  // then it is somebody else's
  if (!file.ok()) return std::move(file.status());
  pending->file_ = std::move(file.value());
  return pending;
}

Result<std::unique_ptr<PendingFile>> PendingFile::Create(std::string_view path,
                                                         const CommitOptions& options) {
  TR_ASSIGN_OR_RETURN(const storage::SplitPath split, storage::Split(path));
  TR_ASSIGN_OR_RETURN(auto directory, storage::OpenPosixDirectory(split.directory));
  return Create(std::move(directory), split.name, options);
}

PendingFile::~PendingFile() {
  if (gone_) return;
  file_.reset();
  // Nobody is left to be told; what stays behind is told by its name.
  try {
    Status removed = directory_->Remove(temporary_);
    static_cast<void>(removed);
  } catch (const std::bad_alloc&) {  // the message of a failure found no memory
  }
}

Status PendingFile::Commit() {
  if (gone_) {
    return Status(Code::kWrongState, "'" + name_ + "' was committed or given up before");
  }
  const auto replace = options_.overwrite ? storage::Replace::kYes : storage::Replace::kNoChecked;
  Status status = options_.durable ? file_->Sync() : Status();
  if (status.ok()) status = file_->Close();
  if (status.ok()) status = directory_->Rename(temporary_, name_, replace);
  gone_ = true;
  if (!status.ok()) {
    // The failure to be told is the first; the temporary name says what this would have been.
    Status removed = directory_->Remove(temporary_);
    static_cast<void>(removed);
    return status;
  }
  if (!options_.durable) return Status();
  status = directory_->Sync();
  if (status.ok()) return status;
  return Status(Code::kOutcomeUnknown,
                "'" + name_ + "' is in place, but its folder could not be flushed (" +
                    std::string(status.message()) + "); a power loss may take it",
                status.os_error());
}

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// The storage of a POSIX system.
#pragma once

#include "storage/storage.h"

namespace treering::storage {

// A path split into the directory that holds it and its last component.
struct SplitPath {
  std::string directory;  // "." where the path has none
  std::string name;
};
// kInvalidArgument for an empty path, one that ends in '/', "." or "..", or one with a NUL.
base::Result<SplitPath> Split(std::string_view path);
// The same for a directory's path, which may end in "." or "..": then it is that of the directory
// which is there now, as seen from the root.
base::Result<SplitPath> SplitDirectory(std::string_view path);

base::Result<std::unique_ptr<Directory>> OpenPosixDirectory(std::string_view path);
// The directory above one that is to be opened. One that may be searched but not read will do where
// the system has such a thing: only List and Sync are kIoPermission then.
base::Result<std::unique_ptr<Directory>> OpenPosixParent(std::string_view path);
// A regular file only: a directory, a FIFO or a device is kInvalidArgument by name.
base::Result<std::unique_ptr<ReadableFile>> OpenPosixFile(std::string_view path);

// kIoNoSpace for ENOSPC and EDQUOT, kIoPermission, kIoReadOnly, kNotFoundFile, kAlreadyExists,
// kNoMemory, else kIo. `what` is the operation and the file: "cannot open 'x.ring'".
base::Status StatusFromErrno(int os_error, std::string what);

}  // namespace treering::storage

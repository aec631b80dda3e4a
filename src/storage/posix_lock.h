// SPDX-License-Identifier: Apache-2.0
// Locking a file of a POSIX system, and naming the file system that it lies on.
#pragma once

#include <memory>
#include <string>

#include "storage/storage.h"

namespace treering::storage {

// Directory::LockFile for the file `name` in `directory`.
base::Result<std::unique_ptr<Lock>> LockPosixFile(int directory, const char* name, std::string path,
                                                  int64_t timeout_ms);

// "'path' (nfs4 mounted on /home)", as far as the system tells.
std::string FileSystemOf(int fd, const std::string& path);

}  // namespace treering::storage

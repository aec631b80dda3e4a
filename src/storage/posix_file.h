// SPDX-License-Identifier: Apache-2.0
// What a POSIX directory makes: a file to read and the two ways to write one.
#pragma once

#include <memory>
#include <string>

#include "storage/fd.h"
#include "storage/storage.h"

namespace treering::storage {

// Opens name in the directory to read: a regular file, else kInvalidArgument. Never waits, not even
// for the writer of a FIFO. Symbolic links are followed.
base::Result<std::unique_ptr<ReadableFile>> OpenRegularFile(int directory, const char* name,
                                                            std::string path);

// Writes on the calling thread, through the page cache.
std::unique_ptr<WritableFile> NewBufferedWriter(Fd fd, std::string path);

// Writes by `threads` >= 1 threads from a ring of buffers, past the page cache where possible.
std::unique_ptr<WritableFile> NewRingWriter(Fd fd, std::string path, uint32_t threads);

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// A file that comes to exist whole or not at all: temporary name, flush, rename, flush of the
// folder.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "storage/storage.h"

namespace treering::container {

struct CommitOptions {
  bool overwrite = false;
  bool durable = true;
  storage::WriteOptions write;
};

// Sequence of Commit, and what a crash leaves after each step: (created, written) at most a
// temporary file named
// `.NAME.<32 hex>.tmp`; flush; close; rename: the new file whole, or the old; folder flush: the new
// file for good.
class PendingFile {
 public:
  // kAlreadyExists at once if the name exists and overwrite is not asked for.
  static base::Result<std::unique_ptr<PendingFile>> Create(
      std::unique_ptr<storage::Directory> directory, std::string_view name,
      const CommitOptions& options);
  // By path.
  static base::Result<std::unique_ptr<PendingFile>> Create(std::string_view path,
                                                           const CommitOptions& options);
  // Removes the temporary file unless committed.
  ~PendingFile();

  storage::WritableFile* file() { return file_.get(); }
  // kIoSync: nothing exists. kOutcomeUnknown: renamed, but the folder could not be flushed.
  base::Status Commit();

 private:
  PendingFile() = default;
  std::unique_ptr<storage::Directory> directory_;
  std::unique_ptr<storage::WritableFile> file_;
  std::string name_;
  std::string temporary_;
  CommitOptions options_;
  bool gone_ = false;  // renamed or removed
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// The other files that hold chunks of a container: found, checked and opened when first needed.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/status.h"
#include "container/container.h"
#include "container/index_view.h"
#include "storage/storage.h"

namespace treering::container {

// A file whose chunks may be read.
struct ChunkFile {
  const storage::ReadableFile* file = nullptr;
  std::shared_ptr<const storage::Region> region;  // null: to be read
  uint64_t end = 0;                               // where its chunk area ends
};

// Thread-safe. A failure is not remembered: the file may be there next time.
class OtherFiles {
 public:
  // `index` and `options` outlive this.
  void Start(const IndexView* index, const OpenOptions* options, const std::string* name) {
    index_ = index;
    options_ = options;
    name_ = name;
  }
  // Entry `n`, counted from 1 as chunk records do.
  base::Result<const ChunkFile*> Get(uint32_t n);

 private:
  struct Opened {
    std::unique_ptr<storage::ReadableFile> file;
    ChunkFile chunks;
  };
  base::Status Open(uint32_t n, Opened* out) const;
  base::Status OpenNamed(const format::FileRecord& record, std::string_view folder,
                         std::string_view name, Opened* out) const;

  const IndexView* index_ = nullptr;
  const OpenOptions* options_ = nullptr;
  const std::string* name_ = nullptr;
  std::mutex mutex_;
  std::unordered_map<uint32_t, std::unique_ptr<Opened>> opened_;
};

}  // namespace treering::container

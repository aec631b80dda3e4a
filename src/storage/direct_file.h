// SPDX-License-Identifier: Apache-2.0
// A new file whose blocks are written past the page cache, as far as the file system goes along.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/bytes.h"
#include "storage/fd.h"

namespace treering::storage {

// Functions answer 0 or the errno. WriteAt may be called concurrently, also with Reserve.
class DirectFile {
 public:
  static constexpr uint64_t kAlignment = 4096;  // of the memory that is written from

  explicit DirectFile(Fd fd) : fd_(std::move(fd)) {}

  // Asks for direct writing of blocks that are multiples of block_size, at such offsets. Where it
  // cannot be had the file is written through the page cache.
  void GoDirect(uint64_t block_size);
  // What the size of a write must be a multiple of.
  uint64_t granularity() const { return granularity_; }

  // Makes the file at least `end` long, in large steps, so that writes need not extend it. Only
  // ENOSPC and EDQUOT are answered; any other refusal means that writes extend the file after all.
  int Reserve(uint64_t end);
  int WriteAt(base::ByteSpan bytes, uint64_t offset);
  int Truncate(uint64_t size);
  int Sync() { return SyncFd(fd_.get()); }
  int Close() { return fd_.CloseChecked(); }
  bool open() const { return fd_.open(); }

 private:
  int Allocate(uint64_t end);

  Fd fd_;
  std::atomic<bool> direct_{false};
  uint64_t granularity_ = 1;
  uint64_t reserved_ = 0;
  uint64_t step_ = uint64_t{64} << 20;
  bool reserves_ = true;
};

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// System calls that fail on demand, a folder for one test, and what several tests need.
#pragma once

#include <stdint.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "storage/posix.h"

// What the wrapped calls do instead; all zero means the real thing.
struct Faults {
  std::atomic<int> fsync_error{0};
  std::atomic<int> fsync_calls{0};
  std::atomic<int> rename_error{0};  // of renameat2
  std::atomic<int> link_error{0};
  std::atomic<int> write_error{0};  // of every pwrite that begins at or after write_error_from
  std::atomic<int64_t> write_error_from{0};
  std::atomic<bool> refuse_direct{false};  // pwrite on an O_DIRECT descriptor: EINVAL
  std::atomic<int> direct_writes{0};  // pwrites on an O_DIRECT descriptor that were let through
  std::atomic<bool> short_transfers{false};  // pwrite and pread do half, every second one is EINTR

  void Clear();
};
extern Faults faults;

// A new folder, removed with what is in it. Its directory is opened.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  treering::storage::Directory& dir() { return *dir_; }
  const std::string& path() const { return path_; }
  void Put(const std::string& name, std::string_view text) const;
  std::string Get(const std::string& name) const;  // "?" if it cannot be read

 private:
  std::string path_;
  std::unique_ptr<treering::storage::Directory> dir_;
};

// Bytes of no pattern, the same every time.
std::string Noise(size_t n);

// SPDX-License-Identifier: Apache-2.0
// A directory for one test, statuses as plain values, and bytes that differ everywhere.
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

#include <memory>
#include <string>
#include <vector>

#include "storage/posix.h"

namespace scratch {

using treering::base::ByteSpan;
using treering::base::Code;
using treering::base::Status;
using treering::storage::Directory;
using treering::storage::ReadableFile;
using treering::storage::Replace;
using treering::storage::WritableFile;
using treering::storage::WriteOptions;

// What a test compares: trivially destructible, because a failing assert jumps.
struct Outcome {
  int code = -1;
  int os_error = 0;
  uint64_t offset = 0;
  bool tells = false;  // the message holds what was looked for
};

inline Outcome Of(const Status& status, const char* told = "") {
  return {static_cast<int>(status.code()), status.os_error(), status.offset(),
          status.message().find(told) != std::string_view::npos};
}

// A new directory below the current one, removed with all that is in it.
class Scratch {
 public:
  Scratch() {
    char name[] = "storage-test-XXXXXX";
    path_ = mkdtemp(name) != nullptr ? name : "";
    auto opened = treering::storage::OpenPosixDirectory(path_);
    if (opened.ok()) directory_ = std::move(opened.value());
  }
  ~Scratch() {
    directory_.reset();
    nftw(path_.c_str(), RemoveOne, 16, FTW_DEPTH | FTW_PHYS);
  }

  Directory& operator*() { return *directory_; }
  Directory* operator->() { return directory_.get(); }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  static int RemoveOne(const char* path, const struct stat*, int, struct FTW*) {
    return remove(path);
  }
  std::string path_;
  std::unique_ptr<Directory> directory_;
};

inline std::vector<uint8_t> Pattern(uint64_t n) {
  std::vector<uint8_t> bytes(static_cast<size_t>(n));
  uint64_t state = 0x9e3779b97f4a7c15u;
  for (uint8_t& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(state >> 56);
  }
  return bytes;
}

// Creates the file with these bytes; the first failure of any step.
inline Status WriteWhole(Directory* directory, const char* name, ByteSpan bytes,
                         uint32_t io_threads = 0) {
  WriteOptions options;
  options.io_threads = io_threads;
  TR_ASSIGN_OR_RETURN(const auto file, directory->CreateToWrite(name, options));
  TR_RETURN_IF_ERROR(file->Append(bytes));
  TR_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

// True if the file holds exactly these bytes, read in one piece.
inline bool Holds(Directory* directory, const char* name, ByteSpan bytes) {
  const auto file = directory->OpenToRead(name);
  if (!file.ok() || file.value()->size() != bytes.size) return false;
  std::vector<uint8_t> back(static_cast<size_t>(bytes.size) + 1);
  if (!file.value()->ReadAt(0, back.data(), bytes.size).ok()) return false;
  return ByteSpan(back.data(), bytes.size).text() == bytes.text();
}

}  // namespace scratch

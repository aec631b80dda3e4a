// SPDX-License-Identifier: Apache-2.0
// Files and directories behind one small interface: mechanism, no policy.
//
// All input and output of the library goes through these classes, so that tests can record, fail,
// tear and reorder every operation. Implementations: POSIX (posix.h), memory (memory.h), the
// caller's callbacks (callback.h). Messages of failures name the file and the operation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace treering::storage {

// Bytes that stay where they are, unchanged, for as long as the region lives: a mapping, or memory
// that somebody keeps alive. Views handed to callers hold one of these.
class Region {
 public:
  virtual ~Region() = default;
  base::ByteSpan bytes() const { return bytes_; }

 protected:
  base::ByteSpan bytes_;
};

// An open file to read. Every method may be called concurrently.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;

  // Fills dst with exactly n bytes from offset. Retries EINTR and short reads; the end of the file
  // before n bytes is kCorruptTruncated with the offset where the bytes ended.
  virtual base::Status ReadAt(uint64_t offset, void* dst, uint64_t n) const = 0;

  // The whole file as one region, or kUnsupportedNoView where the storage has no such thing.
  virtual base::Result<std::shared_ptr<const Region>> Map() const = 0;

  // The size when the file was opened.
  virtual uint64_t size() const = 0;

  // For messages: a path, "memory", or what the caller called it.
  virtual const std::string& name() const = 0;
};

// A new file, written front to back once. Not thread-safe. Destroying it without Close drops the
// descriptor; the bytes are then nobody's.
class WritableFile {
 public:
  virtual ~WritableFile() = default;

  // Appends all bytes: retries EINTR and short writes. After a failure only Close may follow.
  virtual base::Status Append(base::ByteSpan bytes) = 0;

  // Makes all that was appended survive a power loss. Never call it again after it failed: the
  // kernel has forgotten the dirty pages by then and would answer yes.
  virtual base::Status Sync() = 0;

  // Checked: where quotas or network file systems are in play, this is where a loss is told.
  virtual base::Status Close() = 0;

  virtual const std::string& name() const = 0;
};

struct WriteOptions {
  // 0: write on the calling thread, through the page cache. n > 0: n threads drain a ring of
  // reused buffers, past the page cache where the file system allows it.
  uint32_t io_threads = 0;
};

enum class Replace {
  kNo,         // atomically, or kUnsupportedFeature naming the file system that has no such thing
  kNoChecked,  // where it has none: look, then rename. For a caller that holds a lock on the names,
               // or to whom a race between the two is no loss
  kYes,
};

enum class EntryKind { kFile, kDirectory, kOther };

struct Entry {
  std::string name;
  EntryKind kind = EntryKind::kOther;  // links are kOther: nothing here follows them
};

// An exclusive lock on a file. Destroying it closes the file and no more: then the system frees the
// lock as soon as no child that was forked meanwhile holds it either. That is what a crash does,
// and what a forked child must do, whose parent still holds the lock.
class Lock {
 public:
  virtual ~Lock() = default;
  // Frees the lock for good, whoever shares it.
  virtual base::Status Unlock() = 0;
  // Replaces the text in the file: for people, never flushed, of no authority.
  virtual base::Status Write(std::string_view text) = 0;
};

// One directory, held open; names are single components and never interpreted further. Reading a
// file follows a symbolic link, so that data may be moved to another disk, and so does
// OpenLinkedChild; nothing else does.
class Directory {
 public:
  virtual ~Directory() = default;

  virtual base::Result<std::unique_ptr<ReadableFile>> OpenToRead(std::string_view name) const = 0;
  // Exclusive: an existing name is kAlreadyExists.
  virtual base::Result<std::unique_ptr<WritableFile>> CreateToWrite(
      std::string_view name, const WriteOptions& options) = 0;
  // Within this directory. Replace::kNo: an existing target is kAlreadyExists, atomically where the
  // file system can.
  virtual base::Status Rename(std::string_view from, std::string_view to, Replace replace) = 0;
  virtual base::Status Remove(std::string_view name) = 0;
  // Makes the bytes of a file that was written earlier, by whomever, survive a power loss.
  virtual base::Status SyncFile(std::string_view name) = 0;
  virtual base::Result<bool> Exists(std::string_view name) const = 0;
  // All entries but "." and "..", ascending by name.
  virtual base::Result<std::vector<Entry>> List() const = 0;
  // A new, empty child directory, opened. kAlreadyExists.
  virtual base::Result<std::unique_ptr<Directory>> MakeChild(std::string_view name) = 0;
  // An empty child directory only.
  virtual base::Status RemoveChild(std::string_view name) = 0;
  // Locks the file of that name, which is created if it is not there, and waits for it up to the
  // timeout. kBusy if another holds it: the message is what the holder wrote, or empty.
  // kUnsupportedFeature, naming the file system, where locks do not work.
  virtual base::Result<std::unique_ptr<Lock>> LockFile(std::string_view name,
                                                       int64_t timeout_ms) = 0;
  // Makes the entries themselves (creations, renames, removals) survive a power loss.
  virtual base::Status Sync() = 0;
  // A sibling or child directory by one component; `..` is what OpenParent is for.
  virtual base::Result<std::unique_ptr<Directory>> OpenChild(std::string_view name) const = 0;
  // The same through a symbolic link, in a storage that has any: for a name that the user chose.
  virtual base::Result<std::unique_ptr<Directory>> OpenLinkedChild(std::string_view name) const {
    return OpenChild(name);
  }
  // That which holds this one, whatever link led here. It may be one that can only be searched: see
  // OpenPosixParent.
  virtual base::Result<std::unique_ptr<Directory>> OpenParent() const = 0;
  // Fills dst with n random bytes. Randomness and the clock are part of the storage so that tests
  // repeat.
  virtual base::Status Random(void* dst, uint64_t n) = 0;
  // Nanoseconds since 1970-01-01 UTC.
  virtual int64_t Now() const = 0;
  virtual const std::string& name() const = 0;
};

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// A file system in memory that records every operation, fails on demand and may lose its power.
//
// It keeps two truths: what programs see, and what is on the medium for sure. Bytes of a file are
// sure up to its last successful Sync; a creation, renaming or removal is sure once the directory
// that holds the name was flushed, and pending until then. A crash keeps what is sure, any subset
// of what is pending, and any of several remains of the bytes that were not flushed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/storage.h"

namespace crash {

using Bytes = std::vector<uint8_t>;
namespace base = treering::base;
namespace storage = treering::storage;

enum class Op : uint8_t {
  kOpenToRead,
  kRead,
  kMap,
  kCreate,
  kAppend,
  kSyncFile,
  kClose,
  kRename,
  kRemove,
  kExists,
  kList,
  kMakeChild,
  kRemoveChild,
  kLock,
  kUnlock,
  kLockText,
  kSyncDirectory,
  kOpenChild,
  kOpenParent,
  kRandom,
  kNote,
};
inline constexpr uint32_t kOps = 21;
const char* NameOf(Op kind);

// Sets of kinds are bits.
constexpr uint32_t Bit(Op kind) { return 1u << static_cast<uint32_t>(kind); }
// What may change the medium, a flush included.
inline constexpr uint32_t kChanges = Bit(Op::kCreate) | Bit(Op::kAppend) | Bit(Op::kSyncFile) |
                                     Bit(Op::kClose) | Bit(Op::kRename) | Bit(Op::kRemove) |
                                     Bit(Op::kMakeChild) | Bit(Op::kRemoveChild) | Bit(Op::kLock) |
                                     Bit(Op::kLockText) | Bit(Op::kSyncDirectory);
inline constexpr uint32_t kAll = (1u << kOps) - 1;

struct Operation {
  Op kind = Op::kNote;
  std::string path;
  base::Code result = base::Code::kOk;
  int os_error = 0;
  bool fault = false;  // it was made to fail
};

// The at-th operation of the kinds, counted from when the fault is set, does nothing but answer
// with the error. Notes never fail.
struct Fault {
  uint64_t at = 0;  // 0: none
  uint32_t kinds = kAll;
  int os_error = 0;
  bool for_ever = false;  // and every later one of `then`
  uint32_t then = kAll;
  bool then_its_kind = false;  // `then` is the kind of the first that failed
  bool happens = false;  // it takes effect (an Append: half of it), and yet answers with the error
};

// Bytes of a file that never change, shared by all file systems that have them.
class Image final : public storage::Region {
 public:
  explicit Image(Bytes bytes);
  uint64_t hash() const { return hash_; }

 private:
  Bytes owned_;
  uint64_t hash_;
};
using ImagePtr = std::shared_ptr<const Image>;

// What is left of bytes that were not flushed.
enum class Unsynced : uint8_t {
  kKept,
  kLost,    // the file ends where the flushed bytes end
  kTorn,    // it ends at a multiple of 512 bytes
  kZeroed,  // it has its size, and zeros
  kMixed,   // it has its size, and of each 512 bytes the right ones or zeros
};
inline constexpr uint32_t kUnsyncedModes = 5;

// One way for the power to fail.
struct CrashState {
  uint64_t kept = 0;  // bit i: the i-th pending change happened; later ones than 64 are drawn
  Unsynced unsynced = Unsynced::kKept;
  uint64_t draw = 0;  // where kTorn tears, what kMixed keeps
};

struct Node;
using NodePtr = std::shared_ptr<Node>;

// What programs see below the root, in order: names of directories end in '/'.
struct Listed {
  std::string path;
  ImagePtr image;  // null: a directory
};

// Outlives its handles. Operations may come from several threads; the rest is for one.
class FileSystem {
 public:
  explicit FileSystem(uint64_t seed);
  ~FileSystem();
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  std::unique_ptr<storage::Directory> OpenRoot();

  const std::vector<Operation>& log() const { return log_; }
  // Called after each operation, without a lock held.
  void set_after(std::function<void(const Operation&)> after) { after_ = std::move(after); }
  // An entry of the log that does nothing: "step 3 was acknowledged".
  void Note(std::string what);
  void SetFault(const Fault& fault);
  uint64_t faults_hit() const { return faults_hit_; }
  // Files, directories and locks that are open.
  int64_t handles() const { return handles_; }
  // What was done that no program may do, told once each: a record in manifests/ before all that it
  // names was flushed and closed without error, a second flush after a failed one, a write after a
  // failed one.
  const std::vector<std::string>& violations() const { return violations_; }

  uint64_t pending() const { return pending_.size(); }
  // Whether a file that may be there after a crash has bytes that were not flushed.
  bool unsynced() const;
  // Every subset of the pending changes while there are at most `all_up_to`, else 64 that the seed
  // draws; each with every mode if there are unflushed bytes, those that draw `draws` times.
  std::vector<CrashState> CrashStates(uint64_t seed, uint32_t draws, uint64_t all_up_to = 12) const;
  // The file system that is found when the power is back: everything in it is sure.
  std::unique_ptr<FileSystem> AfterCrash(const CrashState& state, uint64_t seed) const;
  // What the next process finds when this one was killed: all that programs saw, and pending what
  // was pending.
  std::unique_ptr<FileSystem> AfterKill(uint64_t seed) const;
  // What an orderly shutdown leaves: all that programs saw, for sure.
  std::unique_ptr<FileSystem> AfterShutdown(uint64_t seed) const;

  std::vector<Listed> List() const;
  // Equal for equal List().
  uint64_t Fingerprint() const;
  // Equal if all crashes leave the same: a hash of what is sure and of what is pending.
  uint64_t Medium() const;

  // For the handles: runs `body` as one operation, unless a fault says otherwise. What it returns
  // is the answer.
  base::Status Run(Op kind, std::string path, const std::function<base::Status()>& body);

 private:
  friend class RecordingDirectory;
  friend class RecordingWriter;
  friend class RecordingReader;
  friend class RecordingLock;

  using Assignment = std::pair<std::string, NodePtr>;  // null: the name is no more
  struct Change {
    NodePtr directory;
    std::vector<Assignment> assignments;
  };
  // At once for programs, pending for the medium.
  void Apply(const NodePtr& directory, std::vector<Assignment> assignments);
  void FlushDirectory(const NodePtr& directory);
  // All nodes that a crash may leave.
  std::set<const Node*> Reachable() const;
  bool FaultNow(Op kind);
  void Violate(std::string what);
  void CheckRecordOrder(const Node& manifests, const std::string& from, const std::string& to);

  uint64_t random_;
  int64_t clock_ = 0;
  NodePtr root_;
  std::vector<Change> pending_;
  std::vector<Operation> log_;
  std::vector<std::string> violations_;
  std::function<void(const Operation&)> after_;
  Fault fault_;
  uint64_t matching_ = 0;  // operations of the fault's kinds since it was set
  uint64_t faults_hit_ = 0;
  int64_t handles_ = 0;
  mutable std::mutex mutex_;
};

// Deterministic draws.
uint64_t Mix(uint64_t a, uint64_t b);

}  // namespace crash

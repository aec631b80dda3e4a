// SPDX-License-Identifier: Apache-2.0
// The versions of a directory on disk: creating it, committing, removing, cleaning up.
//
// Mechanism without policy: which step to save or drop is decided above. Every promise made here
// has a number in DURABILITY.md. All methods may be called concurrently.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/manifest.h"
#include "format/store_record.h"
#include "manager/catalog.h"
#include "storage/storage.h"

namespace treering::manager {

// The name of STORE while it is written.
inline constexpr std::string_view kStoreTemporary = ".STORE.tmp";

enum class OpenMode { kOpenOrCreate, kOpenExisting, kCreateNew, kReadOnly };

struct StoreOptions {
  OpenMode mode = OpenMode::kOpenOrCreate;
  int64_t lock_timeout_ms = 0;
  bool no_lock = false;
  bool sweep = true;     // writers: remove what dead attempts left
  std::string metadata;  // of a new store: the caller's JSON, checked by the caller
};

// Something in the directory that is no version.
struct Leftover {
  std::string name;   // below the store's directory: "data/00000012-…", "manifests/x"
  bool ours = false;  // what a dead attempt left; else unknown, and left alone
  std::string why;
};

class Store;

// kLimit: a record of so many bytes could not be read back.
base::Status RecordTooLarge(uint64_t size);

// One version while it is written. Used by one thread; must end before its store does.
class Attempt {
 public:
  // Removes the attempt's files unless it was committed, or may have been.
  ~Attempt();
  int64_t step() const { return step_; }
  const format::Uuid& bits() const { return bits_; }
  const std::string& folder() const { return folder_; }
  storage::WritableFile* file() { return file_.get(); }
  // Flushes and closes the file and flushes its folder (D3). After a failure only destruction may
  // follow.
  base::Status Seal();

 private:
  friend class Store;
  Attempt() = default;
  Store* store_ = nullptr;
  int64_t step_ = 0;
  format::Uuid bits_{};
  std::string folder_;
  int64_t started_ = 0;
  bool durable_ = true;
  std::unique_ptr<storage::Directory> directory_;
  std::unique_ptr<storage::WritableFile> file_;
  bool sealed_ = false;
  bool kept_ = false;  // committed, or not known
};

class Store {
 public:
  // `parent` holds the store's directory `name`. kNotFoundFile: there is no store. kNotTreering:
  // STORE is something else. kAlreadyExists (kCreateNew). kBusy, naming the holder.
  static base::Result<std::unique_ptr<Store>> Open(std::unique_ptr<storage::Directory> parent,
                                                   std::string_view name, StoreOptions options);
  ~Store();

  const format::StoreRecord& record() const { return record_; }
  const std::string& name() const { return name_; }
  bool read_only() const { return options_.mode == OpenMode::kReadOnly; }
  // What is known to be there; never null.
  std::shared_ptr<const Catalog> catalog() const;
  int64_t Now() const { return root_->Now(); }

  // A new attempt at a step: a folder of its own, with an empty container file. Not durable:
  // nothing is flushed, and a power loss may take the version, or with later removals all of them.
  base::Result<std::unique_ptr<Attempt>> Begin(int64_t step, const storage::WriteOptions& options,
                                               bool durable = true);
  // Commits a sealed attempt. `record` holds items, metrics, texts, the own file's size and digest,
  // and other files; the rest is filled here. kAlreadyExists if the step exists and `overwrite` is
  // not asked for. kBusyConflict: another process took the number. kOutcomeUnknown: renamed, but
  // not surely for good; then *out is filled too, and no removal is carried out until a later
  // commit.
  base::Status Commit(Attempt* attempt, format::ManifestRecord record, bool overwrite, Record* out);

  // Deletes versions (D5) and everything obsolete. kNotFound if a step does not exist: then nothing
  // is done. When the records are gone but the data could not be removed, the answer says so; a
  // later sweep removes them.
  base::Status Remove(const std::vector<int64_t>& steps);
  // Deletes records that no longer say anything, and their data.
  base::Status RemoveObsolete() { return Remove({}); }
  // RemoveObsolete and Sweep(true).
  base::Status CleanUp();

  // What is in the directory besides versions. With `remove`, what is ours is removed, under D6.
  base::Result<std::vector<Leftover>> Sweep(bool remove);
  base::Status Reload();
  // kNotFound, naming the steps around it.
  base::Status NoSuchStep(int64_t step) const;
  // OK, or kCorrupt: there are whole containers, and no record at all.
  base::Status RecordsLost() const;

  // Opens a file of a version to read: the folder is that of its attempt unless given.
  // kNotFoundGone if the version was deleted meanwhile, kNotFoundFile if its file is missing.
  base::Result<std::unique_ptr<storage::ReadableFile>> OpenFile(
      const format::ManifestRecord& record, std::string_view folder, std::string_view file) const;
  // The folders in data/ that prove themselves and that no usable record names.
  struct Orphan {
    std::string folder;
    int64_t step = 0;
    format::Uuid bits{};
  };
  base::Result<std::vector<Orphan>> Orphans() const;
  base::Result<std::unique_ptr<storage::ReadableFile>> OpenOrphan(const Orphan& orphan) const;
  // Commits a record for an orphan whose container is whole (checked by the caller).
  base::Status Adopt(const Orphan& orphan, format::ManifestRecord record);
  // Deletes records that are damaged, but not the newest of all, whose number must stay taken. Only
  // after every orphan was adopted.
  base::Status RemoveBad();

  // Frees the lock, for children too. Idempotent.
  base::Status Close();
  // kWrongStateForked in a forked child, kWrongState once closed, else OK.
  base::Status Usable() const;
  // In a forked child, before destruction: the lock stays the parent's.
  bool Forked() const;

 private:
  friend class Attempt;
  Store() = default;

  base::Status Create();
  base::Status TakeLock();
  base::Status OpenDirectories();
  base::Status ReadStoreRecord();
  base::Status FlushTree(bool was_there);
  base::Status RequireKnownFeatures() const;
  base::Status RequireWriter() const;
  base::Status RequireKnownOutcome() const;
  storage::Replace NoReplace() const;
  void SetCatalog(std::shared_ptr<const Catalog> catalog);

  // All below need mutex_.
  base::Status ReloadLocked();
  void End(const Attempt& attempt);
  base::Status RequireData(const Attempt& attempt, const format::ManifestRecord& record) const;
  base::Status CommitRecord(format::ManifestRecord record, const std::string& attempt, bool durable,
                            Record* out);
  base::Status WriteTemporary(const std::string& name, base::ByteSpan bytes, bool durable);
  base::Status Publish(const std::string& temporary, const format::ManifestRecord& record,
                       bool durable);
  enum class Seen { kAbsent, kOurs, kOther, kUnknown };
  Seen LookFor(const format::ManifestRecord& record) const;
  base::Status RemoveRecordsOf(const Catalog& before, const std::vector<int64_t>& steps,
                               std::vector<uint64_t> last);
  base::Status RemoveRecords(const std::vector<uint64_t>& numbers);
  base::Status CommitRemoved(int64_t step);
  base::Status RemoveData(const std::set<std::string>& folders);
  base::Status RemoveFolder(const std::string& folder, bool* complete);
  base::Status SweepRoot(bool remove, std::vector<Leftover>* found);
  base::Status SweepManifests(bool remove, std::vector<Leftover>* found);
  base::Status SweepData(bool remove, std::vector<Leftover>* found);
  std::set<std::string> WholeContainers(const std::vector<std::string>& folders) const;

  StoreOptions options_;
  std::string name_;
  int64_t process_ = 0;
  std::unique_ptr<storage::Directory> parent_;
  std::unique_ptr<storage::Directory> root_;
  std::unique_ptr<storage::Directory> manifests_;
  std::unique_ptr<storage::Directory> data_;
  std::unique_ptr<storage::Lock> lock_;
  format::StoreRecord record_;
  std::mutex mutex_;  // held by everything that changes the directory, but for writing data
  mutable std::mutex catalog_mutex_;
  std::shared_ptr<const Catalog> catalog_;
  bool unknown_ = false;                   // records were changed, and the flush behind it failed
  std::atomic<bool> records_lost_{false};  // several whole containers, and no record at all
  std::string lone_;                       // the only whole container, where there is no record
  std::set<std::string> active_;           // folders of attempts that are being written
  std::atomic<bool> closed_{false};
};

}  // namespace treering::manager

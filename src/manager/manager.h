// SPDX-License-Identifier: Apache-2.0
// A directory of checkpoints as its users see it: policies, saves at once or in the background,
// looking up, pruning. The C ABI's treering_manager is one of these.
//
// const methods and the members of Save may be called concurrently with everything; the others need
// exclusion among themselves.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "container/container.h"
#include "container/writer.h"
#include "manager/preservation.h"
#include "manager/save.h"
#include "manager/save_policy.h"
#include "manager/save_queue.h"
#include "manager/staging.h"
#include "manager/store.h"
#include "tree/report.h"
#include "tree/tree.h"

namespace treering::manager {

struct ManagerOptions {
  StoreOptions store;
  bool drop_newest = false;
  std::vector<SavePolicy> save_policies;
  std::vector<PreservePolicy> keep_policies;
  bool verify_before_prune = false;
  uint32_t save_queue = 1;
  uint64_t staging_bytes = 0;  // 0: 1 GiB
};

// Borrowed for the call; an asynchronous save takes what it needs.
struct SaveItem {
  std::string_view name;
  format::ItemKind kind = format::kTreeItem;
  const tree::Tree* tree = nullptr;
  base::ByteSpan bytes;
};

struct StepOptions {
  bool force = false;
  bool overwrite = false;
  bool borrow = false;
  std::vector<format::Metric> metrics;
  std::string metrics_document;
  std::string metadata;
  container::WriterOptions writer;
  uint32_t io_threads = 0;
  bool durable = true;
  std::function<void(base::Code)> finished;  // asynchronous saves
};

// What a save came to.
struct Saved {
  bool skipped = false;
  codec::Hash128 content;  // of the container
  Record record;           // null if skipped
  base::Status retention;  // what went wrong in dropping old versions; never fails the save
  uint32_t dropped = 0;
};

inline constexpr int64_t kLatest = -1;
inline constexpr int64_t kBest = -2;

struct FindOptions {
  bool strict = false;
  bool full = false;
  std::string metric;  // empty: that of the first kBest policy
  bool lowest = false;
};

struct Found {
  std::shared_ptr<const container::Container> container;
  Record record;
};

struct PruneDecision {
  int64_t step = 0;
  bool keep = true;
  std::string rule;
};

// The entry of a container in a record.
format::ManifestFile FileEntry(std::string_view name, uint64_t size, const codec::Hash128& digest);

class Manager {
 public:
  static base::Result<std::unique_ptr<Manager>> Open(std::unique_ptr<storage::Directory> parent,
                                                     std::string_view name, ManagerOptions options);
  // By path: the parent must exist.
  static base::Result<std::unique_ptr<Manager>> Open(std::string_view path, ManagerOptions options);
  // Unlocks without waiting for more than a running write to stop, unless closed. In a forked
  // child: does neither.
  ~Manager();

  const Store& store() const { return *store_; }
  const std::string& name() const { return store_->name(); }

  base::Result<bool> ShouldSave(int64_t step) const;
  void RequestSave() { requested_.store(true); }  // async-signal-safe

  base::Status Save(int64_t step, const std::vector<SaveItem>& items, StepOptions options,
                    Saved* out);
  // Null if the policies said no.
  base::Result<std::shared_ptr<manager::Save>> SaveAsync(int64_t step,
                                                         const std::vector<SaveItem>& items,
                                                         StepOptions options);
  base::Status Wait(int64_t timeout_ms);
  base::Status Close(int64_t timeout_ms);
  bool saving() const { return queue_.busy(); }

  // The versions, ascending by step.
  std::vector<Record> Versions() const { return store_->catalog()->versions(); }
  // Opens a step, kLatest or kBest. *skipped gets a finding for each version passed over.
  base::Result<Found> Find(int64_t step, const FindOptions& find,
                           const container::OpenOptions& options, tree::Report* skipped) const;

  base::Status Delete(int64_t step);
  base::Status Reload();
  // Decides by `policies` (null: the manager's own), and carries it out unless `dry_run`.
  base::Result<std::vector<PruneDecision>> Prune(const std::vector<PreservePolicy>* policies,
                                                 bool dry_run);
  // What should not be there, DURABILITY.md's D-numbers apart: damaged records and versions,
  // leftovers, unknown names. The worst finding's status.
  base::Status Verify(bool full, const container::ReadOptions& options, tree::Report* report) const;
  // Brings versions back whose records are lost.
  base::Result<uint64_t> Rebuild(tree::Report* report);

 private:
  explicit Manager(ManagerOptions options);
  struct Job;

  base::Status CheckStep(int64_t step, const std::vector<SaveItem>& items,
                         const StepOptions& options) const;
  base::Status CheckFree(int64_t step, bool overwrite) const;
  base::Result<bool> Wanted(int64_t step, const std::vector<SaveItem>& items,
                            const StepOptions& options) const;
  base::Result<std::vector<PruneDecision>> Decide(const std::vector<PreservePolicy>& policies,
                                                  const std::vector<Record>& versions) const;
  // Step and time of the beginning of each save in flight.
  std::vector<std::pair<int64_t, int64_t>> InFlight() const;
  bool IsInFlight(int64_t step) const;
  base::Status WriteContainer(Job* job, manager::Save* save, storage::WritableFile* file,
                              container::Summary* summary);
  base::Status RunJob(Job* job, manager::Save* save, Saved* out);
  void Retain(int64_t saved, Saved* out);
  // Until no save is in flight; a failure that was not told yet is told here.
  base::Status WaitBefore(const char* done);
  container::Resolve ResolveFor(Record record) const;
  base::Status TellBadRecords(int64_t step, bool strict, tree::Report* skipped) const;
  base::Result<std::vector<Record>> CandidatesFor(int64_t step, const FindOptions& find) const;
  base::Status CheckIntact(const Record& record, bool full, container::OpenOptions options,
                           std::shared_ptr<const container::Container>* out) const;

  ManagerOptions options_;
  std::shared_ptr<Store> store_;  // shared with open checkpoints, for their other files
  std::atomic<bool> requested_{false};
  mutable std::mutex in_flight_mutex_;
  std::multimap<int64_t, int64_t> in_flight_;
  SaveQueue queue_;  // after the store: ends first
};

}  // namespace treering::manager

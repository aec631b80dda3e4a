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
#include <memory>
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
  base::Result<Found> Find(int64_t step, const FindOptions& find, container::OpenOptions options,
                           tree::Report* skipped) const;

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
  base::Result<bool> Decide(int64_t step, const StepOptions& options) const;
  base::Status RunJob(Job* job, manager::Save* save, Saved* out);
  void Retain(Saved* out);
  base::Status CheckIntact(const format::ManifestRecord& record, bool full,
                           container::OpenOptions options,
                           std::shared_ptr<const container::Container>* out) const;

  ManagerOptions options_;
  std::unique_ptr<Store> store_;
  std::atomic<bool> requested_{false};
  SaveQueue queue_;  // after the store: ends first
};

}  // namespace treering::manager

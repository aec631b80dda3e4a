// SPDX-License-Identifier: Apache-2.0
// One asynchronous save: its state, progress, result, and the ways to wait for it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

#include "base/status.h"
#include "codec/hash.h"
#include "format/manifest.h"
#include "storage/event.h"

namespace treering::manager {

// The numbers are those of the C ABI.
enum class SaveState : int32_t {
  kSnapshot = 1,
  kWriting = 2,
  kCommitted = 3,
  kFailed = 4,
  kCancelled = 5,
  kUnknown = 6,
};
inline bool IsFinal(SaveState state) { return static_cast<int32_t>(state) >= 3; }

// What was committed, or may have been.
struct SaveResult {
  int64_t step = 0;
  uint64_t number = 0;
  format::Uuid attempt{};
  uint64_t file_size = 0;
  codec::Hash128 content;
  // Dropping old versions afterwards, which never fails a save.
  base::Status retention;
  uint32_t dropped = 0;
};

// Shared by its handle, the queue and the job that runs it. All methods may be called concurrently.
// SNAPSHOT -> WRITING -> one final state, which stays; all of it is seen at once: whoever sees a
// final state sees its status and result too. By then the job is gone, and with it whatever memory
// it had been lent.
class Save {
 public:
  // Gets the status's code when the final state is reached, once, on the queue's thread, with no
  // lock held. It may use the save, but neither its queue nor its manager.
  using Finished = std::function<void(base::Code)>;

  explicit Save(int64_t step, Finished finished = nullptr);
  Save(const Save&) = delete;
  Save& operator=(const Save&) = delete;

  int64_t step() const { return step_; }
  SaveState state() const;
  // OK until the save failed, was cancelled or became unknown; then why, for ever.
  base::Status status() const;
  // Committed or unknown: what the job said. Else only the step.
  SaveResult result() const;
  // Bytes of leaf data; total is 0 until it is known.
  uint64_t done() const { return done_.load(std::memory_order_relaxed); }
  uint64_t total() const { return total_.load(std::memory_order_relaxed); }

  // Until a final state: then status(). kTimeout after timeout_ms (below 0: never), which says
  // nothing about the save. kWrongStateForked in a child that was forked meanwhile.
  base::Status Wait(int64_t timeout_ms) const;
  // Asks. A job that runs stops at its next report, unless its record was renamed, which commits
  // all the same; one that waits will not begin. Nothing happens to a save that is final.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  // Readable for poll from the final state on; there from the first call; closed with the save.
  // Never read from it.
  base::Result<int> Descriptor();

  // For the manager and its job.

  // The caller's memory is safe: SNAPSHOT becomes WRITING.
  void SnapshotTaken();
  // As container::Progress: non-zero once the save is cancelled.
  int32_t Report(uint64_t done, uint64_t total);
  // Before the job ends, if it committed or may have.
  void SetResult(const SaveResult& result);

  // For the queue: the job has ended with `status`. OK is COMMITTED, kOutcomeUnknown UNKNOWN,
  // kCancelled CANCELLED, anything else FAILED. Once; does not allocate.
  void End(base::Status status);
  // Then, without any lock.
  void CallBack();

 private:
  const int64_t step_;
  const int64_t process_;
  Finished finished_;  // used by CallBack alone
  std::atomic<bool> cancelled_{false};
  std::atomic<uint64_t> done_{0};
  std::atomic<uint64_t> total_{0};
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  SaveState state_ = SaveState::kSnapshot;
  base::Status status_;
  SaveResult result_;
  storage::Event event_;
};

}  // namespace treering::manager

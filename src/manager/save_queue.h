// SPDX-License-Identifier: Apache-2.0
// Runs asynchronous saves in order on one thread, and tells each failure exactly once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/status.h"
#include "manager/save.h"

namespace treering::manager {

// Submit, Wait, TakeFailure, Close and Abandon need exclusion among themselves; busy() does not.
// Saves may be used from anywhere.
class SaveQueue {
 public:
  // Runs on the queue's thread and answers how the save ended. It should report progress, or poll
  // Save::cancelled, so that it can be stopped. The function object is destroyed on that thread
  // before the save becomes final, also if it never ran (cancelled before it began): what must
  // happen in any case belongs into the destructor of something that it holds. What it throws is a
  // failure (bad_alloc: kNoMemory).
  using Job = std::function<base::Status(Save* save)>;

  struct SubmitOptions {
    Save::Finished finished;
    bool wait = true;  // for room; else kBusy
  };

  // `limit` saves in flight at most (0: 1): one that runs, others that wait for it.
  explicit SaveQueue(uint32_t limit = 1);
  // Close(0) unless closed or abandoned.
  ~SaveQueue();
  SaveQueue(const SaveQueue&) = delete;
  SaveQueue& operator=(const SaveQueue&) = delete;

  // Waits for room, or answers kBusy. A failure that was not told yet is told here, before and
  // after the wait. What it needs not to wait in Submit: nobody else submits.
  base::Status WaitForRoom(bool wait);
  // WaitForRoom, then takes the job in; the first starts the thread. On failure the job is
  // destroyed before this returns. kWrongState once closed.
  base::Result<std::shared_ptr<Save>> Submit(int64_t step, Job job, SubmitOptions options);
  base::Result<std::shared_ptr<Save>> Submit(int64_t step, Job job) {
    return Submit(step, std::move(job), SubmitOptions());
  }

  // Until nothing is in flight, callbacks included; then TakeFailure(). kTimeout after timeout_ms
  // (below 0: never).
  base::Status Wait(int64_t timeout_ms);
  // The oldest failure that was not told yet, and tells it: a save that failed or whose outcome is
  // unknown. One that was cancelled on its own is no failure. OK if there is none.
  base::Status TakeFailure();
  // Takes no more saves and waits for those in flight. At the deadline (below 0: there is none)
  // they are asked to cancel: those that wait do not begin, and the one that runs is waited for
  // until it stops, or has committed. Ends the thread. Then tells as TakeFailure does; behind all
  // failures stands kTimeout, if the deadline cost any save. Idempotent: again it tells the next.
  base::Status Close(int64_t timeout_ms);
  // In a forked child, instead of everything else: gives up the thread, which is the parent's. Its
  // state is leaked, and saves in flight stay as they are.
  void Abandon();
  // True while a save is in flight.
  bool busy() const;

 private:
  struct State;
  // kWrongState on the thread of the saves: there a callback would wait for itself.
  base::Status RefuseOwnThread() const;

  std::shared_ptr<State> state_;
};

}  // namespace treering::manager

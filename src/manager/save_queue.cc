// SPDX-License-Identifier: Apache-2.0
// Runs asynchronous saves in order on one thread, and tells each failure exactly once.
//
// A save is in flight from Submit until its callback has returned: it waits in `waiting`, then
// runs. The thread owns the end of every save, also of one that was cancelled before it began, so
// there is one place where saves become final and one thread that calls back. Failures go into a
// list when they happen and leave it when they are told; that is the whole of "exactly once".
//
// Invariant: in_flight counts the saves that are not over; with in_flight == 0 the thread does
// nothing but wait for work or for the end. All of it is under one lock, which is never held while
// a job or a callback runs.
#include "manager/save_queue.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "base/planted.h"
#include "manager/deadline.h"

namespace treering::manager {

using base::Code;
using base::Result;
using base::Status;

namespace {

struct Task {
  std::shared_ptr<Save> save;
  SaveQueue::Job job;
  Status no_memory;      // made beforehand
  bool cut_off = false;  // cancelled by Close
};

Status RunJob(Task* task) {
  try {
    Save* const save = task->save.get();
    if (!save->cancelled()) return task->job(save);
    return Status(Code::kCancelled, "the save of step " + std::to_string(save->step()) +
                                        " was cancelled before it began");
  } catch (const std::bad_alloc&) {
    return std::move(task->no_memory);
  } catch (...) {
    return Status(Code::kInternal, "the save was left by an exception");
  }
}

}  // namespace

struct SaveQueue::State {
  explicit State(uint32_t l) : limit(l == 0 ? 1 : l) {}
  void Run();
  void End(Task* task, Status status);
  void CancelAll();

  const uint64_t limit;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<Task> waiting;
  Task* running = nullptr;
  uint64_t in_flight = 0;
  bool started = false;
  std::atomic<std::thread::id> runner{};
  bool closed = false;                        // nothing more is taken in
  bool ending = false;                        // the thread returns
  std::vector<std::shared_ptr<Save>> untold;  // failed; room for those in flight is there
  uint64_t cut_off = 0;
  base::ThreadGroup thread;
};

// The thread.
void SaveQueue::State::Run() {
  runner.store(std::this_thread::get_id());
  std::unique_lock<std::mutex> lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return ending || !waiting.empty(); });
    if (waiting.empty()) return;
    Task task = std::move(waiting.front());
    waiting.pop_front();
    running = &task;
    lock.unlock();
    Status status = RunJob(&task);
    task.job = nullptr;
    lock.lock();
    running = nullptr;
    End(&task, std::move(status));
    lock.unlock();
    task.save->CallBack();
    task.save.reset();
    lock.lock();
    --in_flight;
    changed.notify_all();
  }
}

// Whoever sees that the save failed finds its failure in the list.
void SaveQueue::State::End(Task* task, Status status) {
  const Code code = status.code();
  if (code == Code::kCancelled) {
    if (task->cut_off) ++cut_off;
  } else if (code != Code::kOk) {
    untold.push_back(task->save);
  }
  task->save->End(std::move(status));
}

void SaveQueue::State::CancelAll() {
  const auto cancel = [](Task* task) {
    task->cut_off = !task->save->cancelled();
    task->save->Cancel();
  };
  if (running != nullptr) cancel(running);
  for (Task& task : waiting) cancel(&task);
}

SaveQueue::SaveQueue(uint32_t limit) : state_(std::make_shared<State>(limit)) {}

SaveQueue::~SaveQueue() {
  if (state_ == nullptr) return;
  if (!RefuseOwnThread().ok()) {  // which cannot wait for itself
    Abandon();
    return;
  }
  // Nobody is left to be told; the saves' own handles keep how they ended.
  const Status ignored = Close(0);
  static_cast<void>(ignored);
}

bool SaveQueue::busy() const {
  if (state_ == nullptr) return false;
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->in_flight != 0;
}

Status SaveQueue::RefuseOwnThread() const {
  if (state_ == nullptr || state_->runner.load() != std::this_thread::get_id()) return Status();
  return Status(Code::kWrongState,
                "a callback of a save in the background called what waits for that save; call it "
                "from another thread");
}

Status SaveQueue::WaitForRoom(bool wait) {
  TR_RETURN_IF_ERROR(RefuseOwnThread());
  TR_RETURN_IF_ERROR(TakeFailure());
  State& state = *state_;
  {
    std::unique_lock<std::mutex> lock(state.mutex);
    if (state.closed) {
      return Status(Code::kWrongState, "the saves were closed; open the directory again");
    }
    if (!wait && state.in_flight >= state.limit) {
      return Status(Code::kBusy, "saves in flight: " + std::to_string(state.in_flight) +
                                     " of at most " + std::to_string(state.limit) +
                                     "; wait for one of them");
    }
    state.changed.wait(lock, [&state] { return state.in_flight < state.limit; });
  }
  return TakeFailure();
}

Result<std::shared_ptr<Save>> SaveQueue::Submit(int64_t step, Job job, SubmitOptions options) {
  TR_RETURN_IF_ERROR(WaitForRoom(options.wait));
  State& state = *state_;
  auto save = std::make_shared<Save>(step, std::move(options.finished));
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!state.started) {
    state.started =
        state.thread.Start(1, [this_state = &state](uint32_t) { this_state->Run(); }) != 0;
  }
  if (!state.started) {
    return Status(Code::kNoMemory,
                  "the system gave no thread for a save in the background; save at once instead");
  }
  state.untold.reserve(state.untold.size() + state.in_flight + 1);
  Status no_memory(Code::kNoMemory, "no memory for the save of step " + std::to_string(step));
  state.waiting.push_back({save, std::move(job), std::move(no_memory), false});
  ++state.in_flight;
  state.changed.notify_all();
  return save;
}

Status SaveQueue::TakeFailure() {
  if (state_ == nullptr) {
    return Status(Code::kWrongStateForked, "the saves belong to the process that forked");
  }
  const std::lock_guard<std::mutex> lock(state_->mutex);
  if (state_->untold.empty()) return Status();
  Status status = state_->untold.front()->status();
  state_->untold.erase(state_->untold.begin());
  return status;
}

Status SaveQueue::Wait(int64_t timeout_ms) {
  if (state_ == nullptr) return TakeFailure();
  TR_RETURN_IF_ERROR(RefuseOwnThread());
  const Deadline deadline(timeout_ms);
  {
    State& state = *state_;
    std::unique_lock<std::mutex> lock(state.mutex);
    if (!deadline.Wait(&state.changed, &lock, [&state] { return state.in_flight == 0; })) {
      return Status(Code::kTimeout, "saves that have not ended within " +
                                        std::to_string(timeout_ms) +
                                        " ms: " + std::to_string(state.in_flight) + "; wait again");
    }
  }
  return TakeFailure();
}

Status SaveQueue::Close(int64_t timeout_ms) {
  if (state_ == nullptr) return TakeFailure();
  TR_RETURN_IF_ERROR(RefuseOwnThread());
  const Deadline deadline(timeout_ms);
  State& state = *state_;
  {
    std::unique_lock<std::mutex> lock(state.mutex);
    state.closed = true;
    const auto idle = [&state] { return state.in_flight == 0; };
    if (!deadline.Wait(&state.changed, &lock, idle)) {
      state.CancelAll();
      state.changed.wait(lock, idle);
    }
    state.ending = true;
    state.changed.notify_all();
  }
  state.thread.Join();
  if (base::Planted(20)) state.untold.clear();
  TR_RETURN_IF_ERROR(TakeFailure());
  const uint64_t cut_off = std::exchange(state.cut_off, 0);
  if (cut_off == 0) return Status();
  return Status(Code::kTimeout,
                "saves that had not ended within " + std::to_string(timeout_ms) +
                    " ms and were cancelled, leaving nothing: " + std::to_string(cut_off));
}

void SaveQueue::Abandon() {
  // Its lock may be held by a thread that is not here, and that thread cannot be joined.
  if (state_ != nullptr) new std::shared_ptr<State>(std::move(state_));
  state_ = nullptr;
}

}  // namespace treering::manager

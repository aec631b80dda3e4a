// SPDX-License-Identifier: Apache-2.0
// The state of one asynchronous save.
//
// Three parties hold it: the handle that waits, the job that reports, the queue that ends it. All
// that becomes final (state, status, result) changes under one lock in one step, so nobody sees
// half of it. Progress and the wish to cancel are atomics, since the job looks at them while it
// writes and nothing else depends on their order.
//
// When a save ends, and whether its failure was told, is left to the queue.
#include "manager/save.h"

#include <string>
#include <utility>

#include "manager/deadline.h"
#include "storage/process.h"

namespace treering::manager {

using base::Code;
using base::Result;
using base::Status;

namespace {

SaveState StateOf(Code code) {
  switch (code) {
    case Code::kOk:
      return SaveState::kCommitted;
    case Code::kOutcomeUnknown:
      return SaveState::kUnknown;
    case Code::kCancelled:
      return SaveState::kCancelled;
    default:
      return SaveState::kFailed;
  }
}

}  // namespace

Save::Save(int64_t step, Finished finished)
    : step_(step), process_(storage::ProcessId()), finished_(std::move(finished)) {
  result_.step = step;
}

SaveState Save::state() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return state_;
}

Status Save::status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return status_;
}

SaveResult Save::result() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ == SaveState::kCommitted || state_ == SaveState::kUnknown) return result_;
  SaveResult none;
  none.step = step_;
  return none;
}

Status Save::Wait(int64_t timeout_ms) const {
  if (storage::ProcessId() != process_) {
    return Status(Code::kWrongStateForked, "the save belongs to process " +
                                               std::to_string(process_) +
                                               ", from which this one was forked");
  }
  const Deadline deadline(timeout_ms);
  std::unique_lock<std::mutex> lock(mutex_);
  if (deadline.Wait(&changed_, &lock, [this] { return IsFinal(state_); })) return status_;
  return Status(Code::kTimeout, "the save of step " + std::to_string(step_) +
                                    " has not ended within " + std::to_string(timeout_ms) +
                                    " ms; wait again, or cancel it");
}

Result<int> Save::Descriptor() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!event_.open()) {
    TR_RETURN_IF_ERROR(event_.Open());
    if (IsFinal(state_)) event_.Set();
  }
  return event_.descriptor();
}

void Save::SnapshotTaken() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ == SaveState::kSnapshot) state_ = SaveState::kWriting;
}

int32_t Save::Report(uint64_t done, uint64_t total) {
  total_.store(total, std::memory_order_relaxed);
  done_.store(done, std::memory_order_relaxed);
  return cancelled() ? 1 : 0;
}

void Save::SetResult(const SaveResult& result) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!IsFinal(state_)) result_ = result;
}

void Save::End(Status status) {
  const std::lock_guard<std::mutex> lock(mutex_);
  state_ = StateOf(status.code());
  status_ = std::move(status);
  if (event_.open()) event_.Set();
  changed_.notify_all();
}

void Save::CallBack() {
  if (!finished_) return;
  Code code = Code::kOk;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    code = status_.code();
  }
  finished_(code);
  finished_ = nullptr;
}

}  // namespace treering::manager

// SPDX-License-Identifier: Apache-2.0
// ParallelFor and ThreadGroup on std::thread.
//
// Work is handed out by one atomic counter, so indexes start in ascending order. That gives the
// rule for failures: a worker gives an index up only if a lower one has failed already, hence every
// index below the lowest failure has run, and the answer does not depend on timing.
//
// Nothing is allocated where memory may have run out: a bad_alloc is noted as a code and becomes a
// Status on the caller's thread. How many threads are worth having is the caller's decision.
#include "base/parallel.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace treering::base {
namespace {

class Loop {
 public:
  Loop(uint64_t count, const std::function<Status(uint64_t, uint32_t)>& body)
      : count_(count), body_(body) {}

  void Run(uint32_t worker) {
    for (;;) {
      const uint64_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= count_ || index > lowest_failed_.load(std::memory_order_relaxed)) return;
      RunOne(index, worker);
    }
  }

  // After all workers have ended.
  Status Answer() {
    if (thrown_ == Code::kNoMemory) return Status(Code::kNoMemory, "out of memory");
    if (thrown_ != Code::kOk) return Status(thrown_, "unexpected exception in a worker");
    return std::move(failure_);
  }

 private:
  void RunOne(uint64_t index, uint32_t worker) {
    Status status;
    Code thrown = Code::kOk;
    try {
      status = body_(index, worker);
    } catch (const std::bad_alloc&) {
      thrown = Code::kNoMemory;
    } catch (...) {
      thrown = Code::kInternal;
    }
    if (status.ok() && thrown == Code::kOk) return;
    std::lock_guard<std::mutex> lock(mutex_);
    if (index >= lowest_failed_.load(std::memory_order_relaxed)) return;
    lowest_failed_.store(index, std::memory_order_relaxed);
    failure_ = std::move(status);
    thrown_ = thrown;
  }

  const uint64_t count_;
  const std::function<Status(uint64_t, uint32_t)>& body_;
  std::atomic<uint64_t> next_{0};
  std::atomic<uint64_t> lowest_failed_{UINT64_MAX};
  std::mutex mutex_;
  Status failure_;
  Code thrown_ = Code::kOk;
};

}  // namespace

struct ThreadGroup::State {
  std::function<void(uint32_t)> body;
  std::vector<std::thread> threads;
};

ThreadGroup::ThreadGroup() : state_(new State) {}

ThreadGroup::~ThreadGroup() { Join(); }

uint32_t ThreadGroup::Start(uint32_t n, std::function<void(uint32_t)> body) {
  state_->body = std::move(body);
  State* state = state_.get();
  try {
    state->threads.reserve(n);
    for (uint32_t i = 0; i < n; ++i) {
      state->threads.emplace_back([state, i] { state->body(i); });
    }
  } catch (const std::system_error&) {  // no more threads: those that run will do
  } catch (const std::bad_alloc&) {
  }
  return static_cast<uint32_t>(state->threads.size());
}

void ThreadGroup::Join() {
  for (std::thread& thread : state_->threads) {
    if (thread.joinable()) thread.join();
  }
}

Status ParallelFor(uint32_t threads, uint64_t count,
                   const std::function<Status(uint64_t, uint32_t)>& body) {
  Loop loop(count, body);
  // The caller is a worker too: more than count - 1 others would find nothing to do.
  if (threads == 0 || count < 2) {
    loop.Run(0);
    return loop.Answer();
  }
  const uint64_t others = threads < count ? threads : count - 1;
  ThreadGroup group;
  group.Start(static_cast<uint32_t>(others), [&loop](uint32_t i) { loop.Run(i + 1); });
  loop.Run(0);
  group.Join();
  return loop.Answer();
}

}  // namespace treering::base

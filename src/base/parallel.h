// SPDX-License-Identifier: Apache-2.0
// Threads for the rooms above: a loop shared out over a few, and a group that is always joined.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/status.h"

namespace treering::base {

// Calls body(index, worker) once for every index in [0, count), in parallel. With threads == 0 all
// runs on the calling thread, in order, and no thread is started; else the caller (worker 0) and up
// to `threads` more (workers 1 ... threads) take the indexes in ascending order. Threads that the
// system refuses are done without. The first failure ends the loop: the status of the lowest index
// that failed is returned, whatever the timing, and every index below it has been done. An
// exception from body is a failure: bad_alloc is kNoMemory, anything else kInternal.
Status ParallelFor(uint32_t threads, uint64_t count,
                   const std::function<Status(uint64_t index, uint32_t worker)>& body);

// A group of threads that runs one function. Destruction joins, so the function must come to an
// end by itself once its owner has said so by whatever they share.
class ThreadGroup {
 public:
  ThreadGroup();
  ~ThreadGroup();
  ThreadGroup(const ThreadGroup&) = delete;
  ThreadGroup& operator=(const ThreadGroup&) = delete;

  // Starts up to n threads that call body(0), body(1), ... and answers how many there are: fewer,
  // or none, where the system refuses. `body` must not throw. Once per group.
  uint32_t Start(uint32_t n, std::function<void(uint32_t worker)> body);
  // Waits for all of them; may be called again.
  void Join();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace treering::base

// SPDX-License-Identifier: Apache-2.0
// The parallel loop: every index once, the lowest failure, exceptions, no thread unless asked.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <atomic>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/parallel.h"

extern "C" {
#include <cmocka.h>
}

using treering::base::Code;
using treering::base::ParallelFor;
using treering::base::Status;

namespace {

bool EachIndexOnce(uint32_t threads, uint64_t count) {
  std::vector<std::atomic<int>> seen(count);
  std::atomic<bool> worker_ok{true};
  const Status status = ParallelFor(threads, count, [&](uint64_t i, uint32_t worker) {
    seen[i].fetch_add(1);
    if (worker > threads) worker_ok = false;
    return Status();
  });
  bool once = status.ok() && worker_ok;
  for (const std::atomic<int>& n : seen) once = once && n == 1;
  return once;
}

void EveryIndexIsDoneOnce(void**) {
  const uint32_t threads[] = {0, 1, 2, 3, 8};
  const uint64_t counts[] = {0, 1, 2, 7, 1000};
  for (const uint32_t n : threads) {
    for (const uint64_t count : counts) assert_true(EachIndexOnce(n, count));
  }
}

bool StaysOnCaller(uint32_t threads, uint64_t count) {
  const std::thread::id caller = std::this_thread::get_id();
  uint64_t next = 0;
  bool in_order = true;
  const Status status = ParallelFor(threads, count, [&](uint64_t i, uint32_t worker) {
    in_order = in_order && i == next++ && worker == 0 && std::this_thread::get_id() == caller;
    return Status();
  });
  return status.ok() && in_order && next == count;
}

void NoThreadsOrOneIndexStaysOnTheCallerInOrder(void**) {
  assert_true(StaysOnCaller(0, 100));
  assert_true(StaysOnCaller(8, 1));
  assert_true(StaysOnCaller(8, 0));
}

// Every worker waits until all have come, which ends only if they run at the same time.
bool WorkersMeet(uint32_t threads) {
  std::atomic<uint32_t> arrived{0};
  std::atomic<uint64_t> workers{0};
  const Status status = ParallelFor(threads, threads + 1, [&](uint64_t, uint32_t worker) {
    workers |= uint64_t{1} << worker;
    ++arrived;
    while (arrived <= threads) std::this_thread::yield();
    return Status();
  });
  return status.ok() && workers == (uint64_t{1} << (threads + 1)) - 1;
}

void ThreadsAreBesidesTheCaller(void**) {
  assert_true(WorkersMeet(1));
  assert_true(WorkersMeet(3));
}

bool LowestFailureWins(uint32_t threads) {
  std::atomic<uint64_t> done{0};
  const Status status = ParallelFor(threads, 100000, [&](uint64_t i, uint32_t) {
    ++done;
    if (i % 10 == 7) return Status(Code::kCorrupt, std::to_string(i), 0, i);
    return Status();
  });
  return status.code() == Code::kCorrupt && status.offset() == 7 && status.message() == "7" &&
         done >= 8 && done < 100000;
}

void TheLowestFailureWinsAndStopsTheRest(void**) {
  for (int i = 0; i < 50; ++i) {
    assert_true(LowestFailureWins(0));
    assert_true(LowestFailureWins(4));
  }
}

Code Thrown(uint32_t threads, bool no_memory) {
  return ParallelFor(threads, 100,
                     [&](uint64_t i, uint32_t) -> Status {
                       if (i == 30 && no_memory) throw std::bad_alloc();
                       if (i == 30) throw std::runtime_error("x");
                       return Status();
                     })
      .code();
}

void AnExceptionBecomesAStatus(void**) {
  assert_true(Thrown(0, true) == Code::kNoMemory);
  assert_true(Thrown(3, true) == Code::kNoMemory);
  assert_true(Thrown(0, false) == Code::kInternal);
  assert_true(Thrown(3, false) == Code::kInternal);
}

int CountOfGroup() {
  std::atomic<int> ran{0};
  {
    treering::base::ThreadGroup group;
    if (group.Start(3, [&](uint32_t i) { ran += static_cast<int>(i) + 1; }) != 3) return -1;
  }
  return ran;
}

void AGroupIsJoinedByItsDestruction(void**) { assert_int_equal(CountOfGroup(), 6); }

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(EveryIndexIsDoneOnce),
      cmocka_unit_test(NoThreadsOrOneIndexStaysOnTheCallerInOrder),
      cmocka_unit_test(ThreadsAreBesidesTheCaller),
      cmocka_unit_test(TheLowestFailureWinsAndStopsTheRest),
      cmocka_unit_test(AnExceptionBecomesAStatus),
      cmocka_unit_test(AGroupIsJoinedByItsDestruction),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

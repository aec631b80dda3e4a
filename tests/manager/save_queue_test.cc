// SPDX-License-Identifier: Apache-2.0
// Saves and their queue: states, waiting, cancelling, telling each failure once, closing.
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../container/cmocka_all.h"
#include "manager/save_queue.h"

namespace {

using treering::base::Code;
using treering::base::Status;
using treering::manager::Save;
using treering::manager::SaveQueue;
using treering::manager::SaveResult;
using treering::manager::SaveState;

using SavePtr = std::shared_ptr<Save>;

// Something that happens once.
class Signal {
 public:
  void Set() {
    const std::lock_guard<std::mutex> lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

Status Failure(const char* text) { return Status(Code::kIoNoSpace, text, 28); }

// A job that ends with `status` when it is let go.
SaveQueue::Job Ending(Status status) {
  return [status](Save*) { return status; };
}

// Whoever submits behind a job that fails may be told of it, so the first of several is held until
// all are submitted.
struct Held {
  Signal begun, go;
  SaveQueue::Job Job(SaveQueue::Job then) {
    return [this, then](Save* save) {
      begun.Set();
      go.Wait();
      return then(save);
    };
  }
  SaveQueue::Job Job(Status status) { return Job(Ending(status)); }
};

// A job that ends when its save is cancelled.
struct Stoppable {
  Signal begun;
  SaveQueue::Job Job() {
    return [this](Save* save) {
      begun.Set();
      while (save->Report(1, 2) == 0) std::this_thread::yield();
      return Status(Code::kCancelled, "stopped");
    };
  }
};

int Was(const Status& status) { return static_cast<int>(status.code()); }
int Was(SaveState state) { return static_cast<int>(state); }
constexpr int kOk = 0;
constexpr int kFull = static_cast<int>(Code::kIoNoSpace);
constexpr int kTimeout = static_cast<int>(Code::kTimeout);
constexpr int kCancelled = static_cast<int>(Code::kCancelled);
constexpr int kCommitted = static_cast<int>(SaveState::kCommitted);

bool IsReadable(int fd) {
  pollfd asked = {fd, POLLIN, 0};
  return poll(&asked, 1, 0) == 1 && (asked.revents & POLLIN) != 0;
}

struct Outcome {
  int code[8];
  int state[8];
  uint64_t number[8];
  bool is[8];
};

Outcome StatesOfASave() {
  Outcome o{};
  Held held;
  SaveQueue queue;
  o.is[0] = queue.busy();
  auto save = queue.Submit(7, [&held](Save* s) {
    held.begun.Set();
    held.go.Wait();
    s->Report(5, 10);
    SaveResult result = s->result();
    result.number = 42;
    s->SetResult(result);
    return Status();
  });
  o.state[0] = Was((*save)->state());
  held.begun.Wait();
  (*save)->SnapshotTaken();
  o.state[1] = Was((*save)->state());
  o.code[0] = Was((*save)->Wait(0));
  o.code[1] = Was(queue.Wait(0));
  o.number[0] = (*save)->result().number;
  o.is[1] = queue.busy();
  held.go.Set();
  o.code[2] = Was((*save)->Wait(-1));
  (*save)->SnapshotTaken();
  o.state[2] = Was((*save)->state());
  o.code[3] = Was(queue.Wait(-1));
  o.is[2] = queue.busy();
  o.number[1] = (*save)->result().number;
  o.number[2] = (*save)->done();
  o.number[3] = (*save)->total();
  o.number[4] = static_cast<uint64_t>((*save)->result().step);
  return o;
}

void a_save_goes_from_snapshot_over_writing_to_committed(void**) {
  const Outcome o = StatesOfASave();
  assert_int_equal(o.state[0], static_cast<int>(SaveState::kSnapshot));
  assert_int_equal(o.state[1], static_cast<int>(SaveState::kWriting));
  assert_int_equal(o.state[2], kCommitted);
  assert_int_equal(o.code[0], kTimeout);
  assert_int_equal(o.code[1], kTimeout);
  assert_int_equal(o.code[2], kOk);
  assert_int_equal(o.code[3], kOk);
  assert_false(o.is[0]);
  assert_true(o.is[1]);
  assert_false(o.is[2]);
  assert_int_equal(o.number[0], 0);
  assert_int_equal(o.number[1], 42);
  assert_int_equal(o.number[2], 5);
  assert_int_equal(o.number[3], 10);
  assert_int_equal(o.number[4], 7);
}

Outcome EndsOf(const std::vector<Status>& statuses) {
  Outcome o{};
  Held held;
  SaveQueue queue(8);
  std::vector<SavePtr> saves;
  saves.push_back(*queue.Submit(1, held.Job(statuses[0])));
  for (size_t i = 1; i < statuses.size(); ++i) {
    saves.push_back(*queue.Submit(1, Ending(statuses[i])));
  }
  held.go.Set();
  for (size_t i = 0; i < saves.size(); ++i) {
    o.code[i] = Was(saves[i]->Wait(-1));
    o.state[i] = Was(saves[i]->state());
  }
  return o;
}

void the_status_of_the_job_tells_how_the_save_ended(void**) {
  const Outcome o = EndsOf({Status(), Failure("full"), Status(Code::kOutcomeUnknown, "sync"),
                            Status(Code::kCancelled, "stopped")});
  assert_int_equal(o.state[0], kCommitted);
  assert_int_equal(o.state[1], static_cast<int>(SaveState::kFailed));
  assert_int_equal(o.state[2], static_cast<int>(SaveState::kUnknown));
  assert_int_equal(o.state[3], static_cast<int>(SaveState::kCancelled));
  assert_int_equal(o.code[0], kOk);
  assert_int_equal(o.code[1], kFull);
  assert_int_equal(o.code[2], static_cast<int>(Code::kOutcomeUnknown));
  assert_int_equal(o.code[3], kCancelled);
}

Outcome WhatAJobThrows() {
  Outcome o{};
  Held held;
  SaveQueue queue(2);
  SavePtr memory = *queue.Submit(1, held.Job([](Save*) -> Status { throw std::bad_alloc(); }));
  SavePtr other = *queue.Submit(1, [](Save*) -> Status { throw 1; });
  held.go.Set();
  o.code[0] = Was(memory->Wait(-1));
  o.code[1] = Was(other->Wait(-1));
  return o;
}

void what_a_job_throws_is_a_failure(void**) {
  const Outcome o = WhatAJobThrows();
  assert_int_equal(o.code[0], static_cast<int>(Code::kNoMemory));
  assert_int_equal(o.code[1], static_cast<int>(Code::kInternal));
}

Outcome Cancelling() {
  Outcome o{};
  Stoppable first;
  SaveQueue queue(3);
  bool ran = false;
  auto held = std::make_shared<int>(0);
  SavePtr running = *queue.Submit(1, first.Job());
  SavePtr waiting = *queue.Submit(2, [&ran, held](Save*) {
    ran = true;
    return Status();
  });
  SavePtr late = *queue.Submit(3, [](Save* save) {  // its record was renamed when it is asked
    save->Cancel();
    return Status();
  });
  first.begun.Wait();
  waiting->Cancel();
  o.state[0] = Was(running->state());
  running->Cancel();
  o.code[0] = Was(running->Wait(-1));
  o.code[1] = Was(waiting->Wait(-1));
  o.is[1] = held.use_count() == 1;
  o.code[2] = Was(late->Wait(-1));
  o.code[3] = Was(queue.Close(-1));
  o.is[0] = ran;
  return o;
}

void a_cancelled_save_stops_or_does_not_begin_and_is_no_failure(void**) {
  const Outcome o = Cancelling();
  assert_int_equal(o.state[0], static_cast<int>(SaveState::kSnapshot));
  assert_int_equal(o.code[0], kCancelled);
  assert_int_equal(o.code[1], kCancelled);
  assert_false(o.is[0]);
  assert_true(o.is[1]);  // its job is gone
  assert_int_equal(o.code[2], kOk);
  assert_int_equal(o.code[3], kOk);
}

Outcome CallingBack() {
  Outcome o{};
  SaveQueue queue(2);
  std::thread::id caller, worker;
  Signal called;
  SavePtr* seen = nullptr;
  SavePtr save;
  seen = &save;
  auto lent = std::make_shared<int>(0);
  const std::weak_ptr<int> still = lent;
  SaveQueue::SubmitOptions options;
  Held held;
  options.finished = [&](Code code) {
    ++o.number[0];
    o.code[0] = static_cast<int>(code);
    o.state[0] = Was((*seen)->state());
    o.code[1] = Was((*seen)->Wait(0));
    o.is[0] = still.expired();
    o.is[1] = queue.busy();
    caller = std::this_thread::get_id();
    called.Set();
  };
  save = *queue.Submit(
      1,
      [&, lent = std::move(lent)](Save*) {
        held.go.Wait();
        worker = std::this_thread::get_id();
        return Failure("full");
      },
      std::move(options));
  held.go.Set();
  called.Wait();
  o.code[2] = Was(queue.Close(-1));
  o.is[2] = caller == worker;
  return o;
}

void the_callback_is_called_once_on_the_thread_of_the_queue_when_all_is_over(void**) {
  const Outcome o = CallingBack();
  assert_int_equal(o.number[0], 1);
  assert_int_equal(o.code[0], kFull);
  assert_int_equal(o.code[1], kFull);
  assert_int_equal(o.code[2], kFull);
  assert_int_equal(o.state[0], static_cast<int>(SaveState::kFailed));
  assert_true(o.is[0]);  // what was lent is free
  assert_true(o.is[1]);  // but still in flight, so no other save begins
  assert_true(o.is[2]);
}

Outcome Polling() {
  Outcome o{};
  Held held;
  SaveQueue queue;
  SavePtr save = *queue.Submit(1, held.Job(Status()));
  const int fd = *save->Descriptor();
  o.is[0] = IsReadable(fd);
  o.is[1] = *save->Descriptor() == fd;
  o.is[2] = (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
  held.go.Set();
  pollfd asked = {fd, POLLIN, 0};
  o.is[3] = poll(&asked, 1, -1) == 1;
  o.state[0] = Was(save->state());
  SavePtr ended = *queue.Submit(2, Ending(Status()));
  ended->Wait(-1).ok();
  o.is[4] = IsReadable(*ended->Descriptor());
  o.is[5] = queue.Close(-1).ok();
  save.reset();
  o.is[6] = fcntl(fd, F_GETFD) == -1;
  return o;
}

void the_descriptor_is_readable_when_the_save_has_ended(void**) {
  const Outcome o = Polling();
  assert_false(o.is[0]);
  assert_true(o.is[1]);
  assert_true(o.is[2]);
  assert_true(o.is[3]);
  assert_int_equal(o.state[0], kCommitted);
  assert_true(o.is[4]);
  assert_true(o.is[5]);
  assert_true(o.is[6]);  // closed with the save
}

enum class Teller { kTake, kWait, kClose, kSubmit };

Status Tell(SaveQueue* queue, Teller teller) {
  if (teller == Teller::kTake) return queue->TakeFailure();
  if (teller == Teller::kWait) return queue->Wait(-1);
  if (teller == Teller::kClose) return queue->Close(-1);
  return queue->Submit(9, Ending(Status())).status();
}

// Two failures, told in turn; then whether there is a third.
Outcome Telling(Teller teller) {
  Outcome o{};
  Held held;
  SaveQueue queue(3);
  SavePtr first = *queue.Submit(1, held.Job(Failure("first")));
  SavePtr good = *queue.Submit(2, Ending(Status()));
  SavePtr second = *queue.Submit(3, Ending(Failure("second")));
  held.go.Set();
  second->Wait(-1).ok();
  const Status told[] = {Tell(&queue, teller), Tell(&queue, teller)};
  o.is[0] = told[0].message() == "first" && told[0].os_error() == 28;
  o.is[1] = told[1].message() == "second";
  o.code[0] = Was(queue.TakeFailure());
  o.code[1] = Was(queue.Wait(-1));
  o.code[2] = Was(queue.Close(-1));
  o.code[3] = Was(first->status());
  o.code[4] = Was(good->status());
  return o;
}

void each_failure_is_told_once_by_whoever_asks_first_and_stays_in_its_save(void**) {
  for (const Teller teller : {Teller::kTake, Teller::kWait, Teller::kClose, Teller::kSubmit}) {
    const Outcome o = Telling(teller);
    assert_true(o.is[0]);
    assert_true(o.is[1]);
    assert_int_equal(o.code[0], kOk);
    assert_int_equal(o.code[1], kOk);
    assert_int_equal(o.code[2], kOk);
    assert_int_equal(o.code[3], kFull);
    assert_int_equal(o.code[4], kOk);
  }
}

// The next save is called before the one in flight fails.
Outcome FailingWhileOneWaitsForRoom() {
  Outcome o{};
  Held held;
  SaveQueue queue;
  SavePtr save = *queue.Submit(1, held.Job(Failure("full")));
  SaveQueue::SubmitOptions busy;
  busy.wait = false;
  held.begun.Wait();
  o.code[0] = Was(queue.Submit(2, Ending(Status()), busy).status());
  std::thread releaser([&held] { held.go.Set(); });
  o.code[1] = Was(queue.Submit(2, Ending(Status())).status());
  releaser.join();
  auto after = queue.Submit(2, Ending(Status()));
  o.is[0] = after.ok();
  o.code[2] = Was(queue.Close(-1));
  o.code[3] = Was(queue.Submit(3, Ending(Status())).status());
  return o;
}

void a_save_that_waits_for_room_tells_the_failure_that_made_it(void**) {
  const Outcome o = FailingWhileOneWaitsForRoom();
  assert_int_equal(o.code[0], static_cast<int>(Code::kBusy));
  assert_int_equal(o.code[1], kFull);
  assert_true(o.is[0]);
  assert_int_equal(o.code[2], kOk);
  assert_int_equal(o.code[3], static_cast<int>(Code::kWrongState));
}

Outcome Closing(int64_t timeout_ms) {
  Outcome o{};
  Stoppable stoppable;
  Held held, front;
  SaveQueue queue(4);
  SavePtr failed = *queue.Submit(1, front.Job(Failure("full")));
  SavePtr running =
      timeout_ms < 0 ? *queue.Submit(2, held.Job(Status())) : *queue.Submit(2, stoppable.Job());
  SavePtr waiting = *queue.Submit(3, Ending(Status()));
  front.go.Set();
  if (timeout_ms >= 0) stoppable.begun.Wait();
  held.go.Set();
  o.code[0] = Was(queue.Close(timeout_ms));
  o.state[0] = Was(running->state());
  o.state[1] = Was(waiting->state());
  o.code[1] = Was(queue.Close(timeout_ms));
  o.code[2] = Was(queue.Close(timeout_ms));
  o.is[0] = queue.busy();
  return o;
}

void close_without_a_deadline_finishes_every_save(void**) {
  const Outcome o = Closing(-1);
  assert_int_equal(o.code[0], kFull);
  assert_int_equal(o.state[0], kCommitted);
  assert_int_equal(o.state[1], kCommitted);
  assert_int_equal(o.code[1], kOk);
  assert_int_equal(o.code[2], kOk);
  assert_false(o.is[0]);
}

void close_cancels_at_the_deadline_and_says_so_after_the_failures(void**) {
  const Outcome o = Closing(0);
  assert_int_equal(o.code[0], kFull);
  assert_int_equal(o.state[0], static_cast<int>(SaveState::kCancelled));
  assert_int_equal(o.state[1], static_cast<int>(SaveState::kCancelled));
  assert_int_equal(o.code[1], kTimeout);
  assert_int_equal(o.code[2], kOk);
  assert_false(o.is[0]);
}

// Close asks to cancel, but what runs is past that.
Outcome ClosingTooLateToCancel() {
  Outcome o{};
  Held held;
  SaveQueue queue;
  SavePtr save = *queue.Submit(1, [&held](Save* s) {
    held.begun.Set();
    while (!s->cancelled()) std::this_thread::yield();
    return Status();
  });
  held.begun.Wait();
  o.code[0] = Was(queue.Close(0));
  o.state[0] = Was(save->state());
  return o;
}

void close_does_not_complain_about_a_save_that_committed_all_the_same(void**) {
  const Outcome o = ClosingTooLateToCancel();
  assert_int_equal(o.code[0], kOk);
  assert_int_equal(o.state[0], kCommitted);
}

Outcome DestroyingWithoutClose() {
  Outcome o{};
  Stoppable stoppable;
  SavePtr save;
  {
    SaveQueue queue;
    save = *queue.Submit(1, stoppable.Job());
    stoppable.begun.Wait();
  }
  o.code[0] = Was(save->Wait(-1));
  { const SaveQueue never_used; }
  return o;
}

void destroying_a_queue_cancels_what_is_in_flight(void**) {
  assert_int_equal(DestroyingWithoutClose().code[0], kCancelled);
}

#if defined(__SANITIZE_THREAD__)
#define SANITIZES_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZES_THREADS 1
#endif
#endif

// The child ends without the thread, which is not there.
Outcome Forking() {
  Outcome o{};
  Held held;
  auto queue = std::make_unique<SaveQueue>();
  SavePtr save = *queue->Submit(1, held.Job(Status()));
  held.begun.Wait();
#ifndef SANITIZES_THREADS  // which does not stand a fork beside threads
  const pid_t child = fork();
  if (child == 0) {
    queue->Abandon();
    const bool right = !queue->busy() && queue->Wait(-1).code() == Code::kWrongStateForked &&
                       queue->Close(-1).code() == Code::kWrongStateForked &&
                       !queue->Submit(2, Ending(Status())).ok();
    queue.reset();
    _exit(right ? 0 : 1);
  }
  int ended = -1;
  o.is[0] = waitpid(child, &ended, 0) == child && WIFEXITED(ended);
  o.code[0] = WEXITSTATUS(ended);
#else
  o.is[0] = true;
#endif
  held.go.Set();
  o.code[1] = Was(queue->Close(-1));
  return o;
}

void a_forked_child_abandons_the_queue_and_the_parent_goes_on(void**) {
  const Outcome o = Forking();
  assert_true(o.is[0]);
  assert_int_equal(o.code[0], 0);
  assert_int_equal(o.code[1], kOk);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_save_goes_from_snapshot_over_writing_to_committed),
      cmocka_unit_test(the_status_of_the_job_tells_how_the_save_ended),
      cmocka_unit_test(what_a_job_throws_is_a_failure),
      cmocka_unit_test(a_cancelled_save_stops_or_does_not_begin_and_is_no_failure),
      cmocka_unit_test(the_callback_is_called_once_on_the_thread_of_the_queue_when_all_is_over),
      cmocka_unit_test(the_descriptor_is_readable_when_the_save_has_ended),
      cmocka_unit_test(each_failure_is_told_once_by_whoever_asks_first_and_stays_in_its_save),
      cmocka_unit_test(a_save_that_waits_for_room_tells_the_failure_that_made_it),
      cmocka_unit_test(close_without_a_deadline_finishes_every_save),
      cmocka_unit_test(close_cancels_at_the_deadline_and_says_so_after_the_failures),
      cmocka_unit_test(close_does_not_complain_about_a_save_that_committed_all_the_same),
      cmocka_unit_test(destroying_a_queue_cancels_what_is_in_flight),
      cmocka_unit_test(a_forked_child_abandons_the_queue_and_the_parent_goes_on),
  };
  return cmocka_run_group_tests_name("save_queue", tests, nullptr, nullptr);
}

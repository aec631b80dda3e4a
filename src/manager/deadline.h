// SPDX-License-Identifier: Apache-2.0
// Timeouts of waiting calls, as points in time.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace treering::manager {

// Counted from the construction; below 0: never.
class Deadline {
 public:
  explicit Deadline(int64_t timeout_ms) : never_(timeout_ms < 0) {
    if (!never_) at_ = Clock::now() + std::chrono::milliseconds(std::min(timeout_ms, kLongest));
  }
  // False if `done` was still false at the deadline.
  template <typename Done>
  bool Wait(std::condition_variable* changed, std::unique_lock<std::mutex>* lock, Done done) const {
    if (!never_) return changed->wait_until(*lock, at_, done);
    changed->wait(*lock, done);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int64_t kLongest = int64_t{1000} * 86400 * 365;  // far from an overflow
  bool never_;
  Clock::time_point at_;
};

}  // namespace treering::manager

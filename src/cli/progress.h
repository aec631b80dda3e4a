// SPDX-License-Identifier: Apache-2.0
// A progress bar on standard error.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace treering::cli {

// Shown on a terminal only, and gone when it ends.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool shown() const { return shown_; }
  // For treering_progress, with the bar as `user`; on any thread.
  static int32_t Callback(void* self, uint64_t done, uint64_t total);

 private:
  void Update(uint64_t done, uint64_t total);

  const bool shown_;
  const int64_t start_;
  std::atomic<int64_t> last_;
  std::atomic<bool> drawn_{false};
};

}  // namespace treering::cli

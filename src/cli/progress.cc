// SPDX-License-Identifier: Apache-2.0
// A progress bar on standard error.
//
// The callback may run on several threads at once, so it claims its turn with one atomic time stamp
// and writes a whole line at once.
//
// A failure to write is nobody's concern: the answer goes to standard output.
#include "cli/progress.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "cli/text.h"

namespace treering::cli {

namespace {

constexpr int64_t kBarEveryMs = 100;
constexpr int kBarWidth = 30;

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void Put(const std::string& text) {
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

}  // namespace

ProgressBar::ProgressBar() : shown_(::isatty(STDERR_FILENO) == 1), start_(NowMs()), last_(start_) {}

ProgressBar::~ProgressBar() {
  if (drawn_) Put("\r\033[K");
}

int32_t ProgressBar::Callback(void* self, uint64_t done, uint64_t total) {
  static_cast<ProgressBar*>(self)->Update(done, total);
  return 0;
}

void ProgressBar::Update(uint64_t done, uint64_t total) {
  const int64_t now = NowMs();
  int64_t last = last_;
  if (now - last < kBarEveryMs || !last_.compare_exchange_strong(last, now)) return;
  const double part = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
  const int full = static_cast<int>(part * kBarWidth);
  std::string bar = "\r[";
  for (int i = 0; i < kBarWidth; ++i) bar.push_back(i < full ? '#' : '-');
  char rest[96];
  const double seconds = static_cast<double>(now - start_) / 1000;
  std::snprintf(rest, sizeof(rest), "] %3.0f %%  %s of %s  %s/s\033[K", part * 100,
                Size(done, false).c_str(), Size(total, false).c_str(),
                Size(static_cast<uint64_t>(static_cast<double>(done) / seconds), false).c_str());
  drawn_ = true;
  Put(bar + rest);
}

}  // namespace treering::cli

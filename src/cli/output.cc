// SPDX-License-Identifier: Apache-2.0
// Standard output and standard error of the tool.
//
// Listings may have a million lines, so they are gathered and written in large pieces; a disk that
// is full must not go unnoticed, so each write is checked and the verb's exit code tells. A pipe
// whose reader left ends the process by SIGPIPE, quietly, as with other tools.
//
// Invariant: escape sequences are written to terminals only, and not where NO_COLOR is set.
#include "cli/output.h"

#include <errno.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "cli/text.h"

namespace treering::cli {

namespace {

constexpr size_t kBuffer = 1 << 16;
constexpr int kClassMask = 0xff;

// 0, or the errno of the write that failed.
int WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

}  // namespace

Outcome Usage(std::string message) { return {kTrouble, std::move(message)}; }

Outcome FromError(treering_status status, const treering_error& error) {
  if (status == TREERING_OK) return {};
  std::string message(error.message);
  if (message.empty()) message = treering_status_name(status);
  switch (status & kClassMask) {
    case TREERING_NOT_FOUND:
    case TREERING_NOT_TREERING:
    case TREERING_CORRUPT:
    case TREERING_MISMATCH:
      return {kDifferent, std::move(message)};
    default:
      return {kTrouble, std::move(message)};
  }
}

treering_error NewError() {
  treering_error error;
  std::memset(&error, 0, sizeof(error));
  error.struct_size = sizeof(error);
  return error;
}

Output::Output() : terminal_(::isatty(STDOUT_FILENO) == 1) {
  const char* no_color = std::getenv("NO_COLOR");
  colours_ = terminal_ && (no_color == nullptr || no_color[0] == '\0');
}

void Output::Write(std::string_view text) {
  if (text.size() >= kBuffer && Flush()) {
    error_ = WriteAll(STDOUT_FILENO, text);
    return;
  }
  buffer_.append(text);
  if (buffer_.size() >= kBuffer) Flush();
}

void Output::Line(std::string_view text) {
  Write(text);
  Write("\n");
}

bool Output::Flush() {
  if (error_ == 0) error_ = WriteAll(STDOUT_FILENO, buffer_);
  buffer_.clear();
  return error_ == 0;
}

Outcome Output::Finish() {
  if (Flush() || error_ == EPIPE) return {};
  return {kTrouble, std::string("standard output: ") + std::strerror(error_)};
}

std::string Output::Styled(const char* code, std::string_view text) const {
  if (!colours_) return std::string(text);
  return std::string("\033[") + code + "m" + std::string(text) + "\033[0m";
}

void PrintError(std::string_view message) {
  WriteAll(STDERR_FILENO, "treering: " + Printable(message) + "\n");
}

}  // namespace treering::cli

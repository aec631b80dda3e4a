// SPDX-License-Identifier: Apache-2.0
// Standard output, buffered and with its failures seen; the one line of an error; colours.
#pragma once

#include <treering/treering.h>

#include <string>
#include <string_view>

namespace treering::cli {

// What the tool answers to the shell.
constexpr int kFine = 0;
constexpr int kDifferent = 1;  // damaged, different, not found
constexpr int kTrouble = 2;    // wrong usage, or the machine failed

// Why a verb cannot go on: one line, and the exit code. Fine by default.
struct [[nodiscard]] Outcome {
  int code = kFine;
  std::string message;
  bool ok() const { return code == kFine; }
};

Outcome Usage(std::string message);
// From the C API's error: corrupt, foreign, not found and mismatch are findings, the rest trouble.
Outcome FromError(treering_status status, const treering_error& error);
treering_error NewError();

class Output {
 public:
  Output();

  void Write(std::string_view text);
  void Line(std::string_view text);
  // Writes what is buffered. False once a write failed: then there is no sense in going on.
  bool Flush();
  bool failed() const { return error_ != 0; }
  // What Flush could not do; fine if it could.
  Outcome Finish();

  bool terminal() const { return terminal_; }
  // On a terminal and without NO_COLOR: around the text; else the text alone.
  std::string Bold(std::string_view text) const { return Styled("1", text); }
  std::string Faint(std::string_view text) const { return Styled("2", text); }
  std::string Good(std::string_view text) const { return Styled("32", text); }
  std::string Bad(std::string_view text) const { return Styled("31", text); }

 private:
  std::string Styled(const char* code, std::string_view text) const;

  std::string buffer_;
  int error_ = 0;
  bool terminal_ = false;
  bool colours_ = false;
};

// "treering: message" on standard error, as one line that is safe to print.
void PrintError(std::string_view message);

}  // namespace treering::cli

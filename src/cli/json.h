// SPDX-License-Identifier: Apache-2.0
// Writes JSON: containers with commas in their places, strings that are valid whatever they hold.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/output.h"

namespace treering::cli {

// Members of the two outer levels stand on lines of their own, deeper ones in a line.
class Json {
 public:
  explicit Json(Output* out) : out_(out) {}

  void BeginObject() { Open('{', '}'); }
  void BeginArray() { Open('[', ']'); }
  // Closes the innermost container; the outermost one with a newline.
  void End();
  void Key(std::string_view name);

  void String(std::string_view text);
  void Int(int64_t value) { Raw(std::to_string(value)); }
  void Unsigned(uint64_t value) { Raw(std::to_string(value)); }
  void Bool(bool value) { Raw(value ? "true" : "false"); }
  void Null() { Raw("null"); }
  // One value that is JSON already.
  void Raw(std::string_view value);

  void Member(std::string_view name, std::string_view text) { Key(name), String(text); }
  void Member(std::string_view name, uint64_t value) { Key(name), Unsigned(value); }

 private:
  void Open(char open, char close);
  void Separate();
  void NewLine();

  Output* out_;
  std::string open_;   // closing brackets, innermost last
  bool first_ = true;  // in the innermost container
  bool behind_key_ = false;
};

}  // namespace treering::cli

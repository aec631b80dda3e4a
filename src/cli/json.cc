// SPDX-License-Identifier: Apache-2.0
// The JSON of the tool's answers.
//
// The tool writes JSON and never reads it, so a writer is all there is: it keeps the stack of open
// containers as their closing brackets and puts commas and lines between members. Numbers are
// given as text by those who know how to write them exactly.
#include "cli/json.h"

#include "cli/text.h"

namespace treering::cli {

namespace {
constexpr size_t kLevelsOnLines = 2;
}

void Json::NewLine() {
  if (open_.size() > kLevelsOnLines) return;
  out_->Write("\n");
  out_->Write(std::string(2 * open_.size(), ' '));
}

void Json::Separate() {
  if (behind_key_) {
    behind_key_ = false;
    return;
  }
  if (open_.empty()) return;
  if (!first_) out_->Write(open_.size() > kLevelsOnLines ? ", " : ",");
  NewLine();
  first_ = false;
}

void Json::Open(char open, char close) {
  Separate();
  out_->Write(std::string_view(&open, 1));
  open_.push_back(close);
  first_ = true;
}

void Json::End() {
  const char close = open_.back();
  const bool empty = first_;
  const bool lines = open_.size() <= kLevelsOnLines;
  open_.pop_back();
  if (!empty && lines) NewLine();
  out_->Write(std::string_view(&close, 1));
  first_ = false;
  if (open_.empty()) out_->Write("\n");
}

void Json::Key(std::string_view name) {
  Separate();
  std::string text;
  AppendJsonString(name, &text);
  out_->Write(text + ": ");
  behind_key_ = true;
}

void Json::String(std::string_view text) {
  Separate();
  std::string quoted;
  AppendJsonString(text, &quoted);
  out_->Write(quoted);
}

void Json::Raw(std::string_view value) {
  Separate();
  out_->Write(value);
}

}  // namespace treering::cli

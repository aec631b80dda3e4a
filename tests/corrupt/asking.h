// SPDX-License-Identifier: Apache-2.0
// Asks a container, through the C API, for all that it holds, and compares with what is right.
#pragma once

#include <treering/treering.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "../golden/dump.h"

namespace corrupt {

inline std::vector<uint8_t> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return {text.begin(), text.end()};
}

inline treering_checkpoint* Open(const std::vector<uint8_t>& bytes, treering_status* status,
                                 treering_error* error) {
  error->struct_size = sizeof(*error);
  treering_checkpoint* checkpoint = nullptr;
  *status = treering_checkpoint_open_memory(&checkpoint, bytes.data(), bytes.size(), nullptr,
                                            nullptr, nullptr, error);
  return checkpoint;
}

inline treering_status Verify(const treering_checkpoint* checkpoint, treering_error* error) {
  treering_report* report = nullptr;
  const treering_status status = treering_checkpoint_verify(&report, checkpoint, nullptr, error);
  treering_report_free(report);
  return status;
}

struct Answers {
  treering_status open = 0;
  treering_status load = 0;
  treering_status verify = 0;
  bool internal = false;  // some call answered INTERNAL
  std::string message;
};

inline Answers Ask(const std::vector<uint8_t>& bytes) {
  Answers answers;
  treering_error error = {};
  treering_checkpoint* checkpoint = Open(bytes, &answers.open, &error);
  answers.message = error.message;
  if (checkpoint == nullptr) return answers;
  text dump = {};
  const treering_status read = dump_by_read(&dump, checkpoint, nullptr);
  text_free(&dump);
  answers.load = dump_by_load(&dump, checkpoint, 0, &error);
  text_free(&dump);
  answers.message += std::string(" load: ") + error.message;
  answers.verify = Verify(checkpoint, &error);
  answers.message += std::string(" verify: ") + error.message;
  answers.internal = read == TREERING_INTERNAL || answers.load == TREERING_INTERNAL ||
                     answers.verify == TREERING_INTERNAL;
  treering_checkpoint_free(checkpoint);
  return answers;
}

}  // namespace corrupt

// SPDX-License-Identifier: Apache-2.0
// Every golden record reads as its committed dump and is written the same; every bad one is
// refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "record_cases.h"

extern "C" {
#include <cmocka.h>
}

namespace {

using treering::base::Code;

std::filesystem::path folder;

std::string Committed(const std::string& name) {
  std::ifstream file(folder / name, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The names in the folder that begin so or not.
std::vector<std::string> Names(bool bad) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if ((name.rfind("bad-", 0) == 0) == bad && entry.path().extension() != ".dump") {
      names.push_back(name);
    }
  }
  return names;
}

int WrongDumps() {
  int wrong = 0;
  for (const std::string& name : Names(false)) {
    const auto dump = golden::DumpRecord(name, Committed(name));
    const bool right = dump.ok() && *dump == Committed(name + ".dump");
    if (!right) {
      print_message("# %s: %s\n", name.c_str(),
                    dump.ok() ? dump->c_str() : std::string(dump.status().message()).c_str());
    }
    wrong += !right;
  }
  return wrong;
}

void EveryRecordReadsAsItsCommittedDump(void**) {
  assert_int_equal(WrongDumps(), 0);
  assert_true(Names(false).size() >= golden::RecordCases().size());
}

int Changed() {
  int changed = 0;
  for (const golden::RecordFile& file : golden::RecordCases()) {
    const bool same = Committed(file.name) == file.bytes;
    if (!same) print_message("# %s is written in another way\n", file.name.c_str());
    changed += !same;
  }
  return changed;
}

void WhatIsWrittenHasNotChanged(void**) { assert_int_equal(Changed(), 0); }

int Unexpected() {
  const std::map<std::string, Code> others = {
      {"bad-flipped.record", Code::kCorruptChecksum},
      {"bad-zeros.record", Code::kCorruptChecksum},
      {"bad-cut_off.record", Code::kCorruptTruncated},
      {"bad-cut_off.store", Code::kCorruptTruncated},
      {"bad-stranger.record", Code::kNotTreering},
      {"bad-major_2.record", Code::kUnsupportedVersion},
      {"bad-feature_incompatible.record", Code::kUnsupportedFeature},
      {"bad-kind_3.record", Code::kUnsupportedKind},
      {"bad-spelling.note", Code::kNotFound}};
  int unexpected = 0;
  for (const std::string& name : Names(true)) {
    const auto at = others.find(name);
    const Code code = at == others.end() ? Code::kCorruptStructure : at->second;
    const auto dump = golden::DumpRecord(name, Committed(name));
    const bool right = !dump.ok() && dump.status().code() == code;
    if (!right) {
      print_message("# %s: %s\n", name.c_str(),
                    dump.ok() ? "accepted" : std::string(dump.status().message()).c_str());
    }
    unexpected += !right;
  }
  return unexpected;
}

void EveryBadRecordIsRefusedForItsReason(void**) {
  assert_int_equal(Unexpected(), 0);
  assert_true(Names(true).size() >= golden::BadRecordCases().size());
}

}  // namespace

int main(int argc, char** argv) {
  folder = argc > 1 ? argv[1] : ".";
  const CMUnitTest tests[] = {
      cmocka_unit_test(EveryRecordReadsAsItsCommittedDump),
      cmocka_unit_test(WhatIsWrittenHasNotChanged),
      cmocka_unit_test(EveryBadRecordIsRefusedForItsReason),
  };
  return cmocka_run_group_tests_name("golden records", tests, nullptr, nullptr);
}

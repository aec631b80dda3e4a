// SPDX-License-Identifier: Apache-2.0
// The golden records of a manager's directory: what the files in records/ were made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace golden {

struct RecordFile {
  std::string name;   // ends in .store, .record or .note
  std::string bytes;  // as it is written now
};

// The records that are intact, of every form that this version writes.
std::vector<RecordFile> RecordCases();
// Records with one lie each, under a right hash where the lie is not the hash.
std::vector<RecordFile> BadRecordCases();
// What a file says, as text; its ending tells which of the three it is.
treering::base::Result<std::string> DumpRecord(const std::string& name, const std::string& bytes);

}  // namespace golden

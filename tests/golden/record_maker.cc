// SPDX-License-Identifier: Apache-2.0
// Writes the golden records that are not there yet into a folder; never touches one that is.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "record_cases.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: record_maker FOLDER\n");
    return 2;
  }
  std::vector<golden::RecordFile> files = golden::RecordCases();
  for (size_t i = 0, n = files.size(); i < n; ++i) {
    const auto dump = golden::DumpRecord(files[i].name, files[i].bytes);
    if (!dump.ok()) return 1;
    files.push_back({files[i].name + ".dump", *dump});
  }
  for (const golden::RecordFile& bad : golden::BadRecordCases()) files.push_back(bad);
  for (const golden::RecordFile& file : files) {
    const std::filesystem::path path = std::filesystem::path(argv[1]) / file.name;
    if (std::filesystem::exists(path)) continue;
    std::ofstream(path, std::ios::binary)
        .write(file.bytes.data(), static_cast<std::streamsize>(file.bytes.size()));
    std::printf("%s: %zu bytes\n", path.c_str(), file.bytes.size());
  }
  return 0;
}

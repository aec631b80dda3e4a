// SPDX-License-Identifier: Apache-2.0
// Writes the golden containers that are not there yet into a folder; never touches one that is.

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "cases.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: golden_maker FOLDER\n");
    return 2;
  }
  for (size_t i = 0; i < golden_case_count; ++i) {
    const std::filesystem::path path =
        std::filesystem::path(argv[1]) / (std::string(golden_cases[i].name) + ".ring");
    if (std::filesystem::exists(path)) continue;
    treering_blob* blob = golden_cases[i].make();
    if (blob == nullptr) return 1;
    const auto size = static_cast<std::streamsize>(treering_blob_size(blob));
    std::ofstream(path, std::ios::binary)
        .write(static_cast<const char*>(treering_blob_data(blob)), size);
    std::printf("%s: %lld bytes\n", path.c_str(), static_cast<long long>(size));
    treering_blob_free(blob);
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target once over each file it is given, so that corpora replay without an engine.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

bool RunFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    return false;
  }
  const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  return true;
}

}  // namespace

// Arguments are files and folders; those that start with '-' are options of libFuzzer.
int main(int argc, char** argv) {
  LLVMFuzzerTestOneInput(nullptr, 0);
  int ran = 0;
  bool fine = true;
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] == '-') continue;
    std::error_code error;
    if (!std::filesystem::is_directory(argv[i], error)) {
      fine = RunFile(argv[i]) && fine;
      ++ran;
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i], error)) {
      fine = RunFile(entry.path()) && fine;
      ++ran;
    }
  }
  std::printf("%d inputs replayed\n", ran);
  return fine && ran > 0 ? 0 : 1;
}

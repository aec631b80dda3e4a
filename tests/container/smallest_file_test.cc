// SPDX-License-Identifier: Apache-2.0
// The worked example of FORMAT.md is, byte for byte, what the writer writes.
#include <fstream>
#include <sstream>

#include "cmocka_all.h"
#include "written.h"

namespace {

using namespace written;

// {"a": int32[2]} with the values 1 and -2, as the item "default".
Bytes Smallest() {
  const uint8_t data[8] = {1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff};
  Build b;
  b.Container(Kind::kDict, Key(), 1);
  b.Abstract(Key::String("a"), kInt32, {2});
  b.last().value.form = ValueForm::kData;
  b.last().value.data = data;
  return Write(b.Make()).bytes;
}

bool IsHex(const std::string& word) {
  return word.size() == 2 && word.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// The bytes of the lines `OFFSET  xx xx …  words` below the heading of section 18. A line `*`
// stands for zeros up to the offset of the next.
Bytes FromDocument() {
  std::ifstream in(FORMAT_MD);
  Bytes bytes;
  std::string line;
  bool inside = false;
  while (std::getline(in, line)) {
    if (line.rfind("## ", 0) == 0) inside = line.rfind("## 18.", 0) == 0;
    std::istringstream words(line);
    std::string word;
    if (!inside || !(words >> word) || word.size() != 4 ||
        word.find_first_not_of("0123456789abcdef") != std::string::npos) {
      continue;
    }
    bytes.resize(std::stoul(word, nullptr, 16));
    while (words >> word && IsHex(word)) {
      bytes.push_back(static_cast<uint8_t>(std::stoul(word, nullptr, 16)));
    }
  }
  return bytes;
}

struct Compared {
  size_t documented;
  size_t written;
  size_t differs_at;
};

Compared Compare() {
  const Bytes a = FromDocument();
  const Bytes b = Smallest();
  size_t at = 0;
  while (at < a.size() && at < b.size() && a[at] == b[at]) ++at;
  return {a.size(), b.size(), at};
}

void TheWorkedExampleIsWhatTheWriterWrites(void** /*state*/) {
  const Compared compared = Compare();
  assert_int_equal(compared.documented, compared.written);
  assert_int_equal(compared.differs_at, compared.written);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--write") {  // to annotate it anew
    const Bytes bytes = Smallest();
    std::ofstream(argv[2]).write(reinterpret_cast<const char*>(bytes.data()),
                                 static_cast<std::streamsize>(bytes.size()));
    return 0;
  }
  const CMUnitTest tests[] = {cmocka_unit_test(TheWorkedExampleIsWhatTheWriterWrites)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

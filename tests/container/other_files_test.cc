// SPDX-License-Identifier: Apache-2.0
// Chunks that lie in another file of the checkpoint: found, checked, and missed by name.
#include "cmocka_all.h"
#include "reading.h"

namespace {

using namespace written;

Build Sample(uint64_t seed) {
  Build b;
  b.Container(Kind::kDict, Key(), 2);
  b.Array(Key::String("big"), kInt32, {200, 200}, seed, 15);
  b.Array(Key::String("packed"), kInt32, {30}, seed + 1);
  return b;
}

// The chunks of leaf "big" come from `other`, written from the same tree.
Bytes Pointing(const Bytes& own, const Bytes& other, const std::string& folder = "") {
  RingEditor edit(own);
  edit.AddFile(folder, "part-00001.ring", other);
  const format::PieceRecord piece = edit.piece(0);
  for (uint32_t i = 0; i < piece.chunk_count; ++i) {
    format::ChunkRecord chunk = edit.chunk(piece.first_chunk + i);
    for (size_t k = 0; k < chunk.stored_size; ++k) {
      edit.front[static_cast<size_t>(chunk.offset) + k] = 0;  // ours is gone
    }
    chunk.file = 1;
    edit.SetChunk(piece.first_chunk + i, chunk);
  }
  return edit.Make(false);
}

struct Answer {
  Code big = Code::kInternal;
  Code packed = Code::kInternal;
  bool right = false;
  std::string asked;
};
Answer Ask(const Bytes& file, const Bytes* other, const Bytes& data, bool map = false) {
  Answer answer;
  OpenOptions options;
  options.map = map;
  options.resolve = [&](std::string_view folder, std::string_view name,
                        uint64_t) -> base::Result<std::unique_ptr<storage::ReadableFile>> {
    answer.asked = std::string(folder) + "|" + std::string(name);
    if (other == nullptr) return Status(Code::kNotFoundFile, "nothing there");
    return storage::OpenRegion(storage::BorrowedRegion(ByteSpan(*other)), "part");
  };
  const Opened opened = OpenBytes(file, options);
  if (!opened.status.ok()) return answer;
  Status status;
  const Bytes big = ReadWhole(*opened.container, 1, &status);
  answer.big = status.code();
  answer.right = big == data;
  answer.packed = ReadCode(*opened.container, 2);
  if (map && opened->ViewOf(1, nullptr).ok() != status.ok()) answer.right = false;
  return answer;
}

void ChunksOfAnotherFileAreRead(void** /*state*/) {
  const Build b = Sample(1);
  const File own = Write(b.Make());
  Build only;
  only.Array(Key(), kInt32, {200, 200}, 1, 15);
  const Bytes& data = only.last_data();
  for (const bool map : {false, true}) {
    const Answer answer = Ask(Pointing(own.bytes, own.bytes, "run-1"), &own.bytes, data, map);
    assert_int_equal(answer.big, Code::kOk);
    assert_true(answer.right);
    assert_int_equal(answer.packed, Code::kOk);
    assert_string_equal(answer.asked.c_str(), "run-1|part-00001.ring");
  }
}

void AFileThatIsMissingOrAnotherCostsItsLeavesOnly(void** /*state*/) {
  const Build b = Sample(1), c = Sample(2);
  const File own = Write(b.Make()), stranger = Write(c.Make());
  const Bytes file = Pointing(own.bytes, own.bytes);
  Answer answer = Ask(file, nullptr, Bytes());
  assert_int_equal(answer.big, Code::kNotFoundFile);
  assert_int_equal(answer.packed, Code::kOk);
  answer = Ask(file, &stranger.bytes, Bytes());
  assert_int_equal(answer.big, Code::kCorruptChecksum);
  assert_int_equal(answer.packed, Code::kOk);
  Bytes damaged = own.bytes;
  damaged[5000] ^= 1;
  answer = Ask(file, &damaged, Bytes());
  assert_int_equal(answer.big, Code::kCorruptChecksum);
  Bytes shorter(own.bytes.begin(), own.bytes.end() - 1);
  answer = Ask(file, &shorter, Bytes());
  assert_int_equal(answer.big, Code::kCorruptChecksum);
}

void ANameThatIsAPathIsNeverAskedFor(void** /*state*/) {
  const Build b = Sample(1);
  const File own = Write(b.Make());
  for (const char* folder : {"..", ".", "a/b", "/etc", "A", "x y"}) {
    const Answer answer = Ask(Pointing(own.bytes, own.bytes, folder), &own.bytes, Bytes());
    assert_int_equal(answer.big, Code::kCorruptStructure);
    assert_true(answer.asked.empty());
  }
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ChunksOfAnotherFileAreRead),
      cmocka_unit_test(AFileThatIsMissingOrAnotherCostsItsLeavesOnly),
      cmocka_unit_test(ANameThatIsAPathIsNeverAskedFor),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

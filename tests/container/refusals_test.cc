// SPDX-License-Identifier: Apache-2.0
// What the writer refuses, how it says so, and how it fails with its file and its callers.
#include <array>

#include "cmocka_all.h"
#include "storage/callback.h"
#include "written.h"

namespace {

using namespace written;

// A leaf "x" in a dict "layer", completed by the test.
Build InLayer(Dtype dtype, std::vector<uint64_t> shape) {
  Build b;
  b.Container(Kind::kDict, Key(), 1);
  b.Container(Kind::kDict, Key::String("layer"), 1);
  b.Abstract(Key::String("x"), dtype, std::move(shape));
  return b;
}

Outcome WriteBuild(const Build& b, std::string_view told, WriterOptions options = WriterOptions()) {
  const Tree tree = b.Make();
  if (tree.node_count() == 0) return {Code::kInternal, 0, false};
  return Of(Write(tree, std::move(options)).status, told);
}

void AnAbstractLeafIsRefusedByPath(void** /*state*/) {
  const Outcome outcome = WriteBuild(InLayer(kInt32, {3}), "leaf 'layer/x': it is abstract");
  assert_true(outcome.code == Code::kInvalidArgument);
  assert_true(outcome.tells);
}

Outcome WritePlaceholder() {
  Build b = InLayer(kInt32, {3});
  b.last().kind = Kind::kPlaceholder;
  b.last().rank = 0;
  b.last().dtype = Dtype();
  return WriteBuild(b, "leaf 'layer/x': it is a placeholder");
}

void APlaceholderIsRefusedByPath(void** /*state*/) {
  const Outcome outcome = WritePlaceholder();
  assert_true(outcome.code == Code::kInvalidArgument);
  assert_true(outcome.tells);
}

int32_t FailWith28(void*, uint64_t, void*, uint64_t) { return 28; }

Outcome WriteFill(std::vector<uint64_t> shape, const uint64_t* chunk_shape, const char* told) {
  Build b = InLayer(kFloat32, std::move(shape));
  b.last().value.form = ValueForm::kFill;
  b.last().value.fill = FailWith28;
  b.last().hints.chunk_shape = chunk_shape;
  return WriteBuild(b, told);
}

void AFailingCallbackIsAnIoErrorWithItsNumber(void** /*state*/) {
  for (const uint64_t size : {2u, 100u, 100000u}) {
    const Outcome outcome = WriteFill({size}, nullptr, "leaf 'layer/x': its fill callback");
    assert_true(outcome.code == Code::kIo);
    assert_int_equal(outcome.os_error, 28);
    assert_true(outcome.tells);
  }
}

void TilesOfACallbackAreUnsupported(void** /*state*/) {
  const uint64_t tiles[2] = {2, 2};
  const Outcome outcome = WriteFill({4, 4}, tiles, "leaf 'layer/x'");
  assert_true(outcome.code == Code::kUnsupported);
  assert_true(outcome.tells);
  const uint64_t rows[2] = {2, 4};
  const Outcome asked = WriteFill({4, 4}, rows, "callback");
  assert_true(asked.code == Code::kIo);
}

using Box1 = std::array<uint64_t, 2>;

Outcome WritePieces(const std::vector<Box1>& boxes, const char* told) {
  Build b = InLayer(kFloat32, {100});
  const Bytes data(400);
  std::vector<tree::Piece> pieces;
  for (const Box1& box : boxes) pieces.push_back({&box[0], &box[1], data.data(), nullptr});
  b.last().value.form = ValueForm::kPieces;
  b.last().value.pieces = pieces.data();
  b.last().value.piece_count = pieces.size();
  return WriteBuild(b, told);
}

void PiecesMustCoverTheArrayExactlyOnce(void** /*state*/) {
  const Outcome fine = WritePieces({{60, 40}, {0, 60}}, "");
  assert_true(fine.code == Code::kOk);
  const Outcome overlap = WritePieces({{0, 50}, {49, 51}}, "leaf 'layer/x': its pieces [0:50] and");
  assert_true(overlap.code == Code::kInvalidArgument);
  assert_true(overlap.tells);
  const Outcome missing = WritePieces({{0, 50}, {51, 49}}, "99 of 100 elements");
  assert_true(missing.code == Code::kInvalidArgument);
  assert_true(missing.tells);
  const Outcome twice = WritePieces({{0, 50}, {0, 50}}, "overlap");
  assert_true(twice.code == Code::kInvalidArgument);
  assert_true(twice.tells);
  const Outcome none = WritePieces({}, "0 of 100 elements");
  assert_true(none.code == Code::kInvalidArgument);
  assert_true(none.tells);
}

Outcome WriteHinted(int32_t level, const uint64_t* chunk_shape) {
  Build b;
  b.Array(Key(), kFloat32, {5000, 5000}, 1, 0);
  b.last().hints = {2, level, chunk_shape};
  return WriteBuild(b, "leaf ''");
}

void UnknownLevelsAndHugeChunksAreRefused(void** /*state*/) {
  const uint64_t huge[2] = {5000, 5000};
  const Outcome level = WriteHinted(23, nullptr);
  assert_true(level.code == Code::kInvalidArgument);
  assert_true(level.tells);
  const Outcome chunk = WriteHinted(1, huge);
  assert_true(chunk.code == Code::kLimit);
  assert_true(chunk.tells);
}

Code CreateWith(void (*change)(WriterOptions*)) {
  WriterOptions options;
  change(&options);
  Bytes bytes;
  const auto out = storage::WriteToVector(&bytes);
  return Writer::Create(out.get(), options).status().code();
}

void WrongOptionsAreRefused(void** /*state*/) {
  const auto bad = Code::kInvalidArgument;
  assert_true(CreateWith([](WriterOptions* o) { o->codec = 4; }) == bad);
  assert_true(CreateWith([](WriterOptions* o) { o->level = 99; }) == bad);
  assert_true(CreateWith([](WriterOptions* o) { o->chunk_bytes = 4095; }) == bad);
  assert_true(CreateWith([](WriterOptions* o) { o->chunk_bytes = 1 << 27; }) == bad);
  assert_true(CreateWith([](WriterOptions* o) { o->threads = 257; }) == bad);
  assert_true(CreateWith([](WriterOptions* o) { o->metadata = "{"; }) == bad);
  assert_true(CreateWith([](WriterOptions* o) { o->metadata = "{}"; }) == Code::kOk);
}

Code AddNamed(std::string_view name, format::ItemKind kind, std::string_view bytes) {
  Bytes out;
  const auto file = storage::WriteToVector(&out);
  auto writer = std::move(Writer::Create(file.get(), WriterOptions()).value());
  return writer->AddBytes(kind, name, ByteSpan(bytes)).code();
}

void ItemsNeedANameOfUtf8AndTheirKindOfBytes(void** /*state*/) {
  const std::string longest(255, 'n');
  assert_true(AddNamed(longest, format::kBlobItem, "\xff") == Code::kOk);
  assert_true(AddNamed(longest + "n", format::kBlobItem, "") == Code::kInvalidArgument);
  assert_true(AddNamed("", format::kBlobItem, "") == Code::kInvalidArgument);
  assert_true(AddNamed("\xff", format::kBlobItem, "") == Code::kInvalidArgument);
  assert_true(AddNamed("a", format::kJsonItem, "[1]") == Code::kOk);
  assert_true(AddNamed("a", format::kJsonItem, "[1") == Code::kInvalidArgument);
  assert_true(AddNamed("a", format::kTreeItem, "[1]") == Code::kInvalidArgument);
  assert_true(Write(Tree()).status.code() == Code::kInvalidArgument);
}

struct Steps {
  std::vector<uint64_t> done;
  uint64_t total = 0;
  bool ascending = true;
};

// What was reported for 40 MiB of arrays, and the code when the n-th report cancels.
struct Told {
  bool often;
  bool complete;
  Code code;
};
Told ReportTo(int32_t codec, size_t cancel_at) {
  Build b;
  b.Container(Kind::kList, Key(), 4);
  for (int64_t i = 0; i < 4; ++i) b.Array(Key::Index(i), kUint8, {10u << 20}, 1, 3);
  Steps steps;
  WriterOptions options;
  options.codec = codec;
  options.level = 1;
  options.threads = 1;
  options.progress = [&](uint64_t done, uint64_t total) {
    steps.done.push_back(done);
    steps.total = total;
    return steps.done.size() == cancel_at ? 1 : 0;
  };
  const Code code = Write(b.Make(), options).status.code();
  Told told{true, false, code};
  uint64_t last = 0;
  for (const uint64_t done : steps.done) {
    told.often = told.often && done >= last && done - last <= (8u << 20);
    last = done;
  }
  told.complete = last == (40u << 20) && steps.total == last;
  return told;
}

void ProgressIsToldEvery8MiBAndAtTheEnd(void** /*state*/) {
  for (const int32_t codec : {1, 2}) {
    const Told told = ReportTo(codec, SIZE_MAX);
    assert_true(told.code == Code::kOk);
    assert_true(told.often);
    assert_true(told.complete);
    assert_true(ReportTo(codec, 1).code == Code::kCancelled);
    assert_true(ReportTo(codec, 4).code == Code::kCancelled);
  }
}

// The file takes `room` bytes, then says that the disk is full.
Outcome WriteInto(uint64_t room) {
  Build b = InLayer(kUint8, {300000});
  const Bytes data(300000);
  b.last().value.form = ValueForm::kData;
  b.last().value.data = data.data();
  uint64_t used = 0;
  const auto file = storage::WriteToCallback(
      [&](const void*, uint64_t n) {
        used += n;
        return used > room ? 28 : 0;
      },
      {});
  auto writer = Writer::Create(file.get(), WriterOptions());
  if (!writer.ok()) return Of(writer.status());
  const Status added = writer.value()->AddTree("default", b.Make());
  if (!added.ok()) return Of(added);
  const auto finished = writer.value()->Finish();
  return Of(finished.ok() ? Status() : finished.status());
}

void AFullFileEndsTheWriterWhereverItIs(void** /*state*/) {
  for (const uint64_t room : {0u, 64u, 5000u, 304000u, 304200u, 304500u}) {
    const Outcome outcome = WriteInto(room);
    assert_true(outcome.code == Code::kIo || outcome.code == Code::kIoNoSpace);
    assert_int_equal(outcome.os_error, 28);
  }
  assert_true(WriteInto(400000).code == Code::kOk);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AnAbstractLeafIsRefusedByPath),
      cmocka_unit_test(APlaceholderIsRefusedByPath),
      cmocka_unit_test(AFailingCallbackIsAnIoErrorWithItsNumber),
      cmocka_unit_test(TilesOfACallbackAreUnsupported),
      cmocka_unit_test(PiecesMustCoverTheArrayExactlyOnce),
      cmocka_unit_test(UnknownLevelsAndHugeChunksAreRefused),
      cmocka_unit_test(WrongOptionsAreRefused),
      cmocka_unit_test(ItemsNeedANameOfUtf8AndTheirKindOfBytes),
      cmocka_unit_test(ProgressIsToldEvery8MiBAndAtTheEnd),
      cmocka_unit_test(AFullFileEndsTheWriterWhereverItIs),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

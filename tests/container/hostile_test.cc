// SPDX-License-Identifier: Apache-2.0
// Files whose checksums are right and whose content lies: each lie is an answer, never a crash.
#include "cmocka_all.h"
#include "reading.h"

namespace {

using namespace written;

// ids: 0 root, 1 big (pieces), 2 packed, 3 number (inline), 4 alias of 1, 5 list, 6 its leaf.
File Sample() {
  Build b;
  b.Container(Kind::kDict, Key(), 5);
  b.Array(Key::String("big"), kInt32, {200, 200}, 1, 15);
  b.Array(Key::String("packed"), kInt32, {30}, 2);
  b.Leaf(Kind::kInt, Key::String("number"), "\x05");
  b.Alias(Key::String("alias"), 1);
  b.Container(Kind::kList, Key::String("list"), 1);
  b.Array(Key::Index(0), kFloat32, {40}, 3);
  WriterOptions options;
  options.chunk_bytes = 8000;
  return Write(b.Make(), options);
}

Code LoadCode(const Bytes& bytes) {
  const Opened opened = OpenBytes(bytes);
  if (!opened.status.ok()) return opened.status.code();
  return opened->Load("", LoadOptions()).status().code();
}
template <typename Change>
Bytes WithNode(const File& file, uint32_t id, Change change) {
  RingEditor edit(file.bytes);
  format::NodeRecord record = edit.node(id);
  change(&record);
  edit.SetNode(id, record);
  return edit.Make();
}
template <typename Change>
Bytes WithChunk(const File& file, uint32_t id, Change change) {
  RingEditor edit(file.bytes);
  format::ChunkRecord record = edit.chunk(id);
  change(&record);
  edit.SetChunk(id, record);
  return edit.Make(false);
}
template <typename Change>
Bytes WithPiece(const File& file, Change change) {
  RingEditor edit(file.bytes);
  format::PieceRecord record = edit.piece(0);
  change(&edit, &record);
  edit.SetPiece(0, record);
  return edit.Make();
}

using format::ChunkRecord;
using format::NodeRecord;
using format::PieceRecord;

void AnEditedFileWithoutALieLoads(void** /*state*/) {
  const File file = Sample();
  assert_int_equal(LoadCode(RingEditor(file.bytes).Make()), Code::kOk);
  assert_true(RingEditor(file.bytes).Make() == file.bytes);
}

void LiesOfNodesAreCorruptStructure(void** /*state*/) {
  const File f = Sample();
  const Bytes lies[] = {
      WithNode(f, 0, [](NodeRecord* r) { r->a = 3; }),
      WithNode(f, 0, [](NodeRecord* r) { r->size = 6; }),
      WithNode(f, 0, [](NodeRecord* r) { r->size = 1u << 30; }),
      WithNode(f, 5, [](NodeRecord* r) { r->a = 1; }),
      WithNode(f, 6, [](NodeRecord* r) { r->parent = 0; }),
      WithNode(f, 6, [](NodeRecord* r) { r->key = 1; }),
      WithNode(f, 4, [](NodeRecord* r) { r->a = 4; }),
      WithNode(f, 4, [](NodeRecord* r) { r->a = 0; }),
      WithNode(f, 4, [](NodeRecord* r) { r->a = 6; }),
      WithNode(f, 2, [](NodeRecord* r) { r->a = 1u << 20; }),
      WithNode(f, 2, [](NodeRecord* r) { r->b = 200000; }),
      WithNode(f, 2, [](NodeRecord* r) { r->size = 121; }),
      WithNode(f, 2, [](NodeRecord* r) { r->shape = 1u << 20; }),
      WithNode(f, 1, [](NodeRecord* r) { r->b = 2; }),
      WithNode(f, 1, [](NodeRecord* r) { r->a = 9; }),
      WithNode(f, 1, [](NodeRecord* r) { r->key = 1u << 20; }),
      WithNode(f, 1, [](NodeRecord* r) { r->attributes = 77; }),
  };
  for (const Bytes& lie : lies) assert_int_equal(LoadCode(lie), Code::kCorruptStructure);
}

void LiesOfChunksNeverGetFurther(void** /*state*/) {
  const File f = Sample();
  const Bytes lies[] = {
      WithChunk(f, 0, [](ChunkRecord* r) { r->offset = uint64_t{1} << 60; }),
      WithChunk(f, 0, [](ChunkRecord* r) { r->offset = 0; }),
      WithChunk(f, 0, [](ChunkRecord* r) { r->stored_size = r->raw_size = 1u << 30; }),
      WithChunk(f, 0, [](ChunkRecord* r) { r->stored_size -= 8; }),
      WithChunk(f, 0, [](ChunkRecord* r) { r->stored_size = r->raw_size = 16; }),
  };
  for (const Bytes& lie : lies) assert_int_equal(LoadCode(lie), Code::kCorruptStructure);
  RingEditor damaged(f.bytes);
  damaged.front[static_cast<size_t>(damaged.chunk(0).offset)] ^= 1;
  assert_int_equal(LoadCode(damaged.Make(false)), Code::kCorruptChecksum);
  assert_int_equal(LoadCode(WithChunk(f, 1, [](ChunkRecord* r) { r->file = 1; })),
                   Code::kCorruptStructure);
}

void LiesOfPiecesAreCorruptStructure(void** /*state*/) {
  const File f = Sample();
  const auto dims = [](RingEditor* edit, std::vector<uint64_t> words) {
    return static_cast<uint32_t>(edit->AddDims(words));
  };
  const Bytes lies[] = {
      WithPiece(f, [](RingEditor*, PieceRecord* r) { r->leaf = 2; }),
      WithPiece(f, [](RingEditor*, PieceRecord* r) { r->chunk_count = 1; }),
      WithPiece(f, [](RingEditor*, PieceRecord* r) { r->first_chunk = 1u << 20; }),
      WithPiece(f, [](RingEditor*, PieceRecord* r) { r->origin = 1u << 20; }),
      WithPiece(f,
                [&](RingEditor* e, PieceRecord* r) {
                  r->extent = dims(e, {190, 200});
                }),
      WithPiece(f,
                [&](RingEditor* e, PieceRecord* r) {
                  r->extent = dims(e, {0, 200});
                }),
      WithPiece(f,
                [&](RingEditor* e, PieceRecord* r) {
                  r->origin = dims(e, {1, 0});
                }),
      WithPiece(f,
                [&](RingEditor* e, PieceRecord* r) {
                  r->origin = dims(e, {~0ull, 0});
                }),
      WithPiece(f,
                [&](RingEditor* e, PieceRecord* r) {
                  r->chunk_shape = dims(e, {0, 200});
                }),
      WithPiece(f,
                [&](RingEditor* e, PieceRecord* r) {
                  r->chunk_shape = dims(e, {1, 1});
                }),
  };
  for (const Bytes& lie : lies) assert_int_equal(LoadCode(lie), Code::kCorruptStructure);
}

// Whether a load fails as said, one of "list" alone works, and an abstract one too.
struct Partial {
  Code all, others, abstract;
};
Partial LoadParts(const Bytes& bytes) {
  const Opened opened = OpenBytes(bytes);
  if (!opened.status.ok()) return {opened.status.code(), Code::kInternal, Code::kInternal};
  LoadOptions options;
  const Code all = opened->Load("", options).status().code();
  options.abstract = true;
  const Code abstract = opened->Load("", options).status().code();
  options.abstract = false;
  options.filter = tree::Filter::MatchesGlob("list/**").value();
  return {all, opened->Load("", options).status().code(), abstract};
}

void WhatIsUnknownCostsOnlyTheLeafConcerned(void** /*state*/) {
  const File f = Sample();
  Partial parts = LoadParts(WithNode(f, 3, [](NodeRecord* r) { r->kind = 90; }));
  assert_int_equal(parts.all, Code::kUnsupportedKind);
  assert_int_equal(parts.others, Code::kOk);
  parts = LoadParts(WithNode(f, 2, [](NodeRecord* r) { r->dtype_code = 99; }));
  assert_int_equal(parts.all, Code::kUnsupportedDtype);
  assert_int_equal(parts.abstract, Code::kOk);
  assert_int_equal(parts.others, Code::kOk);
  parts = LoadParts(WithChunk(f, 0, [](ChunkRecord* r) { r->codec = 77; }));
  assert_int_equal(parts.all, Code::kUnsupportedCodec);
  assert_int_equal(parts.abstract, Code::kOk);
  assert_int_equal(parts.others, Code::kOk);
  RingEditor edit(f.bytes);
  const uint8_t value[1] = {1};
  std::vector<format::AttributeRecord> critical(1);
  critical[0] = {900, format::kCriticalAttribute, ByteSpan(value, 1)};
  edit.sections[format::kAttributes].clear();
  format::EncodeAttributes(critical, &edit.sections[format::kAttributes]);
  NodeRecord record = edit.node(2);
  record.attributes = 1;
  edit.SetNode(2, record);
  parts = LoadParts(edit.Make());
  assert_int_equal(parts.all, Code::kUnsupportedFeature);
  assert_int_equal(parts.others, Code::kOk);
  parts = LoadParts(WithNode(f, 0, [](NodeRecord* r) { r->kind = 60; }));
  assert_int_equal(parts.all, Code::kUnsupportedKind);
}

// Reads everything of a file whose bytes were changed anywhere, with hashes repaired.
void Exercise(const Bytes& bytes, bool map) {
  const Opened opened = OpenBytes(bytes, map ? Mapped() : OpenOptions());
  if (!opened.status.ok()) return;
  (void)opened->metadata().ok();
  (void)opened->Find("", "list/0").ok();
  (void)opened->Find("", "big").ok();
  const uint32_t nodes = std::min<uint32_t>(opened->index().count(format::kNodes), 20);
  for (uint32_t id = 0; id < nodes; ++id) {
    (void)opened->Path(id).ok();
    auto info = opened->Node(id);
    if (!info.ok()) continue;
    (void)opened->Attributes(info->record).ok();
    (void)opened->StoredSize(*info).ok();
    (void)ReadCode(*opened.container, id);
    (void)opened->ViewOf(id, nullptr).ok();
  }
  LoadOptions options;
  options.views = map;
  (void)opened->Load("", options).ok();
}

void NoChangeOfTheIndexWithRepairedHashesCrashes(void** /*state*/) {
  const File f = Sample();
  const Ring ring(f.bytes);
  const uint64_t first = ring.trailer().index_offset, size = ring.trailer().index_size;
  uint64_t state = 7;
  for (int i = 0; i < 3000; ++i) {
    Bytes bytes = f.bytes;
    for (int k = 0; k < 1 + i % 3; ++k) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const uint64_t at = first + (state >> 33) % size;
      const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff, static_cast<uint8_t>(state >> 20)};
      bytes[static_cast<size_t>(at)] = values[(state >> 11) % 7];
    }
    RepairHashes(&bytes);
    Exercise(bytes, i % 2 == 0);
  }
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(AnEditedFileWithoutALieLoads),
      cmocka_unit_test(LiesOfNodesAreCorruptStructure),
      cmocka_unit_test(LiesOfChunksNeverGetFurther),
      cmocka_unit_test(LiesOfPiecesAreCorruptStructure),
      cmocka_unit_test(WhatIsUnknownCostsOnlyTheLeafConcerned),
      cmocka_unit_test(NoChangeOfTheIndexWithRepairedHashesCrashes),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// SPDX-License-Identifier: Apache-2.0
// Finding nodes by name: right answers, named failures, and few bytes touched.
#include "cmocka_all.h"
#include "reading.h"

namespace {

using namespace written;

struct Found {
  Code code = Code::kInternal;
  uint32_t id = 0;
  bool tells = false;
};
Found Find(const Opened& opened, std::string_view path, std::string_view told = "",
           std::string_view item = "") {
  auto id = opened->Find(item, path);
  Found found;
  found.code = id.status().code();
  if (id.ok()) found.id = *id;
  found.tells = id.status().message().find(told) != std::string_view::npos;
  return found;
}

Build Keys() {
  Build b;
  b.Container(Kind::kDict, Key(), 4);
  b.Container(Kind::kList, Key::String("layers"), 2);
  b.Leaf(Kind::kInt, Key::Index(0), "\x01");
  b.Leaf(Kind::kInt, Key::Index(1), "\x02");
  b.Leaf(Kind::kInt, Key::Int(-7), "\x03");
  b.Leaf(Kind::kInt, Key::String("12"), "\x04");
  b.Leaf(Kind::kInt, Key::String("a/b"), "\x05");
  return b;
}

void EveryKindOfKeyIsFound(void** /*state*/) {
  const Build b = Keys();
  const File file = Write(b.Make());
  const Opened opened = OpenBytes(file.bytes);
  assert_int_equal(Find(opened, "").id, 0);
  assert_int_equal(Find(opened, "layers").id, 1);
  assert_int_equal(Find(opened, "-7").id, 2);
  assert_int_equal(Find(opened, "12").id, 3);
  assert_int_equal(Find(opened, "\"a/b\"").id, 4);
  assert_int_equal(Find(opened, "layers/1").id, 6);
  const Key keys[] = {Key::String("layers"), Key::Index(0)};
  assert_int_equal(opened->FindKeys("default", keys, 2).value(), 5);
  assert_string_equal(opened->Path(6)->c_str(), "layers/1");
  assert_string_equal(opened->Path(4)->c_str(), "\"a/b\"");
}

void WhatIsNotThereIsNamedWithTheNearest(void** /*state*/) {
  const Build b = Keys();
  const File file = Write(b.Make());
  const Opened opened = OpenBytes(file.bytes);
  Found found = Find(opened, "layesr/1", "'layers'");
  assert_true(found.code == Code::kNotFoundPath && found.tells);
  found = Find(opened, "layers/2", "'layers'");
  assert_true(found.code == Code::kNotFoundPath && found.tells);
  found = Find(opened, "layers/1/x", "is a leaf");
  assert_true(found.code == Code::kNotFoundPath && found.tells);
  found = Find(opened, "x", "'default'", "other");
  assert_true(found.code == Code::kNotFoundItem && found.tells);
}

// A dict of n scalars, each its own number, in one item.
File Wide(uint32_t n) {
  std::vector<Node> nodes(n + 1);
  std::vector<std::string> names(n);
  std::vector<uint32_t> values(n);
  nodes[0].kind = Kind::kDict;
  nodes[0].child_count = n;
  for (uint32_t i = 0; i < n; ++i) {
    names[i] = "leaf" + std::to_string(i);
    base::StoreLe32(reinterpret_cast<uint8_t*>(&values[i]), i);
    Node& node = nodes[i + 1];
    node.kind = Kind::kArray;
    node.dtype = kInt32;
    node.key = Key::String(names[i]);
    node.value.form = ValueForm::kData;
    node.value.data = &values[i];
    node.value.size = 4;
  }
  Tree made;
  auto added = made.Append(tree::kNoNode, nodes.data(), nodes.size(), std::make_shared<int>(0));
  return added.ok() ? Write(made) : File();
}

void OneLeafOfManyTouchesAFewBlocks(void** /*state*/) {
  const uint32_t n = 200000;
  const File file = Wide(n);
  assert_true(file.status.ok());
  Counts counts;
  const Opened opened = OpenBytes(file.bytes, OpenOptions(), &counts);
  assert_true(opened.status.ok());
  assert_true(counts.reads <= 2);
  const Found found = Find(opened, "leaf123456");
  assert_int_equal(found.id, 123457);
  Status status;
  const Bytes value = ReadWhole(*opened.container, found.id, &status);
  assert_true(status.ok());
  assert_int_equal(base::LoadLe32(value.data()), 123456);
  assert_true(counts.reads <= 10);
  assert_true(counts.bytes < 300000);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < n; i += 37)
    wrong += Find(opened, "leaf" + std::to_string(i)).id != i + 1;
  assert_int_equal(wrong, 0);
  assert_int_equal(Find(opened, "leaf200000").code, Code::kNotFoundPath);
}

File Deep(uint32_t depth) {
  Build b;
  b.Container(Kind::kDict, Key(), 1);
  for (uint32_t i = 1; i < depth; ++i) b.Container(Kind::kDict, Key::String("d"), 1);
  b.Leaf(Kind::kInt, Key::String("d"), "\x01");
  return Write(b.Make(depth));
}

std::string DeepPath(uint32_t depth) {
  std::string path = "d";
  for (uint32_t i = 1; i < depth; ++i) path += "/d";
  return path;
}

void ADepthBeyondTheLimitIsTold(void** /*state*/) {
  const File file = Deep(200);
  OpenOptions options;
  options.max_depth = 100;
  const Opened limited = OpenBytes(file.bytes, options);
  const Opened opened = OpenBytes(file.bytes);
  const std::string path = DeepPath(200);
  assert_int_equal(Find(opened, path).id, 200);
  assert_int_equal(Find(limited, path).code, Code::kLimit);
  assert_int_equal(limited->Load("", LoadOptions()).status().code(), Code::kLimit);
  assert_int_equal(limited->Path(200).status().code(), Code::kLimit);
  assert_true(opened->Load("", LoadOptions()).ok());
}

void ADepthAboveTheUsualLimitIsReadWhereAskedFor(void** /*state*/) {
  const File file = Deep(1000);
  OpenOptions options;
  options.max_depth = 999;
  const Opened usual = OpenBytes(file.bytes);
  const Opened nearly = OpenBytes(file.bytes, options);
  options.max_depth = 1000;
  const Opened deep = OpenBytes(file.bytes, options);
  assert_int_equal(usual->Load("", LoadOptions()).status().code(), Code::kLimit);
  assert_int_equal(nearly->Load("", LoadOptions()).status().code(), Code::kLimit);
  assert_int_equal(Find(deep, DeepPath(1000)).id, 1000);
  assert_int_equal(ReadCode(*deep.container, 1000), Code::kOk);
  auto loaded = deep->Load("", LoadOptions());
  assert_true(loaded.ok() && loaded->node_count() == 1001);
  assert_true(loaded->Copy().PathKeys(1000).size() == 1000);
}

Code OpenCode(const Bytes& bytes, OpenOptions options = OpenOptions()) {
  return OpenBytes(bytes, options).status.code();
}

void OpeningTellsForeignCutDamagedAndNewerApart(void** /*state*/) {
  const Build b = Keys();
  const File file = Write(b.Make());
  assert_int_equal(OpenCode(Bytes()), Code::kNotTreering);
  assert_int_equal(OpenCode(Bytes(500, 'x')), Code::kNotTreering);
  for (size_t n = 8; n < file.bytes.size(); n += 13) {
    const Bytes cut(file.bytes.begin(), file.bytes.begin() + static_cast<ptrdiff_t>(n));
    assert_int_equal(OpenCode(cut), Code::kCorruptTruncated);
  }
  Bytes bytes = file.bytes;
  bytes[0] ^= 1;
  assert_int_equal(OpenCode(bytes), Code::kCorruptChecksum);
  bytes = file.bytes;
  bytes[bytes.size() - 352] ^= 1;
  assert_int_equal(OpenCode(bytes), Code::kCorruptChecksum);
  RingEditor edit(file.bytes);
  edit.trailer.features_incompat = 4;
  assert_int_equal(OpenCode(edit.Make()), Code::kUnsupportedFeature);
  edit.trailer.features_incompat = 0;
  edit.trailer.major = 2;
  assert_int_equal(OpenCode(edit.Make()), Code::kUnsupportedVersion);
  OpenOptions small;
  small.max_index_bytes = 64;
  assert_int_equal(OpenCode(file.bytes, small), Code::kLimit);
}

// How many single flipped bits of the file neither opening nor loading notices.
size_t Unnoticed(const Bytes& good, const OpenOptions& options) {
  size_t unnoticed = 0;
  const Opened first = OpenBytes(good, options);
  const uint64_t padding_ends = first->index().trailer().index_offset;
  for (size_t at = 0; at < good.size(); ++at) {
    Bytes bad = good;
    bad[at] = static_cast<uint8_t>(bad[at] ^ (1 << at % 8));
    const Opened opened = OpenBytes(bad, options);
    if (!opened.status.ok()) continue;
    if (opened->index().TouchAll().ok() && opened->Load("", LoadOptions()).ok() &&
        at >= padding_ends) {
      ++unnoticed;
    }
  }
  return unnoticed;
}

void EveryFlippedBitOfTheIndexIsNoticed(void** /*state*/) {
  const Build b = Keys();
  const File file = Write(b.Make());
  assert_int_equal(Unnoticed(file.bytes, OpenOptions()), 0);
  assert_int_equal(Unnoticed(file.bytes, Mapped()), 0);
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(EveryKindOfKeyIsFound),
      cmocka_unit_test(WhatIsNotThereIsNamedWithTheNearest),
      cmocka_unit_test(OneLeafOfManyTouchesAFewBlocks),
      cmocka_unit_test(ADepthBeyondTheLimitIsTold),
      cmocka_unit_test(ADepthAboveTheUsualLimitIsReadWhereAskedFor),
      cmocka_unit_test(OpeningTellsForeignCutDamagedAndNewerApart),
      cmocka_unit_test(EveryFlippedBitOfTheIndexIsNoticed),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

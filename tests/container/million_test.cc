// SPDX-License-Identifier: Apache-2.0
// A million leaves: written, opened, one found, all verified, all loaded.
#include "cmocka_all.h"
#include "container/verify.h"
#include "reading.h"

namespace {

using namespace written;

constexpr uint32_t kDicts = 1000;
constexpr uint32_t kEach = 1000;

// A dict of lists of int32 arrays, every second one inline and every second one packed. The
// numbers in a leaf are its own.
File Million() {
  std::vector<std::string> names(kDicts);
  std::vector<std::array<uint32_t, 5>> values(size_t{kDicts} * kEach);
  static constexpr uint64_t kShapes[] = {4, 5};
  std::vector<Node> nodes(1 + size_t{kDicts} * (kEach + 1));
  nodes[0].kind = Kind::kDict;
  nodes[0].child_count = kDicts;
  for (uint32_t d = 0, at = 1, leaf = 0; d < kDicts; ++d) {
    names[d] = "layer" + std::to_string(d);
    nodes[at].kind = Kind::kList;
    nodes[at].key = Key::String(names[d]);
    nodes[at++].child_count = kEach;
    for (uint32_t i = 0; i < kEach; ++i, ++at, ++leaf) {
      for (uint32_t& word : values[leaf]) {
        base::StoreLe32(reinterpret_cast<uint8_t*>(&word), leaf);
      }
      Node& node = nodes[at];
      node.kind = Kind::kArray;
      node.dtype = kInt32;
      node.rank = 1;
      node.shape = &kShapes[leaf % 2];
      node.key = Key::Index(i);
      node.value.form = ValueForm::kData;
      node.value.data = values[leaf].data();
      node.value.size = *node.shape * 4;
    }
  }
  Tree made;
  auto added = made.Append(tree::kNoNode, nodes.data(), nodes.size(), std::make_shared<int>(0));
  return added.ok() ? Write(made) : File();
}

struct Leaf {
  Code code = Code::kInternal;
  uint32_t number = 0;
  size_t size = 0;
};

Leaf ReadLeaf(const Container& container, const std::string& path) {
  Leaf leaf;
  auto id = container.Find("", path);
  if (!id.ok()) return {id.status().code(), 0, 0};
  Status status;
  const Bytes bytes = ReadWhole(container, *id, &status);
  leaf.code = status.code();
  leaf.size = bytes.size();
  if (leaf.size >= 4) leaf.number = base::LoadLe32(bytes.data());
  return leaf;
}

bool AllLoaded(const Tree& tree) {
  uint64_t leaf = 0;
  for (tree::NodeId id = tree.root(); id != tree::kNoNode; id = tree.NextInPreorder(id)) {
    if (tree.kind(id) != Kind::kArray) continue;
    const tree::Value value = tree.Get(id).value;
    if (value.size != (leaf % 2 == 0 ? 16u : 20u)) return false;
    if (base::LoadLe32(static_cast<const uint8_t*>(value.data) + value.size - 4) != leaf) {
      return false;
    }
    ++leaf;
  }
  return leaf == uint64_t{kDicts} * kEach;
}

void AMillionLeavesAreWrittenFoundVerifiedAndLoaded(void** /*state*/) {
  const File file = Million();
  assert_int_equal(file.status.code(), Code::kOk);
  // About 100 bytes a leaf beside its own.
  assert_true(file.bytes.size() < (100 + 18) * size_t{kDicts} * kEach);
  Counts counts;
  const Opened opened = OpenBytes(file.bytes, OpenOptions(), &counts);
  assert_int_equal(opened.status.code(), Code::kOk);
  const Leaf leaf = ReadLeaf(*opened.container, "layer765/432");
  assert_int_equal(leaf.code, Code::kOk);
  assert_int_equal(leaf.number, 765432);
  assert_int_equal(leaf.size, 16);
  assert_true(counts.reads <= 12 && counts.bytes < 600000);
  assert_int_equal(ReadLeaf(*opened.container, "layer999/999").number, 999999);
  assert_int_equal(ReadLeaf(*opened.container, "layer999/1000").code, Code::kNotFoundPath);
  tree::Report report;
  assert_int_equal(container::Verify(*opened.container, ReadOptions(), &report).code(), Code::kOk);
  assert_true(report.findings().empty());
  auto loaded = opened->Load("", container::LoadOptions());
  assert_int_equal(loaded.status().code(), Code::kOk);
  assert_true(AllLoaded(*loaded));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AMillionLeavesAreWrittenFoundVerifiedAndLoaded),
  };
  return cmocka_run_group_tests_name("a million leaves", tests, nullptr, nullptr);
}

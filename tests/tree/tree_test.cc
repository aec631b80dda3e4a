// SPDX-License-Identifier: Apache-2.0
// Tree: append, get, find, set, remove, copies, owners, limits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cstring>

#include "make.h"
#include "tree/path.h"

extern "C" {
#include <cmocka.h>
}

using namespace treering::tree;  // NOLINT(google-build-using-namespace)
using treering::base::Code;

namespace {

Node Int(const char* key) {
  return Leaf(Kind::kInt, Key::String(key), std::string_view("\x05", 1));
}

// The code of appending these nodes as a root, and the message.
Code CodeOf(const std::vector<Node>& nodes, std::string* message = nullptr) {
  Tree tree;
  const auto result = tree.Append(kNoNode, nodes.data(), nodes.size(), nullptr);
  if (message != nullptr) *message = std::string(result.status().message());
  return result.ok() ? Code::kOk : result.status().code();
}

bool Says(const std::vector<Node>& nodes, const char* words) {
  std::string message;
  if (CodeOf(nodes, &message) == Code::kOk) return false;
  if (message.find(words) != std::string::npos) return true;
  print_message("# says: %s\n", message.c_str());
  return false;
}

void AllNodesComeBack(void**) {
  bool right = true;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const Forest f = RandomTree(seed).Make(300);
    Tree tree;
    const auto first = tree.Append(kNoNode, f.nodes.data(), f.nodes.size(), nullptr);
    bool same = first.ok() && tree.node_count() == f.nodes.size();
    NodeId id = same ? tree.root() : kNoNode;
    for (size_t i = 0; i < f.nodes.size() && same; ++i, id = tree.NextInPreorder(id)) {
      const Node node = tree.Get(id);
      const Node& in = f.nodes[i];
      same = node.id == i && node.kind == in.kind && node.key == in.key &&
             node.child_count == in.child_count && node.rank == in.rank;
      for (uint32_t d = 0; same && d < in.rank; ++d) same = node.shape[d] == in.shape[d];
      std::vector<uint8_t> raw(static_cast<size_t>(node.value.size) + 1);
      if (same && !IsContainer(node.kind)) {
        tree.CopyRaw(id, raw.data());
        same = std::memcmp(raw.data(), in.value.data, static_cast<size_t>(node.value.size)) == 0;
      }
    }
    if (!same || id != kNoNode) print_message("# seed %d\n", static_cast<int>(seed));
    right = right && same && id == kNoNode;
  }
  assert_true(right);
}

void EveryNodeIsFoundByItsPathAndItsKeys(void**) {
  bool right = true;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const Forest f = RandomTree(seed).Make(300);
    Tree tree;
    right = right && tree.Append(kNoNode, f.nodes.data(), f.nodes.size(), nullptr).ok();
    for (NodeId id = tree.root(); id != kNoNode; id = tree.NextInPreorder(id)) {
      const std::string path = tree.Path(id);
      const auto found = tree.Find(path);
      const std::vector<Key> keys = tree.PathKeys(id);
      const auto typed = tree.FindKeys(keys.data(), keys.size());
      const bool here = found.ok() && found.value() == id && typed.ok() && typed.value() == id;
      if (!here) print_message("# seed %d path %s\n", static_cast<int>(seed), path.c_str());
      right = right && here;
    }
  }
  assert_true(right);
}

void WrongNodesAreRefusedByName(void**) {
  const Node root = Container(Kind::kDict, {}, 2);
  assert_true(Says({root, Int("a"), Int("a")}, "'a': key given twice"));
  assert_true(Says({root, Int("a")}, "child count 2 with 1 nodes to follow"));
  assert_true(Says({Container(Kind::kDict, {}, 1), Container(Kind::kDict, Key::String("b"), 1),
                    Container(Kind::kNone, Key::String("c"), 0), Int("d")},
                   "more nodes than the root's subtree has"));
  assert_true(Says({root, Container(Kind::kList, Key::String("l"), 1),
                    Leaf(Kind::kBool, Key::Index(1), std::string_view("\1", 1))},
                   "child 0 of 'l': index 1 where 0 is next"));
  assert_true(Says(
      {Container(Kind::kDict, {}, 1), Leaf(Kind::kBool, Key::Index(0), std::string_view("\1", 1))},
      "child 0 of the root: key kind 1 does not go into a dict"));
  assert_true(Says({Container(Kind::kDict, {}, 1),
                    Leaf(Kind::kBool, Key::String("x"), std::string_view("\2", 1))},
                   "'x': a bool is 0 or 1"));
  assert_true(Says({Container(Kind::kDict, {}, 1), Leaf(Kind::kString, Key::String("x"), "\xff")},
                   "'x': the string is not UTF-8"));
  assert_true(
      Says({Container(Kind::kDict, {}, 1),
            Leaf(Kind::kBool, Key::String("\xed\xa0\x80\xed\xb0\x80"), std::string_view("\1", 1))},
           "the key is not UTF-8"));
  assert_true(Says({Container(Kind::kDict, Key::String("x"), 0)}, "a root has no key"));
  assert_true(Says({Container(Kind::kDict, {}, UINT64_MAX)}, "child count 18446744073709551615"));
  assert_true(Says({Container(static_cast<Kind>(9), {}, 0)}, "kind 9 is not known"));
  Node alias;
  alias.kind = Kind::kAlias;
  alias.key = Key::String("b");
  alias.alias_of = 2;
  assert_true(Says({root, Int("a"), alias}, "'b': alias of 2, which is no earlier leaf"));
  const std::vector<uint64_t> huge = {UINT64_C(1) << 62, 4};
  assert_true(Says({Array({}, kFloat32, huge, nullptr)}, "overflows"));
  Node wrong = Array({}, kFloat32, {}, "abcd");
  wrong.value.size = 5;
  assert_true(Says({wrong}, "data of float32[] take 4 bytes, but data_size says 5"));
}

void ManyEqualKeysAreFoundToo(void**) {
  std::deque<std::string> names;
  std::vector<Node> nodes = {Container(Kind::kDict, {}, 5001)};
  for (int i = 0; i <= 5000; ++i) {
    names.push_back("k" + std::to_string(i == 5000 ? 1234 : i));
    nodes.push_back(Int(names.back().c_str()));
  }
  assert_true(Says(nodes, "'k1234': key given twice"));
  nodes.pop_back();
  nodes[0].child_count = 5000;
  Tree tree;
  const bool first = tree.Append(kNoNode, nodes.data(), nodes.size(), nullptr).ok();
  const Node again = Int("k77");
  const Node fresh = Int("new");
  const bool refused = !tree.Append(tree.root(), &again, 1, nullptr).ok();
  const bool taken = tree.Append(tree.root(), &fresh, 1, nullptr).ok();
  const bool twice = !tree.Append(tree.root(), &fresh, 1, nullptr).ok();
  assert_true(first && refused && taken && twice);
  assert_true(tree.node_count() == 5002);
}

std::vector<Node> Chain(size_t depth) {
  std::vector<Node> nodes;
  for (size_t i = 0; i < depth; ++i) {
    nodes.push_back(Container(Kind::kDict, i == 0 ? Key{} : Key::String("d"), 1));
  }
  nodes.push_back(Int("leaf"));
  return nodes;
}

void DepthIsLimitedTo256(void**) {
  assert_int_equal(CodeOf(Chain(64)), Code::kOk);
  assert_int_equal(CodeOf(Chain(256)), Code::kOk);
  assert_int_equal(CodeOf(Chain(257)), Code::kLimit);
}

void KeysAndRanksAreLimited(void**) {
  const std::string longest(65535, 'k');
  const std::string longer(65536, 'k');
  assert_int_equal(CodeOf({Container(Kind::kDict, {}, 1), Int(longest.c_str())}), Code::kOk);
  assert_int_equal(CodeOf({Container(Kind::kDict, {}, 1), Int(longer.c_str())}), Code::kLimit);
  const std::vector<uint64_t> ones(33, 1);
  assert_int_equal(CodeOf({Array({}, kFloat32, ones, nullptr)}), Code::kLimit);
}

void IntegersBecomeMinimal(void**) {
  const struct {
    const char* bytes;
    uint64_t size, minimal;
  } cases[] = {{"\0\0\0\0", 4, 1},
               {"\xff\xff\xff\xff", 4, 1},
               {"\x80\0\0\0", 4, 2},
               {"\x80\xff", 2, 1},
               {"\x7f\xff", 2, 2}};
  bool right = true;
  for (const auto& c : cases) {
    const Node node = Leaf(Kind::kInt, {}, std::string_view(c.bytes, static_cast<size_t>(c.size)));
    Tree tree;
    right = right && tree.Append(kNoNode, &node, 1, nullptr).ok() &&
            tree.Get(0).value.size == c.minimal;
  }
  assert_true(right);
}

void LentMemoryEndsWithItsLastUser(void**) {
  int released = 0;
  const auto lend = [&released] {
    return Owner(&released, [](const void* p) { ++*static_cast<int*>(const_cast<void*>(p)); });
  };
  const std::vector<uint64_t> shape = {1};
  const float one = 1;
  std::vector<Node> nodes = {Container(Kind::kDict, {}, 1),
                             Array(Key::String("a"), kFloat32, shape, &one)};
  int seen[6];
  {
    Tree tree;
    (void)tree.Append(kNoNode, nodes.data(), 2, lend());
    const Node twice = nodes[1];
    (void)tree.Append(0, &twice, 1, lend());
    seen[0] = released;  // the failed append's
    {
      const Tree copy = tree.Copy();
      (void)tree.Set(1, nodes[1], lend());
      seen[1] = released;
    }
    seen[2] = released;
    const Owner blob = tree.owner(1);
    (void)tree.Remove(1);
    seen[3] = released;
    const Node empty = Container(Kind::kList, Key::String("l"), 0);
    (void)tree.Append(0, &empty, 1, lend());
    seen[4] = released;
  }
  seen[5] = released;
  assert_int_equal(seen[0], 1);
  assert_int_equal(seen[1], 1);
  assert_int_equal(seen[2], 2);
  assert_int_equal(seen[3], 2);
  assert_int_equal(seen[4], 3);
  assert_int_equal(seen[5], 4);
}

void StridesAndPiecesAreResolvedWhenCopied(void**) {
  const std::vector<uint64_t> shape = {2, 3};
  const int32_t data[] = {1, 4, 2, 5, 3, 6};  // columns
  const int64_t strides[] = {4, 8};
  Node strided = Array({}, kInt32, shape, data);
  strided.value.strides = strides;
  const uint64_t origins[2][2] = {{0, 0}, {0, 2}};
  const uint64_t extents[2][2] = {{2, 2}, {2, 1}};
  const int32_t left[] = {1, 2, 4, 5};
  const int32_t right[] = {3, 6};
  const Piece pieces[] = {{origins[0], extents[0], left, nullptr},
                          {origins[1], extents[1], right, nullptr}};
  Node pieced = Array({}, kInt32, shape, nullptr);
  pieced.value.form = ValueForm::kPieces;
  pieced.value.pieces = pieces;
  pieced.value.piece_count = 2;
  const int32_t wanted[] = {1, 2, 3, 4, 5, 6};
  int32_t got[2][6] = {};
  Tree a, b;
  (void)a.Append(kNoNode, &strided, 1, nullptr);
  (void)b.Append(kNoNode, &pieced, 1, nullptr);
  a.CopyRaw(0, got[0]);
  b.CopyRaw(0, got[1]);
  assert_null(a.Get(0).value.strides);
  assert_memory_equal(a.Get(0).value.data, wanted, sizeof(wanted));
  assert_memory_equal(got[0], wanted, sizeof(wanted));
  assert_memory_equal(got[1], wanted, sizeof(wanted));
}

void AliasesShowWhatTheyName(void**) {
  Node alias;
  alias.kind = Kind::kAlias;
  alias.key = Key::String("b");
  alias.alias_of = 1;
  Node chained = alias;
  chained.key = Key::String("c");
  chained.alias_of = 2;
  const std::vector<Node> nodes = {Container(Kind::kDict, {}, 3), Int("a"), alias, chained};
  Tree tree;
  const bool appended = tree.Append(kNoNode, nodes.data(), nodes.size(), nullptr).ok();
  const Node shown = tree.Get(3);
  const std::string seven = "\x07";
  const bool set = tree.Set(1, Leaf(Kind::kInt, {}, seven), nullptr).ok();
  const int followed = *static_cast<const char*>(tree.Get(3).value.data);
  const bool refused = !tree.Remove(1).ok();
  const bool whole = tree.Remove(0).ok();
  assert_true(appended && set && refused && whole);
  assert_int_equal(shown.kind, Kind::kInt);
  assert_true(shown.alias_of == 1);
  assert_int_equal(followed, 7);
  assert_true(tree.node_count() == 0 && tree.leaf_count() == 0 && tree.root() == kNoNode);
}

void ListsShrinkFromTheEnd(void**) {
  const Node zero = Leaf(Kind::kBool, Key::Index(0), std::string_view("\1", 1));
  Node next = zero;
  next.key = {};
  const std::vector<Node> nodes = {Container(Kind::kList, {}, 2), zero, next};
  Tree tree;
  (void)tree.Append(kNoNode, nodes.data(), 3, nullptr);
  const bool middle = tree.Remove(1).ok();
  const bool end = tree.Remove(2).ok();
  const bool again = tree.Append(0, &next, 1, nullptr).ok();
  assert_true(!middle && end && again);
  assert_true(tree.child_count(0) == 2 && tree.key(3).integer == 1);
}

void AMissingNameComesWithTheNearest(void**) {
  const std::vector<Node> nodes = {
      Container(Kind::kDict, {}, 1), Container(Kind::kDict, Key::String("params"), 1),
      Container(Kind::kDict, Key::String("dense"), 2), Int("kernel"), Int("bias")};
  Tree tree;
  (void)tree.Append(kNoNode, nodes.data(), nodes.size(), nullptr);
  const std::string message(tree.Find("params/dense/kernal").status().message());
  assert_string_equal(message.c_str(),
                      "no 'kernal' under 'params/dense'; nearest is 'params/dense/kernel'");
}

void LookupsFollowChangesOfLargeDicts(void**) {
  std::deque<std::string> names;
  const Node root = Container(Kind::kDict, {}, 0);
  Tree tree;
  (void)tree.Append(kNoNode, &root, 1, nullptr);
  bool right = true;
  for (int i = 0; i < 3000; ++i) {
    names.push_back("k" + std::to_string(i));
    const Node node = Int(names.back().c_str());
    right = right && tree.Append(0, &node, 1, nullptr).ok();
    if (i % 3 == 2) right = right && tree.Remove(static_cast<NodeId>(i)).ok();
  }
  for (int i = 0; i < 3000; ++i) {
    const NodeId want = i % 3 == 1 ? kNoNode : static_cast<NodeId>(i) + 1;
    right = right && tree.Child(0, Key::String(names[static_cast<size_t>(i)])) == want;
  }
  assert_true(right);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(AllNodesComeBack),
      cmocka_unit_test(EveryNodeIsFoundByItsPathAndItsKeys),
      cmocka_unit_test(WrongNodesAreRefusedByName),
      cmocka_unit_test(ManyEqualKeysAreFoundToo),
      cmocka_unit_test(DepthIsLimitedTo256),
      cmocka_unit_test(KeysAndRanksAreLimited),
      cmocka_unit_test(IntegersBecomeMinimal),
      cmocka_unit_test(LentMemoryEndsWithItsLastUser),
      cmocka_unit_test(StridesAndPiecesAreResolvedWhenCopied),
      cmocka_unit_test(AliasesShowWhatTheyName),
      cmocka_unit_test(ListsShrinkFromTheEnd),
      cmocka_unit_test(AMissingNameComesWithTheNearest),
      cmocka_unit_test(LookupsFollowChangesOfLargeDicts),
  };
  return cmocka_run_group_tests_name("tree", tests, nullptr, nullptr);
}

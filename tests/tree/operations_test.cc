// SPDX-License-Identifier: Apache-2.0
// Split, merge, update, abstract and compare, on small trees and random ones.
#include "tree/operations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cstring>

#include "make.h"

extern "C" {
#include <cmocka.h>
}

using namespace treering::tree;  // NOLINT(google-build-using-namespace)
using treering::base::Code;

namespace {

const CompareOptions kStrict;
const CompareOptions kLoose = {true, false, false};

Node Int(Key key, const char* byte) { return Leaf(Kind::kInt, key, std::string_view(byte, 1)); }
Node Alias(Key key, NodeId of) {
  Node node;
  node.kind = Kind::kAlias;
  node.key = key;
  node.alias_of = of;
  return node;
}

Tree Built(const std::vector<Node>& nodes) {
  Tree tree;
  const auto result = tree.Append(kNoNode, nodes.data(), nodes.size(), nullptr);
  if (!result.ok()) print_message("# %s\n", std::string(result.status().message()).c_str());
  return tree;
}

Tree Random(uint64_t seed, Forest* forest) {
  *forest = RandomTree(seed).Make(200);
  return Built(forest->nodes);
}

// All links agree: parents, depth-first order, counts, keys found again.
bool IsSound(const Tree& tree) {
  uint64_t nodes = 0, leaves = 0;
  for (NodeId id = tree.root(); id != kNoNode; id = tree.NextInPreorder(id)) {
    ++nodes;
    const Node node = tree.Get(id);
    if (!IsContainer(node.kind)) ++leaves;
    uint64_t children = 0;
    for (NodeId c = tree.first_child(id); c != kNoNode; c = tree.next_sibling(c)) {
      const bool indexed = node.kind == Kind::kList || node.kind == Kind::kTuple;
      if (indexed && tree.key(c) != Key::Index(static_cast<int64_t>(children))) return false;
      if (!indexed && node.kind != Kind::kCustom && tree.key(c).kind == KeyKind::kIndex)
        return false;
      if (tree.parent(c) != id || tree.Child(id, tree.key(c)) != c) return false;
      ++children;
    }
    if (children != tree.child_count(id)) return false;
    if (node.alias_of != kNoNode &&
        (!tree.Contains(node.alias_of) || tree.Get(node.alias_of).alias_of != kNoNode))
      return false;
  }
  return nodes == tree.node_count() && leaves == tree.leaf_count();
}

std::vector<FilterPtr> ByHash(int parts) {
  std::vector<FilterPtr> filters;
  for (int i = 0; i < parts; ++i) {
    filters.push_back(Filter::Callback([i, parts](const std::vector<Key>& path, const Node&) {
      size_t h = 0;
      for (const Key& k : path) h = h * 31 + k.text.size() + static_cast<size_t>(k.integer);
      return h % static_cast<size_t>(parts) == static_cast<size_t>(i);
    }));
  }
  return filters;
}

void SplittingAndMergingGivesTheSameLeaves(void**) {
  bool right = true;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Forest forest;
    const Tree tree = Random(seed, &forest);
    auto parts = Split(tree, ByHash(3), true);
    bool here = parts.ok();
    uint64_t leaves = 0;
    std::vector<const Tree*> pointers;
    for (size_t i = 0; here && i < 3; ++i) {
      leaves += parts.value()[i].leaf_count();
      here = IsSound(parts.value()[i]);
      pointers.push_back(&parts.value()[i]);
    }
    here = here && leaves == tree.leaf_count();
    const auto merged = Merge(pointers);
    here = here && merged.ok() && IsSound(merged.value()) && merged.value().leaf_count() == leaves;
    if (here) {
      const Report report = Compare(tree, merged.value(), kLoose);
      for (const Finding& f : report.findings()) {
        // Containers without leaves vanish.
        const bool empty =
            f.kind == FindingKind::kMissing && IsContainer(tree.kind(tree.Find(f.path).value()));
        here = here && empty;
      }
    }
    if (!here) print_message("# seed %d\n", static_cast<int>(seed));
    right = right && here;
  }
  assert_true(right);
}

void PositionsKeepTheirNumbersWhenSplit(void**) {
  const Tree tree =
      Built({Container(Kind::kDict, {}, 2), Container(Kind::kList, Key::String("l"), 3),
             Int(Key::Index(0), "a"), Int(Key::Index(1), "b"), Int(Key::Index(2), "c"),
             Container(Kind::kTuple, Key::String("t"), 1), Int(Key::Index(0), "d")});
  const auto parts = Split(tree,
                           {Filter::MatchesGlob("l/[02]").value(),
                            Filter::PathContains(Key::String("t")), Filter::Everything()},
                           true);
  assert_true(parts.ok());
  const Tree& first = parts.value()[0];
  const Tree& second = parts.value()[1];
  assert_int_equal(first.kind(first.Find("l").value()), Kind::kDict);
  assert_true(first.key(first.Find("l/2").value()) == Key::Int(2));
  assert_true(!first.Find("t").ok() && second.node_count() == 3);
  assert_int_equal(second.kind(second.Find("t").value()), Kind::kTuple);
  const auto merged = Merge({&parts.value()[2], &tree, &first});
  assert_true(merged.ok() && Compare(tree, merged.value(), kStrict).empty());
}

void SplitRefusesLeftoversAndMisplacedEverything(void**) {
  const Tree tree = Built({Container(Kind::kDict, {}, 1), Int(Key::String("a"), "x")});
  const auto left = Split(tree, {Filter::Nothing()}, true);
  const auto dropped = Split(tree, {Filter::Nothing()}, false);
  const auto early = Split(tree, {Filter::Everything(), Filter::Nothing()}, true);
  assert_int_equal(left.status().code(), Code::kMismatchStructure);
  assert_non_null(strstr(std::string(left.status().message()).c_str(), "the leaf 'a'"));
  assert_true(dropped.ok() && dropped.value()[0].node_count() == 1);
  assert_int_equal(early.status().code(), Code::kInvalidArgument);
  assert_true(Split(tree, {Filter::Everything(), Filter::Everything()}, true).ok());
}

void AnAliasWithoutItsLeafBecomesALeaf(void**) {
  const Tree tree = Built({Container(Kind::kDict, {}, 3), Int(Key::String("a"), "x"),
                           Alias(Key::String("b"), 1), Alias(Key::String("c"), 1)});
  const auto parts = Split(tree, {Filter::PathIn("a").value(), Filter::Everything()}, true);
  assert_true(parts.ok() && IsSound(parts.value()[0]) && IsSound(parts.value()[1]));
  const Tree& rest = parts.value()[1];
  const Node b = rest.Get(rest.Find("b").value());
  const Node c = rest.Get(rest.Find("c").value());
  assert_true(b.alias_of == kNoNode && c.alias_of == b.id);
  assert_ptr_equal(b.value.data, tree.Get(1).value.data);
}

void SplitTreesKeepOnlyTheOwnersTheyUse(void**) {
  int released = 0;
  const auto lend = [&released] {
    return Owner(&released, [](const void* p) { ++*static_cast<int*>(const_cast<void*>(p)); });
  };
  bool right = true;
  {
    Tree part;
    {
      const Node nodes[] = {Container(Kind::kDict, {}, 1), Int(Key::String("a"), "x")};
      const Node more = Int(Key::String("b"), "y");
      Tree tree;
      right = tree.Append(kNoNode, nodes, 2, lend()).ok() && tree.Append(0, &more, 1, lend()).ok();
      auto parts = Split(tree, {Filter::PathIn("b").value()}, false);
      part = std::move(parts.value()[0]);
    }
    right = right && released == 1 &&
            *static_cast<const char*>(part.Get(part.Find("b").value()).value.data) == 'y';
  }
  assert_true(right && released == 2);
}

void LaterTreesWinAMergeAndKindsMustAgree(void**) {
  const Tree a = Built(
      {Container(Kind::kDict, {}, 2), Int(Key::String("x"), "1"), Alias(Key::String("y"), 1)});
  const Tree b = Built({Container(Kind::kDict, {}, 2), Int(Key::String("x"), "2"),
                        Container(Kind::kList, Key::String("z"), 0)});
  const Tree c =
      Built({Container(Kind::kDict, {}, 1), Container(Kind::kDict, Key::String("x"), 0)});
  const auto merged = Merge({&a, &b});
  const auto clash = Merge({&a, &c});
  assert_true(merged.ok() && IsSound(merged.value()) && merged.value().node_count() == 4);
  const Tree& m = merged.value();
  assert_int_equal(*static_cast<const char*>(m.Get(m.Find("x").value()).value.data), '2');
  assert_int_equal(*static_cast<const char*>(m.Get(m.Find("y").value()).value.data), '1');
  assert_int_equal(clash.status().code(), Code::kMismatchStructure);
  assert_true(Merge({}).ok() && Merge({}).value().root() == kNoNode);
}

void UpdateSetsAddsAndChangesNothingOnFailure(void**) {
  Tree tree = Built({Container(Kind::kDict, {}, 2), Container(Kind::kList, Key::String("l"), 1),
                     Int(Key::Index(0), "a"), Int(Key::String("x"), "b")});
  const Tree with =
      Built({Container(Kind::kDict, {}, 2), Container(Kind::kDict, Key::String("l"), 1),
             Int(Key::Int(0), "c"), Container(Kind::kTuple, Key::String("new"), 2),
             Int(Key::Index(0), "d"), Alias(Key::Index(1), 4)});
  const Tree longer = Built({Container(Kind::kDict, {}, 2), Int(Key::String("x"), "q"),
                             Container(Kind::kList, Key::String("l"), 2), Int(Key::Index(0), "a"),
                             Int(Key::Index(1), "b")});
  const bool updated = Update(&tree, with).ok();
  const auto refused = Update(&tree, longer);
  assert_true(updated && IsSound(tree));
  assert_int_equal(refused.code(), Code::kMismatchStructure);
  assert_int_equal(*static_cast<const char*>(tree.Get(2).value.data), 'c');
  assert_int_equal(*static_cast<const char*>(tree.Get(3).value.data), 'b');
  const Node alias = tree.Get(tree.Find("new/1").value());
  assert_true(alias.alias_of == tree.Find("new/0").value());
}

// The byte of the leaf at `path`; behind it '*' if it is an alias.
std::string ValueAt(const Tree& tree, const char* path) {
  const Node node = tree.Get(tree.Find(path).value());
  return std::string(1, *static_cast<const char*>(node.value.data)) +
         (node.alias_of == kNoNode ? "" : "*");
}

// x, its alias y, and z.
Tree Shared(const char* x, const char* z) {
  return Built({Container(Kind::kDict, {}, 3), Int(Key::String("x"), x), Alias(Key::String("y"), 1),
                Int(Key::String("z"), z)});
}

void UpdatingALeafTakesItsAliasesAlongAndAnAliasAlone(void**) {
  Tree leaf = Shared("1", "2"), alias = Shared("1", "2"), shares = Shared("1", "2");
  const Tree x = Built({Container(Kind::kDict, {}, 1), Int(Key::String("x"), "3")});
  const Tree y = Built({Container(Kind::kDict, {}, 1), Int(Key::String("y"), "4")});
  const Tree z = Built(
      {Container(Kind::kDict, {}, 2), Int(Key::String("z"), "5"), Alias(Key::String("x"), 1)});
  assert_true(Update(&leaf, x).ok() && Update(&alias, y).ok() && Update(&shares, z).ok());
  const std::string took = ValueAt(leaf, "x") + ValueAt(leaf, "y");
  const std::string alone = ValueAt(alias, "x") + ValueAt(alias, "y");
  const std::string own = ValueAt(shares, "x") + ValueAt(shares, "y") + ValueAt(shares, "z");
  assert_string_equal(took.c_str(), "33*");
  assert_string_equal(alone.c_str(), "14");
  assert_string_equal(own.c_str(), "55*5");
}

void RandomTreesEqualThemselvesAfterCopyUpdateAndMerge(void**) {
  bool right = true;
  for (uint64_t seed = 100; seed < 140; ++seed) {
    Forest forest;
    const Tree tree = Random(seed, &forest);
    Tree copy = tree.Copy();
    const Report plain = Compare(tree, copy, kStrict);
    bool here = plain.empty() && Update(&copy, tree).ok() && Compare(tree, copy, kStrict).empty() &&
                IsSound(copy);
    Tree empty;
    here = here && Update(&empty, tree).ok() && Compare(tree, empty, kStrict).empty() &&
           IsSound(empty);
    const auto merged = Merge({&tree, &copy});
    here = here && merged.ok() && Compare(tree, merged.value(), kStrict).empty() &&
           IsSound(merged.value());
    const auto abstract = Abstract(tree);
    here = here && Compare(tree, abstract.value(), kStrict).empty() && IsSound(abstract.value());
    if (!here) print_message("# seed %d\n", static_cast<int>(seed));
    right = right && here;
  }
  assert_true(right);
}

void ComparisonTellsEveryKindOfDifference(void**) {
  const std::vector<uint64_t> shapes[] = {{2}, {3}};
  const float values[] = {1, 2, 3};
  const Attribute tags[] = {{kTag, 0, "a"}};
  Node tagged = Int(Key::String("attributes"), "x");
  tagged.attributes = tags;
  tagged.attribute_count = 1;
  const uint32_t nan[] = {0x7fc00001, 0x80000000}, other[] = {0x7fc00002, 0x80000000};
  const Tree a =
      Built({Container(Kind::kDict, {}, 7), tagged,
             Array(Key::String("dtype"), kFloat32, shapes[0], values),
             Container(Kind::kList, Key::String("kind"), 0), Int(Key::String("lost"), "x"),
             Array(Key::String("nan"), kFloat32, shapes[0], nan),
             Array(Key::String("same"), kFloat32, shapes[0], nan),
             Array(Key::String("shape"), kFloat32, shapes[0], values)});
  const Tree b = Built({Container(Kind::kDict, {}, 7), Int(Key::String("attributes"), "x"),
                        Array(Key::String("dtype"), kInt32, shapes[0], values),
                        Container(Kind::kTuple, Key::String("kind"), 0),
                        Array(Key::String("nan"), kFloat32, shapes[0], other),
                        Array(Key::String("same"), kFloat32, shapes[0], nan),
                        Array(Key::String("shape"), kFloat32, shapes[1], values),
                        Int(Key::String("added"), "x")});
  const Report report = Compare(a, b, kStrict);
  std::string got;
  for (const Finding& f : report.findings()) got += f.path + ":" + f.expected + ":" + f.found + ";";
  assert_string_equal(got.c_str(),
                      "attributes:tag 'a':none;dtype:float32[2]:int32[2];kind:list:tuple;lost:int:;"
                      "nan:float32[2]:float32[2];shape:float32[2]:float32[3];added::int;");
  assert_true(report.differences() == 7);
  assert_true(Compare(a, b, {false, false, false}).differences() == 4);
}

// Three 4-bit elements lie in 12 bits.
void BitsOfNoElementHaveNoMeaning(void**) {
  const std::vector<uint64_t> shape = {3};
  const uint8_t clean[] = {0x21, 0x03}, soiled[] = {0x21, 0xf3}, other[] = {0x21, 0x04};
  const auto lent = [&](const uint8_t* data) {
    Tree tree;
    const Node node = Array({}, {0, 4}, shape, data);
    if (!tree.Append(kNoNode, &node, 1, Owner(data, [](const void*) {})).ok()) return Tree();
    return tree;
  };
  const Tree copied = Built({Array({}, {0, 4}, shape, soiled)});
  uint8_t raw[2] = {};
  lent(soiled).CopyRaw(0, raw);
  const auto* own = static_cast<const uint8_t*>(copied.Get(0).value.data);
  assert_true(Compare(lent(clean), lent(soiled), kStrict).empty());
  assert_true(Compare(lent(soiled), copied, kStrict).empty());
  assert_true(Compare(lent(clean), lent(other), kStrict).differences() == 1);
  assert_memory_equal(raw, clean, 2);
  assert_memory_equal(own, clean, 2);
}

void AMillionLeavesAreSplitMergedAndCompared(void**) {
  std::vector<std::string> names(1000000);
  std::vector<Node> nodes = {Container(Kind::kDict, {}, names.size())};
  nodes.reserve(names.size() + 1);
  const std::vector<uint64_t> shape = {};
  const float value = 1;
  for (size_t i = 0; i < names.size(); ++i) {
    names[i] = "leaf" + std::to_string(i);
    nodes.push_back(Array(Key::String(names[i]), kFloat32, shape, &value));
  }
  Tree tree;
  bool right =
      tree.Append(kNoNode, nodes.data(), nodes.size(), Owner(&value, [](const void*) {})).ok();
  right = right && tree.Child(0, Key::String("leaf999999")) == 1000000;
  auto parts = Split(tree, {Filter::MatchesGlob("*7").value(), Filter::Everything()}, true);
  const auto merged = Merge({&parts.value()[0], &parts.value()[1]});
  right = right && merged.ok() && Compare(tree, merged.value(), kStrict).empty();
  assert_true(right && merged.value().leaf_count() == names.size());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(SplittingAndMergingGivesTheSameLeaves),
      cmocka_unit_test(PositionsKeepTheirNumbersWhenSplit),
      cmocka_unit_test(SplitRefusesLeftoversAndMisplacedEverything),
      cmocka_unit_test(AnAliasWithoutItsLeafBecomesALeaf),
      cmocka_unit_test(SplitTreesKeepOnlyTheOwnersTheyUse),
      cmocka_unit_test(LaterTreesWinAMergeAndKindsMustAgree),
      cmocka_unit_test(UpdateSetsAddsAndChangesNothingOnFailure),
      cmocka_unit_test(UpdatingALeafTakesItsAliasesAlongAndAnAliasAlone),
      cmocka_unit_test(RandomTreesEqualThemselvesAfterCopyUpdateAndMerge),
      cmocka_unit_test(ComparisonTellsEveryKindOfDifference),
      cmocka_unit_test(BitsOfNoElementHaveNoMeaning),
      cmocka_unit_test(AMillionLeavesAreSplitMergedAndCompared),
  };
  return cmocka_run_group_tests_name("operations", tests, nullptr, nullptr);
}

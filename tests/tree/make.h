// SPDX-License-Identifier: Apache-2.0
// Short ways to write nodes in tests, and a generator of random trees.
#pragma once

#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "tree/tree.h"

namespace treering::tree {

inline Node Container(Kind kind, Key key, uint64_t children) {
  Node node;
  node.kind = kind;
  node.key = key;
  node.child_count = children;
  return node;
}

inline Node Leaf(Kind kind, Key key, std::string_view bytes) {
  Node node;
  node.kind = kind;
  node.key = key;
  node.value.form = ValueForm::kData;
  node.value.data = bytes.data();
  node.value.size = bytes.size();
  return node;
}

inline Node Array(Key key, Dtype dtype, const std::vector<uint64_t>& shape, const void* data) {
  Node node;
  node.kind = Kind::kArray;
  node.key = key;
  node.dtype = dtype;
  node.rank = static_cast<uint32_t>(shape.size());
  node.shape = shape.data();
  node.value.form = data == nullptr ? ValueForm::kAbstract : ValueForm::kData;
  node.value.data = data;
  return node;
}

inline constexpr Dtype kFloat32{2, 32};
inline constexpr Dtype kInt32{0, 32};

// Nodes in preorder and the memory they point to.
struct Forest {
  std::vector<Node> nodes;
  std::deque<std::string> texts;
  std::deque<std::vector<uint64_t>> shapes;

  std::string_view Keep(std::string text) {
    texts.push_back(std::move(text));
    return texts.back();
  }
};

class RandomTree {
 public:
  explicit RandomTree(uint64_t seed) : random_(seed) {}
  uint64_t Below(uint64_t n) { return random_() % n; }

  Forest Make(size_t size) {
    Forest forest;
    AddNode(&forest, Key{}, &size, 0, true);
    return forest;
  }

  std::string NastyText() {
    static const char* const kPool[] = {"",
                                        "0",
                                        "007",
                                        "-0",
                                        "-12",
                                        "1e3",
                                        "a",
                                        "kernel",
                                        "a/b",
                                        "\"",
                                        "\\",
                                        "*",
                                        "?",
                                        "[x]",
                                        ":",
                                        "\n",
                                        "\x7f",
                                        "\xc2\x85",
                                        "\xed\xa0\x80",
                                        "\xed\xb0\x80",
                                        "\xf0\x9f\x98\x80",
                                        "\xc3\xa9",
                                        "99999999999999999999",
                                        "-9223372036854775808",
                                        "9223372036854775808",
                                        " ",
                                        "\"q\"",
                                        "\\u0041"};
    const uint64_t n = Below(sizeof(kPool) / sizeof(kPool[0]) + 3);
    if (n < sizeof(kPool) / sizeof(kPool[0])) return kPool[n];
    if (n % 3 == 0) return std::string("a\0b", 3);
    if (n % 3 == 1) return std::string(static_cast<size_t>(Below(300)), 'x');
    return "k" + std::to_string(Below(1000));
  }

 private:
  // Depth is at most 6 here, so recursion is fine in a test.
  void AddNode(Forest* f, Key key, size_t* budget, int depth, bool root) {
    const size_t at = f->nodes.size();
    if (*budget > 0) --*budget;
    if (!root && (depth > 5 || Below(3) != 0)) {
      AddLeaf(f, key);
      return;
    }
    const Kind kind = static_cast<Kind>(1 + Below(7));
    f->nodes.push_back(Container(root ? Kind::kDict : kind, key, 0));
    if (!root && kind == Kind::kNone) return;
    const bool indexed = f->nodes[at].kind == Kind::kList || f->nodes[at].kind == Kind::kTuple;
    const uint64_t wanted = root ? 30 : Below(6);
    std::vector<Key> used;
    for (uint64_t i = 0; i<wanted&& * budget> 0; ++i) {
      Key child = Key::Index(static_cast<int64_t>(used.size()));
      if (!indexed) child = RandomKey(f, f->nodes[at].kind);
      bool twice = false;
      for (const Key& k : used) twice = twice || k == child;
      if (twice) continue;
      used.push_back(child);
      AddNode(f, child, budget, depth + 1, false);
    }
    f->nodes[at].child_count = used.size();
  }

  Key RandomKey(Forest* f, Kind kind) {
    const uint64_t n = kind == Kind::kDict ? Below(6) : 0;
    if (n == 4) return Key::Int(static_cast<int64_t>(Below(20)) - 10);
    if (n != 5) return Key::String(f->Keep(NastyText()));
    std::string big(26, '\0');
    for (char& c : big) c = static_cast<char>(Below(256));
    big[25] = 1;
    return {KeyKind::kBigInt, 0, f->Keep(big)};
  }

  void AddLeaf(Forest* f, Key key) {
    const uint64_t what = Below(8);
    if (what == 0) return f->nodes.push_back(Leaf(Kind::kBool, key, f->Keep(std::string(1, 1))));
    if (what == 1) {
      std::string big(25, '\0');
      for (char& c : big) c = static_cast<char>(Below(256));
      big[24] = 0x55;
      return f->nodes.push_back(Leaf(Kind::kInt, key, f->Keep(big)));
    }
    if (what == 2) return f->nodes.push_back(Leaf(Kind::kString, key, f->Keep(NastyText())));
    if (what == 3) return f->nodes.push_back(Leaf(Kind::kBytes, key, f->Keep("\xff\x01")));
    if (what == 4)
      return f->nodes.push_back(
          Leaf(Kind::kFloat, key, f->Keep("\x01\x02\x03\x04\x05\x06\xf8\x7f")));
    std::vector<uint64_t> shape(static_cast<size_t>(Below(4)));
    uint64_t count = 1;
    for (uint64_t& d : shape) count *= d = Below(4);
    std::string data(static_cast<size_t>(count * 4), '\0');
    for (char& c : data) c = static_cast<char>(Below(256));
    f->shapes.push_back(shape);
    const std::string_view kept = f->Keep(data);
    f->nodes.push_back(Array(key, kFloat32, f->shapes.back(), kept.empty() ? "" : kept.data()));
  }

  std::mt19937_64 random_;
};

}  // namespace treering::tree

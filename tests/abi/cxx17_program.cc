// SPDX-License-Identifier: Apache-2.0
// A strict C++17 program with the public header alone: it compiles, links and knows its version.
#include <treering/treering.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <type_traits>

static_assert(std::is_trivial_v<treering_error> && std::is_standard_layout_v<treering_error>,
              "the ABI's structs are plain");

int main(int argc, char** argv) {
  if (argc != 2 || std::strcmp(treering_version(), argv[1]) != 0) {
    std::fprintf(stderr, "version %s is not the expected one\n", treering_version());
    return 1;
  }
  treering_tree* raw = nullptr;
  treering_error error{};
  error.struct_size = sizeof error;
  if (treering_tree_create(&raw, &error) != TREERING_OK) {
    std::fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  const std::unique_ptr<treering_tree, decltype(&treering_tree_free)> tree(raw, treering_tree_free);
  return treering_tree_node_count(tree.get()) == 0 ? 0 : 1;
}

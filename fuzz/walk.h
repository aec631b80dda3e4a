// SPDX-License-Identifier: Apache-2.0
// Everything that can be asked of an open container, within a bound on memory.
#pragma once

#include <treering/treering.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace fuzz {

inline constexpr uint64_t kMostBytes = uint64_t{16} << 20;  // of one leaf
inline constexpr uint64_t kMostNodes = 3000;

// A claim that does not hold ends the process: that is what an engine looks for.
inline void Claim(bool holds, const char* what, const std::string& said = std::string()) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s %s\n", what, said.c_str());
  std::abort();
}

inline treering_checkpoint* Open(const uint8_t* data, size_t size, bool map = true) {
  treering_open_options options = {};
  options.struct_size = sizeof(options);
  options.map = map ? 1 : 0;
  treering_error error = {};
  error.struct_size = sizeof(error);
  treering_checkpoint* checkpoint = nullptr;
  const treering_status status =
      treering_checkpoint_open_memory(&checkpoint, data, size, nullptr, nullptr, &options, &error);
  Claim((status == TREERING_OK) == (checkpoint != nullptr), "an output exists on success alone");
  Claim(status != TREERING_INTERNAL, "opening is no internal error");
  Claim(status == TREERING_OK || error.message[0] != 0, "a failure has a message");
  return checkpoint;
}

inline void ReadLeaf(const treering_checkpoint* checkpoint, const treering_node& node,
                     uint64_t* left) {
  if (node.data_size > *left) return;
  *left -= node.data_size;
  std::vector<uint8_t> data(static_cast<size_t>(node.data_size) + 1);
  treering_read read = {};
  read.node = node.id;
  read.dst = data.data();
  read.dst_size = node.data_size;
  const treering_status status =
      treering_checkpoint_read(checkpoint, &read, sizeof(read), 1, nullptr, nullptr);
  Claim(status != TREERING_INTERNAL, "reading is no internal error");
  treering_blob* view = nullptr;
  if (treering_checkpoint_view(&view, checkpoint, node.id, nullptr, nullptr, nullptr) == 0) {
    Claim(status == TREERING_OK, "what can be viewed can be read");
    Claim(treering_blob_size(view) == node.data_size, "a view has the size of its leaf");
    const auto* bytes = static_cast<const uint8_t*>(treering_blob_data(view));
    for (uint64_t i = 0; i < node.data_size; ++i) Claim(bytes[i] == data[i], "a view is a read");
  }
  treering_blob_free(view);
}

// All nodes, paths and leaves. False where the leaves are larger than this may load.
inline bool WalkNodes(const treering_checkpoint* checkpoint) {
  uint64_t left = 2 * kMostBytes;
  uint64_t total = 0;
  for (uint64_t id = 0; id < kMostNodes; ++id) {
    treering_node node = {};
    treering_blob* scratch = nullptr;
    uint64_t count = 0;
    const treering_status status = treering_checkpoint_nodes(checkpoint, id, &node, sizeof(node), 1,
                                                             &count, &scratch, nullptr);
    if (status == TREERING_OK && count == 0) {
      treering_blob_free(scratch);
      return total <= kMostBytes;
    }
    char path[64];
    uint64_t size = 0;
    (void)treering_checkpoint_path(checkpoint, id, path, sizeof(path), &size, nullptr);
    if (status == TREERING_OK) {
      uint64_t first = 0;
      (void)treering_checkpoint_children(checkpoint, id, &first, &count, nullptr);
      if (node.kind >= TREERING_ARRAY) ReadLeaf(checkpoint, node, &left);
      total = node.data_size > kMostBytes ? kMostBytes + 1 : total + node.data_size;
    }
    treering_blob_free(scratch);
    if (total > kMostBytes) return false;
  }
  return false;
}

inline std::vector<treering_item> Items(const treering_checkpoint* checkpoint) {
  std::vector<treering_item> items(64);
  uint64_t count = 0;
  if (treering_checkpoint_items(checkpoint, 0, items.data(), sizeof(items[0]), items.size(), &count,
                                nullptr) != 0) {
    count = 0;
  }
  items.resize(static_cast<size_t>(count));
  return items;
}

inline treering_tree* Load(const treering_checkpoint* checkpoint, const treering_item& item,
                           bool abstract, std::string* said = nullptr) {
  treering_load_options options = {};
  options.struct_size = sizeof(options);
  options.abstract = abstract ? 1 : 0;
  treering_tree* tree = nullptr;
  treering_error error = {};
  error.struct_size = sizeof(error);
  const treering_status status =
      treering_checkpoint_load(&tree, checkpoint, item.name, item.name_size, &options, &error);
  Claim(status == TREERING_OK || error.message[0] != 0, "a failure has a message");
  if (said != nullptr) *said = error.message;
  Claim((status == TREERING_OK) == (tree != nullptr), "a tree exists on success alone");
  Claim(status != TREERING_INTERNAL, "loading is no internal error");
  return tree;
}

inline treering_status Verify(const treering_checkpoint* checkpoint) {
  treering_report* report = nullptr;
  const treering_status status = treering_checkpoint_verify(&report, checkpoint, nullptr, nullptr);
  Claim(status != TREERING_INTERNAL, "verifying is no internal error");
  if (status == TREERING_OK) Claim(treering_report_count(report) == 0, "intact: nothing found");
  treering_report_free(report);
  return status;
}

// All of it. True if the container is intact and small enough to load.
inline bool WalkAll(const treering_checkpoint* checkpoint) {
  treering_info info = {};
  info.struct_size = sizeof(info);
  (void)treering_checkpoint_info(&info, checkpoint, nullptr);
  const bool small = WalkNodes(checkpoint);
  for (const treering_item& item : Items(checkpoint)) {
    treering_tree_free(Load(checkpoint, item, true));
    uint64_t id = 0;
    (void)treering_checkpoint_find(&id, checkpoint, item.name, item.name_size, "a/0/k1", 6,
                                   nullptr);
    if (small) treering_tree_free(Load(checkpoint, item, false));
  }
  return Verify(checkpoint) == TREERING_OK && small;
}

}  // namespace fuzz

// SPDX-License-Identifier: Apache-2.0
// Trees through the C ABI: build, change, look up, hand out.
//
// Everything that knows trees is in tree/; this file checks pointers, converts, and keeps the
// caches of what C callers are shown. Changing calls drop the caches before they return, whether
// they succeeded or not.
#include <treering/treering.h>

#include <cstring>

#include "capi/convert.h"
#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/import.h"
#include "tree/glob.h"
#include "tree/operations.h"
#include "tree/path.h"

namespace treering::capi {
namespace {

using base::Status;
using tree::NodeId;

Status RequireNode(const treering_tree* tree, uint64_t id) {
  if (tree->value.Contains(id)) return {};
  return Status(base::Code::kNotFoundPath, "this tree has no node with id " + std::to_string(id));
}

// The nodes in preorder, listed once per change of the tree.
const std::vector<NodeId>& Preorder(const treering_tree& tree) {
  const std::lock_guard<std::mutex> lock(tree.mutex);
  if (!tree.preorder_ready) {
    tree.preorder.reserve(tree.value.node_count());
    for (NodeId id = tree.value.root(); id != tree::kNoNode; id = tree.value.NextInPreorder(id)) {
      tree.preorder.push_back(id);
    }
    tree.preorder_ready = true;
  }
  return tree.preorder;
}

// Skips `first` answers of a listing, keeps up to `capacity`, counts what was kept.
class IdList {
 public:
  IdList(uint64_t first, uint64_t* out, uint64_t capacity)
      : skip_(first), out_(out), capacity_(capacity) {}
  bool full() const { return count_ == capacity_; }
  void Add(NodeId id) {
    if (skip_ != 0) {
      --skip_;
    } else if (!full()) {
      out_[count_++] = id;
    }
  }
  uint64_t count() const { return count_; }

 private:
  uint64_t skip_;
  uint64_t* out_;
  uint64_t capacity_;
  uint64_t count_ = 0;
};

Status CopyText(const std::string& text, char* out, uint64_t capacity, uint64_t* out_size) {
  if (out == nullptr && capacity != 0) return NullArgument("out");
  *out_size = text.size();
  const uint64_t n = std::min<uint64_t>(capacity, text.size());
  if (n != 0) std::memcpy(out, text.data(), n);
  return {};
}

}  // namespace
}  // namespace treering::capi

using treering::base::Status;
using treering::capi::Guard;

extern "C" {

treering_status treering_tree_create(treering_tree** out, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    *out = new treering_tree;
    return {};
  });
}

void treering_tree_free(treering_tree* tree) { delete tree; }

treering_status treering_tree_copy(treering_tree** out, const treering_tree* tree,
                                   treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(tree);
    *out = treering::capi::NewTree(tree->value.Copy());
    return {};
  });
}

treering_status treering_tree_append(uint64_t* out_first, treering_tree* tree, uint64_t parent,
                                     const treering_node* nodes, uint64_t element_size,
                                     uint64_t count, const treering_lend* lend,
                                     treering_error* error) {
  return Guard(error, [&]() -> Status {
    if (out_first != nullptr) *out_first = 0;
    treering::tree::Owner owner;
    TR_RETURN_IF_ERROR(treering::capi::ImportLend(lend, &owner));
    TR_REQUIRE(out_first);
    TR_REQUIRE(tree);
    if (count == 0) return treering::capi::InvalidArgument("count is 0; give at least one node");
    tree->Changed();
    treering::capi::ImportedNodes in;
    TR_RETURN_IF_ERROR(in.Import(nodes, element_size, count));
    TR_ASSIGN_OR_RETURN(*out_first,
                        tree->value.Append(parent, in.nodes().data(), count, std::move(owner)));
    return {};
  });
}

treering_status treering_tree_set(treering_tree* tree, uint64_t id, const treering_node* node,
                                  uint64_t element_size, const treering_lend* lend,
                                  treering_error* error) {
  return Guard(error, [&]() -> Status {
    treering::tree::Owner owner;
    TR_RETURN_IF_ERROR(treering::capi::ImportLend(lend, &owner));
    TR_REQUIRE(tree);
    TR_REQUIRE(node);
    TR_RETURN_IF_ERROR(treering::capi::RequireNode(tree, id));
    tree->Changed();
    treering::capi::ImportedNodes in;
    TR_RETURN_IF_ERROR(in.Import(node, element_size, 1));
    return tree->value.Set(id, in.nodes()[0], std::move(owner));
  });
}

treering_status treering_tree_remove(treering_tree* tree, uint64_t id, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(tree);
    TR_RETURN_IF_ERROR(treering::capi::RequireNode(tree, id));
    tree->Changed();
    return tree->value.Remove(id);
  });
}

uint64_t treering_tree_root(const treering_tree* tree) {
  return tree == nullptr ? TREERING_NO_NODE : tree->value.root();
}
uint64_t treering_tree_node_count(const treering_tree* tree) {
  return tree == nullptr ? 0 : tree->value.node_count();
}
uint64_t treering_tree_leaf_count(const treering_tree* tree) {
  return tree == nullptr ? 0 : tree->value.leaf_count();
}

treering_status treering_tree_nodes(const treering_tree* tree, uint64_t first, treering_node* out,
                                    uint64_t element_size, uint64_t capacity, uint64_t* out_count,
                                    treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(tree);
    const treering::capi::OutputArray<treering_node> array(out, element_size, capacity);
    TR_RETURN_IF_ERROR(array.Check(treering::capi::kNodeFirstSize));
    const auto& order = treering::capi::Preorder(*tree);
    if (first >= order.size()) return {};
    const uint64_t n = std::min<uint64_t>(capacity, order.size() - first);
    for (uint64_t i = 0; i < n; ++i)
      array.Put(i, treering::capi::ExportNode(*tree, order[first + i]));
    *out_count = n;
    return {};
  });
}

treering_status treering_tree_node(treering_node* out, uint64_t element_size,
                                   const treering_tree* tree, uint64_t id, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    const treering::capi::OutputArray<treering_node> array(out, element_size, 1);
    TR_RETURN_IF_ERROR(array.Check(treering::capi::kNodeFirstSize));
    array.Put(0, treering_node{});
    TR_REQUIRE(tree);
    TR_RETURN_IF_ERROR(treering::capi::RequireNode(tree, id));
    array.Put(0, treering::capi::ExportNode(*tree, id));
    return {};
  });
}

treering_status treering_tree_children(const treering_tree* tree, uint64_t id, uint64_t first,
                                       uint64_t* out, uint64_t capacity, uint64_t* out_count,
                                       treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(tree);
    if (capacity != 0) TR_REQUIRE(out);
    TR_RETURN_IF_ERROR(treering::capi::RequireNode(tree, id));
    treering::capi::IdList list(first, out, capacity);
    for (uint64_t child = tree->value.first_child(id);
         child != treering::tree::kNoNode && !list.full();
         child = tree->value.next_sibling(child)) {
      list.Add(child);
    }
    *out_count = list.count();
    return {};
  });
}

treering_status treering_tree_find(uint64_t* out_id, const treering_tree* tree, const char* path,
                                   uint64_t path_size, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_id);
    *out_id = 0;
    TR_REQUIRE(tree);
    std::string_view text;
    TR_RETURN_IF_ERROR(treering::capi::ImportText(path, path_size, "path", &text));
    TR_ASSIGN_OR_RETURN(*out_id, tree->value.Find(text));
    return {};
  });
}

treering_status treering_tree_find_keys(uint64_t* out_id, const treering_tree* tree,
                                        const treering_key* keys, uint64_t count,
                                        treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_id);
    *out_id = 0;
    TR_REQUIRE(tree);
    std::vector<treering::tree::Key> path;
    TR_RETURN_IF_ERROR(treering::capi::ImportKeys(keys, count, &path));
    TR_ASSIGN_OR_RETURN(*out_id, tree->value.FindKeys(path.data(), path.size()));
    return {};
  });
}

treering_status treering_tree_path(const treering_tree* tree, uint64_t id, char* out,
                                   uint64_t capacity, uint64_t* out_size, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_size);
    *out_size = 0;
    TR_REQUIRE(tree);
    TR_RETURN_IF_ERROR(treering::capi::RequireNode(tree, id));
    return treering::capi::CopyText(tree->value.Path(id), out, capacity, out_size);
  });
}

treering_status treering_tree_path_keys(const treering_tree* tree, uint64_t id, treering_key* out,
                                        uint64_t capacity, uint64_t* out_count,
                                        treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(tree);
    if (capacity != 0) TR_REQUIRE(out);
    TR_RETURN_IF_ERROR(treering::capi::RequireNode(tree, id));
    const std::vector<treering::tree::Key> keys = tree->value.PathKeys(id);
    for (uint64_t i = 0; i < std::min<uint64_t>(capacity, keys.size()); ++i) {
      out[i] = treering::capi::ExportKey(keys[i]);
    }
    *out_count = keys.size();
    return {};
  });
}

treering_status treering_tree_glob(const treering_tree* tree, const char* pattern,
                                   uint64_t pattern_size, uint64_t first, uint64_t* out,
                                   uint64_t capacity, uint64_t* out_count, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(tree);
    if (capacity != 0) TR_REQUIRE(out);
    std::string_view text;
    TR_RETURN_IF_ERROR(treering::capi::ImportText(pattern, pattern_size, "pattern", &text));
    TR_ASSIGN_OR_RETURN(const treering::tree::Glob glob, treering::tree::Glob::Compile(text));
    treering::capi::IdList list(first, out, capacity);
    for (uint64_t id = tree->value.root(); id != treering::tree::kNoNode && !list.full();
         id = tree->value.NextInPreorder(id)) {
      if (glob.Matches(tree->value.PathComponents(id))) list.Add(id);
    }
    *out_count = list.count();
    return {};
  });
}

treering_status treering_tree_data(treering_blob** out, const treering_tree* tree, uint64_t id,
                                   treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(tree);
    TR_RETURN_IF_ERROR(treering::capi::RequireNode(tree, id));
    const treering::tree::Node node = tree->value.Get(id);
    if (treering::tree::IsContainer(node.kind) ||
        node.value.form != treering::tree::ValueForm::kData) {
      return Status(treering::base::Code::kWrongState,
                    "'" + tree->value.Path(id) +
                        "' has no data of its own in memory; it is a container, abstract, or "
                        "given by callback or pieces");
    }
    if (node.value.strides == nullptr && !node.value.one_per_byte) {
      *out = treering::capi::NewBlob({node.value.data, node.value.size}, tree->value.owner(id));
      return {};
    }
    std::shared_ptr<void> copy = treering::capi::AlignedBuffer(node.value.size);
    tree->value.CopyRaw(id, copy.get());
    *out = treering::capi::NewBlob({copy.get(), node.value.size}, copy);
    return {};
  });
}

treering_status treering_tree_abstract(treering_tree** out, const treering_tree* tree,
                                       treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(tree);
    TR_ASSIGN_OR_RETURN(auto value, treering::tree::Abstract(tree->value));
    *out = treering::capi::NewTree(std::move(value));
    return {};
  });
}

}  // extern "C"

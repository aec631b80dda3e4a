// SPDX-License-Identifier: Apache-2.0
// Nodes, keys and results between the C ABI's form and the rooms'.
#pragma once

#include <treering/treering.h>

#include <vector>

#include "capi/handles.h"
#include "capi/import.h"
#include "codec/hash.h"
#include "tree/tree.h"

namespace treering::capi {

// sizeof in version 0.1, below which a caller's element_size or struct_size is wrong.
inline constexpr uint64_t kNodeFirstSize = sizeof(treering_node);

// A caller's nodes as the tree room takes them. Attributes and pieces are kept in flat vectors
// here; what is borrowed from the caller stays borrowed.
class ImportedNodes {
 public:
  base::Status Import(const treering_node* nodes, uint64_t element_size, uint64_t count);
  const std::vector<tree::Node>& nodes() const { return nodes_; }

 private:
  base::Status Measure(const InputArray<treering_node>& in, uint64_t count);
  base::Status Convert(const treering_node& in, uint64_t position);

  std::vector<tree::Node> nodes_;
  std::vector<tree::Attribute> attributes_;
  std::vector<tree::Piece> pieces_;
};

base::Status ImportKey(const treering_key& in, tree::Key* out);
base::Status ImportKeys(const treering_key* keys, uint64_t count, std::vector<tree::Key>* out);
// NOT_FOUND_PATH for what is no node of the container.
base::Status RequireId(const container::Container& container, uint64_t id);
// As the digests are written: the high half first, big-endian.
void CopyDigest(const codec::Hash128& hash, uint8_t out[16]);
treering_key ExportKey(const tree::Key& key);
// Pointers belong to `tree`. The caller holds no lock.
treering_node ExportNode(const treering_tree& tree, tree::NodeId id);

}  // namespace treering::capi

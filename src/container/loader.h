// SPDX-License-Identifier: Apache-2.0
// The state of one load: what is kept, the nodes so far, their memory, the plan that fills it.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/status.h"
#include "container/leaf_memory.h"
#include "container/preorder.h"
#include "container/read_plan.h"
#include "container/reader.h"

namespace treering::container {

class Loader {
 public:
  Loader(const Reader& reader, const format::ItemRecord& item, const LoadOptions& options)
      : reader_(reader),
        item_(item),
        options_(options),
        filter_(options.filter.get()),
        memory_(std::make_shared<LeafMemory>()),
        chunks_left_(reader.index().count(format::kChunks)),
        plan_(reader) {}

  base::Result<tree::Tree> Run();

 private:
  static constexpr uint32_t kWholeIndexFrom = 1000;  // nodes from which reading it at once pays

  uint64_t ItemEnd() const { return uint64_t{item_.root} + item_.node_count; }
  base::Status Select();
  base::Status Emit();
  base::Status EmitEmptyRoot();
  base::Status EmitNode(const Preorder& walk);
  base::Status EmitLeaf(uint32_t id, tree::Node* node);
  uint64_t* FirstPlace(uint32_t value_id);
  base::Status Describe(uint32_t id, const format::NodeRecord& record, tree::Node* out);
  base::Status Place(const Leaf& leaf, size_t at);
  base::Result<const std::vector<tree::Attribute>*> Attributes(const format::NodeRecord& record);
  base::Result<const uint64_t*> Shape(const format::NodeRecord& value);
  base::Result<bool> HasPositions(const format::NodeRecord& record) const;
  void CountKept(const format::NodeRecord& record, tree::Node* out, bool* gaps) const;

  const Reader& reader_;
  const format::ItemRecord item_;
  const LoadOptions& options_;
  const tree::Filter* const filter_;
  bool any_ = false;        // something was selected
  std::vector<bool> keep_;  // by id - item_.root
  std::vector<tree::Node> nodes_;
  std::unordered_set<uint32_t> gaps_;  // containers whose positions became int keys
  std::vector<uint64_t> places_;       // by value id - item_.root: position in nodes_
  std::unordered_map<uint32_t, uint64_t> outer_places_;
  std::unordered_map<uint32_t, std::vector<tree::Attribute>> attributes_;
  std::deque<std::vector<uint64_t>> shapes_;
  std::pair<uint32_t, uint8_t> last_shape_;
  const uint64_t* last_shape_words_ = nullptr;
  std::shared_ptr<LeafMemory> memory_;
  uint64_t chunks_left_;  // that leaves in pieces may still claim
  uint32_t checked_attributes_ = 0;
  uint32_t checked_chunk_ = UINT32_MAX;
  ReadPlan plan_;
};

}  // namespace treering::container

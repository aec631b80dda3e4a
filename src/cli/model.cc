// SPDX-License-Identifier: Apache-2.0
// Loads the nodes below a node, level by level, in batches.
//
// A container numbers its nodes breadth-first, so that the children of one level's nodes are
// one run of ids on the next: a subtree costs its own nodes, however large the item is. The file
// is not trusted in this: each level must lie behind the one before, each node must name the parent
// whose child it is, and levels are bounded, so every walk over a model ends.
//
// Attributes are few and repeated, so they are kept once each.
#include "cli/model.h"

#include <algorithm>
#include <cstring>

#include "cli/text.h"

namespace treering::cli {

namespace {

constexpr uint64_t kNodesAtOnce = 4096;
constexpr uint32_t kMostLevels = 257;

}  // namespace

Outcome Model::Broken(const char* what) const {
  return {kDifferent, "'" + file_ + "': " + what + "; see treering verify"};
}

uint32_t Model::Intern(const treering_node& node) {
  if (node.attribute_count == 0) return 0;
  std::string bytes;
  for (uint64_t i = 0; i < node.attribute_count; ++i) {
    const treering_attribute& a = node.attributes[i];
    const uint64_t head[2] = {a.id, a.size};
    bytes.append(reinterpret_cast<const char*>(head), sizeof(head));
    if (a.size != 0) bytes.append(static_cast<const char*>(a.value), a.size);
  }
  const auto [found, added] =
      interned_.try_emplace(std::move(bytes), static_cast<uint32_t>(attributes_.size()));
  if (added) attributes_.push_back(cli::AttributesOf(node));
  return found->second;
}

Outcome Model::Append(const treering_node& node, uint32_t parent) {
  if (parent != kNone && node.parent != ids_[parent]) {
    return Broken("a node names another parent than the one whose child it is");
  }
  Node n;
  n.kind = node.kind;
  n.dtype = node.dtype;
  n.parent = parent;
  n.rank = node.rank;
  n.bytes = node.data_size;
  n.stored = node.stored_size;
  n.alias_of = node.alias_of;
  n.attributes = Intern(node);
  n.numbered = node.key.kind == TREERING_KEY_INDEX || node.key.kind == TREERING_KEY_INT;
  const std::string key = node.key.kind == TREERING_KEY_NONE ? "" : DisplayKey(node.key);
  n.key = keys_.size();
  n.key_size = static_cast<uint32_t>(key.size());
  keys_ += key;
  n.shape = shapes_.size();
  if (node.rank != 0) shapes_.insert(shapes_.end(), node.shape, node.shape + node.rank);
  if (node.child_count > UINT32_MAX)
    return Broken("a container has more children than nodes exist");
  n.child_count = IsLeaf(node.kind) ? 0 : static_cast<uint32_t>(node.child_count);
  nodes_.push_back(n);
  ids_.push_back(node.id);
  return {};
}

// Nodes first … first + count - 1, children of `parent` and of the containers behind it.
Outcome Model::Level(const Checkpoint& checkpoint, uint64_t first, uint64_t count,
                     uint32_t parent) {
  std::vector<treering_node> batch(std::min(count, kNodesAtOnce));
  uint32_t left = parent == kNone ? 1 : nodes_[parent].child_count;
  if (parent != kNone) nodes_[parent].first_child = static_cast<uint32_t>(nodes_.size());
  for (uint64_t done = 0; done < count;) {
    treering_error error = NewError();
    treering_blob* blob = nullptr;
    uint64_t got = 0;
    const treering_status status =
        treering_checkpoint_nodes(checkpoint.get(), first + done, batch.data(), sizeof(batch[0]),
                                  std::min(count - done, kNodesAtOnce), &got, &blob, &error);
    const Blob scratch(blob);
    if (status != TREERING_OK) return FromError(status, error);
    if (got == 0) return Broken("a container has children that do not exist");
    for (uint64_t i = 0; i < got; ++i) {
      while (left == 0) {
        ++parent;
        left = nodes_[parent].child_count;
        nodes_[parent].first_child = static_cast<uint32_t>(nodes_.size());
      }
      Outcome outcome = Append(batch[i], parent);
      if (!outcome.ok()) return outcome;
      --left;
    }
    done += got;
  }
  return {};
}

Outcome Model::Load(const Checkpoint& checkpoint, uint64_t root) {
  file_ = checkpoint.file();
  attributes_.assign(1, Attributes());
  Outcome path = checkpoint.Path(root, &root_path_);
  if (!path.ok()) return path;
  Outcome outcome = Level(checkpoint, root, 1, kNone);
  if (!outcome.ok()) return outcome;
  uint32_t begin = 0;  // of the level whose children come next
  for (uint32_t depth = 0;; ++depth) {
    const auto end = static_cast<uint32_t>(nodes_.size());
    uint32_t parent = kNone;
    uint64_t count = 0;
    for (uint32_t i = begin; i < end; ++i) {
      if (nodes_[i].child_count != 0 && parent == kNone) parent = i;
      count += nodes_[i].child_count;
    }
    if (count == 0) return {};
    if (depth == kMostLevels) return {kTrouble, "'" + file_ + "': a tree deeper than 256"};
    if (count > checkpoint.info().node_count) return Broken("containers share children");
    treering_error error = NewError();
    uint64_t first = 0;
    uint64_t siblings = 0;
    const treering_status status =
        treering_checkpoint_children(checkpoint.get(), ids_[parent], &first, &siblings, &error);
    if (status != TREERING_OK) return FromError(status, error);
    if (first <= ids_.back()) return Broken("children do not lie behind their parents");
    outcome = Level(checkpoint, first, count, parent);
    if (!outcome.ok()) return outcome;
    begin = end;
  }
}

void Model::Select(const Pattern& pattern, bool* any) {
  std::vector<Pattern::State> states(nodes_.size());
  std::vector<bool> inside(nodes_.size());
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    const uint32_t parent = nodes_[i].parent;
    if (parent != kNone && inside[parent]) {
      inside[i] = true;
      continue;
    }
    if (parent == kNone) {
      states[i] = pattern.Root();
    } else if (states[parent] != 0) {
      states[i] = pattern.Step(states[parent], Key(i));
    }
    inside[i] = pattern.Matches(states[i]);
  }
  for (uint32_t i = 0; i < nodes_.size(); ++i) nodes_[i].keep = inside[i];
  for (uint32_t i = static_cast<uint32_t>(nodes_.size()); i-- > 1;) {
    if (nodes_[i].keep) nodes_[nodes_[i].parent].keep = true;
  }
  *any = nodes_[0].keep;
}

std::vector<Model::Sums> Model::SumUp() const {
  std::vector<Sums> sums(nodes_.size());
  for (uint32_t i = static_cast<uint32_t>(nodes_.size()); i-- > 0;) {
    const Node& node = nodes_[i];
    if (!node.keep) continue;
    if (IsLeaf(node.kind)) {
      const bool alias = node.alias_of != TREERING_NO_NODE;
      sums[i] = {1, alias ? 1u : 0u, alias ? 0 : node.bytes, alias ? 0 : node.stored};
    }
    if (node.parent == kNone) continue;
    Sums& up = sums[node.parent];
    up.leaves += sums[i].leaves;
    up.aliases += sums[i].aliases;
    up.bytes += sums[i].bytes;
    up.stored += sums[i].stored;
  }
  return sums;
}

}  // namespace treering::cli

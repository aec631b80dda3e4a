// SPDX-License-Identifier: Apache-2.0
// Pairing a target's leaves with the stored ones, and saying everything that does not fit.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "container/restore.h"

namespace treering::container {

// A target leaf and the stored leaf that fills it.
struct MatchedLeaf {
  tree::NodeId target = tree::kNoNode;
  NodeInfo stored;
  bool reshape = false;  // padded or truncated
};

class Matcher {
 public:
  Matcher(const Container& container, const tree::Tree& target, const RestoreOptions& options,
          tree::Report* report)
      : container_(container), target_(target), options_(options), report_(report) {}

  // Walks both trees. Findings go to the report; an error is one of the container or the options,
  // not a mismatch.
  base::Status Match(std::string_view item);
  const std::vector<MatchedLeaf>& leaves() const { return leaves_; }

 private:
  // A pair still to be compared; without a stored node everything below the target's is missing.
  struct Pair {
    tree::NodeId target;
    uint32_t stored;
    bool has_stored;
  };

  base::Status ImportRenames(std::string_view item);
  base::Status Visit(const Pair& pair);
  base::Status VisitContainer(const tree::Node& node, const Pair& pair, const NodeInfo* stored);
  base::Status VisitLeaf(const tree::Node& node, const Pair& pair, const NodeInfo* stored);
  base::Status CompareLeaf(const tree::Node& node, const NodeInfo& stored);
  void CompareAliases();
  base::Status PushChildren(const Pair& pair, const NodeInfo* stored);
  base::Status ReportUnexpected(const Pair& pair, const NodeInfo& stored);
  base::Status ReportStoredLeaves(uint32_t id);
  base::Result<bool> FindChild(uint32_t stored, const tree::Key& key, uint32_t* out) const;
  bool TargetHas(tree::NodeId target, const tree::Key& key) const;
  void Add(tree::FindingKind kind, std::string path, std::string expected, std::string found);
  std::string DescribeStored(const NodeInfo& stored) const;

  const Container& container_;
  const tree::Tree& target_;
  const RestoreOptions& options_;
  tree::Report* report_;
  std::vector<Pair> stack_;
  std::vector<MatchedLeaf> leaves_;
  std::vector<MatchedLeaf> aliases_;  // of the target, with what is stored at their paths
  std::unordered_map<tree::NodeId, uint32_t> renamed_;  // target node -> stored node
  std::unordered_set<uint32_t> taken_;                  // stored nodes that a rename has claimed
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// What a verification has found: named, in order, one finding a node, and the worst of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "container/container.h"
#include "tree/report.h"

namespace treering::container {

// A node range with a name, once the item record was found good. Ascending by root.
struct NamedItem {
  uint32_t root = 0;
  uint32_t end = 0;
  std::string name;
};

class Findings {
 public:
  Findings(const Container& container, tree::Report* report)
      : container_(container), report_(report) {}

  // The items are known from here on, and paths are named after them if there are several.
  void SetItems(std::vector<NamedItem> items) { items_ = std::move(items); }

  void Add(tree::FindingKind kind, base::Code code, std::string path, std::string expected,
           std::string found, uint64_t offset = base::Status::kNoOffset);
  // A record or the layout breaks the format.
  void Invalid(std::string path, std::string expected, std::string found,
               uint64_t offset = base::Status::kNoOffset);
  // About a node, by its path. Only the first finding of a node is kept.
  void Node(uint32_t id, tree::FindingKind kind, base::Code code, std::string expected,
            std::string found, uint64_t offset = base::Status::kNoOffset);
  // What was found of a leaf holds for an alias of it too.
  void Alias(uint32_t id, uint32_t leaf);
  void InvalidNode(uint32_t id, std::string expected, std::string found);
  // A leaf whose bytes are no value of its kind or dtype.
  void NoValue(uint32_t id);
  bool Has(uint32_t id) const { return nodes_.count(id) != 0; }
  // What an attempt to use a record of the index answered. A damaged block is no finding of its
  // own here, since the block is one; what cannot be a finding is returned.
  base::Status Failed(std::string path, const base::Status& status);
  base::Status FailedNode(uint32_t id, const base::Status& status);

  std::string PathOf(uint32_t node) const;
  // Completes the report; OK, or the worst finding's status.
  base::Status Finish();

 private:
  const Container& container_;
  tree::Report* report_;
  std::vector<NamedItem> items_;
  std::unordered_map<uint32_t, size_t> nodes_;  // with a finding: which
  base::Code worst_ = base::Code::kOk;
  uint64_t worst_offset_ = base::Status::kNoOffset;
  uint64_t damaged_ = 0;
  uint64_t invalid_ = 0;
  uint64_t unreadable_ = 0;
};

// Ends a verification: it says nothing about the file.
bool IsAbort(base::Code code);
// The kind of finding that a failure to read means.
tree::FindingKind KindOf(base::Code code);

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Split: each leaf to the first filter that accepts it.
//
// One walk in preorder decides for every leaf; each result then gets the leaf together with the
// containers on the way that it does not have yet, which the stack of the walk remembers for each
// result. A list or tuple from which a position was left out becomes a dict with int keys, so that
// positions keep their numbers; that is known only at the end, and settled then. Sharing of data
// and aliases is the builder's.
#include <algorithm>
#include <memory>
#include <string>

#include "tree/builder.h"
#include "tree/operations.h"

namespace treering::tree {

using base::Code;
using base::Result;
using base::Status;

namespace {

Status CheckFilters(const std::vector<FilterPtr>& filters) {
  size_t everything = SIZE_MAX;
  for (size_t i = 0; i < filters.size(); ++i) {
    if (filters[i] == nullptr) {
      return Status(Code::kInvalidArgument, "filter " + std::to_string(i) + " is null");
    }
    const bool all = filters[i]->kind() == Filter::Kind::kEverything;
    if (all && everything == SIZE_MAX) everything = i;
    if (!all && everything != SIZE_MAX) {
      return Status(Code::kInvalidArgument,
                    "filter " + std::to_string(everything) +
                        " accepts everything, so none behind it can; put it last");
    }
  }
  return Status();
}

class Splitter {
 public:
  Splitter(const Tree& tree, const std::vector<FilterPtr>& filters)
      : tree_(tree), from_(tree.impl()), filters_(filters) {
    for (size_t i = 0; i < filters.size(); ++i) {
      results_.push_back(std::make_unique<Builder>(std::vector<const Tree*>{&tree}));
      places_.emplace_back();
    }
  }

  Result<std::vector<Tree>> Run(bool exhaustive) {
    for (uint32_t id = from_.root; id != kNil; id = from_.Next(id)) {
      const Record& r = from_.at(id);
      path_.resize(r.depth);
      if (r.depth > 0) path_[r.depth - 1u] = r.Name();
      for (auto& places : places_) places.resize(std::min<size_t>(places.size(), r.depth));
      way_.resize(r.depth);
      way_.push_back(id);
      if (r.is_container()) continue;
      if (!Place(id) && exhaustive) {
        return Status(Code::kMismatchStructure, "no filter accepts the leaf " + from_.Quoted(id) +
                                                    "; put one that accepts everything last");
      }
    }
    std::vector<Tree> trees;
    for (size_t i = 0; i < results_.size(); ++i) trees.push_back(Finish(i));
    return trees;
  }

 private:
  bool Place(uint32_t id) {
    const Node leaf = tree_.Get(id);
    for (size_t i = 0; i < filters_.size(); ++i) {
      if (!filters_[i]->Matches(path_, leaf)) continue;
      std::vector<uint32_t>& places = places_[i];
      while (places.size() < way_.size()) {
        const uint32_t node = way_[places.size()];
        const uint32_t parent = places.empty() ? kNil : places.back();
        places.push_back(results_[i]->Add(parent, 0, node, from_.at(node).Name()));
        if (from_.at(node).is_container()) origins_[i].push_back({places.back(), node});
      }
      return true;
    }
    return false;
  }

  Tree Finish(size_t i) {
    Builder& result = *results_[i];
    if (result.count() == 0 && from_.root != kNil) AddEmptyRoot(&result);
    for (const Origin& origin : origins_[i]) {
      const Record& was = from_.at(origin.there);
      Record& is = *result.record(origin.here);
      if (is.size == was.size || was.size == 0) continue;
      const Record& child = from_.at(was.children.first);
      if (child.key_kind == KeyKind::kIndex) result.MakeDict(origin.here);
    }
    return result.Take();
  }

  // Of the root's kind where that can be without children, else a dict.
  void AddEmptyRoot(Builder* result) {
    const Record& root = from_.at(from_.root);
    const bool indexed = root.is_container() && root.size != 0 &&
                         from_.at(root.children.first).key_kind == KeyKind::kIndex;
    if (root.is_container() && root.kind != Kind::kNone && !indexed) {
      result->Add(kNil, 0, from_.root, Key());
    } else {
      result->AddEmptyDict();
    }
  }

  struct Origin {
    uint32_t here, there;
  };
  const Tree& tree_;
  const Tree::Impl& from_;
  const std::vector<FilterPtr>& filters_;
  std::vector<std::unique_ptr<Builder>> results_;
  std::vector<std::vector<uint32_t>> places_;  // per result: ids there of a part of `way_`
  std::vector<std::vector<Origin>> origins_{filters_.size()};
  std::vector<uint32_t> way_;  // ids from the root to the current node
  std::vector<Key> path_;
};

}  // namespace

Result<std::vector<Tree>> Split(const Tree& tree, const std::vector<FilterPtr>& filters,
                                bool exhaustive) {
  TR_RETURN_IF_ERROR(CheckFilters(filters));
  return Splitter(tree, filters).Run(exhaustive);
}

}  // namespace treering::tree

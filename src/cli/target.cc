// SPDX-License-Identifier: Apache-2.0
// Finds what a target means in an open container.
//
// A path without glob characters is looked up by the library, which touches a few blocks and knows
// the nearest name for its message; only a glob walks an item. In a file of several items each one
// that has the path counts; the message of the first one that lacks it is kept for when none does.
#include "cli/target.h"

#include "cli/collapse.h"
#include "cli/text.h"

namespace treering::cli {

namespace {

Outcome NothingMatches(const Target& target) {
  return {kDifferent, "'" + target.checkpoint.file() + "': nothing matches '" + target.path +
                          "'; see treering ls"};
}

Outcome ChooseItem(const Checkpoint& checkpoint, const std::string& name,
                   std::vector<Item>* items) {
  for (const Item& item : checkpoint.items()) {
    if (item.name != name && Printable(item.name) != name) continue;
    *items = {item};
    return {};
  }
  if (name.empty())
    return {kDifferent, "'" + checkpoint.file() + "' has no item ''; see treering info"};
  // The library's message lists the names there are.
  Item missing;
  missing.name = name;
  uint64_t id = 0;
  const Outcome outcome = checkpoint.Find(missing, "", &id);
  return outcome.ok() ? Outcome{kDifferent, "there is no item '" + name + "'"} : outcome;
}

// The node of each item that has the path; not found only if none has.
Outcome FindEach(const Target& target, std::vector<std::pair<Item, uint64_t>>* out) {
  Outcome first;
  for (const Item& item : target.items) {
    uint64_t id = 0;
    Outcome outcome = target.checkpoint.Find(item, target.path, &id);
    if (outcome.ok()) {
      out->emplace_back(item, id);
    } else if (first.ok()) {
      first = std::move(outcome);
    }
  }
  return out->empty() ? first : Outcome();
}

}  // namespace

Outcome Target::Open(const Options& options, bool with_box) {
  const Address address = ParseAddress(options.targets[0]);
  path = address.path;
  if (with_box) {
    Outcome outcome = SplitBox(&path, &boxed, &box);
    if (!outcome.ok()) return outcome;
  }
  Outcome outcome = checkpoint.Open(address, options);
  if (!outcome.ok()) return outcome;
  items = checkpoint.items();
  several = items.size() > 1;
  std::string item = options.item;
  bool item_given = options.item_given;
  if (!item_given) item_given = SplitItem(std::string(path), &item, &path);
  if (path.size() > 1 && path.back() == '/') path.pop_back();
  return item_given ? ChooseItem(checkpoint, item, &items) : Outcome();
}

std::string Target::Shown(const Item& item, const std::string& at) const {
  return Printable(several ? item.name + ":" + at : at);
}

Outcome SelectModels(const Target& target, std::vector<Selected>* out) {
  std::vector<std::pair<Item, uint64_t>> roots;
  const bool glob = Pattern::IsGlob(target.path);
  Pattern pattern;
  if (glob) {
    Outcome outcome = pattern.Parse(target.path);
    if (!outcome.ok()) return outcome;
    for (const Item& item : target.items) roots.emplace_back(item, item.root);
  } else if (target.path.empty()) {
    for (const Item& item : target.items) roots.emplace_back(item, item.root);
  } else {
    Outcome outcome = FindEach(target, &roots);
    if (!outcome.ok()) return outcome;
  }
  for (const auto& [item, id] : roots) {
    Selected selected;
    selected.item = item;
    Outcome outcome = selected.model.Load(target.checkpoint, id);
    if (!outcome.ok()) return outcome;
    bool any = true;
    if (glob) selected.model.Select(pattern, &any);
    if (any) out->push_back(std::move(selected));
  }
  return glob && out->empty() ? NothingMatches(target) : Outcome();
}

Outcome SelectLeaves(const Target& target, std::vector<std::pair<Item, uint64_t>>* out) {
  if (!Pattern::IsGlob(target.path)) {
    std::vector<std::pair<Item, uint64_t>> found;
    Outcome outcome = FindEach(target, &found);
    if (!outcome.ok()) return outcome;
    bool leaves = true;
    for (const auto& [item, id] : found) {
      treering_node node;
      Blob scratch;
      Outcome known = target.checkpoint.Node(id, &node, &scratch);
      if (!known.ok()) return known;
      leaves = leaves && IsLeaf(node.kind);
    }
    if (leaves) {
      *out = std::move(found);
      return {};
    }
  }
  std::vector<Selected> models;
  Outcome outcome = SelectModels(target, &models);
  if (!outcome.ok()) return outcome;
  for (const Selected& selected : models) {
    WalkGroups(selected.model, false, [&out, &selected](const Group& group) {
      const uint32_t node = group.members[0];
      if (IsLeaf(selected.model.nodes()[node].kind)) {
        out->emplace_back(selected.item, selected.model.Id(node));
      }
      return true;
    });
  }
  if (!out->empty()) return {};
  return {kDifferent,
          "'" + target.checkpoint.file() + "': there are no leaves at '" + target.path + "'"};
}

}  // namespace treering::cli

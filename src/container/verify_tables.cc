// SPDX-License-Identifier: Apache-2.0
// Verifying the small tables: items, attribute sets, other files.
//
// Items cut the nodes into ranges, so they are first: what follows walks those ranges and nothing
// else. Attribute sets stand one behind the other without gaps, so walking them once says where a
// set may begin; a node that points between them is wrong even if what it finds there decodes.
//
// Whether another file is there is found out when its chunks are read, and is told of the leaves.
#include <algorithm>
#include <utility>

#include "container/verify_parts.h"
#include "tree/path.h"
#include "tree/text.h"
#include "tree/tree.h"

namespace treering::container {

using base::Code;
using base::Status;
using tree::FindingKind;

namespace {

constexpr uint8_t kBegins = 1;
constexpr uint8_t kCriticalUnknown = 2;
constexpr uint32_t kFirstOwnAttribute = 32768;

}  // namespace

Status TableCheck::Run() {
  TR_RETURN_IF_ERROR(Items());
  TR_RETURN_IF_ERROR(AttributeSets());
  return Files();
}

Status TableCheck::Items() {
  const uint32_t count = index_.count(format::kItems);
  std::vector<NamedItem> named;
  uint64_t end = 0;
  for (uint32_t i = 0; i < count; ++i) TR_RETURN_IF_ERROR(Item(i, &end, &named));
  if (complete_ && end != index_.count(format::kNodes)) {
    findings_->Invalid(
        "items", "items that cover all " + std::to_string(index_.count(format::kNodes)) + " nodes",
        std::to_string(end) + " of them");
    complete_ = false;
  }
  UniqueNames(named);
  findings_->SetItems(std::move(named));
  return Status();
}

Status TableCheck::Item(uint32_t id, uint64_t* end, std::vector<NamedItem>* named) {
  const std::string what = "item " + std::to_string(id);
  const auto item = index_.Item(id);
  if (!item.ok()) {
    complete_ = false;
    return findings_->Failed(what, item.status());
  }
  const uint64_t item_end = uint64_t{item->root} + item->node_count;
  const bool follows = complete_ ? item->root == *end : item->root >= *end;
  if (!follows || item_end > index_.count(format::kNodes)) {
    complete_ = false;
    findings_->Invalid(what,
                       "nodes from " + std::to_string(*end) + " on, of " +
                           std::to_string(index_.count(format::kNodes)),
                       std::to_string(item->root) + " to " + std::to_string(item_end));
    return Status();
  }
  *end = item_end;
  const auto name = container_.ItemName(*item);
  if (!name.ok()) {
    complete_ = false;
    return findings_->Failed(what, name.status());
  }
  if (!tree::IsWtf8(*name)) findings_->Invalid(what, "a name in UTF-8", "other bytes");
  named->push_back({item->root, static_cast<uint32_t>(item_end), std::string(*name)});
  if (item->kind < format::kTreeItem || item->kind > format::kBlobItem) {
    findings_->Add(FindingKind::kUnreadable, Code::kUnsupportedKind, tree::EscapeForTerminal(*name),
                   "item kind 1, 2 or 3", "kind " + std::to_string(item->kind));
    complete_ = false;
    return Status();
  }
  items_.push_back(*item);
  return Status();
}

void TableCheck::UniqueNames(std::vector<NamedItem> named) {
  std::sort(named.begin(), named.end(),
            [](const NamedItem& a, const NamedItem& b) { return a.name < b.name; });
  for (size_t i = 1; i < named.size(); ++i) {
    if (named[i].name != named[i - 1].name) continue;
    findings_->Invalid(tree::EscapeForTerminal(named[i].name), "item names once each",
                       "the same name again");
  }
}

Status TableCheck::AttributeSets() {
  const uint64_t size = index_.trailer().sections[format::kAttributes].size();
  if (size % 8 != 0) {
    findings_->Invalid("attribute section", "a multiple of 8 bytes", std::to_string(size));
  }
  sets_.assign(static_cast<size_t>(size / 8), 0);
  for (uint64_t at = 0; at < size / 8;) {
    const auto set = index_.AttributeSet(static_cast<uint32_t>(at + 1));
    if (!set.ok()) {
      sets_complete_ = false;
      return findings_->Failed("attribute set at " + std::to_string(at * 8), set.status());
    }
    const auto list = format::DecodeAttributes(*set);
    sets_[static_cast<size_t>(at)] = kBegins;
    if (!list.ok()) {
      TR_RETURN_IF_ERROR(
          findings_->Failed("attribute set at " + std::to_string(at * 8), list.status()));
    } else {
      for (const format::AttributeRecord& attribute : *list) {
        const bool known = attribute.id <= tree::kTypeName || attribute.id >= kFirstOwnAttribute;
        if (!known && (attribute.flags & format::kCriticalAttribute) != 0) {
          sets_[static_cast<size_t>(at)] = kCriticalUnknown;
        }
      }
    }
    at += set->size / 8;
  }
  return Status();
}

bool TableCheck::SetBegins(uint32_t attributes) const {
  if (!sets_complete_) return true;  // behind the place where the walk ended anything may be
  return attributes >= 1 && attributes <= sets_.size() && sets_[attributes - 1] != 0;
}

bool TableCheck::has_critical_unknown(uint32_t attributes) const {
  return attributes >= 1 && attributes <= sets_.size() && sets_[attributes - 1] == kCriticalUnknown;
}

Status TableCheck::Files() {
  for (uint32_t i = 0; i < index_.count(format::kFiles); ++i) TR_RETURN_IF_ERROR(File(i));
  return Status();
}

Status TableCheck::File(uint32_t id) {
  const std::string what = "entry " + std::to_string(id) + " of the file table";
  const auto file = index_.File(id);
  if (!file.ok()) return findings_->Failed(what, file.status());
  for (const bool folder : {true, false}) {
    const uint32_t size = folder ? file->folder_size : file->name_size;
    if (folder && size == 0) continue;
    const auto text = index_.Text(folder ? file->folder : file->name, size);
    if (!text.ok()) {
      TR_RETURN_IF_ERROR(findings_->Failed(what, text.status()));
    } else if (!format::IsFileName(*text)) {
      findings_->Invalid(what, "a name of a-z 0-9 . _ -",
                         "'" + tree::EscapeForTerminal(*text) + "'");
    }
  }
  return Status();
}

}  // namespace treering::container

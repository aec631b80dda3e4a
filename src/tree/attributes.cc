// SPDX-License-Identifier: Apache-2.0
// Attribute sets: sorted, immutable, one object for equal ones.
//
// A model has thousands of leaves and a handful of different attribute sets (Param with this
// sharding, BatchStat, …), so leaves name a set and equal sets are one object, found by a hash of
// its sorted content. A set owns one string with all values; the views in its list point into it,
// which is why it never moves. Sets live as long as the tree and are shared by its copies.
#include <algorithm>

#include "tree/nodes.h"

namespace treering::tree {

using base::Code;
using base::Status;

namespace {

uint64_t HashSet(const std::vector<Attribute>& list, uint64_t seed) {
  uint64_t h = seed;
  for (const Attribute& a : list) {
    h = HashText(a.value, HashNumber(uint64_t{a.id} << 32 | a.flags, h));
  }
  return h;
}

}  // namespace

AttributeSet::AttributeSet(const Attribute* attributes, uint64_t count)
    : list_(attributes, attributes + count) {
  std::sort(list_.begin(), list_.end(),
            [](const Attribute& a, const Attribute& b) { return a.id < b.id; });
  size_t total = 0;
  for (const Attribute& a : list_) total += a.value.size();
  text_.reserve(total);
  for (const Attribute& a : list_) text_.append(a.value);
  size_t at = 0;
  for (Attribute& a : list_) {
    const size_t size = a.value.size();
    a.value = std::string_view(text_).substr(at, size);
    at += size;
  }
}

const Attribute* AttributeSet::Find(uint32_t id) const {
  for (const Attribute& a : list_) {
    if (a.id == id) return &a;
  }
  return nullptr;
}

bool AttributeSet::operator==(const AttributeSet& other) const {
  return std::equal(list_.begin(), list_.end(), other.list_.begin(), other.list_.end(),
                    [](const Attribute& a, const Attribute& b) {
                      return a.id == b.id && a.flags == b.flags && a.value == b.value;
                    });
}

Status CheckAttributes(const Attribute* attributes, uint64_t count) {
  if (count == 0) return Status();
  if (attributes == nullptr) return Status(Code::kInvalidArgument, "attributes are null");
  if (count > 65535) return Status(Code::kLimit, "more than 65535 attributes");
  std::vector<uint32_t> ids;
  for (uint64_t i = 0; i < count; ++i) {
    const Attribute& a = attributes[i];
    const std::string name = "attribute " + std::to_string(a.id);
    if (a.id == 0 || a.id > 65535) {
      return Status(Code::kInvalidArgument, name + " is outside of 1 to 65535");
    }
    if (a.flags > 1) {
      return Status(Code::kInvalidArgument, name + " has flags that are not known");
    }
    if (a.value.size() >= UINT32_MAX - 64) return Status(Code::kLimit, name + " has 4 GiB or more");
    ids.push_back(a.id);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice == ids.end()) return Status();
  return Status(Code::kInvalidArgument, "attribute " + std::to_string(*twice) + " is given twice");
}

uint32_t Tree::Impl::Intern(const Attribute* attributes, uint64_t count) {
  if (count == 0) return 0;
  auto set = std::make_shared<const AttributeSet>(attributes, count);
  const uint64_t hash = HashSet(set->list(), 0);
  const auto range = set_of_hash.equal_range(hash);
  for (auto it = range.first; it != range.second; ++it) {
    if (*sets[it->second] == *set) return it->second + 1;
  }
  sets.reserve(sets.size() + 1 > sets.capacity() ? sets.size() * 2 + 1 : 0);
  set_of_hash.emplace(hash, static_cast<uint32_t>(sets.size()));
  sets.push_back(std::move(set));
  return static_cast<uint32_t>(sets.size());
}

const AttributeSet* Tree::Impl::Set(const Record& r) const {
  const uint32_t number = r.attributes != 0 ? r.attributes : Resolve(r).attributes;
  return number == 0 ? nullptr : sets[number - 1].get();
}

}  // namespace treering::tree

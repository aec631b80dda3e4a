// SPDX-License-Identifier: Apache-2.0
// Filters, and functions from trees to trees, through the C ABI.
//
// A filter is an immutable shared object: composing filters shares the children, so that the caller
// may free them in any order. A callback filter shows its caller a leaf in C's form, built on the
// stack for the call.
#include <treering/treering.h>

#include "capi/convert.h"
#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/import.h"
#include "tree/operations.h"

namespace treering::capi {
namespace {

using base::Result;
using base::Status;
using tree::Filter;
using tree::FilterPtr;

treering_node ShowLeaf(const tree::Node& leaf, std::vector<treering_attribute>* attributes) {
  treering_node out = {};
  out.kind = static_cast<int32_t>(leaf.kind);
  out.dtype = leaf.dtype.number();
  out.rank = leaf.rank;
  out.key = ExportKey(leaf.key);
  out.shape = leaf.shape;
  out.data_size = leaf.value.size;
  out.id = leaf.id;
  out.parent = leaf.parent;
  out.alias_of = leaf.alias_of;
  for (uint64_t i = 0; i < leaf.attribute_count; ++i) {
    const tree::Attribute& a = leaf.attributes[i];
    attributes->push_back({a.id, a.flags, a.value.data(), a.value.size()});
  }
  out.attributes = attributes->data();
  out.attribute_count = attributes->size();
  return out;
}

FilterPtr CallbackFilter(const treering_filter_spec& spec) {
  const auto match = spec.match;
  void* const user = spec.user;
  return Filter::Callback(
      [match, user](const std::vector<tree::Key>& path, const tree::Node& leaf) {
        std::vector<treering_key> keys;
        keys.reserve(path.size());
        for (const tree::Key& key : path) keys.push_back(ExportKey(key));
        std::vector<treering_attribute> attributes;
        const treering_node node = ShowLeaf(leaf, &attributes);
        return match(user, keys.data(), keys.size(), &node) != 0;
      });
}

Result<std::vector<FilterPtr>> Children(const treering_filter_spec& spec) {
  std::vector<FilterPtr> children;
  if (spec.child_count != 0 && spec.children == nullptr) return NullArgument("spec.children");
  for (uint64_t i = 0; i < spec.child_count; ++i) {
    if (spec.children[i] == nullptr) return NullArgument("spec.children[]");
    children.push_back(spec.children[i]->value);
  }
  return children;
}

Result<FilterPtr> ContainsFilter(const treering_filter_spec& spec, std::string_view text) {
  if (spec.substring != 0) return Filter::PathContainsText(std::string(text));
  tree::Key key;
  TR_RETURN_IF_ERROR(ImportKey(spec.key, &key));
  if (key.kind == tree::KeyKind::kNone)
    return InvalidArgument("spec.key is not set; give a key, or set substring");
  return Filter::PathContains(key);
}

Result<FilterPtr> MakeFilter(const treering_filter_spec& spec) {
  std::string_view text;
  TR_RETURN_IF_ERROR(ImportText(spec.text, spec.text_size, "spec.text", &text));
  TR_ASSIGN_OR_RETURN(std::vector<FilterPtr> children, Children(spec));
  switch (spec.kind) {
    case TREERING_FILTER_EVERYTHING:
      return Filter::Everything();
    case TREERING_FILTER_NOTHING:
      return Filter::Nothing();
    case TREERING_FILTER_TYPE:
      return Filter::OfType(std::string(text));
    case TREERING_FILTER_TAG:
      return Filter::WithTag(std::string(text));
    case TREERING_FILTER_PATH_CONTAINS:
      return ContainsFilter(spec, text);
    case TREERING_FILTER_PATH_IN:
      return Filter::PathIn(text);
    case TREERING_FILTER_GLOB:
      return Filter::MatchesGlob(text);
    case TREERING_FILTER_ALL:
      return Filter::All(std::move(children));
    case TREERING_FILTER_ANY:
      return Filter::Any(std::move(children));
    case TREERING_FILTER_NOT:
      if (children.size() != 1) return InvalidArgument("FILTER_NOT takes exactly one child");
      return Filter::Not(children[0]);
    case TREERING_FILTER_CALLBACK:
      if (spec.match == nullptr) return NullArgument("spec.match");
      return CallbackFilter(spec);
    default:
      return InvalidArgument("filter kind " + std::to_string(spec.kind) + " is not known");
  }
}

}  // namespace
}  // namespace treering::capi

using treering::base::Status;
using treering::capi::Guard;

extern "C" {

treering_status treering_filter_create(treering_filter** out, const treering_filter_spec* spec,
                                       treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(spec);
    treering_filter_spec in;
    TR_RETURN_IF_ERROR(treering::capi::ImportStruct(spec, "spec", sizeof(in), &in));
    auto filter = std::make_unique<treering_filter>();
    TR_ASSIGN_OR_RETURN(filter->value, treering::capi::MakeFilter(in));
    *out = filter.release();
    return {};
  });
}

void treering_filter_free(treering_filter* filter) { delete filter; }

treering_status treering_tree_split(treering_tree** out, const treering_tree* tree,
                                    const treering_filter* const* filters, uint64_t count,
                                    uint32_t exhaustive, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    for (uint64_t i = 0; i < count; ++i) out[i] = nullptr;
    TR_REQUIRE(tree);
    if (count != 0) TR_REQUIRE(filters);
    std::vector<treering::tree::FilterPtr> list;
    for (uint64_t i = 0; i < count; ++i) {
      if (filters[i] == nullptr) return treering::capi::NullArgument("filters[]");
      list.push_back(filters[i]->value);
    }
    TR_ASSIGN_OR_RETURN(auto trees, treering::tree::Split(tree->value, list, exhaustive != 0));
    std::vector<std::unique_ptr<treering_tree>> made;
    for (auto& t : trees) made.emplace_back(treering::capi::NewTree(std::move(t)));
    for (uint64_t i = 0; i < count; ++i) out[i] = made[i].release();
    return {};
  });
}

treering_status treering_tree_merge(treering_tree** out, const treering_tree* const* trees,
                                    uint64_t count, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    if (count != 0) TR_REQUIRE(trees);
    std::vector<const treering::tree::Tree*> list;
    for (uint64_t i = 0; i < count; ++i) {
      if (trees[i] == nullptr) return treering::capi::NullArgument("trees[]");
      list.push_back(&trees[i]->value);
    }
    TR_ASSIGN_OR_RETURN(auto merged, treering::tree::Merge(list));
    *out = treering::capi::NewTree(std::move(merged));
    return {};
  });
}

treering_status treering_tree_update(treering_tree* tree, const treering_tree* with,
                                     treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(tree);
    TR_REQUIRE(with);
    tree->Changed();
    return treering::tree::Update(&tree->value, with->value);
  });
}

treering_status treering_tree_compare(treering_report** out, const treering_tree* a,
                                      const treering_tree* b,
                                      const treering_compare_options* options,
                                      treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(a);
    TR_REQUIRE(b);
    treering_compare_options in;
    TR_RETURN_IF_ERROR(treering::capi::ImportStruct(options, "options", sizeof(in), &in));
    const treering::tree::CompareOptions compare{in.ignore_values == 0, in.ignore_attributes == 0,
                                                 in.ignore_kinds == 0};
    *out = treering::capi::NewReport(treering::tree::Compare(a->value, b->value, compare));
    return {};
  });
}

uint64_t treering_report_count(const treering_report* report) {
  return report == nullptr ? 0 : report->value.findings().size();
}

treering_status treering_report_findings(const treering_report* report, uint64_t first,
                                         treering_finding* out, uint64_t element_size,
                                         uint64_t capacity, uint64_t* out_count,
                                         treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(report);
    const treering::capi::OutputArray<treering_finding> array(out, element_size, capacity);
    TR_RETURN_IF_ERROR(array.Check(sizeof(treering_finding)));
    const auto& findings = report->value.findings();
    for (uint64_t i = first; i < findings.size() && i - first < capacity; ++i) {
      const treering::tree::Finding& f = findings[i];
      array.Put(i - first,
                {static_cast<int32_t>(f.kind), static_cast<treering_status>(f.code), f.path.data(),
                 f.path.size(), f.expected.data(), f.expected.size(), f.found.data(),
                 f.found.size(), f.nearest.data(), f.nearest.size(), f.offset});
      *out_count = i - first + 1;
    }
    return {};
  });
}

const char* treering_report_text(const treering_report* report) {
  return report == nullptr ? "" : report->value.text().c_str();
}

void treering_report_free(treering_report* report) { delete report; }

}  // extern "C"

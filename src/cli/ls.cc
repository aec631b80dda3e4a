// SPDX-License-Identifier: Apache-2.0
// treering ls: the leaves of a checkpoint, one line each, repeated ones together.
//
// Rows are gathered first, because columns want to know the widest; a million of them are some
// hundred megabytes at most. Sizes of a row of several leaves are those of all together. Nothing
// but metadata is read.
#include <algorithm>

#include "cli/collapse.h"
#include "cli/json.h"
#include "cli/target.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace treering::cli {

namespace {

constexpr size_t kWidestPath = 72;
constexpr size_t kWidestHint = 60;

struct Row {
  std::string path;
  std::string type;
  std::string size;
  std::string stored;
  std::string hints;
};

std::string TypeText(const Model& model, uint32_t node) {
  const Model::Node& n = model.nodes()[node];
  if (!IsArray(n.kind)) return KindName(n.kind);
  const std::string prefix = n.kind == TREERING_PRNG_KEY ? "prng_key " : "";
  return prefix + DtypeName(n.dtype) + " " + cli::ShapeText(model.Shape(node), n.rank);
}

std::string Shortened(const std::string& text) {
  std::string shown = Printable(text);
  if (shown.size() <= kWidestHint) return shown;
  size_t cut = kWidestHint;
  while (cut > 0 && (static_cast<uint8_t>(shown[cut]) & 0xc0) == 0x80) --cut;
  return shown.substr(0, cut) + "…";
}

std::string Hints(const Attributes& attributes, bool details) {
  std::string out;
  const auto add = [&out](const std::string& text) { out += (out.empty() ? "" : "  ") + text; };
  if (!attributes.variable_types.empty()) {
    std::string types = attributes.variable_types[0];
    for (size_t i = 1; details && i < attributes.variable_types.size(); ++i) {
      types += " < " + attributes.variable_types[i];
    }
    add(Shortened(types));
  }
  if (details && !attributes.type_name.empty()) add("type=" + Shortened(attributes.type_name));
  for (const auto& [name, text] : attributes.named) {
    const bool brief = name == "tag" || name == "prng_impl" || name == "scalar_kind";
    if (brief || details) add(name + "=" + Shortened(text));
  }
  return out;
}

class Listing {
 public:
  Listing(const Target& target, const Options& options) : target_(target), options_(options) {}

  Outcome Add(const Selected& selected) {
    Outcome outcome;
    WalkGroups(selected.model, options_.collapse, [&](const Group& group) {
      if (!outcome.ok()) return false;
      if (IsLeaf(selected.model.nodes()[group.members[0]].kind)) outcome = AddRow(selected, group);
      return outcome.ok();
    });
    return outcome;
  }

  void Print(Output* out) const {
    size_t path = 0;
    size_t type = 0;
    size_t size = 0;
    size_t stored = 0;
    for (const Row& row : rows_) {
      path = std::max(path, std::min(Columns(row.path), kWidestPath));
      type = std::max(type, std::min(Columns(row.type), kWidestPath));
      size = std::max(size, row.size.size());
      stored = std::max(stored, row.stored.size());
    }
    for (const Row& row : rows_) {
      std::string line = row.path + Blanks(path, Columns(row.path)) + "  " + row.type +
                         Blanks(type, Columns(row.type)) + "  " + Blanks(size, row.size.size()) +
                         row.size;
      if (options_.details) line += "  " + Blanks(stored, row.stored.size()) + row.stored;
      if (!row.hints.empty()) line += "  " + out->Faint(row.hints);
      out->Line(line);
      if (out->failed()) return;
    }
    std::string total = Plural(rows_.size(), "row", "rows") + " for " +
                        Plural(leaves_, "leaf", "leaves") + " · " +
                        Size(bytes_, options_.exact_bytes) + (options_.exact_bytes ? " bytes" : "");
    if (stored_ != bytes_) total += ", " + Size(stored_, options_.exact_bytes) + " stored";
    out->Line(out->Bold(total));
  }

 private:
  static std::string Blanks(size_t width, size_t used) {
    return std::string(width > used ? width - used : 0, ' ');
  }

  Outcome AddRow(const Selected& selected, const Group& group) {
    const Model& model = selected.model;
    const Model::Node& node = model.nodes()[group.members[0]];
    uint64_t bytes = 0;
    uint64_t stored = 0;
    for (const uint32_t member : group.members) {
      bytes += model.nodes()[member].bytes;
      stored += model.nodes()[member].stored;
    }
    Row row;
    row.path = target_.Shown(selected.item, group.path);
    if (row.path.empty()) row.path = "(root)";
    if (group.members.size() > 1) row.path += " ×" + std::to_string(group.members.size());
    row.type = TypeText(model, group.members[0]);
    row.size = Size(bytes, options_.exact_bytes);
    row.stored = Size(stored, options_.exact_bytes);
    row.hints = Hints(model.AttributesOf(group.members[0]), options_.details);
    leaves_ += group.members.size();
    if (node.alias_of != TREERING_NO_NODE) {
      std::string path;
      Outcome outcome = target_.checkpoint.Path(node.alias_of, &path);
      if (!outcome.ok()) return outcome;
      row.hints += (row.hints.empty() ? "= " : "  = ") + Printable(path);
    } else {
      bytes_ += bytes;
      stored_ += stored;
    }
    rows_.push_back(std::move(row));
    return {};
  }

  const Target& target_;
  const Options& options_;
  std::vector<Row> rows_;
  uint64_t leaves_ = 0;
  uint64_t bytes_ = 0;
  uint64_t stored_ = 0;
};

void PrintAttributes(const Attributes& attributes, Json* json) {
  json->Key("attributes");
  json->BeginObject();
  if (!attributes.variable_types.empty()) {
    json->Key("variable_type");
    json->BeginArray();
    for (const std::string& type : attributes.variable_types) json->String(type);
    json->End();
  }
  for (const auto& [name, text] : attributes.named) json->Member(name, text);
  if (!attributes.type_name.empty()) json->Member("type_name", attributes.type_name);
  json->End();
}

Outcome PrintLeaf(const Target& target, const Selected& selected, const Group& group, Json* json) {
  const uint32_t id = group.members[0];
  const Model::Node& node = selected.model.nodes()[id];
  std::string alias;
  if (node.alias_of != TREERING_NO_NODE) {
    Outcome outcome = target.checkpoint.Path(node.alias_of, &alias);
    if (!outcome.ok()) return outcome;
  }
  json->BeginObject();
  json->Member("path", group.path);
  json->Member("item", selected.item.name);
  json->Member("kind", KindName(node.kind));
  PrintType(selected.model, id, json);
  json->Member("bytes", node.bytes);
  json->Member("stored_bytes", node.stored);
  json->Key("alias_of");
  if (node.alias_of == TREERING_NO_NODE) {
    json->Null();
  } else {
    json->String(alias);
  }
  PrintAttributes(selected.model.AttributesOf(id), json);
  json->End();
  return {};
}

Outcome PrintJson(const Target& target, const std::vector<Selected>& models, Output* out) {
  Json json(out);
  json.BeginObject();
  json.Member("file", target.checkpoint.file());
  json.Key("leaves");
  json.BeginArray();
  Outcome outcome;
  uint64_t leaves = 0;
  Model::Sums total;
  for (const Selected& selected : models) {
    WalkGroups(selected.model, false, [&](const Group& group) {
      if (!outcome.ok() || out->failed()) return false;
      if (!IsLeaf(selected.model.nodes()[group.members[0]].kind)) return true;
      outcome = PrintLeaf(target, selected, group, &json);
      ++leaves;
      return false;
    });
    const Model::Sums sums = selected.model.SumUp()[0];
    total.bytes += sums.bytes;
    total.stored += sums.stored;
  }
  json.End();
  json.Key("total");
  json.BeginObject();
  json.Member("leaves", leaves);
  json.Member("bytes", total.bytes);
  json.Member("stored_bytes", total.stored);
  json.End();
  json.End();
  return outcome;
}

}  // namespace

void PrintType(const Model& model, uint32_t node, Json* json) {
  const Model::Node& n = model.nodes()[node];
  json->Key("dtype");
  if (!IsArray(n.kind)) {
    json->Null();
    json->Key("shape");
    json->Null();
    return;
  }
  json->String(DtypeName(n.dtype));
  json->Key("shape");
  json->BeginArray();
  for (uint32_t i = 0; i < n.rank; ++i) json->Unsigned(model.Shape(node)[i]);
  json->End();
}

Outcome RunLs(const Options& options, Output* out) {
  Target target;
  Outcome outcome = target.Open(options, false);
  if (!outcome.ok()) return outcome;
  std::vector<Selected> models;
  outcome = SelectModels(target, &models);
  if (!outcome.ok()) return outcome;
  if (options.json) return PrintJson(target, models, out);
  Listing listing(target, options);
  for (const Selected& selected : models) {
    outcome = listing.Add(selected);
    if (!outcome.ok()) return outcome;
  }
  listing.Print(out);
  return {};
}

}  // namespace treering::cli

// SPDX-License-Identifier: Apache-2.0
// treering tree: the hierarchy of a checkpoint with kinds, sizes and numbers of leaves.
//
// A line for each group of nodes, indented by depth; sums were made in one pass over the model
// before, so that each line knows what lies below it. Nothing but metadata is read.
//
// Which nodes belong together is left to the walk.
#include <algorithm>

#include "cli/collapse.h"
#include "cli/json.h"
#include "cli/target.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace treering::cli {

namespace {

constexpr size_t kWidestName = 72;

struct Line {
  std::string name;
  std::string kind;
  std::string size;
  std::string leaves;
};

Model::Sums Together(const std::vector<Model::Sums>& sums, const Group& group) {
  Model::Sums all;
  for (const uint32_t member : group.members) {
    all.leaves += sums[member].leaves;
    all.aliases += sums[member].aliases;
    all.bytes += sums[member].bytes;
    all.stored += sums[member].stored;
  }
  return all;
}

std::string KindText(const Model& model, uint32_t node) {
  const Model::Node& n = model.nodes()[node];
  const std::string& type = model.AttributesOf(node).type_name;
  std::string text = KindName(n.kind);
  if (IsArray(n.kind)) {
    text = n.kind == TREERING_PRNG_KEY ? "prng_key " : "";
    return text + DtypeName(n.dtype) + " " + cli::ShapeText(model.Shape(node), n.rank);
  }
  if (IsLeaf(n.kind)) return text;
  if (!type.empty()) text += " " + Printable(type);
  if (n.kind == TREERING_NONE) return text;
  return text + "(" + std::to_string(n.child_count) + ")";
}

Line MakeLine(const Target& target, const Options& options, const Selected& selected,
              const std::vector<Model::Sums>& sums, const Group& group) {
  const Model::Sums all = Together(sums, group);
  const uint32_t node = group.members[0];
  Line line;
  line.name = group.depth == 0 ? target.Shown(selected.item, group.path) : Printable(group.label);
  if (group.depth == 0 && group.path.empty()) line.name = Printable(selected.item.name);
  line.name = std::string(2 * group.depth, ' ') + line.name;
  size_t siblings = group.members.size();
  if (siblings > 1) line.name += " ×" + std::to_string(siblings);
  line.kind = KindText(selected.model, node);
  line.size = all.leaves == 0 ? "" : Size(all.bytes, options.exact_bytes);
  if (!IsLeaf(selected.model.nodes()[node].kind))
    line.leaves = Plural(all.leaves, "leaf", "leaves");
  if (selected.model.nodes()[node].alias_of != TREERING_NO_NODE) line.leaves = "alias";
  return line;
}

void PrintLines(const std::vector<Line>& lines, Output* out) {
  size_t name = 0;
  size_t kind = 0;
  size_t size = 0;
  for (const Line& line : lines) {
    name = std::max(name, std::min(Columns(line.name), kWidestName));
    kind = std::max(kind, std::min(Columns(line.kind), kWidestName));
    size = std::max(size, line.size.size());
  }
  const auto blanks = [](size_t width, size_t used) {
    return std::string(width > used ? width - used : 0, ' ');
  };
  for (const Line& line : lines) {
    std::string text = line.name + blanks(name, Columns(line.name)) + "  " + line.kind +
                       blanks(kind, Columns(line.kind)) + "  " + blanks(size, line.size.size()) +
                       line.size;
    if (!line.leaves.empty()) text += "  " + out->Faint(line.leaves);
    text.resize(text.find_last_not_of(' ') + 1);
    out->Line(text);
    if (out->failed()) return;
  }
}

void PrintNode(const Selected& selected, const std::vector<Model::Sums>& sums, const Group& group,
               Json* json) {
  const uint32_t id = group.members[0];
  const Model::Node& node = selected.model.nodes()[id];
  const std::string& type = selected.model.AttributesOf(id).type_name;
  json->BeginObject();
  json->Member("path", group.path);
  json->Member("item", selected.item.name);
  json->Member("depth", group.depth);
  json->Member("kind", KindName(node.kind));
  json->Key("type_name");
  if (type.empty()) {
    json->Null();
  } else {
    json->String(type);
  }
  json->Member("children", node.child_count);
  json->Member("leaves", sums[id].leaves);
  json->Member("bytes", sums[id].bytes);
  json->Member("stored_bytes", sums[id].stored);
  PrintType(selected.model, id, json);
  json->End();
}

}  // namespace

Outcome RunTree(const Options& options, Output* out) {
  Target target;
  Outcome outcome = target.Open(options, false);
  if (!outcome.ok()) return outcome;
  std::vector<Selected> models;
  outcome = SelectModels(target, &models);
  if (!outcome.ok()) return outcome;
  Json json(out);
  if (options.json) {
    json.BeginObject();
    json.Member("file", target.checkpoint.file());
    json.Key("nodes");
    json.BeginArray();
  }
  std::vector<Line> lines;
  for (const Selected& selected : models) {
    const std::vector<Model::Sums> sums = selected.model.SumUp();
    const bool collapse = options.collapse && !options.json;
    WalkGroups(selected.model, collapse, [&](const Group& group) {
      if (options.json) {
        PrintNode(selected, sums, group, &json);
      } else {
        lines.push_back(MakeLine(target, options, selected, sums, group));
      }
      return group.depth < options.depth && !out->failed();
    });
  }
  if (options.json) {
    json.End();
    json.End();
  }
  PrintLines(lines, out);
  return {};
}

}  // namespace treering::cli

// SPDX-License-Identifier: Apache-2.0
// treering info: one screen about a container.
//
// What the trailer knows is free; shares of dtypes, parameters and stored sizes need one pass over
// the nodes. No data are read.
//
// Finding the nodes is left to the model, which checks them.
#include <algorithm>
#include <cstdio>
#include <map>

#include "cli/checkpoint.h"
#include "cli/json.h"
#include "cli/model.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace treering::cli {

namespace {

constexpr size_t kMostItems = 12;
constexpr size_t kMostMetadata = 600;

struct Share {
  std::string name;
  uint64_t bytes = 0;
  uint64_t leaves = 0;
  uint64_t elements = 0;
};

struct Summary {
  std::vector<Model::Sums> items;
  std::vector<Share> shares;  // largest first
  Model::Sums all;
  uint64_t parameters = 0;
};

void AddShares(const Model& model, std::map<std::string, Share>* shares) {
  for (uint32_t i = 0; i < model.nodes().size(); ++i) {
    const Model::Node& node = model.nodes()[i];
    if (!IsLeaf(node.kind) || node.alias_of != TREERING_NO_NODE) continue;
    const std::string name = IsArray(node.kind) ? DtypeName(node.dtype) : KindName(node.kind);
    Share& share = (*shares)[name];
    share.name = name;
    share.bytes += node.bytes;
    ++share.leaves;
    if (node.kind == TREERING_ARRAY) share.elements += Elements(model.Shape(i), node.rank);
  }
}

Outcome Summarize(const Checkpoint& checkpoint, Summary* out) {
  std::map<std::string, Share> shares;
  for (const Item& item : checkpoint.items()) {
    Model model;
    Outcome outcome = model.Load(checkpoint, item.root);
    if (!outcome.ok()) return outcome;
    const Model::Sums sums = model.SumUp()[0];
    out->items.push_back(sums);
    out->all.leaves += sums.leaves;
    out->all.aliases += sums.aliases;
    out->all.bytes += sums.bytes;
    out->all.stored += sums.stored;
    AddShares(model, &shares);
  }
  for (const auto& [name, share] : shares) {
    out->parameters += share.elements;
    out->shares.push_back(share);
  }
  std::stable_sort(out->shares.begin(), out->shares.end(),
                   [](const Share& a, const Share& b) { return a.bytes > b.bytes; });
  return {};
}

std::string Percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return "";
  const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  if (part != 0 && percent < 0.05) return " <0.1 %";
  char text[32];
  std::snprintf(text, sizeof(text), " %.1f %%", percent);
  return text;
}

void PrintItems(const Checkpoint& checkpoint, const Summary& summary, bool exact, Output* out) {
  size_t width = 0;
  const size_t shown = std::min(checkpoint.items().size(), kMostItems);
  for (size_t i = 0; i < shown; ++i) {
    width = std::max(width, Columns(Printable(checkpoint.items()[i].name)));
  }
  for (size_t i = 0; i < shown; ++i) {
    const Item& item = checkpoint.items()[i];
    const std::string name = Printable(item.name);
    out->Line(std::string(i == 0 ? "  items     " : "            ") + name +
              std::string(width - Columns(name) + 2, ' ') + ItemKindName(item.kind) + "  " +
              Plural(summary.items[i].leaves, "leaf", "leaves") + "  " +
              Size(summary.items[i].bytes, exact));
  }
  if (shown < checkpoint.items().size()) {
    out->Line("            … " + std::to_string(checkpoint.items().size() - shown) + " more");
  }
  if (checkpoint.items().empty()) out->Line("  items     none");
}

void PrintText(const Checkpoint& checkpoint, const Summary& summary, bool exact, Output* out) {
  const treering_info& info = checkpoint.info();
  out->Line(out->Bold(Printable(checkpoint.file())) + "   format " +
            FormatVersion(info.format_version) + "   " + Size(info.file_size, exact) +
            (exact ? " bytes" : ""));
  PrintItems(checkpoint, summary, exact, out);
  std::string aliases;
  if (summary.all.aliases != 0)
    aliases = " (" + Plural(summary.all.aliases, "alias", "aliases") + ")";
  out->Line("  leaves    " + std::to_string(summary.all.leaves) + aliases + " in " +
            Plural(info.node_count, "node", "nodes") + "   parameters " +
            Count(summary.parameters));
  std::string shares;
  for (const Share& share : summary.shares) {
    shares += (shares.empty() ? "" : "   ") + share.name + Percent(share.bytes, summary.all.bytes);
  }
  out->Line("  dtypes    " + (shares.empty() ? std::string("none") : shares));
  std::string ratio;
  if (summary.all.stored != summary.all.bytes && summary.all.stored != 0) {
    char text[32];
    std::snprintf(text, sizeof(text), "  (%.2fx)",
                  static_cast<double>(summary.all.bytes) / static_cast<double>(summary.all.stored));
    ratio = text;
  }
  out->Line("  stored    " + Size(summary.all.stored, exact) + " for " +
            Size(summary.all.bytes, exact) + ratio + " in " +
            Plural(info.chunk_count, "chunk", "chunks") + "   index " +
            Size(info.index_size, exact));
  out->Line("  digests   content " + Hex(info.content, sizeof(info.content)));
  out->Line("            file    " + Hex(info.file, sizeof(info.file)));
  if ((info.features_compat | info.features_ro_compat | info.features_incompat) != 0) {
    out->Line("  features  compatible " + std::to_string(info.features_compat) + ", read-only " +
              std::to_string(info.features_ro_compat) + ", incompatible " +
              std::to_string(info.features_incompat));
  }
  if (info.file_count != 0) {
    out->Line("  files     " + Plural(info.file_count, "other file holds", "other files hold") +
              " a part of the data");
  }
  if (info.metadata_size == 0) return;
  std::string metadata = Printable(std::string_view(info.metadata, info.metadata_size));
  if (Columns(metadata) > kMostMetadata) {
    size_t cut = kMostMetadata;
    while (cut > 0 && (static_cast<uint8_t>(metadata[cut]) & 0xc0) == 0x80) --cut;
    metadata = metadata.substr(0, cut) + "… (" + std::to_string(info.metadata_size) +
               " bytes; all of it with --json)";
  }
  out->Line("  metadata  " + metadata);
}

void PrintItemsJson(const Checkpoint& checkpoint, const Summary& summary, Json* json) {
  json->Key("items");
  json->BeginArray();
  for (size_t i = 0; i < checkpoint.items().size(); ++i) {
    json->BeginObject();
    json->Member("name", checkpoint.items()[i].name);
    json->Member("kind", ItemKindName(checkpoint.items()[i].kind));
    json->Member("leaves", summary.items[i].leaves);
    json->Member("bytes", summary.items[i].bytes);
    json->End();
  }
  json->End();
  json->Key("dtypes");
  json->BeginArray();
  for (const Share& share : summary.shares) {
    json->BeginObject();
    json->Member("name", share.name);
    json->Member("bytes", share.bytes);
    json->Member("leaves", share.leaves);
    json->Member("elements", share.elements);
    json->End();
  }
  json->End();
}

void PrintJson(const Checkpoint& checkpoint, const Summary& summary, Output* out) {
  const treering_info& info = checkpoint.info();
  Json json(out);
  json.BeginObject();
  json.Member("file", checkpoint.file());
  json.Member("format", FormatVersion(info.format_version));
  json.Member("file_size", info.file_size);
  json.Member("index_size", info.index_size);
  json.Member("nodes", info.node_count);
  json.Member("leaves", summary.all.leaves);
  json.Member("aliases", summary.all.aliases);
  json.Member("chunks", info.chunk_count);
  json.Member("other_files", info.file_count);
  json.Member("parameters", summary.parameters);
  json.Member("raw_bytes", summary.all.bytes);
  json.Member("stored_bytes", summary.all.stored);
  json.Key("features");
  json.BeginObject();
  json.Member("compat", info.features_compat);
  json.Member("ro_compat", info.features_ro_compat);
  json.Member("incompat", info.features_incompat);
  json.End();
  json.Key("digests");
  json.BeginObject();
  json.Member("content", Hex(info.content, sizeof(info.content)));
  json.Member("file", Hex(info.file, sizeof(info.file)));
  json.End();
  json.Key("metadata");
  if (info.metadata_size == 0) {
    json.Null();
  } else {
    json.String(std::string_view(info.metadata, info.metadata_size));
  }
  PrintItemsJson(checkpoint, summary, &json);
  json.End();
}

}  // namespace

Outcome RunInfo(const Options& options, Output* out) {
  Checkpoint checkpoint;
  Outcome outcome = checkpoint.Open(ParseWhole(options.targets[0]), options);
  if (!outcome.ok()) return outcome;
  Summary summary;
  outcome = Summarize(checkpoint, &summary);
  if (!outcome.ok()) return outcome;
  if (options.json) {
    PrintJson(checkpoint, summary, out);
  } else {
    PrintText(checkpoint, summary, options.exact_bytes, out);
  }
  return {};
}

}  // namespace treering::cli

// SPDX-License-Identifier: Apache-2.0
// treering log: the versions of a manager's directory, one line each.
//
// The records tell everything, so that a directory of ten thousand checkpoints is listed without
// touching one of them; whether their files are well is what verify says. Times are UTC, so that
// two people read the same.
#include <algorithm>
#include <ctime>

#include "cli/elements.h"
#include "cli/json.h"
#include "cli/run.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace treering::cli {

namespace {

constexpr int64_t kSecond = 1000000000;
constexpr size_t kMostMetrics = 6;

struct Log {
  treering_store_info info = {};
  std::vector<treering_version_info> versions;
  std::string metric;  // that ranks them; empty: none does
  bool lowest = false;
  size_t best = 0;  // versions.size(): none
};

std::string TimeText(int64_t time) {
  if (time == TREERING_NO_TIME) return "unknown";
  const int64_t seconds = time / kSecond - (time % kSecond < 0 ? 1 : 0);
  const std::time_t clock = static_cast<std::time_t>(seconds);
  std::tm parts = {};
  char text[40];
  if (::gmtime_r(&clock, &parts) == nullptr ||
      std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts) == 0) {
    return std::to_string(seconds);
  }
  return text;
}

std::string MetricsText(const treering_version_info& version) {
  std::string text;
  for (uint64_t i = 0; i < version.metric_count; ++i) {
    const treering_metric& metric = version.metrics[i];
    if (i == kMostMetrics) return text + "  …";
    text += (text.empty() ? "" : "  ") +
            Printable(std::string_view(metric.name, metric.name_size)) + "=" +
            FloatText(metric.value, false);
  }
  return text;
}

std::string Marks(const Log& log, size_t i) {
  std::string marks;
  if (i + 1 == log.versions.size()) marks = "latest";
  if (i == log.best) marks += (marks.empty() ? "best" : ", best");
  if (log.versions[i].rebuilt != 0) marks += (marks.empty() ? "rebuilt" : ", rebuilt");
  return marks;
}

void PrintText(const Log& log, const Options& options, Output* out) {
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < log.versions.size(); ++i) {
    const treering_version_info& version = log.versions[i];
    rows.push_back({std::to_string(version.step), TimeText(version.committed),
                    Size(version.size, options.exact_bytes), MetricsText(version), Marks(log, i)});
  }
  size_t widths[4] = {};
  for (const auto& row : rows) {
    for (size_t c = 0; c < 4; ++c) widths[c] = std::max(widths[c], Columns(row[c]));
  }
  const auto blanks = [&widths](size_t column, const std::string& text) {
    return std::string(widths[column] - Columns(text), ' ');
  };
  for (const auto& row : rows) {
    std::string line = blanks(0, row[0]) + row[0] + "  " + row[1] + blanks(1, row[1]) + "  " +
                       blanks(2, row[2]) + row[2];
    if (widths[3] != 0) line += "  " + row[3] + blanks(3, row[3]);
    if (!row[4].empty()) line += "  " + out->Good(row[4]);
    line.resize(line.find_last_not_of(' ') + 1);
    out->Line(line);
    if (out->failed()) return;
  }
  std::string total = Plural(log.versions.size(), "version", "versions") + " · " +
                      Size(log.info.size, options.exact_bytes) +
                      (options.exact_bytes ? " bytes" : "");
  if (log.best < log.versions.size()) {
    total +=
        std::string(" · best: ") + (log.lowest ? "lowest " : "highest ") + Printable(log.metric);
  }
  out->Line(out->Bold(total));
}

void TextOrNull(Json* json, const char* name, const char* text, uint64_t size) {
  json->Key(name);
  if (size == 0) {
    json->Null();
  } else {
    json->String(std::string_view(text, size));
  }
}

void TimeOrNull(Json* json, const char* name, int64_t time) {
  json->Key(name);
  if (time == TREERING_NO_TIME) {
    json->Null();
  } else {
    json->Int(time);
  }
}

void PrintVersion(const Log& log, size_t i, Json* json) {
  const treering_version_info& version = log.versions[i];
  json->BeginObject();
  json->Key("step");
  json->Int(version.step);
  json->Member("number", version.number);
  json->Member("attempt", Hex(version.attempt, sizeof(version.attempt)));
  TimeOrNull(json, "started", version.started);
  TimeOrNull(json, "committed", version.committed);
  json->Member("size", version.size);
  json->Key("metrics");
  json->BeginObject();
  for (uint64_t m = 0; m < version.metric_count; ++m) {
    json->Key(std::string_view(version.metrics[m].name, version.metrics[m].name_size));
    json->Raw(FloatText(version.metrics[m].value, true));
  }
  json->End();
  TextOrNull(json, "metrics_document", version.metrics_document, version.metrics_document_size);
  TextOrNull(json, "metadata", version.metadata, version.metadata_size);
  json->Member("file", std::string_view(version.file, version.file_size));
  for (const auto& [name, value] :
       {std::pair("latest", i + 1 == log.versions.size()), std::pair("best", i == log.best),
        std::pair("rebuilt", version.rebuilt != 0)}) {
    json->Key(name);
    json->Bool(value);
  }
  json->End();
}

void PrintJson(const Log& log, Output* out) {
  Json json(out);
  json.BeginObject();
  json.Member("directory", std::string_view(log.info.directory, log.info.directory_size));
  json.Member("uuid", Hex(log.info.uuid, sizeof(log.info.uuid)));
  TimeOrNull(&json, "created", log.info.created);
  TextOrNull(&json, "metadata", log.info.metadata, log.info.metadata_size);
  json.Member("size", log.info.size);
  TextOrNull(&json, "metric", log.metric.data(), log.metric.size());
  json.Key("versions");
  json.BeginArray();
  for (size_t i = 0; i < log.versions.size() && !out->failed(); ++i) PrintVersion(log, i, &json);
  json.End();
  json.End();
}

}  // namespace

Outcome RunLog(const Options& options, Output* out) {
  Run run;
  treering_error error = NewError();
  Outcome outcome = FromError(run.Open(options.targets[0], TREERING_READ_ONLY, &error), error);
  if (!outcome.ok()) return outcome;
  Log log;
  outcome = run.Versions(&log.versions);
  if (!outcome.ok()) return outcome;
  log.info.struct_size = sizeof(log.info);
  outcome = FromError(treering_manager_info(&log.info, run.get(), &error), error);
  if (!outcome.ok()) return outcome;
  log.metric = RankingMetric(log.versions, options);
  log.lowest = options.lowest;
  log.best = BestOf(log.versions, log.metric, log.lowest);
  if (options.json) {
    PrintJson(log, out);
  } else {
    PrintText(log, options, out);
  }
  return {};
}

}  // namespace treering::cli

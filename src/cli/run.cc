// SPDX-License-Identifier: Apache-2.0
// Opening a manager's directory, and the versions in it.
//
// Looking is done by a read-only manager, which takes no lock and changes nothing, so that it may
// be done beside a training run. What "best" means is not written in the directory: the metric is
// that of --metric, or the only one there is, and then it is said which one was taken.
#include "cli/run.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cli/checkpoint.h"
#include "cli/text.h"

namespace treering::cli {

namespace {

constexpr uint64_t kVersionsAtOnce = 256;

treering_status Refuse(treering_status status, const std::string& message, treering_error* error) {
  error->status = status;
  const size_t n = std::min(message.size(), sizeof(error->message) - 1);
  std::memcpy(error->message, message.data(), n);
  error->message[n] = '\0';
  return status;
}

std::string MetricNames(const std::vector<treering_version_info>& versions) {
  std::vector<std::string> names;
  std::string text;
  for (const treering_version_info& version : versions) {
    for (uint64_t i = 0; i < version.metric_count && names.size() < 8; ++i) {
      const std::string name(version.metrics[i].name, version.metrics[i].name_size);
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      names.push_back(name);
      text += (text.empty() ? "" : ", ") + name;
    }
  }
  return text;
}

void TellSkipped(const std::string& directory, const treering_report* report) {
  for (uint64_t i = 0; i < treering_report_count(report); ++i) {
    treering_finding finding;
    uint64_t count = 0;
    const treering_status status =
        treering_report_findings(report, i, &finding, sizeof(finding), 1, &count, nullptr);
    if (status != TREERING_OK || count != 1) return;
    PrintError("'" + directory + "': passed over " + std::string(finding.path, finding.path_size) +
               ": " + std::string(finding.found, finding.found_size));
  }
}

// Fills `find` for the best; `metric` keeps the name's memory.
treering_status ChooseBest(const Run& run, const Options& options, std::string* metric,
                           treering_find_options* find, treering_error* error) {
  std::vector<treering_version_info> versions;
  Outcome outcome = run.Versions(&versions);
  if (!outcome.ok()) return Refuse(TREERING_INTERNAL, outcome.message, error);
  *metric = RankingMetric(versions, options);
  if (metric->empty()) {
    const std::string names = MetricNames(versions);
    return Refuse(names.empty() ? TREERING_NOT_FOUND : TREERING_INVALID_ARGUMENT,
                  "'" + run.directory() + "': " +
                      (names.empty() ? "no version has a metric; name a step"
                                     : "the best by which metric? give --metric with one of " +
                                           names + ", and --lowest if less is better"),
                  error);
  }
  if (options.metric.empty()) {
    PrintError("'" + run.directory() + "': best by the " +
               (options.lowest ? "lowest " : "highest ") + *metric);
  }
  find->metric = metric->data();
  find->metric_size = metric->size();
  find->lowest = options.lowest ? 1 : 0;
  return TREERING_OK;
}

treering_status OpenVersion(const Address& address, const Options& options, OpenedCheckpoint* out,
                            treering_error* error) {
  const treering_status opened = out->run.Open(address.file, TREERING_READ_ONLY, error);
  if (opened != TREERING_OK) return opened;
  int64_t step = 0;
  ParseVersion(address.version, &step);
  treering_find_options find = {};
  find.struct_size = sizeof(find);
  std::string metric;
  if (step == TREERING_BEST) {
    const treering_status chosen = ChooseBest(out->run, options, &metric, &find, error);
    if (chosen != TREERING_OK) return chosen;
  }
  treering_report* report = nullptr;
  const treering_status status = treering_manager_checkpoint(
      &out->handle, &step, &report, out->run.get(), step, &find, nullptr, error);
  const Report owner(report);
  TellSkipped(address.file, report);
  if (status == TREERING_OK) out->shown = address.file + "@" + std::to_string(step);
  return status;
}

}  // namespace

bool IsRun(const std::string& path) {
  struct stat info;
  return ::stat((path + "/STORE").c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

treering_status Run::Open(const std::string& directory, int32_t mode, treering_error* error,
                          bool keep_leftovers) {
  directory_ = directory;
  treering_manager_options options = {};
  options.struct_size = sizeof(options);
  options.mode = mode;
  options.keep_leftovers = keep_leftovers ? 1 : 0;
  treering_manager* handle = nullptr;
  const treering_status status =
      treering_manager_open(&handle, directory.data(), directory.size(), &options, error);
  handle_.reset(handle);
  return status;
}

Outcome Run::Versions(std::vector<treering_version_info>* out) const {
  out->clear();
  for (;;) {
    treering_version_info batch[kVersionsAtOnce];
    treering_error error = NewError();
    uint64_t count = 0;
    const treering_status status = treering_manager_versions(
        get(), out->size(), batch, sizeof(batch[0]), kVersionsAtOnce, &count, &error);
    if (status != TREERING_OK) return FromError(status, error);
    out->insert(out->end(), batch, batch + count);
    if (count < kVersionsAtOnce) return {};
  }
}

const double* MetricOf(const treering_version_info& version, const std::string& name) {
  for (uint64_t i = 0; i < version.metric_count; ++i) {
    const treering_metric& metric = version.metrics[i];
    if (std::string_view(metric.name, metric.name_size) == name && !std::isnan(metric.value)) {
      return &metric.value;
    }
  }
  return nullptr;
}

std::string RankingMetric(const std::vector<treering_version_info>& versions,
                          const Options& options) {
  if (!options.metric.empty()) return options.metric;
  std::string only;
  for (const treering_version_info& version : versions) {
    for (uint64_t i = 0; i < version.metric_count; ++i) {
      const std::string_view name(version.metrics[i].name, version.metrics[i].name_size);
      if (only.empty()) only = std::string(name);
      if (only != name) return {};
    }
  }
  return only;
}

size_t BestOf(const std::vector<treering_version_info>& versions, const std::string& metric,
              bool lowest) {
  size_t best = versions.size();
  double value = 0;
  for (size_t i = 0; i < versions.size(); ++i) {
    const double* found = MetricOf(versions[i], metric);
    if (found == nullptr) continue;
    if (best == versions.size() || (lowest ? *found <= value : *found >= value)) {
      best = i;
      value = *found;
    }
  }
  return best;
}

treering_status OpenAddress(const Address& address, const Options& options, OpenedCheckpoint* out,
                            treering_error* error) {
  out->shown = address.file;
  if (!address.version.empty()) return OpenVersion(address, options, out, error);
  if (IsRun(address.file)) {
    return Refuse(TREERING_INVALID_ARGUMENT,
                  "'" + address.file + "' is a directory of checkpoints; name one, like " +
                      address.file + "@latest, or see treering log",
                  error);
  }
  return treering_checkpoint_open(&out->handle, address.file.data(), address.file.size(), nullptr,
                                  error);
}

Address ParseWhole(const std::string& word) {
  Address address = ParseAddress(word);
  if (!address.version.empty() && !address.path_given) return address;
  address = Address();
  address.file = word;
  return address;
}

}  // namespace treering::cli

// SPDX-License-Identifier: Apache-2.0
// A manager's directory as the verbs use it: versions, the metric that ranks them, checkpoints.
#pragma once

#include <treering/treering.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/address.h"
#include "cli/options.h"
#include "cli/output.h"

namespace treering::cli {

struct ManagerFree {
  void operator()(treering_manager* p) const { treering_manager_free(p); }
};

// True for a directory that a manager made.
bool IsRun(const std::string& path);

class Run {
 public:
  treering_status Open(const std::string& directory, int32_t mode, treering_error* error,
                       bool keep_leftovers = false);

  const std::string& directory() const { return directory_; }
  treering_manager* get() const { return handle_.get(); }
  // Ascending by step. Pointers inside live as long as the Run.
  Outcome Versions(std::vector<treering_version_info>* out) const;

 private:
  std::string directory_;
  std::unique_ptr<treering_manager, ManagerFree> handle_;
};

// The value of a metric; null if the version has none, or NaN.
const double* MetricOf(const treering_version_info& version, const std::string& name);
// That of --metric; else the only one there is; else empty.
std::string RankingMetric(const std::vector<treering_version_info>& versions,
                          const Options& options);
// Position of the best by a metric, the later of equal ones; versions.size() if there is none.
size_t BestOf(const std::vector<treering_version_info>& versions, const std::string& metric,
              bool lowest);

// What an address without a path names, open for reading.
struct OpenedCheckpoint {
  Run run;  // of a version
  std::string shown;
  treering_checkpoint* handle = nullptr;  // the caller's to free, before this
};
// Tells versions that were passed over on standard error.
treering_status OpenAddress(const Address& address, const Options& options, OpenedCheckpoint* out,
                            treering_error* error);
// The address of a whole checkpoint: a colon in it belongs to the file's name.
Address ParseWhole(const std::string& word);

}  // namespace treering::cli

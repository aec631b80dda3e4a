// SPDX-License-Identifier: Apache-2.0
// The handles of managers and of asynchronous saves, and what their functions share.
#pragma once

#include <treering/treering.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "format/manifest.h"
#include "manager/manager.h"
#include "manager/preservation.h"
#include "manager/save.h"
#include "manager/save_policy.h"

namespace treering::capi {

// A record in C's form. It keeps the record, into which most pointers go.
struct ShownRecord {
  manager::Record record;
  std::vector<treering_metric> metrics;
  std::string file;
};

}  // namespace treering::capi

// What callers were given pointers into lives as long as the handle; it is filled under the mutex,
// so that const calls stay concurrent.
struct treering_manager {
  std::string directory;
  std::unique_ptr<treering::manager::Manager> value;
  std::vector<treering::manager::PruneDecision> decisions;  // of the last prune
  mutable std::mutex mutex;
  mutable std::unordered_map<const void*, treering::capi::ShownRecord> shown;
};

struct treering_pending {
  std::shared_ptr<treering::manager::Save> value;
};

namespace treering::capi {

// `element_size` is the caller's; `name` is for messages.
base::Status ImportSavePolicies(const treering_save_policy* policies, uint64_t element_size,
                                uint64_t count, std::vector<manager::SavePolicy>* out);
base::Status ImportKeepPolicies(const treering_keep_policy* policies, uint64_t element_size,
                                uint64_t count, const char* name,
                                std::vector<manager::PreservePolicy>* out);
base::Status ImportMetrics(const treering_metric* metrics, uint64_t element_size, uint64_t count,
                           std::vector<format::Metric>* out);
// Borrows from `in`.
std::vector<treering_metric> ExportMetrics(const std::vector<format::Metric>& in);
// Zeros *out, which may be NULL, but for its struct_size.
base::Status ClearSaved(treering_saved* out);

}  // namespace treering::capi

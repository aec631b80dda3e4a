// SPDX-License-Identifier: Apache-2.0
// What a manager tells of its versions: listing, totals, pruning, verifying, rebuilding.
//
// Listings point into records. A record is immutable and shared, so a caller's pointers stay good
// for as long as the manager keeps the record, which it does for every one that was ever shown, by
// the record's address: 10,000 listings of the same versions cost the memory of one.
#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/import.h"
#include "capi/manager.h"
#include "capi/options.h"
#include "format/names.h"

namespace treering::capi {
namespace {

using base::Status;

uint64_t SizeOf(const format::ManifestRecord& record) {
  uint64_t size = 0;
  for (const format::ManifestFile& file : record.files) {
    size = file.size > UINT64_MAX - size ? UINT64_MAX : size + file.size;
  }
  return size;
}

const ShownRecord& Show(const treering_manager& manager, const manager::Record& record) {
  const std::lock_guard<std::mutex> hold(manager.mutex);
  ShownRecord& shown = manager.shown[record.get()];
  if (shown.record == nullptr) {
    shown.metrics = ExportMetrics(record->metrics);
    shown.file = std::string(format::kDataName) + "/" +
                 format::AttemptName(record->store, record->step, record->attempt) + "/" +
                 record->files.front().name;
    shown.record = record;  // last: what threw before is made again
  }
  return shown;
}

treering_version_info ExportVersion(const ShownRecord& shown) {
  const format::ManifestRecord& record = *shown.record;
  treering_version_info out = {};
  out.step = record.step;
  out.number = record.number;
  std::memcpy(out.attempt, record.attempt.data(), sizeof(out.attempt));
  out.started = record.started;
  out.committed = record.committed;
  out.size = SizeOf(record);
  out.metrics = shown.metrics.data();
  out.metric_count = shown.metrics.size();
  out.metrics_document = record.metrics_document.data();
  out.metrics_document_size = record.metrics_document.size();
  out.metadata = record.metadata.data();
  out.metadata_size = record.metadata.size();
  out.file = shown.file.data();
  out.file_size = shown.file.size();
  out.rebuilt = (record.flags & format::kRebuilt) != 0 ? 1 : 0;
  return out;
}

treering_store_info Info(const treering_manager& manager) {
  const manager::Store& store = manager.value->store();
  treering_store_info out = {};
  out.read_only = store.read_only() ? 1 : 0;
  std::memcpy(out.uuid, store.record().uuid.data(), sizeof(out.uuid));
  out.created = store.record().created;
  const std::vector<manager::Record> versions = manager.value->Versions();
  out.version_count = versions.size();
  for (const manager::Record& version : versions) {
    const uint64_t size = SizeOf(*version);
    out.size = size > UINT64_MAX - out.size ? UINT64_MAX : out.size + size;
  }
  out.saving = manager.value->saving() ? 1 : 0;
  out.directory = manager.directory.data();
  out.directory_size = manager.directory.size();
  out.metadata = store.record().metadata.data();
  out.metadata_size = store.record().metadata.size();
  return out;
}

// A report that was filled is handed out, whatever the status.
Status GiveReport(Status status, tree::Report report, treering_report** out) {
  if (out == nullptr || (!status.ok() && report.empty())) return status;
  report.Finish();
  *out = NewReport(std::move(report));
  return status;
}

}  // namespace
}  // namespace treering::capi

using treering::base::Status;
using treering::capi::Guard;
namespace capi = treering::capi;

extern "C" {

treering_status treering_manager_versions(const treering_manager* manager, uint64_t first,
                                          treering_version_info* out, uint64_t element_size,
                                          uint64_t capacity, uint64_t* out_count,
                                          treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(manager);
    const capi::OutputArray<treering_version_info> array(out, element_size, capacity);
    TR_RETURN_IF_ERROR(array.Check(sizeof(treering_version_info)));
    TR_RETURN_IF_ERROR(manager->value->store().Usable());
    const auto catalog = manager->value->store().catalog();
    const auto& versions = catalog->versions();
    uint64_t count = 0;
    for (uint64_t i = first; i < versions.size() && count < capacity; ++i) {
      array.Put(count++, capi::ExportVersion(capi::Show(*manager, versions[i])));
    }
    *out_count = count;
    return {};
  });
}

treering_status treering_manager_info(treering_store_info* out, const treering_manager* manager,
                                      treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    constexpr uint64_t kFirstSize = sizeof(treering_store_info);
    TR_RETURN_IF_ERROR(capi::ExportStruct(treering_store_info{}, "out", kFirstSize, out));
    TR_REQUIRE(manager);
    TR_RETURN_IF_ERROR(manager->value->store().Usable());
    return capi::ExportStruct(capi::Info(*manager), "out", kFirstSize, out);
  });
}

treering_status treering_manager_prune(treering_manager* manager,
                                       const treering_keep_policy* policies, uint64_t policy_size,
                                       uint64_t policy_count, uint32_t dry_run,
                                       treering_decision* out, uint64_t element_size,
                                       uint64_t capacity, uint64_t* out_count,
                                       treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(manager);
    const capi::OutputArray<treering_decision> array(out, element_size, capacity);
    TR_RETURN_IF_ERROR(array.Check(sizeof(treering_decision)));
    std::vector<treering::manager::PreservePolicy> list;
    if (policies != nullptr) {
      TR_RETURN_IF_ERROR(
          capi::ImportKeepPolicies(policies, policy_size, policy_count, "policies", &list));
    }
    TR_ASSIGN_OR_RETURN(manager->decisions,
                        manager->value->Prune(policies == nullptr ? nullptr : &list, dry_run != 0));
    uint64_t count = 0;
    for (const auto& decision : manager->decisions) {
      if (count == capacity) break;
      array.Put(count++, {decision.step, decision.keep ? 1U : 0U, 0, decision.rule.data(),
                          decision.rule.size()});
    }
    *out_count = count;
    return {};
  });
}

treering_status treering_manager_verify(treering_report** out_report,
                                        const treering_manager* manager, uint32_t full,
                                        const treering_read_options* options,
                                        treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_report);
    *out_report = nullptr;
    TR_REQUIRE(manager);
    treering::container::ReadOptions read;
    TR_RETURN_IF_ERROR(capi::ImportReadOptions(options, &read));
    treering::tree::Report report;
    Status status = manager->value->Verify(full != 0, read, &report);
    return capi::GiveReport(std::move(status), std::move(report), out_report);
  });
}

treering_status treering_manager_rebuild(uint64_t* out_count, treering_report** out_report,
                                         treering_manager* manager, treering_error* error) {
  return Guard(error, [&]() -> Status {
    if (out_report != nullptr) *out_report = nullptr;
    TR_REQUIRE(out_count);
    *out_count = 0;
    TR_REQUIRE(manager);
    treering::tree::Report report;
    auto rebuilt = manager->value->Rebuild(&report);
    if (rebuilt.ok()) *out_count = *rebuilt;
    return capi::GiveReport(std::move(rebuilt.status()), std::move(report), out_report);
  });
}

}  // extern "C"

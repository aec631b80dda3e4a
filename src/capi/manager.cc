// SPDX-License-Identifier: Apache-2.0
// Managers through the C ABI: opening, saving, looking up, deleting, and what they tell.
//
// Arguments are converted here and in policies.cc; what they mean, and every check of the
// directory, is manager/'s. A failed save fills its outputs only where the version may exist all
// the same (OUTCOME_UNKNOWN), and a lookup says what it passed over also when it found something.
#include "capi/manager.h"

#include "capi/convert.h"
#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/import.h"
#include "capi/options.h"

namespace treering::capi {

using base::Code;
using base::Status;

Status ClearSaved(treering_saved* out) {
  if (out == nullptr) return {};
  return ExportStruct(treering_saved{}, "out_saved", sizeof(treering_saved), out);
}

namespace {

Status ImportText(const char* text, uint64_t size, const char* name, std::string* out) {
  std::string_view view;
  TR_RETURN_IF_ERROR(capi::ImportText(text, size, name, &view));
  *out = std::string(view);
  return {};
}

Status ImportManagerOptions(const treering_manager_options* options, manager::ManagerOptions* out) {
  treering_manager_options in;
  TR_RETURN_IF_ERROR(ImportStruct(options, "options", sizeof(in), &in));
  if (in.mode < TREERING_OPEN_OR_CREATE || in.mode > TREERING_READ_ONLY) {
    return InvalidArgument("options.mode " + std::to_string(in.mode) +
                           " is not one of TREERING_OPEN_OR_CREATE to TREERING_READ_ONLY");
  }
  static_assert(static_cast<int32_t>(manager::OpenMode::kReadOnly) == TREERING_READ_ONLY &&
                static_cast<int32_t>(manager::OpenMode::kOpenExisting) == TREERING_OPEN_EXISTING);
  out->store.mode = static_cast<manager::OpenMode>(in.mode);
  out->store.lock_timeout_ms = in.lock_timeout_ms;
  out->store.no_lock = in.no_lock != 0;
  out->store.sweep = in.keep_leftovers == 0;
  out->drop_newest = in.drop_newest != 0;
  out->verify_before_prune = in.verify_before_prune != 0;
  out->save_queue = in.save_queue == 0 ? 1 : in.save_queue;
  out->staging_bytes = in.staging_bytes;
  TR_RETURN_IF_ERROR(
      ImportText(in.metadata, in.metadata_size, "options.metadata", &out->store.metadata));
  TR_RETURN_IF_ERROR(ImportSavePolicies(in.save_policies, in.save_policy_size, in.save_policy_count,
                                        &out->save_policies));
  return ImportKeepPolicies(in.keep_policies, in.keep_policy_size, in.keep_policy_count,
                            "options.keep_policies", &out->keep_policies);
}

Status ImportItem(const treering_save_item& in, uint64_t position, manager::SaveItem* out) {
  const std::string at = "items[" + std::to_string(position) + "]";
  if (in.kind < TREERING_ITEM_TREE || in.kind > TREERING_ITEM_BLOB) {
    return InvalidArgument(at + ".kind " + std::to_string(in.kind) +
                           " is not one of TREERING_ITEM_TREE to TREERING_ITEM_BLOB");
  }
  TR_RETURN_IF_ERROR(capi::ImportText(in.name, in.name_size, (at + ".name").c_str(), &out->name));
  if (in.name == nullptr) out->name = "default";
  out->kind = static_cast<format::ItemKind>(in.kind);
  if (in.kind == TREERING_ITEM_TREE) {
    if (in.tree == nullptr) return NullArgument((at + ".tree").c_str());
    out->tree = &in.tree->value;
    return {};
  }
  if (in.size != 0 && in.data == nullptr) return NullArgument((at + ".data").c_str());
  out->bytes = {in.data, in.size};
  return {};
}

Status ImportItems(const treering_save_item* items, uint64_t element_size, uint64_t count,
                   std::vector<manager::SaveItem>* out) {
  const InputArray<treering_save_item> in(items, element_size, count);
  TR_RETURN_IF_ERROR(in.Check("items", sizeof(treering_save_item)));
  for (uint64_t i = 0; i < count; ++i) {
    treering_save_item item;
    if (!in.Get(i, &item)) return InputArray<treering_save_item>::UnknownField("items", i);
    TR_RETURN_IF_ERROR(ImportItem(item, i, &out->emplace_back()));
  }
  return {};
}

Status ImportStepOptions(const treering_step_options* options, manager::StepOptions* out) {
  treering_step_options in;
  TR_RETURN_IF_ERROR(ImportStruct(options, "options", sizeof(in), &in));
  out->force = in.force != 0;
  out->overwrite = in.overwrite != 0;
  out->borrow = in.borrow != 0;
  TR_RETURN_IF_ERROR(ImportMetrics(in.metrics, in.metric_size, in.metric_count, &out->metrics));
  TR_RETURN_IF_ERROR(ImportText(in.metrics_document, in.metrics_document_size,
                                "options.metrics_document", &out->metrics_document));
  TR_RETURN_IF_ERROR(ImportText(in.metadata, in.metadata_size, "options.metadata", &out->metadata));
  treering_save_options save;
  TR_RETURN_IF_ERROR(ImportSaveOptions(in.save, &save, &out->writer));
  out->durable = save.not_durable == 0;
  out->io_threads = save.threads == 0 ? 0 : 1;
  if (in.finished != nullptr) {
    out->finished = [finished = in.finished, user = in.user](Code code) {
      finished(user, static_cast<treering_status>(code));
    };
  }
  return {};
}

Status ExportSaved(const manager::Saved& saved, int64_t step, treering_saved* out) {
  if (out == nullptr) return {};
  treering_saved shown = {};
  shown.skipped = saved.skipped ? 1 : 0;
  shown.step = step;
  if (saved.record != nullptr) {
    shown.number = saved.record->number;
    std::memcpy(shown.attempt, saved.record->attempt.data(), sizeof(shown.attempt));
    shown.file_size = saved.record->files.front().size;
    CopyDigest(saved.content, shown.content);
  }
  shown.retention_status = static_cast<treering_status>(saved.retention.code());
  shown.dropped = saved.dropped;
  return ExportStruct(shown, "out_saved", sizeof(shown), out);
}

Status ImportFindOptions(const treering_find_options* options, manager::FindOptions* out) {
  treering_find_options in;
  TR_RETURN_IF_ERROR(ImportStruct(options, "find", sizeof(in), &in));
  out->strict = in.strict != 0;
  out->full = in.full != 0;
  out->lowest = in.lowest != 0;
  return ImportText(in.metric, in.metric_size, "find.metric", &out->metric);
}

Status Find(treering_checkpoint** out, int64_t* out_step, treering_report** out_report,
            const treering_manager& manager, int64_t step, const treering_find_options* find,
            const treering_open_options* options) {
  static_assert(manager::kLatest == TREERING_LATEST && manager::kBest == TREERING_BEST);
  manager::FindOptions how;
  TR_RETURN_IF_ERROR(ImportFindOptions(find, &how));
  container::OpenOptions open;
  TR_RETURN_IF_ERROR(ImportOpenOptions(options, &open));
  auto checkpoint = std::make_unique<treering_checkpoint>();
  tree::Report skipped;
  auto found = manager.value->Find(step, how, open, &skipped);
  if (out_report != nullptr && (found.ok() || !skipped.empty())) {
    skipped.Finish();
    *out_report = NewReport(std::move(skipped));
  }
  if (!found.ok()) return found.status();
  checkpoint->value = std::move(found->container);
  if (out_step != nullptr) *out_step = found->record->step;
  *out = checkpoint.release();
  return {};
}

}  // namespace
}  // namespace treering::capi

using treering::base::Status;
using treering::capi::Guard;
namespace capi = treering::capi;

extern "C" {

treering_status treering_manager_open(treering_manager** out, const char* path, uint64_t path_size,
                                      const treering_manager_options* options,
                                      treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    std::string_view text;
    TR_RETURN_IF_ERROR(capi::ImportText(path, path_size, "path", &text));
    treering::manager::ManagerOptions in;
    TR_RETURN_IF_ERROR(capi::ImportManagerOptions(options, &in));
    auto manager = std::make_unique<treering_manager>();
    manager->directory = std::string(text);
    TR_ASSIGN_OR_RETURN(manager->value, treering::manager::Manager::Open(text, std::move(in)));
    *out = manager.release();
    return {};
  });
}

treering_status treering_manager_close(treering_manager* manager, int64_t timeout_ms,
                                       treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(manager);
    return manager->value->Close(timeout_ms);
  });
}

void treering_manager_free(treering_manager* manager) { delete manager; }

treering_status treering_manager_should_save(uint32_t* out, const treering_manager* manager,
                                             int64_t step, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = 0;
    TR_REQUIRE(manager);
    TR_ASSIGN_OR_RETURN(const bool wanted, manager->value->ShouldSave(step));
    *out = wanted ? 1 : 0;
    return {};
  });
}

void treering_manager_request_save(treering_manager* manager) {
  if (manager != nullptr) manager->value->RequestSave();
}

treering_status treering_manager_save(treering_saved* out_saved, treering_manager* manager,
                                      int64_t step, const treering_save_item* items,
                                      uint64_t element_size, uint64_t count,
                                      const treering_step_options* options, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_RETURN_IF_ERROR(capi::ClearSaved(out_saved));
    TR_REQUIRE(manager);
    std::vector<treering::manager::SaveItem> list;
    TR_RETURN_IF_ERROR(capi::ImportItems(items, element_size, count, &list));
    treering::manager::StepOptions in;
    TR_RETURN_IF_ERROR(capi::ImportStepOptions(options, &in));
    treering::manager::Saved saved;
    Status status = manager->value->Save(step, list, std::move(in), &saved);
    if (status.ok() || saved.record != nullptr) {
      TR_RETURN_IF_ERROR(capi::ExportSaved(saved, step, out_saved));
    }
    return status;
  });
}

treering_status treering_manager_save_async(treering_pending** out, treering_manager* manager,
                                            int64_t step, const treering_save_item* items,
                                            uint64_t element_size, uint64_t count,
                                            const treering_step_options* options,
                                            treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(manager);
    std::vector<treering::manager::SaveItem> list;
    TR_RETURN_IF_ERROR(capi::ImportItems(items, element_size, count, &list));
    treering::manager::StepOptions in;
    TR_RETURN_IF_ERROR(capi::ImportStepOptions(options, &in));
    auto pending = std::make_unique<treering_pending>();
    TR_ASSIGN_OR_RETURN(pending->value, manager->value->SaveAsync(step, list, std::move(in)));
    if (pending->value != nullptr) *out = pending.release();
    return {};
  });
}

treering_status treering_manager_wait(treering_manager* manager, int64_t timeout_ms,
                                      treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(manager);
    return manager->value->Wait(timeout_ms);
  });
}

treering_status treering_manager_checkpoint(treering_checkpoint** out, int64_t* out_step,
                                            treering_report** out_report,
                                            const treering_manager* manager, int64_t step,
                                            const treering_find_options* find,
                                            const treering_open_options* options,
                                            treering_error* error) {
  return Guard(error, [&]() -> Status {
    if (out_step != nullptr) *out_step = 0;
    if (out_report != nullptr) *out_report = nullptr;
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(manager);
    return capi::Find(out, out_step, out_report, *manager, step, find, options);
  });
}

treering_status treering_manager_delete(treering_manager* manager, int64_t step,
                                        treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(manager);
    return manager->value->Delete(step);
  });
}

treering_status treering_manager_reload(treering_manager* manager, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(manager);
    return manager->value->Reload();
  });
}

}  // extern "C"

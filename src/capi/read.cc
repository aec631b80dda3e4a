// SPDX-License-Identifier: Apache-2.0
// Reading data through the C ABI: boxes, views, whole items, restoring into a target, verifying.
//
// Requests and options are converted in one pass; what they mean, and every check of the file, is
// container/'s. A report is the one output that a failure may fill, where the header says so; all
// others are null or zero first, so that no path out of here can leave one of them behind.
#include <treering/treering.h>

#include <algorithm>

#include "capi/convert.h"
#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/import.h"
#include "capi/options.h"
#include "container/restore.h"
#include "container/verify.h"

namespace treering::capi {
namespace {

using base::Status;
using container::Container;

// "Up to n more" is asked for; what is beyond would only cost memory.
constexpr uint32_t kMostThreads = 256;

container::Progress ImportProgress(treering_progress progress, void* user) {
  if (progress == nullptr) return {};
  return [progress, user](uint64_t done, uint64_t total) { return progress(user, done, total); };
}

}  // namespace

Status ImportReadOptions(const treering_read_options* options, container::ReadOptions* out) {
  treering_read_options in;
  TR_RETURN_IF_ERROR(ImportStruct(options, "options", sizeof(in), &in));
  out->threads = std::min(in.threads, kMostThreads);
  out->progress = ImportProgress(in.progress, in.user);
  return {};
}

namespace {

Status ImportCast(int32_t cast, tree::Cast* out) {
  if (cast < TREERING_CAST_NEVER || cast > TREERING_CAST_ANY) {
    return InvalidArgument("cast " + std::to_string(cast) + " is not one of TREERING_CAST_*");
  }
  *out = static_cast<tree::Cast>(cast);
  return {};
}

// The box that origin and extent mean; the shape is asked only where one of them is left out.
Status ImportBox(const Container& container, uint32_t node, const uint64_t* origin,
                 const uint64_t* extent, tree::Box* out) {
  TR_ASSIGN_OR_RETURN(const container::NodeInfo info, container.Node(node));
  const bool array = info.value.kind == TREERING_ARRAY || info.value.kind == TREERING_PRNG_KEY;
  out->rank = array ? info.value.rank : 1;
  const tree::Dims shape = array ? info.shape : tree::Dims{info.value.size};
  for (uint32_t i = 0; i < out->rank; ++i) {
    out->origin[i] = origin == nullptr ? 0 : origin[i];
    out->extent[i] = extent != nullptr            ? extent[i]
                     : shape[i] >= out->origin[i] ? shape[i] - out->origin[i]
                                                  : 0;
  }
  return {};
}

Status ImportRead(const Container& container, const treering_read& in,
                  container::ReadRequest* out) {
  TR_RETURN_IF_ERROR(RequireId(container, in.node));
  out->node = static_cast<uint32_t>(in.node);
  out->whole = in.origin == nullptr && in.extent == nullptr;
  if (!out->whole)
    TR_RETURN_IF_ERROR(ImportBox(container, out->node, in.origin, in.extent, &out->box));
  out->dst = in.dst;
  out->dst_size = in.dst_size;
  out->strides = in.strides;
  if (in.dtype > 0xffff)
    return InvalidArgument("dtype " + std::to_string(in.dtype) + " is not known");
  out->dtype = tree::Dtype::FromNumber(in.dtype);
  out->one_per_byte = in.one_per_byte != 0;
  return ImportCast(in.cast, &out->cast);
}

Status ReadAll(const Container& container, const InputArray<treering_read>& in, uint64_t count,
               const container::ReadOptions& options) {
  std::vector<container::ReadRequest> requests(count);
  for (uint64_t i = 0; i < count; ++i) {
    treering_read read;
    if (!in.Get(i, &read)) return InputArray<treering_read>::UnknownField("reads", i);
    TR_RETURN_IF_ERROR(
        ImportRead(container, read, &requests[i]).WithContext("reads[" + std::to_string(i) + "]"));
  }
  return container.Read(requests.data(), count, options);
}

Status ImportRenames(const treering_restore_options& in, std::vector<container::Rename>* out) {
  const InputArray<treering_rename> renames(in.renames, in.rename_size, in.rename_count);
  TR_RETURN_IF_ERROR(renames.Check("options.renames", sizeof(treering_rename)));
  for (uint64_t i = 0; i < in.rename_count; ++i) {
    treering_rename r;
    if (!renames.Get(i, &r)) return InputArray<treering_rename>::UnknownField("options.renames", i);
    std::string_view target;
    std::string_view stored;
    TR_RETURN_IF_ERROR(ImportText(r.target, r.target_size, "renames.target", &target));
    TR_RETURN_IF_ERROR(ImportText(r.stored, r.stored_size, "renames.stored", &stored));
    out->push_back({std::string(target), std::string(stored)});
  }
  return {};
}

Status ImportRestoreOptions(const treering_restore_options* options,
                            container::RestoreOptions* out) {
  treering_restore_options in;
  TR_RETURN_IF_ERROR(ImportStruct(options, "options", sizeof(in), &in));
  TR_RETURN_IF_ERROR(ImportCast(in.cast, &out->cast));
  out->allow_missing = in.allow_missing != 0;
  out->allow_unexpected = in.allow_unexpected != 0;
  out->pad_or_truncate = in.pad_or_truncate != 0;
  out->ignore_kinds = in.ignore_kinds != 0;
  out->threads = std::min(in.threads, kMostThreads);
  if (in.filter != nullptr) out->filter = in.filter->value;
  out->progress = ImportProgress(in.progress, in.user);
  return ImportRenames(in, &out->renames);
}

}  // namespace
}  // namespace treering::capi

using treering::base::Status;
using treering::capi::Guard;
namespace capi = treering::capi;

extern "C" {

treering_status treering_checkpoint_read(const treering_checkpoint* checkpoint,
                                         const treering_read* reads, uint64_t element_size,
                                         uint64_t count, const treering_read_options* options,
                                         treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(checkpoint);
    const capi::InputArray<treering_read> in(reads, element_size, count);
    TR_RETURN_IF_ERROR(in.Check("reads", sizeof(treering_read)));
    treering::container::ReadOptions read_options;
    TR_RETURN_IF_ERROR(capi::ImportReadOptions(options, &read_options));
    return capi::ReadAll(*checkpoint->value, in, count, read_options);
  });
}

treering_status treering_checkpoint_view(treering_blob** out, const treering_checkpoint* checkpoint,
                                         uint64_t node, const uint64_t* origin,
                                         const uint64_t* extent, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(checkpoint);
    const auto& container = *checkpoint->value;
    TR_RETURN_IF_ERROR(capi::RequireId(container, node));
    const auto id = static_cast<uint32_t>(node);
    treering::tree::Box box;
    const bool whole = origin == nullptr && extent == nullptr;
    if (!whole) TR_RETURN_IF_ERROR(capi::ImportBox(container, id, origin, extent, &box));
    TR_ASSIGN_OR_RETURN(auto view, container.ViewOf(id, whole ? nullptr : &box));
    *out = capi::NewBlob(view.bytes, view.region);
    return {};
  });
}

treering_status treering_checkpoint_load(treering_tree** out, const treering_checkpoint* checkpoint,
                                         const char* item, uint64_t item_size,
                                         const treering_load_options* options,
                                         treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(checkpoint);
    std::string_view name;
    TR_RETURN_IF_ERROR(capi::ImportText(item, item_size, "item", &name));
    treering_load_options in;
    TR_RETURN_IF_ERROR(capi::ImportStruct(options, "options", sizeof(in), &in));
    treering::container::LoadOptions load;
    load.abstract = in.abstract != 0;
    load.views = in.views != 0;
    load.threads = std::min(in.threads, capi::kMostThreads);
    if (in.filter != nullptr) load.filter = in.filter->value;
    load.progress = capi::ImportProgress(in.progress, in.user);
    TR_ASSIGN_OR_RETURN(auto tree, checkpoint->value->Load(name, load));
    *out = capi::NewTree(std::move(tree));
    return {};
  });
}

treering_status treering_checkpoint_restore(treering_tree** out, treering_report** out_report,
                                            const treering_checkpoint* checkpoint, const char* item,
                                            uint64_t item_size, const treering_tree* target,
                                            const treering_restore_options* options,
                                            treering_error* error) {
  return Guard(error, [&]() -> Status {
    if (out_report != nullptr) *out_report = nullptr;
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(checkpoint);
    TR_REQUIRE(target);
    std::string_view name;
    TR_RETURN_IF_ERROR(capi::ImportText(item, item_size, "item", &name));
    treering::container::RestoreOptions restore;
    TR_RETURN_IF_ERROR(capi::ImportRestoreOptions(options, &restore));
    treering::tree::Report report;
    auto restored =
        treering::container::Restore(*checkpoint->value, name, target->value, restore, &report);
    const bool mismatch = treering::base::ClassOf(restored.status().code()) == TREERING_MISMATCH;
    std::unique_ptr<treering_tree> tree;
    if (restored.ok()) tree.reset(capi::NewTree(std::move(restored.value())));
    if (out_report != nullptr && (restored.ok() || mismatch))
      *out_report = capi::NewReport(std::move(report));
    *out = tree.release();
    return restored.status();
  });
}

treering_status treering_checkpoint_verify(treering_report** out_report,
                                           const treering_checkpoint* checkpoint,
                                           const treering_read_options* options,
                                           treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out_report);
    *out_report = nullptr;
    TR_REQUIRE(checkpoint);
    treering::container::ReadOptions read_options;
    TR_RETURN_IF_ERROR(capi::ImportReadOptions(options, &read_options));
    treering::tree::Report report;
    Status status = treering::container::Verify(*checkpoint->value, read_options, &report);
    if (status.ok() || !report.empty()) *out_report = capi::NewReport(std::move(report));
    return status;
  });
}

}  // extern "C"

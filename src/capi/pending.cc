// SPDX-License-Identifier: Apache-2.0
// One asynchronous save through the C ABI: state, waiting, cancelling, the descriptor.
//
// The handle shares the save with the manager's queue, so either may go first.
//
// Invariant: what a save came to stays in it, however often it is asked, and nothing here touches
// the manager, so that these functions may run on any thread and after it was freed.
#include "capi/convert.h"
#include "capi/guard.h"
#include "capi/import.h"
#include "capi/manager.h"

namespace treering::capi {
namespace {

using base::Status;
using manager::SaveState;

template <typename E>
constexpr bool Same(E ours, int32_t theirs) {
  return static_cast<int32_t>(ours) == theirs;
}
static_assert(Same(SaveState::kSnapshot, TREERING_STATE_SNAPSHOT) &&
              Same(SaveState::kWriting, TREERING_STATE_WRITING));
static_assert(Same(SaveState::kCommitted, TREERING_STATE_COMMITTED) &&
              Same(SaveState::kFailed, TREERING_STATE_FAILED));
static_assert(Same(SaveState::kCancelled, TREERING_STATE_CANCELLED) &&
              Same(SaveState::kUnknown, TREERING_STATE_UNKNOWN));

treering_save_state ExportState(const manager::Save& save) {
  treering_save_state out = {};
  out.state = static_cast<int32_t>(save.state());  // first: a final state's numbers do not change
  out.done = save.done();
  out.total = save.total();
  if (manager::IsFinal(static_cast<SaveState>(out.state))) {
    out.status = static_cast<treering_status>(save.status().code());
  }
  return out;
}

treering_saved ExportResult(const manager::SaveResult& result) {
  treering_saved out = {};
  out.step = result.step;
  out.number = result.number;
  std::memcpy(out.attempt, result.attempt.data(), sizeof(out.attempt));
  out.file_size = result.file_size;
  CopyDigest(result.content, out.content);
  out.retention_status = static_cast<treering_status>(result.retention.code());
  out.dropped = result.dropped;
  return out;
}

}  // namespace
}  // namespace treering::capi

using treering::base::Code;
using treering::base::Status;
using treering::capi::Guard;
namespace capi = treering::capi;

extern "C" {

treering_status treering_pending_state(treering_save_state* out, const treering_pending* pending,
                                       treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    constexpr uint64_t kFirstSize = sizeof(treering_save_state);
    TR_RETURN_IF_ERROR(capi::ExportStruct(treering_save_state{}, "out", kFirstSize, out));
    TR_REQUIRE(pending);
    return capi::ExportStruct(capi::ExportState(*pending->value), "out", kFirstSize, out);
  });
}

treering_status treering_pending_wait(treering_saved* out_saved, const treering_pending* pending,
                                      int64_t timeout_ms, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_RETURN_IF_ERROR(capi::ClearSaved(out_saved));
    TR_REQUIRE(pending);
    Status ended = pending->value->Wait(timeout_ms);
    if (out_saved != nullptr && (ended.ok() || ended.code() == Code::kOutcomeUnknown)) {
      TR_RETURN_IF_ERROR(capi::ExportStruct(capi::ExportResult(pending->value->result()),
                                            "out_saved", sizeof(treering_saved), out_saved));
    }
    return ended;
  });
}

void treering_pending_cancel(treering_pending* pending) {
  if (pending != nullptr) pending->value->Cancel();
}

treering_status treering_pending_descriptor(int32_t* out, treering_pending* pending,
                                            treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = 0;
    TR_REQUIRE(pending);
    TR_ASSIGN_OR_RETURN(*out, pending->value->Descriptor());
    return {};
  });
}

void treering_pending_free(treering_pending* pending) { delete pending; }

}  // extern "C"

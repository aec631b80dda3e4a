// SPDX-License-Identifier: Apache-2.0
// Deciding: whether to save a step, and which versions to drop.
//
// The policies are pure functions over lists; this is where the lists come from. Saves in flight
// count when a save is decided, since they will be versions, and never when versions are dropped,
// since they may fail (D10).
#include <algorithm>

#include "base/planted.h"
#include "manager/manager.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Result;
using base::Status;

std::vector<Candidate> CandidatesOf(const std::vector<Record>& versions) {
  std::vector<Candidate> candidates;
  candidates.reserve(versions.size());
  for (const Record& version : versions) {
    candidates.push_back({version->step, version->committed, &version->metrics});
  }
  return candidates;
}

}  // namespace

Result<bool> Manager::ShouldSave(int64_t step) const {
  TR_RETURN_IF_ERROR(store_->Usable());
  if (step < 0) {
    return Status(Code::kInvalidArgument,
                  "step " + std::to_string(step) + " is negative; steps begin at 0");
  }
  if (store_->read_only()) return false;
  const std::vector<Record> versions = Versions();
  std::vector<Candidate> candidates = CandidatesOf(versions);
  const auto before = [](const Candidate& a, const Candidate& b) { return a.step < b.step; };
  for (const auto& [running, started] : InFlight()) {
    const Candidate added{running, started, nullptr};
    candidates.insert(std::upper_bound(candidates.begin(), candidates.end(), added, before), added);
  }
  if (!candidates.empty() && candidates.back().step >= step) return false;
  SaveContext context;
  context.now = store_->Now();
  context.saving = saving();
  context.preempted = requested_.load();
  if (context.preempted && options_.save_policies.empty()) return true;
  return manager::ShouldSave(options_.save_policies, step, candidates, context);
}

Result<std::vector<PruneDecision>> Manager::Decide(const std::vector<PreservePolicy>& policies,
                                                   const std::vector<Record>& versions) const {
  TR_ASSIGN_OR_RETURN(
      const std::vector<Decision> decided,
      manager::Decide(policies, CandidatesOf(versions), store_->Now(), options_.drop_newest));
  std::vector<PruneDecision> decisions;
  decisions.reserve(decided.size());
  for (size_t i = 0; i < decided.size(); ++i) {
    decisions.push_back({versions[i]->step, decided[i].keep, decided[i].rule});
  }
  return decisions;
}

void Manager::Retain(int64_t saved, Saved* out) {
  if (options_.keep_policies.empty()) {  // all versions stay, but for those that were replaced
    out->retention = store_->RemoveObsolete();
    return;
  }
  std::vector<Record> versions = Versions();
  if (base::Planted(12) && store_->catalog()->Find(saved) == nullptr) {
    auto uncommitted = std::make_shared<format::ManifestRecord>();
    uncommitted->step = saved;
    versions.push_back(std::move(uncommitted));
  }
  auto decisions = Decide(options_.keep_policies, versions);
  std::vector<int64_t> dropped;
  if (decisions.ok()) {
    for (const PruneDecision& decision : *decisions) {
      // A version that was just acknowledged does not go at once, even if its step is a low one;
      // the next save decides about it like any other.
      const bool stays = decision.step == saved && !options_.drop_newest;
      if (!decision.keep && !stays) dropped.push_back(decision.step);
    }
  }
  out->retention = decisions.ok() ? Status() : std::move(decisions.status());
  if (out->retention.ok() && options_.verify_before_prune && !dropped.empty()) {
    std::shared_ptr<const container::Container> container;
    out->retention = CheckIntact(out->record, true, {}, &container);
    if (!out->retention.ok()) {
      out->retention =
          std::move(out->retention).WithContext("nothing was dropped: the new version");
    }
  }
  if (!out->retention.ok()) return;
  out->retention = store_->Remove(dropped);  // superseded records too
  const auto now = store_->catalog();
  for (const int64_t step : dropped) out->dropped += now->Find(step) == nullptr ? 1u : 0u;
}

Status Manager::WaitBefore(const char* done) {
  return queue_.Wait(-1).WithContext(std::string("nothing was ") + done +
                                     ", because an earlier save in the background failed");
}

Result<std::vector<PruneDecision>> Manager::Prune(const std::vector<PreservePolicy>* policies,
                                                  bool dry_run) {
  TR_RETURN_IF_ERROR(store_->Usable());
  const std::vector<PreservePolicy>& by = policies != nullptr ? *policies : options_.keep_policies;
  TR_RETURN_IF_ERROR(CheckPreservePolicies(by));
  if (!dry_run) TR_RETURN_IF_ERROR(WaitBefore("pruned"));
  TR_ASSIGN_OR_RETURN(std::vector<PruneDecision> decisions, Decide(by, Versions()));
  if (dry_run) return decisions;
  std::vector<int64_t> dropped;
  for (const PruneDecision& decision : decisions) {
    if (!decision.keep) dropped.push_back(decision.step);
  }
  TR_RETURN_IF_ERROR(store_->Remove(dropped));
  return decisions;
}

Status Manager::Delete(int64_t step) {
  TR_RETURN_IF_ERROR(store_->Usable());
  TR_RETURN_IF_ERROR(WaitBefore("deleted"));
  return store_->Remove({step});
}

Status Manager::Reload() {
  TR_RETURN_IF_ERROR(store_->Usable());
  return store_->Reload();
}

}  // namespace treering::manager

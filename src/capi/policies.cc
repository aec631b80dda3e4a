// SPDX-License-Identifier: Apache-2.0
// Policies and metrics between the C ABI's form and the manager's.
//
// What a policy's numbers must be is checked by the manager, which names the policy by its
// position; here only what has no form there is refused. Lists are copied, since a manager outlives
// the call that made it. A callback is shown the versions in C's form, made for its call: one array
// of candidates and one of all their metrics, so that 10,000 versions cost two allocations.
#include "capi/guard.h"
#include "capi/import.h"
#include "capi/manager.h"

namespace treering::capi {

using base::Status;

static_assert(TREERING_NO_TIME == format::kNoTime);

std::vector<treering_metric> ExportMetrics(const std::vector<format::Metric>& in) {
  std::vector<treering_metric> out;
  out.reserve(in.size());
  for (const format::Metric& metric : in) {
    out.push_back({metric.name.data(), metric.name.size(), metric.value});
  }
  return out;
}

Status ImportMetrics(const treering_metric* metrics, uint64_t element_size, uint64_t count,
                     std::vector<format::Metric>* out) {
  const InputArray<treering_metric> in(metrics, element_size, count);
  TR_RETURN_IF_ERROR(in.Check("options.metrics", sizeof(treering_metric)));
  for (uint64_t i = 0; i < count; ++i) {
    treering_metric metric;
    if (!in.Get(i, &metric)) return InputArray<treering_metric>::UnknownField("options.metrics", i);
    std::string_view name;
    TR_RETURN_IF_ERROR(ImportText(metric.name, metric.name_size, "metrics.name", &name));
    out->push_back({std::string(name), metric.value});
  }
  return {};
}

namespace {

// The versions as a callback sees them; borrows from `versions`.
class ShownCandidates {
 public:
  ShownCandidates(const manager::Candidate* versions, uint64_t count) {
    uint64_t metrics = 0;
    for (uint64_t i = 0; i < count; ++i) {
      if (versions[i].metrics != nullptr) metrics += versions[i].metrics->size();
    }
    metrics_.reserve(metrics);  // pointers into it stay
    candidates_.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      treering_candidate out = {versions[i].step, versions[i].time, nullptr, 0};
      if (versions[i].metrics != nullptr && !versions[i].metrics->empty()) {
        out.metrics = metrics_.data() + metrics_.size();
        out.metric_count = versions[i].metrics->size();
        for (const format::Metric& metric : *versions[i].metrics) {
          metrics_.push_back({metric.name.data(), metric.name.size(), metric.value});
        }
      }
      candidates_.push_back(out);
    }
  }

  const treering_candidate* data() const { return candidates_.data(); }
  uint64_t size() const { return candidates_.size(); }

 private:
  std::vector<treering_metric> metrics_;
  std::vector<treering_candidate> candidates_;
};

std::string At(const char* list, uint64_t position, const char* field) {
  return std::string(list) + "[" + std::to_string(position) + "]." + field;
}

Status ImportSteps(const int64_t* steps, uint64_t count, const std::string& name,
                   std::vector<int64_t>* out) {
  if (count != 0 && steps == nullptr) return NullArgument(name.c_str());
  if (count != 0) out->assign(steps, steps + count);
  return {};
}

Status CheckKind(int32_t kind, int32_t last, const std::string& name) {
  if (kind >= 1 && kind <= last) return {};
  return InvalidArgument(name + " " + std::to_string(kind) + " is not a policy from 1 to " +
                         std::to_string(last));
}

Status ImportSavePolicy(const treering_save_policy& in, uint64_t position,
                        manager::SavePolicy* out) {
  constexpr const char* kList = "options.save_policies";
  TR_RETURN_IF_ERROR(CheckKind(in.kind, TREERING_SAVE_CALLBACK, At(kList, position, "kind")));
  static_assert(static_cast<int32_t>(manager::SavePolicy::Kind::kCallback) ==
                TREERING_SAVE_CALLBACK);
  out->kind = static_cast<manager::SavePolicy::Kind>(in.kind);
  out->interval = in.interval;
  TR_RETURN_IF_ERROR(
      ImportSteps(in.steps, in.step_count, At(kList, position, "steps"), &out->steps));
  if (in.kind != TREERING_SAVE_CALLBACK) return {};
  if (in.decide == nullptr) return NullArgument(At(kList, position, "decide").c_str());
  out->decide = [decide = in.decide, user = in.user](
                    int64_t step, const manager::Candidate* versions, uint64_t count) {
    const ShownCandidates shown(versions, count);
    return decide(user, step, shown.data(), shown.size()) != 0;
  };
  return {};
}

void SetPreserve(const treering_keep_policy& in, manager::PreservePolicy* out) {
  out->preserve = [preserve = in.preserve, user = in.user](
                      const manager::Candidate* versions, uint64_t count, uint8_t* keep) -> Status {
    const ShownCandidates shown(versions, count);
    const int32_t answer = preserve(user, shown.data(), shown.size(), keep);
    if (answer == 0) return {};
    return Status(base::Code::kCancelled, "the preserve callback answered " +
                                              std::to_string(answer) + "; nothing was dropped");
  };
}

Status ImportKeepPolicy(const treering_keep_policy& in, const char* list, uint64_t position,
                        manager::PreservePolicy* out) {
  TR_RETURN_IF_ERROR(CheckKind(in.kind, TREERING_KEEP_CALLBACK, At(list, position, "kind")));
  static_assert(static_cast<int32_t>(manager::PreservePolicy::Kind::kCallback) ==
                    TREERING_KEEP_CALLBACK &&
                static_cast<int32_t>(manager::PreservePolicy::Kind::kBest) == TREERING_KEEP_BEST);
  out->kind = static_cast<manager::PreservePolicy::Kind>(in.kind);
  out->n = in.count;
  out->max_to_keep = in.count;
  out->interval = in.interval;
  out->exact = in.greedy == 0;
  out->lowest = in.lowest != 0;
  out->keep_without_metrics = in.drop_without_metrics == 0;
  out->allow_zero = in.allow_zero != 0;
  TR_RETURN_IF_ERROR(
      ImportSteps(in.steps, in.step_count, At(list, position, "steps"), &out->steps));
  std::string_view metric;
  TR_RETURN_IF_ERROR(
      ImportText(in.metric, in.metric_size, At(list, position, "metric").c_str(), &metric));
  out->metric = std::string(metric);
  if (in.kind != TREERING_KEEP_CALLBACK) return {};
  if (in.preserve == nullptr) return NullArgument(At(list, position, "preserve").c_str());
  SetPreserve(in, out);
  return {};
}

}  // namespace

Status ImportSavePolicies(const treering_save_policy* policies, uint64_t element_size,
                          uint64_t count, std::vector<manager::SavePolicy>* out) {
  const InputArray<treering_save_policy> in(policies, element_size, count);
  TR_RETURN_IF_ERROR(in.Check("options.save_policies", sizeof(treering_save_policy)));
  for (uint64_t i = 0; i < count; ++i) {
    treering_save_policy policy;
    if (!in.Get(i, &policy)) {
      return InputArray<treering_save_policy>::UnknownField("options.save_policies", i);
    }
    TR_RETURN_IF_ERROR(ImportSavePolicy(policy, i, &out->emplace_back()));
  }
  return {};
}

Status ImportKeepPolicies(const treering_keep_policy* policies, uint64_t element_size,
                          uint64_t count, const char* name,
                          std::vector<manager::PreservePolicy>* out) {
  const InputArray<treering_keep_policy> in(policies, element_size, count);
  TR_RETURN_IF_ERROR(in.Check(name, sizeof(treering_keep_policy)));
  for (uint64_t i = 0; i < count; ++i) {
    treering_keep_policy policy;
    if (!in.Get(i, &policy)) return InputArray<treering_keep_policy>::UnknownField(name, i);
    TR_RETURN_IF_ERROR(ImportKeepPolicy(policy, name, i, &out->emplace_back()));
  }
  return {};
}

}  // namespace treering::capi

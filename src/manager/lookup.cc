// SPDX-License-Identifier: Apache-2.0
// Finding a version that is intact, and saying what is wrong with those that are not.
//
// A record says which file there must be, how long, and with which digest; the container's trailer
// says the same of itself. Comparing the two needs no data to be read, and catches a file that is
// missing, cut off, or another one. Whoever wants every byte checked asks for it.
//
// "The latest" goes down from the greatest step and reports what it passes over (D1): a damaged
// newest version must neither be handed out nor keep a run from resuming.
#include <algorithm>
#include <cmath>

#include "container/verify.h"
#include "format/names.h"
#include "manager/manager.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Result;
using base::Status;

std::string StepName(const format::ManifestRecord& record) {
  return "step " + std::to_string(record.step);
}

tree::Finding Note(tree::FindingKind kind, std::string path, const Status& why) {
  tree::Finding finding;
  finding.kind = kind;
  finding.code = why.code();
  finding.path = std::move(path);
  finding.found = std::string(why.message());
  finding.offset = why.offset();
  return finding;
}

tree::Finding Note(tree::FindingKind kind, std::string path, std::string what) {
  tree::Finding finding;
  finding.kind = kind;
  finding.path = std::move(path);
  finding.found = std::move(what);
  return finding;
}

Status CompareDigest(const container::Container& container, const format::ManifestFile& file) {
  if (file.algorithm != format::kDigestXxh3) {
    return Status(Code::kUnsupportedFeature,
                  "the record of '" + container.name() + "' has a digest of kind " +
                      std::to_string(file.algorithm) + ", which this version does not know");
  }
  const codec::Hash128& found = container.index().trailer().file;
  if (found.low == base::LoadLe64(file.digest.data()) &&
      found.high == base::LoadLe64(file.digest.data() + 8)) {
    return {};
  }
  return Status(Code::kCorrupt, "'" + container.name() +
                                    "' is a container, but not the one that was committed: its "
                                    "digest differs; put the right file there");
}

const double* MetricOf(const format::ManifestRecord& record, std::string_view name) {
  for (const format::Metric& metric : record.metrics) {
    if (metric.name == name && !std::isnan(metric.value)) return &metric.value;
  }
  return nullptr;
}

// The best first; of equal ones the later step.
std::vector<Record> Ranked(const std::vector<Record>& versions, std::string_view metric,
                           bool lowest) {
  std::vector<std::pair<double, Record>> ranked;
  for (const Record& version : versions) {
    const double* value = MetricOf(*version, metric);
    if (value != nullptr) ranked.emplace_back(lowest ? -*value : *value, version);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second->step > b.second->step);
  });
  std::vector<Record> records;
  records.reserve(ranked.size());
  for (auto& [value, version] : ranked) records.push_back(std::move(version));
  return records;
}

}  // namespace

container::Resolve Manager::ResolveFor(Record record) const {
  return [store = store_, record = std::move(record)](std::string_view folder,
                                                      std::string_view name, uint64_t) {
    return store->OpenFile(*record, folder, name);
  };
}

Status Manager::CheckIntact(const Record& record, bool full, container::OpenOptions options,
                            std::shared_ptr<const container::Container>* out) const {
  const format::ManifestFile& file = record->files.front();
  TR_ASSIGN_OR_RETURN(auto opened, store_->OpenFile(*record, {}, file.name));
  if (opened->size() != file.size) {
    return Status(Code::kCorruptTruncated, "'" + opened->name() + "' has " +
                                               std::to_string(opened->size()) + " bytes, not the " +
                                               std::to_string(file.size) +
                                               " that were committed; restore an intact copy");
  }
  if (!options.resolve) options.resolve = ResolveFor(record);
  TR_ASSIGN_OR_RETURN(auto container,
                      container::Container::Open(std::move(opened), std::move(options)));
  TR_RETURN_IF_ERROR(CompareDigest(*container, file));
  if (full) {
    tree::Report report;
    TR_RETURN_IF_ERROR(container::Verify(*container, {}, &report));
  }
  *out = std::move(container);
  return {};
}

Result<std::vector<Record>> Manager::CandidatesFor(int64_t step, const FindOptions& find) const {
  std::vector<Record> versions = Versions();
  if (step >= 0) {
    Record record = store_->catalog()->Find(step);
    if (record == nullptr) return store_->NoSuchStep(step);
    return std::vector<Record>{std::move(record)};
  }
  const auto catalog = store_->catalog();
  if (versions.empty() && !catalog->bad().empty()) {
    return Status(
        Code::kCorrupt,
        "'" + name() + "' has no usable record, but " + std::to_string(catalog->bad().size()) +
            " that are not, the first: " + std::string(catalog->bad().front().why.message()));
  }
  if (versions.empty()) {
    TR_RETURN_IF_ERROR(store_->RecordsLost());
    return Status(Code::kNotFound, "'" + name() + "' has no versions yet; save one first");
  }
  if (step == kLatest) {
    std::reverse(versions.begin(), versions.end());
    return versions;
  }
  if (step != kBest) {
    return Status(Code::kInvalidArgument, "step " + std::to_string(step) +
                                              " is negative; give a step, the latest or the best");
  }
  std::string metric = find.metric;
  bool lowest = find.lowest;
  for (auto at = options_.keep_policies.begin();
       metric.empty() && at != options_.keep_policies.end(); ++at) {
    if (at->kind != PreservePolicy::Kind::kBest) continue;
    metric = at->metric;
    lowest = at->lowest;
  }
  if (metric.empty()) {
    return Status(Code::kInvalidArgument, "the best by which metric? give its name");
  }
  std::vector<Record> ranked = Ranked(versions, metric, lowest);
  if (!ranked.empty()) return ranked;
  return Status(Code::kNotFound, "no version of '" + name() + "' has a metric '" + metric + "'");
}

// A record that cannot be read may be that of a later, or better, version.
Status Manager::TellBadRecords(int64_t step, bool strict, tree::Report* skipped) const {
  const auto catalog = store_->catalog();
  if (step >= 0) return {};
  for (const BadRecord& bad : catalog->bad()) {
    if (strict) return bad.why;
    if (skipped != nullptr) {
      skipped->Add(Note(tree::FindingKind::kBadRecord, "manifests/" + bad.name, bad.why));
    }
  }
  return {};
}

Result<Found> Manager::Find(int64_t step, const FindOptions& find,
                            const container::OpenOptions& options, tree::Report* skipped) const {
  TR_RETURN_IF_ERROR(store_->Usable());
  Status last;
  // A reader that is behind its writer may know only versions that are gone: then it looks again.
  for (int round = 0; round < 3; ++round) {
    TR_ASSIGN_OR_RETURN(const std::vector<Record> candidates, CandidatesFor(step, find));
    bool gone = false;
    TR_RETURN_IF_ERROR(TellBadRecords(step, find.strict, skipped));
    for (const Record& record : candidates) {
      Found found{nullptr, record};
      Status intact = CheckIntact(record, find.full, options, &found.container);
      if (intact.ok()) return found;
      gone = gone || intact.code() == Code::kNotFoundGone;
      if (gone && step < 0 && round < 2) break;  // there may be a later or better one by now
      if (step >= 0 || (find.strict && !gone)) {
        return std::move(intact).WithContext(StepName(*record));
      }
      if (skipped != nullptr && intact.code() != Code::kNotFoundGone) {
        skipped->Add(Note(tree::FindingKind::kSkippedVersion, StepName(*record), intact));
      }
      last = std::move(intact);
    }
    if (!gone) break;
    if (skipped != nullptr) *skipped = tree::Report();
    TR_RETURN_IF_ERROR(store_->Reload());
  }
  return std::move(last).WithContext("no version of '" + name() +
                                     "' is intact; the last looked at");
}

Status Manager::Verify(bool full, const container::ReadOptions& options,
                       tree::Report* report) const {
  TR_RETURN_IF_ERROR(store_->Usable());
  Status worst;
  const auto catalog = store_->catalog();
  for (const BadRecord& bad : catalog->bad()) {
    report->Add(Note(tree::FindingKind::kBadRecord, "manifests/" + bad.name, bad.why));
    if (worst.ok()) worst = bad.why;
  }
  for (const Record& record : catalog->versions()) {
    std::shared_ptr<const container::Container> container;
    Status intact = CheckIntact(record, false, {}, &container);
    if (intact.code() == Code::kNotFoundGone) continue;
    if (!intact.ok()) {
      report->Add(Note(tree::FindingKind::kUnreadable, StepName(*record), intact));
    } else if (full) {
      tree::Report inside;
      intact = container::Verify(*container, options, &inside);
      for (tree::Finding finding : inside.findings()) {
        finding.path = StepName(*record) + ": " + finding.path;
        report->Add(std::move(finding));
      }
    }
    if (worst.ok() && !intact.ok()) worst = std::move(intact).WithContext(StepName(*record));
  }
  TR_ASSIGN_OR_RETURN(const std::vector<Leftover> leftovers, store_->Sweep(false));
  for (const Leftover& leftover : leftovers) {
    report->Add(Note(leftover.ours ? tree::FindingKind::kLeftover : tree::FindingKind::kUnknownName,
                     leftover.name, leftover.why));
  }
  return worst;
}

}  // namespace treering::manager

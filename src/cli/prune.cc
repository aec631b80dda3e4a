// SPDX-License-Identifier: Apache-2.0
// treering prune, rm and rebuild: what changes a manager's directory.
//
// A dry run looks through a read-only manager, beside a training run if need be; everything else
// takes the directory's lock, and says who holds it where it cannot. Steps are removed by number
// only, and all of them are looked up before the first is removed.
#include <algorithm>

#include "cli/checkpoint.h"
#include "cli/json.h"
#include "cli/run.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace treering::cli {

namespace {

std::vector<treering_keep_policy> Policies(const Options& options) {
  std::vector<treering_keep_policy> policies;
  const auto add = [&policies](int32_t kind) {
    policies.emplace_back();
    policies.back().kind = kind;
    return &policies.back();
  };
  if (options.keep_latest != 0) add(TREERING_KEEP_LATEST)->count = options.keep_latest;
  if (options.keep_every != 0) {
    add(TREERING_KEEP_EVERY_STEPS)->interval = static_cast<int64_t>(options.keep_every);
  }
  if (options.keep_best != 0) {
    treering_keep_policy* best = add(TREERING_KEEP_BEST);
    best->count = options.keep_best;
    best->metric = options.metric.data();
    best->metric_size = options.metric.size();
    best->lowest = options.lowest ? 1 : 0;
  }
  return policies;
}

void PrintDecisions(const std::vector<treering_decision>& decisions, const Options& options,
                    Output* out) {
  uint64_t kept = 0;
  size_t width = 0;
  for (const treering_decision& d : decisions) {
    kept += d.keep;
    width = std::max(width, std::to_string(d.step).size());
  }
  for (const treering_decision& d : decisions) {
    const std::string step = std::to_string(d.step);
    out->Line(std::string(d.keep != 0 ? out->Good("keep") : out->Bad("drop")) + "  " +
              std::string(width - step.size(), ' ') + step + "  " +
              Printable(std::string_view(d.rule, d.rule_size)));
    if (out->failed()) return;
  }
  const uint64_t dropped = decisions.size() - kept;
  out->Line(out->Bold((options.dry_run ? "would keep " : "kept ") + std::to_string(kept) +
                      (options.dry_run ? " and drop " : ", dropped ") + std::to_string(dropped) +
                      " of " + Plural(decisions.size(), "version", "versions")));
}

void PrintDecisionsJson(const std::vector<treering_decision>& decisions, const Options& options,
                        Output* out) {
  Json json(out);
  uint64_t kept = 0;
  json.BeginObject();
  json.Member("directory", options.targets[0]);
  json.Key("dry_run");
  json.Bool(options.dry_run);
  json.Key("decisions");
  json.BeginArray();
  for (const treering_decision& d : decisions) {
    kept += d.keep;
    json.BeginObject();
    json.Key("step");
    json.Int(d.step);
    json.Key("keep");
    json.Bool(d.keep != 0);
    json.Member("rule", std::string_view(d.rule, d.rule_size));
    json.End();
  }
  json.End();
  json.Member("kept", kept);
  json.Member("dropped", decisions.size() - kept);
  json.End();
}

// The directory and the steps that the words of rm mean: DIR STEP… or DIR@STEP….
Outcome Steps(const std::vector<std::string>& words, std::string* directory,
              std::vector<int64_t>* steps) {
  Address address = ParseAddress(words[0]);
  const bool addressed = !address.version.empty() && !address.path_given;
  *directory = addressed ? address.file : words[0];
  for (size_t i = addressed ? 0 : 1; i < words.size(); ++i) {
    std::string text = words[i];
    if (addressed) {
      address = ParseAddress(text);
      if (address.version.empty() || address.path_given || address.file != *directory) {
        return Usage("rm takes versions of one directory, like " + *directory + "@1200; '" + text +
                     "' is none");
      }
      text = address.version;
    }
    int64_t step = 0;
    if (!ParseVersion(text, &step) || step < 0) {
      return Usage("rm takes the numbers of steps, not '" + text + "'");
    }
    if (std::find(steps->begin(), steps->end(), step) == steps->end()) steps->push_back(step);
  }
  if (steps->empty()) return Usage("rm needs a step; see treering log " + *directory);
  return {};
}

Outcome CheckThere(const Run& run, const std::vector<int64_t>& steps) {
  std::vector<treering_version_info> versions;
  Outcome outcome = run.Versions(&versions);
  if (!outcome.ok()) return outcome;
  for (const int64_t step : steps) {
    const bool there =
        std::any_of(versions.begin(), versions.end(),
                    [step](const treering_version_info& version) { return version.step == step; });
    if (there) continue;
    return {kDifferent, "'" + run.directory() + "' has no step " + std::to_string(step) +
                            "; nothing was removed; see treering log"};
  }
  return {};
}

void PrintRemoved(const std::string& directory, const std::vector<int64_t>& steps,
                  const Options& options, Output* out) {
  if (!options.json) {
    for (const int64_t step : steps) {
      out->Line(Printable(directory) + ": removed step " + std::to_string(step));
    }
    return;
  }
  Json json(out);
  json.BeginObject();
  json.Member("directory", directory);
  json.Key("removed");
  json.BeginArray();
  for (const int64_t step : steps) json.Int(step);
  json.End();
  json.End();
}

void PrintRebuilt(const std::string& directory, uint64_t count, const treering_report* report,
                  const Options& options, Output* out) {
  Json json(out);
  if (options.json) {
    json.BeginObject();
    json.Member("directory", directory);
    json.Member("rebuilt", count);
    json.Key("not_taken");
    json.BeginArray();
  }
  for (uint64_t i = 0; i < treering_report_count(report); ++i) {
    treering_finding finding;
    uint64_t n = 0;
    if (treering_report_findings(report, i, &finding, sizeof(finding), 1, &n, nullptr) != 0) break;
    const std::string_view path(finding.path, finding.path_size);
    const std::string_view why(finding.found, finding.found_size);
    if (options.json) {
      json.BeginObject();
      json.Member("path", path);
      json.Member("why", why);
      json.End();
    } else {
      out->Line(out->Bad("NOT TAKEN") + "  " + Printable(path) + "  " + Printable(why));
    }
  }
  if (options.json) {
    json.End();
    json.End();
  } else {
    out->Line(Printable(directory) + ": " + Plural(count, "version", "versions") + " came back");
  }
}

}  // namespace

Outcome RunPrune(const Options& options, Output* out) {
  const std::vector<treering_keep_policy> policies = Policies(options);
  if (policies.empty()) {
    return Usage("prune needs a rule: --keep-latest, --keep-every or --keep-best");
  }
  if ((options.keep_best != 0) == options.metric.empty()) {
    return Usage("--keep-best and --metric go together");
  }
  Run run;
  treering_error error = NewError();
  const int32_t mode = options.dry_run ? TREERING_READ_ONLY : TREERING_OPEN_EXISTING;
  Outcome outcome = FromError(run.Open(options.targets[0], mode, &error), error);
  if (!outcome.ok()) return outcome;
  treering_store_info info = {};
  info.struct_size = sizeof(info);
  outcome = FromError(treering_manager_info(&info, run.get(), &error), error);
  if (!outcome.ok()) return outcome;
  std::vector<treering_decision> decisions(info.version_count);
  uint64_t count = 0;
  outcome =
      FromError(treering_manager_prune(run.get(), policies.data(), sizeof(policies[0]),
                                       policies.size(), options.dry_run ? 1 : 0, decisions.data(),
                                       sizeof(decisions[0]), decisions.size(), &count, &error),
                error);
  if (!outcome.ok()) return outcome;
  decisions.resize(count);
  if (options.json) {
    PrintDecisionsJson(decisions, options, out);
  } else {
    PrintDecisions(decisions, options, out);
  }
  return {};
}

Outcome RunRm(const Options& options, Output* out) {
  std::string directory;
  std::vector<int64_t> steps;
  Outcome outcome = Steps(options.targets, &directory, &steps);
  if (!outcome.ok()) return outcome;
  Run run;
  treering_error error = NewError();
  outcome = FromError(run.Open(directory, TREERING_OPEN_EXISTING, &error), error);
  if (outcome.ok()) outcome = CheckThere(run, steps);
  if (!outcome.ok()) return outcome;
  std::vector<int64_t> removed;
  for (const int64_t step : steps) {
    outcome = FromError(treering_manager_delete(run.get(), step, &error), error);
    if (!outcome.ok()) break;
    removed.push_back(step);
  }
  PrintRemoved(directory, removed, options, out);
  return outcome;
}

Outcome RunRebuild(const Options& options, Output* out) {
  Run run;
  treering_error error = NewError();
  Outcome outcome =
      FromError(run.Open(options.targets[0], TREERING_OPEN_EXISTING, &error, true), error);
  if (!outcome.ok()) return outcome;
  uint64_t count = 0;
  treering_report* report = nullptr;
  outcome = FromError(treering_manager_rebuild(&count, &report, run.get(), &error), error);
  const Report owner(report);
  PrintRebuilt(options.targets[0], count, report, options, out);
  if (outcome.ok() && treering_report_count(report) != 0) outcome.code = kDifferent;
  return outcome;
}

}  // namespace treering::cli

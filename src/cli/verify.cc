// SPDX-License-Identifier: Apache-2.0
// treering verify: whether every byte is as it was written, and which leaves are not.
//
// The library checks; here its findings become lines.
//
// A manager's directory is checked whole: every version, the records, and what lies there besides,
// which is told and is no damage.
#include <chrono>
#include <cstdio>

#include "cli/checkpoint.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace treering::cli {

namespace {

constexpr uint64_t kFindingsAtOnce = 256;

struct Found {
  int32_t kind = 0;
  treering_status status = 0;
  std::string path;
  std::string expected;
  std::string found;
  uint64_t offset = TREERING_NO_OFFSET;
};

struct Verified {
  std::string file;
  bool described = false;  // bytes are known, and of a container its leaves
  bool run = false;        // a manager's directory
  uint64_t versions = 0;
  treering_status status = TREERING_OK;
  Outcome outcome;
  uint64_t bytes = 0;
  uint64_t leaves = 0;
  uint64_t affected = 0;  // leaves with a finding
  double seconds = 0;
  bool harm = false;  // a finding that is more than a leftover
  std::vector<Found> findings;
};

Outcome TakeFindings(const treering_report* report, std::vector<Found>* out) {
  for (;;) {
    treering_finding batch[kFindingsAtOnce];
    treering_error error = NewError();
    uint64_t count = 0;
    const treering_status status = treering_report_findings(
        report, out->size(), batch, sizeof(batch[0]), kFindingsAtOnce, &count, &error);
    if (status != TREERING_OK) return FromError(status, error);
    for (uint64_t i = 0; i < count; ++i) {
      const treering_finding& f = batch[i];
      out->push_back({f.kind, f.status, std::string(f.path, f.path_size),
                      std::string(f.expected, f.expected_size), std::string(f.found, f.found_size),
                      f.offset});
    }
    if (count < kFindingsAtOnce) return {};
  }
}

const char* FindingName(int32_t kind) {
  switch (kind) {
    case TREERING_FINDING_DAMAGED:
      return "damaged";
    case TREERING_FINDING_UNREADABLE:
      return "unreadable";
    case TREERING_FINDING_BAD_RECORD:
      return "record";
    case TREERING_FINDING_LEFTOVER:
      return "leftover";
    case TREERING_FINDING_UNKNOWN_NAME:
      return "unknown";
    default:
      return "invalid";
  }
}

// Not ours to keep well: told, and no damage.
bool IsHarmless(int32_t kind) {
  return kind == TREERING_FINDING_LEFTOVER || kind == TREERING_FINDING_UNKNOWN_NAME;
}

// `verify` is one of the library's functions, with its object.
template <typename Function>
void Check(const Options& options, Function verify, Verified* v) {
  treering_error error = NewError();
  treering_report* report = nullptr;
  const auto start = std::chrono::steady_clock::now();
  {
    ProgressBar bar;
    treering_read_options read = {};
    read.struct_size = sizeof(read);
    read.threads = options.threads;
    if (bar.shown()) {
      read.progress = &ProgressBar::Callback;
      read.user = &bar;
    }
    v->status = verify(&report, &read, &error);
  }
  v->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const Report owner(report);
  v->outcome = FromError(v->status, error);
  if (report == nullptr) return;
  const Outcome taken = TakeFindings(report, &v->findings);
  if (!taken.ok()) v->outcome = taken;
  for (const Found& f : v->findings) {
    v->harm = v->harm || !IsHarmless(f.kind);
    const bool leaf = f.kind == TREERING_FINDING_DAMAGED || f.kind == TREERING_FINDING_UNREADABLE;
    if (leaf) ++v->affected;
  }
  // A finding is an answer, whatever its status: also a part that is missing or of a newer format.
  if (v->harm && taken.ok()) v->outcome.code = kDifferent;
}

void VerifyRun(const std::string& directory, const Options& options, Verified* v) {
  Run run;
  treering_error error = NewError();
  v->run = true;
  v->status = run.Open(directory, TREERING_READ_ONLY, &error);
  v->outcome = FromError(v->status, error);
  if (!v->outcome.ok()) return;
  treering_store_info info = {};
  info.struct_size = sizeof(info);
  if (treering_manager_info(&info, run.get(), nullptr) == TREERING_OK) {
    v->bytes = info.size;
    v->versions = info.version_count;
    v->described = true;
  }
  const auto verify = [&run](treering_report** out, const treering_read_options* read,
                             treering_error* why) {
    return treering_manager_verify(out, run.get(), 1, read, why);
  };
  Check(options, verify, v);
}

Verified Verify(const std::string& word, const Options& options) {
  Verified v;
  v.file = word;
  const Address address = ParseWhole(word);
  if (address.version.empty() && IsRun(address.file)) {
    VerifyRun(word, options, &v);
    return v;
  }
  treering_error error = NewError();
  OpenedCheckpoint opened;
  v.status = OpenAddress(address, options, &opened, &error);
  const std::unique_ptr<treering_checkpoint, CheckpointFree> checkpoint(opened.handle);
  v.outcome = FromError(v.status, error);
  if (!v.outcome.ok()) return v;
  v.file = opened.shown;
  treering_info info = {};
  info.struct_size = sizeof(info);
  if (treering_checkpoint_info(&info, checkpoint.get(), nullptr) == TREERING_OK) {
    v.bytes = info.file_size;
    v.leaves = info.leaf_count;
    v.described = true;
  }
  const auto verify = [&checkpoint](treering_report** out, const treering_read_options* read,
                                    treering_error* why) {
    return treering_checkpoint_verify(out, checkpoint.get(), read, why);
  };
  Check(options, verify, &v);
  return v;
}

void PrintFindings(const Verified& v, Output* out) {
  for (const Found& f : v.findings) {
    std::string name(FindingName(f.kind));
    for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
    std::string line = IsHarmless(f.kind) ? name : out->Bad(name);
    line += "  " + (f.path.empty() ? "(root)" : Printable(f.path));
    if (f.offset != TREERING_NO_OFFSET) line += "  at byte " + std::to_string(f.offset);
    if (!f.expected.empty()) line += "  expected " + Printable(f.expected);
    const bool told = IsHarmless(f.kind) || f.kind == TREERING_FINDING_BAD_RECORD;
    if (!f.found.empty()) line += (told ? "  " : "  found ") + Printable(f.found);
    out->Line(line);
  }
}

void PrintDamaged(const Verified& v, const Options& options, Output* out) {
  std::string line = Printable(v.file) + ": " + out->Bad("DAMAGED") + ", " +
                     Plural(v.findings.size(), "finding", "findings");
  if (v.leaves > v.affected && v.affected != 0) {
    line += "; intact " + std::to_string(v.leaves - v.affected) + " of " +
            Plural(v.leaves, "leaf", "leaves");
  }
  if (v.described) line += " (" + Size(v.bytes, options.exact_bytes) + ")";
  out->Line(line);
}

void PrintText(const Verified& v, const Options& options, Output* out) {
  PrintFindings(v, out);
  if (v.harm) return PrintDamaged(v, options, out);
  if (!v.outcome.ok()) return;
  char speed[48];
  std::snprintf(speed, sizeof(speed), "%.2f GB/s",
                v.seconds > 0 ? static_cast<double>(v.bytes) / v.seconds / 1e9 : 0);
  out->Line(
      Printable(v.file) + ": " + out->Good("OK") + "  " + Size(v.bytes, options.exact_bytes) +
      (options.exact_bytes ? " bytes" : "") + "  " +
      (v.run ? Plural(v.versions, "version", "versions") : Plural(v.leaves, "leaf", "leaves")) +
      "  " + speed);
}

void PrintJson(const Verified& v, Json* json) {
  json->BeginObject();
  json->Member("file", v.file);
  json->Key("ok");
  json->Bool(v.outcome.ok());
  json->Member("status", treering_status_name(v.status));
  json->Member("message", v.outcome.message);
  for (const auto& [name, value] : {std::pair("bytes", v.bytes), std::pair("leaves", v.leaves)}) {
    json->Key(name);
    if (v.described && !(v.run && std::string_view(name) == "leaves")) {
      json->Unsigned(value);
    } else {
      json->Null();
    }
  }
  if (v.run) json->Member("versions", v.versions);
  json->Member("leaves_affected", v.affected);
  json->Key("seconds");
  char seconds[32];
  std::snprintf(seconds, sizeof(seconds), "%.6f", v.seconds);
  json->Raw(seconds);
  json->Key("findings");
  json->BeginArray();
  for (const Found& f : v.findings) {
    json->BeginObject();
    json->Member("kind", FindingName(f.kind));
    json->Member("path", f.path);
    json->Member("status", treering_status_name(f.status));
    json->Member("expected", f.expected);
    json->Member("found", f.found);
    json->Key("offset");
    if (f.offset == TREERING_NO_OFFSET) {
      json->Null();
    } else {
      json->Unsigned(f.offset);
    }
    json->End();
  }
  json->End();
  json->End();
}

}  // namespace

Outcome RunVerify(const Options& options, Output* out) {
  Json json(out);
  const bool list = options.json && options.targets.size() > 1;
  if (list) json.BeginArray();
  Outcome worst;
  for (const std::string& file : options.targets) {
    Verified v = Verify(file, options);
    if (options.json) {
      PrintJson(v, &json);
    } else {
      PrintText(v, options, out);
    }
    out->Flush();
    // Findings were printed; what kept a file from being checked is one line of its own.
    if (!v.harm && !v.outcome.ok()) PrintError(v.outcome.message);
    worst.code = std::max(worst.code, v.outcome.code);
  }
  if (list) json.End();
  return worst;
}

}  // namespace treering::cli

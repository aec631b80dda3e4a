// SPDX-License-Identifier: Apache-2.0
// treering verify: whether every byte is as it was written, and which leaves are not.
//
// The library checks; here its findings become lines. Progress is shown on standard error, and
// only on a terminal: the callback may run on several threads at once, so it claims its turn with
// one atomic time stamp and writes a whole line at once.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>

#include "cli/checkpoint.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace treering::cli {

namespace {

constexpr uint64_t kFindingsAtOnce = 256;
constexpr int64_t kBarEveryMs = 100;
constexpr int kBarWidth = 30;

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class ProgressBar {
 public:
  ProgressBar() : shown_(::isatty(STDERR_FILENO) == 1), start_(NowMs()), last_(start_) {}
  ~ProgressBar() {
    if (drawn_) Put("\r\033[K");
  }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool shown() const { return shown_; }

  static int32_t Callback(void* self, uint64_t done, uint64_t total) {
    static_cast<ProgressBar*>(self)->Update(done, total);
    return 0;
  }

 private:
  static void Put(const std::string& text) {
    if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
  }

  void Update(uint64_t done, uint64_t total) {
    const int64_t now = NowMs();
    int64_t last = last_;
    if (now - last < kBarEveryMs || !last_.compare_exchange_strong(last, now)) return;
    const double part = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
    const int full = static_cast<int>(part * kBarWidth);
    std::string bar = "\r[";
    for (int i = 0; i < kBarWidth; ++i) bar.push_back(i < full ? '#' : '-');
    char rest[96];
    const double seconds = static_cast<double>(now - start_) / 1000;
    std::snprintf(rest, sizeof(rest), "] %3.0f %%  %s of %s  %s/s\033[K", part * 100,
                  Size(done, false).c_str(), Size(total, false).c_str(),
                  Size(static_cast<uint64_t>(static_cast<double>(done) / seconds), false).c_str());
    drawn_ = true;
    Put(bar + rest);
  }

  const bool shown_;
  const int64_t start_;
  std::atomic<int64_t> last_;
  std::atomic<bool> drawn_{false};
};

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
  bool described = false;  // bytes and leaves are known
  treering_status status = TREERING_OK;
  Outcome outcome;
  uint64_t bytes = 0;
  uint64_t leaves = 0;
  uint64_t affected = 0;  // leaves with a finding
  double seconds = 0;
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
  if (kind == TREERING_FINDING_DAMAGED) return "damaged";
  return kind == TREERING_FINDING_UNREADABLE ? "unreadable" : "invalid";
}

Verified Verify(const std::string& file, const Options& options) {
  Verified v;
  v.file = file;
  treering_error error = NewError();
  treering_checkpoint* handle = nullptr;
  v.status = treering_checkpoint_open(&handle, file.data(), file.size(), nullptr, &error);
  const std::unique_ptr<treering_checkpoint, CheckpointFree> checkpoint(handle);
  v.outcome = FromError(v.status, error);
  if (!v.outcome.ok()) return v;
  treering_info info = {};
  info.struct_size = sizeof(info);
  if (treering_checkpoint_info(&info, handle, nullptr) == TREERING_OK) {
    v.bytes = info.file_size;
    v.leaves = info.leaf_count;
    v.described = true;
  }
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
    v.status = treering_checkpoint_verify(&report, handle, &read, &error);
  }
  v.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const Report owner(report);
  v.outcome = FromError(v.status, error);
  if (report == nullptr) return v;
  const Outcome taken = TakeFindings(report, &v.findings);
  if (!taken.ok()) v.outcome = taken;
  // A finding is an answer, whatever its status: also a part that is missing or of a newer format.
  if (!v.findings.empty() && taken.ok()) v.outcome.code = kDifferent;
  for (const Found& f : v.findings) {
    const bool node = f.kind != TREERING_FINDING_INVALID;
    if (node) ++v.affected;
  }
  return v;
}

void PrintFindings(const Verified& v, const Options& options, Output* out) {
  for (const Found& f : v.findings) {
    std::string name(FindingName(f.kind));
    for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
    std::string line = out->Bad(name) + "  " + (f.path.empty() ? "(root)" : Printable(f.path));
    if (f.offset != TREERING_NO_OFFSET) line += "  at byte " + std::to_string(f.offset);
    if (!f.expected.empty()) line += "  expected " + Printable(f.expected);
    if (!f.found.empty()) line += "  found " + Printable(f.found);
    out->Line(line);
  }
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
  if (!v.findings.empty()) return PrintFindings(v, options, out);
  if (!v.outcome.ok()) return;
  char speed[48];
  std::snprintf(speed, sizeof(speed), "%.2f GB/s",
                v.seconds > 0 ? static_cast<double>(v.bytes) / v.seconds / 1e9 : 0);
  out->Line(Printable(v.file) + ": " + out->Good("OK") + "  " + Size(v.bytes, options.exact_bytes) +
            (options.exact_bytes ? " bytes" : "") + "  " + Plural(v.leaves, "leaf", "leaves") +
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
    if (v.described) {
      json->Unsigned(value);
    } else {
      json->Null();
    }
  }
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
    if (v.findings.empty() && !v.outcome.ok()) PrintError(v.outcome.message);
    worst.code = std::max(worst.code, v.outcome.code);
  }
  if (list) json.End();
  return worst;
}

}  // namespace treering::cli

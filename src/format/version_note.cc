// SPDX-License-Identifier: Apache-2.0
// A version's step, metrics and texts as JSON, so that a lost record can be made again.
//
// It is JSON because that is what the metadata of a container are, and for people who look with any
// tool. It is read back by us alone, so there is no parser of JSON here: the writer's spelling is
// the only one, the sizes of the two documents of the caller's come before them, and a value's
// exact bits stand beside its decimal form, in which infinities and NaN have no place.
#include "format/version_note.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>

#include "tree/text.h"

namespace treering::format {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr std::string_view kStart = "{\"treering\":{\"step\":";
constexpr std::string_view kMetricsText = ",\"metrics\":[";
constexpr std::string_view kDocumentSize = "],\"metrics_document_size\":";
constexpr std::string_view kMetadataSize = ",\"metadata_size\":";
constexpr std::string_view kDocumentText = "},\"metrics_document\":";
constexpr std::string_view kMetadataText = ",\"metadata\":";

std::string Hex(uint64_t bits) {
  char text[17];
  snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(bits));
  return text;
}

// The shortest that reads back as the same value, whatever the locale.
std::string Decimal(double value) {
  char text[32];
  if (!std::isfinite(value)) return "null";
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

// Takes the note apart from the front; after the first surprise nothing is taken any more.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : left_(text) {}

  bool ok() const { return ok_; }
  bool done() const { return ok_ && left_.empty(); }
  bool Skip(std::string_view literal) {
    if (!At(literal)) return ok_ = false;
    left_.remove_prefix(literal.size());
    return true;
  }
  bool At(std::string_view literal) const {
    return ok_ && left_.substr(0, literal.size()) == literal;
  }
  uint64_t Number() {
    size_t n = 0;
    uint64_t value = 0;
    while (n < left_.size() && left_[n] >= '0' && left_[n] <= '9' && n < 19) {
      value = value * 10 + static_cast<uint64_t>(left_[n++] - '0');
    }
    ok_ = ok_ && n != 0;
    left_.remove_prefix(ok_ ? n : 0);
    return value;
  }
  std::string_view Bytes(uint64_t n) {
    if (!ok_ || n > left_.size()) return ok_ = false, std::string_view();
    const std::string_view bytes = left_.substr(0, static_cast<size_t>(n));
    left_.remove_prefix(static_cast<size_t>(n));
    return bytes;
  }
  // Up to the next `end`, which is taken too.
  std::string_view Until(char end) {
    const size_t at = left_.find(end);
    if (!ok_ || at == std::string_view::npos) return ok_ = false, std::string_view();
    const std::string_view bytes = left_.substr(0, at);
    left_.remove_prefix(at + 1);
    return bytes;
  }
  uint64_t HexBits() {
    uint64_t bits = 0;
    for (const char c : Bytes(16)) {
      const bool digit = c >= '0' && c <= '9';
      if (!digit && !(c >= 'a' && c <= 'f')) return ok_ = false, uint64_t{0};
      bits = bits << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
    }
    return bits;
  }
  std::string Quoted() {
    std::string text;
    if (!Skip("\"")) return text;
    while (ok_ && !At("\"")) {
      const std::string_view one = Bytes(1);
      if (one != "\\") {
        text += one;
        continue;
      }
      const std::string_view escape = Bytes(1);
      if (escape != "u") {
        text += escape;  // a quote or a backslash: nothing else is written so
        continue;
      }
      const std::string_view digits = Bytes(4);
      int code = 0;
      for (const char c : digits) code = code * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
      text += static_cast<char>(code);  // below 0x20
    }
    Skip("\"");
    return text;
  }

 private:
  std::string_view left_;
  bool ok_ = true;
};

void TakeMetrics(Scanner* in, std::vector<Metric>* metrics) {
  while (in->ok() && !in->At("]")) {
    if (!metrics->empty()) in->Skip(",");
    in->Skip("[");
    Metric metric;
    metric.name = in->Quoted();
    in->Skip(",\"");
    const uint64_t bits = in->HexBits();
    std::memcpy(&metric.value, &bits, sizeof(bits));
    in->Skip("\",");
    in->Until(']');  // the value for people
    metrics->push_back(std::move(metric));
  }
}

// As a record wants them: what is rebuilt from the note must be valid.
bool AreNames(const std::vector<Metric>& metrics) {
  std::set<std::string_view> names;
  for (const Metric& metric : metrics) {
    if (metric.name.empty() || metric.name.size() > kMaxMetricName) return false;
    if (!tree::IsWtf8(metric.name) || !names.insert(metric.name).second) return false;
  }
  return true;
}

}  // namespace

std::string JsonQuoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string EncodeVersionNote(const VersionNote& note) {
  std::string text(kStart);
  text += std::to_string(note.step);
  text += kMetricsText;
  for (size_t i = 0; i < note.metrics.size(); ++i) {
    const Metric& metric = note.metrics[i];
    uint64_t bits = 0;
    std::memcpy(&bits, &metric.value, sizeof(bits));
    text += (i == 0 ? "[" : ",[") + JsonQuoted(metric.name) + ",\"" + Hex(bits) + "\"," +
            Decimal(metric.value) + "]";
  }
  text += kDocumentSize;
  text += std::to_string(note.metrics_document.size());
  text += kMetadataSize;
  text += std::to_string(note.metadata.size());
  text += kDocumentText;
  text += note.metrics_document.empty() ? "null" : note.metrics_document;
  text += kMetadataText;
  text += note.metadata.empty() ? "null" : note.metadata;
  return text + "}";
}

Result<VersionNote> DecodeVersionNote(std::string_view text) {
  Scanner in(text);
  VersionNote note;
  in.Skip(kStart);
  const uint64_t step = in.Number();
  in.Skip(kMetricsText);
  TakeMetrics(&in, &note.metrics);
  in.Skip(kDocumentSize);
  const uint64_t document = in.Number();
  in.Skip(kMetadataSize);
  const uint64_t metadata = in.Number();
  in.Skip(kDocumentText);
  if (document == 0) in.Skip("null");
  note.metrics_document = std::string(in.Bytes(document));
  in.Skip(kMetadataText);
  if (metadata == 0) in.Skip("null");
  note.metadata = std::string(in.Bytes(metadata));
  in.Skip("}");
  note.step = static_cast<int64_t>(step);
  if (in.done() && step <= INT64_MAX && AreNames(note.metrics) && EncodeVersionNote(note) == text) {
    return note;
  }
  return Status(Code::kNotFound, "its metadata do not say which version it is");
}

}  // namespace treering::format

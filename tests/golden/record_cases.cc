// SPDX-License-Identifier: Apache-2.0
// Golden records, intact and bad, and their dump.
#include "record_cases.h"

#include <cstring>
#include <limits>

#include "format/manifest.h"
#include "format/names.h"
#include "format/store_record.h"
#include "format/version_note.h"

namespace golden {

using namespace treering;  // NOLINT(google-build-using-namespace)
using base::ByteSpan;
using format::ManifestFile;
using format::ManifestRecord;
using format::Uuid;

namespace {

Uuid Numbered(uint8_t first) {
  Uuid uuid{};
  for (uint8_t& byte : uuid) byte = first++;
  return uuid;
}

ManifestFile AFile(const std::string& folder, const std::string& name, uint64_t size) {
  ManifestFile file;
  file.folder = folder;
  file.name = name;
  file.size = size;
  for (uint8_t i = 0; i < 16; ++i) file.digest[i] = static_cast<uint8_t>(0xa0 + i);
  return file;
}

// The one of FORMAT.md's example.
ManifestRecord Smallest() {
  ManifestRecord record;
  record.number = 1;
  record.step = 1200;
  record.store = Numbered(1);
  record.attempt = Numbered(0x81);
  record.started = 1700000000000000000;
  record.committed = 1700000001000000000;
  record.files.push_back(AFile("", "default.ring", 744));
  record.items.push_back({format::kTreeItem, "default"});
  record.metrics.push_back({"loss", 0.5});
  return record;
}

std::vector<format::Metric> Values() {
  return {{"loss", 0.1},
          {"\xce\xb1 \"quoted\" \\ \n", -0.0},
          {"tiny", 5e-324},
          {"large", 1e300},
          {"not", std::numeric_limits<double>::quiet_NaN()},
          {"up", std::numeric_limits<double>::infinity()}};
}

ManifestRecord Full() {
  ManifestRecord record = Smallest();
  record.number = UINT64_MAX;
  record.step = INT64_MAX;
  record.flags = format::kRebuilt;
  record.started = record.committed = format::kNoTime;
  record.previous = UINT64_MAX - 2;
  record.previous_digest = {0x1122334455667788, 0x99aabbccddeeff00};
  record.features_compat = 5;
  record.files = {AFile("", "index.ring", 416), AFile("", "part-00000.ring", INT64_MAX)};
  record.files[1].algorithm = 9;
  record.files[1].digest[31] = 0x77;
  record.other_files = {
      AFile("", "part-00000.ring", 5000),
      AFile(format::AttemptName(record.store, 7, Numbered(9)), "default.ring", 1)};
  record.items = {{1, "params"}, {2, "config"}, {3, "\xc3\xa9t\xc3\xa9"}, {99, "later"}};
  record.metrics = Values();
  record.metrics_document = "{\"bleu\": {\"de\": 0.3}}";
  record.metadata = "[1, \"two\"]";
  return record;
}

std::string Text(const std::vector<uint8_t>& bytes) { return std::string(ByteSpan(bytes).text()); }

std::string Encoded(ManifestRecord record) { return Text(format::EncodeManifest(&record)); }

std::string Encoded(const format::StoreRecord& record) { return Text(format::EncodeStore(record)); }

// With the value at that place, under size and hash that are right.
std::string Lie(std::string bytes, size_t at, uint8_t value) {
  bytes[at] = static_cast<char>(value);
  codec::Hasher128 hasher;
  hasher.Update(ByteSpan(bytes.data(), bytes.size() - 16));
  uint8_t hash[16];
  base::StoreLe64(hash, hasher.Digest().low);
  base::StoreLe64(hash + 8, hasher.Digest().high);
  std::memcpy(&bytes[bytes.size() - 16], hash, sizeof hash);
  return bytes;
}

std::string Hex(ByteSpan bytes) {
  std::string text;
  for (uint64_t i = 0; i < bytes.size; ++i) {
    text += "0123456789abcdef"[bytes.data[i] >> 4];
    text += "0123456789abcdef"[bytes.data[i] & 15];
  }
  return text.empty() ? "-" : text;
}

std::string Hex(const codec::Hash128& hash) {
  uint8_t bytes[16];
  base::StoreLe64(bytes, hash.low);
  base::StoreLe64(bytes + 8, hash.high);
  return Hex(ByteSpan(bytes, sizeof bytes));
}

std::string Line(const char* name, uint64_t value) {
  return std::string(name) + ' ' + std::to_string(value) + '\n';
}

std::string Signed(const char* name, int64_t value) {
  return std::string(name) + ' ' + std::to_string(value) + '\n';
}

std::string Line(const char* name, const std::string& value) {
  return std::string(name) + ' ' + value + '\n';
}

std::string FileLine(const char* what, const ManifestFile& file) {
  return Line(what, (file.folder.empty() ? "." : file.folder) + ' ' + file.name + ' ' +
                        std::to_string(file.size) + ' ' + std::to_string(file.algorithm) + ' ' +
                        Hex(ByteSpan(file.digest.data(), file.digest.size())));
}

std::string MetricLines(const std::vector<format::Metric>& metrics) {
  std::string text;
  for (const format::Metric& metric : metrics) {
    uint8_t bytes[8];
    std::memcpy(bytes, &metric.value, sizeof bytes);
    uint64_t bits = 0;
    std::memcpy(&bits, &metric.value, sizeof bits);
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
    text += Line("metric", Hex(ByteSpan(bytes, sizeof bytes)) + ' ' + Hex(ByteSpan(metric.name)));
  }
  return text;
}

std::string Features(uint64_t compat, uint64_t ro_compat, uint64_t incompat) {
  return Line("features", std::to_string(compat) + ' ' + std::to_string(ro_compat) + ' ' +
                              std::to_string(incompat));
}

std::string Dump(const format::StoreRecord& store) {
  return Line("uuid", Hex(ByteSpan(store.uuid.data(), 16))) + Signed("created", store.created) +
         Features(store.features_compat, store.features_ro_compat, store.features_incompat) +
         Line("metadata", Hex(ByteSpan(store.metadata)));
}

std::string Dump(const format::VersionNote& note) {
  return Signed("step", note.step) + MetricLines(note.metrics) +
         Line("metrics_document", Hex(ByteSpan(note.metrics_document))) +
         Line("metadata", Hex(ByteSpan(note.metadata)));
}

std::string Dump(const ManifestRecord& record) {
  std::string text = Line("kind", record.kind) + Line("name", format::RecordName(record.number));
  text += Signed("step", record.step);
  text += Line("store", Hex(ByteSpan(record.store.data(), 16)));
  if (record.kind == format::kVersionRecord) {
    text += Line("folder", format::AttemptName(record.store, record.step, record.attempt));
  }
  text += Line("flags", record.flags) + Signed("started", record.started);
  text += Signed("committed", record.committed) + Line("previous", record.previous);
  text += Line("previous_digest", Hex(record.previous_digest));
  text += Features(record.features_compat, record.features_ro_compat, record.features_incompat);
  for (const ManifestFile& file : record.files) text += FileLine("file", file);
  for (const ManifestFile& file : record.other_files) text += FileLine("other", file);
  for (const format::ManifestItem& item : record.items) {
    text += Line("item", std::to_string(item.kind) + ' ' + Hex(ByteSpan(item.name)));
  }
  text += MetricLines(record.metrics);
  text += Line("metrics_document", Hex(ByteSpan(record.metrics_document)));
  text += Line("metadata", Hex(ByteSpan(record.metadata)));
  return text + Line("digest", Hex(record.digest));
}

template <typename Record>
base::Result<std::string> DumpOf(base::Result<Record> record) {
  if (!record.ok()) return std::move(record.status());
  return Dump(*record);
}

}  // namespace

std::vector<RecordFile> RecordCases() {
  format::StoreRecord store;
  store.uuid = Numbered(1);
  format::StoreRecord full_store = store;
  full_store.created = 1700000000000000000;
  full_store.features_compat = 3;
  full_store.features_ro_compat = uint64_t{1} << 63;
  full_store.metadata = "{\"run\": \"golden\"}";
  ManifestRecord removed;
  removed.kind = format::kRemovedRecord;
  removed.number = 43;
  removed.step = 1200;
  removed.store = Numbered(1);
  removed.started = removed.committed = -1;
  removed.previous = 42;
  removed.previous_digest = {3, 4};
  return {{"smallest-0.1.store", Encoded(store)},
          {"full-0.1.store", Encoded(full_store)},
          {"smallest-0.1.record", Encoded(Smallest())},
          {"full-0.1.record", Encoded(Full())},
          {"removed-0.1.record", Encoded(removed)},
          {"smallest-0.1.note", format::EncodeVersionNote({})},
          {"full-0.1.note", format::EncodeVersionNote(
                                {1200, Values(), "{\"bleu\": {\"de\": 0.3}}", "[1, \"two\"]"})}};
}

std::vector<RecordFile> BadRecordCases() {
  const std::string record = Encoded(Smallest());
  format::StoreRecord plain;
  plain.metadata = "{}";
  const std::string store = Encoded(plain);
  std::string flipped = record;
  flipped[70] ^= 1;
  ManifestRecord twice = Smallest();
  twice.metrics.push_back(twice.metrics[0]);
  ManifestRecord above = Smallest();
  above.other_files.push_back(AFile("..", "default.ring", 744));
  ManifestRecord none = Smallest();
  none.files.clear();
  return {{"bad-flipped.record", flipped},
          {"bad-cut_off.record", record.substr(0, record.size() - 1)},
          {"bad-stranger.record", std::string(record.size(), 'x')},
          {"bad-zeros.record", std::string(record.size(), '\0')},
          {"bad-major_2.record", Lie(record, 8, 2)},
          {"bad-feature_incompatible.record", Lie(record, 40, 1)},
          {"bad-reserved.record", Lie(record, 12, 1)},
          {"bad-kind_3.record", Lie(record, 48, 3)},
          {"bad-number_0.record", Lie(record, 56, 0)},
          {"bad-step_negative.record", Lie(record, 71, 0x80)},
          {"bad-previous_is_itself.record", Lie(record, 128, 1)},
          {"bad-file_count.record", Lie(record, 155, 0xff)},
          {"bad-metadata_size.record", Lie(record, 176, 1)},
          {"bad-metric_twice.record", Encoded(twice)},
          {"bad-folder_above.record", Encoded(above)},
          {"bad-no_file.record", Encoded(none)},
          {"bad-metadata_size.store", Lie(store, 72, 1)},
          {"bad-cut_off.store", store.substr(0, 60)},
          {"bad-spelling.note", "{ \"treering\":{\"step\":0}}"}};
}

base::Result<std::string> DumpRecord(const std::string& name, const std::string& bytes) {
  const std::string ending = name.substr(name.rfind('.') + 1);
  const ByteSpan span(bytes.data(), bytes.size());
  if (ending == "store") return DumpOf(format::DecodeStore(span));
  if (ending == "note") return DumpOf(format::DecodeVersionNote(bytes));
  return DumpOf(format::DecodeManifest(span));
}

}  // namespace golden

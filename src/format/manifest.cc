// SPDX-License-Identifier: Apache-2.0
// The record of a version as bytes.
//
// A record is small and read whole, so it is a plain sequence: fixed part, then lists with their
// counts in front, then texts. Every count is checked against the bytes that are left before
// anything is made of it. Names are those of FORMAT.md's file table, so nothing in a record can
// lead out of the directory. What a later minor version puts behind the last text is ignored.
// Steps, numbers and references between records are the catalog's.
#include "format/manifest.h"

#include <cstring>
#include <set>
#include <string_view>

#include "format/refuse.h"
#include "format/sealed_record.h"
#include "tree/text.h"

namespace treering::format {
namespace {

using base::ByteReader;
using base::ByteSpan;
using base::ByteWriter;
using base::Result;
using base::Status;

constexpr std::array<uint8_t, 8> kManifestMagic = {0x89, 'T', 'R', 'M', 0x0d, 0x0a, 0x1a, 0x0a};
// The least bytes of an entry, by which a count is checked against what is left.
constexpr uint64_t kLeastFile = 49, kLeastItem = 9, kLeastMetric = 17;
constexpr uint64_t kMostBytes = INT64_MAX;  // of a file

void PutUuid(const Uuid& uuid, ByteWriter* out) { out->Bytes(ByteSpan(uuid.data(), uuid.size())); }

void PutFile(const ManifestFile& file, ByteWriter* out) {
  out->U16(static_cast<uint16_t>(file.folder.size()));
  out->U16(static_cast<uint16_t>(file.name.size()));
  out->U8(file.algorithm);
  out->Zeros(3);
  out->U64(file.size);
  out->Bytes(ByteSpan(file.digest.data(), file.digest.size()));
  out->Bytes(ByteSpan(file.folder));
  out->Bytes(ByteSpan(file.name));
}

uint64_t Bits(double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

void PutLists(const ManifestRecord& record, ByteWriter* out) {
  out->U32(static_cast<uint32_t>(record.files.size()));
  out->U32(static_cast<uint32_t>(record.other_files.size()));
  out->U32(static_cast<uint32_t>(record.items.size()));
  out->U32(static_cast<uint32_t>(record.metrics.size()));
  out->U64(record.metrics_document.size());
  out->U64(record.metadata.size());
  for (const ManifestFile& file : record.files) PutFile(file, out);
  for (const ManifestFile& file : record.other_files) PutFile(file, out);
  for (const ManifestItem& item : record.items) {
    out->U32(item.kind);
    out->U32(static_cast<uint32_t>(item.name.size()));
    out->Bytes(ByteSpan(item.name));
  }
  for (const Metric& metric : record.metrics) {
    out->U64(Bits(metric.value));
    out->U64(metric.name.size());
    out->Bytes(ByteSpan(metric.name));
  }
  out->Bytes(ByteSpan(record.metrics_document));
  out->Bytes(ByteSpan(record.metadata));
}

void TakeUuid(ByteReader* in, Uuid* uuid) {
  const ByteSpan bytes = in->Bytes(uuid->size());
  if (in->ok()) std::memcpy(uuid->data(), bytes.data, uuid->size());
}

Status TakeFile(ByteReader* in, bool own, ManifestFile* file) {
  const uint16_t folder_size = in->U16();
  const uint16_t name_size = in->U16();
  file->algorithm = in->U8();
  const bool zeros = in->Zeros(3);
  file->size = in->U64();
  const ByteSpan digest = in->Bytes(file->digest.size());
  if (in->ok()) std::memcpy(file->digest.data(), digest.data, file->digest.size());
  file->folder = std::string(in->Bytes(folder_size).text());
  file->name = std::string(in->Bytes(name_size).text());
  if (!zeros) return RefuseReserved("file");
  TR_EXPECT(in->ok(), "record.files", in->left(), "a whole entry");
  TR_EXPECT(IsFileName(file->name), "file.name_size", name_size, "a name of the file table's form");
  TR_EXPECT(own ? folder_size == 0 : folder_size == 0 || IsFileName(file->folder),
            "file.folder_size", folder_size, own ? "0" : "a name of the file table's form");
  TR_EXPECT(file->size >= 1 && file->size <= kMostBytes, "file.size", file->size, "1 to 2^63 - 1");
  TR_EXPECT(file->algorithm != 0, "file.algorithm", file->algorithm, "1 or more");
  ByteReader unused(ByteSpan(file->digest.data() + 16, 16));
  if (file->algorithm == kDigestXxh3 && !unused.Zeros(16)) return RefuseReserved("file.digest");
  return {};
}

Status TakeItem(ByteReader* in, ManifestItem* item) {
  item->kind = in->U32();
  const uint32_t size = in->U32();
  item->name = std::string(in->Bytes(size).text());
  TR_EXPECT(in->ok(), "record.items", in->left(), "a whole entry");
  TR_EXPECT(size >= 1 && size <= kMaxItemName, "item.name_size", size, "1 to 255");
  TR_EXPECT(tree::IsWtf8(item->name), "item.name", size, "as many bytes of UTF-8");
  return {};
}

Status TakeMetric(ByteReader* in, Metric* metric) {
  const uint64_t bits = in->U64();
  std::memcpy(&metric->value, &bits, sizeof(bits));
  const uint64_t size = in->U64();
  metric->name = std::string(in->Bytes(size).text());
  TR_EXPECT(in->ok(), "record.metrics", in->left(), "a whole entry");
  TR_EXPECT(size >= 1 && size <= kMaxMetricName, "metric.name_size", size, "1 to 255");
  TR_EXPECT(tree::IsWtf8(metric->name), "metric.name", size, "as many bytes of UTF-8");
  return {};
}

struct Counts {
  uint64_t files = 0, other_files = 0, items = 0, metrics = 0, document = 0, metadata = 0;
};

Status TakeCounts(ByteReader* in, uint32_t kind, Counts* counts) {
  counts->files = in->U32();
  counts->other_files = in->U32();
  counts->items = in->U32();
  counts->metrics = in->U32();
  counts->document = in->U64();
  counts->metadata = in->U64();
  TR_EXPECT(in->ok(), "record.size", in->left(), "a whole record");
  const uint64_t left = in->left();
  TR_EXPECT(counts->files <= left / kLeastFile, "record.file_count", counts->files, "what fits");
  TR_EXPECT(counts->other_files <= left / kLeastFile, "record.other_file_count",
            counts->other_files, "what fits");
  TR_EXPECT(counts->items <= left / kLeastItem, "record.item_count", counts->items, "what fits");
  TR_EXPECT(counts->metrics <= left / kLeastMetric, "record.metric_count", counts->metrics,
            "what fits");
  TR_EXPECT(kind != kVersionRecord || counts->files != 0, "record.file_count", counts->files,
            "1 or more in a version");
  TR_EXPECT(kind != kRemovedRecord || (counts->files | counts->other_files | counts->items |
                                       counts->metrics | counts->document | counts->metadata) == 0,
            "record.file_count", counts->files, "nothing in a removed record");
  return {};
}

// Reads as many entries as *list has room for; no two may have the same name.
template <typename Entry, typename Take>
Status TakeNamed(const char* field, std::vector<Entry>* list, Take take) {
  std::set<std::string_view> names;
  for (Entry& entry : *list) {
    TR_RETURN_IF_ERROR(take(&entry));
    TR_EXPECT(names.insert(entry.name).second, field, names.size() + 1, "names that differ");
  }
  return {};
}

Status TakeLists(ByteReader* in, ManifestRecord* record) {
  Counts counts;
  TR_RETURN_IF_ERROR(TakeCounts(in, record->kind, &counts));
  record->files.resize(counts.files);
  TR_RETURN_IF_ERROR(TakeNamed("record.files", &record->files,
                               [in](ManifestFile* file) { return TakeFile(in, true, file); }));
  record->other_files.resize(counts.other_files);
  for (ManifestFile& file : record->other_files) TR_RETURN_IF_ERROR(TakeFile(in, false, &file));
  record->items.resize(counts.items);
  TR_RETURN_IF_ERROR(TakeNamed("record.items", &record->items,
                               [in](ManifestItem* item) { return TakeItem(in, item); }));
  record->metrics.resize(counts.metrics);
  TR_RETURN_IF_ERROR(TakeNamed("record.metrics", &record->metrics,
                               [in](Metric* metric) { return TakeMetric(in, metric); }));
  record->metrics_document = std::string(in->Bytes(counts.document).text());
  record->metadata = std::string(in->Bytes(counts.metadata).text());
  TR_EXPECT(in->ok(), "record.metadata_size", counts.metadata, "texts inside the record");
  return {};
}

Status CheckFixed(const ManifestRecord& record) {
  if (record.kind > kRemovedRecord) {
    return Status(base::Code::kUnsupportedKind, "the record is of kind " +
                                                    std::to_string(record.kind) +
                                                    ", which is not known; use a newer treering");
  }
  TR_EXPECT(record.kind != 0, "record.kind", record.kind, "1 or 2");
  TR_EXPECT(record.number != 0, "record.number", record.number, "1 or more");
  TR_EXPECT(record.step >= 0, "record.step", static_cast<uint64_t>(record.step), "0 to 2^63 - 1");
  TR_EXPECT((record.flags & ~kRebuilt) == 0, "record.flags", record.flags, "0 or 1");
  TR_EXPECT(record.previous < record.number, "record.previous", record.previous,
            "a number below its own");
  TR_EXPECT(record.previous != 0 || (record.previous_digest.low | record.previous_digest.high) == 0,
            "record.previous_digest", record.previous_digest.low, "0 where there is no previous");
  if (record.kind == kRemovedRecord) {
    TR_EXPECT(record.attempt == Uuid{}, "record.attempt", record.attempt[0], "zeros if removed");
    TR_EXPECT(record.flags == 0, "record.flags", record.flags, "0 in a removed record");
  }
  return {};
}

}  // namespace

std::vector<uint8_t> EncodeManifest(ManifestRecord* record) {
  std::vector<uint8_t> bytes;
  BeginRecord({kManifestMagic, "record", record->features_compat, record->features_ro_compat,
               record->features_incompat, 0},
              &bytes);
  ByteWriter out(&bytes);
  out.U32(record->kind);
  out.U32(0);
  out.U64(record->number);
  out.U64(static_cast<uint64_t>(record->step));
  PutUuid(record->store, &out);
  PutUuid(record->attempt, &out);
  out.U64(record->flags);
  out.U64(static_cast<uint64_t>(record->started));
  out.U64(static_cast<uint64_t>(record->committed));
  out.U64(record->previous);
  out.U64(record->previous_digest.low);
  out.U64(record->previous_digest.high);
  PutLists(*record, &out);
  record->digest = EndRecord(&bytes);
  return bytes;
}

Result<ManifestRecord> DecodeManifest(ByteSpan bytes) {
  Seal seal{kManifestMagic, "record", 0, 0, 0, 0};
  ByteSpan body;
  ManifestRecord record;
  TR_RETURN_IF_ERROR(OpenRecord(bytes, &seal, &body, &record.digest));
  record.features_compat = seal.features_compat;
  record.features_ro_compat = seal.features_ro_compat;
  record.features_incompat = seal.features_incompat;
  ByteReader in(body);
  record.kind = in.U32();
  const bool zeros = in.Zeros(4);
  record.number = in.U64();
  record.step = static_cast<int64_t>(in.U64());
  TakeUuid(&in, &record.store);
  TakeUuid(&in, &record.attempt);
  record.flags = in.U64();
  record.started = static_cast<int64_t>(in.U64());
  record.committed = static_cast<int64_t>(in.U64());
  record.previous = in.U64();
  record.previous_digest.low = in.U64();
  record.previous_digest.high = in.U64();
  if (!zeros) return RefuseReserved("record");
  TR_RETURN_IF_ERROR(CheckFixed(record));
  TR_RETURN_IF_ERROR(TakeLists(&in, &record));
  TR_EXPECT(seal.minor > 0 || in.left() == 0, "record.size", bytes.size, bytes.size - in.left());
  return record;
}

}  // namespace treering::format

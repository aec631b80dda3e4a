// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of the record targets into the corpus folder given: a few valid records each.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "format/manifest.h"
#include "format/names.h"
#include "format/records.h"
#include "format/store_record.h"
#include "format/version_note.h"

using namespace treering;  // NOLINT(google-build-using-namespace)

namespace {

using Bytes = std::vector<uint8_t>;

std::filesystem::path root;

void Write(const std::string& target, const std::string& name, const Bytes& bytes) {
  std::filesystem::create_directories(root / target);
  std::ofstream file(root / target / name, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

template <typename Record>
void WriteRecord(const std::string& target, const std::string& name, const Record& record,
                 format::Section section) {
  Bytes bytes(format::kStride[section]);
  format::Encode(record, bytes.data());
  Write(target, name, bytes);
}

void WriteEnds() {
  Bytes header(format::kHeaderSize);
  format::EncodeHeader(header.data());
  Write("record_header", "header", header);
  header[8] = 2;
  Write("record_header", "newer", header);
  format::Trailer trailer;
  trailer.index_offset = 64;
  trailer.index_size = 128;
  trailer.block_count = 1;
  trailer.leaf_count = 1;
  trailer.file_size = 64 + 128 + 8 + format::kTrailerSize;
  const uint64_t offsets[] = {0, 64, 128, 128, 128, 128, 128, 128, 128, 128, 0, 0};
  for (uint32_t i = 0; i < format::kSectionCount; ++i) {
    trailer.sections[i] = {offsets[i], i < 2 ? 1u : 0u, format::kStride[i]};
  }
  for (const uint16_t major : {uint16_t{1}, uint16_t{2}}) {
    trailer.major = major;
    Bytes bytes(8 + format::kTrailerSize);
    base::StoreLe64(bytes.data(), trailer.file_size);
    format::EncodeTrailer(trailer, bytes.data() + 8);
    Write("record_trailer", major == 1 ? "trailer" : "newer", bytes);
  }
}

void WriteNodes() {
  format::NodeRecord node;
  node.kind = 1;
  node.size = 20;
  node.a = 1;
  node.flags = format::kChildrenHashed;
  WriteRecord("record_node", "dict", node, format::kNodes);
  node = {};
  node.kind = 64;
  node.key_kind = 2;
  node.key_size = 6;
  node.parent = 0;
  node.dtype_code = 2;
  node.dtype_bits = 32;
  node.rank = 1;
  node.storage = format::kPacked;
  node.size = 256;
  node.b = 64;
  WriteRecord("record_node", "packed", node, format::kNodes);
  node.storage = format::kInPieces;
  node.size = 1 << 20;
  node.b = 1;
  WriteRecord("record_node", "pieces", node, format::kNodes);
  node = {};
  node.kind = 66;
  node.key_kind = 3;
  node.key = 7;
  node.parent = 0;
  node.storage = format::kInline;
  node.size = 1;
  node.value[0] = 42;
  WriteRecord("record_node", "int", node, format::kNodes);
  node.kind = 96;
  node.storage = format::kAliasOf;
  node.size = 0;
  node.a = 1;
  node.value[0] = 0;
  WriteRecord("record_node", "alias", node, format::kNodes);
}

void WriteFlatRecords() {
  WriteRecord("record_item", "tree", format::ItemRecord{0, 5, format::kTreeItem, 0, 3},
              format::kItems);
  WriteRecord("record_item", "json", format::ItemRecord{5, 4, format::kJsonItem, 3, 1},
              format::kItems);
  WriteRecord("record_piece", "piece", format::PieceRecord{1, 0, 2, 4, 0, 6}, format::kPieces);
  format::ChunkRecord chunk = {64, 300, 300, 7, {7, 9}, 0, 0, 0};
  WriteRecord("record_chunk", "raw", chunk, format::kChunks);
  chunk.stored_size = 100;
  chunk.codec = 1;
  WriteRecord("record_chunk", "zstd", chunk, format::kChunks);
  chunk.codec = 2;
  chunk.param = 0x84;
  WriteRecord("record_chunk", "planes", chunk, format::kChunks);
  format::FileRecord file;
  file.name_size = 14;
  file.size = 4096;
  file.digest[0] = 1;
  WriteRecord("record_file", "beside", file, format::kFiles);
  file.folder = 14;
  file.folder_size = 20;
  WriteRecord("record_file", "sibling", file, format::kFiles);
}

void WriteAttributes() {
  Bytes set;
  format::EncodeAttributes({{7, 0, base::ByteSpan("jax", 3)}}, &set);
  Write("record_attributes", "origin", set);
  set.clear();
  format::EncodeAttributes({{1, 0, base::ByteSpan("Param\0Variable", 14)},
                            {2, 0, base::ByteSpan()},
                            {40000, format::kCriticalAttribute, base::ByteSpan("12345678", 8)}},
                           &set);
  Write("record_attributes", "three", set);
}

format::ManifestRecord AVersion() {
  format::ManifestRecord record;
  record.number = 3;
  record.step = 1200;
  record.attempt[0] = 7;
  record.previous = 2;
  format::ManifestFile file;
  file.name = "default.ring";
  file.size = 744;
  record.files.push_back(file);
  return record;
}

void WriteStore() {
  format::ManifestRecord record = AVersion();
  Write("record_manifest", "least", format::EncodeManifest(&record));
  record.flags = format::kRebuilt;
  record.other_files.push_back(record.files[0]);
  record.other_files[0].folder = "00000007-a";
  record.items = {{format::kTreeItem, "state"}, {format::kJsonItem, "config"}};
  record.metrics = {{"loss", 0.5}, {"accuracy", 1}};
  record.metrics_document = "{}";
  record.metadata = "[1]";
  Write("record_manifest", "full", format::EncodeManifest(&record));
  format::ManifestRecord removed;
  removed.kind = format::kRemovedRecord;
  removed.number = 4;
  Write("record_manifest", "removed", format::EncodeManifest(&removed));
  format::StoreRecord store;
  Write("record_store", "least", format::EncodeStore(store));
  store.metadata = "{\"run\":1}";
  Write("record_store", "metadata", format::EncodeStore(store));
}

void WriteNotes() {
  const auto write = [](const std::string& name, const std::string& text) {
    Write("version_note", name, Bytes(text.begin(), text.end()));
  };
  write("least", format::EncodeVersionNote({}));
  write("full", format::EncodeVersionNote(
                    {1200, {{"loss", 0.5}, {"a\"\n", HUGE_VAL}}, "{\"a\":[1]}", "\"text\""}));
  write("record_name", format::RecordName(42));
  write("attempt_name", format::AttemptName({}, 1200, {}));
  write("part_name", "part-00001.ring");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  root = argv[1];
  WriteEnds();
  WriteNodes();
  WriteFlatRecords();
  WriteAttributes();
  WriteStore();
  WriteNotes();
  return 0;
}

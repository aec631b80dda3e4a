// SPDX-License-Identifier: Apache-2.0
// Takes a container apart into sections, lets a test change any record, and puts it together again
// with every checksum right: what a hostile file looks like to a reader.
#pragma once

#include <algorithm>
#include <array>

#include "written.h"

namespace written {

// Makes every hash of a file right again, as far as the places that its trailer names lie in it:
// stored hashes of this file's chunks, block table, header hash, file digest, trailer hash. False,
// and some hashes as they were, where they do not. Works on any bytes: fuzz targets use it.
inline bool RepairHashes(Bytes* file, bool chunks = true) {
  if (file->size() < format::kHeaderSize + format::kTrailerSize) return false;
  uint8_t* end = file->data() + file->size();
  uint8_t* trailer = end - format::kTrailerSize;
  const uint64_t before = file->size() - format::kTrailerSize;
  const uint64_t index = base::LoadLe64(trailer + 8);
  const uint64_t size = base::LoadLe64(trailer + 16);
  const uint64_t blocks = size / format::kBlockSize + (size % format::kBlockSize != 0 ? 1 : 0);
  const bool placed =
      index <= before && size <= before - index && blocks * 8 == before - index - size;
  const uint64_t chunk_at = base::LoadLe64(trailer + 80 + 16 * format::kChunks);
  const uint64_t chunk_count = base::LoadLe32(trailer + 88 + 16 * format::kChunks);
  const uint64_t stride = base::LoadLe32(trailer + 92 + 16 * format::kChunks);
  const bool listed = placed && chunk_at <= size && stride >= 48 && stride <= size &&
                      chunk_count <= (size - chunk_at) / stride;
  for (uint64_t i = 0; chunks && listed && i < chunk_count; ++i) {
    uint8_t* record = file->data() + index + chunk_at + i * stride;
    const uint64_t at = base::LoadLe64(record), n = base::LoadLe32(record + 8);
    if (base::LoadLe32(record + 40) != 0 || at > index || n > index - at) continue;
    base::StoreLe64(record + 16, codec::Hash64(ByteSpan(file->data() + at, n)));
  }
  for (uint64_t i = 0; placed && i < blocks; ++i) {
    const uint64_t at = i * format::kBlockSize;
    const uint64_t n = std::min(format::kBlockSize, size - at);
    base::StoreLe64(file->data() + index + size + 8 * i,
                    codec::Hash64(ByteSpan(file->data() + index + at, n)));
  }
  const ByteSpan table = placed ? ByteSpan(file->data() + index + size, blocks * 8) : ByteSpan();
  base::StoreLe64(trailer, codec::Hash64(ByteSpan(file->data(), format::kHeaderSize)));
  if (placed) base::StoreLe64(trailer + 32, codec::Hash64(table));
  codec::Hasher128 digest;
  digest.Update(ByteSpan(file->data(), format::kHeaderSize));
  if (placed) digest.Update(table);
  digest.Update(ByteSpan(trailer, 64));
  digest.Update(ByteSpan(trailer + 80, 256));
  base::StoreLe64(trailer + 64, digest.Digest().low);
  base::StoreLe64(trailer + 72, digest.Digest().high);
  base::StoreLe64(trailer + 336, codec::Hash64(ByteSpan(trailer, 336)));
  return placed;
}

// A container in parts that can be changed and grow.
class RingEditor {
 public:
  // `file` is a valid one.
  explicit RingEditor(const Bytes& file) {
    const Ring ring(file);
    trailer = ring.trailer();
    front.assign(file.begin(), file.begin() + static_cast<ptrdiff_t>(trailer.index_offset));
    for (uint32_t s = 0; s < format::kSectionCount; ++s) {
      const ByteSpan bytes = ring.section(static_cast<format::Section>(s));
      sections[s].assign(bytes.data, bytes.data + bytes.size);
    }
  }

  template <typename Record>
  void Set(format::Section section, uint32_t id, const Record& record) {
    const uint32_t stride = format::kStride[section];
    if (sections[section].size() < uint64_t{id + 1} * stride) {
      sections[section].resize(size_t{id + 1} * stride);
    }
    format::Encode(record, sections[section].data() + size_t{id} * stride);
  }
  uint8_t* At(format::Section section, uint32_t id) {
    return sections[section].data() + size_t{id} * format::kStride[section];
  }
  format::NodeRecord node(uint32_t id) { return Get(format::DecodeNode, format::kNodes, id); }
  format::ChunkRecord chunk(uint32_t id) { return Get(format::DecodeChunk, format::kChunks, id); }
  format::PieceRecord piece(uint32_t id) { return Get(format::DecodePiece, format::kPieces, id); }
  format::ItemRecord item(uint32_t id) { return Get(format::DecodeItem, format::kItems, id); }
  void SetNode(uint32_t id, const format::NodeRecord& r) { Set(format::kNodes, id, r); }
  void SetChunk(uint32_t id, const format::ChunkRecord& r) { Set(format::kChunks, id, r); }
  void SetPiece(uint32_t id, const format::PieceRecord& r) { Set(format::kPieces, id, r); }
  void SetItem(uint32_t id, const format::ItemRecord& r) { Set(format::kItems, id, r); }
  // Appends a text and answers its offset.
  uint64_t AddText(std::string_view text) {
    Bytes& section = sections[format::kText];
    section.insert(section.end(), text.begin(), text.end());
    return section.size() - text.size();
  }
  void AddFile(const std::string& folder, const std::string& name, const Bytes& other) {
    format::FileRecord record;
    if (!folder.empty()) record.folder = AddText(folder);
    record.folder_size = static_cast<uint32_t>(folder.size());
    record.name = AddText(name);
    record.name_size = static_cast<uint32_t>(name.size());
    record.size = other.size();
    std::copy_n(other.end() - static_cast<ptrdiff_t>(format::kTrailerSize) + 64, 16,
                record.digest.begin());
    Set(format::kFiles, static_cast<uint32_t>(sections[format::kFiles].size() / 72), record);
  }
  uint64_t AddDims(const std::vector<uint64_t>& words) {
    Bytes& section = sections[format::kDims];
    const uint64_t at = section.size() / 8;
    for (const uint64_t word : words) {
      section.resize(section.size() + 8);
      base::StoreLe64(section.data() + section.size() - 8, word);
    }
    return at;
  }

  // The file, with every hash right (`chunks`: the stored hashes too).
  Bytes Make(bool chunks = true) const {
    Bytes file = front;
    format::Trailer t = trailer;
    t.index_offset = front.size();
    Bytes index;
    for (uint32_t s = 0; s < format::kSectionCount; ++s) {
      if (format::kStride[s] == 0) continue;
      t.sections[s].offset = index.size();
      t.sections[s].stride = format::kStride[s];
      t.sections[s].count = static_cast<uint32_t>(sections[s].size() / format::kStride[s]);
      index.insert(index.end(), sections[s].begin(), sections[s].end());
      index.resize((index.size() + 63) / 64 * 64);
    }
    t.index_size = index.size();
    t.block_count =
        static_cast<uint32_t>((index.size() + format::kBlockSize - 1) / format::kBlockSize);
    file.insert(file.end(), index.begin(), index.end());
    file.resize(file.size() + size_t{8} * t.block_count + format::kTrailerSize);
    t.file_size = file.size();
    format::EncodeTrailer(t, file.data() + file.size() - format::kTrailerSize);
    RepairHashes(&file, chunks);
    return file;
  }

  Bytes front;  // header and chunk area
  std::array<Bytes, format::kSectionCount> sections;
  format::Trailer trailer;

 private:
  template <typename Record>
  Record Get(base::Result<Record> (*decode)(ByteSpan), format::Section section, uint32_t id) {
    return decode(ByteSpan(At(section, id), format::kStride[section])).value();
  }
};

}  // namespace written

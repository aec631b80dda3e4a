// SPDX-License-Identifier: Apache-2.0
// Makes the hashes of a damaged container right again, so that what is behind them is reached.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../tests/container/ring_builder.h"

namespace fuzz {

namespace base = treering::base;
namespace codec = treering::codec;
namespace format = treering::format;
using base::ByteSpan;
using Bytes = std::vector<uint8_t>;

// What a container says of itself beyond checksums: raw hashes, identities, totals and the content
// digest, as far as the records lie where they must. Works on any bytes and changes no other.
class Meaning {
 public:
  explicit Meaning(Bytes* file) : file_(file) {}

  void Repair() {
    if (file_->size() < format::kHeaderSize + format::kTrailerSize) return;
    trailer_ = file_->data() + file_->size() - format::kTrailerSize;
    index_ = base::LoadLe64(trailer_ + 8);
    size_ = base::LoadLe64(trailer_ + 16);
    const uint64_t before = file_->size() - format::kTrailerSize;
    if (index_ > before || size_ > before - index_) return;
    Chunks();
    Nodes();
  }

 private:
  static constexpr uint64_t kMost = uint64_t{1} << 22;  // bytes that are decoded for one input

  ByteSpan Part(format::Section section, uint64_t at, uint64_t n) const {
    const uint8_t* entry = trailer_ + 80 + 16 * section;
    const uint64_t offset = base::LoadLe64(entry);
    const uint64_t size = uint64_t{base::LoadLe32(entry + 8)} * base::LoadLe32(entry + 12);
    if (offset > size_ || size > size_ - offset || at > size || n > size - at) return ByteSpan();
    return ByteSpan(file_->data() + index_ + offset + at, n);
  }
  // Null where the record does not lie in the index.
  uint8_t* Record(format::Section section, uint64_t id) const {
    const uint64_t stride = base::LoadLe32(trailer_ + 92 + 16 * section);
    if (stride < format::kStride[section] || id > UINT32_MAX) return nullptr;
    const ByteSpan part = Part(section, id * stride, format::kStride[section]);
    return part.data == nullptr ? nullptr : file_->data() + (part.data - file_->data());
  }
  uint64_t Count(format::Section section) const {
    return base::LoadLe32(trailer_ + 88 + 16 * section);
  }

  void Chunks() {
    uint64_t left = kMost;
    for (uint64_t i = 0; i < std::min<uint64_t>(Count(format::kChunks), 4096); ++i) {
      decoded_.emplace_back();
      uint8_t* record = Record(format::kChunks, i);
      if (record == nullptr) return;
      const auto chunk = format::DecodeChunk(ByteSpan(record, 48));
      const uint64_t at = base::LoadLe64(record);
      const uint64_t stored = base::LoadLe32(record + 8), raw = base::LoadLe32(record + 12);
      if (base::LoadLe32(record + 40) != 0 || at > index_ || stored > index_ - at) continue;
      if (raw > left) continue;
      const ByteSpan bytes(file_->data() + at, stored);
      Bytes out(static_cast<size_t>(raw));
      if (record[44] == codec::kRaw) {
        if (raw != stored) continue;
        out.assign(bytes.data, bytes.data + bytes.size);
      } else if (!codec_.Decode(record[44], record[45], bytes, out.data(), raw).ok()) {
        continue;
      }
      left -= raw;
      const codec::Hash128 hash = codec::Hash128Of(ByteSpan(out));
      base::StoreLe64(record + 24, hash.low);
      base::StoreLe64(record + 32, hash.high);
      decoded_.back() = std::move(out);
    }
  }

  bool Shape(uint64_t at, uint32_t rank, uint64_t* out) const {
    if (rank > format::kMaxRank) return false;
    const ByteSpan bytes = Part(format::kDims, 8 * at, uint64_t{8} * rank);
    if (rank != 0 && bytes.data == nullptr) return false;
    for (uint32_t i = 0; i < rank; ++i) out[i] = base::LoadLe64(bytes.data + 8 * i);
    return true;
  }

  bool PiecesOf(const format::NodeRecord& node, const uint64_t* shape, codec::Hash128* out) const {
    const bool array = node.kind == 64 || node.kind == 71;
    const uint32_t rank = array ? node.rank : 1;
    const uint64_t* whole = array ? shape : &node.size;
    format::PiecesIdentity identity(array ? node.dtype_code : 1, array ? node.dtype_bits : 8, whole,
                                    rank);
    for (uint64_t p = 0; p < std::min<uint64_t>(node.b, 4096); ++p) {
      const uint8_t* record = Record(format::kPieces, node.a + p);
      uint64_t dims[3][format::kMaxRank];
      if (record == nullptr) return false;
      for (uint32_t k = 0; k < 3; ++k) {
        if (!Shape(base::LoadLe32(record + 4 + 4 * k), rank, dims[k])) return false;
      }
      identity.Piece(dims[0], dims[1], dims[2]);
      const uint64_t first = base::LoadLe32(record + 16);
      const uint64_t count = base::LoadLe32(record + 20);
      for (uint64_t i = first; i < first + std::min<uint64_t>(count, 4096); ++i) {
        const uint8_t* chunk = Record(format::kChunks, i);
        if (chunk == nullptr) return false;
        identity.Chunk({base::LoadLe64(chunk + 24), base::LoadLe64(chunk + 32)});
      }
    }
    *out = identity.Digest();
    return true;
  }

  codec::Hash128 Identity(const format::NodeRecord& node, const uint64_t* shape, uint8_t* record) {
    if (node.storage == format::kInline) {
      return codec::Hash128Of(ByteSpan(node.value.data(), std::min<uint64_t>(node.size, 16)));
    }
    codec::Hash128 found = node.identity();
    if (node.storage == format::kPacked && node.a < decoded_.size()) {
      const Bytes& chunk = decoded_[node.a];
      if (node.b <= chunk.size() && node.size <= chunk.size() - node.b) {
        found = codec::Hash128Of(ByteSpan(chunk).Sub(node.b, node.size));
      }
    } else if (node.storage == format::kInPieces && !PiecesOf(node, shape, &found)) {
      return found;
    }
    base::StoreLe64(record + 48, found.low);
    base::StoreLe64(record + 56, found.high);
    return found;
  }

  bool Node(uint64_t id, format::ContentDigest* content) {
    uint8_t* record = Record(format::kNodes, id);
    if (record == nullptr) return false;
    const auto decoded = format::DecodeNode(ByteSpan(record, 64));
    if (!decoded.ok()) return false;
    const format::NodeRecord& node = *decoded;
    uint64_t shape[format::kMaxRank] = {};
    ByteSpan key, set;
    if (!Shape(node.shape, node.rank, shape)) return false;
    if (node.key_kind == 2 || node.key_kind == 4) {
      key = Part(format::kText, node.key, node.key_size);
      if (key.data == nullptr) return false;
    }
    if (node.attributes != 0) {
      const uint64_t at = uint64_t{8} * (node.attributes - 1);
      const ByteSpan first = Part(format::kAttributes, at, 8);
      if (first.data == nullptr) return false;
      set = Part(format::kAttributes, at, 8 + uint64_t{base::LoadLe32(first.data + 4)});
      if (set.data == nullptr) return false;
    }
    codec::Hash128 identity;
    if (format::IsLeafKind(node.kind)) {
      ++leaves_;
      if (node.kind != 96) {
        identity = Identity(node, shape, record);
        raw_ += node.size;
      }
    }
    content->Node(node, key, shape, set, identity);
    return true;
  }

  void Nodes() {
    format::ContentDigest content;
    uint64_t seen = 0;
    for (uint64_t i = 0; i < std::min<uint64_t>(Count(format::kItems), 4096); ++i) {
      const uint8_t* record = Record(format::kItems, i);
      const auto item = format::DecodeItem(ByteSpan(record, record == nullptr ? 0 : 32));
      if (!item.ok()) return;
      const ByteSpan name = Part(format::kText, item->name, item->name_size);
      if (name.data == nullptr) return;
      content.Item(item->kind, name.text(), item->root, item->node_count);
      for (uint64_t id = item->root; id < uint64_t{item->root} + item->node_count; ++id) {
        if (++seen > 65536 || !Node(id, &content)) return;
      }
    }
    const codec::Hash128 digest = content.Digest();
    base::StoreLe64(trailer_ + 40, leaves_);
    base::StoreLe64(trailer_ + 48, digest.low);
    base::StoreLe64(trailer_ + 56, digest.high);
    base::StoreLe64(trailer_ + 272, raw_);
  }

  Bytes* file_;
  uint8_t* trailer_ = nullptr;
  uint64_t index_ = 0;
  uint64_t size_ = 0;
  uint64_t leaves_ = 0;
  uint64_t raw_ = 0;
  std::vector<Bytes> decoded_;
  codec::Codec codec_;
};

// Everything that can be right of arbitrary bytes is.
inline void Repair(Bytes* file) {
  if (file->size() < format::kHeaderSize + format::kTrailerSize) return;
  uint8_t* trailer = file->data() + file->size() - format::kTrailerSize;
  base::StoreLe64(trailer + 288, file->size());
  Meaning(file).Repair();
  written::RepairHashes(file);
}

}  // namespace fuzz

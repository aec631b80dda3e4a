// SPDX-License-Identifier: Apache-2.0
// Writes trees into memory and takes the bytes apart again with the record decoders alone.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "codec/hash.h"
#include "container/writer.h"
#include "format/records.h"
#include "storage/memory.h"
#include "tree/tree.h"

namespace written {

using treering::base::ByteSpan;
using treering::base::Code;
using treering::base::Status;
using treering::container::Summary;
using treering::container::Writer;
using treering::container::WriterOptions;
using treering::tree::Dtype;
using treering::tree::Key;
using treering::tree::Kind;
using treering::tree::Node;
using treering::tree::Tree;
using treering::tree::ValueForm;
namespace base = treering::base;
namespace codec = treering::codec;
namespace format = treering::format;
namespace storage = treering::storage;
namespace tree = treering::tree;

using Bytes = std::vector<uint8_t>;

// Nodes in preorder and what they point to.
class Build {
 public:
  Build& Container(Kind kind, Key key, uint64_t children) {
    Node node;
    node.kind = kind;
    node.key = Keep(key);
    node.child_count = children;
    nodes_.push_back(node);
    return *this;
  }
  Build& Leaf(Kind kind, Key key, std::string bytes) {
    Node& node = Add(kind, key);
    texts_.push_back(std::move(bytes));
    node.value.form = ValueForm::kData;
    node.value.data = texts_.back().data();
    node.value.size = texts_.back().size();
    return *this;
  }
  // `size` bytes that are told by `seed`; `mask` takes bits from them, so that they compress.
  Build& Array(Key key, Dtype dtype, std::vector<uint64_t> shape, uint64_t seed,
               uint8_t mask = 255) {
    Node& node = Shaped(key, dtype, std::move(shape));
    uint64_t size = 0;
    if (!tree::RawSize(dtype, node.shape, node.rank, &size)) size = 0;
    data_.push_back(Pattern(size, seed, mask));
    node.value.form = ValueForm::kData;
    node.value.data = data_.back().data();
    node.value.size = size;
    return *this;
  }
  // An array without a value yet: the last node is for the test to complete.
  Build& Abstract(Key key, Dtype dtype, std::vector<uint64_t> shape) {
    Shaped(key, dtype, std::move(shape));
    return *this;
  }
  Build& Alias(Key key, uint64_t of) {
    Add(Kind::kAlias, key).alias_of = of;
    return *this;
  }
  Node& last() { return nodes_.back(); }
  const Bytes& last_data() const { return data_.back(); }

  // Lends everything: this object outlives the tree.
  Tree Make(uint32_t max_depth = tree::kMaxDepth) const {
    Tree made(max_depth);
    const auto added =
        made.Append(tree::kNoNode, nodes_.data(), nodes_.size(), std::make_shared<int>(0));
    return added.ok() ? std::move(made) : Tree();
  }

  static Bytes Pattern(uint64_t size, uint64_t seed, uint8_t mask) {
    Bytes bytes(static_cast<size_t>(size));
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (uint8_t& byte : bytes) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<uint8_t>((state >> 56) & mask);
    }
    return bytes;
  }

 private:
  Node& Add(Kind kind, Key key) {
    Node node;
    node.kind = kind;
    node.key = Keep(key);
    nodes_.push_back(node);
    return nodes_.back();
  }
  Node& Shaped(Key key, Dtype dtype, std::vector<uint64_t> shape) {
    Node& node = Add(Kind::kArray, key);
    shapes_.push_back(std::move(shape));
    node.dtype = dtype;
    node.rank = static_cast<uint32_t>(shapes_.back().size());
    node.shape = shapes_.back().data();
    return node;
  }
  Key Keep(Key key) {
    texts_.emplace_back(key.text);
    key.text = texts_.back();
    return key;
  }
  std::vector<Node> nodes_;
  std::deque<std::string> texts_;
  std::deque<std::vector<uint64_t>> shapes_;
  std::deque<Bytes> data_;
};

inline constexpr Dtype kInt32{0, 32};
inline constexpr Dtype kInt4{0, 4};
inline constexpr Dtype kUint8{1, 8};
inline constexpr Dtype kFloat32{2, 32};
inline constexpr Dtype kBfloat16{4, 16};

struct File {
  Bytes bytes;
  Summary summary;
  Status status;
};

inline File Write(const Tree& tree, WriterOptions options = WriterOptions()) {
  File file;
  const auto out = storage::WriteToVector(&file.bytes);
  auto writer = Writer::Create(out.get(), std::move(options));
  file.status = writer.ok() ? writer.value()->AddTree("default", tree) : writer.status();
  if (!file.status.ok()) return file;
  auto summary = writer.value()->Finish();
  file.status = summary.ok() ? Status() : summary.status();
  if (summary.ok()) file.summary = summary.value();
  return file;
}

// Code and whether the message holds a text: what a test can assert on.
struct Outcome {
  Code code = Code::kInternal;
  int os_error = 0;
  bool tells = false;
};
inline Outcome Of(const Status& status, std::string_view told = "") {
  return {status.code(), status.os_error(), status.message().find(told) != std::string_view::npos};
}

// A written file taken apart. The tests' files are right, so what cannot be decoded is all zero.
class Ring {
 public:
  explicit Ring(const Bytes& bytes) : bytes_(bytes) {
    if (bytes.size() < format::kTrailerSize) return;
    auto decoded = format::DecodeTrailer(
        ByteSpan(bytes).Sub(bytes.size() - format::kTrailerSize, format::kTrailerSize),
        bytes.size());
    valid_ = decoded.ok();
    if (valid_) trailer_ = decoded.value();
  }
  bool valid() const { return valid_; }
  const format::Trailer& trailer() const { return trailer_; }
  uint32_t count(format::Section s) const { return trailer_.sections[s].count; }
  ByteSpan section(format::Section s) const {
    const format::SectionEntry& entry = trailer_.sections[s];
    return ByteSpan(bytes_).Sub(trailer_.index_offset + entry.offset, entry.size());
  }
  ByteSpan record(format::Section s, uint32_t id) const {
    return section(s).Sub(uint64_t{id} * format::kStride[s], format::kStride[s]);
  }
  format::NodeRecord node(uint32_t id) const {
    auto decoded = format::DecodeNode(record(format::kNodes, id));
    return decoded.ok() ? decoded.value() : format::NodeRecord();
  }
  format::ChunkRecord chunk(uint32_t id) const {
    auto decoded = format::DecodeChunk(record(format::kChunks, id));
    return decoded.ok() ? decoded.value() : format::ChunkRecord();
  }
  format::PieceRecord piece(uint32_t id) const {
    auto decoded = format::DecodePiece(record(format::kPieces, id));
    return decoded.ok() ? decoded.value() : format::PieceRecord();
  }
  std::vector<uint64_t> dims(uint32_t at, uint32_t rank) const {
    std::vector<uint64_t> out;
    for (uint32_t i = 0; i < rank; ++i) {
      out.push_back(base::LoadLe64(section(format::kDims).data + 8 * (uint64_t{at} + i)));
    }
    return out;
  }
  ByteSpan text(uint64_t at, uint64_t size) const { return section(format::kText).Sub(at, size); }
  std::string key(uint32_t id) const {
    const format::NodeRecord r = node(id);
    return std::string(text(r.key, r.key_size).text());
  }
  // Decoded bytes of a chunk, empty if a hash or the codec says no.
  Bytes decoded(uint32_t id) const;
  // Raw bytes of a leaf.
  Bytes value(uint32_t id) const;

 private:
  const Bytes& bytes_;
  format::Trailer trailer_;
  bool valid_ = false;
};

inline Bytes Ring::decoded(uint32_t id) const {
  const format::ChunkRecord r = chunk(id);
  const ByteSpan stored = ByteSpan(bytes_).Sub(r.offset, r.stored_size);
  Bytes raw(r.raw_size);
  codec::Codec decoder;
  if (codec::Hash64(stored) != r.stored_hash ||
      !decoder.Decode(r.codec, r.param, stored, raw.data(), raw.size()).ok() ||
      codec::Hash128Of(ByteSpan(raw)) != r.raw_hash) {
    return Bytes();
  }
  return raw;
}

inline Bytes Ring::value(uint32_t id) const {
  const format::NodeRecord r = node(id);
  if (r.storage == format::kInline) {
    return Bytes(r.value.begin(), r.value.begin() + static_cast<ptrdiff_t>(r.size));
  }
  if (r.storage == format::kPacked) {
    const Bytes pack = decoded(r.a);
    if (r.b + r.size > pack.size()) return Bytes();
    return Bytes(pack.begin() + r.b, pack.begin() + static_cast<ptrdiff_t>(r.b + r.size));
  }
  const bool array = r.kind == 64 || r.kind == 71;
  const Dtype dtype = array ? Dtype{r.dtype_code, r.dtype_bits} : kUint8;
  const uint32_t rank = array ? r.rank : 1;
  const auto shape = array ? dims(r.shape, rank) : std::vector<uint64_t>{r.size};
  const tree::Box whole = tree::WholeBox(shape.data(), rank);
  Bytes out(static_cast<size_t>(r.size));
  for (uint32_t p = r.a; p < r.a + r.b; ++p) {
    const format::PieceRecord piece_record = piece(p);
    const auto origin = dims(piece_record.origin, rank), extent = dims(piece_record.extent, rank),
               chunk_shape = dims(piece_record.chunk_shape, rank);
    for (uint32_t c = 0; c < piece_record.chunk_count; ++c) {
      tree::Box cell;
      cell.rank = rank;
      uint64_t left = c;
      for (uint32_t axis = rank; axis-- > 0;) {
        const uint64_t cells = (extent[axis] - 1) / chunk_shape[axis] + 1;
        const uint64_t first = left % cells * chunk_shape[axis];
        left /= cells;
        cell.origin[axis] = origin[axis] + first;
        cell.extent[axis] = std::min(chunk_shape[axis], extent[axis] - first);
      }
      Bytes raw = decoded(piece_record.first_chunk + c);
      if (raw.empty()) return Bytes();
      tree::CopyBox(dtype, tree::Contiguous(dtype, whole, out.data()),
                    tree::Contiguous(dtype, cell, raw.data()), cell);
    }
  }
  return out;
}

}  // namespace written

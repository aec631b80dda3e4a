// SPDX-License-Identifier: Apache-2.0
// The index of a container while it grows.
//
// Records are encoded when they are added, each section into one flat vector, so that a leaf costs
// its 64 bytes, its key and nothing else. The content digest is fed at the same time, since nodes
// come in the order in which it wants them. Only two things are known later: in which chunk a
// packed leaf ends up (its record is patched) and the size of the hash table (hashes are kept until
// then).
//
// Texts, shapes and attribute sets are stored once. Writing out is in index_output.cc.
#include "container/index_builder.h"

#include <string>

namespace treering::container {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint64_t kNodeStride = format::kStride[format::kNodes];
constexpr uint64_t kMostNodes = UINT32_MAX - 1;
constexpr size_t kChunkField = 40;  // of a node record

template <typename Record>
void AppendRecord(const Record& record, uint32_t stride, std::vector<uint8_t>* section) {
  const size_t at = section->size();
  section->resize(at + stride);
  format::Encode(record, section->data() + at);
}

}  // namespace

Status IndexBuilder::BeginItem(format::ItemKind kind, std::string_view name, uint64_t node_count) {
  if (node_count > kMostNodes - next_node_) {
    return Status(Code::kLimit, "the file would have more than 4294967294 nodes");
  }
  format::ItemRecord record;
  record.kind = kind;
  record.name = AddText(name);
  record.name_size = static_cast<uint32_t>(name.size());
  record.root = next_node_;
  record.node_count = static_cast<uint32_t>(node_count);
  AppendRecord(record, format::kStride[format::kItems], &section(format::kItems));
  content_.Item(kind, name, record.root, record.node_count);
  root_ = next_node_;
  section(format::kNodes).resize((uint64_t{root_} + node_count) * kNodeStride);
  return Status();
}

uint64_t IndexBuilder::AddText(std::string_view text) {
  return texts_.Add(ByteSpan(text), &section(format::kText));
}

uint32_t IndexBuilder::AddDims(const uint64_t* dims, uint32_t rank) {
  uint8_t bytes[8 * tree::kMaxRank];
  for (uint32_t i = 0; i < rank; ++i) base::StoreLe64(bytes + 8 * i, dims[i]);
  return static_cast<uint32_t>(
      dims_.Add(ByteSpan(bytes, uint64_t{8} * rank), &section(format::kDims)) / 8);
}

base::Result<uint32_t> IndexBuilder::AddAttributes(const tree::Node& node) {
  if (node.attribute_count == 0) return uint32_t{0};
  const tree::AttributeSet* const set = node.attribute_set;
  if (set != nullptr && set == last_set_) return last_attributes_;
  if (set != nullptr) {
    const auto found = sets_.find(set);
    if (found != sets_.end()) return found->second;
  }
  std::vector<format::AttributeRecord> records;
  for (uint64_t i = 0; i < node.attribute_count; ++i) {
    const tree::Attribute& attribute = node.attributes[i];
    if (attribute.id > UINT16_MAX || attribute.flags > UINT16_MAX ||
        attribute.value.size() > UINT32_MAX / 2) {
      return Status(Code::kInvalidArgument, "its attribute " + std::to_string(attribute.id) +
                                                " has an id, flags or a size beyond the format");
    }
    records.push_back({static_cast<uint16_t>(attribute.id), static_cast<uint16_t>(attribute.flags),
                       ByteSpan(attribute.value)});
  }
  std::vector<uint8_t> bytes;
  format::EncodeAttributes(records, &bytes);
  const uint64_t at = attributes_.Add(ByteSpan(bytes), &section(format::kAttributes));
  const auto number = static_cast<uint32_t>(1 + at / 8);
  if (set != nullptr) {
    sets_[set] = number;
    last_set_ = set;
    last_attributes_ = number;
  }
  return number;
}

void IndexBuilder::AddPiece(const format::PieceRecord& record) {
  AppendRecord(record, format::kStride[format::kPieces], &section(format::kPieces));
}

uint32_t IndexBuilder::piece_count() const {
  return static_cast<uint32_t>(sections_[format::kPieces].size() /
                               format::kStride[format::kPieces]);
}

ByteSpan IndexBuilder::AttributeBytes(uint32_t attributes) const {
  if (attributes == 0) return ByteSpan();
  const std::vector<uint8_t>& all = sections_[format::kAttributes];
  const uint64_t at = (uint64_t{attributes} - 1) * 8;
  return ByteSpan(all.data() + at, 8 + uint64_t{base::LoadLe32(all.data() + at + 4)});
}

void IndexBuilder::AddNode(const format::NodeRecord& record, ByteSpan key_text,
                           const uint64_t* shape, const codec::Hash128& identity) {
  format::Encode(record, section(format::kNodes).data() + next_node_ * kNodeStride);
  content_.Node(record, key_text, shape, AttributeBytes(record.attributes), identity);
  if (format::IsLeafKind(record.kind)) {
    ++leaf_count_;
    if (record.storage != format::kAliasOf) raw_bytes_ += record.size;
  }
  ++next_node_;
}

void IndexBuilder::AddHashed(uint32_t parent, const format::NodeRecord& child, ByteSpan key_text) {
  hashed_.push_back(
      {format::ChildHash(parent, child.key_kind, child.key, key_text), next_node_ + 1});
}

void IndexBuilder::SetChunk(uint32_t node, uint32_t chunk) {
  base::StoreLe32(section(format::kNodes).data() + node * kNodeStride + kChunkField, chunk);
}

}  // namespace treering::container

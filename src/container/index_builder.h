// SPDX-License-Identifier: Apache-2.0
// The index of a container while it grows: flat bytes a section, and how they end up in the file.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/hash.h"
#include "container/chunk_writer.h"
#include "container/unique_runs.h"
#include "format/records.h"
#include "tree/tree.h"

namespace treering::container {

class IndexBuilder {
 public:
  // Begins an item of `node_count` nodes, which are then added in order of id.
  base::Status BeginItem(format::ItemKind kind, std::string_view name, uint64_t node_count);
  // Where the item's nodes begin, and the id of the next one.
  uint32_t root() const { return root_; }
  uint32_t next_node() const { return next_node_; }

  uint64_t AddText(std::string_view text);
  uint32_t AddDims(const uint64_t* dims, uint32_t rank);
  // 0 for none, else the number for node records. Sets that are one object are looked up once.
  base::Result<uint32_t> AddAttributes(const tree::Node& node);
  void ForgetSets() { sets_.clear(); }  // the tree they belong to may go
  void AddPiece(const format::PieceRecord& record);
  uint32_t piece_count() const;

  // `shape` has record.rank elements; `identity` counts for leaves.
  void AddNode(const format::NodeRecord& record, base::ByteSpan key_text, const uint64_t* shape,
               const codec::Hash128& identity);
  // Enters the child that comes next into the hash table.
  void AddHashed(uint32_t parent, const format::NodeRecord& child, base::ByteSpan key_text);
  // The chunk of a packed leaf, once it is known.
  void SetChunk(uint32_t node, uint32_t chunk);

  uint64_t leaf_count() const { return leaf_count_; }
  uint64_t raw_bytes() const { return raw_bytes_; }
  uint64_t node_count() const { return next_node_; }

  // Writes index, table and trailer behind the chunks, which are flushed.
  base::Result<format::Trailer> Finish(std::string_view metadata, ChunkWriter* out);

 private:
  struct Hashed {
    uint64_t hash;
    uint32_t node;
  };
  std::vector<uint8_t>& section(format::Section s) { return sections_[s]; }
  base::ByteSpan AttributeBytes(uint32_t attributes) const;
  void FillHashSlots();
  base::Status LayOut(format::Trailer* trailer);
  base::Status WriteSections(const format::Trailer& trailer, std::vector<uint8_t>* table,
                             ChunkWriter* out);

  std::array<std::vector<uint8_t>, format::kSectionCount> sections_;
  UniqueRuns texts_, dims_, attributes_;
  std::unordered_map<const tree::AttributeSet*, uint32_t> sets_;
  const tree::AttributeSet* last_set_ = nullptr;
  uint32_t last_attributes_ = 0;
  std::vector<Hashed> hashed_;
  format::ContentDigest content_;
  uint32_t root_ = 0;
  uint32_t next_node_ = 0;
  uint64_t leaf_count_ = 0;
  uint64_t raw_bytes_ = 0;
};

}  // namespace treering::container

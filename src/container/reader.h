// SPDX-License-Identifier: Apache-2.0
// The open container behind container.h, and what its parts need of each other.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "container/chunk_reader.h"
#include "container/container.h"
#include "container/other_files.h"

namespace treering::container {

// A leaf that is going to be read: known kind and dtype, no unknown critical attribute, and a size
// that agrees with its shape. Strings, bytes, ints and other scalars are uint8 arrays of one axis.
struct Leaf {
  uint32_t id = 0;        // as asked for
  uint32_t value_id = 0;  // of the node with the value
  format::NodeRecord value;
  tree::Dtype dtype;
  uint32_t rank = 0;
  tree::Dims shape;  // the first `rank` are set
  bool array = false;
};

class Reader final : public Container {
 public:
  Reader(std::unique_ptr<storage::ReadableFile> file, OpenOptions options);
  base::Status Open();

  const std::string& name() const override { return file_->name(); }
  const IndexView& index() const override { return *index_; }
  const storage::ReadableFile& file() const override { return *file_; }
  uint32_t max_depth() const override { return options_.max_depth; }

  base::Result<std::string_view> metadata() const override;
  base::Result<format::ItemRecord> FindItem(std::string_view item) const override;
  base::Result<std::string_view> ItemName(const format::ItemRecord& item) const override;
  base::Result<NodeInfo> Node(uint32_t id) const override;
  base::Result<uint32_t> Child(uint32_t id, const tree::Key& key) const override;
  base::Result<uint32_t> Find(std::string_view item, std::string_view path) const override;
  base::Result<uint32_t> FindKeys(std::string_view item, const tree::Key* keys,
                                  uint64_t count) const override;
  base::Result<std::vector<tree::Key>> PathKeys(uint32_t id) const override;
  base::Result<std::string> Path(uint32_t id) const override;
  base::Result<std::vector<tree::Attribute>> Attributes(
      const format::NodeRecord& record) const override;
  base::Result<uint64_t> StoredSize(const NodeInfo& node) const override;
  base::Status Read(const ReadRequest* requests, uint64_t count,
                    const ReadOptions& options) const override;
  base::Result<View> ViewOf(uint32_t node, const tree::Box* box) const override;
  base::Result<tree::Tree> Load(std::string_view item, const LoadOptions& options) const override;
  base::Result<base::ByteSpan> StoredChunk(const format::ChunkRecord& chunk,
                                           std::vector<uint8_t>* scratch) const override;

  const ChunkReader& chunks() const { return chunks_; }
  // Null unless the file is mapped.
  const std::shared_ptr<const storage::Region>& region() const { return region_; }

  base::Result<tree::Key> KeyOf(const format::NodeRecord& record) const;
  // The record that holds a node's value: its own, or that of the leaf that the alias names.
  base::Status Resolve(uint32_t id, const format::NodeRecord& record, uint32_t* value_id,
                       format::NodeRecord* value) const;
  // That a container's children lie behind it and inside [.., end).
  base::Status CheckChildren(uint32_t id, const format::NodeRecord& record, uint64_t end) const;
  // The end of the node range of the item that holds `id`.
  base::Result<uint64_t> ItemEnd(uint32_t id) const;
  // *checked_attributes: the last set that was found good, to save decoding it again; starts as 0.
  base::Status LoadLeaf(uint32_t id, uint32_t* checked_attributes, Leaf* out) const;
  base::Status CheckAttributes(uint32_t attributes) const;
  // That the chunks of a leaf make up its size, before memory of that size is asked for. Pieces do
  // not share chunk records, so *chunks_left goes down by those of the leaf and bounds the work.
  base::Status CheckBacked(const Leaf& leaf, uint64_t* chunks_left) const;
  base::Result<View> ViewOfLeaf(const Leaf& leaf, const tree::Box& box,
                                uint32_t* checked_chunk) const;

  // kCorruptStructure: "'x.ring': what; restore an intact copy".
  base::Status Broken(std::string what) const;
  // Puts the leaf's path in front of a message.
  base::Status Named(uint32_t id, base::Status status) const;
  std::string DisplayName(uint32_t id) const;

 private:
  std::unique_ptr<storage::ReadableFile> file_;
  OpenOptions options_;
  std::shared_ptr<const storage::Region> region_;
  std::unique_ptr<IndexView> index_;
  OtherFiles others_;
  ChunkReader chunks_;
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// An open container: look up, describe, read boxes, view. Const methods verify what they touch and
// are concurrent.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "container/index_view.h"
#include "container/progress.h"
#include "format/records.h"
#include "storage/storage.h"
#include "tree/cast.h"
#include "tree/filter.h"
#include "tree/report.h"
#include "tree/tree.h"

namespace treering::container {

// Opens another file of the checkpoint. An error, best kNotFoundFile, if it is not there.
using Resolve = std::function<base::Result<std::unique_ptr<storage::ReadableFile>>(
    std::string_view folder, std::string_view name, uint64_t size)>;

struct OpenOptions {
  bool map = false;
  uint64_t max_index_bytes = 0;  // 0: 1 GiB
  uint32_t max_depth = 0;        // 0: 256
  Resolve resolve;               // empty: kNotFoundFile
};

// The Resolve for a path: `folder` empty is the directory of `path`, else its sibling of that name.
Resolve ResolveBeside(std::string path);

// A node as the index tells it. Pointers are into the index and live as long as the container.
struct NodeInfo {
  uint32_t id = 0;
  format::NodeRecord record;  // of the node itself; an alias shows storage kAliasOf
  uint32_t value_id = 0;      // the node that holds the value: `id`, or what the alias names
  format::NodeRecord value;   // record of value_id
  tree::Key key;
  tree::Dims shape{};  // arrays and PRNG keys: value.rank dimensions; others: none
};

struct ReadRequest {
  uint32_t node = 0;
  bool whole = true;
  tree::Box box;  // if not whole
  void* dst = nullptr;
  uint64_t dst_size = 0;
  const int64_t* strides = nullptr;  // null: C order without gaps
  tree::Dtype dtype;                 // bits 0: as stored
  tree::Cast cast = tree::Cast::kNever;
  bool one_per_byte = false;
};

struct ReadOptions {
  uint32_t threads = 0;
  Progress progress;
};

struct LoadOptions {
  bool abstract = false;
  bool views = false;
  uint32_t threads = 0;
  tree::FilterPtr filter;
  Progress progress;
};

class Container {
 public:
  static base::Result<std::shared_ptr<const Container>> Open(
      std::unique_ptr<storage::ReadableFile> file, OpenOptions options);
  virtual ~Container() = default;

  virtual const std::string& name() const = 0;  // of the file, for messages
  virtual const IndexView& index() const = 0;
  virtual const storage::ReadableFile& file() const = 0;
  virtual uint32_t max_depth() const = 0;

  virtual base::Result<std::string_view> metadata() const = 0;
  // "" means the only tree, or "default". kNotFoundItem lists the names there are.
  virtual base::Result<format::ItemRecord> FindItem(std::string_view item) const = 0;
  virtual base::Result<std::string_view> ItemName(const format::ItemRecord& item) const = 0;

  virtual base::Result<NodeInfo> Node(uint32_t id) const = 0;
  // kNotFoundPath if there is none.
  virtual base::Result<uint32_t> Child(uint32_t id, const tree::Key& key) const = 0;
  virtual base::Result<uint32_t> Find(std::string_view item,
                                      std::string_view display_path) const = 0;
  virtual base::Result<uint32_t> FindKeys(std::string_view item, const tree::Key* keys,
                                          uint64_t count) const = 0;
  // Keys from below the item's root to the node; display form of it. Walks up, at most max_depth
  // steps.
  virtual base::Result<std::vector<tree::Key>> PathKeys(uint32_t id) const = 0;
  virtual base::Result<std::string> Path(uint32_t id) const = 0;
  virtual base::Result<std::vector<tree::Attribute>> Attributes(
      const format::NodeRecord& record) const = 0;
  // Bytes that a leaf takes in the file (packed and inline: its raw size; pieces: sum of its
  // chunks).
  virtual base::Result<uint64_t> StoredSize(const NodeInfo& node) const = 0;

  virtual base::Status Read(const ReadRequest* requests, uint64_t count,
                            const ReadOptions& options) const = 0;
  // kUnsupportedNoView where the bytes do not lie there. The region keeps the mapping alive.
  struct View {
    base::ByteSpan bytes;
    std::shared_ptr<const storage::Region> region;
  };
  virtual base::Result<View> ViewOf(uint32_t node, const tree::Box* box) const = 0;

  // An item as a tree; data in new memory (64-byte aligned leaves), or views.
  virtual base::Result<tree::Tree> Load(std::string_view item,
                                        const LoadOptions& options) const = 0;

  // Reads and verifies the stored bytes of a chunk, and hands out a span that is valid while
  // *scratch is.
  virtual base::Result<base::ByteSpan> StoredChunk(const format::ChunkRecord& chunk,
                                                   std::vector<uint8_t>* scratch) const = 0;
};

}  // namespace treering::container

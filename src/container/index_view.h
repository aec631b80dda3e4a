// SPDX-License-Identifier: Apache-2.0
// The index of an open container, used as it lies: blocks are read and verified when first touched.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "format/records.h"
#include "storage/storage.h"

namespace treering::container {

// Thread-safe: which blocks are verified is an atomic byte a block.
class IndexView {
 public:
  // `tail` are the file's last bytes as read when opening (they may hold part of or the whole
  // index); `region` is the mapping or memory, or null when the file is to be read. The table has
  // been verified against the trailer.
  static base::Result<std::unique_ptr<IndexView>> Create(
      const storage::ReadableFile* file, std::shared_ptr<const storage::Region> region,
      const format::Trailer& trailer, base::ByteSpan tail, base::ByteSpan table);
  ~IndexView();

  const format::Trailer& trailer() const;
  uint32_t count(format::Section section) const;

  // `size` verified bytes at `offset` of a section; out of bounds is kCorruptStructure. Stable for
  // the view's life.
  base::Result<base::ByteSpan> Bytes(format::Section section, uint64_t offset, uint64_t size) const;
  // Verifies (and reads, in large pieces) every block: before a walk over everything.
  base::Status TouchAll() const;
  // Verifies one block again from the file, for verify(): answers without caching.
  base::Status CheckBlock(uint32_t block) const;

  base::Result<format::ItemRecord> Item(uint32_t id) const;
  base::Result<format::NodeRecord> Node(uint32_t id) const;
  base::Result<format::PieceRecord> Piece(uint32_t id) const;
  base::Result<format::ChunkRecord> Chunk(uint32_t id) const;
  base::Result<format::FileRecord> File(uint32_t id) const;
  base::Result<std::string_view> Text(uint64_t offset, uint64_t size) const;
  // `rank` words from position `at` of the dims section.
  base::Status Dims(uint32_t at, uint32_t rank, uint64_t* out) const;
  // The bytes of the attribute set that a node record names (its `attributes` is not 0).
  base::Result<base::ByteSpan> AttributeSet(uint32_t attributes) const;

 private:
  struct Impl;
  explicit IndexView(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace treering::container

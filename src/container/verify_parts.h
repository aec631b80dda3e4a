// SPDX-License-Identifier: Apache-2.0
// The parts of a verification: tables, keys, the walk over nodes, storage of leaves, chunks.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "container/pieces.h"
#include "container/verify_findings.h"
#include "format/records.h"
#include "tree/box.h"

namespace treering::container {

// What each record is used for; words and bits per record.
struct Usage {
  enum Role : uint8_t { kUnused = 0, kPackedChunk, kFirst, kFirstOfLarge, kFollowing };
  struct Packed {
    uint32_t chunk;
    uint32_t begin;
    uint32_t size;
    uint32_t node;
    uint8_t spare;  // bits behind the last element
  };
  struct Alias {
    uint32_t node;
    uint32_t leaf;
  };
  std::vector<Alias> aliases;
  std::vector<uint8_t> roles;         // per chunk
  std::vector<uint32_t> leaves;       // per chunk of a piece: whose
  std::vector<uint8_t> spare;         // per chunk of a piece: bits behind the last element
  std::vector<uint8_t> pieces;        // per piece: 1 if a leaf has claimed it
  std::vector<Packed> packed;         // sorted by chunk and offset once the walk is over
  std::vector<uint32_t> long_values;  // strings and ints in pieces
  bool complete = true;               // every record of a node, piece and chunk could be read
};

// Items, attribute sets, file table.
class TableCheck {
 public:
  TableCheck(const Container& container, Findings* findings)
      : container_(container), index_(container.index()), findings_(findings) {}
  base::Status Run();

  const std::vector<format::ItemRecord>& items() const { return items_; }
  // False where an item could not be used or is of an unknown kind.
  bool complete() const { return complete_; }
  // Whether an attribute set begins where a node says.
  bool SetBegins(uint32_t attributes) const;
  bool has_critical_unknown(uint32_t attributes) const;

 private:
  base::Status Items();
  base::Status Item(uint32_t id, uint64_t* end, std::vector<NamedItem>* named);
  void UniqueNames(std::vector<NamedItem> named);
  base::Status AttributeSets();
  base::Status Files();
  base::Status File(uint32_t id);

  const Container& container_;
  const IndexView& index_;
  Findings* findings_;
  std::vector<format::ItemRecord> items_;
  std::vector<uint8_t> sets_;  // per 8 bytes of the section: 1 a set begins, 2 with a critical
                               // attribute that is not known
  bool sets_complete_ = true;
  bool complete_ = true;
};

// Keys of children: form, order, uniqueness, and their places in the hash table.
class KeyCheck {
 public:
  KeyCheck(const IndexView& index, Findings* findings);
  // The children [record.a, + record.size) exist and lie behind `id`. Clears *complete if a record
  // cannot be read; sets depths[child].
  base::Status Children(uint32_t id, const format::NodeRecord& record,
                        std::vector<uint16_t>* depths, bool* complete);
  // The table holds what was fed and nothing else.
  base::Status FinishTable(bool complete);

 private:
  base::Status Child(uint32_t parent, const format::NodeRecord& container, uint32_t id,
                     bool* complete);
  void Form(const format::NodeRecord& container, uint32_t id, uint64_t position,
            const format::NodeRecord& child, std::string_view text);
  base::Status Unique(uint32_t parent);
  base::Status SameKey(uint32_t a, uint32_t b, bool* same) const;
  base::Status Place(uint32_t parent, uint32_t id, const format::NodeRecord& child,
                     std::string_view text);

  const IndexView& index_;
  Findings* findings_;
  struct Seen {
    uint64_t hash;
    uint32_t id;
  };
  std::vector<Seen> seen_;      // children of the container at hand
  std::vector<uint32_t> next_;  // per hash slot: the next free one, with shortcuts
  uint64_t entries_ = 0;
  bool table_wrong_ = false;
};

// Where leaves keep their bytes: packed chunks and pieces, each record used once.
class StorageCheck {
 public:
  StorageCheck(const IndexView& index, Findings* findings, Usage* usage)
      : index_(index), findings_(findings), usage_(usage) {}
  // A leaf of a known kind and dtype; shape has rank elements, and size agrees with it.
  base::Status Leaf(uint32_t id, const format::NodeRecord& record, const tree::Dims& shape);

 private:
  base::Status Packed(uint32_t id, const format::NodeRecord& record, uint8_t spare);
  base::Status Pieces(uint32_t id, const format::NodeRecord& record, const tree::Dims& shape);
  base::Status Piece(uint32_t id, uint32_t piece, PieceGrid* grid, bool* fits);
  bool Grid(uint32_t id, PieceGrid* grid);
  base::Status Chunks(uint32_t id, const PieceGrid& grid, format::PiecesIdentity* identity,
                      bool* fits);

  const IndexView& index_;
  Findings* findings_;
  Usage* usage_;
  tree::Dtype dtype_;  // of the leaf at hand
  tree::Box whole_;
};

// All nodes of all items: structure, totals, content digest.
class NodeCheck {
 public:
  NodeCheck(const Container& container, const TableCheck& tables, Findings* findings, Usage* usage);
  base::Status Run();

 private:
  base::Status Item(const format::ItemRecord& item);
  base::Status Node(const format::ItemRecord& item, uint32_t id);
  base::Status Attributes(uint32_t id, const format::NodeRecord& record, base::ByteSpan* set);
  base::Status Inner(const format::ItemRecord& item, uint32_t id, const format::NodeRecord& record);
  base::Status Leaf(uint32_t id, const format::NodeRecord& record, tree::Dims* shape);
  base::Status Array(uint32_t id, const format::NodeRecord& record, tree::Dims* shape,
                     bool* usable);
  base::Status Alias(uint32_t id, const format::NodeRecord& record);
  void RootOf(const format::ItemRecord& item, const format::NodeRecord& record);
  base::Status Totals();

  const Container& container_;
  const IndexView& index_;
  const TableCheck& tables_;
  Findings* findings_;
  Usage* usage_;
  KeyCheck keys_;
  StorageCheck storage_;
  std::vector<uint16_t> depths_;
  format::ContentDigest content_;
  uint64_t next_child_ = 0;  // where the next container's children begin
  bool exact_ = true;        // or behind it, once a container could not be used
  uint64_t leaves_ = 0;
  uint64_t raw_bytes_ = 0;
  bool complete_ = true;   // every node could be read
  bool all_known_ = true;  // no leaf of a kind that is not known
};

// Chunks: layout, stored hashes, raw hashes, identities of packed leaves, padding.
class ChunkCheck {
 public:
  ChunkCheck(const Container& container, const ReadOptions& options, Findings* findings,
             Usage* usage)
      : container_(container),
        index_(container.index()),
        options_(options),
        findings_(findings),
        usage_(usage) {}
  base::Status Run();

 private:
  enum Wrong : uint8_t { kRight = 0, kOtherBytes, kOutside, kNoValue };
  struct Place {
    uint64_t offset;
    uint32_t size;
    uint32_t file;
    uint32_t id;
    uint32_t first;  // the first record of the same bytes
  };
  struct Worker;

  base::Status Collect();
  base::Status Order();
  base::Status Overlap(const Place& before, const Place& place);
  base::Status Layout();
  base::Status Gap(uint64_t from, uint64_t to);
  base::Status Bytes();
  base::Status CheckOne(const Place& place, Worker* worker);
  base::Status Decode(const format::ChunkRecord& chunk, Worker* worker, base::ByteSpan* decoded);
  base::Status Account(uint64_t bytes);
  void CheckPacked(uint32_t id, base::ByteSpan decoded);
  void CheckPackedValues(size_t begin, size_t end, base::ByteSpan decoded);
  bool SameIdentity(uint32_t a, uint32_t b) const;
  std::pair<size_t, size_t> PackedIn(uint32_t chunk) const;
  void Tell();
  void TellChunk(uint32_t id, base::Code code, const std::string& expected,
                 const std::string& found, uint64_t offset);
  std::string NameOfFile(uint32_t file) const;

  const Container& container_;
  const IndexView& index_;
  const ReadOptions& options_;
  Findings* findings_;
  Usage* usage_;
  std::vector<Place> places_;          // ascending by file and offset
  std::vector<uint16_t> codes_;        // per chunk: why it cannot be used, 0 if it can
  std::vector<uint8_t> wrong_chunks_;  // per chunk: Wrong
  std::vector<uint8_t> wrong_packed_;  // per entry of usage_->packed: Wrong
  std::vector<uint8_t> no_values_;     // per entry of usage_->packed: 1 if its bytes are no value
  std::vector<uint16_t> files_;        // per other file: why it cannot be used, once known
  bool complete_ = true;               // every chunk record can be used
  std::mutex mutex_;                   // around files_, done_ and the caller's callback
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Containers that lie although every checksum is right, each with what must be answered.
#pragma once

#include <treering/treering.h>

#include <functional>
#include <string>
#include <vector>

#include "../../fuzz/repair.h"

namespace corrupt {

using Bytes = std::vector<uint8_t>;
using Editor = written::RingEditor;

// What is made right again after a change, beside the checksums of what is stored.
enum Repairs { kMeaning, kChecksums, kLies };

struct Mutant {
  const char* name;
  const char* base;  // the golden container that is changed
  Repairs repairs;   // kMeaning: raw hashes, identities, totals and the content digest too;
                     // kLies: not even the stored hashes of chunks
  std::function<void(Editor*)> edit;
  treering_status open;
  treering_status load;  // of all items: the first failure
  treering_status verify;
};

// Changes behind the editor: bytes of the whole file, before the last hashes are made right.
struct ByteMutant {
  const char* name;
  const char* base;
  std::function<void(Bytes*)> edit;
  treering_status open;
  treering_status load;
  treering_status verify;
};

// Of nodes, keys and hash table; of what leaves are stored in; of the tables around them.
std::vector<Mutant> NodeMutants();
std::vector<Mutant> StorageMutants();
std::vector<Mutant> TableMutants();
std::vector<ByteMutant> TrailerMutants();

Bytes Mutate(const Mutant& mutant, const Bytes& base);
Bytes Mutate(const ByteMutant& mutant, const Bytes& base);

inline constexpr treering_status kOk = TREERING_OK;
inline constexpr treering_status kStructure = TREERING_CORRUPT_STRUCTURE;
inline constexpr treering_status kChecksum = TREERING_CORRUPT_CHECKSUM;
inline constexpr treering_status kTruncated = TREERING_CORRUPT_TRUNCATED;
inline constexpr treering_status kVersion = TREERING_UNSUPPORTED_VERSION;
inline constexpr treering_status kFeature = TREERING_UNSUPPORTED_FEATURE;
inline constexpr treering_status kKind = TREERING_UNSUPPORTED_KIND;
inline constexpr treering_status kDtype = TREERING_UNSUPPORTED_DTYPE;
inline constexpr treering_status kCodec = TREERING_UNSUPPORTED_CODEC;
inline constexpr treering_status kNoFile = TREERING_NOT_FOUND_FILE;
inline constexpr treering_status kLimit = TREERING_LIMIT;

namespace format = treering::format;
using format::ChunkRecord;
using format::ItemRecord;
using format::NodeRecord;
using format::PieceRecord;

// Changes one record.
inline std::function<void(Editor*)> Node(uint32_t id, std::function<void(NodeRecord*)> change) {
  return [=](Editor* e) {
    NodeRecord record = e->node(id);
    change(&record);
    e->SetNode(id, record);
  };
}
inline std::function<void(Editor*)> Chunk(uint32_t id, std::function<void(ChunkRecord*)> change) {
  return [=](Editor* e) {
    ChunkRecord record = e->chunk(id);
    change(&record);
    e->SetChunk(id, record);
  };
}
inline std::function<void(Editor*)> Piece(uint32_t id, std::function<void(PieceRecord*)> change) {
  return [=](Editor* e) {
    PieceRecord record = e->piece(id);
    change(&record);
    e->SetPiece(id, record);
  };
}
inline std::function<void(Editor*)> Item(uint32_t id, std::function<void(ItemRecord*)> change) {
  return [=](Editor* e) {
    ItemRecord record = e->item(id);
    change(&record);
    e->SetItem(id, record);
  };
}
// Gives a node another shape, and a size.
inline std::function<void(Editor*)> Shaped(uint32_t id, std::vector<uint64_t> shape,
                                           uint64_t size) {
  return [=](Editor* e) {
    NodeRecord record = e->node(id);
    record.rank = static_cast<uint8_t>(shape.size());
    record.shape = static_cast<uint32_t>(e->AddDims(shape));
    record.size = size;
    e->SetNode(id, record);
  };
}

}  // namespace corrupt

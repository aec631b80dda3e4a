// SPDX-License-Identifier: Apache-2.0
// Where the value of a leaf goes: into its record, a packed chunk, or pieces.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "container/array_writer.h"
#include "container/chunk_writer.h"
#include "container/index_builder.h"
#include "container/packer.h"
#include "format/records.h"
#include "tree/tree.h"

namespace treering::container {

// What a save does with leaves that do not say otherwise. Codec numbers are those of the C ABI.
struct LeafDefaults {
  int32_t codec = 0;
  int32_t level = 0;
  uint64_t chunk_bytes = 0;
};
// kInvalidArgument for a codec or level that there is not.
base::Status CheckCodec(int32_t codec, int32_t level);

class LeafWriter {
 public:
  LeafWriter(ChunkWriter* chunks, IndexBuilder* index, const LeafDefaults& defaults);

  // Stores the value of `leaf`, whose record is that of node `id`: fills storage, size, a, b and
  // value. Messages do not name the leaf. The value's memory is needed until the chunks are
  // flushed.
  base::Status Write(const tree::Node& leaf, uint32_t id, format::NodeRecord* record,
                     codec::Hash128* identity);
  // Writes packed chunks that are not full.
  base::Status Close() { return packer_.Close(); }
  // True if no value's memory is needed any more; so it is after Flush.
  bool idle() const { return chunks_->idle(); }
  base::Status Flush() { return chunks_->Flush(); }

 private:
  base::Status Params(const tree::Node& leaf, codec::CodecParams* params) const;
  base::Status Copy(const ArrayLeaf& leaf, uint32_t unit, uint64_t size, uint8_t* dst);
  base::Status CopyPieces(const ArrayLeaf& leaf, uint64_t size, uint8_t* dst);

  ChunkWriter* chunks_;
  LeafDefaults defaults_;
  Packer packer_;
  ArrayWriter arrays_;
  std::vector<Source> sources_;
  std::vector<uint8_t> scratch_;
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Small leaves share chunks.
//
// A chunk of its own would cost a leaf of 256 bytes a record, a hash and padding; 1024 of them in
// one chunk cost next to nothing. There is one open chunk for each codec and its parameters; leaves
// are appended as they come, and a chunk is written when the next leaf would not fit. Only then is
// its id known, and the records of its leaves are completed.
//
// Invariant: bytes [0, used) of a pack are final; buffers are reused, so gaps are zeroed.
#include "container/packer.h"

#include <algorithm>
#include <cstring>

#include "format/records.h"

namespace treering::container {
namespace {

using base::Status;

constexpr uint64_t kFirstRoom = 8192;
constexpr uint64_t kChunkAlignment = 64;

bool Same(const codec::CodecParams& a, const codec::CodecParams& b) {
  if (a.codec != b.codec) return false;
  if (a.codec == codec::kRaw) return true;
  return a.level == b.level && codec::ParamByte(a) == codec::ParamByte(b);
}

}  // namespace

Packer::Pack* Packer::Find(const codec::CodecParams& params) {
  if (last_ != nullptr && Same(last_->params, params)) return last_;
  for (const auto& pack : packs_) {
    if (Same(pack->params, params)) return pack.get();
  }
  packs_.push_back(std::make_unique<Pack>());
  packs_.back()->params = params;
  return packs_.back().get();
}

Status Packer::Place(const codec::CodecParams& params, uint32_t node, uint64_t size,
                     uint64_t alignment, uint8_t** room, uint32_t* offset) {
  Pack* const pack = last_ = Find(params);
  uint64_t start = (pack->used + alignment - 1) & ~(alignment - 1);
  if (start + size > format::kPackedChunkSize) {
    TR_RETURN_IF_ERROR(Write(pack));
    start = 0;
  }
  const uint64_t end = start + size;
  if (pack->bytes.size() < end) {
    const uint64_t doubled = std::max<uint64_t>(kFirstRoom, pack->bytes.size() * 2);
    pack->bytes.resize(std::min(format::kPackedChunkSize, std::max(end, doubled)));
  }
  uint8_t* const data = pack->bytes.data();
  std::memset(data + pack->used, 0, static_cast<size_t>(start - pack->used));
  pack->used = end;
  pack->nodes.push_back(node);
  *room = data + start;
  *offset = static_cast<uint32_t>(start);
  return Status();
}

Status Packer::Write(Pack* pack) {
  if (pack->nodes.empty()) return Status();
  for (const uint32_t node : pack->nodes) index_->SetChunk(node, chunks_->count());
  base::ByteSpan raw(pack->bytes.data(), pack->used);
  if (pack->params.codec != codec::kRaw) {  // waits to be compressed, so it takes its memory along
    std::vector<uint8_t>* const stage = chunks_->stage();
    stage->swap(pack->bytes);
    raw = base::ByteSpan(stage->data(), pack->used);
  }
  pack->nodes.clear();
  pack->used = 0;
  codec::Hash128 unused;
  return chunks_->Add(pack->params, kChunkAlignment, raw, &unused);
}

Status Packer::Close() {
  for (const auto& pack : packs_) TR_RETURN_IF_ERROR(Write(pack.get()));
  return Status();
}

}  // namespace treering::container

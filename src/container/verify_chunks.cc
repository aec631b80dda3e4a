// SPDX-License-Identifier: Apache-2.0
// Verifying chunks: where they lie, what they hold, and whose leaves a bad one takes along.
//
// Records are sorted by place once. Equal records are one chunk that is read once; any other
// overlap is refused and not read. So the bytes that are read are at most those of the files,
// however many records name them. Between chunks there may only be padding, zero and no more than
// alignment asks for.
//
// Chunks are independent, so they are read, decoded and hashed in parallel; each task writes to
// places of its own (a code per chunk, a byte per packed leaf). Findings are made afterwards on one
// thread, in order, which makes reports independent of timing.
#include <algorithm>
#include <memory>

#include "base/checked.h"
#include "base/parallel.h"
#include "codec/codec.h"
#include "container/chunk_reader.h"
#include "container/verify_parts.h"
#include "container/verify_values.h"
#include "tree/tree.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Status;

namespace {

constexpr uint64_t kSmallAlignment = 64;
constexpr uint64_t kLargeAlignment = 4096;

uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

// Whether a chunk in that role may begin at `to` when what was before it ended at `from`.
bool MayFollow(uint64_t from, uint64_t to, uint8_t role) {
  switch (role) {
    case Usage::kFollowing:
      return from == to;
    case Usage::kPackedChunk:
    case Usage::kFirst:
      return to == AlignUp(from, kSmallAlignment);
    case Usage::kFirstOfLarge:
      return to == AlignUp(from, kLargeAlignment);
    default:
      return from == to || to == AlignUp(from, kSmallAlignment) ||
             to == AlignUp(from, kLargeAlignment);
  }
}

bool AllZero(ByteSpan bytes) {
  for (uint64_t i = 0; i < bytes.size; ++i) {
    if (bytes.data[i] != 0) return false;
  }
  return true;
}

}  // namespace

struct ChunkCheck::Worker {
  codec::Codec codec;
  std::vector<uint8_t> stored;
  std::vector<uint8_t> decoded;
};

Status ChunkCheck::Run() {
  std::sort(usage_->packed.begin(), usage_->packed.end(),
            [](const Usage::Packed& a, const Usage::Packed& b) {
              if (a.chunk != b.chunk) return a.chunk < b.chunk;
              return a.begin != b.begin ? a.begin < b.begin : a.size < b.size;
            });
  wrong_packed_.assign(usage_->packed.size(), kRight);
  no_values_.assign(usage_->packed.size(), 0);
  codes_.assign(index_.count(format::kChunks), 0);
  wrong_chunks_.assign(codes_.size(), kRight);
  files_.assign(index_.count(format::kFiles), 0);
  TR_RETURN_IF_ERROR(Collect());
  TR_RETURN_IF_ERROR(Order());
  if (complete_) TR_RETURN_IF_ERROR(Layout());
  TR_RETURN_IF_ERROR(Bytes());
  Tell();
  return Status();
}

Status ChunkCheck::Collect() {
  const uint32_t count = index_.count(format::kChunks);
  places_.reserve(count);
  for (uint32_t id = 0; id < count; ++id) {
    const auto chunk = index_.Chunk(id);
    if (chunk.ok() && chunk->file <= index_.count(format::kFiles)) {
      places_.push_back({chunk->offset, chunk->stored_size, chunk->file, id, id});
      continue;
    }
    complete_ = false;
    const Code code = chunk.ok() ? Code::kCorruptStructure : chunk.status().code();
    codes_[id] = static_cast<uint16_t>(code);
    if (chunk.ok()) {
      findings_->Invalid("chunk " + std::to_string(id), "a file of the file table",
                         "file " + std::to_string(chunk->file));
    } else {
      TR_RETURN_IF_ERROR(findings_->Failed("chunk " + std::to_string(id), chunk.status()));
    }
  }
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
    if (a.file != b.file) return a.file < b.file;
    if (a.offset != b.offset) return a.offset < b.offset;
    return a.size != b.size ? a.size < b.size : a.id < b.id;
  });
  return Status();
}

// Finds equal and overlapping chunks, and those of this file that are not in ascending order.
Status ChunkCheck::Order() {
  uint64_t end = 0;
  uint32_t last = 0;
  bool ordered = true;
  const Place* before = nullptr;
  for (Place& place : places_) {
    if (before == nullptr || before->file != place.file) end = 0;
    if (place.offset < end) {
      TR_RETURN_IF_ERROR(Overlap(*before, place));
      if (codes_[place.id] == 0) place.first = before->first;
    } else {
      if (place.file == 0 && place.id < last) ordered = false;
      last = place.id;
    }
    const uint64_t place_end = place.offset + place.size;
    if (place_end >= end || before == nullptr) before = &place;
    end = std::max(end, place_end);
  }
  if (!ordered) {
    findings_->Invalid("chunks", "records in ascending order of offset", "another order");
  }
  return Status();
}

Status ChunkCheck::Overlap(const Place& before, const Place& place) {
  TR_ASSIGN_OR_RETURN(const format::ChunkRecord a, index_.Chunk(before.id));
  TR_ASSIGN_OR_RETURN(const format::ChunkRecord b, index_.Chunk(place.id));
  const bool equal = a.offset == b.offset && a.stored_size == b.stored_size &&
                     a.raw_size == b.raw_size && a.stored_hash == b.stored_hash &&
                     a.raw_hash == b.raw_hash && a.codec == b.codec && a.param == b.param;
  if (equal) return Status();
  codes_[place.id] = static_cast<uint16_t>(Code::kCorruptStructure);
  complete_ = false;
  findings_->Invalid("chunk " + std::to_string(place.id), "chunks that are equal or apart",
                     "an overlap with chunk " + std::to_string(before.id), place.offset);
  return Status();
}

// The chunk area of this file, from the header to the index.
Status ChunkCheck::Layout() {
  uint64_t end = format::kHeaderSize;
  for (size_t i = 0; i < places_.size() && places_[i].file == 0; ++i) {
    const Place& place = places_[i];
    if (place.first != place.id) continue;  // bytes of the one before
    uint8_t role = usage_->roles[place.id];
    for (size_t k = i + 1; k < places_.size() && places_[k].first == place.id; ++k) {
      if (places_[k].id != place.id) role = Usage::kUnused;  // shared: any of the roles
    }
    if (!usage_->complete) role = Usage::kUnused;
    if (!MayFollow(end, place.offset, role)) {
      findings_->Invalid("chunk " + std::to_string(place.id),
                         "a place right behind byte " + std::to_string(end),
                         "byte " + std::to_string(place.offset), place.offset);
    }
    TR_RETURN_IF_ERROR(Gap(end, place.offset));
    end = place.offset + place.size;
  }
  const uint64_t index = index_.trailer().index_offset;
  if (AlignUp(end, kSmallAlignment) != index) {
    findings_->Invalid("index", "an index right behind byte " + std::to_string(end),
                       "byte " + std::to_string(index), index);
  }
  return Gap(end, index);
}

// That padding is zero. A gap that is too long has been told already and is not read.
Status ChunkCheck::Gap(uint64_t from, uint64_t to) {
  if (from >= to || to - from >= kLargeAlignment) return Status();
  uint8_t bytes[kLargeAlignment];
  TR_RETURN_IF_ERROR(container_.file().ReadAt(from, bytes, to - from));
  if (AllZero(ByteSpan(bytes, to - from))) return Status();
  findings_->Invalid("padding", "zeros", "other bytes", from);
  return Status();
}

Status ChunkCheck::Bytes() {
  std::vector<const Place*> tasks;
  for (const Place& place : places_) {
    if (place.first != place.id || codes_[place.id] != 0) continue;
    tasks.push_back(&place);
    total_ += place.size;
  }
  std::vector<std::unique_ptr<Worker>> workers(std::min<uint64_t>(options_.threads, tasks.size()) +
                                               1);
  const auto body = [&](uint64_t index, uint32_t worker) -> Status {
    if (workers[worker] == nullptr) workers[worker] = std::make_unique<Worker>();
    const Place& place = *tasks[static_cast<size_t>(index)];
    TR_RETURN_IF_ERROR(CheckOne(place, workers[worker].get()));
    return Account(place.size);
  };
  TR_RETURN_IF_ERROR(base::ParallelFor(options_.threads, tasks.size(), body));
  for (const Place& place : places_) {  // equal records share their fate
    if (codes_[place.id] == 0) codes_[place.id] = codes_[place.first];
  }
  return Status();
}

Status ChunkCheck::Account(uint64_t bytes) {
  if (!options_.progress) return Status();
  std::lock_guard<std::mutex> lock(mutex_);
  done_ += bytes;
  if (options_.progress(done_, total_) == 0) return Status();
  return Status(Code::kCancelled, "'" + container_.name() + "': the caller ended the verification");
}

Status ChunkCheck::CheckOne(const Place& place, Worker* worker) {
  TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk, index_.Chunk(place.id));
  if (chunk.file != 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    codes_[place.id] = files_[chunk.file - 1];
    if (codes_[place.id] != 0) return Status();
  }
  ByteSpan decoded;
  Status status = Decode(chunk, worker, &decoded);
  if (status.ok() && codec::Hash128Of(decoded) != chunk.raw_hash) {
    status = Status(Code::kCorruptChecksum, "raw hash");
  }
  if (IsAbort(status.code())) return status;
  codes_[place.id] = static_cast<uint16_t>(status.code());
  if (chunk.file != 0 && status.code() == Code::kNotFoundFile) {
    std::lock_guard<std::mutex> lock(mutex_);
    files_[chunk.file - 1] = static_cast<uint16_t>(status.code());
  }
  if (!status.ok()) return Status();
  if (usage_->roles[place.id] == Usage::kPackedChunk) {
    CheckPacked(place.id, decoded);
  } else if (usage_->roles[place.id] != Usage::kUnused) {
    const auto leaf = index_.Node(usage_->leaves[place.id]);
    const bool array = leaf.ok() && tree::IsArrayLike(static_cast<tree::Kind>(leaf->kind));
    if (array && !AreValues(*leaf, usage_->spare[place.id], decoded)) {
      wrong_chunks_[place.id] = kNoValue;
    }
  }
  return Status();
}

Status ChunkCheck::Decode(const format::ChunkRecord& chunk, Worker* worker, ByteSpan* decoded) {
  format::ChunkRecord known = chunk;
  if (chunk.codec > codec::kZstdPlanes) {  // its stored bytes have a hash all the same
    known.codec = codec::kZstd;
    known.raw_size = std::max(known.raw_size, known.stored_size);
  }
  TR_ASSIGN_OR_RETURN(const ByteSpan stored, container_.StoredChunk(known, &worker->stored));
  if (chunk.codec > codec::kZstdPlanes) {
    return Status(Code::kUnsupportedCodec, "codec " + std::to_string(chunk.codec));
  }
  *decoded = stored;
  if (chunk.codec == codec::kRaw) return Status();
  *decoded = ByteSpan(Room(&worker->decoded, chunk.raw_size), chunk.raw_size);
  return worker->codec.Decode(chunk.codec, chunk.param, stored, worker->decoded.data(),
                              chunk.raw_size);
}

}  // namespace treering::container

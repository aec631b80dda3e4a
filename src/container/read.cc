// SPDX-License-Identifier: Apache-2.0
// Carrying out a plan of reads: in parallel over chunks, each verified before its bytes count.
//
// A task is either a run of raw chunks that lie side by side in the file and in the destination (no
// copy: read there, hashed there while the bytes are in a near cache), or one chunk with all that
// is wanted of it (read, verified and decoded once, however many leaves share it).
//
// Memory is one set of scratch buffers for each thread, as large as the largest chunk. On failure
// what was written so far stays in the destinations; the caller is told that it is undefined.
#include "container/read_plan.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/checked.h"
#include "base/parallel.h"
#include "codec/codec.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Status;

namespace {

constexpr size_t kFewParts = 8;
constexpr uint64_t kHotBytes = uint64_t{1} << 20;  // read at once, then hashed from the cache

}  // namespace

Status Reader::Read(const ReadRequest* requests, uint64_t count, const ReadOptions& options) const {
  ReadPlan plan(*this);
  for (uint64_t i = 0; i < count; ++i) {
    Status status = plan.Add(requests[i]);
    if (!status.ok()) return Named(requests[i].node, std::move(status));
  }
  return plan.Run(options);
}

Status ReadPlan::Run(const ReadOptions& options) {
  MakeGroups();
  if (options.progress) callback_ = &options.progress;
  const uint64_t tasks = directs_.size() + groups_.size();
  const uint64_t threads = tasks < 2 ? 0 : std::min<uint64_t>(options.threads, tasks - 1);
  std::vector<std::unique_ptr<Scratch>> scratch(static_cast<size_t>(threads) + 1);
  TR_RETURN_IF_ERROR(
      base::ParallelFor(static_cast<uint32_t>(threads), tasks, [&](uint64_t task, uint32_t worker) {
        if (scratch[worker] == nullptr) scratch[worker] = std::make_unique<Scratch>();
        return RunTask(task, scratch[worker].get());
      }));
  // What lay in the index, and rounding where parts share a byte.
  return done_ < total_ ? Account(total_ - done_) : Status();
}

void ReadPlan::MakeGroups() {
  const auto before = [](const Part& a, const Part& b) { return a.chunk < b.chunk; };
  if (!std::is_sorted(parts_.begin(), parts_.end(), before)) {
    std::stable_sort(parts_.begin(), parts_.end(), before);
  }
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (i != 0 && parts_[i].chunk == parts_[i - 1].chunk) {
      ++groups_.back().end;
    } else {
      groups_.push_back({i, i + 1});
    }
  }
}

Status ReadPlan::RunTask(uint64_t task, Scratch* scratch) {
  if (task < directs_.size()) {
    const Direct& direct = directs_[static_cast<size_t>(task)];
    Status status = RunDirect(direct);
    if (!status.ok()) return reader_.Named(entries_[direct.entry].node, std::move(status));
    return Account(direct.size);
  }
  return RunGroup(groups_[static_cast<size_t>(task - directs_.size())], scratch);
}

Status ReadPlan::RunDirect(const Direct& direct) {
  std::vector<format::ChunkRecord> batch;
  uint64_t at = 0;
  for (uint32_t i = 0; i < direct.chunk_count;) {
    batch.clear();
    uint64_t bytes = 0;
    const ChunkFile* where = nullptr;
    while (i < direct.chunk_count && (batch.empty() || bytes < kHotBytes)) {
      TR_ASSIGN_OR_RETURN(const format::ChunkRecord chunk,
                          reader_.index().Chunk(direct.first_chunk + i));
      if (!batch.empty() && bytes + chunk.raw_size > kHotBytes) break;
      TR_ASSIGN_OR_RETURN(where, reader_.chunks().Locate(chunk));
      batch.push_back(chunk);
      bytes += chunk.raw_size;
      ++i;
    }
    if (!base::InBounds(at, bytes, direct.size)) return reader_.Broken("chunks changed their size");
    TR_RETURN_IF_ERROR(where->file->ReadAt(direct.offset + at, direct.dst + at, bytes));
    for (const format::ChunkRecord& chunk : batch) {
      TR_RETURN_IF_ERROR(reader_.chunks().Verify(chunk, ByteSpan(direct.dst + at, chunk.raw_size)));
      at += chunk.raw_size;
    }
  }
  const uint32_t delivery = entries_[direct.entry].delivery;
  if (delivery != 0) SwapElements(deliveries_[delivery - 1].stored, direct.dst, direct.size);
  return Status();
}

// Where a whole chunk may be decoded to without a stop, or null.
uint8_t* ReadPlan::WholeChunkPlace(const Part& part, const format::ChunkRecord& chunk) const {
  const Entry& entry = entries_[part.entry];
  if (entry.delivery == 0 || entry.packed) return nullptr;
  const Delivery& delivery = deliveries_[entry.delivery - 1];
  Cell cell;
  CellAt(grids_[part.piece - 1], part.at, &cell);
  uint64_t first = 0;
  if (!delivery.RunOf(cell.box, &first)) return nullptr;
  if (PackedBytes(delivery.stored, cell.box.elements()) != chunk.raw_size) return nullptr;
  return static_cast<uint8_t*>(delivery.dst.data) + first;
}

// Whether a few small leaves are all that is wanted of a raw chunk that is not mapped. Above 240
// bytes its hash is the low half of the 128-bit one, which can be computed in steps.
bool ReadPlan::MayPass(const Group& group, const format::ChunkRecord& chunk) const {
  if (group.end - group.begin > kFewParts || chunk.codec != codec::kRaw || chunk.file != 0 ||
      reader_.region() != nullptr || chunk.raw_size <= 240) {
    return false;
  }
  for (size_t i = group.begin; i < group.end; ++i) {
    if (entries_[parts_[i].entry].delivery != 0) return false;
  }
  return true;
}

Status ReadPlan::PassRanges(const Group& group, const format::ChunkRecord& chunk) {
  std::vector<ChunkRange> ranges;
  uint64_t bytes = 0;
  for (size_t i = group.begin; i < group.end; ++i) {
    const Entry& entry = entries_[parts_[i].entry];
    if (!base::InBounds(parts_[i].at, entry.size, chunk.raw_size)) {
      return reader_.Broken("a packed leaf lies outside its chunk");
    }
    ranges.push_back({parts_[i].at, entry.size, entry.dst});
    bytes += entry.size;
  }
  TR_RETURN_IF_ERROR(reader_.chunks().CopyRanges(chunk, ranges));
  return Account(bytes);
}

Status ReadPlan::RunGroup(const Group& group, Scratch* scratch) {
  const Part& first = parts_[group.begin];
  const auto named = [&](const Part& part, Status status) {
    return reader_.Named(entries_[part.entry].node, std::move(status));
  };
  base::Result<format::ChunkRecord> chunk = reader_.index().Chunk(first.chunk);
  if (!chunk.ok()) return named(first, std::move(chunk.status()));
  if (group.end - group.begin == 1) {
    if (uint8_t* place = WholeChunkPlace(first, *chunk)) {
      Status status = reader_.chunks().DecodeTo(*chunk, place, scratch);
      if (!status.ok()) return named(first, std::move(status));
      SwapElements(deliveries_[entries_[first.entry].delivery - 1].stored, place, chunk->raw_size);
      return Account(chunk->raw_size);
    }
  }
  if (MayPass(group, *chunk)) {
    Status status = PassRanges(group, *chunk);
    return status.ok() ? std::move(status) : named(first, std::move(status));
  }
  base::Result<ByteSpan> decoded = reader_.chunks().Decoded(*chunk, scratch);
  if (!decoded.ok()) return named(first, std::move(decoded.status()));
  uint64_t bytes = 0;
  for (size_t i = group.begin; i < group.end; ++i) {
    Status status = RunPart(parts_[i], *decoded, scratch, &bytes);
    if (!status.ok()) return named(parts_[i], std::move(status));
  }
  return Account(bytes);
}

Status ReadPlan::RunPart(const Part& part, ByteSpan decoded, Scratch* scratch, uint64_t* bytes) {
  const Entry& entry = entries_[part.entry];
  if (entry.packed && !base::InBounds(part.at, entry.size, decoded.size)) {
    return reader_.Broken("a packed leaf lies outside its chunk");
  }
  if (entry.delivery == 0) {
    std::memcpy(entry.dst, decoded.data + part.at, entry.size);
    *bytes += entry.size;
    return Status();
  }
  const Delivery& delivery = deliveries_[entry.delivery - 1];
  const PieceGrid& grid = grids_[part.piece - 1];
  if (entry.packed) {
    Deliver(delivery, grid.box, decoded.data + part.at, delivery.box, scratch, &bits_);
    *bytes += delivery.bytes;
    return Status();
  }
  Cell cell;
  CellAt(grid, part.at, &cell);
  tree::Box meet;
  if (PackedBytes(delivery.stored, cell.box.elements()) != decoded.size ||
      !tree::Intersect(cell.box, delivery.box, &meet)) {
    return reader_.Broken("a chunk has not the size of its box");
  }
  Deliver(delivery, cell.box, decoded.data, meet, scratch, &bits_);
  *bytes += PackedBytes(delivery.stored, meet.elements());
  return Status();
}

Status ReadPlan::Account(uint64_t bytes) {
  if (callback_ == nullptr || bytes == 0) return Status();
  std::lock_guard<std::mutex> lock(progress_);
  done_ = std::min(total_, done_ + bytes);
  if ((*callback_)(done_, total_) == 0) return Status();
  return Status(Code::kCancelled, "reading '" + reader_.name() + "' was cancelled by its caller");
}

}  // namespace treering::container

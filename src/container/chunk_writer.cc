// SPDX-License-Identifier: Apache-2.0
// The chunk area of a file being written.
//
// A raw chunk is hashed and handed to the file at once, from wherever it lies: it is read from
// memory once, and copied at most by the file. Chunks to be compressed wait in slots until there
// are enough for all threads, are compressed in parallel, and are written in the order in which
// they came; so ids can be given out before, and the bytes do not depend on the number of threads.
// Raw hashes are taken when a chunk is added, since identities need them at once.
//
// Invariant: records_ holds the chunks written, waiting_ slots hold those added and not written.
#include "container/chunk_writer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/parallel.h"
#include "format/records.h"

namespace treering::container {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint64_t kHotBytes = uint64_t{1} << 20;      // hashed and appended in one go
constexpr uint64_t kReportEvery = uint64_t{4} << 20;   // the promise is 8 MiB
constexpr uint64_t kBytesAWorker = uint64_t{2} << 20;  // enough to pay for starting a thread
constexpr uint64_t kSlotsAWorker = 16;
constexpr uint8_t kZeros[4096] = {};

}  // namespace

ChunkWriter::ChunkWriter(storage::WritableFile* file, uint32_t threads, Progress progress)
    : file_(file), threads_(threads), progress_(std::move(progress)) {}

Status ChunkWriter::Append(ByteSpan bytes) {
  offset_ += bytes.size;
  return file_->Append(bytes);
}

Status ChunkWriter::AlignTo(uint64_t alignment) {
  const uint64_t over = offset_ % alignment;
  if (over == 0) return Status();
  return Append(ByteSpan(kZeros, alignment - over));
}

std::vector<uint8_t>* ChunkWriter::stage() {
  if (waiting_ == slots_.size()) slots_.push_back(std::make_unique<Slot>());
  return &slots_[waiting_]->staged;
}

Status ChunkWriter::Add(const codec::CodecParams& params, uint64_t alignment, ByteSpan raw,
                        codec::Hash128* raw_hash) {
  if (count_ == UINT32_MAX - 1) {
    return Status(Code::kLimit,
                  "the file would have more than 4294967294 chunks; make them larger");
  }
  ++count_;
  if (params.codec == codec::kRaw) {
    TR_RETURN_IF_ERROR(Flush());
    return WriteRaw(alignment, raw, raw_hash);
  }
  stage();
  Slot& slot = *slots_[waiting_];
  slot.params = params;
  slot.alignment = alignment;
  slot.raw = raw;
  slot.hashes = codec::HashBoth(raw);
  *raw_hash = slot.hashes.hash128;
  ++waiting_;
  waiting_bytes_ += raw.size;
  TR_RETURN_IF_ERROR(Report(raw.size));
  return IsFull() ? Flush() : Status();
}

bool ChunkWriter::IsFull() const {
  const uint64_t workers = uint64_t{threads_} + 1;
  if (workers == 1 || waiting_ >= workers * kSlotsAWorker) return true;
  return waiting_ >= workers && waiting_bytes_ >= workers * kBytesAWorker;
}

Status ChunkWriter::WriteRaw(uint64_t alignment, ByteSpan raw, codec::Hash128* raw_hash) {
  TR_RETURN_IF_ERROR(AlignTo(alignment));
  const uint64_t offset = offset_;
  Slot slot;
  slot.raw = raw;
  if (raw.size <= kHotBytes) {
    slot.hashes = codec::HashBoth(raw);
    TR_RETURN_IF_ERROR(Append(raw));
    TR_RETURN_IF_ERROR(Report(raw.size));
  } else {
    hasher_.Reset();
    for (uint64_t at = 0; at < raw.size; at += kHotBytes) {
      const ByteSpan hot = raw.Sub(at, std::min(kHotBytes, raw.size - at));
      hasher_.Update(hot);
      TR_RETURN_IF_ERROR(Append(hot));
      TR_RETURN_IF_ERROR(Report(hot.size));
    }
    slot.hashes.hash128 = hasher_.Digest();
    slot.hashes.hash64 = slot.hashes.hash128.low;
  }
  slot.stored_hash = slot.hashes.hash64;
  *raw_hash = slot.hashes.hash128;
  Record(offset, raw, slot);
  return Status();
}

Status ChunkWriter::Flush() {
  if (waiting_ == 0) return Status();
  codecs_.resize(uint64_t{threads_} + 1);
  const auto threads = static_cast<uint32_t>(std::min<uint64_t>(threads_, waiting_ - 1));
  TR_RETURN_IF_ERROR(base::ParallelFor(threads, waiting_, [this](uint64_t i, uint32_t worker) {
    return Encode(slots_[i].get(), worker);
  }));
  for (uint64_t i = 0; i < waiting_; ++i) TR_RETURN_IF_ERROR(WriteSlot(*slots_[i]));
  waiting_ = 0;
  waiting_bytes_ = 0;
  return Status();
}

Status ChunkWriter::Encode(Slot* slot, uint32_t worker) {
  if (codecs_[worker] == nullptr) codecs_[worker] = std::make_unique<codec::Codec>();
  TR_RETURN_IF_ERROR(
      codecs_[worker]->Encode(slot->params, slot->raw, &slot->encoded, &slot->codec));
  slot->stored_hash =
      slot->codec == codec::kRaw ? slot->hashes.hash64 : codec::Hash64(ByteSpan(slot->encoded));
  return Status();
}

Status ChunkWriter::WriteSlot(const Slot& slot) {
  const ByteSpan stored = slot.codec == codec::kRaw ? slot.raw : ByteSpan(slot.encoded);
  TR_RETURN_IF_ERROR(AlignTo(slot.alignment));
  Record(offset_, stored, slot);
  return Append(stored);
}

void ChunkWriter::Record(uint64_t offset, ByteSpan stored, const Slot& slot) {
  format::ChunkRecord record;
  record.offset = offset;
  record.stored_size = static_cast<uint32_t>(stored.size);
  record.raw_size = static_cast<uint32_t>(slot.raw.size);
  record.stored_hash = slot.stored_hash;
  record.raw_hash = slot.hashes.hash128;
  record.codec = slot.codec;
  record.param = slot.codec == codec::kRaw ? uint8_t{0} : codec::ParamByte(slot.params);
  const size_t at = records_.size();
  records_.resize(at + format::kStride[format::kChunks]);
  format::Encode(record, records_.data() + at);
}

Status ChunkWriter::Report(uint64_t n) {
  done_ += n;
  if (done_ - reported_ < kReportEvery) return Status();
  return ReportNow();
}

Status ChunkWriter::ReportAll() {
  done_ = total_;
  return ReportNow();
}

// Padding of packed chunks counts as done, so it may be ahead of what was expected.
Status ChunkWriter::ReportNow() {
  done_ = std::min(done_, total_);
  reported_ = done_;
  if (!progress_ || progress_(done_, total_) == 0) return Status();
  return Status(Code::kCancelled, "the save was cancelled after " + std::to_string(done_) + " of " +
                                      std::to_string(total_) + " bytes");
}

}  // namespace treering::container

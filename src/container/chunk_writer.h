// SPDX-License-Identifier: Apache-2.0
// The chunk area of a file being written: chunks in, stored bytes and chunk records out.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/codec.h"
#include "codec/hash.h"
#include "container/progress.h"
#include "storage/storage.h"

namespace treering::container {

class ChunkWriter {
 public:
  ChunkWriter(storage::WritableFile* file, uint32_t threads, Progress progress);

  // Bytes of the file so far, chunks that still wait aside.
  uint64_t offset() const { return offset_; }
  base::Status Append(base::ByteSpan bytes);
  base::Status AlignTo(uint64_t alignment);

  // Memory for the next chunk, for whoever has to gather its bytes. Valid until the next Add.
  std::vector<uint8_t>* stage();
  // Adds one chunk, whose id is `count()` before the call. `raw` is in stage(), or stays unchanged
  // until Flush. Its first byte will be at a multiple of `alignment`.
  base::Status Add(const codec::CodecParams& params, uint64_t alignment, base::ByteSpan raw,
                   codec::Hash128* raw_hash);
  // Writes the chunks that wait for company.
  base::Status Flush();
  bool idle() const { return waiting_ == 0; }

  uint32_t count() const { return count_; }
  // The chunk section, complete after Flush.
  std::vector<uint8_t>* records() { return &records_; }

  void ExpectBytes(uint64_t n) { total_ += n; }
  // n more bytes of leaf data are done; asks the caller now and then whether to go on.
  base::Status Report(uint64_t n);
  // All that was expected is done.
  base::Status ReportAll();

 private:
  struct Slot {
    codec::CodecParams params;
    uint64_t alignment = 1;
    base::ByteSpan raw;
    codec::BothHashes hashes{};
    std::vector<uint8_t> staged;
    std::vector<uint8_t> encoded;
    uint8_t codec = codec::kRaw;
    uint64_t stored_hash = 0;
  };
  base::Status WriteRaw(uint64_t alignment, base::ByteSpan raw, codec::Hash128* raw_hash);
  base::Status Encode(Slot* slot, uint32_t worker);
  base::Status WriteSlot(const Slot& slot);
  void Record(uint64_t offset, base::ByteSpan stored, const Slot& slot);
  bool IsFull() const;
  base::Status ReportNow();

  storage::WritableFile* file_;
  uint32_t threads_;
  Progress progress_;
  uint64_t offset_ = 0;
  uint32_t count_ = 0;
  std::vector<uint8_t> records_;
  std::vector<std::unique_ptr<Slot>> slots_;
  uint64_t waiting_ = 0;  // slots in use
  uint64_t waiting_bytes_ = 0;
  std::vector<std::unique_ptr<codec::Codec>> codecs_;  // one a worker
  codec::Hasher128 hasher_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  uint64_t reported_ = 0;
};

}  // namespace treering::container

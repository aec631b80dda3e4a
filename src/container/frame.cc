// SPDX-License-Identifier: Apache-2.0
// Opening: is this a container, is it whole, is it one that we can read?
//
// A person has to learn from the answer what to do, so the four cases are told apart before
// anything else is looked at: not ours at all, ours but cut off, ours but damaged, ours but newer.
// Only bytes whose hash was compared are decoded: the trailer by its own hash, the header and the
// table by the trailer's.
//
// Blocks of the index are not read here; index_view does that when they are touched.
#include "container/frame.h"

#include <algorithm>
#include <string>
#include <utility>

namespace treering::container {
namespace {

using base::ByteSpan;
using base::Code;
using base::Status;

constexpr uint64_t kLeast = format::kHeaderSize + format::kTrailerSize;

std::string Quoted(const storage::ReadableFile& file) { return "'" + file.name() + "'"; }

Status ReadEnds(const storage::ReadableFile& file, uint64_t size, Frame* out) {
  const uint64_t head = std::min(size, format::kHeaderSize);
  const uint64_t tail = std::min(size, format::kOpenReadSize);
  if (out->region != nullptr) {
    const ByteSpan all = out->region->bytes();
    if (all.size != size) {
      return Status(Code::kCorruptTruncated,
                    Quoted(file) + " changed its size while it was being mapped; open it again");
    }
    out->tail = all.Sub(size - tail, tail);
    std::memcpy(out->header.data(), all.data, static_cast<size_t>(head));
    return Status();
  }
  out->tail_storage.resize(static_cast<size_t>(tail));
  TR_RETURN_IF_ERROR(file.ReadAt(size - tail, out->tail_storage.data(), tail));
  out->tail = ByteSpan(out->tail_storage);
  if (tail == size) {
    std::memcpy(out->header.data(), out->tail.data, static_cast<size_t>(head));
    return Status();
  }
  return file.ReadAt(0, out->header.data(), head);
}

// Where a container ends that has other bytes after it, in the part of the file that was read; 0 if
// none is found. Only the last place that looks like an end is tried: a hostile file may have many.
uint64_t EndBefore(uint64_t size, const Frame& frame) {
  for (uint64_t n = frame.tail.size; n-- > kLeast;) {
    const ByteSpan before = frame.tail.Sub(0, n);
    if (!format::HasTrailerMagic(before)) continue;
    const uint64_t end = size - frame.tail.size + n;
    return format::DecodeTrailer(before, end).ok() ? end : 0;
  }
  return 0;
}

Status NoEnd(const storage::ReadableFile& file, uint64_t size, const Frame& frame) {
  const uint64_t end = EndBefore(size, frame);
  if (end != 0) {
    return Status(Code::kCorruptTruncated,
                  Quoted(file) + " goes on for " + std::to_string(size - end) +
                      " bytes after the end of the container at byte " + std::to_string(end) +
                      "; cut it there or restore an intact copy",
                  0, end);
  }
  return Status(Code::kCorruptTruncated,
                Quoted(file) + " is cut off at byte " + std::to_string(size) +
                    ", or other bytes follow the container: it does not end like one; restore an "
                    "intact copy",
                0, size);
}

// Tells the cases apart that need no hash.
Status CheckMagics(const storage::ReadableFile& file, uint64_t size, const Frame& frame) {
  const uint64_t head = std::min(size, format::kHeaderSize);
  const bool begins = format::HasHeaderMagic(ByteSpan(frame.header.data(), head));
  const bool ends = format::HasTrailerMagic(frame.tail);
  if (!begins && !ends) {
    return Status(Code::kNotTreering,
                  Quoted(file) +
                      " is not a treering container: neither its beginning nor its end "
                      "is one's; check the path");
  }
  if (!begins) {
    return Status(Code::kCorruptChecksum,
                  Quoted(file) +
                      " ends like a treering container but does not begin like one; "
                      "restore an intact copy",
                  0, 0);
  }
  return ends && size >= kLeast ? Status() : NoEnd(file, size, frame);
}

Status CheckHeader(const storage::ReadableFile& file, const Frame& frame) {
  const ByteSpan header(frame.header.data(), frame.header.size());
  if (codec::Hash64(header) != frame.trailer.header_hash) {
    return Status(Code::kCorruptChecksum,
                  Quoted(file) +
                      ": the header does not have the hash that the file states; "
                      "restore an intact copy",
                  0, 0);
  }
  return format::DecodeHeader(header).WithContext(Quoted(file));
}

Status CheckLimit(const storage::ReadableFile& file, uint64_t max_index_bytes,
                  const format::Trailer& trailer) {
  if (trailer.index_size <= max_index_bytes) return Status();
  return Status(Code::kLimit, Quoted(file) + " has an index of " +
                                  std::to_string(trailer.index_size) + " bytes, the limit is " +
                                  std::to_string(max_index_bytes) +
                                  "; raise max_index_bytes if you trust the file");
}

Status ReadTable(const storage::ReadableFile& file, Frame* out) {
  const format::Trailer& trailer = out->trailer;
  const uint64_t size = uint64_t{trailer.block_count} * 8;
  const uint64_t offset = trailer.table_offset();
  const uint64_t tail_offset = trailer.file_size - out->tail.size;
  if (out->region != nullptr) {
    out->table = out->region->bytes().Sub(offset, size);
  } else if (offset >= tail_offset) {
    out->table = out->tail.Sub(offset - tail_offset, size);
  } else {
    out->table_storage.resize(static_cast<size_t>(size));
    TR_RETURN_IF_ERROR(file.ReadAt(offset, out->table_storage.data(), size));
    out->table = ByteSpan(out->table_storage);
  }
  if (codec::Hash64(out->table) == trailer.table_hash) return Status();
  return Status(Code::kCorruptChecksum,
                Quoted(file) + ": the table of block hashes at byte " + std::to_string(offset) +
                    " does not have the hash that the file states; restore an intact copy",
                0, offset);
}

}  // namespace

Status ReadFrame(const storage::ReadableFile& file, std::shared_ptr<const storage::Region> region,
                 uint64_t max_index_bytes, Frame* out) {
  const uint64_t size = file.size();
  if (size == 0) {
    return Status(Code::kNotTreering,
                  Quoted(file) + " is not a treering container: it is empty; check the path");
  }
  out->region = std::move(region);
  TR_RETURN_IF_ERROR(ReadEnds(file, size, out));
  TR_RETURN_IF_ERROR(CheckMagics(file, size, *out));
  auto trailer = format::DecodeTrailer(out->tail, size);
  if (!trailer.ok()) return std::move(trailer.status()).WithContext(Quoted(file));
  out->trailer = trailer.value();
  TR_RETURN_IF_ERROR(CheckHeader(file, *out));
  TR_RETURN_IF_ERROR(CheckLimit(file, max_index_bytes, out->trailer));
  return ReadTable(file, out);
}

}  // namespace treering::container

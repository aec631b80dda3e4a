// SPDX-License-Identifier: Apache-2.0
// Raw bytes of leaves out of whatever memory the caller has.
//
// Most arrays lie in memory as the file wants them and are never copied here. The others are
// strided, have one element a byte, or come from a callback; their elements are moved by
// tree::CopyBox into a staging buffer, where the host's byte order is turned into the file's and
// unused bits are zero. A callback is asked for whole bytes, each once and in order: where a chunk
// of 2- or 4-bit elements ends within a byte, that byte is kept for the next.
#include "container/gather.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace treering::container {
namespace {

using base::Code;
using base::Status;

bool IsBigEndianHost() {
  const uint16_t one = 1;
  uint8_t first = 0;
  std::memcpy(&first, &one, 1);
  return first == 0;
}

bool IsComplex(tree::Dtype dtype) { return dtype.code == 5; }

tree::Box Line(uint64_t first, uint64_t count) {
  tree::Box box;
  box.rank = 1;
  box.origin[0] = first;
  box.extent[0] = count;
  return box;
}

tree::Memory Lying(const Source& source) {
  void* const data = const_cast<void*>(source.data);  // a source is only read
  if (source.strides == nullptr && !source.one_per_byte) {
    return tree::Contiguous(source.dtype, source.box, data);
  }
  tree::Memory memory;
  memory.data = data;
  memory.layout = tree::Layout::kStrided;
  memory.box = source.box;
  if (source.strides != nullptr) {
    std::copy(source.strides, source.strides + source.box.rank, memory.strides.begin());
  } else {
    tree::ContiguousStrides(source.dtype, source.box, memory.strides.data());
  }
  return memory;
}

}  // namespace

bool IsPlain(const Source& source) {
  if (source.one_per_byte && tree::IsSubByte(source.dtype)) return false;
  if (IsBigEndianHost() && SwapUnit(source.dtype) > 1) return false;
  if (source.strides == nullptr) return true;
  int64_t expected[tree::kMaxRank];
  tree::ContiguousStrides(source.dtype, source.box, expected);
  for (uint32_t i = 0; i < source.box.rank; ++i) {
    if (source.box.extent[i] > 1 && source.strides[i] != expected[i]) return false;
  }
  return true;
}

Source SourceOf(const tree::Piece& piece, tree::Dtype dtype, uint32_t rank, bool one_per_byte) {
  Source source;
  source.dtype = dtype;
  source.box.rank = rank;
  std::copy(piece.origin, piece.origin + rank, source.box.origin.begin());
  std::copy(piece.extent, piece.extent + rank, source.box.extent.begin());
  source.data = piece.data;
  source.strides = piece.strides;
  source.one_per_byte = one_per_byte;
  return source;
}

void Gather(const Source& source, const tree::Box& part, const tree::Box& whole, uint8_t* dst) {
  tree::CopyBox(source.dtype, tree::Contiguous(source.dtype, whole, dst), Lying(source), part);
}

uint32_t SwapUnit(tree::Dtype dtype) {
  const uint32_t bytes = tree::ElementBytes(dtype);
  return IsComplex(dtype) ? bytes / 2 : bytes;
}

void ToLittleEndian(uint32_t unit, uint8_t* bytes, uint64_t size) {
  if (unit <= 1 || !IsBigEndianHost()) return;
  for (uint64_t at = 0; at + unit <= size; at += unit) std::reverse(bytes + at, bytes + at + unit);
}

void ClearTail(tree::Dtype dtype, uint64_t elements, uint8_t* bytes) {
  if (!tree::IsSubByte(dtype)) return;
  const uint64_t bits = elements * dtype.bits;
  if (bits % 8 == 0) return;
  bytes[bits / 8] = static_cast<uint8_t>(bytes[bits / 8] & ((1u << bits % 8) - 1));
}

Status FillReader::Next(uint64_t n, uint8_t* dst, std::vector<uint8_t>* scratch) {
  const uint64_t bits = tree::StorageBits(dtype_);
  const uint64_t first = element_ * bits;
  if (first % 8 != 0) return NextShifted(n, dst, scratch);
  const uint64_t size = (n * bits + 7) / 8;
  TR_RETURN_IF_ERROR(Call(first / 8, dst, size));
  element_ += n;
  if (size != 0) last_ = dst[size - 1];
  ToLittleEndian(SwapUnit(dtype_), dst, size);
  ClearTail(dtype_, n, dst);
  return Status();
}

// The first of the elements lie in the byte that was read last.
Status FillReader::NextShifted(uint64_t n, uint8_t* dst, std::vector<uint8_t>* scratch) {
  const uint64_t bits = tree::StorageBits(dtype_);
  const uint64_t begin = element_ * bits / 8;
  const uint64_t size = ((element_ + n) * bits + 7) / 8 - begin;
  const uint64_t skipped = element_ - begin * 8 / bits;
  scratch->resize(size);
  scratch->front() = last_;
  TR_RETURN_IF_ERROR(Call(begin + 1, scratch->data() + 1, size - 1));
  last_ = scratch->back();
  element_ += n;
  const tree::Box part = Line(skipped, n);
  std::memset(dst, 0, static_cast<size_t>((n * bits + 7) / 8));
  tree::CopyBox(dtype_, tree::Contiguous(dtype_, part, dst),
                tree::Contiguous(dtype_, Line(0, skipped + n), scratch->data()), part);
  return Status();
}

Status FillReader::Call(uint64_t offset, uint8_t* dst, uint64_t size) {
  if (size == 0) return Status();
  const int32_t error = value_.fill(value_.fill_user, offset, dst, size);
  if (error == 0) return Status();
  return Status(Code::kIo,
                "its fill callback answered error " + std::to_string(error) + " for " +
                    std::to_string(size) + " bytes at " + std::to_string(offset),
                error);
}

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Raw bytes of leaves, as the file has them, out of whatever memory the caller has.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "tree/box.h"
#include "tree/tree.h"

namespace treering::container {

// Memory that holds a box of an array.
struct Source {
  tree::Dtype dtype;
  tree::Box box;
  const void* data = nullptr;
  const int64_t* strides = nullptr;
  bool one_per_byte = false;
};

// True if the memory is, byte by byte, what the file has for the box: its bytes need no moving.
bool IsPlain(const Source& source);
Source SourceOf(const tree::Piece& piece, tree::Dtype dtype, uint32_t rank, bool one_per_byte);

// Copies the elements of `part` to `dst`, which holds `whole` as the file would (zero before).
// Elements stay in the host's byte order.
void Gather(const Source& source, const tree::Box& part, const tree::Box& whole, uint8_t* dst);

// Bytes of the unit in which a processor's byte order shows: an element, half of a complex one.
uint32_t SwapUnit(tree::Dtype dtype);
// From the host's byte order to little-endian, or back. Nothing on most hosts.
void ToLittleEndian(uint32_t unit, uint8_t* bytes, uint64_t size);
// Zeroes the bits behind the last of `elements`.
void ClearTail(tree::Dtype dtype, uint64_t elements, uint8_t* bytes);

// Reads a leaf from its fill callback, front to back, elements at a time.
class FillReader {
 public:
  FillReader(const tree::Value& value, tree::Dtype dtype) : value_(value), dtype_(dtype) {}
  // The next n elements, packed from the first bit of dst. `scratch` may be used.
  base::Status Next(uint64_t n, uint8_t* dst, std::vector<uint8_t>* scratch);

 private:
  base::Status Call(uint64_t offset, uint8_t* dst, uint64_t size);
  base::Status NextShifted(uint64_t n, uint8_t* dst, std::vector<uint8_t>* scratch);
  const tree::Value& value_;
  tree::Dtype dtype_;
  uint64_t element_ = 0;  // the next
  uint8_t last_ = 0;      // the byte that holds it, if it does not begin a byte
};

}  // namespace treering::container

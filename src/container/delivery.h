// SPDX-License-Identifier: Apache-2.0
// How the elements of a leaf get from chunk bytes to the caller's memory.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/status.h"
#include "container/reader.h"
#include "tree/box.h"

namespace treering::container {

// A checked request.
struct Delivery {
  tree::Dtype stored;
  tree::Dtype wanted;
  tree::Box box;       // of the array
  tree::Memory dst;    // holds `box` of `wanted` elements
  bool dense = false;  // dst is C order, no gaps, packed: as chunks are, if the dtype is the same
  uint64_t bytes = 0;  // that the box takes in the file's form

  bool as_stored() const { return dense && stored == wanted; }
  // True if the bytes of a chunk that holds `cell` are bytes of dst as they are, from *first_byte.
  bool RunOf(const tree::Box& cell, uint64_t* first_byte) const;
};

// Checks a request against the leaf: kMismatchShape for a box outside, kMismatchDtype for a cast
// that is not allowed, kInvalidArgument for memory that cannot hold the result.
base::Status MakeDelivery(const Leaf& leaf, const ReadRequest& request, Delivery* out);

// Copies `part` (within delivery.box) of a chunk that holds `from`, converting on the way. `bits`
// is held while a destination is written whose bytes other parts may share.
void Deliver(const Delivery& delivery, const tree::Box& from, const void* chunk,
             const tree::Box& part, Scratch* scratch, std::mutex* bits);

// Whether elements of a dtype have to be swapped on this host; a no-op where not.
bool NeedsSwap(tree::Dtype dtype);
void SwapElements(tree::Dtype dtype, void* data, uint64_t bytes);

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// From chunk bytes to the caller's memory: same elements, another layout, perhaps another dtype.
//
// Everything that a request may ask for at once (a box, strides, one byte for each 2- or 4-bit
// element, another dtype, a host that is big-endian) is a copy of boxes with at most one stop in
// between: a block of elements is gathered into scratch memory, swapped and converted there, and
// scattered. The blocks are small enough to stay in a near cache; without a conversion the stop is
// left out.
//
// MakeDelivery is the only place where the caller's memory is measured. After it, no copy leaves
// it.
#include "container/delivery.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "container/pieces.h"
#include "tree/cast.h"

namespace treering::container {

using base::Code;
using base::Status;
using tree::Box;
using tree::Dtype;

namespace {

constexpr uint64_t kBlockElements = 16384;  // 256 KiB of the widest elements

bool HostIsBigEndian() {
  const uint16_t one = 1;
  uint8_t first = 0;
  std::memcpy(&first, &one, 1);
  return first == 0;
}

uint32_t SwapUnit(Dtype dtype) {
  const uint32_t bytes = tree::ElementBytes(dtype);
  return dtype.code == 5 ? bytes / 2 : bytes;  // complex: each part by itself
}

Status TooSmall(uint64_t needed, uint64_t given) {
  return Status(Code::kInvalidArgument, "the destination has " + std::to_string(given) +
                                            " bytes, " + std::to_string(needed) +
                                            " are needed; give a larger one");
}

Status SetBox(const Leaf& leaf, const ReadRequest& request, Delivery* out) {
  if (request.whole) {
    out->box = tree::WholeBox(leaf.shape.data(), leaf.rank);
    return Status();
  }
  out->box = request.box;
  if (request.box.rank == leaf.rank && tree::Within(request.box, leaf.shape.data())) {
    return Status();
  }
  return Status(Code::kMismatchShape, "the box does not lie within " +
                                          tree::Describe(leaf.dtype, leaf.shape.data(), leaf.rank) +
                                          "; ask for the shape first");
}

Status SetDtype(const Leaf& leaf, const ReadRequest& request, Delivery* out) {
  out->stored = leaf.dtype;
  out->wanted = leaf.dtype;
  if (request.dtype.bits == 0 || (leaf.array && request.dtype == leaf.dtype)) return Status();
  if (!leaf.array) {
    return Status(Code::kInvalidArgument,
                  "a dtype is asked for, but it is no array; ask for the bytes as stored");
  }
  out->wanted = request.dtype;
  return tree::CheckCast(leaf.dtype, request.dtype, request.cast);
}

// The bytes from the first to the last that strides reach, the element included.
Status CheckStrides(const ReadRequest& request, const Delivery& delivery) {
  uint64_t reach = tree::ElementBytes(delivery.wanted);
  for (uint32_t i = 0; i < delivery.box.rank; ++i) {
    const int64_t stride = request.strides[i];
    const uint64_t extent = delivery.box.extent[i];
    if (extent <= 1) continue;
    if (stride == 0) {
      return Status(Code::kInvalidArgument,
                    "stride 0 on axis " + std::to_string(i) +
                        " puts elements over each other; give a step for each element");
    }
    const uint64_t size =
        stride < 0 ? 0 - static_cast<uint64_t>(stride) : static_cast<uint64_t>(stride);
    uint64_t span = 0;
    if (!base::CheckedMul(size, extent - 1, &span) || !base::CheckedAdd(reach, span, &reach) ||
        reach > INT64_MAX) {
      return Status(Code::kInvalidArgument, "strides reach beyond memory");
    }
  }
  return reach <= request.dst_size ? Status() : TooSmall(reach, request.dst_size);
}

Status SetMemory(const ReadRequest& request, Delivery* out) {
  const bool bits = tree::IsSubByte(out->wanted);
  const uint64_t elements = out->box.elements();
  out->dst = tree::Contiguous(out->wanted, out->box, request.dst);
  out->dense = request.strides == nullptr && !(bits && request.one_per_byte);
  if (request.dst == nullptr && elements != 0) {
    return Status(Code::kInvalidArgument, "the destination is null");
  }
  if (bits && !out->dense) {
    if (!request.one_per_byte) {
      return Status(Code::kInvalidArgument,
                    "strides need elements of whole bytes; set one_per_byte");
    }
    out->dst.layout = tree::Layout::kStrided;
    tree::ContiguousStrides(out->wanted, out->box, out->dst.strides.data());
  }
  if (request.strides != nullptr) {
    std::copy_n(request.strides, out->box.rank, out->dst.strides.begin());
    return elements == 0 ? Status() : CheckStrides(request, *out);
  }
  uint64_t needed = 0;
  const uint64_t width = bits && out->dense ? 1 : tree::ElementBytes(out->wanted);
  const uint64_t units = bits && out->dense ? PackedBytes(out->wanted, elements) : elements;
  if (!base::CheckedMul(units, width, &needed)) return TooSmall(UINT64_MAX, request.dst_size);
  return needed <= request.dst_size ? Status() : TooSmall(needed, request.dst_size);
}

// Calls fn for boxes of at most kBlockElements that make up `part`, in C order.
template <typename Fn>
void ForEachBlock(const Box& part, const Fn& fn) {
  if (part.elements() == 0) return;
  // Axes from `axis` + 1 on are taken whole, `rows` of `axis`, one of each before it.
  uint64_t inner = 1;
  uint32_t axis = part.rank;
  while (axis > 0 && inner * part.extent[axis - 1] <= kBlockElements) {
    inner *= part.extent[--axis];
  }
  if (axis == 0) return fn(part);
  --axis;
  const uint64_t rows = std::max<uint64_t>(1, kBlockElements / inner);
  Box block = part;
  for (uint32_t i = 0; i < axis; ++i) block.extent[i] = 1;
  for (;;) {
    for (uint64_t at = 0; at < part.extent[axis]; at += rows) {
      block.origin[axis] = part.origin[axis] + at;
      block.extent[axis] = std::min(rows, part.extent[axis] - at);
      fn(block);
    }
    uint32_t i = axis;
    while (i > 0 && block.origin[i - 1] + 1 == part.origin[i - 1] + part.extent[i - 1]) {
      block.origin[i - 1] = part.origin[i - 1];
      --i;
    }
    if (i == 0) return;
    ++block.origin[i - 1];
  }
}

// Memory of a block in scratch: C order, each element in bytes of its own.
tree::Memory Unpacked(Dtype dtype, const Box& box, void* data) {
  tree::Memory memory;
  memory.data = data;
  memory.box = box;
  tree::ContiguousStrides(dtype, box, memory.strides.data());
  return memory;
}

void CopyTo(const Delivery& delivery, const tree::Memory& from, const Box& part, std::mutex* bits) {
  if (delivery.dst.layout == tree::Layout::kPackedBits) {
    std::lock_guard<std::mutex> lock(*bits);
    tree::CopyBox(delivery.wanted, delivery.dst, from, part);
  } else {
    tree::CopyBox(delivery.wanted, delivery.dst, from, part);
  }
}

}  // namespace

bool NeedsSwap(Dtype dtype) { return HostIsBigEndian() && SwapUnit(dtype) > 1; }

void SwapElements(Dtype dtype, void* data, uint64_t bytes) {
  if (!NeedsSwap(dtype)) return;
  const uint64_t unit = SwapUnit(dtype);
  uint8_t* at = static_cast<uint8_t*>(data);
  for (uint64_t i = 0; i + unit <= bytes; i += unit) std::reverse(at + i, at + i + unit);
}

Status MakeDelivery(const Leaf& leaf, const ReadRequest& request, Delivery* out) {
  TR_RETURN_IF_ERROR(SetBox(leaf, request, out));
  TR_RETURN_IF_ERROR(SetDtype(leaf, request, out));
  out->bytes = PackedBytes(out->stored, out->box.elements());
  return SetMemory(request, out);
}

void Deliver(const Delivery& delivery, const Box& from, const void* chunk, const Box& part,
             Scratch* scratch, std::mutex* bits) {
  // CopyBox only reads its source; Memory serves both sides.
  const tree::Memory source = tree::Contiguous(delivery.stored, from, const_cast<void*>(chunk));
  const bool swap = NeedsSwap(delivery.stored);
  const bool convert = delivery.stored != delivery.wanted;
  if (!swap && !convert) return CopyTo(delivery, source, part, bits);
  ForEachBlock(part, [&](const Box& block) {
    const uint64_t n = block.elements();
    const uint64_t bytes = n * tree::ElementBytes(delivery.stored);
    uint8_t* gathered = scratch->gathered.Room(bytes);
    tree::CopyBox(delivery.stored, Unpacked(delivery.stored, block, gathered), source, block);
    SwapElements(delivery.stored, gathered, bytes);
    if (!convert) return CopyTo(delivery, Unpacked(delivery.stored, block, gathered), block, bits);
    uint8_t* converted = scratch->converted.Room(n * tree::ElementBytes(delivery.wanted));
    tree::ConvertElements(delivery.wanted, converted, delivery.stored, gathered, n);
    CopyTo(delivery, Unpacked(delivery.wanted, block, converted), block, bits);
  });
}

}  // namespace treering::container

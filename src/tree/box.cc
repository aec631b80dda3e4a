// SPDX-License-Identifier: Apache-2.0
// Box arithmetic, and the one loop that moves elements between layouts.
//
// A copy is a nest of loops, one per axis, with a step on each side: bytes where elements have
// their own, elements where they lie packed. Axes of extent 1 are dropped and neighbours that both
// sides walk without a gap are joined; what is then the innermost axis is a memcpy, a strided loop
// of one width, or a run of bits, and the axes around it are counted by an odometer. A short
// contiguous innermost axis becomes part of the element, so that many 8-byte memcpys are one loop.
// Invariant: no byte outside the elements of `part` is read or written, and in a packed destination
// no bit of another element changes. That `part` lies in both boxes is the caller's affair.
#include "tree/box.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"

namespace treering::tree {
namespace {

struct Axis {
  uint64_t n;
  int64_t dst;
  int64_t src;
};

// The nest of loops, outermost axis first, with what does not change inside it.
struct Nest {
  std::array<Axis, kMaxRank> axes;
  uint32_t rank = 0;
  uint8_t* dst = nullptr;
  const uint8_t* src = nullptr;
  int64_t dst_at = 0;  // bytes, or elements where packed
  int64_t src_at = 0;
  uint64_t width = 0;  // bytes of an element that has its own
  uint32_t bits = 0;   // 2 or 4; 0 for whole bytes
  bool dst_packed = false;
  bool src_packed = false;
  bool sign = false;  // unpacking extends the sign
};

// Steps along each axis, in the unit of that memory, and the position of the corner of `part`.
int64_t StepsOf(const Memory& memory, bool by_elements, uint64_t width, const Box& part,
                int64_t* steps) {
  if (memory.layout == Layout::kStrided) {
    std::copy_n(memory.strides.begin(), part.rank, steps);
  } else {
    uint64_t step = by_elements ? 1 : width;
    for (uint32_t i = part.rank; i-- > 0;) {
      steps[i] = static_cast<int64_t>(step);
      step *= memory.box.extent[i];
    }
  }
  int64_t at = 0;
  for (uint32_t i = 0; i < part.rank; ++i) {
    at += static_cast<int64_t>(part.origin[i] - memory.box.origin[i]) * steps[i];
  }
  return at;
}

Nest MakeNest(Dtype dtype, const Memory& dst, const Memory& src, const Box& part) {
  Nest nest;
  nest.dst = static_cast<uint8_t*>(dst.data);
  nest.src = static_cast<const uint8_t*>(src.data);
  nest.width = ElementBytes(dtype);
  nest.bits = IsSubByte(dtype) ? dtype.bits : 0;
  nest.sign = dtype.code == 0;
  nest.dst_packed = nest.bits != 0 && dst.layout == Layout::kPackedBits;
  nest.src_packed = nest.bits != 0 && src.layout == Layout::kPackedBits;
  int64_t dst_steps[kMaxRank];
  int64_t src_steps[kMaxRank];
  nest.dst_at = StepsOf(dst, nest.dst_packed, nest.width, part, dst_steps);
  nest.src_at = StepsOf(src, nest.src_packed, nest.width, part, src_steps);
  for (uint32_t i = 0; i < part.rank; ++i) {
    const Axis axis = {part.extent[i], dst_steps[i], src_steps[i]};
    if (axis.n == 1) continue;
    Axis* outer = nest.rank != 0 ? &nest.axes[nest.rank - 1] : nullptr;
    const int64_t n = static_cast<int64_t>(axis.n);
    if (outer != nullptr && outer->dst == axis.dst * n && outer->src == axis.src * n) {
      *outer = {outer->n * axis.n, axis.dst, axis.src};
    } else {
      nest.axes[nest.rank++] = axis;
    }
  }
  return nest;
}

// Makes a contiguous innermost axis part of the element if the result has a width with a loop.
void WidenElements(Nest* nest) {
  if (nest->bits != 0 || nest->rank < 2) return;
  const Axis& inner = nest->axes[nest->rank - 1];
  const int64_t width = static_cast<int64_t>(nest->width);
  if (inner.dst != width || inner.src != width || inner.n > 16) return;
  const uint64_t bytes = inner.n * nest->width;
  if (bytes != 2 && bytes != 4 && bytes != 8 && bytes != 16) return;
  nest->width = bytes;
  --nest->rank;
}

template <size_t kWidth>
void CopyStrided(uint8_t* dst, const uint8_t* src, const Axis& axis) {
  for (uint64_t i = axis.n; i-- > 0;) {
    std::memcpy(dst, src, kWidth);
    if (i == 0) break;  // no pointer is formed beyond the last element
    dst += axis.dst;
    src += axis.src;
  }
}

void CopyBytesRun(const Nest& nest, int64_t dst_at, int64_t src_at, const Axis& axis) {
  uint8_t* dst = nest.dst + dst_at;
  const uint8_t* src = nest.src + src_at;
  const int64_t width = static_cast<int64_t>(nest.width);
  if (axis.n == 1 || (axis.dst == width && axis.src == width)) {
    std::memcpy(dst, src, static_cast<size_t>(axis.n * nest.width));
    return;
  }
  switch (nest.width) {
    case 1:
      return CopyStrided<1>(dst, src, axis);
    case 2:
      return CopyStrided<2>(dst, src, axis);
    case 4:
      return CopyStrided<4>(dst, src, axis);
    case 8:
      return CopyStrided<8>(dst, src, axis);
    case 16:
      return CopyStrided<16>(dst, src, axis);
    default:
      break;
  }
  for (uint64_t i = 0; i < axis.n; ++i) {  // widths of dtypes that have no name
    const int64_t k = static_cast<int64_t>(i);
    std::memcpy(dst + k * axis.dst, src + k * axis.src, static_cast<size_t>(nest.width));
  }
}

uint32_t LoadBits(const Nest& nest, int64_t at) {
  const uint32_t mask = (1u << nest.bits) - 1;
  if (!nest.src_packed) return nest.src[at] & mask;
  const uint64_t bit = static_cast<uint64_t>(at) * nest.bits;
  return static_cast<uint32_t>(nest.src[bit / 8]) >> (bit % 8) & mask;
}

void StoreBits(const Nest& nest, int64_t at, uint32_t value) {
  if (!nest.dst_packed) {
    const uint32_t top = 1u << (nest.bits - 1);
    nest.dst[at] = static_cast<uint8_t>(nest.sign ? (value ^ top) - top : value);
    return;
  }
  const uint64_t bit = static_cast<uint64_t>(at) * nest.bits;
  const uint32_t shift = static_cast<uint32_t>(bit % 8);
  const uint32_t mask = ((1u << nest.bits) - 1) << shift;
  uint8_t* byte = nest.dst + bit / 8;
  *byte = static_cast<uint8_t>((*byte & ~mask) | value << shift);
}

void CopyBitsRun(const Nest& nest, int64_t dst_at, int64_t src_at, const Axis& axis) {
  const int64_t per_byte = 8 / nest.bits;
  int64_t n = static_cast<int64_t>(axis.n);
  const bool whole =
      nest.dst_packed && nest.src_packed && (n == 1 || (axis.dst == 1 && axis.src == 1));
  if (whole && dst_at % per_byte == src_at % per_byte) {
    while (n > 0 && dst_at % per_byte != 0) {
      StoreBits(nest, dst_at++, LoadBits(nest, src_at++));
      --n;
    }
    const int64_t bytes = n / per_byte;
    if (bytes > 0) {
      std::memcpy(nest.dst + dst_at / per_byte, nest.src + src_at / per_byte,
                  static_cast<size_t>(bytes));
    }
    dst_at += bytes * per_byte;
    src_at += bytes * per_byte;
    n -= bytes * per_byte;
  }
  for (int64_t i = 0; i < n; ++i) {
    StoreBits(nest, dst_at + i * axis.dst, LoadBits(nest, src_at + i * axis.src));
  }
}

// Runs `run` on the innermost axis for every position of the outer ones.
template <typename Run>
void ForEachRun(const Nest& nest, const Run& run) {
  const Axis inner = nest.rank == 0 ? Axis{1, 0, 0} : nest.axes[nest.rank - 1];
  const uint32_t outer = nest.rank == 0 ? 0 : nest.rank - 1;
  std::array<uint64_t, kMaxRank> count{};
  int64_t dst_at = nest.dst_at;
  int64_t src_at = nest.src_at;
  for (;;) {
    run(nest, dst_at, src_at, inner);
    uint32_t i = outer;
    while (i > 0) {
      const Axis& axis = nest.axes[i - 1];
      if (++count[i - 1] < axis.n) {
        dst_at += axis.dst;
        src_at += axis.src;
        break;
      }
      count[i - 1] = 0;
      dst_at -= static_cast<int64_t>(axis.n - 1) * axis.dst;
      src_at -= static_cast<int64_t>(axis.n - 1) * axis.src;
      --i;
    }
    if (i == 0) return;
  }
}

}  // namespace

uint64_t Box::elements() const {
  uint64_t product = 1;
  for (uint32_t i = 0; i < rank; ++i) product *= extent[i];
  return product;
}

Box WholeBox(const uint64_t* shape, uint32_t rank) {
  Box box;
  box.rank = rank;
  std::copy_n(shape, rank, box.extent.begin());
  return box;
}

bool Intersect(const Box& a, const Box& b, Box* out) {
  Box both;
  both.rank = a.rank;
  for (uint32_t i = 0; i < a.rank; ++i) {
    const uint64_t from = std::max(a.origin[i], b.origin[i]);
    const uint64_t to = std::min(a.origin[i] + a.extent[i], b.origin[i] + b.extent[i]);
    if (from >= to) return false;
    both.origin[i] = from;
    both.extent[i] = to - from;
  }
  *out = both;
  return true;
}

bool Within(const Box& box, const uint64_t* shape) {
  for (uint32_t i = 0; i < box.rank; ++i) {
    if (!base::InBounds(box.origin[i], box.extent[i], shape[i])) return false;
  }
  return true;
}

void ContiguousStrides(Dtype dtype, const Box& box, int64_t* strides) {
  uint64_t step = ElementBytes(dtype);
  for (uint32_t i = box.rank; i-- > 0;) {
    strides[i] = static_cast<int64_t>(step);
    step *= box.extent[i];
  }
}

Memory Contiguous(Dtype dtype, const Box& box, void* data) {
  Memory memory;
  memory.data = data;
  memory.box = box;
  if (IsSubByte(dtype)) {
    memory.layout = Layout::kPackedBits;
  } else {
    ContiguousStrides(dtype, box, memory.strides.data());
  }
  return memory;
}

bool IsContiguousRun(const Box& outer, const Box& inner, uint64_t* first) {
  uint64_t step = 1;
  uint64_t at = 0;
  bool partial = false;  // an axis further in was not whole: everything before it must be 1
  for (uint32_t i = outer.rank; i-- > 0;) {
    if (partial && inner.extent[i] != 1) return false;
    if (inner.extent[i] != outer.extent[i]) partial = true;
    at += (inner.origin[i] - outer.origin[i]) * step;
    step *= outer.extent[i];
  }
  *first = at;
  return true;
}

void CopyBox(Dtype dtype, const Memory& dst, const Memory& src, const Box& part) {
  if (part.elements() == 0) return;
  Nest nest = MakeNest(dtype, dst, src, part);
  WidenElements(&nest);
  if (nest.bits != 0) {
    ForEachRun(nest, CopyBitsRun);
  } else {
    ForEachRun(nest, CopyBytesRun);
  }
}

}  // namespace treering::tree

// SPDX-License-Identifier: Apache-2.0
// The bytes of leaves: in canonical form, and copied into memory of the tree.
//
// Data that are not lent must be copied, and a million scalars must not become a million
// allocations, so the small leaves of one append share one buffer and large ones have their own:
// then a large leaf's memory ends with its last user, however long its neighbours live. Copies are
// canonical (C order, sub-byte elements packed), which resolves strides on the way. The records
// were checked before; nothing here can find fault with them.
#include <algorithm>
#include <cstring>
#include <new>

#include "base/checked.h"
#include "tree/nodes.h"

namespace treering::tree {
namespace {

constexpr uint64_t kOwnBuffer = 4096;

// Its type tells the tree's memory from lent memory.
struct FreeTreeMemory {
  void operator()(void* p) const { ::operator delete (p, std::align_val_t{64}); }
};

// Uninitialised, at a multiple of 64.
std::shared_ptr<uint8_t> NewBuffer(uint64_t size) {
  void* p = ::operator new (static_cast<size_t>(size), std::align_val_t{64});
  return std::shared_ptr<uint8_t>(static_cast<uint8_t*>(p), FreeTreeMemory());
}

Memory Lying(const Record& r, const void* data, const int64_t* strides, const Box& box) {
  void* at = const_cast<void*>(data);  // only ever read as a source
  if (strides == nullptr && !r.one_per_byte) return Contiguous(r.dtype, box, at);
  Memory memory;
  memory.data = at;
  memory.layout = Layout::kStrided;
  memory.box = box;
  if (strides != nullptr) {
    std::copy(strides, strides + r.rank, memory.strides.begin());
  } else {
    ContiguousStrides(r.dtype, box, memory.strides.data());
  }
  return memory;
}

Box BoxOf(const Piece& piece, uint32_t rank) {
  Box box;
  box.rank = rank;
  std::copy(piece.origin, piece.origin + rank, box.origin.begin());
  std::copy(piece.extent, piece.extent + rank, box.extent.begin());
  return box;
}

// Bytes that a record's copy takes in a buffer, and where in it they may start.
uint64_t CopySize(const Record& r) {
  if (r.form == ValueForm::kData) return r.size;
  uint64_t total = 0;
  for (uint64_t i = 0; r.form == ValueForm::kPieces && i < r.extra->piece_count; ++i) {
    uint64_t size = 0;
    RawSize(r.dtype, r.pieces[i].extent, r.rank, &size);
    total = (total + 63) & ~uint64_t{63};
    total += size;
  }
  return total;
}

uint64_t Alignment(const Record& r, uint64_t size) {
  if (size >= 64 || r.form == ValueForm::kPieces) return 64;
  if (IsArrayLike(r.kind)) return std::min<uint64_t>(ElementBytes(r.dtype), 16);
  return r.kind == Kind::kFloat || r.kind == Kind::kComplex ? 8 : 1;
}

// Makes `record`'s value a copy at `dst`.
void CopyTo(Tree::Impl* impl, Record* r, uint8_t* dst) {
  if (r->form == ValueForm::kData) {
    CopyValue(*r, dst);
    r->data = dst;
  } else {
    auto* pieces = const_cast<Piece*>(r->pieces);  // made by this append, seen by nobody yet
    uint64_t at = 0;
    for (uint64_t i = 0; i < r->extra->piece_count; ++i) {
      const Box box = BoxOf(pieces[i], r->rank);
      uint64_t size = 0;
      RawSize(r->dtype, pieces[i].extent, r->rank, &size);
      at = (at + 63) & ~uint64_t{63};
      if (size != 0) {
        std::memset(dst + at, 0, static_cast<size_t>(size));
        CopyBox(r->dtype, Contiguous(r->dtype, box, dst + at),
                Lying(*r, pieces[i].data, pieces[i].strides, box), box);
      }
      pieces[i].data = dst + at;
      pieces[i].strides = nullptr;
      at += size;
    }
  }
  r->one_per_byte = false;
  if (r->extra != nullptr && r->extra->strides != nullptr) {
    Extra extra = *r->extra;
    extra.strides = nullptr;
    r->extra = impl->arena.Array(&extra, 1);
  }
}

bool IsCopied(const Record& r) {
  return !r.is_container() && r.owner == 0 &&
         (r.form == ValueForm::kData || r.form == ValueForm::kPieces);
}

}  // namespace

bool IsTreeMemory(const Owner& owner) { return std::get_deleter<FreeTreeMemory>(owner) != nullptr; }

uint8_t LastByteMask(const Record& r) {
  if (!IsArrayLike(r.kind) || !IsSubByte(r.dtype)) return 0xff;
  uint64_t elements = 0;
  if (!ElementCount(r.shape, r.rank, &elements)) return 0xff;
  const uint64_t used = elements % 8 * r.dtype.bits % 8;
  return static_cast<uint8_t>(used == 0 ? 0xff : (1u << used) - 1);
}

void CopyValue(const Record& r, void* dst) {
  if (r.size == 0) return;
  const bool whole = r.form == ValueForm::kData;
  if (whole && !r.one_per_byte && (r.extra == nullptr || r.extra->strides == nullptr)) {
    std::memcpy(dst, r.data, static_cast<size_t>(r.size));
    uint8_t* last = static_cast<uint8_t*>(dst) + (r.size - 1);
    *last = static_cast<uint8_t>(*last & LastByteMask(r));
    return;
  }
  std::memset(dst, 0, static_cast<size_t>(r.size));
  const Box box = WholeBox(r.shape, r.rank);
  const Memory to = Contiguous(r.dtype, box, dst);
  if (whole) {
    const int64_t* strides = r.extra == nullptr ? nullptr : r.extra->strides;
    CopyBox(r.dtype, to, Lying(r, r.data, strides, box), box);
    return;
  }
  for (uint64_t i = 0; i < r.extra->piece_count; ++i) {
    const Box part = BoxOf(r.pieces[i], r.rank);
    if (part.elements() == 0) continue;
    CopyBox(r.dtype, to, Lying(r, r.pieces[i].data, r.pieces[i].strides, part), part);
  }
}

void CopyLeafData(Tree::Impl* impl, uint32_t first, uint32_t last) {
  uint64_t total = 0;
  for (uint32_t id = first; id < last; ++id) {
    const Record& r = impl->at(id);
    const uint64_t size = IsCopied(r) ? CopySize(r) : 0;
    if (size == 0 || size > kOwnBuffer) continue;
    const uint64_t align = Alignment(r, size);
    total = ((total + align - 1) & ~(align - 1)) + size;
  }
  std::shared_ptr<uint8_t> shared;
  uint32_t shared_owner = 0;
  if (total != 0) {
    shared = NewBuffer(total);
    shared_owner = impl->AddOwner(shared);
  }
  uint64_t at = 0;
  for (uint32_t id = first; id < last; ++id) {
    Record& r = impl->at(id);
    const uint64_t size = IsCopied(r) ? CopySize(r) : 0;
    if (size == 0) continue;
    if (size > kOwnBuffer) {
      std::shared_ptr<uint8_t> buffer = NewBuffer(size);
      CopyTo(impl, &r, buffer.get());
      impl->Use(&r, impl->AddOwner(std::move(buffer)));
      continue;
    }
    const uint64_t align = Alignment(r, size);
    at = (at + align - 1) & ~(align - 1);
    CopyTo(impl, &r, shared.get() + at);
    impl->Use(&r, shared_owner);
    at += size;
  }
}

}  // namespace treering::tree

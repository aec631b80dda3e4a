// SPDX-License-Identifier: Apache-2.0
// The memory behind a loaded tree: one aligned allocation a large leaf, shared slabs for small
// ones.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "storage/storage.h"

namespace treering::container {

// Freed as a whole, when the last leaf of the tree that uses it is gone.
class LeafMemory {
 public:
  // Aligned to 64 from 64 bytes on, else to 16. Not initialised. Null where there is none; never
  // for size 0.
  void* Allocate(uint64_t size) {
    if (size > kLarge) return New(size);
    const uint64_t alignment = size >= 64 ? 64 : 16;
    at_ = (at_ + alignment - 1) & ~(alignment - 1);
    if (slab_ == nullptr || at_ + size > kSlab) {
      slab_ = static_cast<uint8_t*>(New(kSlab));
      if (slab_ == nullptr) return nullptr;
      at_ = 0;
    }
    void* memory = slab_ + at_;
    at_ += size;
    return memory;
  }

  // Keeps what views point into.
  void Keep(std::shared_ptr<const storage::Region> region) {
    if (regions_.empty() || regions_.back() != region) regions_.push_back(std::move(region));
  }

 private:
  static constexpr uint64_t kSlab = uint64_t{1} << 20;
  static constexpr uint64_t kLarge = uint64_t{1} << 16;
  static constexpr std::align_val_t kAlignment{64};

  struct Free {
    void operator()(void* memory) const { ::operator delete(memory, kAlignment); }
  };

  void* New(uint64_t size) {
    if (size > SIZE_MAX) return nullptr;
    std::unique_ptr<void, Free> memory(
        ::operator new(static_cast<size_t>(size), kAlignment, std::nothrow));
    if (memory == nullptr) return nullptr;
    allocations_.push_back(std::move(memory));
    return allocations_.back().get();
  }

  std::vector<std::unique_ptr<void, Free>> allocations_;
  std::vector<std::shared_ptr<const storage::Region>> regions_;
  uint8_t* slab_ = nullptr;
  uint64_t at_ = 0;
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Buffers by mmap instead of from the heap.
//
// The advice to use huge pages belongs to addresses, not to an allocation: given to heap memory it
// would outlive the buffer. So the buffer is a mapping of its own and goes back as a whole. It is
// mapped with room to begin at a multiple of 2 MiB, the size of a huge page on most processors;
// what stands before and after is never touched and costs no memory.
//
// How the bytes are used, and whether huge pages are worth asking for, is left to the caller.
#include "storage/page_memory.h"

#include <sys/mman.h>

namespace treering::storage {
namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;

}  // namespace

PageMemory::~PageMemory() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
}

bool PageMemory::Map(uint64_t size) {
  if (size > SIZE_MAX - kHugePage) return false;
  const size_t length = static_cast<size_t>(size + kHugePage);
  void* mapping = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return false;
  mapping_ = mapping;
  mapped_ = length;
  const uint64_t past = reinterpret_cast<uintptr_t>(mapping) % kHugePage;
  data_ = static_cast<uint8_t*>(mapping) + (past == 0 ? 0 : kHugePage - past);
  size_ = static_cast<size_t>(size);
  return true;
}

void PageMemory::PreferHugePages() {
#ifdef MADV_HUGEPAGE
  madvise(data_, size_, MADV_HUGEPAGE);
#endif
}

}  // namespace treering::storage

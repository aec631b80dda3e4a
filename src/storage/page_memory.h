// SPDX-License-Identifier: Apache-2.0
// Memory in whole pages, straight from the system, for buffers that a disk reads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace treering::storage {

class PageMemory {
 public:
  PageMemory() = default;
  ~PageMemory();
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;

  // Once: `size` zero bytes at a multiple of 2 MiB, not yet backed by pages. False: no memory.
  bool Map(uint64_t size);
  // Asks for pages as large as there are. A hint.
  void PreferHugePages();
  uint8_t* data() const { return data_; }

 private:
  void* mapping_ = nullptr;
  size_t mapped_ = 0;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// Runs of bytes of which equal ones are stored once: keys, shapes and attribute sets of an index.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace treering::container {

// A hash table of offsets into one section. Eight bytes an entry; whether a run is the one meant is
// told by its bytes in the section, so any entry whose bytes agree will do.
class UniqueRuns {
 public:
  // Where `run` lies in *section: where it was found, or at the end, where it was appended.
  uint64_t Add(base::ByteSpan run, std::vector<uint8_t>* section);

 private:
  struct Entry {
    uint32_t hash;
    uint32_t offset_plus_1;  // 0: free
  };
  void Grow();
  std::vector<Entry> entries_;  // none, or a power of two
  uint64_t used_ = 0;
};

}  // namespace treering::container

// SPDX-License-Identifier: Apache-2.0
// Runs of bytes of which equal ones are stored once.
//
// The layers of a network repeat the same few keys and shapes thousands of times. A table of open
// addressing finds them again: slot by hash, then the bytes in the section itself decide. At most
// three quarters of the slots are used. Hashes are of the bytes alone, so what is found does not
// depend on the processor or the run, and neither do the bytes of the file.
//
// Offsets beyond 4 GiB are not entered: such runs are stored again, which readers do not mind.
#include "container/unique_runs.h"

#include <cstring>

#include "codec/hash.h"

namespace treering::container {

uint64_t UniqueRuns::Add(base::ByteSpan run, std::vector<uint8_t>* section) {
  if (run.size == 0) return 0;
  if (used_ * 4 >= entries_.size() * 3) Grow();
  const uint64_t mask = entries_.size() - 1;
  const uint32_t hash = static_cast<uint32_t>(codec::Hash64(run));
  uint64_t slot = hash & mask;
  for (; entries_[slot].offset_plus_1 != 0; slot = (slot + 1) & mask) {
    const uint64_t at = entries_[slot].offset_plus_1 - 1;
    if (entries_[slot].hash == hash && run.size <= section->size() - at &&
        std::memcmp(section->data() + at, run.data, static_cast<size_t>(run.size)) == 0) {
      return at;
    }
  }
  const uint64_t at = section->size();
  section->insert(section->end(), run.data, run.data + run.size);
  if (at < UINT32_MAX) {
    entries_[slot] = Entry{hash, static_cast<uint32_t>(at + 1)};
    ++used_;
  }
  return at;
}

void UniqueRuns::Grow() {
  std::vector<Entry> old(entries_.empty() ? 64 : entries_.size() * 2);
  old.swap(entries_);
  const uint64_t mask = entries_.size() - 1;
  for (const Entry& entry : old) {
    if (entry.offset_plus_1 == 0) continue;
    uint64_t slot = entry.hash & mask;
    while (entries_[slot].offset_plus_1 != 0) slot = (slot + 1) & mask;
    entries_[slot] = entry;
  }
}

}  // namespace treering::container

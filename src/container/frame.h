// SPDX-License-Identifier: Apache-2.0
// What opening a container reads and checks: header, trailer, block-hash table.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/hash.h"
#include "format/records.h"
#include "storage/storage.h"

namespace treering::container {

// Verified. Spans point into `region` or into `storage`.
struct Frame {
  std::array<uint8_t, format::kHeaderSize> header{};
  format::Trailer trailer;
  base::ByteSpan tail;   // the file's last bytes, as far as they were read
  base::ByteSpan table;  // 8 bytes a block
  std::shared_ptr<const storage::Region> region;
  std::vector<uint8_t> tail_storage;
  std::vector<uint8_t> table_storage;

  codec::Hash128 Digest() const {
    return format::FileDigest(base::ByteSpan(header.data(), header.size()), table, trailer);
  }
};

// At most three reads; two unless the table is larger than the last 64 KiB. With a region, none.
// Answers as FORMAT.md section 15 has them; kLimit for an index beyond max_index_bytes.
base::Status ReadFrame(const storage::ReadableFile& file,
                       std::shared_ptr<const storage::Region> region, uint64_t max_index_bytes,
                       Frame* out);

}  // namespace treering::container

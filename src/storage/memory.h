// SPDX-License-Identifier: Apache-2.0
// Containers in memory: read from a borrowed or kept span, write to a growing buffer.
#pragma once

#include <vector>

#include "storage/storage.h"

namespace treering::storage {

// Reads from memory that `region` keeps alive (which may borrow the caller's bytes).
std::unique_ptr<ReadableFile> OpenRegion(std::shared_ptr<const Region> region, std::string name);

// A region over bytes that the caller keeps alive and unchanged.
std::shared_ptr<const Region> BorrowedRegion(base::ByteSpan bytes);
// A region that owns a buffer.
std::shared_ptr<const Region> OwnedRegion(std::vector<uint8_t> bytes);

// Appends to *out, which must outlive the file. Sync and Close succeed.
std::unique_ptr<WritableFile> WriteToVector(std::vector<uint8_t>* out);

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// Files behind the caller's own read and write functions.
#pragma once

#include <functional>

#include "storage/storage.h"

namespace treering::storage {

// Each callback answers 0 for success or an errno-like number, which is passed on as kIo.
using ReadAtCallback = std::function<int32_t(uint64_t offset, void* dst, uint64_t n)>;
using WriteCallback = std::function<int32_t(const void* data, uint64_t n)>;
using FlushCallback = std::function<int32_t()>;

std::unique_ptr<ReadableFile> OpenCallback(ReadAtCallback read_at, uint64_t size, std::string name);
// `flush` may be empty: then Sync succeeds and durability is the caller's affair.
std::unique_ptr<WritableFile> WriteToCallback(WriteCallback write, FlushCallback flush);

}  // namespace treering::storage

// SPDX-License-Identifier: Apache-2.0
// Writes one container front to back into a WritableFile.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "codec/hash.h"
#include "container/leaf_gate.h"
#include "container/progress.h"
#include "format/records.h"
#include "storage/storage.h"
#include "tree/tree.h"

namespace treering::container {

struct WriterOptions {
  int32_t codec = 0;         // numbers of the C ABI: 0, 1 raw; 2 zstd; 3 zstd planes
  int32_t level = 0;         // 0: 3
  uint32_t threads = 0;      // more threads for compression
  uint64_t chunk_bytes = 0;  // 0: 1 MiB
  std::string metadata;      // JSON, checked
  Progress progress;
};

struct Summary {
  uint64_t file_size = 0;
  uint64_t leaf_count = 0;
  uint64_t node_count = 0;
  uint64_t raw_bytes = 0;
  codec::Hash128 content;
  codec::Hash128 file;
};

// After any failure only destruction may follow (kWrongState). Memory: the staging buffers (a few
// MiB) plus the index.
class Writer {
 public:
  // Writes the header. `file` outlives the writer.
  static base::Result<std::unique_ptr<Writer>> Create(storage::WritableFile* file,
                                                      WriterOptions options);
  ~Writer();

  // Writes the leaves' bytes now; keeps nothing of the tree but its index records. With a gate,
  // values are taken from there.
  base::Status AddTree(std::string_view name, const tree::Tree& tree, LeafGate* gate = nullptr);
  base::Status AddBytes(format::ItemKind kind, std::string_view name, base::ByteSpan bytes);
  // Index and trailer. Does not flush or close the file.
  base::Result<Summary> Finish();

 private:
  struct Impl;
  explicit Writer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// True if `text` is exactly one JSON value, UTF-8, at most 128 deep. Iterative. *error_offset where
// not, and whether it is the depth that is at fault.
bool IsJson(std::string_view text, uint64_t* error_offset, bool* too_deep = nullptr);

}  // namespace treering::container

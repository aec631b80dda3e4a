// SPDX-License-Identifier: Apache-2.0
// What the opaque handles of the C ABI are.
#pragma once

#include <treering/treering.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "container/container.h"
#include "container/pending_file.h"
#include "container/writer.h"
#include "storage/storage.h"
#include "tree/filter.h"
#include "tree/report.h"
#include "tree/tree.h"

struct treering_blob {
  mutable std::atomic<uint64_t> references{1};
  treering::base::ByteSpan bytes;
  std::shared_ptr<const void> owner;
};

// The tree, and what C callers are shown of it that the tree does not hold in C's form. The caches
// are filled under the mutex, so that const calls stay concurrent, and dropped by every change.
struct treering_tree {
  treering::tree::Tree value;
  mutable std::mutex mutex;
  mutable bool preorder_ready = false;
  mutable std::vector<treering::tree::NodeId> preorder;
  mutable std::unordered_map<const void*, std::vector<treering_attribute>> attributes;
  mutable std::unordered_map<const void*, std::vector<treering_piece>> pieces;

  void Changed() {
    preorder_ready = false;
    preorder.clear();
    attributes.clear();
    pieces.clear();
  }
};

struct treering_filter {
  treering::tree::FilterPtr value;
};

struct treering_report {
  treering::tree::Report value;
};

struct treering_checkpoint {
  std::shared_ptr<const treering::container::Container> value;
};

namespace treering::capi {

// 64-byte aligned memory of a blob that owns its bytes.
std::shared_ptr<void> AlignedBuffer(uint64_t size);
treering_blob* NewBlob(base::ByteSpan bytes, std::shared_ptr<const void> owner);
treering_tree* NewTree(tree::Tree value);
treering_report* NewReport(tree::Report value);
// Calls `release` when the last copy goes; null for no lend. The callback is guarded from the
// moment it is imported.
base::Status ImportLend(const treering_lend* lend, tree::Owner* out);

}  // namespace treering::capi

// SPDX-License-Identifier: Apache-2.0
// Blobs, lent memory, and the making of handles.
//
// A blob is a span and whatever keeps it alive: a mapping, a tree's buffer, new memory. Its count
// is atomic, and the last free on any thread lets go of the owner. Lent memory is an owner too: its
// destructor is the caller's release callback, which therefore runs exactly once, whoever is last.
#include <algorithm>
#include <cstdint>
#include <new>

#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/import.h"

namespace treering::capi {

using base::Status;

namespace {

constexpr std::align_val_t kAlignment{64};

struct Lent {
  treering_release release;
  void* user;
  Lent(treering_release r, void* u) : release(r), user(u) {}
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  ~Lent() {
    if (release != nullptr) release(user);
  }
};

}  // namespace

std::shared_ptr<void> AlignedBuffer(uint64_t size) {
  const uint64_t wanted = std::clamp<uint64_t>(size, 1, PTRDIFF_MAX);  // more is never to be had
  void* p = ::operator new(static_cast<size_t>(wanted), kAlignment);
  return std::shared_ptr<void>(p, [](void* q) { ::operator delete(q, kAlignment); });
}

treering_blob* NewBlob(base::ByteSpan bytes, std::shared_ptr<const void> owner) {
  auto blob = std::make_unique<treering_blob>();
  blob->bytes = bytes;
  if (blob->bytes.data == nullptr) blob->bytes.data = reinterpret_cast<const uint8_t*>("");
  blob->owner = std::move(owner);
  return blob.release();
}

treering_tree* NewTree(tree::Tree value) {
  auto tree = std::make_unique<treering_tree>();
  tree->value = std::move(value);
  return tree.release();
}

treering_report* NewReport(tree::Report value) {
  auto report = std::make_unique<treering_report>();
  report->value = std::move(value);
  return report.release();
}

Status ImportLend(const treering_lend* lend, tree::Owner* out) {
  out->reset();
  if (lend == nullptr) return {};
  treering_lend in;
  Status known = ImportStruct(lend, "lend", sizeof(treering_lend), &in);
  if (!known.ok()) {  // a field that is not known: the callback is, and is owed its call
    if (in.release != nullptr) in.release(in.user);
    return known;
  }
  auto* lent = new (std::nothrow) Lent(in.release, in.user);
  if (lent == nullptr) {
    if (in.release != nullptr) in.release(in.user);
    return Status(base::Code::kNoMemory, "out of memory");
  }
  out->reset(lent);  // deletes it, and so releases, if there is no memory for the count
  return {};
}

}  // namespace treering::capi

extern "C" {

const void* treering_blob_data(const treering_blob* blob) {
  return blob == nullptr ? "" : static_cast<const void*>(blob->bytes.data);
}

uint64_t treering_blob_size(const treering_blob* blob) {
  return blob == nullptr ? 0 : blob->bytes.size;
}

treering_blob* treering_blob_retain(const treering_blob* blob) {
  if (blob == nullptr) return nullptr;
  blob->references.fetch_add(1, std::memory_order_relaxed);
  return const_cast<treering_blob*>(blob);
}

void treering_blob_free(treering_blob* blob) {
  if (blob != nullptr && blob->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete blob;
}

}  // extern "C"

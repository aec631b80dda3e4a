// SPDX-License-Identifier: Apache-2.0
// Makes trees safe from their caller's hands while they are written, within a byte budget.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "container/leaf_gate.h"
#include "tree/tree.h"

namespace treering::manager {

struct StagingOptions {
  uint64_t budget = 0;   // bytes of copies at a time; 0: 1 GiB
  bool borrow = false;   // lent leaves stay lent, and fill callbacks are called by the writer
  uint32_t threads = 0;  // more threads for copying large leaves
};

// Stands between two threads. The caller's copies leaves in the order in which the writer will ask
// for them, while the budget has room, and returns when the last is copied; the writer's takes
// them out through the gates, and what it has read is freed at once. A leaf beyond the budget is
// copied when nothing else is held. Neither side can wait for ever: the order is the same on both.
//
// Leaves whose memory the tree owns are never changed by anybody, so they are shared; lent leaves
// and those of fill callbacks are copied. Aliases stay aliases: their leaf is copied once. The
// file is the same, byte for byte, as one written from the trees at the time of the call.
//
// The caller creates the staging, submits the job, copies, and says SnapshotTaken. The job calls
// writer->AddTree(name, staging->tree(i), staging->gate(i)) for each tree, in order. Finish belongs
// into the destructor of something that the job holds, since a job may be destroyed without having
// run. A caller that does not come to Copy calls GiveUp.
class Staging {
 public:
  // Copies the nodes, not yet the leaves. kInvalidArgument if a tree is empty, or a leaf abstract
  // (naming it); kNoMemory. The trees must stay as they are until Copy has returned.
  static base::Result<std::shared_ptr<Staging>> Create(const std::vector<const tree::Tree*>& trees,
                                                       const StagingOptions& options);
  static base::Result<std::shared_ptr<Staging>> Create(const tree::Tree& tree,
                                                       const StagingOptions& options);
  ~Staging();

  // Tree number i with the same ids. Leaves that are copied are abstract in it: their values come
  // from its gate. The trees must be written in order, each once.
  const tree::Tree& tree(size_t i = 0) const;
  container::LeafGate* gate(size_t i = 0);

  // On the caller's thread, once: returns when every leaf is copied, or is not needed any more
  // because Finish was called; how the writer ended is the save's business. A failure (memory, a
  // fill callback; the leaf is named) is given to the writer too, so the save ends with the same
  // status: tell it once. Lent leaves are let go of before it returns.
  base::Status Copy();
  // The writer has ended, well or not: Copy returns, copies are freed. Idempotent.
  void Finish();
  // There will be no more copies: a writer that waits for one ends with kCancelled. After Copy it
  // does nothing.
  void GiveUp();

  // Bytes that Copy will copy, and the most that were held at a time.
  uint64_t copy_bytes() const;
  uint64_t peak_bytes() const;

 private:
  struct Impl;
  explicit Staging(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace treering::manager

// SPDX-License-Identifier: Apache-2.0
// Lets the values of leaves come and go while their tree is written.
#pragma once

#include "base/status.h"
#include "tree/tree.h"

namespace treering::container {

// Used by the writing thread alone. Leaves are asked for in the order in which they are stored:
// breadth first, a shared leaf once, by the id that the tree calls it, where its first path comes.
class LeafGate {
 public:
  virtual ~LeafGate() = default;
  // True if `leaf` can be read: *value, which is what the tree says, then points to its bytes.
  // They stay until AllRead.
  virtual bool Ready(tree::NodeId leaf, tree::Value* value) = 0;
  // Waits until it can be. Before, everything that was ready has been read. A failure ends the
  // writing, with this status as it is.
  virtual base::Status Await(tree::NodeId leaf) = 0;
  // What was ready so far has been read.
  virtual void AllRead() = 0;
};

}  // namespace treering::container

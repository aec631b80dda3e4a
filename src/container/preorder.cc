// SPDX-License-Identifier: Apache-2.0
// Preorder over nodes that are stored breadth-first.
//
// Children of a node are adjacent, so a level of the stack is two numbers. A damaged or hostile
// index may claim anything; what ends the walk is that a child must have a higher id than its
// parent and must name it as its parent, so no node is met twice, and that the depth is limited.
#include "container/preorder.h"

namespace treering::container {

using base::Code;
using base::Status;

Status Preorder::Enter(uint32_t id, uint32_t parent) {
  TR_ASSIGN_OR_RETURN(record_, reader_.index().Node(id));
  id_ = id;
  if (record_.parent != parent) {
    return reader_.Broken("node " + std::to_string(id) +
                          " names another parent than the one whose "
                          "child it is");
  }
  descend_ = format::IsContainerKind(record_.kind) && record_.size != 0;
  if (descend_) {
    const uint64_t end = uint64_t{item_.root} + item_.node_count;
    TR_RETURN_IF_ERROR(reader_.CheckChildren(id, record_, end));
  }
  return Status();
}

void Preorder::SkipChildren() { descend_ = false; }

Status Preorder::Next(bool* more) {
  *more = true;
  if (!started_) {
    started_ = true;
    return Enter(item_.root, format::kNoParent);
  }
  if (descend_) {
    if (levels_.size() >= reader_.max_depth()) {
      return Status(Code::kLimit, "'" + reader_.name() +
                                      "': the tree is deeper than the limit of " +
                                      std::to_string(reader_.max_depth()) + "; raise max_depth");
    }
    levels_.push_back({record_.a, record_.a + record_.size});
    ancestors_.push_back(id_);
    path_.emplace_back();
  }
  while (!levels_.empty() && levels_.back().next == levels_.back().end) {
    levels_.pop_back();
    ancestors_.pop_back();
    path_.pop_back();
  }
  if (levels_.empty()) {
    *more = false;
    return Status();
  }
  TR_RETURN_IF_ERROR(Enter(static_cast<uint32_t>(levels_.back().next++), ancestors_.back()));
  TR_ASSIGN_OR_RETURN(path_.back(), reader_.KeyOf(record_));
  return Status();
}

}  // namespace treering::container

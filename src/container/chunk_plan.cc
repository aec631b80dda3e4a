// SPDX-License-Identifier: Apache-2.0
// How a piece is cut into chunks.
//
// The default cut is 1, ..., 1, k, d, ..., d: whole trailing axes, and as many rows k of the axis
// before them as fit the target, so that raw chunks in grid order are the piece in C order and a
// view of it is one run of bytes. Elements of 2 and 4 bits start anew on a byte in each chunk, so
// k is then chosen such that a cut falls between bytes.
//
// Pieces come from different writers and may be anything. They cover the array exactly once if they
// lie in it, no two meet, and their elements add up. Only pieces near each other on one axis are
// compared: the axis on which they differ most.
#include "container/chunk_plan.h"

#include <algorithm>
#include <string>

#include "base/checked.h"
#include "container/pieces.h"
#include "format/records.h"

namespace treering::container {
namespace {

using base::Code;
using base::Status;

// Rows that a cut must be a multiple of, so that it falls between bytes.
uint64_t RowStep(uint64_t row_bits) {
  if (row_bits % 8 == 0) return 1;
  return row_bits % 4 == 0 ? 2 : 4;
}

void DefaultShape(ChunkPlan* plan, uint64_t chunk_bytes) {
  const tree::Dims& extent = plan->piece.extent;
  uint64_t row_bits = tree::StorageBits(plan->dtype);
  uint32_t axis = plan->piece.rank;
  for (uint32_t i = 0; i < axis; ++i) plan->shape[i] = 1;
  while (axis-- > 0) {
    const uint64_t step = RowStep(row_bits);
    const uint64_t fit = chunk_bytes * 8 / row_bits / step * step;
    plan->shape[axis] = std::min(extent[axis], std::max(fit, step));
    if (plan->shape[axis] < extent[axis]) return;
    row_bits *= extent[axis];
    if (row_bits > chunk_bytes * 8) return;
  }
}

Status TakeShape(const uint64_t* wanted, ChunkPlan* plan) {
  for (uint32_t i = 0; i < plan->piece.rank; ++i) {
    if (wanted[i] == 0) {
      return Status(Code::kInvalidArgument,
                    "its chunk shape has a 0 at axis " + std::to_string(i) + "; give at least 1");
    }
    plan->shape[i] = std::min(wanted[i], plan->piece.extent[i]);
  }
  uint64_t size = 0;
  if (!tree::RawSize(plan->dtype, plan->shape.data(), plan->piece.rank, &size) ||
      size > kMaxWrittenChunk) {
    return Status(Code::kLimit,
                  "its chunk shape makes chunks of more than 64 MiB; make it smaller");
  }
  return Status();
}

bool IsRuns(const ChunkPlan& plan) {
  uint32_t axis = 0;
  while (axis < plan.piece.rank && plan.shape[axis] == 1) ++axis;
  for (++axis; axis < plan.piece.rank; ++axis) {
    if (plan.shape[axis] != plan.piece.extent[axis]) return false;
  }
  return true;
}

}  // namespace

base::Result<ChunkPlan> PlanChunks(tree::Dtype dtype, const tree::Box& piece,
                                   const uint64_t* wanted, uint64_t chunk_bytes) {
  ChunkPlan plan;
  plan.dtype = dtype;
  plan.piece = piece;
  if (wanted != nullptr) {
    TR_RETURN_IF_ERROR(TakeShape(wanted, &plan));
  } else {
    DefaultShape(&plan, chunk_bytes);
  }
  uint64_t count = 1;
  for (uint32_t i = 0; i < piece.rank; ++i) {
    plan.counts[i] = (piece.extent[i] - 1) / plan.shape[i] + 1;
    if (!base::CheckedMul(count, plan.counts[i], &count) || count > UINT32_MAX - 1) {
      return Status(Code::kLimit, "it has more than 4294967294 chunks; make them larger");
    }
  }
  plan.count = static_cast<uint32_t>(count);
  plan.runs = IsRuns(plan);
  return plan;
}

tree::Box ChunkPlan::Cell(uint32_t i) const {
  tree::Box cell;
  cell.rank = piece.rank;
  uint64_t left = i;
  for (uint32_t axis = piece.rank; axis-- > 0;) {
    const uint64_t first = left % counts[axis] * shape[axis];
    left /= counts[axis];
    cell.origin[axis] = piece.origin[axis] + first;
    cell.extent[axis] = std::min(shape[axis], piece.extent[axis] - first);
  }
  return cell;
}

uint64_t ChunkPlan::RawSize(const tree::Box& cell) const {
  return (cell.elements() * tree::StorageBits(dtype) + 7) / 8;
}

namespace {

// The axis on which the boxes have the most different origins.
uint32_t WidestAxis(const std::vector<tree::Box>& boxes, uint32_t rank) {
  uint32_t best = 0;
  size_t most = 0;
  std::vector<uint64_t> origins(boxes.size());
  for (uint32_t axis = 0; axis < rank; ++axis) {
    for (size_t i = 0; i < boxes.size(); ++i) origins[i] = boxes[i].origin[axis];
    std::sort(origins.begin(), origins.end());
    const auto end = std::unique(origins.begin(), origins.end());
    const size_t distinct = static_cast<size_t>(end - origins.begin());
    if (distinct > most) {
      most = distinct;
      best = axis;
    }
  }
  return best;
}

std::string Name(const tree::Box& box) {
  std::string text = "[";
  for (uint32_t i = 0; i < box.rank; ++i) {
    if (i != 0) text += ", ";
    text += std::to_string(box.origin[i]) + ":" + std::to_string(box.origin[i] + box.extent[i]);
  }
  return text + "]";
}

Status CheckDisjoint(const std::vector<tree::Box>& boxes, uint32_t rank) {
  const uint32_t axis = WidestAxis(boxes, rank);
  std::vector<uint32_t> order(boxes.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return boxes[a].origin[axis] < boxes[b].origin[axis]; });
  for (size_t i = 0; i < order.size(); ++i) {
    const tree::Box& box = boxes[order[i]];
    const uint64_t end = box.origin[axis] + box.extent[axis];
    for (size_t j = i + 1; j < order.size(); ++j) {
      const tree::Box& other = boxes[order[j]];
      if (other.origin[axis] >= end) break;
      tree::Box common;
      if (tree::Intersect(box, other, &common)) {
        return Status(Code::kInvalidArgument, "its pieces " + Name(box) + " and " + Name(other) +
                                                  " overlap; give each element once");
      }
    }
  }
  return Status();
}

}  // namespace

base::Status SortAndCheckCover(std::vector<uint32_t>* order, const std::vector<tree::Box>& boxes,
                               const uint64_t* shape, uint32_t rank) {
  uint64_t elements = 0;
  Coverage coverage(tree::WholeBox(shape, rank));
  for (const tree::Box& box : boxes) {
    if (!tree::Within(box, shape) || box.elements() == 0) {
      return Status(Code::kInvalidArgument,
                    "its piece " + Name(box) + " is empty or does not lie within the shape");
    }
    if (!base::CheckedAdd(elements, box.elements(), &elements)) elements = UINT64_MAX;
    coverage.Add(box);
  }
  if (!coverage.Exact()) {
    TR_RETURN_IF_ERROR(CheckDisjoint(boxes, rank));
    uint64_t expected = 0;
    if (!tree::ElementCount(shape, rank, &expected) || elements != expected) {
      return Status(Code::kInvalidArgument, "its pieces hold " + std::to_string(elements) + " of " +
                                                std::to_string(expected) +
                                                " elements; give the missing ones");
    }
    return Status(Code::kLimit, "its " + std::to_string(boxes.size()) +
                                    " pieces are too irregular for readers to check; give fewer, "
                                    "or those of a grid");
  }
  order->resize(boxes.size());
  for (uint32_t i = 0; i < order->size(); ++i) (*order)[i] = i;
  std::sort(order->begin(), order->end(),
            [&](uint32_t a, uint32_t b) { return boxes[a].origin < boxes[b].origin; });
  return Status();
}

}  // namespace treering::container

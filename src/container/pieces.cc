// SPDX-License-Identifier: Apache-2.0
// Pieces: which chunks a box of an array needs.
//
// A piece is a box with a grid of chunks; both are numbers from the file, so they are checked here
// against the array's shape and the number of chunks before anything is computed from them. After
// that the arithmetic is that of boxes inside an array whose size fits 63 bits and cannot wrap.
//
// That pieces cover a box is known when their parts of it add up to its elements and no two of them
// meet. Cells of one grid, as shards are, are told by their numbers, however many there are. Other
// partitions take a sweep along the axis on which the parts differ most; its comparisons are
// capped, so that a file made to be slow is refused instead. The writer asks the same question and
// writes no leaf that would be refused.
#include "container/pieces.h"

#include <algorithm>
#include <string>

#include "base/checked.h"

namespace treering::container {

using base::Result;
using tree::Box;

namespace {

constexpr uint64_t kMostComparisons = uint64_t{1} << 26;

// The numbers of one axis; *chunks is multiplied by the cells along it.
bool AxisFits(const PieceGrid& grid, const Leaf& leaf, uint32_t axis, uint64_t* chunks) {
  const uint64_t extent = grid.box.extent[axis];
  const uint64_t step = grid.chunk_shape[axis];
  return extent >= 1 && step >= 1 && step <= extent &&
         base::InBounds(grid.box.origin[axis], extent, leaf.shape[axis]) &&
         base::CheckedMul(*chunks, (extent - 1) / step + 1, chunks);
}

}  // namespace

Result<PieceGrid> LoadPiece(const Reader& reader, const Leaf& leaf, uint64_t piece) {
  const IndexView& index = reader.index();
  if (piece >= index.count(format::kPieces)) return reader.Broken("a piece that does not exist");
  PieceGrid grid;
  TR_ASSIGN_OR_RETURN(grid.record, index.Piece(static_cast<uint32_t>(piece)));
  const format::PieceRecord& record = grid.record;
  const uint32_t rank = leaf.rank;
  if (record.leaf != leaf.value_id) {
    return reader.Broken("piece " + std::to_string(piece) + " names another leaf");
  }
  grid.box.rank = rank;
  TR_RETURN_IF_ERROR(index.Dims(record.origin, rank, grid.box.origin.data()));
  TR_RETURN_IF_ERROR(index.Dims(record.extent, rank, grid.box.extent.data()));
  TR_RETURN_IF_ERROR(index.Dims(record.chunk_shape, rank, grid.chunk_shape.data()));
  uint64_t chunks = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    if (!AxisFits(grid, leaf, i, &chunks)) {
      return reader.Broken("piece " + std::to_string(piece) + " does not fit its array on axis " +
                           std::to_string(i));
    }
    grid.cells[i] = (grid.box.extent[i] - 1) / grid.chunk_shape[i] + 1;
  }
  if (chunks != record.chunk_count ||
      !base::InBounds(record.first_chunk, chunks, index.count(format::kChunks))) {
    return reader.Broken("piece " + std::to_string(piece) + " has not the chunks of its grid");
  }
  return grid;
}

namespace {

void SetCell(const PieceGrid& grid, const tree::Dims& at, Cell* out) {
  out->box.rank = grid.box.rank;
  uint64_t number = 0;
  for (uint32_t i = 0; i < grid.box.rank; ++i) {
    const uint64_t from = at[i] * grid.chunk_shape[i];
    out->box.origin[i] = grid.box.origin[i] + from;
    out->box.extent[i] = std::min(grid.chunk_shape[i], grid.box.extent[i] - from);
    number = number * grid.cells[i] + at[i];
  }
  out->chunk = grid.record.first_chunk + static_cast<uint32_t>(number);
}

}  // namespace

void CellAt(const PieceGrid& grid, uint32_t cell, Cell* out) {
  tree::Dims at;
  uint64_t rest = cell;
  for (uint32_t i = grid.box.rank; i-- > 0;) {
    at[i] = rest % grid.cells[i];
    rest /= grid.cells[i];
  }
  SetCell(grid, at, out);
}

CellWalk::CellWalk(const PieceGrid& grid, const Box& part) : grid_(grid) {
  for (uint32_t i = 0; i < grid.box.rank; ++i) {
    const uint64_t from = part.origin[i] - grid.box.origin[i];
    first_[i] = from / grid.chunk_shape[i];
    last_[i] = (from + part.extent[i] - 1) / grid.chunk_shape[i];
    at_[i] = first_[i];
  }
}

bool CellWalk::Next(Cell* out) {
  if (done_) return false;
  SetCell(grid_, at_, out);
  uint32_t i = grid_.box.rank;
  while (i > 0 && at_[i - 1] == last_[i - 1]) {
    at_[i - 1] = first_[i - 1];
    --i;
  }
  if (i == 0) {
    done_ = true;
  } else {
    ++at_[i - 1];
  }
  return true;
}

void Coverage::Add(const Box& part) {
  // Parts of one box: their sum passes it by far before it can wrap, and then it is too much.
  elements_ += part.elements();
  if (elements_ > wanted_.elements()) too_many_ = true;
  if (too_many_) return;
  words_.insert(words_.end(), part.origin.begin(), part.origin.begin() + part.rank);
  words_.insert(words_.end(), part.extent.begin(), part.extent.begin() + part.rank);
}

bool Coverage::Exact() {
  if (too_many_ || elements_ != wanted_.elements()) return false;
  if (words_.size() <= uint64_t{wanted_.rank} * 2) return true;
  return IsGrid() || Disjoint();
}

// The different origins on an axis, ascending.
std::vector<uint64_t> Coverage::Origins(uint32_t axis) const {
  std::vector<uint64_t> origins;
  for (size_t i = axis; i < words_.size(); i += uint64_t{wanted_.rank} * 2) {
    origins.push_back(words_[i]);
  }
  std::sort(origins.begin(), origins.end());
  origins.erase(std::unique(origins.begin(), origins.end()), origins.end());
  return origins;
}

// Whether the parts are the cells of one grid, each once.
bool Coverage::IsGrid() const {
  const uint32_t rank = wanted_.rank;
  const uint64_t step = uint64_t{rank} * 2;
  std::vector<uint64_t> numbers(words_.size() / step);  // of the cells, in C order
  uint64_t cells = 1;
  for (uint32_t axis = 0; axis < rank; ++axis) {
    std::vector<uint64_t> cuts = Origins(axis);
    const uint64_t count = cuts.size();
    cells *= count;  // neither factor is larger than the number of parts, which is below 2^32
    if (cells > numbers.size()) return false;
    cuts.push_back(wanted_.origin[axis] + wanted_.extent[axis]);
    for (size_t i = 0; i < numbers.size(); ++i) {
      const uint64_t origin = words_[i * step + axis];
      const auto at = std::lower_bound(cuts.begin(), cuts.end(), origin);
      if (at[1] - origin != words_[i * step + rank + axis]) return false;
      numbers[i] = numbers[i] * count + static_cast<uint64_t>(at - cuts.begin());
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return cells == numbers.size() &&
         std::adjacent_find(numbers.begin(), numbers.end()) == numbers.end();
}

bool Coverage::Meet(const Part& a, const Part& b) const {
  for (uint32_t i = 0; i < wanted_.rank; ++i) {
    if (a.origin[i] + a.extent[i] <= b.origin[i] || b.origin[i] + b.extent[i] <= a.origin[i]) {
      return false;
    }
  }
  return true;
}

// The axis on which origins change most often between neighbours and are most spread: counted as
// distinct origins.
uint32_t Coverage::BestAxis() const {
  uint32_t best = 0;
  size_t most = 0;
  for (uint32_t axis = 0; axis < wanted_.rank; ++axis) {
    const size_t distinct = Origins(axis).size();
    if (distinct > most) {
      most = distinct;
      best = axis;
    }
  }
  return best;
}

bool Coverage::Disjoint() const {
  const uint64_t step = uint64_t{wanted_.rank} * 2;
  const uint32_t axis = BestAxis();
  std::vector<Part> parts;
  for (size_t i = 0; i < words_.size(); i += step) {
    parts.push_back({&words_[i], &words_[i + wanted_.rank]});
  }
  std::sort(parts.begin(), parts.end(),
            [axis](const Part& a, const Part& b) { return a.origin[axis] < b.origin[axis]; });
  std::vector<Part> open;  // those that the sweep has not passed
  uint64_t comparisons = 0;
  for (const Part& part : parts) {
    size_t kept = 0;
    for (const Part& other : open) {
      if (++comparisons > kMostComparisons) return false;
      if (other.origin[axis] + other.extent[axis] <= part.origin[axis]) continue;
      if (Meet(other, part)) return false;
      open[kept++] = other;
    }
    open.resize(kept);
    open.push_back(part);
  }
  return true;
}

}  // namespace treering::container

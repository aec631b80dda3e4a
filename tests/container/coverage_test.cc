// SPDX-License-Identifier: Apache-2.0
// Whether pieces cover an array exactly once: grids of any size, other partitions, near misses.
#include "cmocka_all.h"
#include "container/chunk_plan.h"
#include "container/pieces.h"

namespace {

using treering::container::Coverage;
using treering::tree::Box;
using Boxes = std::vector<Box>;

Box Make(uint64_t row, uint64_t column, uint64_t rows, uint64_t columns) {
  Box box;
  box.rank = 2;
  box.origin[0] = row;
  box.origin[1] = column;
  box.extent[0] = rows;
  box.extent[1] = columns;
  return box;
}

bool IsExact(const Boxes& boxes, const Box& wanted) {
  Coverage coverage(wanted);
  for (const Box& box : boxes) coverage.Add(box);
  return coverage.Exact();
}

treering::base::Code Sorted(const Boxes& boxes, uint64_t rows, uint64_t columns) {
  const uint64_t shape[] = {rows, columns};
  std::vector<uint32_t> order;
  return treering::container::SortAndCheckCover(&order, boxes, shape, 2).code();
}

// Cells of 2 x 3, the last of each axis cut to 1, in no particular order.
Boxes Grid(uint64_t n) {
  Boxes boxes;
  for (uint64_t i = 0; i < n * n; ++i) {
    const uint64_t at = i * 7919 % (n * n);
    const uint64_t row = at / n;
    const uint64_t column = at % n;
    boxes.push_back(Make(row * 2, column * 3, row + 1 == n ? 1 : 2, column + 1 == n ? 1 : 3));
  }
  return boxes;
}

// A sweep along either axis would have to compare 64 million pairs here.
void AGridOfManyPiecesIsExact(void** /*state*/) {
  const uint64_t n = 400;
  const Boxes boxes = Grid(n);
  const bool exact = IsExact(boxes, Make(0, 0, n * 2 - 1, n * 3 - 2));
  const auto sorted = Sorted(boxes, n * 2 - 1, n * 3 - 2);
  assert_true(exact);
  assert_int_equal(sorted, treering::base::Code::kOk);
}

void ACellGivenTwiceInPlaceOfAnotherIsNot(void** /*state*/) {
  Boxes boxes = Grid(20);
  boxes[7] = boxes[8];  // neither is at an end: the sum of elements is right
  const bool exact = IsExact(boxes, Make(0, 0, 39, 58));
  const auto sorted = Sorted(boxes, 39, 58);
  assert_false(exact);
  assert_int_equal(sorted, treering::base::Code::kInvalidArgument);
}

void BricksAreExact(void** /*state*/) {
  Boxes boxes;
  for (uint64_t row = 0; row < 10; ++row) {
    const uint64_t half = row % 2;  // each second row begins with half a brick
    for (uint64_t i = 0; i < 10; ++i) boxes.push_back(Make(row, i * 4 + half * 2, 1, 4));
    if (half == 1) {
      boxes.back().extent[1] = 2;
      boxes.push_back(Make(row, 0, 1, 2));
    }
  }
  const bool exact = IsExact(boxes, Make(0, 0, 10, 40));
  boxes[3].origin[0] = 4;  // a gap in one row, an overlap in another
  const bool moved = IsExact(boxes, Make(0, 0, 10, 40));
  assert_true(exact);
  assert_false(moved);
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(AGridOfManyPiecesIsExact),
      cmocka_unit_test(ACellGivenTwiceInPlaceOfAnotherIsNot),
      cmocka_unit_test(BricksAreExact),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

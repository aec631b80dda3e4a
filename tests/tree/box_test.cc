// SPDX-License-Identifier: Apache-2.0
// Box arithmetic by example, and copies against a model that moves one element at a time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tree/box.h"

extern "C" {
#include <cmocka.h>
}

namespace treering::tree {
namespace {

constexpr uint32_t kSeed = 20240607;

Box ABox(std::initializer_list<uint64_t> origin, std::initializer_list<uint64_t> extent) {
  Box box;
  box.rank = static_cast<uint32_t>(origin.size());
  std::copy(origin.begin(), origin.end(), box.origin.begin());
  std::copy(extent.begin(), extent.end(), box.extent.begin());
  return box;
}

void BoxesMeetWhereBothHaveElements(void**) {
  Box out;
  assert_true(Intersect(ABox({0, 2}, {4, 4}), ABox({3, 0}, {4, 3}), &out));
  assert_int_equal(out.rank, 2);
  assert_int_equal(out.origin[0], 3);
  assert_int_equal(out.origin[1], 2);
  assert_int_equal(out.extent[0], 1);
  assert_int_equal(out.extent[1], 1);
  assert_false(Intersect(ABox({0}, {4}), ABox({4}, {4}), &out));
  assert_false(Intersect(ABox({0}, {4}), ABox({2}, {0}), &out));
  assert_int_equal(out.rank, 2);
  assert_true(Intersect(ABox({}, {}), ABox({}, {}), &out));
  assert_int_equal(out.elements(), 1);
}

void ABoxIsWithinAShapeWithoutOverflow(void**) {
  const uint64_t shape[] = {4, 6};
  assert_true(Within(WholeBox(shape, 2), shape));
  assert_int_equal(WholeBox(shape, 2).elements(), 24);
  assert_true(Within(ABox({4, 6}, {0, 0}), shape));
  assert_false(Within(ABox({0, 1}, {4, 6}), shape));
  assert_false(Within(ABox({1, 0}, {UINT64_MAX, 6}), shape));
  assert_false(Within(ABox({UINT64_MAX, 0}, {1, 6}), shape));
}

void ARunIsContiguousIfOnlyOneAxisIsCut(void**) {
  uint64_t first = 0;
  const Box outer = ABox({10, 20, 30}, {4, 5, 6});
  assert_true(IsContiguousRun(outer, outer, &first));
  assert_int_equal(first, 0);
  assert_true(IsContiguousRun(outer, ABox({11, 20, 30}, {2, 5, 6}), &first));
  assert_int_equal(first, 30);
  assert_true(IsContiguousRun(outer, ABox({11, 22, 30}, {1, 2, 6}), &first));
  assert_int_equal(first, 42);
  assert_true(IsContiguousRun(outer, ABox({13, 24, 33}, {1, 1, 2}), &first));
  assert_int_equal(first, 117);
  assert_false(IsContiguousRun(outer, ABox({11, 22, 30}, {2, 2, 6}), &first));
  assert_false(IsContiguousRun(outer, ABox({11, 22, 31}, {1, 2, 5}), &first));
  assert_true(IsContiguousRun(ABox({}, {}), ABox({}, {}), &first));
  assert_int_equal(first, 0);
}

// Memory of a test: exactly as many bytes as it needs, so that a sanitizer sees one beyond.
struct Store {
  std::vector<uint8_t> bytes;
  Memory memory;
  uint64_t corner = 0;  // of element (0, ..., 0), in bytes
};

using Random = std::mt19937;

uint64_t Below(Random* random, uint64_t n) { return (*random)() % n; }

// Strides over permuted axes with gaps, some negative or, for a source, zero.
Store AStridedStore(Random* random, Dtype dtype, const Box& box, bool source) {
  Store store;
  store.memory.box = box;
  std::array<uint32_t, 8> order{};
  for (uint32_t i = 0; i < box.rank; ++i) order[i] = i;
  if (Below(random, 2) == 0) std::shuffle(order.begin(), order.begin() + box.rank, *random);
  const bool gaps = Below(random, 2) == 0;
  uint64_t step = ElementBytes(dtype);
  uint64_t last = 0;
  for (uint32_t k = box.rank; k-- > 0;) {
    const uint32_t axis = order[k];
    const uint64_t span = step * (box.extent[axis] - 1);
    int64_t stride = static_cast<int64_t>(step);
    const uint64_t choice = Below(random, 8);
    if (source && choice == 0) {
      stride = 0;
    } else {
      last += span;
      step = step * box.extent[axis] + (gaps ? Below(random, 3) : 0);
      if (source && choice == 1) {
        stride = -stride;
        store.corner += span;
      }
    }
    store.memory.strides[axis] = stride;
  }
  store.bytes.resize(last + ElementBytes(dtype));
  return store;
}

Store AStore(Random* random, Dtype dtype, const Box& box, bool source) {
  Store store;
  if (Below(random, 3) == 0) {
    store = AStridedStore(random, dtype, box, source);
  } else {
    store.memory = Contiguous(dtype, box, nullptr);
    store.bytes.resize((box.elements() * StorageBits(dtype) + 7) / 8);
  }
  for (uint8_t& byte : store.bytes) byte = static_cast<uint8_t>((*random)());
  return store;
}

// Where the element at `at` lies: the first bit.
uint64_t BitOf(Dtype dtype, const Store& store, const Dims& at) {
  const Memory& memory = store.memory;
  int64_t position = 0;
  for (uint32_t i = 0; i < memory.box.rank; ++i) {
    const int64_t k = static_cast<int64_t>(at[i] - memory.box.origin[i]);
    if (memory.layout == Layout::kPackedBits) {
      position = position * static_cast<int64_t>(memory.box.extent[i]) + k;
    } else {
      position += k * memory.strides[i];
    }
  }
  if (memory.layout == Layout::kPackedBits) {
    return static_cast<uint64_t>(position) * StorageBits(dtype);
  }
  return static_cast<uint64_t>(position + static_cast<int64_t>(store.corner)) * 8;
}

bool Bit(const std::vector<uint8_t>& bytes, uint64_t i) { return (bytes[i / 8] >> i % 8 & 1) != 0; }

void SetBit(std::vector<uint8_t>* bytes, uint64_t i, bool value) {
  const uint8_t mask = static_cast<uint8_t>(1u << i % 8);
  uint8_t& byte = (*bytes)[i / 8];
  byte = static_cast<uint8_t>(value ? byte | mask : byte & ~mask);
}

// Bit by bit; an element that has a byte of its own gets its upper bits by its sign.
void CopyOne(Dtype dtype, Store* dst, const Store& src, const Dims& at) {
  const uint64_t to = BitOf(dtype, *dst, at);
  const uint64_t from = BitOf(dtype, src, at);
  const uint64_t bits = StorageBits(dtype);
  for (uint64_t i = 0; i < bits; ++i) SetBit(&dst->bytes, to + i, Bit(src.bytes, from + i));
  if (bits >= 8 || dst->memory.layout == Layout::kPackedBits) return;
  const bool top = dtype.code == 0 && Bit(src.bytes, from + bits - 1);
  for (uint64_t i = bits; i < 8; ++i) SetBit(&dst->bytes, to + i, top);
}

void CopyByModel(Dtype dtype, Store* dst, const Store& src, const Box& part) {
  for (uint64_t n = 0; n < part.elements(); ++n) {
    Dims at{};
    uint64_t rest = n;
    for (uint32_t i = part.rank; i-- > 0;) {
      at[i] = part.origin[i] + rest % part.extent[i];
      rest /= part.extent[i];
    }
    CopyOne(dtype, dst, src, at);
  }
}

Box ARandomBox(Random* random, const Dims& shape, uint32_t rank) {
  Box box;
  box.rank = rank;
  for (uint32_t i = 0; i < rank; ++i) {
    const bool whole = Below(random, 2) == 0;
    box.origin[i] = whole ? 0 : Below(random, shape[i]);
    box.extent[i] = whole ? shape[i] : 1 + Below(random, shape[i] - box.origin[i]);
  }
  return box;
}

bool OneCopyAgrees(Random* random, Dtype dtype, uint32_t rank) {
  Dims shape{};
  for (uint32_t i = 0; i < rank; ++i) shape[i] = 1 + Below(random, rank < 3 ? 40 : 7);
  const Box target = ARandomBox(random, shape, rank);
  const Box source = ARandomBox(random, shape, rank);
  Box part;
  if (!Intersect(target, source, &part)) return true;
  Store dst = AStore(random, dtype, target, false);
  Store src = AStore(random, dtype, source, true);
  Store expected = dst;
  CopyByModel(dtype, &expected, src, part);
  dst.memory.data = dst.bytes.data() + dst.corner;
  src.memory.data = src.bytes.data() + src.corner;
  CopyBox(dtype, dst.memory, src.memory, part);
  return dst.bytes == expected.bytes;
}

int Disagreements(Dtype dtype, int trials) {
  Random random(kSeed + dtype.number());
  int bad = 0;
  for (uint32_t rank = 0; rank <= 5; ++rank) {
    for (int i = 0; i < trials; ++i) {
      if (!OneCopyAgrees(&random, dtype, rank)) ++bad;
    }
  }
  return bad;
}

void CopiesAgreeWithTheModelForEveryWidth(void**) {
  print_message("# seed %u\n", kSeed);
  const Dtype dtypes[] = {{6, 8},   {15, 6}, {2, 16}, {2, 32}, {0, 64}, {5, 128}, {99, 24},
                          {99, 96}, {0, 2},  {1, 2},  {0, 4},  {1, 4},  {17, 4}};
  for (const Dtype dtype : dtypes) assert_int_equal(Disagreements(dtype, 300), 0);
}

void AnEmptyPartTouchesNothing(void**) {
  const Box empty = ABox({0, 1}, {3, 0});
  Memory nowhere;
  nowhere.box = empty;
  CopyBox({2, 32}, nowhere, nowhere, empty);
}

void UnpackingExtendsTheSignOfSignedIntegersOnly(void**) {
  uint8_t packed[] = {0x8f};
  uint8_t bytes[2] = {1, 1};
  const Box box = ABox({0}, {2});
  Memory to;
  to.data = bytes;
  to.box = box;
  to.strides[0] = 1;
  CopyBox({0, 4}, to, Contiguous({0, 4}, box, packed), box);
  assert_int_equal(bytes[0], 0xff);
  assert_int_equal(bytes[1], 0xf8);
  CopyBox({1, 4}, to, Contiguous({1, 4}, box, packed), box);
  assert_int_equal(bytes[0], 0x0f);
  assert_int_equal(bytes[1], 0x08);
}

}  // namespace
}  // namespace treering::tree

int main() {
  using namespace treering::tree;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(BoxesMeetWhereBothHaveElements),
      cmocka_unit_test(ABoxIsWithinAShapeWithoutOverflow),
      cmocka_unit_test(ARunIsContiguousIfOnlyOneAxisIsCut),
      cmocka_unit_test(CopiesAgreeWithTheModelForEveryWidth),
      cmocka_unit_test(AnEmptyPartTouchesNothing),
      cmocka_unit_test(UnpackingExtendsTheSignOfSignedIntegersOnly),
  };
  return cmocka_run_group_tests_name("tree box", tests, nullptr, nullptr);
}

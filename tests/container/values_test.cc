// SPDX-License-Identifier: Apache-2.0
// What is written for a leaf decodes to its value, however the value was given.
#include <algorithm>
#include <set>

#include "cmocka_all.h"
#include "written.h"

namespace {

using namespace written;

// A leaf alone in a tree, written: its record, value and pieces.
struct Single {
  bool ok = false;
  int storage = -1;
  bool same = false;
  uint32_t pieces = 0;
  uint32_t chunks = 0;
};

Single WriteSingle(const Build& b, const Bytes& expected, WriterOptions options = WriterOptions()) {
  Single single;
  const File file = Write(b.Make(), std::move(options));
  single.ok = file.status.ok();
  if (!single.ok) return single;
  const Ring ring(file.bytes);
  single.storage = ring.node(0).storage;
  single.same = ring.value(0) == expected;
  single.pieces = ring.count(format::kPieces);
  single.chunks = ring.count(format::kChunks);
  return single;
}

Single Plain(Dtype dtype, std::vector<uint64_t> shape, int32_t codec = 0, uint8_t mask = 255) {
  Build b;
  b.Array(Key(), dtype, std::move(shape), 7, mask);
  Bytes expected = b.last_data();
  uint64_t elements = 0;
  if (tree::ElementCount(b.last().shape, b.last().rank, &elements) && tree::IsSubByte(dtype) &&
      elements * dtype.bits % 8 != 0) {
    expected.back() =
        static_cast<uint8_t>(expected.back() & ((1u << (elements * dtype.bits % 8)) - 1));
  }
  WriterOptions options;
  options.codec = codec;
  options.chunk_bytes = 16384;
  return WriteSingle(b, expected, options);
}

void TheSizeDecidesWhereALeafGoes(void** /*state*/) {
  const std::vector<std::pair<uint64_t, int>> cases = {
      {0, format::kInline},     {16, format::kInline},      {17, format::kPacked},
      {65535, format::kPacked}, {65536, format::kInPieces}, {200000, format::kInPieces}};
  for (const auto& [size, storage] : cases) {
    const Single single = Plain(kUint8, {size});
    assert_true(single.same);
    assert_int_equal(single.storage, storage);
  }
}

void EveryCodecGivesTheValueBack(void** /*state*/) {
  for (const int32_t codec : {1, 2, 3}) {
    for (const uint8_t mask : {uint8_t{255}, uint8_t{7}}) {
      for (const Dtype dtype : {kUint8, kInt32, kFloat32, kBfloat16, Dtype{5, 64}, Dtype{5, 128},
                                Dtype{2, 64}, kInt4, Dtype{1, 2}, Dtype{15, 6}}) {
        const Single single = Plain(dtype, {101, 331}, codec, mask);
        assert_true(single.same);
        const Single small = Plain(dtype, {11, 13}, codec, mask);
        assert_true(small.same);
      }
    }
  }
}

void ChunksOfOddRowsOfHalfBytesGiveTheValueBack(void** /*state*/) {
  assert_true(Plain(kInt4, {3, 100001}).same);
  assert_true(Plain(Dtype{1, 2}, {5, 3, 100003}).same);
  assert_true(Plain(kInt4, {70001, 3}).same);
}

// Little-endian in the file whatever the codec's element size: planes shrink what frames do not.
void PlanesShrinkFloats(void** /*state*/) {
  Build b;
  b.Array(Key(), kFloat32, {100, 1000}, 3);
  Bytes expected = b.last_data();
  for (size_t i = 3; i < expected.size(); i += 4) expected[i] = 0x3f;
  b.last().value.data = expected.data();
  WriterOptions options;
  options.codec = 3;
  const File file = Write(b.Make(), options);
  const uint8_t codec = Ring(file.bytes).chunk(0).codec;
  const uint8_t param = Ring(file.bytes).chunk(0).param;
  const bool same = Ring(file.bytes).value(0) == expected;
  const size_t size = file.bytes.size();
  assert_int_equal(codec, 2);
  assert_int_equal(param, 0x84);
  assert_true(same);
  assert_true(size < 320000);
}

// Every second column of a larger array, rows from last to first.
Single Strided(std::vector<uint64_t> shape, const uint64_t* chunk_shape) {
  Build b;
  b.Array(Key(), kInt32, {shape[0], shape[1] * 2}, 9);
  const Bytes big = b.last_data();
  Bytes expected;
  const size_t row = static_cast<size_t>(shape[1]) * 8;
  for (size_t i = shape[0]; i-- > 0;) {
    for (size_t j = 0; j < shape[1]; ++j) {
      const auto at = big.begin() + static_cast<ptrdiff_t>(i * row + j * 8);
      expected.insert(expected.end(), at, at + 4);
    }
  }
  Build view;
  view.Abstract(Key(), kInt32, shape);
  const int64_t strides[2] = {-static_cast<int64_t>(row), 8};
  Node& leaf = view.last();
  leaf.value.form = ValueForm::kData;
  leaf.value.data = big.data() + (shape[0] - 1) * row;
  leaf.value.strides = strides;
  leaf.hints.chunk_shape = chunk_shape;
  WriterOptions options;
  options.chunk_bytes = 4096;
  return WriteSingle(view, expected, options);
}

void StridedArraysAreGathered(void** /*state*/) {
  const uint64_t tiles[2] = {7, 5};
  assert_true(Strided({3, 5}, nullptr).same);
  assert_true(Strided({123, 457}, nullptr).same);
  const Single tiled = Strided({20, 11}, tiles);
  assert_true(tiled.same);
  assert_int_equal(tiled.storage, format::kInPieces);
  assert_int_equal(tiled.chunks, 3 * 3);
}

Single OnePerByte(std::vector<uint64_t> shape) {
  Build b;
  b.Abstract(Key(), kInt4, shape);
  uint64_t elements = 0;
  if (!tree::ElementCount(b.last().shape, b.last().rank, &elements)) return Single();
  const Bytes given = Build::Pattern(elements, 4, 255);
  Bytes expected((elements + 1) / 2);
  for (size_t i = 0; i < elements; ++i) {
    const uint32_t shift = i % 2 == 0 ? 0 : 4;
    expected[i / 2] = static_cast<uint8_t>(expected[i / 2] | (given[i] & 15u) << shift);
  }
  b.last().value.form = ValueForm::kData;
  b.last().value.data = given.data();
  b.last().value.one_per_byte = true;
  WriterOptions options;
  options.chunk_bytes = 4096;
  return WriteSingle(b, expected, options);
}

void ElementsOfOneByteEachArePacked(void** /*state*/) {
  assert_true(OnePerByte({5}).same);
  assert_true(OnePerByte({21, 7}).same);
  assert_true(OnePerByte({333, 511}).same);
}

// Gives bytes of a leaf and notes whether it was asked in order.
struct Filler {
  Bytes bytes;
  uint64_t next = 0;
  bool in_order = true;
  int32_t fail_at = -1;
  static int32_t Fill(void* user, uint64_t offset, void* dst, uint64_t size) {
    auto* self = static_cast<Filler*>(user);
    self->in_order = self->in_order && offset == self->next && size != 0;
    self->next = offset + size;
    if (self->next > self->bytes.size()) return 99;
    if (self->fail_at >= 0 && self->next > static_cast<uint64_t>(self->fail_at)) return 28;
    std::copy_n(self->bytes.begin() + static_cast<ptrdiff_t>(offset), size,
                static_cast<uint8_t*>(dst));
    return 0;
  }
};

Single Filled(Dtype dtype, std::vector<uint64_t> shape, int32_t codec) {
  Build b;
  b.Abstract(Key(), dtype, std::move(shape));
  uint64_t size = 0, elements = 0;
  if (!tree::RawSize(dtype, b.last().shape, b.last().rank, &size) ||
      !tree::ElementCount(b.last().shape, b.last().rank, &elements)) {
    return Single();
  }
  Filler filler;
  filler.bytes = Build::Pattern(size, 11, 31);
  Bytes expected = filler.bytes;
  if (elements * dtype.bits % 8 != 0) expected.back() &= 15;
  b.last().value.form = ValueForm::kFill;
  b.last().value.fill = Filler::Fill;
  b.last().value.fill_user = &filler;
  WriterOptions options;
  options.codec = codec;
  options.chunk_bytes = 4096;
  Single single = WriteSingle(b, expected, options);
  single.ok = single.ok && filler.in_order && filler.next == size;
  return single;
}

void CallbacksAreAskedForEachByteOnceInOrder(void** /*state*/) {
  for (const int32_t codec : {1, 2}) {
    for (const Dtype dtype : {kUint8, kFloat32, kInt4}) {
      for (const std::vector<uint64_t>& shape : std::vector<std::vector<uint64_t>>{
               {3}, {4}, {40, 3}, {3, 50001}, {501, 301}, {7, 3, 11003}}) {
        const Single single = Filled(dtype, shape, codec);
        assert_true(single.ok);
        assert_true(single.same);
      }
    }
  }
}

// The array cut into pieces at `rows` and `columns`, given in reverse order.
Single Pieced(Dtype dtype, std::vector<uint64_t> shape, std::vector<uint64_t> rows,
              std::vector<uint64_t> columns) {
  Build b;
  b.Array(Key(), dtype, shape, 13);
  const Bytes whole = b.last_data();
  const uint64_t width = dtype.bits / 8u;
  const int64_t strides[2] = {static_cast<int64_t>(shape[1] * width), static_cast<int64_t>(width)};
  std::vector<std::array<uint64_t, 4>> boxes;
  for (size_t i = rows.size() - 1; i-- > 0;) {
    for (size_t j = columns.size() - 1; j-- > 0;) {
      boxes.push_back({rows[i], columns[j], rows[i + 1] - rows[i], columns[j + 1] - columns[j]});
    }
  }
  std::vector<tree::Piece> pieces;
  for (const auto& box : boxes) {
    const uint64_t at = (box[0] * shape[1] + box[1]) * width;
    pieces.push_back({box.data(), box.data() + 2, whole.data() + at, strides});
  }
  b.last().value = tree::Value();
  b.last().value.form = ValueForm::kPieces;
  b.last().value.pieces = pieces.data();
  b.last().value.piece_count = pieces.size();
  WriterOptions options;
  options.chunk_bytes = 4096;
  return WriteSingle(b, whole, options);
}

void PiecesMakeUpTheArray(void** /*state*/) {
  const Single small = Pieced(kInt32, {4, 6}, {0, 1, 4}, {0, 6});
  assert_true(small.same);
  assert_int_equal(small.storage, format::kInPieces);
  assert_int_equal(small.pieces, 2);
  const Single large = Pieced(kBfloat16, {300, 200}, {0, 7, 150, 300}, {0, 64, 199, 200});
  assert_true(large.same);
  assert_int_equal(large.pieces, 9);
  const Single inlined = Pieced(kUint8, {4, 4}, {0, 2, 4}, {0, 3, 4});
  assert_true(inlined.same);
  assert_int_equal(inlined.storage, format::kInline);
  const Single one = Pieced(kInt32, {4, 6}, {0, 4}, {0, 6});
  assert_true(one.same);
  assert_int_equal(one.storage, format::kPacked);
}

void LongStringsBytesAndIntsArePiecesOfBytes(void** /*state*/) {
  for (const Kind kind : {Kind::kString, Kind::kBytes, Kind::kInt}) {
    Build b;
    const std::string text(100000, kind == Kind::kBytes ? '\xff' : 'q');
    b.Leaf(kind, Key(), text);
    const Single single = WriteSingle(b, Bytes(text.begin(), text.end()));
    assert_true(single.same);
    assert_int_equal(single.storage, format::kInPieces);
    assert_int_equal(single.pieces, 1);
  }
}

// Leaves of many sizes: each starts where section 9.2 says, in as few chunks as fit.
bool PackedAsSaid() {
  Build b;
  b.Container(Kind::kList, Key(), 3000);
  std::vector<Bytes> data;
  for (uint64_t i = 0; i < 3000; ++i) {
    const Dtype dtype = i % 3 == 0 ? kInt32 : i % 3 == 1 ? kUint8 : Dtype{5, 128};
    b.Array(Key::Index(static_cast<int64_t>(i)), dtype, {17 + i * 7919 % (i % 5 == 0 ? 3000 : 40)},
            i);
    data.push_back(b.last_data());
  }
  const File file = Write(b.Make());
  const Ring ring(file.bytes);
  uint64_t end = 0;
  uint32_t chunk = 0;
  for (uint32_t i = 0; i < 3000; ++i) {
    const format::NodeRecord r = ring.node(i + 1);
    const uint64_t natural = i % 3 == 0 ? 4 : i % 3 == 1 ? 1 : 16;
    const uint64_t align = r.size >= 64 ? 64 : natural;
    uint64_t start = (end + align - 1) / align * align;
    if (start + r.size > format::kPackedChunkSize) {
      if (ring.chunk(chunk).raw_size != end) return false;
      ++chunk;
      start = 0;
    }
    if (r.storage != format::kPacked || r.a != chunk || r.b != start) return false;
    if (ring.value(i + 1) != data[i]) return false;
    if (r.identity() != codec::Hash128Of(ByteSpan(data[i]))) return false;
    end = start + r.size;
  }
  return chunk + 1 == ring.count(format::kChunks) && ring.chunk(chunk).raw_size == end;
}

void SmallLeavesArePackedAsTheFormatSays(void** /*state*/) { assert_true(PackedAsSaid()); }

struct Aliases {
  bool ok;
  int kinds[4];
  uint32_t targets[4];
  uint64_t raw_bytes;
};

// b/x is the tree's leaf and a node of the second level; c comes later in preorder, earlier in the
// file.
Aliases WriteAliases() {
  Build b;
  b.Container(Kind::kDict, Key(), 3);
  b.Container(Kind::kDict, Key::String("b"), 1);
  b.Array(Key::String("x"), kInt32, {10}, 1);
  b.Alias(Key::String("c"), 2);
  b.Alias(Key::String("d"), 2);
  const File file = Write(b.Make());
  const Ring ring(file.bytes);
  Aliases result{file.status.ok(), {}, {}, file.summary.raw_bytes};
  for (uint32_t i = 0; i < 4; ++i) {
    result.kinds[i] = ring.node(i + 1).kind;
    result.targets[i] = ring.node(i + 1).a;
  }
  result.ok = result.ok && ring.value(2) == b.last_data();
  return result;
}

void ASharedLeafIsHeldByItsLowestId(void** /*state*/) {
  const Aliases result = WriteAliases();  // ids: 1 b, 2 c, 3 d, 4 b/x
  assert_true(result.ok);
  assert_int_equal(result.kinds[1], 64);
  assert_int_equal(result.kinds[2], 96);
  assert_int_equal(result.kinds[3], 96);
  assert_int_equal(result.targets[2], 2);
  assert_int_equal(result.targets[3], 2);
  assert_int_equal(result.raw_bytes, 40);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(TheSizeDecidesWhereALeafGoes),
      cmocka_unit_test(EveryCodecGivesTheValueBack),
      cmocka_unit_test(ChunksOfOddRowsOfHalfBytesGiveTheValueBack),
      cmocka_unit_test(PlanesShrinkFloats),
      cmocka_unit_test(StridedArraysAreGathered),
      cmocka_unit_test(ElementsOfOneByteEachArePacked),
      cmocka_unit_test(CallbacksAreAskedForEachByteOnceInOrder),
      cmocka_unit_test(PiecesMakeUpTheArray),
      cmocka_unit_test(LongStringsBytesAndIntsArePiecesOfBytes),
      cmocka_unit_test(SmallLeavesArePackedAsTheFormatSays),
      cmocka_unit_test(ASharedLeafIsHeldByItsLowestId),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

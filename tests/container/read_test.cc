// SPDX-License-Identifier: Apache-2.0
// What was written is what is read: whole leaves, boxes, casts, views, loads, on any threads.
#include <algorithm>
#include <thread>

#include "cmocka_all.h"
#include "reading.h"
#include "tree/operations.h"

namespace {

using namespace written;

// Every storage form, several kinds, an alias that comes first in preorder but not in the file.
Build Sample() {
  Build b;
  b.Container(Kind::kDict, Key(), 5);
  b.Container(Kind::kDict, Key::String("params"), 4);
  b.Array(Key::String("kernel"), kFloat32, {300, 130}, 1, 15);
  b.Array(Key::Int(3), kBfloat16, {7, 9}, 2, 63);
  b.Array(Key::String("empty"), kFloat32, {0, 5}, 3);
  b.Array(Key::String("nibbles"), kInt4, {512, 301}, 4);
  b.Container(Kind::kTuple, Key::String("t"), 3);
  b.Alias(Key::Index(0), 2);
  b.Leaf(Kind::kString, Key::Index(1), std::string(70000, 'x'));
  b.Array(Key::Index(2), kInt32, {}, 5);
  b.Leaf(Kind::kInt, Key::String("n"), std::string(1, 7));
  b.Leaf(Kind::kBytes, Key::String("raw"), std::string(100, 'b'));
  b.Container(Kind::kNone, Key::String("none"), 0);
  return b;
}

// The differences between what was written and what is loaded.
size_t Differences(const Tree& written_tree, const Opened& opened, LoadOptions options) {
  if (!opened.status.ok()) return 1000;
  auto loaded = opened->Load("", options);
  if (!loaded.ok()) return 1001;
  return tree::Compare(written_tree, loaded.value(), tree::CompareOptions()).findings().size();
}

void ALoadGivesTheTreeThatWasWritten(void** /*state*/) {
  const Build sample = Sample();
  const Tree was = sample.Make();
  for (const int32_t codec : {1, 2, 3}) {
    WriterOptions options;
    options.codec = codec;
    options.chunk_bytes = 4096;
    const File file = Write(was, options);
    assert_true(file.status.ok());
    for (const uint32_t threads : {0u, 2u}) {
      LoadOptions load;
      load.threads = threads;
      assert_int_equal(Differences(was, OpenBytes(file.bytes), load), 0);
      load.views = true;
      assert_int_equal(Differences(was, OpenBytes(file.bytes, Mapped()), load), 0);
    }
  }
}

void AnAbstractLoadReadsNoChunk(void** /*state*/) {
  const Build sample = Sample();
  const Tree was = sample.Make();
  const File file = Write(was);
  Counts counts;
  const Opened opened = OpenBytes(file.bytes, OpenOptions(), &counts);
  assert_true(opened.status.ok());
  LoadOptions load;
  load.abstract = true;
  auto loaded = opened->Load("", load);
  assert_true(loaded.ok());
  assert_true(counts.reads <= 3);
  assert_true(counts.bytes < file.bytes.size() / 2);
  assert_int_equal(loaded->leaf_count(), was.leaf_count());
}

void AFilteredLoadGivesWhatSplitGives(void** /*state*/) {
  const Build sample = Sample();
  const Tree was = sample.Make();
  const File file = Write(was);
  const Opened opened = OpenBytes(file.bytes);
  for (const char* pattern : {"params/*", "t/1", "t/*", "nothing", "**/n"}) {
    LoadOptions load;
    load.filter = tree::Filter::MatchesGlob(pattern).value();
    auto split = tree::Split(was, {load.filter}, false);
    assert_true(split.ok());
    assert_int_equal(Differences(split.value()[0], opened, load), 0);
  }
}

uint64_t Random(uint64_t* state, uint64_t below) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return below == 0 ? 0 : (*state >> 33) % below;
}

// Bits of element i of packed data.
uint64_t Element(const uint8_t* data, uint32_t bits, uint64_t i) {
  if (bits < 8)
    return static_cast<uint64_t>(data[i * bits / 8] >> (i * bits % 8)) & ((1u << bits) - 1);
  uint64_t value = 0;
  for (uint32_t k = bits / 8; k-- > 0;) value = value << 8 | data[i * (bits / 8) + k];
  return value;
}

struct Case {
  std::vector<uint64_t> shape;
  Dtype dtype;
  uint64_t seed;
};

tree::Box RandomBox(const std::vector<uint64_t>& shape, uint64_t* state) {
  tree::Box box;
  box.rank = static_cast<uint32_t>(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    box.origin[i] = Random(state, shape[i]);
    box.extent[i] = 1 + Random(state, shape[i] - box.origin[i]);
  }
  return box;
}

// Reads a box and compares it element by element with the data; 0 if all agree.
uint64_t WrongElements(const Container& c, uint32_t node, const Case& k, const Bytes& data,
                       uint64_t* state) {
  ReadRequest request;
  request.node = node;
  request.whole = false;
  request.box = RandomBox(k.shape, state);
  request.one_per_byte = Random(state, 2) != 0;
  const bool packed = k.dtype.bits < 8 && !request.one_per_byte;
  const uint64_t n = request.box.elements();
  Bytes out(static_cast<size_t>(n * 8), 0xee);
  request.dst = out.data();
  request.dst_size = out.size();
  ReadOptions options;
  options.threads = static_cast<uint32_t>(Random(state, 3));
  if (!c.Read(&request, 1, options).ok()) return n + 1;
  const uint32_t width = packed ? k.dtype.bits : tree::ElementBytes(k.dtype) * 8;
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < n; ++i) {
    uint64_t rest = i, at = 0, step = 1;
    for (uint32_t axis = request.box.rank; axis-- > 0;) {
      at += (request.box.origin[axis] + rest % request.box.extent[axis]) * step;
      rest /= request.box.extent[axis];
      step *= k.shape[axis];
    }
    const uint64_t mask = k.dtype.bits < 8 ? (1u << k.dtype.bits) - 1 : UINT64_MAX;
    wrong += (Element(out.data(), width, i) & mask) != Element(data.data(), k.dtype.bits, at);
  }
  return wrong;
}

void BoxesAgreeWithANaiveModel(void** /*state*/) {
  const Case cases[] = {{{40, 33, 21}, kInt32, 1}, {{513, 77}, kInt4, 2},
                        {{9, 7}, kUint8, 3},       {{70000}, kUint8, 4},
                        {{31, 3}, kInt4, 5},       {{64, 300}, kBfloat16, 6}};
  uint64_t state = 42;
  for (const int32_t codec : {1, 3}) {
    for (const Case& k : cases) {
      Build b;
      const uint8_t mask = k.dtype.bits == 4 ? 255 : 15;
      b.Array(Key(), k.dtype, k.shape, k.seed, mask);
      WriterOptions options;
      options.codec = codec;
      options.chunk_bytes = 5000;
      const File file = Write(b.Make(), options);
      assert_true(file.status.ok());
      const Opened opened = OpenBytes(file.bytes);
      for (int i = 0; i < 40; ++i) {
        assert_int_equal(WrongElements(*opened.container, 0, k, b.last_data(), &state), 0);
      }
    }
  }
}

struct Converted {
  Status status;
  std::vector<double> values;
};

Converted ReadAsDouble(const Container& c, uint32_t node, uint64_t n, tree::Cast cast) {
  Converted out;
  out.values.resize(static_cast<size_t>(n));
  ReadRequest request;
  request.node = node;
  request.dst = out.values.data();
  request.dst_size = n * 8;
  request.dtype = {2, 64};
  request.cast = cast;
  out.status = c.Read(&request, 1, ReadOptions());
  return out;
}

void ElementsAreConvertedOnlyWhenAsked(void** /*state*/) {
  Build b;
  b.Array(Key(), kInt32, {200, 500}, 9);
  WriterOptions options;
  options.chunk_bytes = 70000;
  const File file = Write(b.Make(), options);
  const Opened opened = OpenBytes(file.bytes);
  assert_int_equal(ReadAsDouble(*opened.container, 0, 100000, tree::Cast::kNever).status.code(),
                   Code::kMismatchDtype);
  const Converted read = ReadAsDouble(*opened.container, 0, 100000, tree::Cast::kSafe);
  assert_true(read.status.ok());
  uint64_t wrong = 0;
  for (size_t i = 0; i < read.values.size(); ++i) {
    const auto value = static_cast<int32_t>(base::LoadLe32(b.last_data().data() + 4 * i));
    wrong += read.values[i] != static_cast<double>(value);
  }
  assert_int_equal(wrong, 0);
}

void RequestsThatDoNotFitAreRefused(void** /*state*/) {
  Build b;
  b.Array(Key(), kInt32, {10, 10}, 9);
  const File file = Write(b.Make());
  const Opened opened = OpenBytes(file.bytes);
  uint8_t dst[400];
  ReadRequest request;
  request.dst = dst;
  request.dst_size = 399;
  assert_int_equal(opened->Read(&request, 1, ReadOptions()).code(), Code::kInvalidArgument);
  request.dst_size = 400;
  assert_true(opened->Read(&request, 1, ReadOptions()).ok());
  const int64_t wide[] = {44, 4}, none[] = {0, 4}, back[] = {-40, 4};
  request.strides = wide;
  assert_int_equal(opened->Read(&request, 1, ReadOptions()).code(), Code::kInvalidArgument);
  request.strides = none;
  assert_int_equal(opened->Read(&request, 1, ReadOptions()).code(), Code::kInvalidArgument);
  request.strides = back;
  request.dst = dst + 360;
  assert_true(opened->Read(&request, 1, ReadOptions()).ok());
  assert_memory_equal(dst + 360, b.last_data().data(), 40);
  assert_memory_equal(dst, b.last_data().data() + 360, 40);
  request.strides = nullptr;
  request.whole = false;
  request.box = tree::WholeBox(nullptr, 0);
  assert_int_equal(opened->Read(&request, 1, ReadOptions()).code(), Code::kMismatchShape);
  const uint64_t large[] = {10, 11};
  request.box = tree::WholeBox(large, 2);
  assert_int_equal(opened->Read(&request, 1, ReadOptions()).code(), Code::kMismatchShape);
  request.node = 1;
  assert_false(opened->Read(&request, 1, ReadOptions()).ok());
}

struct ViewOutcome {
  Code code;
  bool right = false;
};
ViewOutcome ViewBox(const Bytes& file, const OpenOptions& options, const Bytes& data,
                    const tree::Box* box, uint64_t first, uint64_t size) {
  Status status;
  base::Result<Container::View> view(status);
  {
    const Opened opened = OpenBytes(file, options);  // the view outlives it
    view = opened->ViewOf(0, box);
  }
  if (!view.ok()) return {view.status().code()};
  const uint8_t* at = view->bytes.data;
  return {Code::kOk, at >= file.data() && at < file.data() + file.size() &&
                         view->bytes.size == size &&
                         std::equal(at, at + size, data.begin() + static_cast<ptrdiff_t>(first))};
}

void AViewIsTheBytesInTheFileOrSaysWhyNot(void** /*state*/) {
  Build b;
  b.Array(Key(), kInt32, {300, 100}, 9, 15);
  WriterOptions options;
  options.chunk_bytes = 5000;
  const File raw = Write(b.Make(), options);
  options.codec = 2;
  const File zstd = Write(b.Make(), options);
  tree::Box rows;
  rows.rank = 2;
  rows.origin = {5, 0};
  rows.extent = {100, 100};
  tree::Box columns = rows;
  columns.extent[1] = 50;
  const Bytes& data = b.last_data();
  ViewOutcome view = ViewBox(raw.bytes, Mapped(), data, nullptr, 0, 120000);
  assert_true(view.code == Code::kOk && view.right);
  view = ViewBox(raw.bytes, Mapped(), data, &rows, 2000, 40000);
  assert_true(view.code == Code::kOk && view.right);
  view = ViewBox(raw.bytes, Mapped(), data, &columns, 0, 0);
  assert_int_equal(view.code, Code::kUnsupportedNoView);
  view = ViewBox(raw.bytes, OpenOptions(), data, nullptr, 0, 0);
  assert_int_equal(view.code, Code::kUnsupportedNoView);
  view = ViewBox(zstd.bytes, Mapped(), data, nullptr, 0, 0);
  assert_int_equal(view.code, Code::kUnsupportedNoView);
}

void ManyThreadsMayAskOneContainer(void** /*state*/) {
  const Build sample = Sample();
  const Tree was = sample.Make();
  WriterOptions options;
  options.chunk_bytes = 4096;
  const File file = Write(was, options);
  const Opened opened = OpenBytes(file.bytes);
  size_t differences[4] = {1, 1, 1, 1};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      LoadOptions load;
      load.threads = static_cast<uint32_t>(i % 2);
      differences[i] = Differences(was, opened, load) + (opened->Find("", "t/1").ok() ? 0 : 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const size_t different : differences) assert_int_equal(different, 0);
}

void ProgressIsToldAndCanCancel(void** /*state*/) {
  const Build sample = Sample();
  const File file = Write(sample.Make());
  const Opened opened = OpenBytes(file.bytes);
  uint64_t last = 0, total = 1;
  LoadOptions load;
  load.progress = [&](uint64_t done, uint64_t all) {
    last = done;
    total = all;
    return 0;
  };
  assert_true(opened->Load("", load).ok());
  assert_int_equal(last, total);
  load.progress = [](uint64_t, uint64_t) { return 1; };
  assert_int_equal(opened->Load("", load).status().code(), Code::kCancelled);
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ALoadGivesTheTreeThatWasWritten),
      cmocka_unit_test(AnAbstractLoadReadsNoChunk),
      cmocka_unit_test(AFilteredLoadGivesWhatSplitGives),
      cmocka_unit_test(BoxesAgreeWithANaiveModel),
      cmocka_unit_test(ElementsAreConvertedOnlyWhenAsked),
      cmocka_unit_test(RequestsThatDoNotFitAreRefused),
      cmocka_unit_test(AViewIsTheBytesInTheFileOrSaysWhyNot),
      cmocka_unit_test(ManyThreadsMayAskOneContainer),
      cmocka_unit_test(ProgressIsToldAndCanCancel),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// SPDX-License-Identifier: Apache-2.0
// Staging: the file is as the tree was at the call, within the budget, whatever either side does.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../container/cmocka_all.h"
#include "container/writer.h"
#include "manager/staging.h"
#include "storage/memory.h"

namespace {

using treering::base::Code;
using treering::base::Status;
using treering::container::LeafGate;
using treering::container::Writer;
using treering::container::WriterOptions;
using treering::manager::Staging;
using treering::manager::StagingOptions;
using treering::tree::Kind;
using treering::tree::Node;
using treering::tree::Owner;
using treering::tree::Tree;
using treering::tree::ValueForm;
namespace storage = treering::storage;
namespace tree = treering::tree;

using Bytes = std::vector<uint8_t>;

constexpr tree::Dtype kUint8 = {1, 8};
constexpr tree::Dtype kInt4 = {0, 4};
constexpr tree::Dtype kFloat32 = {2, 32};
constexpr uint64_t kLarge = 300000;

// Gives bytes out in order and notes who asked.
struct Filled {
  Bytes bytes;
  std::thread::id caller;
  int32_t error = 0;
  static int32_t Fill(void* user, uint64_t offset, void* dst, uint64_t size) {
    auto* const self = static_cast<Filled*>(user);
    self->caller = std::this_thread::get_id();
    if (self->error != 0) return self->error;
    std::memcpy(dst, self->bytes.data() + offset, static_cast<size_t>(size));
    return 0;
  }
};

Bytes Pattern(uint64_t size, uint8_t seed) {
  Bytes bytes(static_cast<size_t>(size));
  uint32_t state = seed * 2654435761u + 1;
  for (uint8_t& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<uint8_t>(state >> 27);  // compresses
  }
  return bytes;
}

// A tree of one leaf of every sort, with the memory that is lent to it.
class Sample {
 public:
  explicit Sample(bool lend = true) {
    Add(Kind::kDict, "").child_count = 2;
    Add(Kind::kDict, "deep").child_count = 1;
    Array("shared", kFloat32, {2000}, 8000);  // held by "flat/alias", which comes first
    Add(Kind::kDict, "flat").child_count = 11;
    Add(Kind::kAlias, "alias").alias_of = 2;
    Array("tiny", kUint8, {3}, 3);
    Array("packed", kFloat32, {50}, 200);
    Array("large", kFloat32, {kLarge / 4}, kLarge);
    Array("turned", kFloat32, {100, 200}, 80000).value.strides = turned_;
    Array("nibbles", kInt4, {70001}, 70001).value.one_per_byte = true;
    Array("tiles", kFloat32, {100, 200}, 80000).hints.chunk_shape = tile_;
    Array("empty", kFloat32, {0}, 0);
    Pieces();
    Array("filled", kFloat32, {kLarge / 4}, 0);
    nodes_.back().value.form = ValueForm::kFill;
    nodes_.back().value.fill = Filled::Fill;
    nodes_.back().value.fill_user = &filled;
    filled.bytes = Pattern(kLarge, 99);
    Text("text", std::string(5000, 'x'));
    for (Node& node : nodes_) {
      if (node.shape == nullptr) continue;
      tree::RawSize(node.dtype, node.shape, node.rank, &node.value.size);
    }
    made_ = std::make_unique<Tree>();
    if (lend) owner_ = std::make_shared<int>(0);
    ok_ = made_->Append(tree::kNoNode, nodes_.data(), nodes_.size(), owner_).ok();
  }
  bool ok() const { return ok_; }
  const Tree& tree() const { return *made_; }
  // What a training step does.
  void Change() {
    for (auto& bytes : data_) {
      for (uint8_t& byte : *bytes) byte = static_cast<uint8_t>(~byte);
    }
    std::fill(filled.bytes.begin(), filled.bytes.end(), uint8_t{1});
  }
  // The tree and its memory are gone; true if nobody else holds the memory.
  bool Drop() {
    made_.reset();
    data_.clear();
    return owner_.use_count() == 1;
  }
  Filled filled;

 private:
  Node& Add(Kind kind, const char* name) {
    Node node;
    node.kind = kind;
    if (name[0] != 0) node.key = {tree::KeyKind::kString, 0, name};
    nodes_.push_back(node);
    return nodes_.back();
  }
  const void* Data(uint64_t size) {
    data_.push_back(std::make_unique<Bytes>(Pattern(size, static_cast<uint8_t>(data_.size()))));
    return data_.back()->data();
  }
  const uint64_t* Dims(std::vector<uint64_t> dims) {
    dims_.push_back(std::make_unique<std::vector<uint64_t>>(std::move(dims)));
    return dims_.back()->data();
  }
  Node& Array(const char* name, tree::Dtype dtype, std::vector<uint64_t> shape, uint64_t memory) {
    Node& node = Add(Kind::kArray, name);
    node.dtype = dtype;
    node.rank = static_cast<uint32_t>(shape.size());
    node.shape = Dims(std::move(shape));
    node.value.form = ValueForm::kData;
    if (memory != 0) node.value.data = Data(memory);
    return node;
  }
  // Two halves, the second one lying backwards.
  void Pieces() {
    Node& node = Array("pieces", kFloat32, {2, 30000}, 0);
    pieces_[0] = {Dims({0, 0}), Dims({1, 30000}), Data(120000), nullptr};
    pieces_[1] = {Dims({1, 0}), Dims({1, 30000}), nullptr, backwards_};
    pieces_[1].data = static_cast<const uint8_t*>(Data(120000)) + 119996;
    node.value.form = ValueForm::kPieces;
    node.value.pieces = pieces_;
    node.value.piece_count = 2;
  }
  void Text(const char* name, const std::string& text) {
    Node& node = Add(Kind::kBytes, name);
    node.value.form = ValueForm::kData;
    node.value.size = text.size();
    node.value.data = Data(text.size());
  }

  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<Bytes>> data_;
  std::vector<std::unique_ptr<std::vector<uint64_t>>> dims_;
  const int64_t turned_[2] = {4, 400};
  const int64_t backwards_[2] = {0, -4};
  const uint64_t tile_[2] = {50, 50};
  tree::Piece pieces_[2];
  Owner owner_;
  std::unique_ptr<Tree> made_;
  bool ok_ = false;
};

struct WriteHow {
  int32_t codec = 0;
  uint32_t threads = 0;
};

Status WriteTree(const Tree& tree, LeafGate* gate, WriteHow how, Bytes* out) {
  auto file = storage::WriteToVector(out);
  WriterOptions options;
  options.codec = how.codec;
  options.threads = how.threads;
  options.chunk_bytes = 16384;
  auto writer = Writer::Create(file.get(), options);
  if (!writer.ok()) return writer.status();
  TR_RETURN_IF_ERROR((*writer)->AddTree("default", tree, gate));
  auto summary = (*writer)->Finish();
  return summary.status();
}

struct Staged {
  bool made = false;
  bool same = false;  // the file is that of the tree at the time of the call
  bool released = false;
  int copy = -1;
  int written = -1;
  uint64_t bytes = 0;
  uint64_t peak = 0;
};

// The writer runs beside Copy, and the source changes and goes as soon as Copy returns.
Staged Stage(const StagingOptions& options, WriteHow how, bool lend = true) {
  Staged o;
  Sample sample(lend);
  Bytes expected, found;
  if (!sample.ok() || !WriteTree(sample.tree(), nullptr, how, &expected).ok()) return o;
  auto staging = Staging::Create(sample.tree(), options);
  if (!staging.ok()) return o;
  o.made = true;
  std::thread writer([&] {
    const Status status = WriteTree((*staging)->tree(), (*staging)->gate(), how, &found);
    o.written = static_cast<int>(status.code());
    (*staging)->Finish();
  });
  o.copy = static_cast<int>((*staging)->Copy().code());
  sample.Change();
  o.released = sample.Drop();
  writer.join();
  o.same = found == expected;
  o.bytes = (*staging)->copy_bytes();
  o.peak = (*staging)->peak_bytes();
  return o;
}

void a_tree_that_changes_and_goes_after_the_call_is_written_as_it_was(void**) {
  for (const uint64_t budget : {0u, 2000000u, 400000u, 1000u, 1u}) {
    for (const uint32_t threads : {0u, 2u}) {
      for (const WriteHow how : {WriteHow{1, 0}, WriteHow{2, 0}, WriteHow{3, 2}}) {
        StagingOptions options;
        options.budget = budget;
        options.threads = threads;
        const Staged o = Stage(options, how);
        assert_true(o.made);
        assert_int_equal(o.copy, 0);
        assert_int_equal(o.written, 0);
        assert_true(o.same);
        assert_true(o.released);
        const uint64_t most = std::max<uint64_t>(budget == 0 ? UINT64_MAX : budget, kLarge);
        assert_true(o.peak <= most);
      }
    }
  }
}

void what_the_tree_owns_is_not_copied_but_for_callbacks(void**) {
  const Staged o = Stage(StagingOptions(), WriteHow(), false);
  assert_true(o.same);
  assert_int_equal(o.bytes, kLarge);
}

// Everything is copied before the writer begins.
bool CopyThenWrite() {
  Sample sample;
  Bytes expected, found;
  if (!WriteTree(sample.tree(), nullptr, WriteHow(), &expected).ok()) return false;
  auto staging = Staging::Create(sample.tree(), StagingOptions());
  if (!staging.ok() || !(*staging)->Copy().ok()) return false;
  sample.Change();
  if (!sample.Drop()) return false;
  const Status status = WriteTree((*staging)->tree(), (*staging)->gate(), WriteHow(), &found);
  return status.ok() && found == expected;
}

void a_copy_within_the_budget_does_not_need_the_writer(void**) { assert_true(CopyThenWrite()); }

struct Memory {
  bool ok = false;
  bool same = false;
  uint64_t bytes = 1;
  bool on_this_thread = false;
};

Memory Borrow(bool borrow) {
  Memory o;
  Sample sample;
  StagingOptions options;
  options.borrow = borrow;
  Bytes expected, found;
  if (!WriteTree(sample.tree(), nullptr, WriteHow(), &expected).ok()) return o;
  auto staging = Staging::Create(sample.tree(), options);
  if (!staging.ok()) return o;
  sample.filled.caller = std::thread::id();
  o.ok = (*staging)->Copy().ok();
  o.on_this_thread = sample.filled.caller == std::this_thread::get_id();
  std::thread writer([&] {
    const Status status = WriteTree((*staging)->tree(), (*staging)->gate(), WriteHow(), &found);
    (*staging)->Finish();
    o.same = status.ok() && found == expected;
  });
  writer.join();
  o.bytes = (*staging)->copy_bytes();
  return o;
}

void borrowed_memory_is_not_copied_and_callbacks_wait_for_the_writer(void**) {
  const Memory o = Borrow(true);
  assert_true(o.ok);
  assert_true(o.same);
  assert_int_equal(o.bytes, 0);
  assert_false(o.on_this_thread);
}

void fill_callbacks_are_called_by_the_copy(void**) {
  const Memory o = Borrow(false);
  assert_true(o.ok);
  assert_true(o.same);
  assert_true(o.on_this_thread);
}

struct Failing {
  int copy = -1;
  int written = -1;
  bool same_words = false;
  bool names_leaf = false;
};

Failing FillFails(uint32_t threads) {
  Failing o;
  Sample sample;
  StagingOptions options;
  options.threads = threads;
  auto staging = Staging::Create(sample.tree(), options);
  if (!staging.ok()) return o;
  sample.filled.error = 5;
  Bytes found;
  Status written;
  std::thread writer([&] {
    written = WriteTree((*staging)->tree(), (*staging)->gate(), WriteHow(), &found);
    (*staging)->Finish();
  });
  const Status copy = (*staging)->Copy();
  writer.join();
  o.copy = static_cast<int>(copy.code());
  o.written = static_cast<int>(written.code());
  o.same_words = copy.message() == written.message() && copy.os_error() == 5;
  o.names_leaf = copy.message().find("leaf 'flat/filled': its fill callback") == 0;
  return o;
}

void a_callback_that_fails_ends_both_sides_with_the_same_words(void**) {
  for (const uint32_t threads : {0u, 2u}) {
    const Failing o = FillFails(threads);
    assert_int_equal(o.copy, static_cast<int>(Code::kIo));
    assert_int_equal(o.written, static_cast<int>(Code::kIo));
    assert_true(o.same_words);
    assert_true(o.names_leaf);
  }
}

// A file that is full after a few bytes.
class FullFile : public storage::WritableFile {
 public:
  Status Append(treering::base::ByteSpan bytes) override {
    size_ += bytes.size;
    return size_ < 20000 ? Status() : Status(Code::kIoNoSpace, "full", 28);
  }
  Status Sync() override { return Status(); }
  Status Close() override { return Status(); }
  const std::string& name() const override { return name_; }

 private:
  std::string name_ = "full";
  uint64_t size_ = 0;
};

Failing WriterFails(uint64_t budget) {
  Failing o;
  Sample sample;
  StagingOptions options;
  options.budget = budget;
  auto staging = Staging::Create(sample.tree(), options);
  if (!staging.ok()) return o;
  std::thread writer([&] {
    FullFile file;
    auto made = Writer::Create(&file, WriterOptions());
    if (!made.ok()) return;
    const Status status = (*made)->AddTree("default", (*staging)->tree(), (*staging)->gate());
    o.written = static_cast<int>(status.code());
    (*staging)->Finish();
    (*staging)->Finish();
  });
  o.copy = static_cast<int>((*staging)->Copy().code());
  writer.join();
  return o;
}

void a_writer_that_fails_lets_the_copy_go(void**) {
  for (const uint64_t budget : {1u, 100000u, 100000000u}) {
    const Failing o = WriterFails(budget);
    assert_int_equal(o.copy, 0);
    assert_int_equal(o.written, static_cast<int>(Code::kIoNoSpace));
  }
}

int GivenUp() {
  Sample sample;
  auto staging = Staging::Create(sample.tree(), StagingOptions());
  if (!staging.ok()) return -1;
  Bytes found;
  Status written;
  std::thread writer([&] {
    written = WriteTree((*staging)->tree(), (*staging)->gate(), WriteHow(), &found);
    (*staging)->Finish();
  });
  (*staging)->GiveUp();
  writer.join();
  return static_cast<int>(written.code());
}

void a_writer_does_not_wait_for_a_copy_that_was_given_up(void**) {
  assert_int_equal(GivenUp(), static_cast<int>(Code::kCancelled));
}

// Several items share the budget.
bool TwoTrees(uint64_t budget) {
  Sample samples[2];
  StagingOptions options;
  options.budget = budget;
  Bytes expected[2], found[2];
  for (size_t i = 0; i < 2; ++i) {
    if (!WriteTree(samples[i].tree(), nullptr, WriteHow(), &expected[i]).ok()) return false;
  }
  auto staging = Staging::Create({&samples[0].tree(), &samples[1].tree()}, options);
  if (!staging.ok()) return false;
  std::thread writer([&] {
    for (size_t i = 0; i < 2; ++i) {
      WriteTree((*staging)->tree(i), (*staging)->gate(i), WriteHow(), &found[i]).ok();
    }
    (*staging)->Finish();
  });
  const bool copied = (*staging)->Copy().ok();
  for (Sample& sample : samples) sample.Change();
  writer.join();
  return copied && found[0] == expected[0] && found[1] == expected[1] &&
         (*staging)->peak_bytes() <= std::max(budget, kLarge);
}

void trees_of_one_save_share_the_budget(void**) {
  assert_true(TwoTrees(400000));
  assert_true(TwoTrees(100000000));
}

struct Refused {
  int code = 0;
  bool words = false;
};

Refused Refusal(Kind kind, const char* words) {
  Refused o;
  Node nodes[2];
  nodes[0].kind = Kind::kDict;
  nodes[0].child_count = 1;
  nodes[1].kind = kind;
  nodes[1].key = {tree::KeyKind::kString, 0, "a"};
  nodes[1].dtype = kFloat32;
  Tree made;
  const bool appended = made.Append(tree::kNoNode, nodes, 2, nullptr).ok();
  auto staging = Staging::Create(made, StagingOptions());
  o.code = appended ? static_cast<int>(staging.status().code()) : -1;
  o.words = staging.status().message().find(words) == 0;
  return o;
}

void a_leaf_without_a_value_and_an_empty_tree_are_refused_at_once(void**) {
  const int invalid = static_cast<int>(Code::kInvalidArgument);
  const Refused abstract = Refusal(Kind::kArray, "leaf 'a': it is abstract");
  assert_int_equal(abstract.code, invalid);
  assert_true(abstract.words);
  const Refused placeholder = Refusal(Kind::kPlaceholder, "leaf 'a': it is a placeholder");
  assert_int_equal(placeholder.code, invalid);
  assert_true(placeholder.words);
  const Tree empty;
  assert_int_equal(static_cast<int>(Staging::Create(empty, StagingOptions()).status().code()),
                   invalid);
}

// Many small leaves come in few units: a budget of a few of them is shared by all.
bool ManySmall(uint64_t budget) {
  constexpr uint64_t kCount = 20000;
  constexpr uint64_t kSize = 256;
  Bytes memory = Pattern(kCount * kSize, 3);
  const uint64_t shape[1] = {kSize};
  std::vector<Node> nodes(kCount + 1);
  nodes[0].kind = Kind::kList;
  nodes[0].child_count = kCount;
  for (uint64_t i = 0; i < kCount; ++i) {
    Node& node = nodes[i + 1];
    node.kind = Kind::kArray;
    node.key = {tree::KeyKind::kIndex, static_cast<int64_t>(i), {}};
    node.dtype = kUint8;
    node.rank = 1;
    node.shape = shape;
    node.value.form = ValueForm::kData;
    node.value.data = memory.data() + i * kSize;
    node.value.size = kSize;
  }
  Tree made;
  Bytes expected, found;
  if (!made.Append(tree::kNoNode, nodes.data(), nodes.size(), std::make_shared<int>(0)).ok()) {
    return false;
  }
  if (!WriteTree(made, nullptr, WriteHow(), &expected).ok()) return false;
  StagingOptions options;
  options.budget = budget;
  auto staging = Staging::Create(made, options);
  if (!staging.ok()) return false;
  std::thread writer([&] {
    WriteTree((*staging)->tree(), (*staging)->gate(), WriteHow(), &found).ok();
    (*staging)->Finish();
  });
  const bool copied = (*staging)->Copy().ok();
  std::fill(memory.begin(), memory.end(), uint8_t{0});
  writer.join();
  return copied && found == expected && (*staging)->peak_bytes() <= budget &&
         (*staging)->copy_bytes() == kCount * kSize;
}

void many_small_leaves_pass_through_a_small_budget(void**) {
  assert_true(ManySmall(1000));
  assert_true(ManySmall(1000000));
  assert_true(ManySmall(100000000));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_tree_that_changes_and_goes_after_the_call_is_written_as_it_was),
      cmocka_unit_test(what_the_tree_owns_is_not_copied_but_for_callbacks),
      cmocka_unit_test(a_copy_within_the_budget_does_not_need_the_writer),
      cmocka_unit_test(borrowed_memory_is_not_copied_and_callbacks_wait_for_the_writer),
      cmocka_unit_test(fill_callbacks_are_called_by_the_copy),
      cmocka_unit_test(a_callback_that_fails_ends_both_sides_with_the_same_words),
      cmocka_unit_test(a_writer_that_fails_lets_the_copy_go),
      cmocka_unit_test(a_writer_does_not_wait_for_a_copy_that_was_given_up),
      cmocka_unit_test(trees_of_one_save_share_the_budget),
      cmocka_unit_test(a_leaf_without_a_value_and_an_empty_tree_are_refused_at_once),
      cmocka_unit_test(many_small_leaves_pass_through_a_small_budget),
  };
  return cmocka_run_group_tests_name("staging", tests, nullptr, nullptr);
}

// SPDX-License-Identifier: Apache-2.0
// Out of memory at every allocation: NO_MEMORY each time, nothing leaked, the old file untouched.
//
// Every form of operator new is replaced by one that counts and fails once a budget is spent. Each
// operation is tried with a budget of 0, 1, 2, … allocations until it succeeds. Leaks are found by
// counting what was allocated and not freed, in every build.
#include <cstdlib>
#include <new>

extern "C" {
#include "run_support.h"
}

#include <atomic>

namespace {

std::atomic<int64_t> budget{INT64_MAX};
std::atomic<int64_t> live{0};

void* Take(size_t size, size_t alignment) {
  if (budget.fetch_sub(1) <= 0) return nullptr;
  const size_t whole = (size + alignment - 1) / alignment * alignment;
  void* p = alignment > alignof(max_align_t)
                ? std::aligned_alloc(alignment, whole == 0 ? alignment : whole)
                : std::malloc(size == 0 ? 1 : size);
  if (p != nullptr) live.fetch_add(1);
  return p;
}

void Give(void* p) {
  if (p != nullptr) live.fetch_sub(1);
  std::free(p);
}

void* TakeOrThrow(size_t size, size_t alignment) {
  void* p = Take(size, alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(size_t n) { return TakeOrThrow(n, 1); }
void* operator new[](size_t n) { return TakeOrThrow(n, 1); }
void* operator new(size_t n, std::align_val_t a) { return TakeOrThrow(n, static_cast<size_t>(a)); }
void* operator new[](size_t n, std::align_val_t a) {
  return TakeOrThrow(n, static_cast<size_t>(a));
}
void* operator new(size_t n, const std::nothrow_t&) noexcept { return Take(n, 1); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return Take(n, 1); }
void* operator new(size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return Take(n, static_cast<size_t>(a));
}
void* operator new[](size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return Take(n, static_cast<size_t>(a));
}
void operator delete(void* p) noexcept { Give(p); }
void operator delete[](void* p) noexcept { Give(p); }
void operator delete(void* p, size_t) noexcept { Give(p); }
void operator delete[](void* p, size_t) noexcept { Give(p); }
void operator delete(void* p, std::align_val_t) noexcept { Give(p); }
void operator delete[](void* p, std::align_val_t) noexcept { Give(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { Give(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { Give(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { Give(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { Give(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { Give(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { Give(p); }

namespace {

struct Trial {
  sample* s;
  treering_tree* target;
  treering_checkpoint* checkpoint;
  const char* path;
  int32_t codec;
  uint32_t threads;
  int releases;
};

using Operation = treering_status (*)(Trial*);

// Fails allocation 0, 1, 2, … of the operation until it succeeds. Answers how many it made.
int64_t FailEach(Operation operation, Trial* trial, treering_status failure) {
  for (int64_t allowed = 0; allowed < 100000; ++allowed) {
    const int64_t before = live.load();
    budget.store(allowed);
    const treering_status status = operation(trial);
    budget.store(INT64_MAX);
    const int64_t left = live.load() - before;
    if (left != 0)
      print_error("allocation %d: %d left over\n", static_cast<int>(allowed),
                  static_cast<int>(left));
    assert_int_equal(left, 0);
    if (status == TREERING_OK) return allowed;
    if (status != failure)
      print_error("allocation %d: %s\n", static_cast<int>(allowed), last_error.message);
    assert_int_equal(status, failure);
  }
  fail();
  return 0;
}

treering_status Save(Trial* t) {
  treering_save_options options = {};
  options.struct_size = sizeof options;
  options.not_durable = 1;
  options.overwrite = 1;
  options.codec = t->codec;
  options.threads = t->threads;
  options.chunk_bytes = 4096;
  return treering_save(t->path, TREERING_NUL, t->s->tree, &options, err());
}

void a_save_without_memory_leaves_the_old_file(void** state) {
  (void)state;
  sample s;
  make_sample(&s);
  for (int32_t codec = TREERING_CODEC_RAW; codec <= TREERING_CODEC_ZSTD_PLANES; ++codec) {
    const char* path = in_scratch("old.ring");
    write_file(path, "precious", 8);
    Trial trial = {&s, nullptr, nullptr, path, codec, 0, 0};
    for (int64_t allowed = 0;; ++allowed) {
      budget.store(allowed);
      const treering_status status = Save(&trial);
      budget.store(INT64_MAX);
      assert_int_equal(scratch_entries(), 1);
      if (status == TREERING_OK) break;
      assert_int_equal(status, TREERING_NO_MEMORY);
      size_t size = 0;
      uint8_t* bytes = read_file(path, &size);
      assert_int_equal(size, 8);
      free(bytes);
    }
    assert_true(FailEach(Save, &trial, TREERING_NO_MEMORY) > 20);
    empty_scratch(nullptr);
  }
  free_sample(&s);
}

treering_status Load(Trial* t) {
  treering_checkpoint* checkpoint = nullptr;
  treering_tree* tree = nullptr;
  treering_load_options options = {};
  options.struct_size = sizeof options;
  options.threads = t->threads;
  treering_status status =
      treering_checkpoint_open(&checkpoint, t->path, TREERING_NUL, nullptr, err());
  if (status == TREERING_OK) {
    status = treering_checkpoint_load(&tree, checkpoint, nullptr, 0, &options, err());
  }
  if (status != TREERING_OK) assert_null(tree);
  treering_tree_free(tree);
  treering_checkpoint_free(checkpoint);
  return status;
}

treering_status Restore(Trial* t) {
  treering_tree* tree = nullptr;
  treering_report* report = nullptr;
  const treering_status status = treering_checkpoint_restore(&tree, &report, t->checkpoint, nullptr,
                                                             0, t->target, nullptr, err());
  if (status != TREERING_OK) assert_null(tree);
  if (status != TREERING_OK) assert_null(report);
  treering_tree_free(tree);
  treering_report_free(report);
  return status;
}

treering_status Verify(Trial* t) {
  treering_report* report = nullptr;
  treering_read_options options = {};
  options.struct_size = sizeof options;
  options.threads = t->threads;
  const treering_status status =
      treering_checkpoint_verify(&report, t->checkpoint, &options, err());
  if (status != TREERING_OK) assert_null(report);
  treering_report_free(report);
  return status;
}

void Count(void* user) { ++static_cast<Trial*>(user)->releases; }

treering_status Append(Trial* t) {
  treering_tree* tree = nullptr;
  treering_node nodes[2] = {make_node(TREERING_DICT, no_key(), 1),
                            make_bytes(TREERING_BYTES, text_key("b"), t->s->kernel, 1000)};
  treering_lend lend = {sizeof lend, 0, Count, t};
  treering_status status = treering_tree_create(&tree, err());
  t->releases = 0;
  if (status == TREERING_OK) {
    uint64_t first = 0;
    status =
        treering_tree_append(&first, tree, TREERING_NO_NODE, nodes, NODE_SIZE, 2, &lend, err());
    assert_int_equal(t->releases, status != TREERING_OK);
    treering_tree_free(tree);
    assert_int_equal(t->releases, 1);
  }
  return status;
}

treering_status OpenLent(Trial* t) {
  treering_checkpoint* checkpoint = nullptr;
  size_t size = 0;
  uint8_t* bytes = read_file(t->path, &size);
  t->releases = 0;
  const treering_status status =
      treering_checkpoint_open_memory(&checkpoint, bytes, size, Count, t, nullptr, err());
  assert_int_equal(t->releases, status != TREERING_OK);
  treering_checkpoint_free(checkpoint);
  assert_int_equal(t->releases, 1);
  free(bytes);
  return status;
}

void every_reading_call_without_memory_fails_cleanly(void** state) {
  (void)state;
  sample s;
  make_sample(&s);
  Trial trial = {&s, nullptr, nullptr, in_scratch("a.ring"), TREERING_CODEC_ZSTD, 0, 0};
  assert_ok(Save(&trial));
  assert_ok(treering_tree_abstract(&trial.target, s.tree, err()));
  for (uint32_t threads = 0; threads < 3; threads += 2) {
    trial.threads = threads;
    assert_true(FailEach(Load, &trial, TREERING_NO_MEMORY) > 10);
    // A new checkpoint each time, so that nothing is warm.
    assert_ok(
        treering_checkpoint_open(&trial.checkpoint, trial.path, TREERING_NUL, nullptr, err()));
    FailEach(Restore, &trial, TREERING_NO_MEMORY);
    FailEach(Verify, &trial, TREERING_NO_MEMORY);
    treering_checkpoint_free(trial.checkpoint);
  }
  FailEach(Append, &trial, TREERING_NO_MEMORY);
  FailEach(OpenLent, &trial, TREERING_NO_MEMORY);
  treering_tree_free(trial.target);
  free_sample(&s);
}

treering_manager* OpenRun(const char* path, treering_status* status) {
  treering_keep_policy latest = {};
  latest.kind = TREERING_KEEP_LATEST;
  latest.count = 2;
  treering_manager_options options = {};
  options.struct_size = sizeof options;
  options.keep_policies = &latest;
  options.keep_policy_size = sizeof latest;
  options.keep_policy_count = 1;
  treering_manager* manager = nullptr;
  *status = treering_manager_open(&manager, path, TREERING_NUL, &options, err());
  return manager;
}

// Opens, saves a step, and closes. *out_saved says whether the save answered OK.
treering_status SaveStep(const Trial& t, int64_t step, bool* out_saved) {
  treering_save_options save = {};
  save.struct_size = sizeof save;
  save.not_durable = 1;
  treering_step_options options = {};
  options.struct_size = sizeof options;
  options.save = &save;
  treering_save_item item = {};
  item.kind = TREERING_ITEM_TREE;
  item.tree = t.s->tree;
  treering_status status = TREERING_OK;
  treering_manager* manager = OpenRun(t.path, &status);
  if (status != TREERING_OK) return status;
  status = treering_manager_save(nullptr, manager, step, &item, sizeof item, 1, &options, err());
  *out_saved = status == TREERING_OK;
  const treering_status closed = treering_manager_close(manager, -1, err());
  treering_manager_free(manager);
  return status == TREERING_OK ? closed : status;
}

// The greatest step and how many there are; every version is read in full.
int64_t LatestIntact(const char* path, uint64_t* out_count) {
  treering_status status = TREERING_OK;
  treering_manager* manager = OpenRun(path, &status);
  assert_ok(status);
  treering_version_info versions[4];
  assert_ok(treering_manager_versions(manager, 0, versions, sizeof *versions, 4, out_count, err()));
  assert_in_range(*out_count, 1, 4);
  const int64_t latest = versions[*out_count - 1].step;
  treering_report* report = nullptr;
  assert_ok(treering_manager_verify(&report, manager, 1, nullptr, err()));
  treering_report_free(report);
  treering_manager_free(manager);
  return latest;
}

void a_manager_without_memory_loses_no_version(void** state) {
  (void)state;
  sample s;
  make_sample(&s);
  Trial trial = {&s, nullptr, nullptr, in_scratch("run"), TREERING_CODEC_RAW, 0, 0};
  bool saved = false;
  uint64_t count = 0;
  int failures = 0, unpruned = 0;
  bool spent = true;
  assert_ok(SaveStep(trial, 0, &saved));
  for (int64_t allowed = 0; spent; ++allowed) {
    const int64_t step = 2 * allowed + 1;
    const int64_t before = live.load();
    budget.store(allowed);
    saved = false;
    const treering_status status = SaveStep(trial, step, &saved);
    spent = budget.exchange(INT64_MAX) <= 0;
    assert_int_equal(live.load() - before, 0);
    if (status != TREERING_OK) assert_int_equal(status, TREERING_NO_MEMORY);
    failures += status != TREERING_OK;
    const int64_t latest = LatestIntact(trial.path, &count);
    assert_true(latest == step || (latest == step - 1 && !saved));
    unpruned += count > 2;
    // With memory again: the next save works, and drops what could not be dropped for lack of it.
    assert_ok(SaveStep(trial, step + 1, &saved));
    assert_int_equal(LatestIntact(trial.path, &count), step + 1);
    assert_int_equal(count, 2);
  }
  assert_true(failures > 50);
  assert_true(unpruned > 5);
  free_sample(&s);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_teardown(a_save_without_memory_leaves_the_old_file, empty_scratch),
      cmocka_unit_test_teardown(every_reading_call_without_memory_fails_cleanly, empty_scratch),
      cmocka_unit_test(a_manager_without_memory_loses_no_version),
  };
  return cmocka_run_group_tests_name("capi no memory", tests, make_scratch, drop_runs);
}

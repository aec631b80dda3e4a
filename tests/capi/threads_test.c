/* SPDX-License-Identifier: Apache-2.0
 * Const calls on one handle from several threads at once; for the thread sanitizer above all. */
#include "support.h"

#include <pthread.h>

#define THREADS 4

typedef struct work {
  const treering_tree* tree;
  const treering_checkpoint* checkpoint;
  const float* kernel;
  int failures;
} work;

static void look_into_the_tree(work* w) {
  treering_node nodes[11];
  uint64_t id = 0, count = 0;
  w->failures += treering_tree_find(&id, w->tree, "params/kernel", TREERING_NUL, NULL) != 0;
  w->failures += treering_tree_nodes(w->tree, 0, nodes, NODE_SIZE, 11, &count, NULL) != 0;
  w->failures += count != 11;
}

static void look_into_the_checkpoint(work* w) {
  treering_error error = {.struct_size = sizeof error};
  treering_report* report = NULL;
  treering_tree* tree = NULL;
  treering_blob* scratch = NULL;
  treering_node nodes[11];
  treering_read_options options = {.struct_size = sizeof options, .threads = 2};
  float row[SAMPLE_COLUMNS];
  const uint64_t origin[] = {7, 0}, extent[] = {1, SAMPLE_COLUMNS};
  treering_read read = {.origin = origin, .extent = extent, .dst = row, .dst_size = sizeof row};
  uint64_t count = 0;
  w->failures += treering_checkpoint_find(&read.node, w->checkpoint, NULL, 0, "params/kernel",
                                          TREERING_NUL, &error) != 0;
  w->failures +=
      treering_checkpoint_read(w->checkpoint, &read, sizeof read, 1, &options, &error) != 0;
  w->failures += memcmp(row, w->kernel + 7 * SAMPLE_COLUMNS, sizeof row) != 0;
  w->failures += treering_checkpoint_nodes(w->checkpoint, 0, nodes, NODE_SIZE, 11, &count, &scratch,
                                           &error) != 0;
  treering_blob_free(scratch);
  w->failures += treering_checkpoint_load(&tree, w->checkpoint, NULL, 0, NULL, &error) != 0;
  treering_tree_free(tree);
  w->failures += treering_checkpoint_restore(&tree, &report, w->checkpoint, NULL, 0, w->tree, NULL,
                                             &error) != 0;
  treering_tree_free(tree);
  treering_report_free(report);
  w->failures += treering_checkpoint_verify(&report, w->checkpoint, &options, &error) != 0;
  treering_report_free(report);
}

static void* run(void* user) {
  int i;
  for (i = 0; i < 3; ++i) {
    look_into_the_tree((work*)user);
    look_into_the_checkpoint((work*)user);
  }
  return NULL;
}

/* Nothing is warm: the first touches of all blocks and caches happen on all threads at once. */
static void share(const treering_tree* tree, const treering_checkpoint* checkpoint,
                  const float* kernel) {
  pthread_t threads[THREADS];
  work works[THREADS];
  int i;
  for (i = 0; i < THREADS; ++i) {
    works[i] = (work){tree, checkpoint, kernel, 0};
    assert_int_equal(pthread_create(&threads[i], NULL, run, &works[i]), 0);
  }
  for (i = 0; i < THREADS; ++i) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(works[i].failures, 0);
  }
}

static void const_calls_run_concurrently_on_memory(void** state) {
  treering_save_options options = {
      .struct_size = sizeof options, .codec = TREERING_CODEC_ZSTD, .threads = 2};
  treering_blob* blob = NULL;
  treering_checkpoint* checkpoint = NULL;
  sample s;
  (void)state;
  options.chunk_bytes = 4096;
  make_sample(&s);
  blob = save_to_memory(s.tree, &options);
  checkpoint = open_blob(blob);
  treering_blob_free(blob == NULL ? NULL : treering_blob_retain(blob));
  share(s.tree, checkpoint, s.kernel);
  treering_checkpoint_free(checkpoint);
  treering_blob_free(blob);
  free_sample(&s);
}

static void const_calls_run_concurrently_on_files_read_and_mapped(void** state) {
  treering_save_options save = {.struct_size = sizeof save, .not_durable = 1};
  treering_open_options open = {.struct_size = sizeof open};
  treering_checkpoint* checkpoint = NULL;
  sample s;
  (void)state;
  make_sample(&s);
  assert_ok(treering_save(in_scratch("a.ring"), TREERING_NUL, s.tree, &save, err()));
  for (open.map = 0; open.map < 2; ++open.map) {
    assert_ok(
        treering_checkpoint_open(&checkpoint, in_scratch("a.ring"), TREERING_NUL, &open, err()));
    share(s.tree, checkpoint, s.kernel);
    treering_checkpoint_free(checkpoint);
  }
  free_sample(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(const_calls_run_concurrently_on_memory),
      cmocka_unit_test_teardown(const_calls_run_concurrently_on_files_read_and_mapped,
                                empty_scratch),
  };
  return cmocka_run_group_tests_name("capi threads", tests, make_scratch, drop_scratch);
}

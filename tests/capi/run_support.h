/* SPDX-License-Identifier: Apache-2.0
 * What the tests of managers share: a directory for each test, saving, looking, counting. */
#ifndef TREERING_TESTS_CAPI_RUN_SUPPORT_H_
#define TREERING_TESTS_CAPI_RUN_SUPPORT_H_

#include "support.h"

#include <ftw.h>

#define RUN in_scratch("run")

static inline int remove_entry(const char* path, const struct stat* info, int kind,
                               struct FTW* where) {
  (void)info, (void)kind, (void)where;
  return remove(path);
}

/* Setup of each test: the scratch folder is empty. */
static inline int fresh_run(void** state) {
  (void)state;
  if (access(RUN, F_OK) == 0 && nftw(RUN, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) return 1;
  return 0;
}

static inline int drop_runs(void** state) { return fresh_run(state) != 0 || drop_scratch(state); }

static inline treering_manager_options manager_options(int32_t mode) {
  treering_manager_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.mode = mode;
  return options;
}

static inline treering_manager* open_with(const treering_manager_options* options) {
  treering_manager* manager = NULL;
  assert_ok(treering_manager_open(&manager, RUN, TREERING_NUL, options, err()));
  assert_non_null(manager);
  return manager;
}

static inline treering_manager* open_run(int32_t mode) {
  const treering_manager_options options = manager_options(mode);
  return open_with(&options);
}

static inline treering_step_options step_options(void) {
  treering_step_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  return options;
}

/* {"step": step, "values": int32[8] of step + i} */
static inline treering_tree* step_tree(int64_t step) {
  static const uint64_t eight[] = {8};
  treering_tree* tree = NULL;
  treering_node nodes[3];
  int32_t values[8];
  uint64_t root = 0;
  int i;
  for (i = 0; i < 8; ++i) values[i] = (int32_t)(step + i);
  nodes[0] = make_node(TREERING_DICT, no_key(), 2);
  nodes[1] = make_bytes(TREERING_INTEGER, text_key("step"), &step, 8);
  nodes[2] = make_array(text_key("values"), TREERING_INT32, 1, eight, values);
  assert_ok(treering_tree_create(&tree, err()));
  assert_ok(treering_tree_append(&root, tree, TREERING_NO_NODE, nodes, NODE_SIZE, 3, NULL, err()));
  return tree;
}

static inline treering_save_item tree_item(const treering_tree* tree) {
  treering_save_item item;
  memset(&item, 0, sizeof item);
  item.kind = TREERING_ITEM_TREE;
  item.tree = tree;
  return item;
}

static inline treering_status try_save(treering_manager* manager, int64_t step,
                                       const treering_step_options* options,
                                       treering_saved* saved) {
  treering_tree* tree = step_tree(step);
  const treering_save_item item = tree_item(tree);
  const treering_status status =
      treering_manager_save(saved, manager, step, &item, sizeof item, 1, options, err());
  treering_tree_free(tree);
  return status;
}

static inline treering_pending* save_async(treering_manager* manager, int64_t step,
                                           const treering_step_options* options) {
  treering_pending* pending = NULL;
  treering_tree* tree = step_tree(step);
  const treering_save_item item = tree_item(tree);
  assert_ok(
      treering_manager_save_async(&pending, manager, step, &item, sizeof item, 1, options, err()));
  treering_tree_free(tree);
  return pending;
}

/* 1 if the step was saved, 0 if it was skipped. */
static inline int save_step(treering_manager* manager, int64_t step,
                            const treering_step_options* options) {
  treering_saved saved;
  memset(&saved, 0, sizeof saved);
  saved.struct_size = sizeof saved;
  assert_ok(try_save(manager, step, options, &saved));
  assert_int_equal(saved.step, step);
  assert_int_equal(saved.retention_status, TREERING_OK);
  return saved.skipped == 0;
}

static inline int save_metric(treering_manager* manager, int64_t step, const char* name,
                              double value) {
  treering_step_options options = step_options();
  treering_metric metric;
  metric.name = name;
  metric.name_size = strlen(name);
  metric.value = value;
  options.metrics = &metric;
  options.metric_size = sizeof metric;
  options.metric_count = 1;
  return save_step(manager, step, &options);
}

/* "1 2 30": the steps that a manager lists. */
static inline const char* steps_of(const treering_manager* manager) {
  static char text[2000];
  treering_version_info versions[64];
  uint64_t count = 0, i;
  size_t used = 0;
  assert_ok(treering_manager_versions(manager, 0, versions, sizeof versions[0], 64, &count, err()));
  text[0] = '\0';
  for (i = 0; i < count; ++i) {
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", i == 0 ? "" : " ",
                             (long long)versions[i].step);
  }
  return text;
}

static inline treering_version_info version_of(const treering_manager* manager, int64_t step) {
  treering_version_info version;
  uint64_t i, count = 1;
  for (i = 0; count == 1; ++i) {
    assert_ok(treering_manager_versions(manager, i, &version, sizeof version, 1, &count, err()));
    if (count == 1 && version.step == step) return version;
  }
  fail_msg("there is no version of step %lld", (long long)step);
  return version;
}

/* Which step TREERING_LATEST, TREERING_BEST or a step opens; checks what is in it. */
static inline int64_t opened_step(const treering_manager* manager, int64_t step,
                                  const treering_find_options* find) {
  treering_checkpoint* checkpoint = NULL;
  treering_read read;
  int64_t found = -9;
  int32_t values[8];
  int i;
  assert_ok(
      treering_manager_checkpoint(&checkpoint, &found, NULL, manager, step, find, NULL, err()));
  memset(&read, 0, sizeof read);
  read.node = find_node(checkpoint, "values");
  read.dst = values;
  read.dst_size = sizeof values;
  assert_ok(treering_checkpoint_read(checkpoint, &read, sizeof read, 1, NULL, err()));
  for (i = 0; i < 8; ++i) assert_int_equal(values[i], (int32_t)(found + i));
  treering_checkpoint_free(checkpoint);
  return found;
}

/* A path below the manager's directory; two may be in use at a time. */
static inline const char* in_run(const char* name, size_t size) {
  static char paths[2][1200];
  static int turn;
  turn = !turn;
  snprintf(paths[turn], sizeof paths[turn], "%s/%.*s", RUN, (int)size, name);
  return paths[turn];
}

static int listed_entries;
static uint64_t listed_sum;

static inline int count_entry(const char* path, const struct stat* info, int kind,
                              struct FTW* where) {
  uint64_t hash = 1469598103934665603ULL;
  (void)kind, (void)where;
  for (; *path != '\0'; ++path) hash = (hash ^ (uint8_t)*path) * 1099511628211ULL;
  hash ^= (uint64_t)info->st_ino ^ (uint64_t)info->st_size << 20;
  hash ^= (uint64_t)info->st_mtim.tv_nsec << 16 ^ (uint64_t)info->st_mtim.tv_sec;
  listed_sum += hash * 1099511628211ULL;
  ++listed_entries;
  return 0;
}

/* A number that changes if a name, size, inode or time below the directory does. */
static inline uint64_t picture(void) {
  listed_sum = 0;
  listed_entries = 0;
  assert_int_equal(nftw(RUN, count_entry, 16, FTW_PHYS), 0);
  return listed_sum;
}

static inline void flip_byte(const char* path, long offset) {
  FILE* file = fopen(path, "r+b");
  int byte = 0;
  assert_non_null(file);
  assert_int_equal(fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
  byte = fgetc(file);
  assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
  fputc(byte ^ 1, file);
  assert_int_equal(fclose(file), 0);
}

#endif

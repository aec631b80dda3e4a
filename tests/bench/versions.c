/* SPDX-License-Identifier: Apache-2.0
 * What a save costs as versions grow: saves small trees into one directory, not durable, so that
 * the library's own work is measured and not the disk's.
 *
 * usage: versions PATH COUNT
 * Prints one JSON line: microseconds a save in the first and in the last tenth, and milliseconds to
 * open the directory and list its versions afterwards.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <treering/treering.h>

static treering_error error = {.struct_size = sizeof error};

static void check(treering_status status) {
  if (status == TREERING_OK) return;
  fprintf(stderr, "versions: %s: %s\n", treering_status_name(status), error.message);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static treering_manager* open_at(const char* path) {
  treering_manager* manager = NULL;
  check(treering_manager_open(&manager, path, strlen(path), NULL, &error));
  return manager;
}

/* Saves the steps [begin, end) and returns the seconds a save. */
static double save_steps(treering_manager* manager, const treering_tree* tree, int64_t begin,
                         int64_t end) {
  treering_save_options save = {.struct_size = sizeof save, .not_durable = 1};
  treering_step_options options = {.struct_size = sizeof options, .save = &save};
  treering_save_item item;
  memset(&item, 0, sizeof item);
  item.kind = TREERING_ITEM_TREE;
  item.tree = tree;
  const double start = now();
  for (int64_t step = begin; step < end; ++step) {
    treering_saved saved = {.struct_size = sizeof saved};
    check(treering_manager_save(&saved, manager, step, &item, sizeof item, 1, &options, &error));
  }
  return (now() - start) / (double)(end - begin);
}

int main(int argc, char** argv) {
  const int64_t count = argc == 3 ? strtoll(argv[2], NULL, 10) : 0;
  if (count < 10 || count > 100000) return 2;
  const double value = 1.5;
  treering_node node;
  memset(&node, 0, sizeof node);
  node.kind = TREERING_ARRAY;
  node.dtype = TREERING_FLOAT64;
  node.data = &value;
  treering_tree* tree = NULL;
  uint64_t root = 0;
  check(treering_tree_create(&tree, &error));
  check(treering_tree_append(&root, tree, TREERING_NO_NODE, &node, sizeof node, 1, NULL, &error));
  treering_manager* manager = open_at(argv[1]);
  const double first = save_steps(manager, tree, 0, count / 10);
  save_steps(manager, tree, count / 10, count - count / 10);
  const double last = save_steps(manager, tree, count - count / 10, count);
  check(treering_manager_close(manager, -1, &error));
  treering_manager_free(manager);
  const double start = now();
  manager = open_at(argv[1]);
  static treering_version_info versions[100000];
  uint64_t listed = 0;
  check(
      treering_manager_versions(manager, 0, versions, sizeof versions[0], 100000, &listed, &error));
  const double opened = now() - start;
  treering_manager_free(manager);
  treering_tree_free(tree);
  printf("{\"versions\": %" PRIu64 ", \"first_us\": %.1f, \"last_us\": %.1f, \"open_ms\": %.2f}\n",
         listed, first * 1e6, last * 1e6, opened * 1e3);
  return listed == (uint64_t)count ? 0 : 1;
}

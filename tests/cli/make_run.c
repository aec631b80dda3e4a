/* SPDX-License-Identifier: Apache-2.0
 * Makes directories of checkpoints for the tests of the tool: make_run DIR, make_run --hold DIR.
 *
 * Three versions: 100, 200, 300, with the metric "loss" 3, 1, 2; each {"params": {"bias":
 * float32[4] of step + i, "kernel": float32[3000]}, "step": step}. --hold keeps the lock until
 * standard input ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <treering/treering.h>

static treering_error error;

static void check(treering_status status) {
  if (status == TREERING_OK) return;
  fprintf(stderr, "make_run: %s\n", error.message);
  exit(1);
}

static treering_key key(const char* text) {
  treering_key out;
  memset(&out, 0, sizeof out);
  out.kind = text == NULL ? TREERING_KEY_NONE : TREERING_KEY_STRING;
  out.text = text;
  out.text_size = text == NULL ? 0 : strlen(text);
  return out;
}

static treering_node node(int32_t kind, const char* name, const void* data, uint64_t size) {
  treering_node out;
  memset(&out, 0, sizeof out);
  out.kind = kind;
  out.key = key(name);
  out.data = data;
  if (data == NULL) {
    out.child_count = size;
  } else {
    out.data_size = size;
  }
  return out;
}

static treering_node array(const char* name, const float* data, const uint64_t* shape) {
  treering_node out = node(TREERING_ARRAY, name, data, 0);
  out.dtype = TREERING_FLOAT32;
  out.rank = 1;
  out.shape = shape;
  return out;
}

static treering_tree* make_tree(int64_t step) {
  static const uint64_t four[] = {4};
  static const uint64_t many[] = {3000};
  static float bias[4], kernel[3000];
  treering_tree* tree = NULL;
  treering_node nodes[5];
  uint64_t root = 0;
  int i;
  for (i = 0; i < 4; ++i) bias[i] = (float)(step + i);
  for (i = 0; i < 3000; ++i) kernel[i] = (float)(step * 10 + i);
  nodes[0] = node(TREERING_DICT, NULL, NULL, 2);
  nodes[1] = node(TREERING_DICT, "params", NULL, 2);
  nodes[2] = array("bias", bias, four);
  nodes[3] = array("kernel", kernel, many);
  nodes[4] = node(TREERING_INTEGER, "step", &step, 8);
  check(treering_tree_create(&tree, &error));
  check(
      treering_tree_append(&root, tree, TREERING_NO_NODE, nodes, sizeof nodes[0], 5, NULL, &error));
  return tree;
}

static void save(treering_manager* manager, int64_t step, double loss) {
  treering_tree* tree = make_tree(step);
  treering_save_item item;
  treering_step_options options;
  treering_metric metric = {"loss", 4, 0};
  metric.value = loss;
  memset(&item, 0, sizeof item);
  item.kind = TREERING_ITEM_TREE;
  item.tree = tree;
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.metrics = &metric;
  options.metric_size = sizeof metric;
  options.metric_count = 1;
  check(treering_manager_save(NULL, manager, step, &item, sizeof item, 1, &options, &error));
  treering_tree_free(tree);
}

int main(int argc, char** argv) {
  const int hold = argc == 3 && strcmp(argv[1], "--hold") == 0;
  const char* directory = argc < 2 ? "" : argv[argc - 1];
  treering_manager* manager = NULL;
  error.struct_size = sizeof error;
  check(treering_manager_open(&manager, directory, TREERING_NUL, NULL, &error));
  if (hold) {
    puts("held");
    fflush(stdout);
    while (getchar() != EOF) continue;
  } else {
    save(manager, 100, 3);
    save(manager, 200, 1);
    save(manager, 300, 2);
  }
  check(treering_manager_close(manager, -1, &error));
  treering_manager_free(manager);
  return 0;
}

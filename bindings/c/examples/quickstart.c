/* SPDX-License-Identifier: Apache-2.0
 * A small tree is saved and opened again, and one of its arrays is read where it lies in the
 * mapping.
 */
#include <stdio.h>
#include <treering/treering.h>

int main(void) {
  const float weights[2][3] = {{1, 2, 3}, {4, 5, 6}};
  const uint64_t shape[] = {2, 3};
  treering_error e = {.struct_size = sizeof e};
  treering_save_options save = {.struct_size = sizeof save, .overwrite = 1};
  treering_open_options map = {.struct_size = sizeof map, .map = 1};
  treering_node nodes[2] = {{.kind = TREERING_DICT, .child_count = 1}, {.kind = TREERING_ARRAY}};
  nodes[1].key = (treering_key){.kind = TREERING_KEY_STRING, .text = "w", .text_size = 1};
  nodes[1].dtype = TREERING_FLOAT32, nodes[1].rank = 2, nodes[1].shape = shape;
  nodes[1].data = weights;
  treering_tree* tree = NULL;
  treering_checkpoint* file = NULL;
  treering_blob* view = NULL;
  uint64_t id = 0;
  if (treering_tree_create(&tree, &e) ||
      treering_tree_append(&id, tree, TREERING_NO_NODE, nodes, sizeof *nodes, 2, NULL, &e) ||
      treering_save("run.ring", TREERING_NUL, tree, &save, &e) ||
      treering_checkpoint_open(&file, "run.ring", TREERING_NUL, &map, &e) ||
      treering_checkpoint_find(&id, file, "", 0, "w", 1, &e) ||
      treering_checkpoint_view(&view, file, id, NULL, NULL, &e)) {
    return fprintf(stderr, "%s\n", e.message), 1;
  }
  printf("w[1][2] = %g\n", ((const float*)treering_blob_data(view))[5]);
  treering_blob_free(view);
  treering_checkpoint_free(file);
  treering_tree_free(tree);
  return 0;
}

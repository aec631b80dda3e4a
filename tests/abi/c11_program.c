/* SPDX-License-Identifier: Apache-2.0
 * A strict C11 program with the public header alone: it compiles, links and knows its version. */
#include <treering/treering.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  treering_tree* tree = NULL;
  treering_error error = {0};
  error.struct_size = sizeof error;
  if (argc != 2 || strcmp(treering_version(), argv[1]) != 0) {
    fprintf(stderr, "version %s, expected %s\n", treering_version(), argc > 1 ? argv[1] : "one");
    return 1;
  }
  if (strcmp(treering_status_name(TREERING_CORRUPT_CHECKSUM), "CORRUPT_CHECKSUM") != 0) return 1;
  if (treering_tree_create(&tree, &error) != TREERING_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  treering_tree_free(tree);
  return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * Callers that are older or newer than the library: struct_size, element_size, error structs. */
#include "support.h"

/* Structs as a newer caller has them. */
typedef struct newer_save_options {
  treering_save_options known;
  uint64_t later;
} newer_save_options;
typedef struct newer_node {
  treering_node known;
  uint64_t later;
} newer_node;
typedef struct newer_info {
  treering_info known;
  uint64_t later;
} newer_info;
typedef struct newer_lend {
  treering_lend known;
  uint64_t later;
} newer_lend;

static void a_shorter_struct_than_the_first_is_refused(void** state) {
  treering_save_options options = {.struct_size = 8};
  treering_writer* writer = (treering_writer*)&options;
  treering_info info = {.struct_size = 4};
  treering_blob* blob = NULL;
  treering_checkpoint* checkpoint = NULL;
  sample s;
  (void)state;
  assert_fails(treering_writer_create_memory(&writer, &options, err()), TREERING_INVALID_ARGUMENT,
               "struct_size", "8");
  assert_null(writer);
  make_sample(&s);
  blob = save_to_memory(s.tree, NULL);
  checkpoint = open_blob(blob);
  assert_fails(treering_checkpoint_info(&info, checkpoint, err()), TREERING_INVALID_ARGUMENT,
               "struct_size", "4");
  treering_checkpoint_free(checkpoint);
  treering_blob_free(blob);
  free_sample(&s);
}

static void a_longer_struct_is_taken_if_the_unknown_part_is_zero(void** state) {
  newer_save_options options = {.known = {.struct_size = sizeof options}};
  treering_writer* writer = NULL;
  (void)state;
  assert_ok(treering_writer_create_memory(&writer, &options.known, err()));
  treering_writer_free(writer);
  options.later = 1;
  assert_fails(treering_writer_create_memory(&writer, &options.known, err()), TREERING_UNSUPPORTED,
               "options", "update");
  assert_null(writer);
}

static void reserved_fields_must_be_zero(void** state) {
  treering_open_options options = {.struct_size = sizeof options, .reserved = 1};
  treering_checkpoint* checkpoint = (treering_checkpoint*)&options;
  treering_key key = {.kind = TREERING_KEY_INT, .reserved = 1};
  treering_read read = {.reserved = 1};
  uint8_t step = 9;
  uint64_t id = 9;
  treering_blob* blob = NULL;
  sample s;
  (void)state;
  make_sample(&s);
  blob = save_to_memory(s.tree, NULL);
  assert_fails(
      treering_checkpoint_open_memory(&checkpoint, treering_blob_data(blob),
                                      treering_blob_size(blob), NULL, NULL, &options, err()),
      TREERING_UNSUPPORTED, "options", "zero");
  assert_null(checkpoint);
  assert_fails(treering_tree_find_keys(&id, s.tree, &key, 1, err()), TREERING_UNSUPPORTED,
               "key.reserved");
  assert_int_equal(id, 0);
  checkpoint = open_blob(blob);
  read.node = find_node(checkpoint, "step");
  read.dst = &step;
  read.dst_size = 1;
  assert_fails(treering_checkpoint_read(checkpoint, &read, sizeof read, 1, NULL, err()),
               TREERING_UNSUPPORTED, "reads[0]");
  assert_int_equal(step, 9);
  read.reserved = 0;
  assert_ok(treering_checkpoint_read(checkpoint, &read, sizeof read, 1, NULL, err()));
  treering_checkpoint_free(checkpoint);
  treering_blob_free(blob);
  free_sample(&s);
}

static void a_depth_that_no_tree_has_is_refused(void** state) {
  treering_open_options options = {.struct_size = sizeof options, .max_depth = 65535};
  treering_checkpoint* checkpoint = (treering_checkpoint*)&options;
  treering_blob* blob = NULL;
  sample s;
  (void)state;
  make_sample(&s);
  blob = save_to_memory(s.tree, NULL);
  assert_fails(
      treering_checkpoint_open_memory(&checkpoint, treering_blob_data(blob),
                                      treering_blob_size(blob), NULL, NULL, &options, err()),
      TREERING_INVALID_ARGUMENT, "max_depth", "65535", "65534");
  assert_null(checkpoint);
  options.max_depth = 65534;
  assert_ok(treering_checkpoint_open_memory(&checkpoint, treering_blob_data(blob),
                                            treering_blob_size(blob), NULL, NULL, &options, err()));
  treering_checkpoint_free(checkpoint);
  treering_blob_free(blob);
  free_sample(&s);
}

static void longer_output_structs_get_a_zero_tail(void** state) {
  newer_info info;
  treering_blob* blob = NULL;
  treering_checkpoint* checkpoint = NULL;
  sample s;
  (void)state;
  make_sample(&s);
  blob = save_to_memory(s.tree, NULL);
  checkpoint = open_blob(blob);
  memset(&info, 0xff, sizeof info);
  info.known.struct_size = sizeof info;
  assert_ok(treering_checkpoint_info(&info.known, checkpoint, err()));
  assert_int_equal(info.known.struct_size, sizeof info);
  assert_int_equal(info.known.node_count, 11);
  assert_int_equal(info.later, 0);
  treering_checkpoint_free(checkpoint);
  treering_blob_free(blob);
  free_sample(&s);
}

static void longer_elements_are_stepped_over(void** state) {
  newer_node nodes[3];
  newer_node back[3];
  treering_tree* tree = NULL;
  uint64_t first = 0, count = 0;
  (void)state;
  memset(nodes, 0, sizeof nodes);
  memset(back, 0xff, sizeof back);
  nodes[0].known = make_node(TREERING_DICT, no_key(), 2);
  nodes[1].known = make_bytes(TREERING_BYTES, text_key("a"), "abc", 3);
  nodes[2].known = make_bytes(TREERING_BYTES, text_key("b"), "def", 3);
  assert_ok(treering_tree_create(&tree, err()));
  assert_ok(treering_tree_append(&first, tree, TREERING_NO_NODE, &nodes[0].known, sizeof nodes[0],
                                 3, NULL, err()));
  assert_ok(treering_tree_nodes(tree, 0, &back[0].known, sizeof back[0], 3, &count, err()));
  assert_int_equal(count, 3);
  assert_memory_equal(back[2].known.data, "def", 3);
  assert_int_equal(back[2].later, 0);
  nodes[1].later = 1;
  nodes[1].known.key = text_key("c");
  assert_fails(
      treering_tree_append(&first, tree, first, &nodes[1].known, sizeof nodes[0], 1, NULL, err()),
      TREERING_UNSUPPORTED, "nodes[0]", "update");
  assert_fails(treering_tree_append(&first, tree, first, &nodes[1].known, 16, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "element_size", "16");
  treering_tree_free(tree);
}

static void count_release(void* user) { ++*(int*)user; }

static void lent_memory_is_released_when_its_struct_is_refused(void** state) {
  int releases = 0;
  newer_lend lend = {{sizeof lend, 0, count_release, &releases}, 1};
  treering_node node = make_bytes(TREERING_BYTES, no_key(), "abc", 3);
  treering_tree* tree = NULL;
  uint64_t first = 0;
  (void)state;
  assert_ok(treering_tree_create(&tree, err()));
  assert_fails(
      treering_tree_append(&first, tree, TREERING_NO_NODE, &node, NODE_SIZE, 1, &lend.known, err()),
      TREERING_UNSUPPORTED, "lend");
  assert_int_equal(releases, 1);
  treering_tree_free(tree);
}

static void an_error_struct_of_any_size_is_filled_as_far_as_it_goes(void** state) {
  static const uint32_t head = offsetof(treering_error, message);
  treering_tree* tree = NULL;
  treering_error error;
  (void)state;
  memset(&error, 0x55, sizeof error);
  error.struct_size = head + 10;
  assert_int_equal(treering_tree_copy(&tree, NULL, &error), TREERING_INVALID_ARGUMENT);
  assert_int_equal(error.status, TREERING_INVALID_ARGUMENT);
  assert_int_equal(strlen(error.message), 9);
  assert_int_equal(error.message[10], 0x55);
  memset(&error, 0x55, sizeof error);
  error.struct_size = 8;
  assert_int_equal(treering_tree_copy(&tree, NULL, &error), TREERING_INVALID_ARGUMENT);
  assert_int_equal(error.message[0], 0x55);
  assert_int_equal(treering_tree_copy(&tree, NULL, NULL), TREERING_INVALID_ARGUMENT);
  assert_ok(treering_tree_create(&tree, err()));
  assert_int_equal(last_error.status, TREERING_OK);
  assert_int_equal(last_error.message[0], 0);
  treering_tree_free(tree);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_shorter_struct_than_the_first_is_refused),
      cmocka_unit_test(a_longer_struct_is_taken_if_the_unknown_part_is_zero),
      cmocka_unit_test(reserved_fields_must_be_zero),
      cmocka_unit_test(a_depth_that_no_tree_has_is_refused),
      cmocka_unit_test(longer_output_structs_get_a_zero_tail),
      cmocka_unit_test(longer_elements_are_stepped_over),
      cmocka_unit_test(lent_memory_is_released_when_its_struct_is_refused),
      cmocka_unit_test(an_error_struct_of_any_size_is_filled_as_far_as_it_goes),
  };
  return cmocka_run_group_tests_name("capi structs", tests, NULL, NULL);
}

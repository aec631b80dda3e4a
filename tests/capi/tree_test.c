/* SPDX-License-Identifier: Apache-2.0
 * Trees and filters through the C ABI: each function in success and in failure. */
#include "support.h"

static int set_up(void** state) {
  sample* s = (sample*)malloc(sizeof(sample));
  assert_non_null(s);
  make_sample(s);
  *state = s;
  return 0;
}

static int tear_down(void** state) {
  free_sample((sample*)*state);
  free(*state);
  return 0;
}

static uint64_t find(const treering_tree* tree, const char* path) {
  uint64_t id = 0;
  assert_ok(treering_tree_find(&id, tree, path, TREERING_NUL, err()));
  return id;
}

static void counts_and_nodes_are_those_that_were_appended(void** state) {
  const sample* s = (const sample*)*state;
  treering_node nodes[12];
  uint64_t count = 0, more = 0;
  assert_int_equal(treering_tree_node_count(s->tree), 11);
  assert_int_equal(treering_tree_leaf_count(s->tree), 7);
  assert_int_equal(treering_tree_root(s->tree), s->root);
  assert_ok(treering_tree_nodes(s->tree, 0, nodes, NODE_SIZE, 12, &count, err()));
  assert_int_equal(count, 11);
  assert_int_equal(nodes[2].kind, TREERING_ARRAY);
  assert_int_equal(nodes[2].shape[0], SAMPLE_ROWS);
  assert_memory_equal(nodes[2].data, s->kernel, SAMPLE_ROWS * SAMPLE_COLUMNS * 4);
  assert_int_equal(nodes[2].parent, nodes[1].id);
  assert_int_equal(nodes[0].parent, TREERING_NO_NODE);
  assert_int_equal(nodes[10].alias_of, s->bias_id);
  assert_memory_equal(nodes[10].data, s->bias, 400);
  assert_ok(treering_tree_nodes(s->tree, 9, nodes, NODE_SIZE, 12, &count, err()));
  assert_int_equal(count, 2);
  assert_ok(treering_tree_nodes(s->tree, 11, nodes, NODE_SIZE, 12, &more, err()));
  assert_int_equal(more, 0);
  assert_int_equal(treering_tree_node_count(NULL), 0);
  assert_int_equal(treering_tree_root(NULL), TREERING_NO_NODE);
}

static void one_node_children_and_paths_are_told(void** state) {
  const sample* s = (const sample*)*state;
  treering_node node;
  treering_key keys[4];
  uint64_t ids[8], count = 0;
  char text[64];
  assert_ok(treering_tree_node(&node, NODE_SIZE, s->tree, s->kernel_id, err()));
  assert_int_equal(node.dtype, TREERING_FLOAT32);
  assert_ok(treering_tree_children(s->tree, s->root, 0, ids, 8, &count, err()));
  assert_int_equal(count, 5);
  assert_ok(treering_tree_children(s->tree, s->root, 3, ids, 1, &count, err()));
  assert_int_equal(count, 1);
  assert_int_equal(ids[0], find(s->tree, "small"));
  assert_ok(treering_tree_path(s->tree, s->kernel_id, text, sizeof text, &count, err()));
  assert_int_equal(count, 13);
  assert_memory_equal(text, "params/kernel", 13);
  memset(text, 'x', sizeof text);
  assert_ok(treering_tree_path(s->tree, s->kernel_id, text, 3, &count, err()));
  assert_int_equal(count, 13);
  assert_memory_equal(text, "parx", 4);
  assert_ok(treering_tree_path_keys(s->tree, find(s->tree, "list/1"), keys, 4, &count, err()));
  assert_int_equal(count, 2);
  assert_int_equal(keys[1].kind, TREERING_KEY_INDEX);
  assert_int_equal(keys[1].integer, 1);
  assert_ok(treering_tree_find_keys(ids, s->tree, keys, 2, err()));
  assert_int_equal(ids[0], find(s->tree, "list/1"));
}

static void what_is_not_there_is_named_with_what_is_near(void** state) {
  const sample* s = (const sample*)*state;
  treering_key key = text_key("kernal");
  treering_node node;
  uint64_t id = 7, ids[1];
  assert_fails(treering_tree_find(&id, s->tree, "params/kernal", TREERING_NUL, err()),
               TREERING_NOT_FOUND_PATH, "kernal", "kernel");
  assert_int_equal(id, 0);
  assert_fails(treering_tree_find_keys(&id, s->tree, &key, 1, err()), TREERING_NOT_FOUND_PATH,
               "kernal");
  assert_fails(treering_tree_find(&id, s->tree, "\"", 1, err()), TREERING_INVALID_ARGUMENT, "");
  memset(&node, 7, sizeof node);
  assert_fails(treering_tree_node(&node, NODE_SIZE, s->tree, 99, err()), TREERING_NOT_FOUND_PATH,
               "99");
  assert_int_equal(node.kind, 0);
  assert_fails(treering_tree_children(s->tree, 99, 0, ids, 1, &id, err()), TREERING_NOT_FOUND_PATH,
               "99");
  assert_fails(treering_tree_glob(s->tree, "[", 1, 0, ids, 1, &id, err()),
               TREERING_INVALID_ARGUMENT, "");
}

static void globs_list_in_pages(void** state) {
  const sample* s = (const sample*)*state;
  uint64_t ids[8], count = 0;
  assert_ok(treering_tree_glob(s->tree, "params/*", TREERING_NUL, 0, ids, 8, &count, err()));
  assert_int_equal(count, 2);
  assert_int_equal(ids[1], s->bias_id);
  assert_ok(treering_tree_glob(s->tree, "**/[0-1]", TREERING_NUL, 1, ids, 8, &count, err()));
  assert_int_equal(count, 1);
  assert_int_equal(ids[0], find(s->tree, "list/1"));
}

static void wrong_nodes_append_nothing(void** state) {
  const sample* s = (const sample*)*state;
  static const uint64_t shape[] = {3};
  treering_node node = make_array(text_key("x"), 12345, 1, shape, s->bias);
  uint64_t first = 7;
  assert_fails(treering_tree_append(&first, s->tree, s->root, &node, NODE_SIZE, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "x", "dtype");
  node.dtype = TREERING_FLOAT32;
  node.key = text_key("step");
  assert_fails(treering_tree_append(&first, s->tree, s->root, &node, NODE_SIZE, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "step");
  node.key = text_key("x");
  node.data_size = 11;
  assert_fails(treering_tree_append(&first, s->tree, s->root, &node, NODE_SIZE, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "11", "12");
  node.data_size = 0;
  node.rank = 33;
  assert_fails(treering_tree_append(&first, s->tree, s->root, &node, NODE_SIZE, 1, NULL, err()),
               TREERING_LIMIT, "33", "32");
  node = make_node(999, text_key("x"), 0);
  assert_fails(treering_tree_append(&first, s->tree, s->root, &node, NODE_SIZE, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "999");
  node = make_node(TREERING_DICT, text_key("x"), 2);
  assert_fails(treering_tree_append(&first, s->tree, s->root, &node, NODE_SIZE, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "");
  node = make_node(TREERING_NONE, text_key("x"), 0);
  assert_fails(treering_tree_append(&first, s->tree, 99, &node, NODE_SIZE, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "");
  assert_int_equal(first, 0);
  assert_int_equal(treering_tree_node_count(s->tree), 11);
}

static void leaves_are_set_removed_and_their_data_outlive_the_tree(void** state) {
  sample* s = (sample*)*state;
  static const float other[100] = {3.f};
  static const uint64_t shape[] = {100};
  treering_node node = make_array(no_key(), TREERING_FLOAT32, 1, shape, other);
  treering_tree* copy = NULL;
  treering_blob* data = NULL;
  treering_blob* again = NULL;
  assert_ok(treering_tree_copy(&copy, s->tree, err()));
  assert_ok(treering_tree_set(copy, s->bias_id, &node, NODE_SIZE, NULL, err()));
  assert_ok(treering_tree_data(&data, copy, find(copy, "again"), err()));
  assert_memory_equal(treering_blob_data(data), other, 400);
  assert_fails(treering_tree_remove(copy, find(copy, "params"), err()), TREERING_INVALID_ARGUMENT,
               "params/bias", "aliases");
  assert_fails(treering_tree_remove(copy, 99, err()), TREERING_NOT_FOUND_PATH, "99");
  assert_ok(treering_tree_remove(copy, find(copy, "list"), err()));
  assert_int_equal(treering_tree_node_count(copy), 7);
  again = treering_blob_retain(data);
  treering_blob_free(data);
  treering_tree_free(copy);
  assert_memory_equal(treering_blob_data(again), other, 400);
  assert_int_equal(treering_blob_size(again), 400);
  treering_blob_free(again);
  assert_int_equal(treering_tree_node_count(s->tree), 11);
  assert_null(treering_blob_retain(NULL));
  treering_blob_free(NULL);
  assert_non_null(treering_blob_data(NULL));
}

static void abstract_leaves_have_no_data(void** state) {
  const sample* s = (const sample*)*state;
  treering_tree* abstract = NULL;
  treering_blob* data = (treering_blob*)&abstract;
  treering_node node;
  assert_ok(treering_tree_abstract(&abstract, s->tree, err()));
  assert_ok(treering_tree_node(&node, NODE_SIZE, abstract, s->kernel_id, err()));
  assert_null(node.data);
  assert_int_equal(node.shape[1], SAMPLE_COLUMNS);
  assert_fails(treering_tree_data(&data, abstract, s->kernel_id, err()), TREERING_WRONG_STATE,
               "params/kernel");
  assert_null(data);
  treering_tree_free(abstract);
}

static treering_filter* filter_of(int32_t kind, const char* text,
                                  const treering_filter* const* children, uint64_t count) {
  treering_filter* filter = NULL;
  treering_filter_spec spec = {.struct_size = sizeof spec, .kind = kind};
  spec.text = text;
  spec.text_size = text == NULL ? 0 : TREERING_NUL;
  spec.children = children;
  spec.child_count = count;
  assert_ok(treering_filter_create(&filter, &spec, err()));
  return filter;
}

static void split_and_merge_are_inverse(void** state) {
  const sample* s = (const sample*)*state;
  const treering_filter* filters[2];
  treering_tree* parts[2];
  treering_tree* merged = NULL;
  treering_report* report = NULL;
  filters[0] = filter_of(TREERING_FILTER_GLOB, "params/**", NULL, 0);
  filters[1] = filter_of(TREERING_FILTER_EVERYTHING, NULL, NULL, 0);
  assert_fails(treering_tree_split(parts, s->tree, filters, 1, 1, err()),
               TREERING_MISMATCH_STRUCTURE, "list/0", "everything last");
  assert_null(parts[0]);
  assert_ok(treering_tree_split(parts, s->tree, filters, 2, 1, err()));
  assert_int_equal(treering_tree_leaf_count(parts[0]), 2);
  assert_ok(treering_tree_merge(&merged, (const treering_tree* const*)parts, 2, err()));
  assert_int_equal(treering_tree_leaf_count(merged), 7);
  {
    const treering_compare_options loose = {.struct_size = sizeof loose, .ignore_kinds = 1};
    assert_ok(treering_tree_compare(&report, s->tree, merged, &loose, err()));
    find(merged, "params/kernel");
  }
  treering_report_free(report);
  treering_tree_free(parts[0]);
  treering_tree_free(parts[1]);
  treering_tree_free(merged);
  treering_filter_free((treering_filter*)(uintptr_t)filters[0]);
  treering_filter_free((treering_filter*)(uintptr_t)filters[1]);
}

static void filters_with_wrong_specs_are_refused(void** state) {
  treering_filter_spec spec = {.struct_size = sizeof spec, .kind = 77};
  treering_filter* filter = (treering_filter*)&spec;
  (void)state;
  assert_fails(treering_filter_create(&filter, &spec, err()), TREERING_INVALID_ARGUMENT, "77");
  assert_null(filter);
  spec.kind = TREERING_FILTER_NOT;
  assert_fails(treering_filter_create(&filter, &spec, err()), TREERING_INVALID_ARGUMENT, "one");
  spec.kind = TREERING_FILTER_CALLBACK;
  assert_fails(treering_filter_create(&filter, &spec, err()), TREERING_INVALID_ARGUMENT, "match");
  spec.kind = TREERING_FILTER_PATH_CONTAINS;
  assert_fails(treering_filter_create(&filter, &spec, err()), TREERING_INVALID_ARGUMENT, "key");
  assert_fails(treering_filter_create(NULL, &spec, err()), TREERING_INVALID_ARGUMENT, "out");
  treering_filter_free(NULL);
}

static void comparing_and_updating_tell_what_differs(void** state) {
  sample* s = (sample*)*state;
  static const float other[100] = {3.f};
  static const uint64_t shape[] = {100};
  treering_node node = make_array(no_key(), TREERING_FLOAT32, 1, shape, other);
  treering_tree* copy = NULL;
  treering_report* report = NULL;
  treering_finding findings[8];
  uint64_t count = 0;
  assert_ok(treering_tree_copy(&copy, s->tree, err()));
  assert_ok(treering_tree_set(copy, s->bias_id, &node, NODE_SIZE, NULL, err()));
  assert_ok(treering_tree_compare(&report, s->tree, copy, NULL, err()));
  assert_int_equal(find_finding(report, TREERING_FINDING_DIFFERENT_VALUE, "params/bias").status,
                   TREERING_MISMATCH);
  assert_ok(treering_report_findings(report, 0, findings, sizeof findings[0], 8, &count, err()));
  assert_int_equal(count, treering_report_count(report));
  assert_fails(treering_report_findings(NULL, 0, findings, sizeof findings[0], 8, &count, err()),
               TREERING_INVALID_ARGUMENT, "report");
  assert_int_equal(treering_report_count(NULL), 0);
  treering_report_free(report);
  assert_ok(treering_tree_update(copy, s->tree, err()));
  assert_ok(treering_tree_compare(&report, s->tree, copy, NULL, err()));
  assert_int_equal(treering_report_count(report), 0);
  treering_report_free(report);
  treering_report_free(NULL);
  treering_tree_free(copy);
  treering_tree_free(NULL);
}

static void names_of_versions_statuses_and_dtypes(void** state) {
  (void)state;
  assert_string_equal(treering_version(), "0.1.0");
  assert_int_equal(treering_version_number(), 1 << 8);
  assert_int_equal(treering_format_version(), 1 << 16);
  assert_string_equal(treering_status_name(TREERING_CORRUPT_CHECKSUM), "CORRUPT_CHECKSUM");
  assert_string_equal(treering_status_name(40 | 77 << 8), "CORRUPT");
  assert_string_equal(treering_status_name(3), "UNKNOWN");
  assert_string_equal(treering_dtype_name(TREERING_BFLOAT16), "bfloat16");
  assert_null(treering_dtype_name(9999));
  assert_int_equal(treering_dtype_parse("float8_e4m3fn", TREERING_NUL), TREERING_FLOAT8_E4M3FN);
  assert_int_equal(treering_dtype_parse("float33", TREERING_NUL), 0);
  assert_int_equal(treering_dtype_parse(NULL, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(counts_and_nodes_are_those_that_were_appended),
      TEST(one_node_children_and_paths_are_told),
      TEST(what_is_not_there_is_named_with_what_is_near),
      TEST(globs_list_in_pages),
      TEST(wrong_nodes_append_nothing),
      TEST(leaves_are_set_removed_and_their_data_outlive_the_tree),
      TEST(abstract_leaves_have_no_data),
      TEST(split_and_merge_are_inverse),
      TEST(filters_with_wrong_specs_are_refused),
      TEST(comparing_and_updating_tell_what_differs),
      TEST(names_of_versions_statuses_and_dtypes),
  };
  return cmocka_run_group_tests_name("capi tree", tests, NULL, NULL);
}

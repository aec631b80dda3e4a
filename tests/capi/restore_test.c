/* SPDX-License-Identifier: Apache-2.0
 * treering_checkpoint_restore: strict by default, and each relaxation by itself. */
#include "support.h"

typedef struct fixture {
  sample s;
  treering_blob* blob;
  treering_checkpoint* checkpoint;
} fixture;

static int set_up(void** state) {
  fixture* f = (fixture*)calloc(1, sizeof(fixture));
  assert_non_null(f);
  make_sample(&f->s);
  f->blob = save_to_memory(f->s.tree, NULL);
  f->checkpoint = open_blob(f->blob);
  *state = f;
  return 0;
}

static int tear_down(void** state) {
  fixture* f = (fixture*)*state;
  treering_checkpoint_free(f->checkpoint);
  treering_blob_free(f->blob);
  free_sample(&f->s);
  free(f);
  return 0;
}

/* A target tree from nodes in preorder; to be freed. */
static treering_tree* target_of(const treering_node* nodes, uint64_t count) {
  treering_tree* tree = NULL;
  uint64_t first = 0;
  assert_ok(treering_tree_create(&tree, err()));
  assert_ok(
      treering_tree_append(&first, tree, TREERING_NO_NODE, nodes, NODE_SIZE, count, NULL, err()));
  return tree;
}

/* {"params": {"kernel": …, "bias": …}}, to be changed before it is made. */
static const uint64_t kernel_shape[] = {SAMPLE_ROWS, SAMPLE_COLUMNS};
static const uint64_t bias_shape[] = {SAMPLE_COLUMNS};

static void small_target(treering_node nodes[4]) {
  nodes[0] = make_node(TREERING_DICT, no_key(), 1);
  nodes[1] = make_node(TREERING_DICT, text_key("params"), 2);
  nodes[2] = make_array(text_key("kernel"), TREERING_FLOAT32, 2, kernel_shape, NULL);
  nodes[3] = make_array(text_key("bias"), TREERING_FLOAT32, 1, bias_shape, NULL);
}

typedef struct result {
  treering_status status;
  treering_tree* tree;
  treering_report* report;
} result;

static result restore(const fixture* f, const treering_tree* target,
                      const treering_restore_options* options) {
  result out = {0, (treering_tree*)&out, (treering_report*)&out};
  out.status = treering_checkpoint_restore(&out.tree, &out.report, f->checkpoint, NULL, 0, target,
                                           options, err());
  if (out.status != TREERING_OK) assert_null(out.tree);
  return out;
}

static result restore_nodes(const fixture* f, const treering_node* nodes, uint64_t count,
                            const treering_restore_options* options) {
  treering_tree* target = target_of(nodes, count);
  result out = restore(f, target, options);
  treering_tree_free(target);
  return out;
}

static void drop(result* r) {
  treering_tree_free(r->tree);
  treering_report_free(r->report);
}

/* The bytes of a leaf of a result, by path. */
static const void* data_at(const treering_tree* tree, const char* path) {
  treering_node node;
  uint64_t id = 0;
  assert_ok(treering_tree_find(&id, tree, path, TREERING_NUL, err()));
  assert_ok(treering_tree_node(&node, sizeof node, tree, id, err()));
  assert_non_null(node.data);
  return node.data;
}

static void assert_found(treering_finding finding, const char* expected, const char* found) {
  assert_int_equal(finding.expected_size, strlen(expected));
  assert_memory_equal(finding.expected, expected, strlen(expected));
  assert_int_equal(finding.found_size, strlen(found));
  assert_memory_equal(finding.found, found, strlen(found));
}

static void an_abstract_copy_of_what_was_saved_comes_back_equal(void** state) {
  const fixture* f = (const fixture*)*state;
  treering_tree* target = NULL;
  treering_report* difference = NULL;
  result r;
  assert_ok(treering_tree_abstract(&target, f->s.tree, err()));
  r = restore(f, target, NULL);
  assert_ok(r.status);
  assert_int_equal(count_findings(r.report, TREERING_FINDING_RESTORED),
                   treering_report_count(r.report));
  find_finding(r.report, TREERING_FINDING_RESTORED, "params/kernel");
  assert_ok(treering_tree_compare(&difference, f->s.tree, r.tree, NULL, err()));
  assert_int_equal(treering_report_count(difference), 0);
  treering_report_free(difference);
  treering_tree_free(target);
  drop(&r);
}

static void missing_and_unexpected_leaves_are_all_named(void** state) {
  treering_node nodes[4];
  result r;
  small_target(nodes);
  nodes[3].key = text_key("beas");
  r = restore_nodes((const fixture*)*state, nodes, 4, NULL);
  assert_fails(r.status, TREERING_MISMATCH_STRUCTURE, "memory", "params/beas", "missing");
  assert_non_null(r.report);
  find_finding(r.report, TREERING_FINDING_MISSING, "params/beas");
  find_finding(r.report, TREERING_FINDING_UNEXPECTED, "params/bias");
  find_finding(r.report, TREERING_FINDING_UNEXPECTED, "step");
  find_finding(r.report, TREERING_FINDING_UNEXPECTED, "list/1");
  assert_int_equal(find_finding(r.report, TREERING_FINDING_MISSING, "params/beas").nearest_size,
                   strlen("params/bias"));
  assert_non_null(strstr(treering_report_text(r.report), "allow_missing"));
  drop(&r);
}

static void allowing_missing_and_unexpected_keeps_the_targets_value(void** state) {
  static const float mine[100] = {42};
  treering_node nodes[4];
  treering_restore_options options = {.struct_size = sizeof options, .allow_unexpected = 1};
  result r;
  small_target(nodes);
  nodes[3] = make_array(text_key("mine"), TREERING_FLOAT32, 1, bias_shape, mine);
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_MISMATCH_STRUCTURE, "params/mine");
  drop(&r);
  options.allow_missing = 1;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  find_finding(r.report, TREERING_FINDING_KEPT, "params/mine");
  assert_memory_equal(data_at(r.tree, "params/mine"), mine, sizeof mine);
  assert_memory_equal(data_at(r.tree, "params/kernel"), ((const fixture*)*state)->s.kernel,
                      SAMPLE_ROWS * SAMPLE_COLUMNS * 4);
  drop(&r);
}

static void other_dtypes_need_a_cast(void** state) {
  treering_node nodes[4];
  treering_restore_options options = {.struct_size = sizeof options, .allow_unexpected = 1};
  result r;
  small_target(nodes);
  nodes[2].dtype = TREERING_FLOAT64;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_MISMATCH_DTYPE, "params/kernel", "float64");
  assert_found(find_finding(r.report, TREERING_FINDING_DIFFERENT_DTYPE, "params/kernel"),
               "float64[300,100]", "float32[300,100]");
  drop(&r);
  options.cast = TREERING_CAST_SAFE;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  find_finding(r.report, TREERING_FINDING_CAST, "params/kernel");
  assert_true(((const double*)data_at(r.tree, "params/kernel"))[12345] == 12345.0);
  drop(&r);
  nodes[2].dtype = TREERING_INT16;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_MISMATCH_DTYPE, "params/kernel", "int16");
  drop(&r);
  options.cast = TREERING_CAST_ANY;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  assert_int_equal(((const int16_t*)data_at(r.tree, "params/kernel"))[12345], 12345);
  drop(&r);
}

static void other_shapes_are_padded_and_truncated_when_asked(void** state) {
  static const uint64_t wide[] = {200, 130};
  static const uint64_t flat[] = {100, 1};
  treering_node nodes[4];
  treering_restore_options options = {.struct_size = sizeof options, .allow_unexpected = 1};
  result r;
  const float* kernel = NULL;
  small_target(nodes);
  nodes[2].shape = wide;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_MISMATCH_SHAPE, "params/kernel", "[200,130]", "[300,100]");
  drop(&r);
  options.pad_or_truncate = 1;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  kernel = (const float*)data_at(r.tree, "params/kernel");
  assert_true(kernel[199 * 130 + 99] == 19999.f);
  assert_true(kernel[199 * 130 + 100] == 0.f && kernel[129] == 0.f);
  drop(&r);
  nodes[3].rank = 2;
  nodes[3].shape = flat;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_MISMATCH_SHAPE, "params/bias");
  drop(&r);
}

static void leaves_and_subtrees_are_renamed(void** state) {
  treering_node nodes[4];
  const treering_rename renames[] = {{"model", 5, "params", 6},
                                     {"model/offset", TREERING_NUL, "params/bias", TREERING_NUL}};
  treering_restore_options options = {.struct_size = sizeof options,
                                      .allow_unexpected = 1,
                                      .renames = renames,
                                      .rename_size = sizeof renames[0],
                                      .rename_count = 2};
  const treering_rename wrong = {"model", 5, "parms", 5};
  result r;
  small_target(nodes);
  nodes[1].key = text_key("model");
  nodes[3].key = text_key("offset");
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  assert_found(find_finding(r.report, TREERING_FINDING_RENAMED, "model"), "", "params");
  assert_memory_equal(data_at(r.tree, "model/offset"), ((const fixture*)*state)->s.bias, 400);
  assert_true(((const float*)data_at(r.tree, "model/kernel"))[77] == 77.f);
  drop(&r);
  options.renames = &wrong;
  options.rename_count = 1;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_NOT_FOUND_PATH, "rename", "parms");
  assert_null(r.report);
  drop(&r);
}

static void a_subtree_can_become_the_root(void** state) {
  treering_node nodes[3];
  const treering_rename rename = {"", 0, "params", 6};
  treering_restore_options options = {.struct_size = sizeof options,
                                      .renames = &rename,
                                      .rename_size = sizeof rename,
                                      .rename_count = 1};
  result r;
  nodes[0] = make_node(TREERING_DICT, no_key(), 2);
  nodes[1] = make_array(text_key("kernel"), TREERING_FLOAT32, 2, kernel_shape, NULL);
  nodes[2] = make_array(text_key("bias"), TREERING_FLOAT32, 1, bias_shape, NULL);
  r = restore_nodes((const fixture*)*state, nodes, 3, &options);
  assert_ok(r.status);
  assert_memory_equal(data_at(r.tree, "bias"), ((const fixture*)*state)->s.bias, 400);
  drop(&r);
}

static void placeholders_and_filters_leave_leaves_alone(void** state) {
  static const float mine[100] = {42};
  treering_node nodes[4];
  treering_filter* filter = NULL;
  const treering_filter_spec spec = {.struct_size = sizeof spec,
                                     .kind = TREERING_FILTER_GLOB,
                                     .text = "**/kernel",
                                     .text_size = 9};
  treering_restore_options options = {.struct_size = sizeof options, .allow_unexpected = 1};
  result r;
  small_target(nodes);
  nodes[2] = make_node(TREERING_PLACEHOLDER, text_key("kernel"), 0);
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  find_finding(r.report, TREERING_FINDING_SKIPPED, "params/kernel");
  drop(&r);
  small_target(nodes);
  nodes[3].data = mine;
  assert_ok(treering_filter_create(&filter, &spec, err()));
  options.filter = filter;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  find_finding(r.report, TREERING_FINDING_SKIPPED, "params/bias");
  assert_memory_equal(data_at(r.tree, "params/bias"), mine, sizeof mine);
  drop(&r);
  treering_filter_free(filter);
}

static void containers_of_other_kinds_need_ignore_kinds(void** state) {
  static const uint64_t forty[] = {40};
  treering_node nodes[5];
  treering_restore_options options = {.struct_size = sizeof options, .allow_unexpected = 1};
  result r;
  nodes[0] = make_node(TREERING_DICT, no_key(), 2);
  nodes[1] = make_node(TREERING_DICT, text_key("list"), 2);
  nodes[2] = make_bytes(TREERING_INTEGER, number_key(TREERING_KEY_INT, 0), "\0", 1);
  nodes[3] = make_bytes(TREERING_STRING, number_key(TREERING_KEY_INT, 1), "", 0);
  nodes[4] = make_array(text_key("small"), TREERING_UINT8, 1, forty, NULL);
  r = restore_nodes((const fixture*)*state, nodes, 5, &options);
  assert_fails(r.status, TREERING_MISMATCH_STRUCTURE, "list");
  assert_found(find_finding(r.report, TREERING_FINDING_DIFFERENT_KIND, "list"), "dict", "list");
  drop(&r);
  options.ignore_kinds = 1;
  r = restore_nodes((const fixture*)*state, nodes, 5, &options);
  assert_ok(r.status);
  assert_memory_equal(data_at(r.tree, "list/1"), "text", 4);
  assert_memory_equal(data_at(r.tree, "list/0"), "\1", 1);
  drop(&r);
}

static void destinations_are_filled_with_their_strides(void** state) {
  static float columns[SAMPLE_COLUMNS][SAMPLE_ROWS + 1];
  static float bias[100];
  static const int64_t strides[] = {4, (SAMPLE_ROWS + 1) * 4};
  treering_node nodes[4];
  treering_restore_options options = {
      .struct_size = sizeof options, .allow_unexpected = 1, .threads = 2};
  result r;
  int i, j, wrong = 0;
  small_target(nodes);
  nodes[2].destination = columns;
  nodes[2].destination_size = sizeof columns;
  nodes[2].strides = strides;
  nodes[3].destination = bias;
  nodes[3].destination_size = sizeof bias;
  memset(columns, 0x7f, sizeof columns);
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  for (i = 0; i < SAMPLE_COLUMNS; ++i) {
    for (j = 0; j < SAMPLE_ROWS; ++j) wrong += columns[i][j] != (float)(j * SAMPLE_COLUMNS + i);
    wrong += memcmp(&columns[i][SAMPLE_ROWS], "\x7f\x7f\x7f\x7f", 4) != 0;
  }
  assert_int_equal(wrong, 0);
  assert_memory_equal(bias, ((const fixture*)*state)->s.bias, sizeof bias);
  assert_ptr_equal(data_at(r.tree, "params/bias"), bias);
  drop(&r);
}

static void destinations_that_are_too_small_are_refused_and_not_written(void** state) {
  static uint8_t memory[400 + 16];
  static const int64_t strides[] = {8};
  treering_node nodes[4];
  treering_restore_options options = {
      .struct_size = sizeof options, .allow_unexpected = 1, .pad_or_truncate = 1};
  static const uint64_t longer[] = {101};
  size_t i;
  result r;
  small_target(nodes);
  memset(memory, 0x33, sizeof memory);
  nodes[3].destination = memory;
  nodes[3].destination_size = 399;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_INVALID_ARGUMENT, "params/bias", "399", "400");
  assert_null(r.report);
  drop(&r);
  nodes[3].strides = strides; /* reaches 796 bytes */
  nodes[3].destination_size = 400;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_INVALID_ARGUMENT, "params/bias", "400", "796");
  drop(&r);
  nodes[3].shape = longer; /* padding, too, stays inside */
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_fails(r.status, TREERING_INVALID_ARGUMENT, "params/bias", "400", "804");
  drop(&r);
  for (i = 0; i < sizeof memory; ++i) assert_int_equal(memory[i], 0x33);
}

static void padding_goes_into_strided_destinations(void** state) {
  static float memory[101 * 2];
  static const int64_t strides[] = {8};
  static const uint64_t longer[] = {101};
  treering_node nodes[4];
  treering_restore_options options = {
      .struct_size = sizeof options, .allow_unexpected = 1, .pad_or_truncate = 1};
  result r;
  small_target(nodes);
  nodes[3].shape = longer;
  nodes[3].destination = memory;
  nodes[3].destination_size = sizeof memory;
  nodes[3].strides = strides;
  memory[1] = 5.f;
  memory[200] = 9.f;
  r = restore_nodes((const fixture*)*state, nodes, 4, &options);
  assert_ok(r.status);
  find_finding(r.report, TREERING_FINDING_PADDED, "params/bias");
  assert_true(memory[200] == 0.f && memory[198] == -99.f && memory[1] == 5.f);
  drop(&r);
}

static void aliases_of_the_target_follow_their_leaf(void** state) {
  treering_node nodes[5];
  treering_restore_options options = {.struct_size = sizeof options, .allow_unexpected = 1};
  result r;
  small_target(nodes);
  nodes[0].child_count = 2;
  nodes[4] = make_node(TREERING_ALIAS, text_key("again"), 0);
  nodes[4].alias_of = 3;
  r = restore_nodes((const fixture*)*state, nodes, 5, &options);
  assert_ok(r.status);
  assert_ptr_equal(data_at(r.tree, "again"), data_at(r.tree, "params/bias"));
  assert_memory_equal(data_at(r.tree, "again"), ((const fixture*)*state)->s.bias, 400);
  drop(&r);
}

static void an_alias_of_the_target_is_missing_or_different_like_any_leaf(void** state) {
  treering_node nodes[5];
  treering_restore_options options = {.struct_size = sizeof options, .allow_unexpected = 1};
  result r;
  small_target(nodes);
  nodes[0].child_count = 2;
  nodes[4] = make_node(TREERING_ALIAS, text_key("nowhere"), 0);
  nodes[4].alias_of = 3;
  r = restore_nodes((const fixture*)*state, nodes, 5, &options);
  assert_fails(r.status, TREERING_MISMATCH_STRUCTURE, "nowhere");
  find_finding(r.report, TREERING_FINDING_MISSING, "nowhere");
  drop(&r);
  options.allow_missing = 1;
  r = restore_nodes((const fixture*)*state, nodes, 5, &options);
  assert_ok(r.status);
  drop(&r);
  nodes[4].key = text_key("small"); /* stored: another value than that of the bias */
  r = restore_nodes((const fixture*)*state, nodes, 5, &options);
  assert_fails(r.status, TREERING_MISMATCH_STRUCTURE, "small", "params/bias");
  find_finding(r.report, TREERING_FINDING_DIFFERENT_VALUE, "small");
  drop(&r);
}

static void null_arguments_and_bad_options_are_refused(void** state) {
  const fixture* f = (const fixture*)*state;
  treering_tree* tree = NULL;
  treering_restore_options options = {.struct_size = sizeof options, .cast = 77};
  result r = restore(f, f->s.tree, &options);
  assert_fails(r.status, TREERING_INVALID_ARGUMENT, "cast", "77");
  drop(&r);
  assert_fails(
      treering_checkpoint_restore(NULL, NULL, f->checkpoint, NULL, 0, f->s.tree, NULL, err()),
      TREERING_INVALID_ARGUMENT, "out");
  assert_fails(treering_checkpoint_restore(&tree, NULL, NULL, NULL, 0, f->s.tree, NULL, err()),
               TREERING_INVALID_ARGUMENT, "checkpoint");
  assert_fails(treering_checkpoint_restore(&tree, NULL, f->checkpoint, NULL, 0, NULL, NULL, err()),
               TREERING_INVALID_ARGUMENT, "target");
  assert_null(tree);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_abstract_copy_of_what_was_saved_comes_back_equal),
      TEST(missing_and_unexpected_leaves_are_all_named),
      TEST(allowing_missing_and_unexpected_keeps_the_targets_value),
      TEST(other_dtypes_need_a_cast),
      TEST(other_shapes_are_padded_and_truncated_when_asked),
      TEST(leaves_and_subtrees_are_renamed),
      TEST(a_subtree_can_become_the_root),
      TEST(placeholders_and_filters_leave_leaves_alone),
      TEST(containers_of_other_kinds_need_ignore_kinds),
      TEST(destinations_are_filled_with_their_strides),
      TEST(destinations_that_are_too_small_are_refused_and_not_written),
      TEST(padding_goes_into_strided_destinations),
      TEST(aliases_of_the_target_follow_their_leaf),
      TEST(an_alias_of_the_target_is_missing_or_different_like_any_leaf),
      TEST(null_arguments_and_bad_options_are_refused),
  };
  return cmocka_run_group_tests_name("capi restore", tests, NULL, NULL);
}

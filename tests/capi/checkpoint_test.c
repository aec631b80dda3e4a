/* SPDX-License-Identifier: Apache-2.0
 * Writers to memory and sinks, and everything that an open checkpoint answers. */
#include "support.h"

#include <errno.h>

typedef struct fixture {
  sample s;
  treering_blob* blob;
  treering_checkpoint* checkpoint;
} fixture;

static const char metadata[] = "{\"step\": 12}";

static int set_up(void** state) {
  fixture* f = (fixture*)calloc(1, sizeof(fixture));
  treering_writer* writer = NULL;
  treering_save_options options = {.struct_size = sizeof options, .metadata = metadata};
  options.metadata_size = TREERING_NUL;
  assert_non_null(f);
  make_sample(&f->s);
  assert_ok(treering_writer_create_memory(&writer, &options, err()));
  assert_ok(treering_writer_add_tree(writer, "model", TREERING_NUL, f->s.tree, err()));
  assert_ok(treering_writer_add_bytes(writer, TREERING_ITEM_JSON, "config", TREERING_NUL, "[1, 2]",
                                      6, err()));
  assert_ok(
      treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "rng", TREERING_NUL, "\0\1", 2, err()));
  assert_ok(treering_writer_finish(NULL, &f->blob, writer, err()));
  treering_writer_free(writer);
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

static void info_and_items_are_those_that_were_written(void** state) {
  const fixture* f = (const fixture*)*state;
  treering_info info = {.struct_size = sizeof info};
  treering_item items[4];
  uint64_t count = 0;
  assert_ok(treering_checkpoint_info(&info, f->checkpoint, err()));
  assert_int_equal(info.struct_size, sizeof info);
  assert_int_equal(info.format_version, treering_format_version());
  assert_int_equal(info.file_size, treering_blob_size(f->blob));
  assert_int_equal(info.item_count, 3);
  assert_int_equal(info.node_count, 13);
  assert_int_equal(info.leaf_count, 9);
  assert_int_equal(info.metadata_size, strlen(metadata));
  assert_memory_equal(info.metadata, metadata, strlen(metadata));
  assert_ok(treering_checkpoint_items(f->checkpoint, 0, items, sizeof items[0], 4, &count, err()));
  assert_int_equal(count, 3);
  assert_int_equal(items[1].kind, TREERING_ITEM_JSON);
  assert_memory_equal(items[2].name, "rng", 3);
  assert_ok(treering_checkpoint_items(f->checkpoint, 2, items, sizeof items[0], 4, &count, err()));
  assert_int_equal(count, 1);
  assert_int_equal(items[0].kind, TREERING_ITEM_BLOB);
  assert_fails(treering_checkpoint_info(&info, NULL, err()), TREERING_INVALID_ARGUMENT,
               "checkpoint");
  assert_int_equal(info.file_size, 0);
}

static void nodes_tell_shape_attributes_and_path(void** state) {
  const fixture* f = (const fixture*)*state;
  treering_node nodes[16];
  treering_blob* scratch = NULL;
  uint64_t count = 0, first = 0, id = find_node(f->checkpoint, "params/kernel");
  char path[32];
  treering_key keys[2];
  assert_ok(
      treering_checkpoint_nodes(f->checkpoint, 0, nodes, NODE_SIZE, 16, &count, &scratch, err()));
  assert_int_equal(count, 13);
  assert_int_equal(nodes[id].rank, 2);
  assert_int_equal(nodes[id].shape[0], SAMPLE_ROWS);
  assert_int_equal(nodes[id].stored_size, SAMPLE_ROWS * SAMPLE_COLUMNS * 4);
  assert_int_equal(nodes[find_node(f->checkpoint, "params/bias")].alias_of,
                   find_node(f->checkpoint, "again"));
  treering_blob_free(scratch);
  assert_ok(treering_checkpoint_children(f->checkpoint, 0, &first, &count, err()));
  assert_int_equal(first, 1);
  assert_int_equal(count, 5);
  assert_ok(treering_checkpoint_path(f->checkpoint, id, path, sizeof path, &count, err()));
  assert_int_equal(count, 13);
  assert_memory_equal(path, "params/kernel", 13);
  keys[0] = text_key("params");
  keys[1] = text_key("kernel");
  assert_ok(treering_checkpoint_find_keys(&first, f->checkpoint, "model", 5, keys, 2, err()));
  assert_int_equal(first, id);
  keys[1] = text_key("nothing");
  assert_fails(treering_checkpoint_find_keys(&first, f->checkpoint, "model", 5, keys, 2, err()),
               TREERING_NOT_FOUND_PATH, "nothing", "params");
  assert_fails(treering_checkpoint_path(f->checkpoint, 13, path, 1, &count, err()),
               TREERING_NOT_FOUND_PATH, "13", "12");
  assert_fails(treering_checkpoint_nodes(f->checkpoint, 0, nodes, 8, 16, &count, &scratch, err()),
               TREERING_INVALID_ARGUMENT, "element_size");
  assert_null(scratch);
}

static void boxes_are_read_with_strides_and_casts(void** state) {
  const fixture* f = (const fixture*)*state;
  static const uint64_t origin[] = {10, 20}, extent[] = {3, 2}, outside[] = {298, 0};
  static const int64_t strides[] = {8, 32};
  double values[2][4];
  treering_read read = {.origin = origin, .extent = extent, .dst = values};
  read.node = find_node(f->checkpoint, "params/kernel");
  read.dst_size = sizeof values;
  read.strides = strides;
  read.dtype = TREERING_FLOAT64;
  assert_fails(treering_checkpoint_read(f->checkpoint, &read, sizeof read, 1, NULL, err()),
               TREERING_MISMATCH_DTYPE, "params/kernel", "float32", "float64");
  read.cast = TREERING_CAST_SAFE;
  assert_ok(treering_checkpoint_read(f->checkpoint, &read, sizeof read, 1, NULL, err()));
  assert_true(values[0][2] == 1220.0 && values[1][1] == 1121.0);
  read.origin = outside;
  assert_fails(treering_checkpoint_read(f->checkpoint, &read, sizeof read, 1, NULL, err()),
               TREERING_MISMATCH_SHAPE, "params/kernel", "300,100");
  read.origin = origin;
  read.dst_size = 7;
  assert_fails(treering_checkpoint_read(f->checkpoint, &read, sizeof read, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "params/kernel", "7");
  read.node = 0;
  assert_fails(treering_checkpoint_read(f->checkpoint, &read, sizeof read, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "leaf");
  read.node = 999;
  assert_fails(treering_checkpoint_read(f->checkpoint, &read, sizeof read, 1, NULL, err()),
               TREERING_NOT_FOUND_PATH, "999");
  assert_fails(treering_checkpoint_read(f->checkpoint, NULL, sizeof read, 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "reads");
}

static void views_outlive_the_checkpoint(void** state) {
  fixture* f = (fixture*)*state;
  static const uint64_t origin[] = {10, 0}, extent[] = {3, 100}, column[] = {3, 1};
  treering_blob* view = NULL;
  const uint64_t id = find_node(f->checkpoint, "params/kernel");
  assert_fails(treering_checkpoint_view(&view, f->checkpoint, id, origin, column, err()),
               TREERING_UNSUPPORTED_NO_VIEW, "params/kernel");
  assert_ok(treering_checkpoint_view(&view, f->checkpoint, id, origin, extent, err()));
  treering_checkpoint_free(f->checkpoint);
  f->checkpoint = NULL;
  assert_int_equal(treering_blob_size(view), 1200);
  assert_memory_equal(treering_blob_data(view), f->s.kernel + 1000, 1200);
  treering_blob_free(view);
}

static void items_are_loaded_whole_abstract_filtered_and_as_views(void** state) {
  const fixture* f = (const fixture*)*state;
  treering_load_options options = {.struct_size = sizeof options};
  treering_filter_spec spec = {.struct_size = sizeof spec, .kind = TREERING_FILTER_GLOB};
  treering_filter* filter = NULL;
  treering_tree* tree = NULL;
  treering_report* report = NULL;
  treering_node node;
  int round;
  for (round = 0; round < 3; ++round) {
    options.abstract = round == 1;
    options.views = round == 2;
    assert_ok(treering_checkpoint_load(&tree, f->checkpoint, "model", 5, &options, err()));
    {
      treering_compare_options compare = {.struct_size = sizeof compare};
      compare.ignore_values = options.abstract;
      assert_ok(treering_tree_compare(&report, f->s.tree, tree, &compare, err()));
    }
    if (treering_report_count(report) != 0) print_error("%s", treering_report_text(report));
    assert_int_equal(treering_report_count(report), 0);
    treering_report_free(report);
    treering_tree_free(tree);
  }
  spec.text = "**/bias";
  spec.text_size = TREERING_NUL;
  assert_ok(treering_filter_create(&filter, &spec, err()));
  options.filter = filter;
  assert_ok(treering_checkpoint_load(&tree, f->checkpoint, "", 0, &options, err()));
  assert_int_equal(treering_tree_leaf_count(tree), 1);
  treering_tree_free(tree);
  treering_filter_free(filter);
  assert_ok(treering_checkpoint_load(&tree, f->checkpoint, "config", 6, NULL, err()));
  assert_ok(treering_tree_node(&node, NODE_SIZE, tree, treering_tree_root(tree), err()));
  assert_int_equal(node.kind, TREERING_STRING);
  assert_memory_equal(node.data, "[1, 2]", 6);
  treering_tree_free(tree);
}

static void writers_refuse_what_they_cannot_write(void** state) {
  const fixture* f = (const fixture*)*state;
  treering_tree* abstract = NULL;
  treering_writer* writer = NULL;
  treering_summary summary = {.struct_size = sizeof summary};
  treering_blob* blob = NULL;
  treering_save_options options = {.struct_size = sizeof options, .chunk_bytes = 5};
  assert_fails(treering_writer_create_memory(&writer, &options, err()), TREERING_INVALID_ARGUMENT,
               "5", "4096");
  assert_null(writer);
  options.chunk_bytes = 0;
  options.codec = 77;
  assert_fails(treering_writer_create_memory(&writer, &options, err()), TREERING_INVALID_ARGUMENT,
               "77");
  options.codec = TREERING_CODEC_ZSTD;
  options.level = 23;
  assert_fails(treering_writer_create_memory(&writer, &options, err()), TREERING_INVALID_ARGUMENT,
               "23", "-7 to 22");
  options.level = -7;
  assert_ok(treering_writer_create_memory(&writer, &options, err()));
  treering_writer_free(writer);
  options.level = 0;
  options.codec = 0;
  options.metadata = "{";
  options.metadata_size = 1;
  assert_fails(treering_writer_create_memory(&writer, &options, err()), TREERING_INVALID_ARGUMENT,
               "JSON");
  assert_ok(treering_writer_create_memory(&writer, NULL, err()));
  assert_fails(treering_writer_add_bytes(writer, TREERING_ITEM_TREE, "a", 1, "", 0, err()),
               TREERING_INVALID_ARGUMENT, "item_kind");
  assert_ok(treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "a", 1, "", 0, err()));
  assert_fails(treering_writer_finish(&summary, NULL, writer, err()), TREERING_INVALID_ARGUMENT,
               "out_blob");
  assert_ok(treering_writer_finish(&summary, &blob, writer, err()));
  assert_int_equal(summary.file_size, treering_blob_size(blob));
  assert_int_equal(summary.leaf_count, 1);
  treering_blob_free(blob);
  assert_fails(treering_writer_finish(&summary, &blob, writer, err()),
               TREERING_WRONG_STATE_FINISHED, "create a new one");
  assert_null(blob);
  assert_fails(treering_writer_add_tree(writer, "b", 1, f->s.tree, err()),
               TREERING_WRONG_STATE_FINISHED, "create a new one");
  treering_writer_free(writer);
  treering_writer_free(NULL);
  assert_ok(treering_tree_abstract(&abstract, f->s.tree, err()));
  assert_ok(treering_writer_create_memory(&writer, NULL, err()));
  assert_fails(treering_writer_add_tree(writer, "b", 1, abstract, err()), TREERING_INVALID_ARGUMENT,
               "step", "abstract");
  treering_writer_free(writer);
  treering_tree_free(abstract);
}

static void item_names_are_unique_and_json_is_json(void** state) {
  treering_writer* writer = NULL;
  char nested[129];
  (void)state;
  assert_ok(treering_writer_create_memory(&writer, NULL, err()));
  assert_ok(treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "a", 1, "", 0, err()));
  assert_fails(treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "a", 1, "", 0, err()),
               TREERING_INVALID_ARGUMENT, "'a'");
  treering_writer_free(writer);
  assert_ok(treering_writer_create_memory(&writer, NULL, err()));
  assert_fails(treering_writer_add_bytes(writer, TREERING_ITEM_JSON, "a", 1, "{,", 2, err()),
               TREERING_INVALID_ARGUMENT, "JSON");
  treering_writer_free(writer);
  memset(nested, '[', sizeof nested);
  assert_ok(treering_writer_create_memory(&writer, NULL, err()));
  assert_fails(
      treering_writer_add_bytes(writer, TREERING_ITEM_JSON, "a", 1, nested, sizeof nested, err()),
      TREERING_INVALID_ARGUMENT, "limit of 128", "byte 128", "blob");
  treering_writer_free(writer);
}

typedef struct pipe_end {
  uint8_t* bytes;
  uint64_t size;
  uint64_t room;
  int flushes;
  int releases;
} pipe_end;

static int32_t take(void* user, const void* data, uint64_t size) {
  pipe_end* end = (pipe_end*)user;
  if (end->size + size > end->room) return ENOSPC;
  memcpy(end->bytes + end->size, data, (size_t)size);
  end->size += size;
  return 0;
}
static int32_t flush(void* user) {
  ++((pipe_end*)user)->flushes;
  return 0;
}
static int32_t give(void* user, uint64_t offset, void* dst, uint64_t size) {
  pipe_end* end = (pipe_end*)user;
  if (offset + size > end->room) return EIO;
  memcpy(dst, end->bytes + offset, (size_t)size);
  return 0;
}
static void released(void* user) { ++((pipe_end*)user)->releases; }

static void a_sink_and_a_source_carry_a_container(void** state) {
  const fixture* f = (const fixture*)*state;
  pipe_end end = {(uint8_t*)malloc(1 << 20), 0, 1 << 20, 0, 0};
  treering_sink sink = {sizeof sink, 0, take, flush, &end};
  treering_source source = {sizeof source, 0, give, released, &end, 0};
  treering_writer* writer = NULL;
  treering_checkpoint* checkpoint = NULL;
  treering_report* report = NULL;
  treering_tree* tree = NULL;
  assert_ok(treering_writer_create_sink(&writer, &sink, NULL, err()));
  assert_ok(treering_writer_add_tree(writer, "x", 1, f->s.tree, err()));
  assert_ok(treering_writer_finish(NULL, NULL, writer, err()));
  treering_writer_free(writer);
  assert_int_equal(end.flushes, 1);
  source.size = end.size;
  assert_ok(treering_checkpoint_open_source(&checkpoint, &source, NULL, err()));
  assert_ok(treering_checkpoint_verify(&report, checkpoint, NULL, err()));
  treering_report_free(report);
  assert_ok(treering_checkpoint_load(&tree, checkpoint, NULL, 0, NULL, err()));
  treering_tree_free(tree);
  end.room = 100000; /* from here on the source fails */
  assert_fails(treering_checkpoint_load(&tree, checkpoint, NULL, 0, NULL, err()), TREERING_IO,
               "source");
  assert_int_equal(last_error.os_error, EIO);
  assert_int_equal(end.releases, 0);
  treering_checkpoint_free(checkpoint);
  assert_int_equal(end.releases, 1);
  end.size = 0;
  assert_ok(treering_writer_create_sink(&writer, &sink, NULL, err()));
  assert_fails(treering_writer_add_tree(writer, "x", 1, f->s.tree, err()), TREERING_IO_NO_SPACE,
               "params/kernel", "28");
  assert_int_equal(last_error.os_error, ENOSPC);
  treering_writer_free(writer);
  sink.write = NULL;
  assert_fails(treering_writer_create_sink(&writer, &sink, NULL, err()), TREERING_INVALID_ARGUMENT,
               "write");
  assert_null(writer);
  free(end.bytes);
}

static void what_is_lent_is_released_exactly_once(void** state) {
  const fixture* f = (const fixture*)*state;
  pipe_end end = {0};
  treering_source source = {sizeof source, 0, NULL, released, &end, 0};
  treering_checkpoint* checkpoint = (treering_checkpoint*)&end;
  treering_node node = make_bytes(TREERING_BYTES, no_key(), "0123456789", 10);
  treering_lend lend = {sizeof lend, 0, released, &end};
  treering_tree* tree = NULL;
  treering_blob* data = NULL;
  uint64_t first = 0;
  assert_fails(treering_checkpoint_open_source(&checkpoint, &source, NULL, err()),
               TREERING_INVALID_ARGUMENT, "read_at");
  assert_null(checkpoint);
  assert_int_equal(end.releases, 1);
  assert_fails(treering_checkpoint_open_memory(&checkpoint, "text", 4, released, &end, NULL, err()),
               TREERING_NOT_TREERING, "memory");
  assert_int_equal(end.releases, 2);
  assert_fails(treering_checkpoint_open_memory(NULL, "text", 4, released, &end, NULL, err()),
               TREERING_INVALID_ARGUMENT, "out");
  assert_int_equal(end.releases, 3);
  assert_ok(treering_checkpoint_open_memory(&checkpoint, treering_blob_data(f->blob),
                                            treering_blob_size(f->blob), released, &end, NULL,
                                            err()));
  assert_ok(treering_checkpoint_view(&data, checkpoint, find_node(checkpoint, "params/kernel"),
                                     NULL, NULL, err()));
  treering_checkpoint_free(checkpoint);
  assert_int_equal(end.releases, 3);
  treering_blob_free(data);
  assert_int_equal(end.releases, 4);
  assert_fails(
      treering_tree_append(&first, NULL, TREERING_NO_NODE, &node, NODE_SIZE, 1, &lend, err()),
      TREERING_INVALID_ARGUMENT, "tree");
  assert_int_equal(end.releases, 5);
  assert_ok(treering_tree_create(&tree, err()));
  assert_ok(
      treering_tree_append(&first, tree, TREERING_NO_NODE, &node, NODE_SIZE, 1, &lend, err()));
  assert_ok(treering_tree_data(&data, tree, first, err()));
  assert_ptr_equal(treering_blob_data(data), node.data);
  assert_fails(
      treering_tree_append(&first, tree, TREERING_NO_NODE, &node, NODE_SIZE, 1, &lend, err()),
      TREERING_INVALID_ARGUMENT, "root");
  assert_int_equal(end.releases, 6);
  assert_ok(treering_tree_set(tree, 0, &node, NODE_SIZE, NULL, err()));
  treering_tree_free(tree);
  assert_int_equal(end.releases, 6);
  treering_blob_free(data);
  assert_int_equal(end.releases, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(info_and_items_are_those_that_were_written),
      TEST(nodes_tell_shape_attributes_and_path),
      TEST(boxes_are_read_with_strides_and_casts),
      TEST(views_outlive_the_checkpoint),
      TEST(items_are_loaded_whole_abstract_filtered_and_as_views),
      TEST(writers_refuse_what_they_cannot_write),
      TEST(item_names_are_unique_and_json_is_json),
      TEST(a_sink_and_a_source_carry_a_container),
      TEST(what_is_lent_is_released_exactly_once),
  };
  return cmocka_run_group_tests_name("capi checkpoint", tests, NULL, NULL);
}

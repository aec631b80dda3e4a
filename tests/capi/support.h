/* SPDX-License-Identifier: Apache-2.0
 * What the tests of the C ABI share: a scratch folder, files, a sample tree, checks of failures. */
#ifndef TREERING_TESTS_CAPI_SUPPORT_H_
#define TREERING_TESTS_CAPI_SUPPORT_H_

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* mkdtemp */
#endif
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "treering/treering.h"

#define NODE_SIZE sizeof(treering_node)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char scratch_folder[256];
static treering_error last_error;

/* A fresh error to pass on. */
static inline treering_error* err(void) {
  memset(&last_error, 0x55, sizeof last_error);
  last_error.struct_size = sizeof last_error;
  return &last_error;
}

static inline int make_scratch(void** state) {
  const char* base = getenv("TMPDIR");
  (void)state;
  snprintf(scratch_folder, sizeof scratch_folder, "%s/treering-capi-XXXXXX",
           base != NULL ? base : "/tmp");
  return mkdtemp(scratch_folder) == NULL;
}

static inline int scratch_entries(void) {
  int count = 0;
  DIR* dir = opendir(scratch_folder);
  struct dirent* entry;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) ++count;
  }
  if (dir != NULL) closedir(dir);
  return count;
}

static inline int empty_scratch(void** state) {
  char path[600];
  DIR* dir = opendir(scratch_folder);
  struct dirent* entry;
  (void)state;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(path, sizeof path, "%s/%s", scratch_folder, entry->d_name);
    if (remove(path) != 0) return 1;
  }
  if (dir != NULL) closedir(dir);
  return 0;
}

static inline int drop_scratch(void** state) {
  return empty_scratch(state) != 0 || rmdir(scratch_folder) != 0;
}

/* A path in the scratch folder; two may be in use at a time. */
static inline const char* in_scratch(const char* name) {
  static char paths[2][600];
  static int turn;
  turn = !turn;
  snprintf(paths[turn], sizeof paths[turn], "%s/%s", scratch_folder, name);
  return paths[turn];
}

static inline void write_file(const char* path, const void* data, size_t size) {
  FILE* file = fopen(path, "wb");
  assert_non_null(file);
  if (size != 0) assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

/* The bytes of a file; to be freed. */
static inline uint8_t* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  uint8_t* data = NULL;
  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  data = (uint8_t*)malloc(*size + 1);
  assert_non_null(data);
  assert_int_equal(fread(data, 1, *size, file), *size);
  fclose(file);
  return data;
}

/* The last call failed in this way, and its message has each of the parts. */
static inline void check_failure_at(treering_status found, treering_status expected,
                                    const char* const* parts, const char* file, int line) {
  char text[1200];
  size_t i;
  if (found != expected) {
    snprintf(text, sizeof text, "status %s, expected %s: %s", treering_status_name(found),
             treering_status_name(expected), last_error.message);
    print_error("%s\n", text);
    _fail(file, line);
  }
  _assert_int_equal((uint64_t)last_error.status, (uint64_t)expected, file, line);
  _assert_true(strlen(last_error.message) > 10, "a message", file, line);
  _assert_true(strchr(last_error.message, '\n') == NULL, "one line", file, line);
  _assert_true(last_error.message[strlen(last_error.message) - 1] != '.', "no full stop", file,
               line);
  for (i = 0; parts[i] != NULL; ++i) {
    if (strstr(last_error.message, parts[i]) == NULL) {
      print_error("'%s' is not in: %s\n", parts[i], last_error.message);
      _fail(file, line);
    }
  }
}
#define assert_fails(call, expected, ...)                             \
  do {                                                                \
    const char* const parts_[] = {__VA_ARGS__, NULL};                 \
    check_failure_at((call), (expected), parts_, __FILE__, __LINE__); \
  } while (0)

static inline void check_ok_at(treering_status found, const char* file, int line) {
  if (found != TREERING_OK) print_error("%s\n", last_error.message);
  _assert_int_equal((uint64_t)found, TREERING_OK, file, line);
}
#define assert_ok(call) check_ok_at((call), __FILE__, __LINE__)

/* ------------------------------------------------------------ nodes */

static inline treering_key text_key(const char* text) {
  treering_key key;
  memset(&key, 0, sizeof key);
  key.kind = TREERING_KEY_STRING;
  key.text = text;
  key.text_size = strlen(text);
  return key;
}

static inline treering_key number_key(int32_t kind, int64_t number) {
  treering_key key;
  memset(&key, 0, sizeof key);
  key.kind = kind;
  key.integer = number;
  return key;
}

static inline treering_node make_node(int32_t kind, treering_key key, uint64_t children) {
  treering_node node;
  memset(&node, 0, sizeof node);
  node.kind = kind;
  node.key = key;
  node.child_count = children;
  return node;
}

static inline treering_key no_key(void) { return number_key(TREERING_KEY_NONE, 0); }

static inline treering_node make_array(treering_key key, uint32_t dtype, uint32_t rank,
                                       const uint64_t* shape, const void* data) {
  treering_node node = make_node(TREERING_ARRAY, key, 0);
  node.dtype = dtype;
  node.rank = rank;
  node.shape = shape;
  node.data = data;
  return node;
}

static inline treering_node make_bytes(int32_t kind, treering_key key, const void* data,
                                       uint64_t size) {
  treering_node node = make_node(kind, key, 0);
  node.data = data;
  node.data_size = size;
  return node;
}

/* ------------------------------------------------------------ the sample */

#define SAMPLE_ROWS 300
#define SAMPLE_COLUMNS 100

typedef struct sample {
  treering_tree* tree;
  float* kernel;     /* 300 x 100: in pieces of its own */
  float bias[100];   /* packed */
  uint8_t small[40]; /* packed, of 8-byte alignment */
  uint64_t root, kernel_id, bias_id;
} sample;

/* {"params": {"kernel": f32[300,100], "bias": f32[100]}, "list": [1, "text", None],
 *  "step": 7, "small": uint8[40], "again": alias of bias} */
static inline void make_sample(sample* out) {
  static const uint64_t shape[] = {SAMPLE_ROWS, SAMPLE_COLUMNS};
  static const uint64_t columns[] = {SAMPLE_COLUMNS};
  static const uint64_t forty[] = {40};
  static const uint8_t one = 1, seven = 7;
  treering_node nodes[11];
  size_t i;
  memset(out, 0, sizeof *out);
  out->kernel = (float*)malloc(SAMPLE_ROWS * SAMPLE_COLUMNS * sizeof(float));
  assert_non_null(out->kernel);
  for (i = 0; i < SAMPLE_ROWS * SAMPLE_COLUMNS; ++i) out->kernel[i] = (float)i;
  for (i = 0; i < 100; ++i) out->bias[i] = -(float)i;
  for (i = 0; i < 40; ++i) out->small[i] = (uint8_t)(i + 1);
  nodes[0] = make_node(TREERING_DICT, no_key(), 5);
  nodes[1] = make_node(TREERING_DICT, text_key("params"), 2);
  nodes[2] = make_array(text_key("kernel"), TREERING_FLOAT32, 2, shape, out->kernel);
  nodes[3] = make_array(text_key("bias"), TREERING_FLOAT32, 1, columns, out->bias);
  nodes[4] = make_node(TREERING_LIST, text_key("list"), 3);
  nodes[5] = make_bytes(TREERING_INTEGER, number_key(TREERING_KEY_INDEX, 0), &one, 1);
  nodes[6] = make_bytes(TREERING_STRING, number_key(TREERING_KEY_INDEX, 1), "text", 4);
  nodes[7] = make_node(TREERING_NONE, number_key(TREERING_KEY_INDEX, 2), 0);
  nodes[8] = make_bytes(TREERING_INTEGER, text_key("step"), &seven, 1);
  nodes[9] = make_array(text_key("small"), TREERING_UINT8, 1, forty, out->small);
  nodes[10] = make_node(TREERING_ALIAS, text_key("again"), 0);
  nodes[10].alias_of = 3;
  assert_ok(treering_tree_create(&out->tree, err()));
  assert_ok(treering_tree_append(&out->root, out->tree, TREERING_NO_NODE, nodes, NODE_SIZE, 11,
                                 NULL, err()));
  out->kernel_id = out->root + 2;
  out->bias_id = out->root + 3;
}

static inline void free_sample(sample* s) {
  treering_tree_free(s->tree);
  free(s->kernel);
}

/* Saves a tree as the only item of a container in memory. */
static inline treering_blob* save_to_memory(const treering_tree* tree,
                                            const treering_save_options* options) {
  treering_writer* writer = NULL;
  treering_blob* blob = NULL;
  assert_ok(treering_writer_create_memory(&writer, options, err()));
  assert_ok(treering_writer_add_tree(writer, "default", TREERING_NUL, tree, err()));
  assert_ok(treering_writer_finish(NULL, &blob, writer, err()));
  treering_writer_free(writer);
  return blob;
}

static inline treering_checkpoint* open_blob(const treering_blob* blob) {
  treering_checkpoint* checkpoint = NULL;
  assert_ok(treering_checkpoint_open_memory(&checkpoint, treering_blob_data(blob),
                                            treering_blob_size(blob), NULL, NULL, NULL, err()));
  return checkpoint;
}

static inline uint64_t find_node(const treering_checkpoint* checkpoint, const char* path) {
  uint64_t id = 0;
  assert_ok(treering_checkpoint_find(&id, checkpoint, NULL, 0, path, TREERING_NUL, err()));
  return id;
}

/* The first finding of a kind whose path is this; fails if there is none. */
static inline treering_finding find_finding(const treering_report* report, int32_t kind,
                                            const char* path) {
  treering_finding finding;
  uint64_t i, count = 0;
  memset(&finding, 0, sizeof finding);
  for (i = 0; i < treering_report_count(report); ++i) {
    assert_ok(treering_report_findings(report, i, &finding, sizeof finding, 1, &count, err()));
    assert_int_equal(count, 1);
    if (finding.kind == kind && finding.path_size == strlen(path) &&
        memcmp(finding.path, path, finding.path_size) == 0) {
      return finding;
    }
  }
  print_error("no finding of kind %d at '%s' in:\n%s", (int)kind, path,
              treering_report_text(report));
  fail();
  return finding;
}

static inline uint64_t count_findings(const treering_report* report, int32_t kind) {
  treering_finding finding;
  uint64_t i, count = 0, found = 0;
  for (i = 0; i < treering_report_count(report); ++i) {
    assert_ok(treering_report_findings(report, i, &finding, sizeof finding, 1, &count, err()));
    found += finding.kind == kind;
  }
  return found;
}

#endif

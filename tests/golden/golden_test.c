/* SPDX-License-Identifier: Apache-2.0
 * Every golden file reads as its committed dump, in each way, and is written again byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <treering/treering.h>
#include <zstd.h>
#include <cmocka.h>

#include "cases.h"
#include "dump.h"

/* The libzstd that compressed the committed files: another one may choose other bytes. */
#define GOLDEN_ZSTD 10504

static const char* folder;
static char* names[200]; /* without ".ring" */
static size_t name_count;
static size_t bad_count;

static char* path_of(const char* name, const char* suffix) {
  struct text path = {NULL, 0, 0};
  text_add(&path, "%s/%s%s", folder, name, suffix);
  return path.data;
}

static char* whole(const char* name, const char* suffix, size_t* size) {
  char* path = path_of(name, suffix);
  char* data = read_whole(path, size);
  free(path);
  return data;
}

static treering_checkpoint* open_golden(const char* name, uint32_t map) {
  treering_error error;
  memset(&error, 0, sizeof(error));
  error.struct_size = sizeof(error);
  treering_open_options options;
  memset(&options, 0, sizeof(options));
  options.struct_size = sizeof(options);
  options.map = map;
  char* path = path_of(name, ".ring");
  treering_checkpoint* checkpoint = NULL;
  if (treering_checkpoint_open(&checkpoint, path, TREERING_NUL, &options, &error) != TREERING_OK) {
    print_message("# %s\n", error.message);
  }
  free(path);
  return checkpoint;
}

enum way { BY_READ, BY_READ_MAPPED, BY_LOAD, BY_LOAD_MAPPED, BY_VIEWS };

/* The first line that is not as committed. */
static void show_difference(const char* name, const char* expected, const char* found) {
  size_t line = 0;
  size_t i = 0;
  for (; expected[i] != 0 && expected[i] == found[i]; ++i) {
    if (expected[i] == '\n') line = i + 1;
  }
  print_message("# %s: found %.200s\n", name, found + line);
  print_message("# %s: expected %.200s\n", name, expected + line);
}

/* 1 if the dump made that way is the committed one. */
static int dumps_right(const char* name, enum way way) {
  treering_error error;
  memset(&error, 0, sizeof(error));
  error.struct_size = sizeof(error);
  const uint32_t map = way == BY_READ_MAPPED || way == BY_LOAD_MAPPED || way == BY_VIEWS;
  treering_checkpoint* checkpoint = open_golden(name, map);
  if (checkpoint == NULL) return 0;
  struct text found = {NULL, 0, 0};
  const treering_status status = way == BY_READ || way == BY_READ_MAPPED
                                     ? dump_by_read(&found, checkpoint, &error)
                                     : dump_by_load(&found, checkpoint, way == BY_VIEWS, &error);
  size_t size = 0;
  char* expected = whole(name, ".dump", &size);
  const int right = status == TREERING_OK && expected != NULL && size == found.size &&
                    memcmp(expected, found.data, size) == 0;
  if (!right) {
    if (status != TREERING_OK || expected == NULL || found.data == NULL) {
      print_message("# %s: %s\n", name, error.message);
    } else {
      show_difference(name, expected, found.data);
    }
  }
  free(expected);
  text_free(&found);
  treering_checkpoint_free(checkpoint);
  return right;
}

static void count_right(enum way way) {
  size_t right = 0;
  for (size_t i = 0; i < name_count; ++i) right += (size_t)dumps_right(names[i], way);
  assert_int_equal(right, name_count);
}

static void reads_give_the_committed_dump(void** state) {
  (void)state;
  count_right(BY_READ);
}

static void reads_of_a_mapped_file_give_the_committed_dump(void** state) {
  (void)state;
  count_right(BY_READ_MAPPED);
}

static void loading_gives_the_committed_dump(void** state) {
  (void)state;
  count_right(BY_LOAD);
}

static void loading_a_mapped_file_gives_the_committed_dump(void** state) {
  (void)state;
  count_right(BY_LOAD_MAPPED);
}

static void loading_views_gives_the_committed_dump(void** state) {
  (void)state;
  count_right(BY_VIEWS);
}

static void views_show_what_reads_give_where_they_exist(void** state) {
  (void)state;
  uint64_t all_views = 0;
  uint64_t all_without = 0;
  for (size_t i = 0; i < name_count; ++i) {
    treering_error error;
    memset(&error, 0, sizeof(error));
    error.struct_size = sizeof(error);
    treering_checkpoint* checkpoint = open_golden(names[i], 1);
    uint64_t views = 0;
    uint64_t without = 0;
    const treering_status status =
        checkpoint == NULL ? TREERING_IO : compare_views(&views, &without, checkpoint, &error);
    if (status != TREERING_OK) print_message("# %s: %s\n", names[i], error.message);
    treering_checkpoint_free(checkpoint);
    assert_int_equal(status, TREERING_OK);
    all_views += views;
    all_without += without;
  }
  print_message("# %llu leaves with a view, %llu without\n", (unsigned long long)all_views,
                (unsigned long long)all_without);
  assert_true(all_views > 100 && all_without > 5);
}

static treering_status verify(const char* name) {
  treering_error error;
  memset(&error, 0, sizeof(error));
  error.struct_size = sizeof(error);
  treering_checkpoint* checkpoint = open_golden(name, 0);
  if (checkpoint == NULL) return TREERING_IO;
  treering_report* report = NULL;
  treering_status status = treering_checkpoint_verify(&report, checkpoint, NULL, &error);
  if (status == TREERING_OK && treering_report_count(report) != 0) status = TREERING_INTERNAL;
  if (status != TREERING_OK) print_message("# %s: %s\n", name, treering_report_text(report));
  treering_report_free(report);
  treering_checkpoint_free(checkpoint);
  return status;
}

static void verify_finds_nothing(void** state) {
  (void)state;
  for (size_t i = 0; i < name_count; ++i) assert_int_equal(verify(names[i]), TREERING_OK);
}

/* 1 if what is written now for a case is the committed file. */
static int written_the_same(const struct golden_case* golden) {
  size_t size = 0;
  char* committed = whole(golden->name, ".ring", &size);
  treering_blob* blob = golden->make();
  const int same = committed != NULL && blob != NULL && treering_blob_size(blob) == size &&
                   memcmp(treering_blob_data(blob), committed, size) == 0;
  if (!same) print_message("# %s.ring is written in another way\n", golden->name);
  free(committed);
  treering_blob_free(blob);
  return same;
}

static void what_is_written_has_not_changed(void** state) {
  (void)state;
  size_t wrong = 0;
  for (size_t i = 0; i < golden_case_count; ++i) {
    if (golden_cases[i].compressed && ZSTD_versionNumber() != GOLDEN_ZSTD) {
      print_message("# %s left out: made by libzstd %d, here is %u\n", golden_cases[i].name,
                    GOLDEN_ZSTD, ZSTD_versionNumber());
      continue;
    }
    wrong += !written_the_same(&golden_cases[i]);
  }
  assert_int_equal(wrong, 0);
}

/* 1 if a bad file is refused with that status where the list says. */
static int refused(const char* name, const char* where, const char* expected) {
  treering_error error;
  memset(&error, 0, sizeof(error));
  error.struct_size = sizeof(error);
  char* path = path_of(name, ".ring");
  treering_checkpoint* checkpoint = NULL;
  treering_status status = treering_checkpoint_open(&checkpoint, path, TREERING_NUL, NULL, &error);
  const int opens = status == TREERING_OK;
  if (opens) {
    treering_report* report = NULL;
    status = treering_checkpoint_verify(&report, checkpoint, NULL, &error);
    treering_report_free(report);
  }
  treering_checkpoint_free(checkpoint);
  free(path);
  const int right = opens == (strcmp(where, "verify") == 0) &&
                    strcmp(treering_status_name(status), expected) == 0;
  if (!right) print_message("# %s: %s %s\n", name, treering_status_name(status), error.message);
  return right;
}

static void bad_files_are_refused_as_listed(void** state) {
  (void)state;
  size_t size = 0;
  char* list = whole("bad", ".txt", &size);
  size_t listed = 0;
  size_t wrong = 0;
  for (char* line = list; line != NULL && *line != 0; ++listed) {
    char name[101] = "";
    char where[21] = "";
    char status[41] = "";
    char* end = strchr(line, '\n');
    wrong +=
        sscanf(line, "%100s %20s %40s", name, where, status) != 3 || !refused(name, where, status);
    line = end == NULL ? NULL : end + 1;
  }
  free(list);
  assert_int_equal(wrong, 0);
  assert_int_equal(listed, bad_count);
  assert_true(listed > 20);
}

static void add_name(const char* name, size_t size) {
  char* copy = calloc(1, size + 1);
  if (copy == NULL || name_count == 200) abort();
  memcpy(copy, name, size);
  names[name_count++] = copy;
}

/* All of the folder, and those that belong together in folders of their own. */
static int find_names(void) {
  DIR* dir = opendir(folder);
  if (dir == NULL) return 0;
  for (const struct dirent* entry; (entry = readdir(dir)) != NULL;) {
    const size_t size = strlen(entry->d_name);
    if (size < 6 || strcmp(entry->d_name + size - 5, ".ring") != 0) continue;
    if (strncmp(entry->d_name, "bad-", 4) == 0) {
      ++bad_count;
    } else {
      add_name(entry->d_name, size - 5);
    }
  }
  closedir(dir);
  add_name("merged/index", 12);
  add_name("merged/part-00001", 17);
  add_name("earlier/part-00002", 18);
  return name_count >= golden_case_count;
}

int main(int argc, char** argv) {
  folder = argc > 1 ? argv[1] : ".";
  if (!find_names()) {
    fprintf(stderr, "usage: golden_test FOLDER, that of the golden files\n");
    return 2;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_give_the_committed_dump),
      cmocka_unit_test(reads_of_a_mapped_file_give_the_committed_dump),
      cmocka_unit_test(loading_gives_the_committed_dump),
      cmocka_unit_test(loading_a_mapped_file_gives_the_committed_dump),
      cmocka_unit_test(loading_views_gives_the_committed_dump),
      cmocka_unit_test(views_show_what_reads_give_where_they_exist),
      cmocka_unit_test(verify_finds_nothing),
      cmocka_unit_test(what_is_written_has_not_changed),
      cmocka_unit_test(bad_files_are_refused_as_listed),
  };
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  while (name_count != 0) free(names[--name_count]);
  return failed;
}

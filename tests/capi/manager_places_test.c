/* SPDX-License-Identifier: Apache-2.0
 * Where a directory of versions may be: behind a link, at "." and "..", below one that is closed.
 */
#include "run_support.h"

#include <fcntl.h>

/* All paths here are relative to a folder of the test's own. */
static int begin(void** state) {
  return fresh_run(state) != 0 || mkdir(RUN, 0777) != 0 || chdir(RUN) != 0;
}

static int drop_all(void** state) { return chdir("/") != 0 || drop_runs(state); }

static treering_status try_open(treering_manager** out, const char* path, int32_t mode) {
  const treering_manager_options options = manager_options(mode);
  *out = NULL;
  return treering_manager_open(out, path, TREERING_NUL, &options, err());
}

/* Saves as the next step of the store at the path, and reads from there what steps there are. */
static void save_at(const char* path, int32_t mode, int64_t step, const char* steps) {
  treering_manager* manager;
  assert_ok(try_open(&manager, path, mode));
  assert_int_equal(save_step(manager, step, NULL), 1);
  treering_manager_free(manager);
  assert_ok(try_open(&manager, path, TREERING_READ_ONLY));
  assert_string_equal(steps_of(manager), steps);
  treering_manager_free(manager);
}

static void a_directory_behind_a_link_is_written_and_read(void** state) {
  (void)state;
  assert_int_equal(mkdir("disk", 0777), 0);
  assert_int_equal(mkdir("disk/run", 0777), 0);
  assert_int_equal(symlink("disk/run", "link"), 0);
  save_at("link", TREERING_CREATE_NEW, 1, "1");
  save_at("disk/run", TREERING_OPEN_EXISTING, 2, "1 2");
  save_at("link/", TREERING_OPEN_OR_CREATE, 3, "1 2 3");
  assert_int_equal(access("disk/run/STORE", F_OK), 0);
}

static void a_link_to_nothing_is_not_found_and_makes_nothing(void** state) {
  treering_manager* manager;
  int32_t mode;
  (void)state;
  assert_int_equal(symlink("nowhere", "link"), 0);
  for (mode = TREERING_OPEN_OR_CREATE; mode <= TREERING_READ_ONLY; ++mode) {
    assert_fails(try_open(&manager, "link", mode), TREERING_NOT_FOUND_FILE, "link");
  }
  assert_int_not_equal(access("nowhere", F_OK), 0);
}

static void links_inside_of_a_directory_are_not_followed(void** state) {
  static const char* const folders[] = {"run/manifests", "run/data"};
  treering_manager* manager;
  size_t i;
  (void)state;
  save_at("run", TREERING_CREATE_NEW, 1, "1");
  for (i = 0; i < COUNT(folders); ++i) {
    assert_int_equal(rename(folders[i], "elsewhere"), 0);
    assert_int_equal(symlink("../elsewhere", folders[i]), 0);
    assert_int_not_equal(try_open(&manager, "run", TREERING_OPEN_EXISTING), TREERING_OK);
    assert_int_not_equal(try_open(&manager, "run", TREERING_READ_ONLY), TREERING_OK);
    assert_int_equal(unlink(folders[i]), 0);
    assert_int_equal(rename("elsewhere", folders[i]), 0);
  }
  save_at("run", TREERING_OPEN_EXISTING, 2, "1 2");
}

static void a_path_may_end_in_dots(void** state) {
  treering_manager* manager;
  (void)state;
  assert_int_equal(mkdir("run", 0777), 0);
  assert_int_equal(chdir("run"), 0);
  save_at(".", TREERING_CREATE_NEW, 1, "1");
  assert_int_equal(mkdir("inner", 0777), 0);
  assert_int_equal(chdir("inner"), 0);
  save_at("..", TREERING_OPEN_EXISTING, 2, "1 2");
  assert_int_equal(chdir("../.."), 0);
  save_at("run/.", TREERING_OPEN_OR_CREATE, 3, "1 2 3");
  save_at("run/inner/../", TREERING_OPEN_OR_CREATE, 4, "1 2 3 4");
  assert_fails(try_open(&manager, "absent/..", TREERING_OPEN_OR_CREATE), TREERING_NOT_FOUND_FILE,
               "absent/..");
  assert_fails(try_open(&manager, "/", TREERING_READ_ONLY), TREERING_INVALID_ARGUMENT, "'/'");
  assert_fails(try_open(&manager, "", TREERING_READ_ONLY), TREERING_INVALID_ARGUMENT, "''");
}

#ifdef O_PATH
static void below_a_directory_that_cannot_be_read_one_is_opened_and_none_is_made(void** state) {
  const uid_t me = geteuid();
  treering_manager* manager;
  (void)state;
  assert_int_equal(chmod(".", 0777), 0);
  if (me == 0) assert_int_equal(seteuid(65534), 0); /* root may read everything; nobody may not */
  assert_int_equal(mkdir("closed", 0777), 0);
  save_at("closed/run", TREERING_CREATE_NEW, 1, "1");
  assert_int_equal(chmod("closed", 0311), 0);
  save_at("closed/run", TREERING_OPEN_OR_CREATE, 2, "1 2");
  assert_fails(try_open(&manager, "closed/new", TREERING_OPEN_OR_CREATE), TREERING_IO_PERMISSION,
               "closed/new/..");
  assert_int_not_equal(access("closed/new/STORE", F_OK), 0);
  assert_int_equal(chmod("closed", 0711), 0);
  save_at("closed/new", TREERING_OPEN_OR_CREATE, 1, "1");
  if (me == 0) assert_int_equal(seteuid(me), 0);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, begin)
      TEST(a_directory_behind_a_link_is_written_and_read),
      TEST(a_link_to_nothing_is_not_found_and_makes_nothing),
      TEST(links_inside_of_a_directory_are_not_followed),
      TEST(a_path_may_end_in_dots),
#ifdef O_PATH
      TEST(below_a_directory_that_cannot_be_read_one_is_opened_and_none_is_made),
#endif
#undef TEST
  };
  return cmocka_run_group_tests(tests, make_scratch, drop_all);
}

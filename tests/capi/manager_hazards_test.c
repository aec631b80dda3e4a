/* SPDX-License-Identifier: Apache-2.0
 * What goes wrong around a manager: hands in its directory, lost records, calls from callbacks. */
#include "run_support.h"

#include <glob.h>
#include <stdatomic.h>

static void remove_matching(const char* pattern) {
  glob_t found;
  size_t i;
  assert_int_equal(glob(in_run(pattern, strlen(pattern)), 0, NULL, &found), 0);
  for (i = 0; i < found.gl_pathc; ++i) {
    assert_int_equal(nftw(found.gl_pathv[i], remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
  }
  globfree(&found);
}

static int matching(const char* pattern) {
  glob_t found;
  const int none = glob(in_run(pattern, strlen(pattern)), 0, NULL, &found);
  const int count = none ? 0 : (int)found.gl_pathc;
  if (!none) globfree(&found);
  return count;
}

/* A directory with the steps 1 … count, closed. */
static void make_run(int64_t count) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  int64_t step;
  for (step = 1; step <= count; ++step) assert_int_equal(save_step(manager, step, NULL), 1);
  assert_ok(treering_manager_close(manager, -1, err()));
  treering_manager_free(manager);
}

static treering_manager* open_keeping(void) {
  treering_manager_options options = manager_options(TREERING_OPEN_EXISTING);
  options.keep_leftovers = 1;
  return open_with(&options);
}

/* ---- a save in flight */

typedef struct gate {
  atomic_int entered, open;
} gate;

static int32_t wait_at_gate(void* user, uint64_t done, uint64_t total) {
  gate* g = user;
  (void)done, (void)total;
  atomic_store(&g->entered, 1);
  while (!atomic_load(&g->open)) usleep(200);
  return 0;
}

static void a_step_in_flight_is_overwritten_when_asked(void** state) {
  treering_manager_options queue = manager_options(TREERING_OPEN_OR_CREATE);
  treering_step_options held = step_options(), again = step_options();
  treering_save_options save;
  treering_manager* manager;
  treering_pending *first, *second;
  gate g;
  (void)state;
  queue.save_queue = 2;
  manager = open_with(&queue);
  atomic_init(&g.entered, 0), atomic_init(&g.open, 0);
  memset(&save, 0, sizeof save);
  save.struct_size = sizeof save;
  save.progress = wait_at_gate;
  save.user = &g;
  held.save = &save;
  again.overwrite = 1;
  first = save_async(manager, 5, &held);
  while (!atomic_load(&g.entered)) usleep(200);
  second = save_async(manager, 5, &again);
  assert_non_null(second); /* not skipped */
  atomic_store(&g.open, 1);
  assert_ok(treering_manager_wait(manager, -1, err()));
  assert_int_equal(version_of(manager, 5).number, 2);
  treering_pending_free(first);
  treering_pending_free(second);
  treering_manager_free(manager);
}

typedef struct heard {
  treering_manager* manager;
  atomic_int wait, save, done;
} heard;

static void call_back(void* user, treering_status status) {
  heard* h = user;
  treering_error error;
  memset(&error, 0, sizeof error);
  error.struct_size = sizeof error;
  (void)status;
  atomic_store(&h->wait, treering_manager_wait(h->manager, -1, &error));
  atomic_store(&h->save, treering_manager_close(h->manager, -1, &error));
  atomic_store(&h->done, 1);
}

static void a_callback_that_would_wait_for_itself_is_refused(void** state) {
  treering_step_options options = step_options();
  treering_pending* pending;
  heard h;
  (void)state;
  atomic_init(&h.wait, -1), atomic_init(&h.save, -1), atomic_init(&h.done, 0);
  h.manager = open_run(TREERING_OPEN_OR_CREATE);
  options.finished = call_back;
  options.user = &h;
  pending = save_async(h.manager, 1, &options);
  assert_ok(treering_manager_wait(h.manager, -1, err()));
  assert_int_equal(atomic_load(&h.done), 1);
  assert_int_equal(atomic_load(&h.wait), TREERING_WRONG_STATE);
  assert_int_equal(atomic_load(&h.save), TREERING_WRONG_STATE);
  treering_pending_free(pending);
  assert_ok(treering_manager_close(h.manager, -1, err()));
  treering_manager_free(h.manager);
}

/* ---- retention */

static int32_t fail_to_decide(void* user, const treering_candidate* candidates, uint64_t count,
                              uint8_t* keep) {
  (void)user, (void)candidates, (void)count, (void)keep;
  return 1;
}

static void a_save_in_the_background_tells_what_retention_did(void** state) {
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  treering_keep_policy keep;
  treering_manager* manager;
  treering_pending* pending;
  treering_saved saved;
  (void)state;
  memset(&keep, 0, sizeof keep);
  keep.kind = TREERING_KEEP_CALLBACK;
  keep.preserve = fail_to_decide;
  options.keep_policies = &keep;
  options.keep_policy_size = sizeof keep;
  options.keep_policy_count = 1;
  manager = open_with(&options);
  pending = save_async(manager, 1, NULL);
  memset(&saved, 0, sizeof saved);
  saved.struct_size = sizeof saved;
  assert_ok(treering_pending_wait(&saved, pending, -1, err()));
  assert_int_not_equal(saved.retention_status, TREERING_OK);
  treering_pending_free(pending);
  treering_manager_free(manager);
}

static void a_low_step_outlives_its_own_save(void** state) {
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  treering_step_options force = step_options();
  treering_keep_policy keep;
  treering_manager* manager;
  (void)state;
  memset(&keep, 0, sizeof keep);
  keep.kind = TREERING_KEEP_LATEST;
  keep.count = 2;
  options.keep_policies = &keep;
  options.keep_policy_size = sizeof keep;
  options.keep_policy_count = 1;
  manager = open_with(&options);
  force.force = 1;
  assert_int_equal(save_step(manager, 100, NULL), 1);
  assert_int_equal(save_step(manager, 200, NULL), 1);
  assert_int_equal(save_step(manager, 50, &force), 1);
  assert_string_equal(steps_of(manager), "50 100 200");
  assert_int_equal(save_step(manager, 300, NULL), 1);
  assert_string_equal(steps_of(manager), "200 300");
  treering_manager_free(manager);
}

/* ---- hands in the directory */

static int32_t take_the_data_away(void* user, uint64_t done, uint64_t total) {
  (void)user;
  if (done == total && matching("data/00000002-*") == 1) remove_matching("data/00000002-*");
  return 0;
}

static void nothing_is_committed_whose_data_were_taken_away(void** state) {
  treering_step_options options = step_options();
  treering_save_options save;
  treering_manager* manager;
  (void)state;
  make_run(1);
  manager = open_run(TREERING_OPEN_EXISTING);
  memset(&save, 0, sizeof save);
  save.struct_size = sizeof save;
  save.progress = take_the_data_away;
  save.not_durable = 1; /* whose flushes would see it before */
  options.save = &save;
  assert_int_equal(try_save(manager, 2, &options, NULL), TREERING_BUSY_CONFLICT);
  assert_string_equal(steps_of(manager), "1");
  assert_int_equal(save_step(manager, 2, NULL), 1);
  assert_int_equal(opened_step(manager, TREERING_LATEST, NULL), 2);
  treering_manager_free(manager);
}

static void the_only_checkpoint_stays_when_its_record_is_lost(void** state) {
  treering_manager* manager;
  treering_report* report = NULL;
  uint64_t count = 0;
  (void)state;
  make_run(1);
  remove_matching("manifests/*");
  manager = open_run(TREERING_OPEN_EXISTING); /* and sweeps */
  treering_manager_free(manager);
  assert_int_equal(matching("data/00000001-*"), 1);
  manager = open_keeping();
  assert_ok(treering_manager_rebuild(&count, &report, manager, err()));
  assert_int_equal(count, 1);
  assert_int_equal(opened_step(manager, TREERING_LATEST, NULL), 1);
  treering_report_free(report);
  treering_manager_free(manager);
}

static void nothing_is_saved_over_lost_records_however_it_was_opened(void** state) {
  treering_manager* manager;
  (void)state;
  make_run(3);
  remove_matching("manifests/*");
  manager = open_keeping();
  assert_int_equal(try_save(manager, 9, NULL, NULL), TREERING_CORRUPT);
  treering_manager_free(manager);
  manager = open_run(TREERING_OPEN_EXISTING);
  assert_int_equal(try_save(manager, 9, NULL, NULL), TREERING_CORRUPT);
  treering_manager_free(manager);
  assert_int_equal(matching("data/*"), 3);
}

static void rebuilding_keeps_what_is_left_of_a_damaged_checkpoint(void** state) {
  treering_manager* manager;
  treering_report* report = NULL;
  uint64_t count = 9;
  glob_t found;
  (void)state;
  make_run(3);
  flip_byte(in_run("manifests/00000000000000000002", 30), 70);
  assert_int_equal(glob(in_run("data/00000002-*/default.ring", 28), 0, NULL, &found), 0);
  flip_byte(found.gl_pathv[0], 70); /* a leaf */
  globfree(&found);
  manager = open_keeping();
  assert_ok(treering_manager_rebuild(&count, &report, manager, err()));
  assert_int_equal(count, 0);
  treering_report_free(report);
  treering_manager_free(manager);
  treering_manager_free(open_run(TREERING_OPEN_EXISTING)); /* and sweeps */
  assert_int_equal(matching("data/00000002-*"), 1);
  assert_int_equal(matching("manifests/00000000000000000002"), 1);
}

static void a_lost_folder_of_records_is_told_and_rebuilt(void** state) {
  treering_manager_options options = manager_options(TREERING_OPEN_EXISTING);
  treering_manager* manager = NULL;
  treering_report* report = NULL;
  uint64_t count = 0;
  (void)state;
  make_run(2);
  remove_matching("manifests");
  assert_int_equal(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()),
                   TREERING_CORRUPT);
  assert_non_null(strstr(last_error.message, "rebuild"));
  manager = open_keeping();
  assert_ok(treering_manager_rebuild(&count, &report, manager, err()));
  assert_int_equal(count, 2);
  assert_string_equal(steps_of(manager), "1 2");
  treering_report_free(report);
  treering_manager_free(manager);
}

static void no_new_store_is_made_over_checkpoints_of_an_old_one(void** state) {
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  treering_manager* manager = NULL;
  (void)state;
  make_run(1);
  remove_matching("manifests");
  remove_matching("STORE");
  assert_int_equal(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()),
                   TREERING_CORRUPT);
  assert_int_equal(matching("STORE"), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh_run)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_step_in_flight_is_overwritten_when_asked),
      TEST(a_callback_that_would_wait_for_itself_is_refused),
      TEST(a_save_in_the_background_tells_what_retention_did),
      TEST(a_low_step_outlives_its_own_save),
      TEST(nothing_is_committed_whose_data_were_taken_away),
      TEST(the_only_checkpoint_stays_when_its_record_is_lost),
      TEST(nothing_is_saved_over_lost_records_however_it_was_opened),
      TEST(rebuilding_keeps_what_is_left_of_a_damaged_checkpoint),
      TEST(a_lost_folder_of_records_is_told_and_rebuilt),
      TEST(no_new_store_is_made_over_checkpoints_of_an_old_one),
  };
  return cmocka_run_group_tests_name("hazards around managers", tests, make_scratch, drop_runs);
}

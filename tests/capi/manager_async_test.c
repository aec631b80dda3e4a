/* SPDX-License-Identifier: Apache-2.0
 * Asynchronous saves through the C ABI: states, waiting, cancelling, failures told once, closing.
 */
#include "run_support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

/* A gate in a save's progress: the library's thread stops there until it is opened. */
typedef struct gate {
  sem_t reached, open;
  int used; /* stops once */
} gate;

static void make_gate(gate* g) {
  g->used = 0;
  assert_int_equal(sem_init(&g->reached, 0, 0), 0);
  assert_int_equal(sem_init(&g->open, 0, 0), 0);
}

static void wait_for(sem_t* semaphore) {
  while (sem_wait(semaphore) != 0) continue;
}

static int32_t stop_at_gate(void* user, uint64_t done, uint64_t total) {
  gate* g = (gate*)user;
  (void)done, (void)total;
  if (g->used++ == 0) {
    sem_post(&g->reached);
    wait_for(&g->open);
  }
  return 0;
}

static treering_save_options gated(gate* g) {
  treering_save_options save;
  memset(&save, 0, sizeof save);
  save.struct_size = sizeof save;
  save.progress = stop_at_gate;
  save.user = g;
  return save;
}

static treering_save_state state_of(const treering_pending* pending) {
  treering_save_state state;
  memset(&state, 0, sizeof state);
  state.struct_size = sizeof state;
  assert_ok(treering_pending_state(&state, pending, err()));
  return state;
}

static treering_manager* open_queue(uint32_t limit) {
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  options.save_queue = limit;
  return open_with(&options);
}

static void a_save_in_the_background_is_there_when_it_says_so(void** state) {
  treering_manager* manager = open_queue(1);
  treering_step_options options = step_options();
  treering_metric metric = {"loss", 4, 0.5};
  treering_pending* pending;
  treering_saved saved;
  treering_save_state seen;
  (void)state;
  options.metrics = &metric;
  options.metric_size = sizeof metric;
  options.metric_count = 1;
  pending = save_async(manager, 5, &options);
  assert_non_null(pending);
  memset(&saved, 0, sizeof saved);
  saved.struct_size = sizeof saved;
  assert_ok(treering_pending_wait(&saved, pending, -1, err()));
  assert_int_equal(saved.step, 5);
  assert_int_equal(saved.number, version_of(manager, 5).number);
  assert_int_equal(saved.file_size, version_of(manager, 5).size);
  assert_true(version_of(manager, 5).metrics[0].value == 0.5);
  seen = state_of(pending);
  assert_int_equal(seen.state, TREERING_STATE_COMMITTED);
  assert_int_equal(seen.status, TREERING_OK);
  assert_true(seen.total > 0);
  assert_int_equal(seen.done, seen.total);
  assert_ok(treering_manager_wait(manager, -1, err()));
  assert_int_equal(opened_step(manager, TREERING_LATEST, NULL), 5);
  treering_manager_free(manager);
  assert_ok(treering_pending_wait(NULL, pending, 0, err())); /* outlives the manager */
  treering_pending_free(pending);
  treering_pending_free(NULL);
}

static void policies_may_say_no_and_existing_steps_are_refused_at_once(void** state) {
  treering_save_policy policy;
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  treering_step_options how = step_options();
  treering_manager* manager;
  treering_pending* pending;
  treering_tree* tree = step_tree(10);
  const treering_save_item item = tree_item(tree);
  gate g;
  treering_save_options save = gated(&g);
  (void)state;
  make_gate(&g);
  memset(&policy, 0, sizeof policy);
  policy.kind = TREERING_SAVE_INTERVAL;
  policy.interval = 10;
  options.save_policies = &policy;
  options.save_policy_size = sizeof policy;
  options.save_policy_count = 1;
  options.save_queue = 2;
  manager = open_with(&options);
  assert_null(save_async(manager, 9, NULL));
  how.save = &save;
  pending = save_async(manager, 10, &how);
  wait_for(&g.reached);
  how.force = 1;
  pending = (treering_pending_free(pending), (treering_pending*)&g);
  assert_fails(
      treering_manager_save_async(&pending, manager, 10, &item, sizeof item, 1, &how, err()),
      TREERING_ALREADY_EXISTS, "step 10");
  assert_null(pending);
  sem_post(&g.open);
  assert_ok(treering_manager_close(manager, -1, err()));
  treering_manager_free(manager);
  treering_tree_free(tree);
}

typedef struct told {
  sem_t done;
  int calls;
  treering_status status;
  pthread_t thread;
} told;

static void tell(void* user, treering_status status) {
  told* t = (told*)user;
  ++t->calls;
  t->status = status;
  t->thread = pthread_self();
  sem_post(&t->done);
}

static void the_end_is_told_to_the_callback_and_the_descriptor(void** state) {
  treering_manager* manager = open_queue(1);
  treering_step_options options = step_options();
  treering_pending* pending;
  struct pollfd entry;
  told t;
  gate g;
  treering_save_options save = gated(&g);
  (void)state;
  make_gate(&g);
  memset(&t, 0, sizeof t);
  assert_int_equal(sem_init(&t.done, 0, 0), 0);
  options.save = &save;
  options.finished = tell;
  options.user = &t;
  pending = save_async(manager, 1, &options);
  memset(&entry, 0, sizeof entry);
  entry.events = POLLIN;
  assert_ok(treering_pending_descriptor(&entry.fd, pending, err()));
  wait_for(&g.reached);
  assert_int_equal(state_of(pending).state, TREERING_STATE_WRITING);
  assert_int_equal(poll(&entry, 1, 0), 0);
  assert_int_equal(t.calls, 0);
  assert_fails(treering_pending_wait(NULL, pending, 0, err()), TREERING_TIMEOUT, "step 1");
  assert_fails(treering_manager_wait(manager, 1, err()), TREERING_TIMEOUT, "");
  sem_post(&g.open);
  assert_int_equal(poll(&entry, 1, -1), 1);
  assert_int_equal(state_of(pending).state, TREERING_STATE_COMMITTED);
  wait_for(&t.done);
  assert_int_equal(t.calls, 1);
  assert_int_equal(t.status, TREERING_OK);
  assert_false(pthread_equal(t.thread, pthread_self()));
  assert_int_equal(poll(&entry, 1, 0), 1); /* stays readable */
  treering_pending_free(pending);
  treering_manager_free(manager);
  assert_int_equal(t.calls, 1);
}

static void a_save_that_is_cancelled_leaves_nothing(void** state) {
  treering_manager* manager = open_queue(2);
  treering_step_options options = step_options();
  treering_pending *running, *waiting;
  treering_save_state seen;
  uint64_t count = 9;
  treering_report* report = NULL;
  told t;
  gate g;
  treering_save_options save = gated(&g);
  (void)state;
  make_gate(&g);
  memset(&t, 0, sizeof t);
  assert_int_equal(sem_init(&t.done, 0, 0), 0);
  options.save = &save;
  running = save_async(manager, 1, &options);
  wait_for(&g.reached);
  options.save = NULL;
  options.finished = tell;
  options.user = &t;
  waiting = save_async(manager, 2, &options);
  treering_pending_cancel(waiting);
  treering_pending_cancel(running);
  sem_post(&g.open);
  assert_fails(treering_pending_wait(NULL, running, -1, err()), TREERING_CANCELLED, "step 1");
  assert_fails(treering_pending_wait(NULL, waiting, -1, err()), TREERING_CANCELLED, "step 2");
  seen = state_of(running);
  assert_int_equal(seen.state, TREERING_STATE_CANCELLED);
  assert_int_equal(seen.status, TREERING_CANCELLED);
  assert_ok(treering_manager_wait(manager, -1, err())); /* not a failure */
  assert_int_equal(t.calls, 1);
  assert_int_equal(t.status, TREERING_CANCELLED);
  assert_ok(treering_manager_versions(manager, 0, NULL, 0, 0, &count, err()));
  assert_string_equal(steps_of(manager), "");
  assert_ok(treering_manager_verify(&report, manager, 1, NULL, err()));
  assert_int_equal(treering_report_count(report), 0);
  treering_report_free(report);
  treering_pending_cancel(running); /* too late, and no harm */
  treering_pending_cancel(NULL);
  save_step(manager, 1, NULL);
  treering_pending_free(running);
  treering_pending_free(waiting);
  treering_manager_free(manager);
}

/* ------------------------------------------------------------ failures */

static void limit_files(rlim_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A save that fails: its container is larger than files may be. */
static treering_pending* failing_save(treering_manager* manager, int64_t step,
                                      const treering_step_options* options) {
  treering_pending* pending;
  limit_files(100);
  pending = save_async(manager, step, options);
  assert_int_equal(treering_pending_wait(NULL, pending, -1, err()) & 0xff, TREERING_IO);
  limit_files(0);
  return pending;
}

static void a_failure_is_told_once_by_the_first_of_save_wait_and_close(void** state) {
  treering_manager* manager = open_queue(1);
  treering_step_options options = step_options();
  treering_pending *pending, *other = NULL;
  treering_tree* tree = step_tree(3);
  const treering_save_item item = tree_item(tree);
  told t;
  int i;
  (void)state;
  memset(&t, 0, sizeof t);
  assert_int_equal(sem_init(&t.done, 0, 0), 0);
  options.finished = tell;
  options.user = &t;
  pending = failing_save(manager, 1, &options);
  assert_int_equal(state_of(pending).state, TREERING_STATE_FAILED);
  assert_int_equal(state_of(pending).status & 0xff, TREERING_IO);
  wait_for(&t.done);
  assert_int_equal(t.status & 0xff, TREERING_IO);
  assert_int_equal(treering_manager_wait(manager, -1, err()) & 0xff, TREERING_IO);
  assert_int_equal(last_error.os_error, EFBIG);
  assert_ok(treering_manager_wait(manager, -1, err()));
  for (i = 0; i < 2; ++i) { /* the handle keeps it */
    assert_int_equal(treering_pending_wait(NULL, pending, -1, err()) & 0xff, TREERING_IO);
  }
  treering_pending_free(pending);

  treering_pending_free(failing_save(manager, 2, NULL));
  assert_int_equal(
      treering_manager_save(NULL, manager, 3, &item, sizeof item, 1, NULL, err()) & 0xff,
      TREERING_IO);
  assert_string_equal(steps_of(manager), "");
  assert_int_equal(save_step(manager, 3, NULL), 1);

  treering_pending_free(failing_save(manager, 4, NULL));
  options = step_options();
  options.force = options.overwrite = 1;
  other = (treering_pending*)&t;
  assert_int_equal(
      treering_manager_save_async(&other, manager, 3, &item, sizeof item, 1, &options, err()) &
          0xff,
      TREERING_IO);
  assert_null(other);
  other = save_async(manager, 3, &options);
  assert_ok(treering_pending_wait(NULL, other, -1, err()));
  treering_pending_free(other);

  treering_pending_free(failing_save(manager, 5, NULL));
  assert_int_equal(treering_manager_close(manager, -1, err()) & 0xff, TREERING_IO);
  assert_ok(treering_manager_close(manager, -1, err()));
  treering_manager_free(manager);
  manager = open_run(TREERING_READ_ONLY);
  assert_string_equal(steps_of(manager), "3");
  treering_manager_free(manager);
  treering_tree_free(tree);
}

/* ------------------------------------------------------------ closing */

static void closing_drains_what_is_in_flight(void** state) {
  treering_manager* manager = open_queue(3);
  treering_pending* pending[3];
  int i;
  (void)state;
  for (i = 0; i < 3; ++i) pending[i] = save_async(manager, i, NULL);
  assert_ok(treering_manager_close(manager, -1, err()));
  for (i = 0; i < 3; ++i) {
    assert_int_equal(state_of(pending[i]).state, TREERING_STATE_COMMITTED);
    treering_pending_free(pending[i]);
  }
  treering_manager_free(manager);
  manager = open_run(TREERING_READ_ONLY);
  assert_string_equal(steps_of(manager), "0 1 2");
  treering_manager_free(manager);
}

static void* open_later(void* user) {
  const struct timespec moment = {0, 250000000};
  nanosleep(&moment, NULL); /* after close has asked to cancel */
  sem_post(&((gate*)user)->open);
  return NULL;
}

static void closing_with_a_deadline_cancels_and_never_commits_half(void** state) {
  treering_manager* manager = open_queue(2);
  treering_step_options options = step_options();
  treering_pending *running, *waiting;
  pthread_t thread;
  gate g;
  treering_save_options save = gated(&g);
  (void)state;
  make_gate(&g);
  options.save = &save;
  save_step(manager, 1, NULL);
  running = save_async(manager, 2, &options);
  wait_for(&g.reached);
  waiting = save_async(manager, 3, NULL);
  assert_int_equal(pthread_create(&thread, NULL, open_later, &g), 0);
  assert_fails(treering_manager_close(manager, 0, err()), TREERING_TIMEOUT, "");
  pthread_join(thread, NULL);
  assert_int_equal(state_of(running).state, TREERING_STATE_CANCELLED);
  assert_int_equal(state_of(waiting).state, TREERING_STATE_CANCELLED);
  treering_pending_free(running);
  treering_pending_free(waiting);
  treering_manager_free(manager);
  manager = open_run(TREERING_OPEN_EXISTING);
  assert_string_equal(steps_of(manager), "1");
  treering_manager_free(manager);
}

/* ------------------------------------------------------------ memory */

static void count_release(void* user) { ++*(int*)user; }

/* A tree of one lent array of 4 KiB. */
static treering_tree* lent_tree(const void* data, int* releases) {
  static const uint64_t shape[] = {4096};
  treering_tree* tree = NULL;
  treering_lend lend;
  treering_node node = make_array(no_key(), TREERING_UINT8, 1, shape, data);
  uint64_t root = 0;
  memset(&lend, 0, sizeof lend);
  lend.struct_size = sizeof lend;
  lend.release = count_release;
  lend.user = releases;
  assert_ok(treering_tree_create(&tree, err()));
  assert_ok(treering_tree_append(&root, tree, TREERING_NO_NODE, &node, NODE_SIZE, 1, &lend, err()));
  return tree;
}

static void check_bytes(const treering_manager* manager, int64_t step, uint8_t expected) {
  treering_checkpoint* checkpoint = NULL;
  treering_read read;
  uint8_t data[4096] = {0};
  size_t i;
  assert_ok(treering_manager_checkpoint(&checkpoint, NULL, NULL, manager, step, NULL, NULL, err()));
  memset(&read, 0, sizeof read);
  read.node = find_node(checkpoint, "");
  read.dst = data;
  read.dst_size = sizeof data;
  assert_ok(treering_checkpoint_read(checkpoint, &read, sizeof read, 1, NULL, err()));
  for (i = 0; i < sizeof data; ++i) assert_int_equal(data[i], expected);
  treering_checkpoint_free(checkpoint);
}

static void lent_memory_is_copied_before_the_call_returns(void** state) {
  treering_manager* manager = open_queue(2);
  treering_step_options options = step_options();
  treering_pending *first, *pending = NULL;
  uint8_t data[4096] = {0};
  int releases = 0;
  treering_tree* tree = lent_tree(data, &releases);
  const treering_save_item item = tree_item(tree);
  gate g;
  treering_save_options save = gated(&g);
  (void)state;
  make_gate(&g);
  options.save = &save;
  first = save_async(manager, 1, &options); /* holds the library's thread */
  wait_for(&g.reached);
  memset(data, 7, sizeof data);
  assert_ok(treering_manager_save_async(&pending, manager, 2, &item, sizeof item, 1, NULL, err()));
  treering_tree_free(tree);
  assert_int_equal(releases, 1);
  memset(data, 9, sizeof data);
  sem_post(&g.open);
  assert_ok(treering_pending_wait(NULL, pending, -1, err()));
  check_bytes(manager, 2, 7);
  treering_pending_free(first);
  treering_pending_free(pending);
  treering_manager_free(manager);
  assert_int_equal(releases, 1);
}

static void borrowed_memory_is_released_once_when_the_save_has_ended(void** state) {
  treering_manager* manager = open_queue(1);
  treering_step_options options = step_options();
  treering_pending* pending = NULL;
  uint8_t data[4096] = {0};
  int releases[2] = {0, 0};
  treering_tree* tree = lent_tree(data, &releases[0]);
  treering_save_item item = tree_item(tree);
  gate g;
  treering_save_options save = gated(&g);
  (void)state;
  make_gate(&g);
  memset(data, 7, sizeof data);
  options.borrow = 1;
  options.save = &save;
  assert_ok(
      treering_manager_save_async(&pending, manager, 1, &item, sizeof item, 1, &options, err()));
  treering_tree_free(tree);
  wait_for(&g.reached);
  assert_int_equal(releases[0], 0);
  sem_post(&g.open);
  assert_ok(treering_pending_wait(NULL, pending, -1, err()));
  assert_int_equal(releases[0], 1);
  check_bytes(manager, 1, 7);
  treering_pending_free(pending);
  tree = lent_tree(data, &releases[1]); /* and when the save fails */
  item = tree_item(tree);
  options.save = NULL;
  limit_files(100);
  assert_ok(
      treering_manager_save_async(&pending, manager, 2, &item, sizeof item, 1, &options, err()));
  treering_tree_free(tree);
  assert_int_equal(treering_pending_wait(NULL, pending, -1, err()) & 0xff, TREERING_IO);
  limit_files(0);
  assert_int_equal(releases[1], 1);
  treering_pending_free(pending);
  treering_manager_free(manager);
  assert_int_equal(releases[0], 1);
  assert_int_equal(releases[1], 1);
}

static void a_leaf_beyond_the_budget_goes_alone(void** state) {
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  treering_manager* manager;
  treering_pending* pending = NULL;
  uint8_t data[4096] = {0};
  int releases = 0;
  treering_tree* tree = lent_tree(data, &releases);
  const treering_save_item item = tree_item(tree);
  (void)state;
  memset(data, 3, sizeof data);
  options.staging_bytes = 16;
  manager = open_with(&options);
  assert_ok(treering_manager_save_async(&pending, manager, 1, &item, sizeof item, 1, NULL, err()));
  treering_tree_free(tree);
  memset(data, 4, sizeof data);
  assert_ok(treering_pending_wait(NULL, pending, -1, err()));
  check_bytes(manager, 1, 3);
  treering_pending_free(pending);
  treering_manager_free(manager);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, fresh_run)
      TEST(a_save_in_the_background_is_there_when_it_says_so),
      TEST(policies_may_say_no_and_existing_steps_are_refused_at_once),
      TEST(the_end_is_told_to_the_callback_and_the_descriptor),
      TEST(a_save_that_is_cancelled_leaves_nothing),
      TEST(a_failure_is_told_once_by_the_first_of_save_wait_and_close),
      TEST(closing_drains_what_is_in_flight),
      TEST(closing_with_a_deadline_cancels_and_never_commits_half),
      TEST(lent_memory_is_copied_before_the_call_returns),
      TEST(borrowed_memory_is_released_once_when_the_save_has_ended),
      TEST(a_leaf_beyond_the_budget_goes_alone),
#undef TEST
  };
  return cmocka_run_group_tests(tests, make_scratch, drop_runs);
}

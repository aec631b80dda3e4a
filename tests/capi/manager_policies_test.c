/* SPDX-License-Identifier: Apache-2.0
 * Policies through the C ABI: when a manager saves, which versions it keeps, and what it says. */
#include "run_support.h"

#include <signal.h>

#define SECOND 1000000000LL

static treering_save_policy save_policy(int32_t kind) {
  treering_save_policy policy;
  memset(&policy, 0, sizeof policy);
  policy.kind = kind;
  return policy;
}

static treering_keep_policy keep_policy(int32_t kind) {
  treering_keep_policy policy;
  memset(&policy, 0, sizeof policy);
  policy.kind = kind;
  return policy;
}

static treering_manager* open_saving(const treering_save_policy* policies, uint64_t count) {
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  options.save_policies = policies;
  options.save_policy_size = sizeof policies[0];
  options.save_policy_count = count;
  return open_with(&options);
}

static treering_manager* open_keeping(const treering_keep_policy* policies, uint64_t count) {
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  options.keep_policies = policies;
  options.keep_policy_size = sizeof policies[0];
  options.keep_policy_count = count;
  return open_with(&options);
}

static int wants(const treering_manager* manager, int64_t step) {
  uint32_t out = 9;
  assert_ok(treering_manager_should_save(&out, manager, step, err()));
  assert_true(out <= 1);
  return (int)out;
}

/* What a dry run over the manager's versions keeps: "1 2 30". */
static const char* kept_by(treering_manager* manager, const treering_keep_policy* policies,
                           uint64_t policy_count) {
  static char text[2000];
  treering_decision decisions[64];
  uint64_t count = 0, i;
  size_t used = 0;
  assert_ok(treering_manager_prune(manager, policies, sizeof policies[0], policy_count, 1,
                                   decisions, sizeof decisions[0], 64, &count, err()));
  text[0] = '\0';
  for (i = 0; i < count; ++i) {
    assert_true(decisions[i].rule_size > 0);
    if (decisions[i].keep == 0) continue;
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", used == 0 ? "" : " ",
                             (long long)decisions[i].step);
  }
  return text;
}

/* ------------------------------------------------------------ saving */

static void each_kind_of_policy_wants_its_steps(void** state) {
  static const int64_t listed[] = {8, 3};
  treering_save_policy policies[2];
  treering_manager* manager;
  (void)state;
  policies[0] = save_policy(TREERING_SAVE_INTERVAL);
  policies[0].interval = 5;
  policies[1] = save_policy(TREERING_SAVE_STEPS);
  policies[1].steps = listed;
  policies[1].step_count = 2;
  manager = open_saving(policies, 2);
  assert_int_equal(wants(manager, 3), 1);
  assert_int_equal(wants(manager, 4), 0);
  assert_int_equal(wants(manager, 5), 1);
  assert_int_equal(save_step(manager, 5, NULL), 1);
  assert_int_equal(save_step(manager, 6, NULL), 0);
  assert_int_equal(save_step(manager, 8, NULL), 1);
  assert_int_equal(save_step(manager, 10, NULL), 1);
  assert_string_equal(steps_of(manager), "5 8 10");
  treering_manager_free(manager);
  policies[0] = save_policy(TREERING_SAVE_INITIAL);
  policies[1] = save_policy(TREERING_SAVE_CONTINUOUS);
  policies[1].interval = 3600 * SECOND;
  manager = open_saving(policies, 2);
  assert_int_equal(wants(manager, 11), 0);
  assert_ok(treering_manager_delete(manager, 5, err()));
  assert_ok(treering_manager_delete(manager, 8, err()));
  assert_int_equal(wants(manager, 11), 0);
  assert_ok(treering_manager_delete(manager, 10, err()));
  assert_int_equal(wants(manager, 11), 1);
  treering_manager_free(manager);
  policies[1].interval = 0;
  manager = open_saving(policies + 1, 1);
  assert_int_equal(save_step(manager, 1, NULL), 1);
  assert_int_equal(wants(manager, 2), 1);
  treering_manager_free(manager);
}

static treering_manager* preempted;
static void on_signal(int number) {
  (void)number;
  treering_manager_request_save(preempted);
}

static void a_signal_handler_may_ask_for_a_save(void** state) {
  treering_save_policy policies[2];
  treering_manager* manager;
  (void)state;
  policies[0] = save_policy(TREERING_SAVE_INTERVAL);
  policies[0].interval = 100;
  policies[1] = save_policy(TREERING_SAVE_PREEMPTION);
  preempted = manager = open_saving(policies, 2);
  assert_int_equal(save_step(manager, 7, NULL), 0);
  assert_true(signal(SIGUSR1, on_signal) != SIG_ERR);
  assert_int_equal(raise(SIGUSR1), 0);
  signal(SIGUSR1, SIG_DFL);
  assert_int_equal(wants(manager, 7), 1);
  assert_int_equal(save_step(manager, 7, NULL), 1);
  assert_int_equal(save_step(manager, 8, NULL), 0); /* until a save has begun */
  treering_manager_free(manager);
  treering_manager_request_save(NULL);
}

typedef struct seen {
  int32_t answer;
  int calls;
  int64_t step, last_step;
  uint64_t count;
  double last_metric;
  int32_t times_known;
} seen;

static int32_t decide(void* user, int64_t step, const treering_candidate* candidates,
                      uint64_t count) {
  seen* s = (seen*)user;
  ++s->calls;
  s->step = step;
  s->count = count;
  s->times_known = 1;
  if (count != 0) {
    const treering_candidate* last = &candidates[count - 1];
    s->last_step = last->step;
    s->times_known = last->time != TREERING_NO_TIME && last->time > 0;
    s->last_metric = last->metric_count == 1 ? last->metrics[0].value : -1;
  }
  return s->answer;
}

static void a_callback_decides_with_the_versions_before_it(void** state) {
  treering_save_policy policy = save_policy(TREERING_SAVE_CALLBACK);
  seen s;
  treering_manager* manager;
  (void)state;
  memset(&s, 0, sizeof s);
  policy.decide = decide;
  policy.user = &s;
  manager = open_saving(&policy, 1);
  assert_int_equal(wants(manager, 4), 0);
  assert_int_equal(s.calls, 1);
  assert_int_equal(s.step, 4);
  assert_int_equal(s.count, 0);
  s.answer = -1;
  assert_int_equal(save_metric(manager, 4, "loss", 0.25), 1);
  s.answer = 0;
  assert_int_equal(save_step(manager, 5, NULL), 0);
  assert_int_equal(s.count, 1);
  assert_int_equal(s.last_step, 4);
  assert_true(s.last_metric == 0.25);
  assert_int_equal(s.times_known, 1);
  treering_manager_free(manager);
}

static void policies_that_mean_nothing_are_refused(void** state) {
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  treering_save_policy saving[2];
  treering_keep_policy keeping[2];
  treering_manager* manager = NULL;
  (void)state;
#define REFUSED(...)                                                                \
  assert_fails(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()), \
               TREERING_INVALID_ARGUMENT, __VA_ARGS__)
  saving[0] = saving[1] = save_policy(TREERING_SAVE_INITIAL);
  options.save_policies = saving;
  options.save_policy_size = sizeof saving[0];
  options.save_policy_count = 2;
  saving[1] = save_policy(77);
  REFUSED("save_policies[1].kind 77");
  saving[1] = save_policy(TREERING_SAVE_INTERVAL);
  REFUSED("interval");
  saving[1] = save_policy(TREERING_SAVE_CALLBACK);
  REFUSED("save_policies[1].decide");
  saving[1] = save_policy(TREERING_SAVE_STEPS);
  saving[1].step_count = 3;
  REFUSED("save_policies[1].steps");
  options.save_policy_size = 4;
  REFUSED("element_size");
  options.save_policy_count = 0;
  keeping[0] = keeping[1] = keep_policy(TREERING_KEEP_ALL);
  options.keep_policies = keeping;
  options.keep_policy_size = sizeof keeping[0];
  options.keep_policy_count = 2;
  keeping[1] = keep_policy(0);
  REFUSED("keep_policies[1].kind 0");
  keeping[1] = keep_policy(TREERING_KEEP_LATEST);
  REFUSED("at least 1");
  keeping[1] = keep_policy(TREERING_KEEP_BEST);
  keeping[1].count = 1;
  REFUSED("metric");
  keeping[1] = keep_policy(TREERING_KEEP_EVERY_STEPS);
  REFUSED("interval");
  keeping[1] = keep_policy(TREERING_KEEP_CALLBACK);
  REFUSED("keep_policies[1].preserve");
  options.keep_policies = NULL;
  REFUSED("keep_policies");
#undef REFUSED
  assert_int_not_equal(access(RUN, F_OK), 0);
}

/* ------------------------------------------------------------ keeping */

static int32_t keep_odd(void* user, const treering_candidate* candidates, uint64_t count,
                        uint8_t* keep) {
  uint64_t i;
  ++*(int*)user;
  for (i = 0; i < count; ++i) {
    if (keep[i] != 0) return 2;
    keep[i] = candidates[i].step % 2 != 0;
  }
  return *(int*)user == 2 ? 7 : 0;
}

static void each_kind_of_policy_keeps_its_versions(void** state) {
  static const int64_t listed[] = {4, 1, 99};
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_keep_policy policies[2];
  treering_decision decision;
  uint64_t count = 0;
  int calls = 0;
  int64_t step;
  (void)state;
  for (step = 1; step <= 9; ++step) {
    if (step == 5) {
      save_step(manager, step, NULL);
    } else {
      save_metric(manager, step, "loss", (double)((step * 5) % 9));
    }
  }
#define KEPT(text) assert_string_equal(kept_by(manager, policies, 1), text)
  policies[0] = keep_policy(TREERING_KEEP_ALL);
  KEPT("1 2 3 4 5 6 7 8 9");
  policies[0] = keep_policy(TREERING_KEEP_LATEST);
  policies[0].count = 2;
  KEPT("8 9");
  policies[0] = keep_policy(TREERING_KEEP_EVERY_STEPS);
  policies[0].interval = 4;
  KEPT("4 8 9"); /* the greatest stays in any case */
  policies[0].count = 1;
  KEPT("8 9");
  policies[0].count = 0;
  policies[0].greedy = 1;
  KEPT("1 5 9");
  policies[0] = keep_policy(TREERING_KEEP_CLOSEST);
  policies[0].interval = 5;
  KEPT("1 5 9");
  policies[0] = keep_policy(TREERING_KEEP_EVERY_SECONDS);
  policies[0].interval = 3600 * SECOND;
  KEPT("1 9");
  policies[0] = keep_policy(TREERING_KEEP_YOUNGER);
  policies[0].interval = 3600 * SECOND;
  KEPT("1 2 3 4 5 6 7 8 9");
  policies[0] =
      keep_policy(TREERING_KEEP_BEST); /* 1: 5, 2: 1, 3: 6, 4: 2, 6: 3, 7: 8, 8: 4, 9: 0 */
  policies[0].count = 2;
  policies[0].metric = "loss";
  policies[0].metric_size = 4;
  KEPT("3 5 7 9");
  policies[0].drop_without_metrics = 1;
  KEPT("3 7 9");
  policies[0].lowest = 1;
  KEPT("2 9");
  policies[0] = keep_policy(TREERING_KEEP_STEPS);
  policies[0].steps = listed;
  policies[0].step_count = 3;
  KEPT("1 4 9");
  policies[0] = keep_policy(TREERING_KEEP_CALLBACK);
  policies[0].preserve = keep_odd;
  policies[0].user = &calls;
  KEPT("1 3 5 7 9");
  assert_fails(treering_manager_prune(manager, policies, sizeof policies[0], 1, 0, &decision,
                                      sizeof decision, 1, &count, err()),
               TREERING_CANCELLED, "callback", "7");
  assert_int_equal(count, 0);
  policies[0] = keep_policy(TREERING_KEEP_LATEST);
  policies[0].count = 2;
  policies[1] = keep_policy(TREERING_KEEP_EVERY_STEPS);
  policies[1].interval = 4;
  assert_string_equal(kept_by(manager, policies, 2), "4 8 9");
#undef KEPT
  assert_string_equal(steps_of(manager), "1 2 3 4 5 6 7 8 9");
  treering_manager_free(manager);
}

static void a_dry_run_explains_and_the_real_one_does_the_same(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_keep_policy policy = keep_policy(TREERING_KEEP_LATEST);
  treering_decision dry[4], real[4];
  uint64_t count = 0, i, picture_before;
  (void)state;
  for (i = 1; i <= 4; ++i) save_step(manager, (int64_t)i, NULL);
  policy.count = 1;
  picture_before = picture();
  assert_ok(treering_manager_prune(manager, &policy, sizeof policy, 1, 1, dry, sizeof dry[0], 4,
                                   &count, err()));
  assert_int_equal(count, 4);
  assert_int_equal(picture(), picture_before);
  for (i = 0; i < 4; ++i) {
    assert_int_equal(dry[i].step, i + 1);
    assert_int_equal(dry[i].keep, i == 3);
    assert_true(dry[i].rule_size > 5);
  }
  assert_ok(treering_manager_prune(manager, &policy, sizeof policy, 1, 0, real, sizeof real[0], 2,
                                   &count, err()));
  assert_int_equal(count, 2);
  assert_int_equal(real[1].keep, 0);
  assert_string_equal(steps_of(manager), "4");
  treering_manager_free(manager);
  manager = open_run(TREERING_READ_ONLY);
  assert_string_equal(kept_by(manager, &policy, 1), "4");
  assert_fails(treering_manager_prune(manager, &policy, sizeof policy, 1, 0, NULL, sizeof real[0],
                                      0, &count, err()),
               TREERING_WRONG_STATE, "read-only");
  treering_manager_free(manager);
}

static void retention_follows_each_commit(void** state) {
  treering_keep_policy policies[2];
  treering_saved saved;
  treering_manager* manager;
  (void)state;
  policies[0] = keep_policy(TREERING_KEEP_LATEST);
  policies[0].count = 2;
  policies[1] = keep_policy(TREERING_KEEP_BEST);
  policies[1].count = 1;
  policies[1].metric = "loss";
  policies[1].metric_size = TREERING_NUL;
  policies[1].lowest = 1;
  policies[1].drop_without_metrics = 1;
  manager = open_keeping(policies, 2);
  save_metric(manager, 1, "loss", 5);
  save_metric(manager, 2, "loss", 1);
  save_metric(manager, 3, "loss", 4);
  assert_string_equal(steps_of(manager), "2 3");
  save_metric(manager, 4, "loss", 3);
  assert_string_equal(steps_of(manager), "2 3 4");
  memset(&saved, 0, sizeof saved);
  saved.struct_size = sizeof saved;
  assert_ok(try_save(manager, 5, NULL, &saved));
  assert_int_equal(saved.dropped, 1);
  assert_int_equal(saved.retention_status, TREERING_OK);
  assert_string_equal(steps_of(manager), "2 4 5");
  assert_int_equal(opened_step(manager, TREERING_BEST, NULL), 2); /* by the policy's metric */
  treering_manager_free(manager);
}

static void the_newest_survives_the_best_unless_that_is_waived(void** state) {
  treering_keep_policy policy = keep_policy(TREERING_KEEP_BEST);
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  treering_manager* manager;
  (void)state;
  policy.count = 1;
  policy.metric = "loss";
  policy.metric_size = 4;
  manager = open_keeping(&policy, 1);
  save_metric(manager, 1, "loss", 9);
  save_metric(manager, 2, "loss", 2);
  assert_string_equal(steps_of(manager), "1 2");
  treering_manager_free(manager);
  options.keep_policies = &policy;
  options.keep_policy_size = sizeof policy;
  options.keep_policy_count = 1;
  options.drop_newest = 1;
  manager = open_with(&options);
  save_metric(manager, 3, "loss", 3);
  assert_string_equal(steps_of(manager), "1");
  treering_manager_free(manager);
}

static void an_intact_new_version_lets_the_old_go_where_verifying_is_asked(void** state) {
  treering_keep_policy policy = keep_policy(TREERING_KEEP_LATEST);
  treering_manager_options options = manager_options(TREERING_OPEN_OR_CREATE);
  treering_manager* manager;
  (void)state;
  policy.count = 1;
  options.keep_policies = &policy;
  options.keep_policy_size = sizeof policy;
  options.keep_policy_count = 1;
  options.verify_before_prune = 1;
  manager = open_with(&options);
  save_step(manager, 1, NULL);
  save_step(manager, 2, NULL);
  assert_string_equal(steps_of(manager), "2");
  treering_manager_free(manager);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, fresh_run)
      TEST(each_kind_of_policy_wants_its_steps),
      TEST(a_signal_handler_may_ask_for_a_save),
      TEST(a_callback_decides_with_the_versions_before_it),
      TEST(policies_that_mean_nothing_are_refused),
      TEST(each_kind_of_policy_keeps_its_versions),
      TEST(a_dry_run_explains_and_the_real_one_does_the_same),
      TEST(retention_follows_each_commit),
      TEST(the_newest_survives_the_best_unless_that_is_waived),
      TEST(an_intact_new_version_lets_the_old_go_where_verifying_is_asked),
#undef TEST
  };
  return cmocka_run_group_tests(tests, make_scratch, drop_runs);
}

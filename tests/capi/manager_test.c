/* SPDX-License-Identifier: Apache-2.0
 * Managers through the C ABI: saving, looking up, listing, deleting, one writer, reading only. */
#include "run_support.h"

#include <sys/wait.h>

static void a_new_directory_is_empty_and_keeps_its_metadata(void** state) {
  treering_manager_options options = manager_options(TREERING_CREATE_NEW);
  treering_store_info info;
  treering_manager* manager;
  uint8_t uuid[16];
  (void)state;
  options.metadata = "{\"model\":\"small\"}";
  options.metadata_size = TREERING_NUL;
  manager = open_with(&options);
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  assert_ok(treering_manager_info(&info, manager, err()));
  assert_int_equal(info.version_count, 0);
  assert_int_equal(info.size, 0);
  assert_int_equal(info.read_only, 0);
  assert_int_equal(info.directory_size, strlen(RUN));
  assert_memory_equal(info.directory, RUN, info.directory_size);
  assert_true(info.created > 1600000000000000000LL);
  memcpy(uuid, info.uuid, 16);
  assert_string_equal(steps_of(manager), "");
  treering_manager_free(manager);

  options.metadata = "{\"model\":\"other\"}";
  options.mode = TREERING_OPEN_OR_CREATE;
  manager = open_with(&options);
  assert_ok(treering_manager_info(&info, manager, err()));
  assert_memory_equal(info.uuid, uuid, 16);
  assert_int_equal(info.metadata_size, 17);
  assert_memory_equal(info.metadata, "{\"model\":\"small\"}", 17);
  treering_manager_free(manager);
}

static void opening_tells_what_is_there_from_what_is_not(void** state) {
  treering_manager_options options = manager_options(TREERING_OPEN_EXISTING);
  treering_manager* manager = (treering_manager*)&options;
  (void)state;
  assert_fails(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()),
               TREERING_NOT_FOUND_FILE, "run");
  assert_null(manager);
  options.mode = TREERING_READ_ONLY;
  assert_fails(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()),
               TREERING_NOT_FOUND_FILE, "run");
  assert_int_not_equal(access(RUN, F_OK), 0);
  options.mode = 9;
  assert_fails(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()),
               TREERING_INVALID_ARGUMENT, "options.mode 9");
  options.mode = TREERING_CREATE_NEW;
  options.metadata = "{";
  options.metadata_size = 1;
  assert_fails(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()),
               TREERING_INVALID_ARGUMENT, "metadata", "JSON");
  options.metadata = NULL;
  options.metadata_size = 0;
  treering_manager_free(open_with(&options));
  assert_fails(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()),
               TREERING_ALREADY_EXISTS, "run");
  options.mode = TREERING_OPEN_EXISTING;
  write_file(in_run("STORE", 5), "something else", 14);
  assert_fails(treering_manager_open(&manager, RUN, TREERING_NUL, &options, err()),
               TREERING_NOT_TREERING, "STORE");
  assert_fails(treering_manager_open(&manager, in_scratch("no/run"), TREERING_NUL, NULL, err()),
               TREERING_NOT_FOUND_FILE, "no");
  assert_fails(treering_manager_open(NULL, RUN, TREERING_NUL, NULL, err()),
               TREERING_INVALID_ARGUMENT, "out");
}

static void saved_steps_come_back_by_number_and_as_the_latest(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_saved saved;
  treering_version_info version;
  (void)state;
  assert_int_equal(save_step(manager, 10, NULL), 1);
  assert_int_equal(save_step(manager, 20, NULL), 1);
  memset(&saved, 0, sizeof saved);
  saved.struct_size = sizeof saved;
  assert_ok(try_save(manager, 3000000000LL, NULL, &saved));
  assert_string_equal(steps_of(manager), "10 20 3000000000");
  version = version_of(manager, 3000000000LL);
  assert_int_equal(version.number, saved.number);
  assert_memory_equal(version.attempt, saved.attempt, 16);
  assert_int_equal(version.size, saved.file_size);
  assert_true(version.started <= version.committed);
  assert_int_equal(version.rebuilt, 0);
  assert_int_equal(access(in_run(version.file, version.file_size), R_OK), 0);
  assert_int_equal(opened_step(manager, 10, NULL), 10);
  treering_manager_free(manager);
  manager = open_run(TREERING_READ_ONLY);
  assert_string_equal(steps_of(manager), "10 20 3000000000");
  assert_int_equal(opened_step(manager, 20, NULL), 20);
  assert_int_equal(opened_step(manager, TREERING_LATEST, NULL), 3000000000LL);
  treering_manager_free(manager);
}

static void a_version_holds_its_items_metrics_and_metadata(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_step_options options = step_options();
  treering_metric metrics[2] = {{"loss", 4, 0.5}, {"accuracy", 8, 0.75}};
  treering_save_item items[3];
  treering_tree* tree = step_tree(7);
  treering_version_info version;
  treering_checkpoint* checkpoint = NULL;
  treering_item listed[4];
  uint64_t count = 0;
  (void)state;
  memset(items, 0, sizeof items);
  items[0] = tree_item(tree);
  items[1].name = "config";
  items[1].name_size = 6;
  items[1].kind = TREERING_ITEM_JSON;
  items[1].data = "{\"lr\":0.1}";
  items[1].size = 10;
  items[2].name = "raw";
  items[2].name_size = TREERING_NUL;
  items[2].kind = TREERING_ITEM_BLOB;
  items[2].data = "\0\1\2";
  items[2].size = 3;
  options.metrics = metrics;
  options.metric_size = sizeof metrics[0];
  options.metric_count = 2;
  options.metrics_document = "{\"all\":[1,2]}";
  options.metrics_document_size = TREERING_NUL;
  options.metadata = "{\"seed\":1}";
  options.metadata_size = TREERING_NUL;
  assert_ok(treering_manager_save(NULL, manager, 7, items, sizeof items[0], 3, &options, err()));
  treering_tree_free(tree);
  treering_manager_free(manager);

  manager = open_run(TREERING_READ_ONLY);
  version = version_of(manager, 7);
  assert_int_equal(version.metric_count, 2);
  assert_int_equal(version.metrics[1].name_size, 8);
  assert_memory_equal(version.metrics[1].name, "accuracy", 8);
  assert_true(version.metrics[0].value == 0.5 && version.metrics[1].value == 0.75);
  assert_int_equal(version.metrics_document_size, 13);
  assert_memory_equal(version.metrics_document, "{\"all\":[1,2]}", 13);
  assert_int_equal(version.metadata_size, 10);
  assert_memory_equal(version.metadata, "{\"seed\":1}", 10);
  assert_ok(treering_manager_checkpoint(&checkpoint, NULL, NULL, manager, 7, NULL, NULL, err()));
  treering_manager_free(manager);
  assert_ok(treering_checkpoint_items(checkpoint, 0, listed, sizeof listed[0], 4, &count, err()));
  assert_int_equal(count, 3);
  assert_memory_equal(listed[1].name, "config", 6);
  assert_int_equal(listed[2].kind, TREERING_ITEM_BLOB);
  assert_ok(treering_checkpoint_load(&tree, checkpoint, "default", TREERING_NUL, NULL, err()));
  assert_int_equal(treering_tree_leaf_count(tree), 2);
  treering_tree_free(tree);
  treering_checkpoint_free(checkpoint);
}

static void an_existing_step_is_refused_and_overwrite_replaces_it(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_step_options options = step_options();
  treering_version_info before, after;
  uint64_t seen;
  (void)state;
  save_step(manager, 5, NULL);
  before = version_of(manager, 5);
  seen = picture();
  assert_fails(try_save(manager, 5, NULL, NULL), TREERING_ALREADY_EXISTS, "step 5", "overwrite");
  options.force = 1;
  assert_fails(try_save(manager, 5, &options, NULL), TREERING_ALREADY_EXISTS, "step 5");
  assert_int_equal(picture(), seen);
  options.force = 0;
  options.overwrite = 1;
  assert_int_equal(save_step(manager, 5, &options), 1);
  after = version_of(manager, 5);
  assert_true(after.number > before.number);
  assert_memory_not_equal(after.attempt, before.attempt, 16);
  assert_int_not_equal(access(in_run(before.file, before.file_size), F_OK), 0);
  assert_int_equal(opened_step(manager, 5, NULL), 5);
  assert_string_equal(steps_of(manager), "5");
  treering_manager_free(manager);
}

static void steps_below_the_latest_are_skipped_unless_forced(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_step_options options = step_options();
  uint32_t wanted = 9;
  (void)state;
  options.force = 1;
  save_step(manager, 20, NULL);
  assert_ok(treering_manager_should_save(&wanted, manager, 10, err()));
  assert_int_equal(wanted, 0);
  assert_int_equal(save_step(manager, 10, NULL), 0);
  assert_string_equal(steps_of(manager), "20");
  assert_int_equal(save_step(manager, 10, &options), 1);
  assert_string_equal(steps_of(manager), "10 20");
  assert_int_equal(opened_step(manager, TREERING_LATEST, NULL), 20);
  assert_ok(treering_manager_should_save(&wanted, manager, 21, err()));
  assert_int_equal(wanted, 1);
  treering_manager_free(manager);
}

static void what_cannot_be_saved_is_refused_before_any_work(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_step_options options = step_options();
  treering_metric metrics[2] = {{"loss", 4, 1}, {"loss", 4, 2}};
  treering_tree* tree = step_tree(1);
  treering_save_item items[2];
  uint64_t seen;
  (void)state;
#define SAVE(count, how) \
  treering_manager_save(NULL, manager, 1, items, sizeof items[0], count, how, err())
  items[0] = items[1] = tree_item(tree);
  seen = picture();
  assert_fails(treering_manager_save(NULL, manager, -1, items, sizeof items[0], 1, NULL, err()),
               TREERING_INVALID_ARGUMENT, "step -1");
  assert_fails(SAVE(0, NULL), TREERING_INVALID_ARGUMENT, "items");
  assert_fails(SAVE(2, NULL), TREERING_INVALID_ARGUMENT, "'default'", "twice");
  items[0].tree = NULL;
  assert_fails(SAVE(1, NULL), TREERING_INVALID_ARGUMENT, "items[0].tree");
  items[0].kind = 9;
  assert_fails(SAVE(1, NULL), TREERING_INVALID_ARGUMENT, "items[0].kind 9");
  items[0].kind = TREERING_ITEM_JSON;
  items[0].data = "{]";
  items[0].size = 2;
  assert_fails(SAVE(1, NULL), TREERING_INVALID_ARGUMENT, "'default'", "JSON");
  items[0] = tree_item(tree);
  options.metrics = metrics;
  options.metric_size = sizeof metrics[0];
  options.metric_count = 2;
  assert_fails(SAVE(1, &options), TREERING_INVALID_ARGUMENT, "'loss'", "twice");
  metrics[0].name_size = 0;
  assert_fails(SAVE(1, &options), TREERING_INVALID_ARGUMENT, "1 to 255");
  options.metric_size = 1;
  assert_fails(SAVE(1, &options), TREERING_INVALID_ARGUMENT, "element_size");
  options.metric_count = 0;
  options.metadata = "nope";
  options.metadata_size = 4;
  assert_fails(SAVE(1, &options), TREERING_INVALID_ARGUMENT, "metadata", "JSON");
#undef SAVE
  assert_int_equal(picture(), seen);
  treering_tree_free(tree);
  save_step(manager, 1, NULL);
  treering_manager_free(manager);
}

static void a_deleted_version_is_gone_and_its_number_is_not_given_again(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_checkpoint* checkpoint = NULL;
  treering_version_info second;
  (void)state;
  save_step(manager, 1, NULL);
  save_step(manager, 2, NULL);
  second = version_of(manager, 2);
  assert_ok(treering_manager_delete(manager, 2, err()));
  assert_memory_equal(second.file, "data/00000002-", 14); /* what was shown stays readable */
  assert_int_not_equal(access(in_run(second.file, second.file_size), F_OK), 0);
  assert_string_equal(steps_of(manager), "1");
  assert_fails(treering_manager_delete(manager, 2, err()), TREERING_NOT_FOUND, "step 2", "1");
  checkpoint = (treering_checkpoint*)&second;
  assert_fails(treering_manager_checkpoint(&checkpoint, NULL, NULL, manager, 2, NULL, NULL, err()),
               TREERING_NOT_FOUND, "step 2");
  assert_null(checkpoint);
  treering_manager_free(manager);
  manager = open_run(TREERING_OPEN_EXISTING);
  save_step(manager, 2, NULL);
  assert_true(version_of(manager, 2).number > second.number);
  assert_ok(treering_manager_delete(manager, 1, err()));
  assert_ok(treering_manager_delete(manager, 2, err()));
  assert_string_equal(steps_of(manager), "");
  assert_fails(treering_manager_checkpoint(&checkpoint, NULL, NULL, manager, TREERING_LATEST, NULL,
                                           NULL, err()),
               TREERING_NOT_FOUND, "no version");
  treering_manager_free(manager);
}

static void the_best_is_ranked_by_a_metric(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_find_options find;
  treering_checkpoint* checkpoint = NULL;
  const double nan = strtod("nan", NULL);
  (void)state;
  memset(&find, 0, sizeof find);
  find.struct_size = sizeof find;
  save_metric(manager, 1, "loss", 3);
  save_metric(manager, 2, "loss", 1);
  save_metric(manager, 3, "loss", nan);
  save_metric(manager, 4, "loss", 1);
  save_metric(manager, 5, "other", 9);
  save_step(manager, 6, NULL);
  assert_fails(treering_manager_checkpoint(&checkpoint, NULL, NULL, manager, TREERING_BEST, &find,
                                           NULL, err()),
               TREERING_INVALID_ARGUMENT, "metric");
  find.metric = "loss";
  find.metric_size = TREERING_NUL;
  assert_int_equal(opened_step(manager, TREERING_BEST, &find), 1);
  find.lowest = 1;
  assert_int_equal(opened_step(manager, TREERING_BEST, &find), 4);
  find.metric = "none";
  assert_fails(treering_manager_checkpoint(&checkpoint, NULL, NULL, manager, TREERING_BEST, &find,
                                           NULL, err()),
               TREERING_NOT_FOUND, "'none'");
  treering_manager_free(manager);
}

static void the_latest_passes_over_what_is_damaged_and_says_so(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_find_options find;
  treering_checkpoint* checkpoint = NULL;
  treering_report* report = NULL;
  treering_version_info version;
  treering_finding finding;
  int64_t step = 0;
  (void)state;
  memset(&find, 0, sizeof find);
  find.struct_size = sizeof find;
  save_step(manager, 1, NULL);
  save_step(manager, 2, NULL);
  save_step(manager, 3, NULL);
  version = version_of(manager, 3);
  flip_byte(in_run(version.file, version.file_size), -10);
  version = version_of(manager, 2);
  assert_int_equal(truncate(in_run(version.file, version.file_size), 100), 0);
  assert_ok(treering_manager_checkpoint(&checkpoint, &step, &report, manager, TREERING_LATEST, NULL,
                                        NULL, err()));
  assert_int_equal(step, 1);
  assert_int_equal(count_findings(report, TREERING_FINDING_SKIPPED_VERSION), 2);
  finding = find_finding(report, TREERING_FINDING_SKIPPED_VERSION, "step 2");
  assert_int_equal(finding.status & 0xff, TREERING_CORRUPT);
  assert_true(finding.found_size > 10);
  find_finding(report, TREERING_FINDING_SKIPPED_VERSION, "step 3");
  assert_non_null(strstr(treering_report_text(report), "step 3"));
  treering_report_free(report);
  treering_checkpoint_free(checkpoint);
  find.strict = 1;
  checkpoint = (treering_checkpoint*)&find;
  report = (treering_report*)&find;
  step = 5;
  assert_int_equal(treering_manager_checkpoint(&checkpoint, &step, &report, manager,
                                               TREERING_LATEST, &find, NULL, err()) &
                       0xff,
                   TREERING_CORRUPT);
  assert_non_null(strstr(last_error.message, "step 3"));
  assert_null(checkpoint);
  assert_null(report);
  assert_int_equal(step, 0);
  treering_manager_free(manager);
}

static void intact_in_full_means_every_byte(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_find_options find;
  treering_version_info version;
  (void)state;
  memset(&find, 0, sizeof find);
  find.struct_size = sizeof find;
  save_step(manager, 1, NULL);
  save_step(manager, 2, NULL);
  version = version_of(manager, 2);
  flip_byte(in_run(version.file, version.file_size), 70);
  find.full = 1;
  assert_int_equal(opened_step(manager, TREERING_LATEST, &find), 1);
  treering_manager_free(manager);
}

static void a_second_writer_is_told_who_holds_the_lock(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_manager_options options = manager_options(TREERING_OPEN_EXISTING);
  treering_manager* second = NULL;
  char pid[32];
  char host[256];
  (void)state;
  memset(host, 0, sizeof host);
  assert_int_equal(gethostname(host, sizeof host - 1), 0);
  snprintf(pid, sizeof pid, "%ld", (long)getpid());
  assert_fails(treering_manager_open(&second, RUN, TREERING_NUL, &options, err()), TREERING_BUSY,
               pid, host);
  assert_null(second);
  options.lock_timeout_ms = 20;
  assert_fails(treering_manager_open(&second, RUN, TREERING_NUL, &options, err()), TREERING_BUSY,
               pid);
  second = open_run(TREERING_READ_ONLY);
  save_step(manager, 1, NULL);
  assert_string_equal(steps_of(second), "");
  assert_ok(treering_manager_reload(second, err()));
  assert_string_equal(steps_of(second), "1");
  treering_manager_free(second);
  assert_ok(treering_manager_close(manager, -1, err()));
  treering_manager_free(open_run(TREERING_OPEN_EXISTING));
  treering_manager_free(manager);
}

static void a_closed_manager_only_waits_to_be_freed(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_version_info version;
  treering_store_info info;
  uint64_t count = 9;
  uint32_t wanted = 9;
  (void)state;
  save_step(manager, 1, NULL);
  version = version_of(manager, 1);
  assert_ok(treering_manager_close(manager, 0, err()));
  assert_ok(treering_manager_close(manager, 0, err()));
  assert_memory_equal(version.file, "data/00000001-", 14);
  assert_int_equal(try_save(manager, 2, NULL, NULL), TREERING_WRONG_STATE);
  assert_fails(treering_manager_should_save(&wanted, manager, 2, err()), TREERING_WRONG_STATE,
               "closed");
  assert_int_equal(wanted, 0);
  assert_fails(treering_manager_versions(manager, 0, NULL, sizeof version, 0, &count, err()),
               TREERING_WRONG_STATE, "closed");
  assert_int_equal(count, 0);
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  assert_fails(treering_manager_info(&info, manager, err()), TREERING_WRONG_STATE, "closed");
  assert_fails(treering_manager_delete(manager, 1, err()), TREERING_WRONG_STATE, "closed");
  assert_fails(treering_manager_reload(manager, err()), TREERING_WRONG_STATE, "closed");
  assert_fails(treering_manager_wait(manager, 0, err()), TREERING_WRONG_STATE, "closed");
  treering_manager_free(manager);
}

/* What a forked child answers: 0 if every function refused. */
static int ask_in_child(treering_manager* manager) {
  const treering_status wanted = TREERING_WRONG_STATE_FORKED;
  treering_store_info info;
  treering_tree* tree = step_tree(9);
  const treering_save_item item = tree_item(tree);
  treering_pending* pending = NULL;
  uint64_t count = 0;
  uint32_t should = 0;
  treering_report* report = NULL;
  treering_checkpoint* checkpoint = NULL;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  if (treering_manager_save(NULL, manager, 9, &item, sizeof item, 1, NULL, NULL) != wanted)
    return 1;
  if (treering_manager_save_async(&pending, manager, 9, &item, sizeof item, 1, NULL, NULL) !=
      wanted) {
    return 2;
  }
  if (treering_manager_should_save(&should, manager, 9, NULL) != wanted) return 3;
  if (treering_manager_versions(manager, 0, NULL, 100, 0, &count, NULL) != wanted) return 4;
  if (treering_manager_info(&info, manager, NULL) != wanted) return 5;
  if (treering_manager_delete(manager, 1, NULL) != wanted) return 6;
  if (treering_manager_reload(manager, NULL) != wanted) return 7;
  if (treering_manager_wait(manager, -1, NULL) != wanted) return 8;
  if (treering_manager_verify(&report, manager, 0, NULL, NULL) != wanted) return 9;
  if (treering_manager_rebuild(&count, NULL, manager, NULL) != wanted) return 10;
  if (treering_manager_checkpoint(&checkpoint, NULL, NULL, manager, 1, NULL, NULL, NULL) != wanted)
    return 11;
  if (treering_manager_prune(manager, NULL, 0, 0, 1, NULL, 100, 0, &count, NULL) != wanted)
    return 12;
  if (treering_manager_close(manager, -1, NULL) != wanted) return 13;
  treering_tree_free(tree);
  treering_manager_free(manager);
  return 0;
}

static void a_forked_child_is_refused_and_does_not_unlock(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_manager_options options = manager_options(TREERING_OPEN_EXISTING);
  treering_manager* second = NULL;
  int status = -1;
  pid_t child;
  (void)state;
  save_step(manager, 1, NULL);
  child = fork();
  if (child == 0) _exit(ask_in_child(manager));
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_fails(treering_manager_open(&second, RUN, TREERING_NUL, &options, err()), TREERING_BUSY,
               "run");
  save_step(manager, 2, NULL);
  treering_manager_free(manager);
  treering_manager_free(open_run(TREERING_OPEN_EXISTING));
}

static void a_read_only_manager_changes_nothing(void** state) {
  treering_manager* manager = open_run(TREERING_OPEN_OR_CREATE);
  treering_step_options options = step_options();
  treering_report* report = NULL;
  uint64_t count = 0, seen;
  uint32_t wanted = 9;
  (void)state;
  save_step(manager, 1, NULL);
  save_step(manager, 2, NULL);
  treering_manager_free(manager);
  write_file(in_run("data/foreign", 12), "x", 1);
  seen = picture();
  manager = open_run(TREERING_READ_ONLY);
  options.force = 1;
  assert_ok(treering_manager_should_save(&wanted, manager, 3, err()));
  assert_int_equal(wanted, 0);
  assert_int_equal(save_step(manager, 3, NULL), 0);
  assert_fails(try_save(manager, 3, &options, NULL), TREERING_WRONG_STATE, "read-only");
  assert_fails(treering_manager_delete(manager, 1, err()), TREERING_WRONG_STATE, "read-only");
  assert_fails(treering_manager_rebuild(&count, NULL, manager, err()), TREERING_WRONG_STATE,
               "read-only");
  assert_ok(treering_manager_verify(&report, manager, 1, NULL, err()));
  assert_int_equal(treering_report_count(report), 1);
  find_finding(report, TREERING_FINDING_UNKNOWN_NAME, "data/foreign");
  treering_report_free(report);
  assert_int_equal(opened_step(manager, TREERING_LATEST, NULL), 2);
  assert_ok(treering_manager_reload(manager, err()));
  treering_manager_free(manager);
  assert_int_equal(picture(), seen);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, fresh_run)
      TEST(a_new_directory_is_empty_and_keeps_its_metadata),
      TEST(opening_tells_what_is_there_from_what_is_not),
      TEST(saved_steps_come_back_by_number_and_as_the_latest),
      TEST(a_version_holds_its_items_metrics_and_metadata),
      TEST(an_existing_step_is_refused_and_overwrite_replaces_it),
      TEST(steps_below_the_latest_are_skipped_unless_forced),
      TEST(what_cannot_be_saved_is_refused_before_any_work),
      TEST(a_deleted_version_is_gone_and_its_number_is_not_given_again),
      TEST(the_best_is_ranked_by_a_metric),
      TEST(the_latest_passes_over_what_is_damaged_and_says_so),
      TEST(intact_in_full_means_every_byte),
      TEST(a_second_writer_is_told_who_holds_the_lock),
      TEST(a_closed_manager_only_waits_to_be_freed),
      TEST(a_forked_child_is_refused_and_does_not_unlock),
      TEST(a_read_only_manager_changes_nothing),
#undef TEST
  };
  return cmocka_run_group_tests(tests, make_scratch, drop_runs);
}

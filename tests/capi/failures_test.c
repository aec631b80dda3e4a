/* SPDX-License-Identifier: Apache-2.0
 * What goes wrong with files: each case has its status, one message that helps, and leaves nothing.
 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

static const treering_save_options quick = {.struct_size = sizeof quick, .not_durable = 1};
static const treering_save_options replace = {
    .struct_size = sizeof replace, .not_durable = 1, .overwrite = 1};

static treering_status save_sample(const char* path, const treering_save_options* options) {
  sample s;
  treering_status status = 0;
  make_sample(&s);
  status = treering_save(path, TREERING_NUL, s.tree, options, err());
  free_sample(&s);
  return status;
}

static treering_status open_path(const char* path) {
  treering_checkpoint* checkpoint = (treering_checkpoint*)&last_error;
  treering_status status = treering_checkpoint_open(&checkpoint, path, TREERING_NUL, NULL, err());
  if (status != TREERING_OK) assert_null(checkpoint);
  if (status == TREERING_OK) treering_checkpoint_free(checkpoint);
  return status;
}

static void a_missing_file_is_not_found(void** state) {
  (void)state;
  assert_fails(open_path(in_scratch("nothing.ring")), TREERING_NOT_FOUND_FILE, "nothing.ring");
  assert_int_equal(last_error.os_error, ENOENT);
}

static void an_empty_file_and_a_text_file_are_no_containers(void** state) {
  static const char text[] = "import jax\nprint('this is a training script, not a checkpoint')\n";
  (void)state;
  write_file(in_scratch("empty.ring"), "", 0);
  assert_fails(open_path(in_scratch("empty.ring")), TREERING_NOT_TREERING, "empty.ring", "empty",
               "check the path");
  write_file(in_scratch("train.py"), text, sizeof text);
  assert_fails(open_path(in_scratch("train.py")), TREERING_NOT_TREERING, "train.py",
               "check the path");
}

static void a_folder_is_refused_by_name(void** state) {
  (void)state;
  assert_fails(open_path(scratch_folder), TREERING_INVALID_ARGUMENT, scratch_folder);
}

static void a_file_cut_anywhere_is_truncated(void** state) {
  size_t size = 0, keep = 0;
  uint8_t* bytes = NULL;
  (void)state;
  assert_ok(save_sample(in_scratch("whole.ring"), &quick));
  bytes = read_file(in_scratch("whole.ring"), &size);
  for (keep = 64; keep < size; keep += keep < 600 || keep + 600 > size ? 1 : 2503) {
    treering_status status = 0;
    write_file(in_scratch("cut.ring"), bytes, keep);
    status = open_path(in_scratch("cut.ring"));
    if (status != TREERING_CORRUPT_TRUNCATED) print_error("at %d: %d\n", (int)keep, (int)status);
    assert_int_equal(status, TREERING_CORRUPT_TRUNCATED);
  }
  write_file(in_scratch("cut.ring"), bytes, size - 1);
  assert_fails(open_path(in_scratch("cut.ring")), TREERING_CORRUPT_TRUNCATED, "cut.ring",
               "restore");
  assert_true(last_error.offset != TREERING_NO_OFFSET);
  free(bytes);
}

static void bytes_after_the_end_are_told_from_a_cut(void** state) {
  size_t size = 0, more;
  uint8_t* bytes = NULL;
  char end[40], extra[40];
  (void)state;
  assert_ok(save_sample(in_scratch("whole.ring"), &quick));
  bytes = read_file(in_scratch("whole.ring"), &size);
  bytes = (uint8_t*)realloc(bytes, size + 100000);
  assert_non_null(bytes);
  memset(bytes + size, 'x', 100000);
  snprintf(end, sizeof end, "at byte %d;", (int)size);
  for (more = 1; more < 60000; more *= 7) {
    write_file(in_scratch("longer.ring"), bytes, size + more);
    snprintf(extra, sizeof extra, "for %d bytes after the end", (int)more);
    assert_fails(open_path(in_scratch("longer.ring")), TREERING_CORRUPT_TRUNCATED, "longer.ring",
                 extra, end, "cut it there");
    assert_int_equal(last_error.offset, size);
  }
  /* Farther than is read, or after what is no whole end itself: then it is not known. */
  write_file(in_scratch("longer.ring"), bytes, size + 100000);
  assert_fails(open_path(in_scratch("longer.ring")), TREERING_CORRUPT_TRUNCATED, "cut off",
               "other bytes");
  bytes[size - 20] ^= 1;
  write_file(in_scratch("longer.ring"), bytes, size + 1);
  assert_fails(open_path(in_scratch("longer.ring")), TREERING_CORRUPT_TRUNCATED, "cut off",
               "other bytes");
  free(bytes);
}

static void a_flipped_byte_of_the_ends_is_a_checksum_failure(void** state) {
  size_t size = 0;
  uint8_t* bytes = NULL;
  (void)state;
  assert_ok(save_sample(in_scratch("whole.ring"), &quick));
  bytes = read_file(in_scratch("whole.ring"), &size);
  bytes[20] ^= 1;
  write_file(in_scratch("flipped.ring"), bytes, size);
  assert_fails(open_path(in_scratch("flipped.ring")), TREERING_CORRUPT_CHECKSUM, "flipped.ring",
               "header");
  bytes[20] ^= 1;
  bytes[size - 300] ^= 1;
  write_file(in_scratch("flipped.ring"), bytes, size);
  assert_fails(open_path(in_scratch("flipped.ring")), TREERING_CORRUPT_CHECKSUM, "flipped.ring");
  free(bytes);
}

static void a_flipped_byte_of_a_leaf_fails_the_read_by_its_path(void** state) {
  size_t size = 0, i;
  uint8_t* bytes = NULL;
  treering_checkpoint* checkpoint = NULL;
  treering_tree* tree = (treering_tree*)&size;
  treering_blob* view = (treering_blob*)&size;
  const float value[2] = {5000.f, 5001.f};
  (void)state;
  assert_ok(save_sample(in_scratch("whole.ring"), &quick));
  bytes = read_file(in_scratch("whole.ring"), &size);
  for (i = 0; memcmp(bytes + i, value, sizeof value) != 0; ++i) assert_true(i < size);
  bytes[i] ^= 1;
  write_file(in_scratch("flipped.ring"), bytes, size);
  assert_ok(
      treering_checkpoint_open(&checkpoint, in_scratch("flipped.ring"), TREERING_NUL, NULL, err()));
  assert_fails(treering_checkpoint_load(&tree, checkpoint, NULL, 0, NULL, err()),
               TREERING_CORRUPT_CHECKSUM, "params/kernel", "flipped.ring", "restore");
  assert_null(tree);
  assert_true(last_error.offset <= i);
  assert_fails(treering_checkpoint_view(&view, checkpoint, find_node(checkpoint, "params/kernel"),
                                        NULL, NULL, err()),
               TREERING_UNSUPPORTED_NO_VIEW, "params/kernel");
  assert_null(view);
  treering_checkpoint_free(checkpoint);
  free(bytes);
}

static void saving_into_a_missing_folder_is_not_found(void** state) {
  (void)state;
  assert_fails(save_sample(in_scratch("no/such/x.ring"), &quick), TREERING_NOT_FOUND_FILE,
               "no/such");
  assert_int_equal(scratch_entries(), 0);
}

static void an_existing_file_is_only_replaced_when_asked(void** state) {
  (void)state;
  write_file(in_scratch("old.ring"), "precious", 8);
  assert_fails(save_sample(in_scratch("old.ring"), &quick), TREERING_ALREADY_EXISTS, "old.ring",
               "overwrite");
  assert_int_equal(scratch_entries(), 1);
  assert_fails(open_path(in_scratch("old.ring")), TREERING_NOT_TREERING, "old.ring");
  assert_ok(save_sample(in_scratch("old.ring"), &replace));
  assert_ok(open_path(in_scratch("old.ring")));
  assert_int_equal(scratch_entries(), 1);
}

static int32_t broken_fill(void* user, uint64_t offset, void* dst, uint64_t size) {
  (void)user;
  memset(dst, 7, (size_t)size);
  return offset > 0 ? EIO : 0;
}

static void a_save_that_fails_half_way_leaves_the_old_file_and_nothing_else(void** state) {
  static const uint64_t shape[] = {40000000};
  treering_node nodes[2];
  treering_tree* tree = NULL;
  uint64_t id = 0, threads;
  size_t size = 0;
  uint8_t* bytes = NULL;
  (void)state;
  nodes[0] = make_node(TREERING_DICT, no_key(), 1);
  nodes[1] = make_array(text_key("weights"), TREERING_UINT8, 1, shape, NULL);
  nodes[1].fill = broken_fill;
  write_file(in_scratch("old.ring"), "precious", 8);
  assert_ok(treering_tree_create(&tree, err()));
  assert_ok(treering_tree_append(&id, tree, TREERING_NO_NODE, nodes, NODE_SIZE, 2, NULL, err()));
  for (threads = 0; threads < 3; threads += 2) {
    treering_save_options options = replace;
    options.threads = (uint32_t)threads;
    assert_fails(treering_save(in_scratch("old.ring"), TREERING_NUL, tree, &options, err()),
                 TREERING_IO, "weights", "5");
    assert_int_equal(last_error.os_error, EIO);
    assert_int_equal(scratch_entries(), 1);
    bytes = read_file(in_scratch("old.ring"), &size);
    assert_int_equal(size, 8);
    assert_memory_equal(bytes, "precious", 8);
    free(bytes);
  }
  treering_tree_free(tree);
}

static int32_t killing_fill(void* user, uint64_t offset, void* dst, uint64_t size) {
  (void)user;
  if (offset > 0) raise(SIGKILL);
  memset(dst, 7, (size_t)size);
  return 0;
}

/* The signal that ended a child which did `work`; 0 if none did. */
static int signal_of(void (*work)(void)) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void save_and_be_killed(void) {
  static const uint64_t shape[] = {40000000};
  treering_node node = make_array(no_key(), TREERING_UINT8, 1, shape, NULL);
  treering_tree* tree = NULL;
  uint64_t id = 0;
  node.fill = killing_fill;
  if (treering_tree_create(&tree, NULL) != 0 ||
      treering_tree_append(&id, tree, TREERING_NO_NODE, &node, NODE_SIZE, 1, NULL, NULL) != 0) {
    return;
  }
  treering_save(in_scratch("run.ring"), TREERING_NUL, tree, &replace, NULL);
}

/* The name of the first entry that begins with a dot and is no folder's. */
static void find_hidden(char* name, size_t room) {
  DIR* dir = opendir(scratch_folder);
  struct dirent* entry;
  name[0] = '\0';
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    if (entry->d_name[0] == '.' && strlen(entry->d_name) > 2) {
      snprintf(name, room, "%s", entry->d_name);
    }
  }
  if (dir != NULL) closedir(dir);
}

static void a_killed_save_leaves_the_old_file_and_one_temporary(void** state) {
  char name[256];
  (void)state;
  assert_ok(save_sample(in_scratch("run.ring"), &quick));
  assert_int_equal(signal_of(save_and_be_killed), SIGKILL);
  assert_ok(open_path(in_scratch("run.ring")));
  assert_int_equal(scratch_entries(), 2);
  find_hidden(name, sizeof name);
  assert_int_equal(strlen(name), strlen(".run.ring.") + 32 + strlen(".tmp"));
  assert_memory_equal(name, ".run.ring.", 10);
  assert_int_equal(strspn(name + 10, "0123456789abcdef"), 32);
  assert_string_equal(name + 42, ".tmp");
  assert_ok(save_sample(in_scratch("run.ring"), &replace));
  assert_int_equal(unlink(in_scratch(name)), 0);
  assert_ok(open_path(in_scratch("run.ring")));
}

static void touch_a_view_of_a_cut_file(void) {
  treering_open_options options = {.struct_size = sizeof options, .map = 1};
  treering_checkpoint* checkpoint = NULL;
  treering_blob* view = NULL;
  const volatile uint8_t* bytes = NULL;
  uint64_t id = 0;
  signal(SIGBUS, SIG_DFL); /* sanitizers handle it */
  if (treering_checkpoint_open(&checkpoint, in_scratch("cut.ring"), TREERING_NUL, &options, NULL) ||
      treering_checkpoint_find(&id, checkpoint, "", 0, "params/kernel", TREERING_NUL, NULL) ||
      treering_checkpoint_view(&view, checkpoint, id, NULL, NULL, NULL) ||
      truncate(in_scratch("cut.ring"), 100) != 0) {
    return;
  }
  bytes = (const volatile uint8_t*)treering_blob_data(view);
  (void)bytes[treering_blob_size(view) - 1];
}

static void a_file_cut_after_opening_ends_views_in_a_signal_and_reads_in_a_status(void** state) {
  treering_checkpoint* checkpoint = NULL;
  treering_tree* tree = (treering_tree*)&checkpoint;
  (void)state;
  assert_ok(save_sample(in_scratch("cut.ring"), &quick));
  assert_int_equal(signal_of(touch_a_view_of_a_cut_file), SIGBUS);
  assert_ok(save_sample(in_scratch("cut.ring"), &replace));
  assert_ok(
      treering_checkpoint_open(&checkpoint, in_scratch("cut.ring"), TREERING_NUL, NULL, err()));
  assert_int_equal(truncate(in_scratch("cut.ring"), 100), 0);
  assert_fails(treering_checkpoint_load(&tree, checkpoint, NULL, 0, NULL, err()),
               TREERING_CORRUPT_TRUNCATED, "cut.ring");
  assert_null(tree);
  treering_checkpoint_free(checkpoint);
}

static void a_writer_freed_before_its_end_leaves_nothing(void** state) {
  treering_writer* writer = NULL;
  sample s;
  (void)state;
  make_sample(&s);
  assert_ok(treering_writer_create(&writer, in_scratch("never.ring"), TREERING_NUL, &quick, err()));
  assert_ok(treering_writer_add_tree(writer, "default", TREERING_NUL, s.tree, err()));
  treering_writer_free(writer);
  assert_int_equal(scratch_entries(), 0);
  free_sample(&s);
}

static void a_full_disk_is_no_space_and_leaves_nothing(void** state) {
  (void)state;
  if (mount("tmpfs", scratch_folder, "tmpfs", 0, "size=64k") != 0)
    return;  // skip() is "not ok" in cmocka 1.1.5's TAP
  assert_fails(save_sample(in_scratch("full.ring"), &quick), TREERING_IO_NO_SPACE, "full.ring");
  assert_int_equal(last_error.os_error, ENOSPC);
  assert_int_equal(scratch_entries(), 0);
  assert_int_equal(umount(scratch_folder), 0);
}

static void an_unwritable_folder_is_a_permission_failure(void** state) {
  (void)state;
  const uid_t me = geteuid();
  assert_int_equal(chmod(scratch_folder, 0555), 0);
  if (me == 0) assert_int_equal(seteuid(65534), 0);  // root may write anywhere; nobody may not
  assert_fails(save_sample(in_scratch("x.ring"), &quick), TREERING_IO_PERMISSION, scratch_folder);
  if (me == 0) assert_int_equal(seteuid(me), 0);
  assert_int_equal(chmod(scratch_folder, 0700), 0);
  assert_int_equal(scratch_entries(), 0);
}

static void a_read_only_file_system_is_told(void** state) {
  (void)state;
  if (mount("tmpfs", scratch_folder, "tmpfs", MS_RDONLY, "") != 0) return;
  assert_fails(save_sample(in_scratch("x.ring"), &quick), TREERING_IO_READ_ONLY, "x.ring");
  assert_int_equal(umount(scratch_folder), 0);
}

static void a_message_is_one_line_of_text_whatever_the_file_is_called(void** state) {
  treering_checkpoint* checkpoint = NULL;
  (void)state;
  assert_fails(treering_checkpoint_open(&checkpoint, "/no\nsuch\x1b\xff\xe2\x80\xa8name",
                                        TREERING_NUL, NULL, err()),
               TREERING_NOT_FOUND_FILE,
               "'/no?such?"
               "????name'",
               "check the path");
  assert_null(checkpoint);
}

static void wrong_paths_items_and_ids_are_named(void** state) {
  treering_checkpoint* checkpoint = NULL;
  treering_tree* tree = NULL;
  uint64_t id = 9;
  (void)state;
  assert_ok(save_sample(in_scratch("a.ring"), &quick));
  assert_ok(treering_checkpoint_open(&checkpoint, in_scratch("a.ring"), TREERING_NUL, NULL, err()));
  assert_fails(
      treering_checkpoint_find(&id, checkpoint, NULL, 0, "params/kernal", TREERING_NUL, err()),
      TREERING_NOT_FOUND_PATH, "a.ring", "kernal", "kernel");
  assert_int_equal(id, 0);
  assert_fails(treering_checkpoint_find(&id, checkpoint, NULL, 0, "a/\"b", TREERING_NUL, err()),
               TREERING_INVALID_ARGUMENT, "");
  assert_fails(
      treering_checkpoint_find(&id, checkpoint, "optimizer", TREERING_NUL, "", TREERING_NUL, err()),
      TREERING_NOT_FOUND_ITEM, "optimizer", "default");
  assert_fails(treering_checkpoint_load(&tree, checkpoint, "optimizer", TREERING_NUL, NULL, err()),
               TREERING_NOT_FOUND_ITEM, "optimizer", "default");
  assert_null(tree);
  assert_fails(treering_checkpoint_children(checkpoint, 99, &id, &id, err()),
               TREERING_NOT_FOUND_PATH, "99", "10");
  treering_checkpoint_free(checkpoint);
}

static void bad_paths_to_save_to_are_refused(void** state) {
  (void)state;
  assert_fails(save_sample("", &quick), TREERING_INVALID_ARGUMENT, "");
  assert_fails(save_sample(NULL, &quick), TREERING_INVALID_ARGUMENT, "");
  assert_fails(save_sample(in_scratch(""), &quick), TREERING_INVALID_ARGUMENT, "");
}

#define TEST(name) cmocka_unit_test_teardown(name, empty_scratch)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_missing_file_is_not_found),
      TEST(an_empty_file_and_a_text_file_are_no_containers),
      TEST(a_folder_is_refused_by_name),
      TEST(a_file_cut_anywhere_is_truncated),
      TEST(bytes_after_the_end_are_told_from_a_cut),
      TEST(a_flipped_byte_of_the_ends_is_a_checksum_failure),
      TEST(a_flipped_byte_of_a_leaf_fails_the_read_by_its_path),
      TEST(saving_into_a_missing_folder_is_not_found),
      TEST(an_existing_file_is_only_replaced_when_asked),
      TEST(a_save_that_fails_half_way_leaves_the_old_file_and_nothing_else),
      TEST(a_killed_save_leaves_the_old_file_and_one_temporary),
      TEST(a_file_cut_after_opening_ends_views_in_a_signal_and_reads_in_a_status),
      TEST(a_writer_freed_before_its_end_leaves_nothing),
      TEST(a_full_disk_is_no_space_and_leaves_nothing),
      TEST(an_unwritable_folder_is_a_permission_failure),
      TEST(a_read_only_file_system_is_told),
      TEST(wrong_paths_items_and_ids_are_named),
      TEST(a_message_is_one_line_of_text_whatever_the_file_is_called),
      TEST(bad_paths_to_save_to_are_refused),
  };
  return cmocka_run_group_tests_name("capi failures", tests, make_scratch, drop_scratch);
}

/* SPDX-License-Identifier: Apache-2.0
 * A process to be killed: carries out commands on a manager's directory and judges what is in it.
 *
 * usage: crash-driver DIRECTORY COMMAND [ARGUMENT]... , or crash-driver DIRECTORY - [MARK]
 * Commands come from the arguments, where the first failure ends the process with 1, or one a line
 * from standard input. Each is answered with one JSON line; MARK is a file that also gets it, at
 * once. Trees follow from step and generation alone, so that every byte can be judged later.
 *
 *   keep N | kib N           the last N steps are kept, from the next open; size of the large leaf
 *   create | open | writer   a new directory; one that exists; either. close, wait
 *   save STEP GENERATION     also async, and overwrite, which replaces a step; delete STEP
 *   check                    lists the versions with a manager of its own, which only reads, and
 *                            compares every byte with what was handed in
 *   train                    saves one step after the other in the background, until killed
 *   watch                    restores and compares the latest, until terminated
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <treering/treering.h>
#include <unistd.h>

enum { kSmall = 5, kColumns = 256, kNodes = 4 + kSmall, kVersions = 4096, kRefused = 64 };

static const char* directory;
static treering_manager* manager;
static treering_error error;
static uint64_t keep, kib = 96;
static int mark = -1;

/* ---------------------------------------------------------------- answers */

static char line[1 << 16];
static size_t line_size;

static void Put(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int n = vsnprintf(line + line_size, sizeof line - line_size, format, arguments);
  va_end(arguments);
  if (n > 0) line_size += (size_t)n;
  if (line_size > sizeof line - 1) line_size = sizeof line - 1;
}

static void PutText(const char* name, const char* text) {
  Put(",\"%s\":\"", name);
  for (size_t n = 0; *text != 0 && n < 600; ++text, ++n) {
    Put("%c", *text < ' ' || *text == '"' || *text == '\\' ? '\'' : *text);
  }
  Put("\"");
}

/* One write each, so that a line is there or not. */
static void Send(void) {
  Put("\n");
  if (mark >= 0 && write(mark, line, line_size) < 0) exit(3);
  if (write(STDOUT_FILENO, line, line_size) < 0) exit(3);
  line_size = 0;
}

static void Begin(const char* command, treering_status status) {
  line_size = 0;
  Put("{\"command\":\"%s\",\"status\":\"%s\"", command, treering_status_name(status));
  PutText("message", status == TREERING_OK ? "" : error.message);
}

static void Forget(void) {
  memset(&error, 0, sizeof error);
  error.struct_size = sizeof error;
}

/* ---------------------------------------------------------------- trees */

static uint64_t Fill(void* data, uint64_t bytes, uint64_t seed) {
  uint64_t x = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
  uint32_t* words = data;
  for (uint64_t i = 0; i < bytes / 4; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    words[i] = (uint32_t)(x >> 32);
  }
  return x;
}

static treering_node Node(const char* key, int64_t index, int32_t kind) {
  treering_node node;
  memset(&node, 0, sizeof node);
  node.kind = kind;
  node.key.integer = index;
  node.key.kind = key != NULL ? TREERING_KEY_STRING : TREERING_KEY_INDEX;
  node.key.text = key;
  node.key.text_size = key != NULL ? strlen(key) : 0;
  return node;
}

/* {"identity": int64[3], "small": five arrays of some bytes, "weights": uint32[kib, 256]} */
static treering_status Make(treering_tree** out, int64_t step, int64_t generation, uint64_t rows) {
  static const uint64_t three = 3;
  const int64_t identity[3] = {step, generation, (int64_t)rows};
  const uint64_t seed = (uint64_t)step * 1000 + (uint64_t)generation * 10;
  uint32_t small[kSmall][64];
  uint64_t sizes[kSmall];
  treering_node nodes[kNodes];
  nodes[0] = Node(NULL, 0, TREERING_DICT);
  nodes[0].key.kind = TREERING_KEY_NONE;
  nodes[0].child_count = 3;
  nodes[1] = Node("identity", 0, TREERING_ARRAY);
  nodes[1].dtype = TREERING_INT64;
  nodes[1].rank = 1;
  nodes[1].shape = &three;
  nodes[1].data = identity;
  nodes[2] = Node("small", 0, TREERING_LIST);
  nodes[2].child_count = kSmall;
  for (int i = 0; i < kSmall; ++i) {
    treering_node* node = &nodes[3 + i];
    sizes[i] = (uint64_t)(1 + i * 15);
    Fill(small[i], sizes[i] * 4, seed + (uint64_t)i);
    *node = Node(NULL, i, TREERING_ARRAY);
    node->dtype = TREERING_UINT32;
    node->rank = 1;
    node->shape = &sizes[i];
    node->data = small[i];
  }
  const uint64_t shape[2] = {rows, kColumns};
  uint32_t* weights = malloc(rows * kColumns * 4 + 4);
  if (weights == NULL) exit(3);
  Fill(weights, rows * kColumns * 4, seed + 9);
  treering_node* last = &nodes[kNodes - 1];
  *last = Node("weights", 0, TREERING_ARRAY);
  last->dtype = TREERING_UINT32;
  last->rank = 2;
  last->shape = shape;
  last->data = weights;
  uint64_t first = 0;
  treering_status status = treering_tree_create(out, &error);
  if (status == TREERING_OK) {
    status = treering_tree_append(&first, *out, TREERING_NO_NODE, nodes, sizeof *nodes, kNodes,
                                  NULL, &error);
  }
  free(weights);
  return status;
}

/* ---------------------------------------------------------------- judging */

static char wrong[2000];
static uint64_t wrongs;

static void Wrong(int64_t step, const char* what, const char* detail) {
  const size_t used = strlen(wrong);
  snprintf(wrong + used, sizeof wrong - used, "%sstep %" PRId64 ": %s%s%s", used == 0 ? "" : "; ",
           step, what, *detail == 0 ? "" : ": ", detail);
  ++wrongs;
}

static void Compare(const treering_tree* tree, int64_t step, double generation) {
  uint64_t id = 0;
  treering_blob* blob = NULL;
  int64_t identity[3] = {-1, -1, -1};
  if (treering_tree_find(&id, tree, "identity", TREERING_NUL, &error) == TREERING_OK &&
      treering_tree_data(&blob, tree, id, &error) == TREERING_OK &&
      treering_blob_size(blob) == sizeof identity) {
    memcpy(identity, treering_blob_data(blob), sizeof identity);
  }
  treering_blob_free(blob);
  if (identity[0] != step || (double)identity[1] != generation || identity[2] < 0 ||
      identity[2] > (1 << 20)) {
    Wrong(step, "the tree is that of another step or generation", "");
    return;
  }
  treering_tree* expected = NULL;
  treering_report* report = NULL;
  if (Make(&expected, step, identity[1], (uint64_t)identity[2]) != TREERING_OK ||
      treering_tree_compare(&report, tree, expected, NULL, &error) != TREERING_OK) {
    Wrong(step, "not compared", error.message);
  } else if (treering_report_count(report) != 0) {
    Wrong(step, "other values", treering_report_text(report));
  }
  treering_report_free(report);
  treering_tree_free(expected);
}

/* Verifies and compares an open checkpoint with the tree of its step and generation. */
static void Judge(const treering_checkpoint* checkpoint, int64_t step, double generation) {
  treering_report* report = NULL;
  treering_tree* tree = NULL;
  if (treering_checkpoint_verify(&report, checkpoint, NULL, &error) != TREERING_OK ||
      treering_report_count(report) != 0) {
    Wrong(step, "not intact", error.message);
  } else if (treering_checkpoint_load(&tree, checkpoint, "", 0, NULL, &error) != TREERING_OK) {
    Wrong(step, "not loaded", error.message);
  } else {
    Compare(tree, step, generation);
  }
  treering_report_free(report);
  treering_tree_free(tree);
}

static double Generation(const treering_version_info* version) {
  if (version->metric_count != 1 || version->metrics[0].name_size != 10 ||
      memcmp(version->metrics[0].name, "generation", 10) != 0) {
    Wrong(version->step, "no metric 'generation' in its record", "");
    return -1;
  }
  return version->metrics[0].value;
}

static treering_status Open(treering_manager** out, int32_t mode) {
  treering_manager_options options;
  treering_keep_policy latest;
  memset(&options, 0, sizeof options);
  memset(&latest, 0, sizeof latest);
  options.struct_size = sizeof options;
  options.mode = mode;
  latest.kind = TREERING_KEEP_LATEST;
  latest.count = keep;
  options.keep_policies = &latest;
  options.keep_policy_size = sizeof latest;
  options.keep_policy_count = keep > 0 ? 1 : 0;
  return treering_manager_open(out, directory, TREERING_NUL, &options, &error);
}

static int Says(const treering_finding* finding, const char* words) {
  const size_t size = strlen(words);
  for (uint64_t i = 0; i + size <= finding->found_size; ++i) {
    if (memcmp(finding->found + i, words, size) == 0) return 1;
  }
  return 0;
}

/* What is in the directory that belongs to no version. */
static void PutLeftovers(const treering_manager* reader) {
  treering_report* report = NULL;
  uint64_t leftovers = 0, lone = 0, unknown = 0, count = 0;
  treering_finding finding;
  const treering_status status = treering_manager_verify(&report, reader, 1, NULL, &error);
  if (status != TREERING_OK) Wrong(-1, "verification of the directory", error.message);
  for (uint64_t i = 0; report != NULL && i < treering_report_count(report); ++i) {
    if (treering_report_findings(report, i, &finding, sizeof finding, 1, &count, &error) !=
            TREERING_OK ||
        count != 1) {
      break;
    }
    if (finding.kind == TREERING_FINDING_LEFTOVER) ++leftovers;
    if (finding.kind == TREERING_FINDING_LEFTOVER && Says(&finding, "kept: whole")) ++lone;
    if (finding.kind == TREERING_FINDING_UNKNOWN_NAME) ++unknown;
    if (finding.kind != TREERING_FINDING_LEFTOVER && finding.kind != TREERING_FINDING_UNKNOWN_NAME)
      Wrong(-1, "a finding", treering_report_text(report));
  }
  treering_report_free(report);
  Put(",\"leftovers\":%" PRIu64 ",\"lone\":%" PRIu64 ",\"unknown\":%" PRIu64, leftovers, lone,
      unknown);
}

static treering_status CheckVersions(const treering_manager* reader) {
  static treering_version_info versions[kVersions];
  uint64_t count = 0;
  treering_status status =
      treering_manager_versions(reader, 0, versions, sizeof *versions, kVersions, &count, &error);
  Begin("check", status);
  Put(",\"versions\":[");
  for (uint64_t i = 0; status == TREERING_OK && i < count; ++i) {
    const double generation = Generation(&versions[i]);
    Put("%s[%" PRId64 ",%.0f]", i == 0 ? "" : ",", versions[i].step, generation);
    treering_checkpoint* checkpoint = NULL;
    if (treering_manager_checkpoint(&checkpoint, NULL, NULL, reader, versions[i].step, NULL, NULL,
                                    &error) != TREERING_OK) {
      Wrong(versions[i].step, "not opened", error.message);
    } else {
      Judge(checkpoint, versions[i].step, generation);
    }
    treering_checkpoint_free(checkpoint);
  }
  Put("]");
  int64_t latest = -1;
  treering_checkpoint* checkpoint = NULL;
  const treering_status found = treering_manager_checkpoint(&checkpoint, &latest, NULL, reader,
                                                            TREERING_LATEST, NULL, NULL, &error);
  if (found == TREERING_OK ? count == 0 || latest != versions[count - 1].step : count != 0)
    Wrong(latest, "is not the greatest, but the latest", found == TREERING_OK ? "" : error.message);
  treering_checkpoint_free(checkpoint);
  return status;
}

static int Check(void) {
  treering_manager* reader = NULL;
  wrong[0] = 0;
  wrongs = 0;
  Forget();
  treering_status status = Open(&reader, TREERING_READ_ONLY);
  if (status == TREERING_OK) {
    status = CheckVersions(reader);
    PutLeftovers(reader);
  } else {
    Begin("check", status);
  }
  Put(",\"wrongs\":%" PRIu64, wrongs);
  PutText("wrong", wrong);
  treering_manager_free(reader);
  return status == TREERING_OK && wrongs == 0;
}

/* ---------------------------------------------------------------- saving */

enum { kOverwrite = 1, kAsync = 2 };

static treering_status StartOrSave(treering_saved* saved, treering_pending** pending, int64_t step,
                                   int64_t generation, int how) {
  treering_save_options save;
  treering_step_options options;
  memset(&save, 0, sizeof save);
  memset(&options, 0, sizeof options);
  save.struct_size = sizeof save;
  save.chunk_bytes = 16384;
  options.struct_size = sizeof options;
  options.overwrite = how & kOverwrite ? 1 : 0;
  const treering_metric metric = {"generation", 10, (double)generation};
  options.metrics = &metric;
  options.metric_size = sizeof metric;
  options.metric_count = 1;
  options.save = &save;
  treering_tree* tree = NULL;
  treering_status status = Make(&tree, step, generation, kib);
  treering_save_item item;
  memset(&item, 0, sizeof item);
  item.kind = TREERING_ITEM_TREE;
  item.tree = tree;
  memset(saved, 0, sizeof *saved);
  saved->struct_size = sizeof *saved;
  if (status == TREERING_OK && how & kAsync) {
    status = treering_manager_save_async(pending, manager, step, &item, sizeof item, 1, &options,
                                         &error);
  } else if (status == TREERING_OK) {
    status = treering_manager_save(saved, manager, step, &item, sizeof item, 1, &options, &error);
  }
  treering_tree_free(tree);
  return status;
}

static int Save(const char* command, int64_t step, int64_t generation, int how) {
  treering_saved saved;
  treering_pending* pending = NULL;
  treering_status status = StartOrSave(&saved, &pending, step, generation, how);
  if (status == TREERING_OK && pending != NULL)
    status = treering_pending_wait(&saved, pending, -1, &error);
  treering_pending_free(pending);
  Begin(command, status);
  Put(",\"step\":%" PRId64 ",\"dropped\":%" PRIu32 ",\"skipped\":%" PRIu32, step, saved.dropped,
      saved.skipped);
  if (status == TREERING_OK && saved.retention_status != TREERING_OK)
    PutText("retention", treering_status_name(saved.retention_status));
  return status == TREERING_OK;
}

/* Acknowledges each step once it is durable, while the next one is under way. */
static int Train(void) {
  treering_version_info version;
  uint64_t count = 0, position = 0;
  int64_t step = 0;
  while (treering_manager_versions(manager, position++, &version, sizeof version, 1, &count,
                                   &error) == TREERING_OK &&
         count == 1) {
    step = version.step;
  }
  treering_pending* before = NULL;
  for (;;) {
    treering_saved saved;
    treering_pending* pending = NULL;
    treering_status status = StartOrSave(&saved, &pending, ++step, 0, kAsync);
    if (status == TREERING_OK && before != NULL) {
      status = treering_pending_wait(&saved, before, -1, &error);
      treering_pending_free(before);
      if (status == TREERING_OK) status = saved.retention_status;
      if (status == TREERING_OK) {
        Begin("train", status);
        Put(",\"step\":%" PRId64 "}", saved.step);
        Send();
      }
    }
    if (status != TREERING_OK) {
      Begin("train", status);
      return 0;
    }
    before = pending;
  }
}

/* ---------------------------------------------------------------- reading */

static volatile sig_atomic_t terminated;

static void Terminate(int signal) {
  (void)signal;
  terminated = 1;
}

/* A version that was deleted meanwhile is no fault; a step that goes back is one, and none at all
 * once there was one. */
static int Watch(void) {
  treering_manager* reader = NULL;
  uint64_t restored = 0, gone = 0;
  int64_t last = -1;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = Terminate;
  sigaction(SIGTERM, &action, NULL);
  treering_status status = Open(&reader, TREERING_READ_ONLY);
  if (status != TREERING_OK) Wrong(-1, "not opened", error.message);
  while (!terminated && wrongs == 0) {
    treering_checkpoint* checkpoint = NULL;
    int64_t step = -1;
    status = treering_manager_reload(reader, &error);
    if (status == TREERING_OK) {
      status = treering_manager_checkpoint(&checkpoint, &step, NULL, reader, TREERING_LATEST, NULL,
                                           NULL, &error);
    }
    if (status == TREERING_OK) {
      if (step < last) Wrong(step, "the latest, after a greater one", "");
      last = step;
      Judge(checkpoint, step, 0);
      ++restored;
    } else if (status == TREERING_NOT_FOUND_GONE || (status == TREERING_NOT_FOUND && last < 0)) {
      ++gone;
    } else {
      Wrong(step, treering_status_name(status), error.message);
    }
    treering_checkpoint_free(checkpoint);
  }
  treering_manager_free(reader);
  Begin("watch", wrongs == 0 ? TREERING_OK : TREERING_INTERNAL);
  Put(",\"restored\":%" PRIu64 ",\"gone\":%" PRIu64 ",\"wrongs\":%" PRIu64, restored, gone, wrongs);
  PutText("wrong", wrong);
  return wrongs == 0;
}

/* ---------------------------------------------------------------- commands */

static int Close(void) {
  const treering_status status = treering_manager_close(manager, -1, &error);
  treering_manager_free(manager);
  manager = NULL;
  Begin("close", status);
  return status == TREERING_OK;
}

static int OpenWriter(const char* command, int32_t mode) {
  treering_manager_free(manager);
  manager = NULL;
  const treering_status status = Open(&manager, mode);
  Begin(command, status);
  return status == TREERING_OK;
}

static int Wait(void) {
  const treering_status status = treering_manager_wait(manager, -1, &error);
  Begin("wait", status);
  return status == TREERING_OK;
}

static int Delete(int64_t step) {
  const treering_status status = treering_manager_delete(manager, step, &error);
  Begin("delete", status);
  return status == TREERING_OK;
}

/* Carries out the command of `words`; *used says how many of them it took. */
static int Run(char** words, int count, int* used) {
  const char* command = words[0];
  int64_t numbers[2] = {0, 0};
  *used = 1;
  while (*used < count && *used < 3 && words[*used][0] >= '0' && words[*used][0] <= '9') {
    numbers[*used - 1] = strtoll(words[*used], NULL, 10);
    ++*used;
  }
  Forget();
  Begin(command, TREERING_OK);
  if (strcmp(command, "keep") == 0) return (keep = (uint64_t)numbers[0], 1);
  if (strcmp(command, "kib") == 0) return (kib = (uint64_t)numbers[0], 1);
  if (strcmp(command, "check") == 0) return Check();
  if (strcmp(command, "watch") == 0) return Watch();
  if (strcmp(command, "create") == 0) return OpenWriter(command, TREERING_CREATE_NEW);
  if (strcmp(command, "open") == 0) return OpenWriter(command, TREERING_OPEN_EXISTING);
  if (strcmp(command, "writer") == 0) return OpenWriter(command, TREERING_OPEN_OR_CREATE);
  if (manager == NULL) {
    line_size = 0;
    Put("{\"command\":\"%s\",\"status\":\"CLOSED\",\"message\":\"no manager is open\"", command);
    return 0;
  }
  if (strcmp(command, "close") == 0) return Close();
  if (strcmp(command, "wait") == 0) return Wait();
  if (strcmp(command, "delete") == 0) return Delete(numbers[0]);
  if (strcmp(command, "train") == 0) return Train();
  if (strcmp(command, "save") == 0) return Save(command, numbers[0], numbers[1], 0);
  if (strcmp(command, "async") == 0) return Save(command, numbers[0], numbers[1], kAsync);
  if (strcmp(command, "overwrite") == 0) return Save(command, numbers[0], numbers[1], kOverwrite);
  fprintf(stderr, "crash-driver: no command '%s'\n", command);
  exit(kRefused);
}

static int FromInput(void) {
  char text[256];
  while (fgets(text, sizeof text, stdin) != NULL) {
    char* words[4];
    int count = 0, used = 0;
    for (char* word = strtok(text, " \n"); word != NULL && count < 4; word = strtok(NULL, " \n"))
      words[count++] = word;
    if (count == 0) continue;
    Run(words, count, &used);
    Put("}");
    Send();
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fputs("usage: crash-driver DIRECTORY COMMAND... | -\n", stderr);
    return kRefused;
  }
  directory = argv[1];
  int status = 0;
  if (strcmp(argv[2], "-") == 0) {
    if (argc > 3) mark = open(argv[3], O_WRONLY | O_CLOEXEC);
    if (argc > 3 && mark < 0) return kRefused;
    status = FromInput();
  } else {
    for (int i = 2, used = 0; i < argc && status == 0; i += used) {
      status = Run(argv + i, argc - i, &used) ? 0 : 1;
      Put("}");
      Send();
    }
  }
  treering_manager_free(manager);
  return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * One contender of the benchmark in a process of its own: treering from C, or the raw limits of
 * this machine.
 *
 * usage: driver treering|raw_write|raw_direct
 * Reads lines "OP WORKLOAD PATH" from standard input and answers each with one JSON line: seconds,
 * bytes, and the peak of resident memory above what there was before the operation. OP is save,
 * load or first (open and read one leaf). The data are made once for each workload and pre-touched;
 * the first repeat of everything is dropped by the caller.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <treering/treering.h>
#include <unistd.h>

enum { kPiece = 1 << 20, kRing = 8 };

struct workload {
  const char* name;
  uint64_t leaves;
  uint64_t leaf_bytes;
  uint8_t* data; /* leaves * leaf_bytes, 4096-aligned */
  treering_node* nodes;
  char (*keys)[32];
};

static struct workload workloads[] = {
    {"big", 64, 16u << 20, NULL, NULL, NULL},
    {"small", 100000, 256, NULL, NULL, NULL},
    {"million", 1000000, 16, NULL, NULL, NULL},
};

static void die(const char* what) {
  fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void check(treering_status status, const treering_error* error) {
  if (status == TREERING_OK) return;
  fprintf(stderr, "driver: %s: %s\n", treering_status_name(status), error->message);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A field of /proc/self/status in KiB. */
static long status_kib(const char* field) {
  char line[256];
  long value = -1;
  FILE* f = fopen("/proc/self/status", "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    if (strncmp(line, field, strlen(field)) == 0)
      value = strtol(line + strlen(field) + 1, NULL, 10);
  }
  if (f != NULL) fclose(f);
  return value;
}

/* Makes VmHWM start again from here. */
static long reset_peak(void) {
  FILE* f = fopen("/proc/self/clear_refs", "w");
  if (f != NULL) {
    fputs("5", f);
    fclose(f);
  }
  return status_kib("VmRSS:");
}

static void fill_random(uint8_t* p, uint64_t n) {
  uint64_t x = 0x9e3779b97f4a7c15u;
  for (uint64_t i = 0; i + 8 <= n; i += 8) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    memcpy(p + i, &x, 8);
  }
}

static void make_nodes(struct workload* w) {
  w->nodes = calloc(w->leaves + 1, sizeof *w->nodes);
  w->keys = calloc(w->leaves, sizeof *w->keys);
  if (w->nodes == NULL || w->keys == NULL) die("calloc");
  w->nodes[0].kind = TREERING_DICT;
  w->nodes[0].child_count = w->leaves;
  uint64_t* own = malloc(sizeof *own);
  if (own == NULL) die("malloc");
  *own = w->leaf_bytes / 4;
  for (uint64_t i = 0; i < w->leaves; ++i) {
    treering_node* n = &w->nodes[i + 1];
    snprintf(w->keys[i], sizeof w->keys[i], "leaf%07" PRIu64, i);
    n->kind = TREERING_ARRAY;
    n->key.kind = TREERING_KEY_STRING;
    n->key.text = w->keys[i];
    n->key.text_size = strlen(w->keys[i]);
    n->dtype = TREERING_FLOAT32;
    n->rank = 1;
    n->shape = own;
    n->data = w->data + i * w->leaf_bytes;
  }
}

static struct workload* find(const char* name) {
  for (size_t i = 0; i < sizeof workloads / sizeof *workloads; ++i) {
    struct workload* w = &workloads[i];
    if (strcmp(w->name, name) != 0) continue;
    if (w->data == NULL) {
      void* p = NULL;
      if (posix_memalign(&p, 4096, w->leaves * w->leaf_bytes) != 0) die("posix_memalign");
      w->data = p;
      fill_random(w->data, w->leaves * w->leaf_bytes);
      make_nodes(w);
    }
    return w;
  }
  fprintf(stderr, "driver: no workload %s\n", name);
  exit(1);
}

/* ------------------------------------------------------------ treering */

static void release_nothing(void* user) { (void)user; }

static uint32_t bench_threads = 1;

static void treering_save_it(const struct workload* w, const char* path) {
  treering_error error = {sizeof error, 0, 0, 0, 0, ""};
  treering_save_options options = {0};
  options.struct_size = sizeof options;
  options.overwrite = 1;
  options.threads = bench_threads;
  treering_lend lend = {sizeof lend, 0, release_nothing, NULL};
  treering_tree* tree = NULL;
  uint64_t first = 0;
  check(treering_tree_create(&tree, &error), &error);
  check(treering_tree_append(&first, tree, TREERING_NO_NODE, w->nodes, sizeof *w->nodes,
                             w->leaves + 1, &lend, &error),
        &error);
  check(treering_save(path, TREERING_NUL, tree, &options, &error), &error);
  treering_tree_free(tree);
}

/* Every leaf into the memory where the workload's own data were: reused and touched. */
static void treering_load_it(const struct workload* w, const char* path) {
  treering_error error = {sizeof error, 0, 0, 0, 0, ""};
  treering_checkpoint* checkpoint = NULL;
  treering_read_options options = {0};
  options.struct_size = sizeof options;
  options.threads = bench_threads;
  check(treering_checkpoint_open(&checkpoint, path, TREERING_NUL, NULL, &error), &error);
  uint64_t root = 0, first = 0, count = 0;
  check(treering_checkpoint_find(&root, checkpoint, "", 0, "", 0, &error), &error);
  check(treering_checkpoint_children(checkpoint, root, &first, &count, &error), &error);
  treering_read* reads = calloc(count, sizeof *reads);
  if (reads == NULL) die("calloc");
  for (uint64_t i = 0; i < count; ++i) {
    reads[i].node = first + i;
    reads[i].dst = w->data + i * w->leaf_bytes;
    reads[i].dst_size = w->leaf_bytes;
  }
  check(treering_checkpoint_read(checkpoint, reads, sizeof *reads, count, &options, &error),
        &error);
  free(reads);
  treering_checkpoint_free(checkpoint);
}

static void treering_first_it(const struct workload* w, const char* path) {
  treering_error error = {sizeof error, 0, 0, 0, 0, ""};
  treering_checkpoint* checkpoint = NULL;
  uint64_t node = 0;
  char leaf[32];
  char key[32];
  snprintf(key, sizeof key, "leaf%07" PRIu64, w->leaves / 3);
  check(treering_checkpoint_open(&checkpoint, path, TREERING_NUL, NULL, &error), &error);
  check(treering_checkpoint_find(&node, checkpoint, "", 0, key, TREERING_NUL, &error), &error);
  treering_read read = {0};
  read.node = node;
  read.dst = leaf;
  read.dst_size = sizeof leaf;
  check(treering_checkpoint_read(checkpoint, &read, sizeof read, 1, NULL, &error), &error);
  treering_checkpoint_free(checkpoint);
}

/* ------------------------------------------------------------ raw limits */

static void write_all(int fd, const uint8_t* p, uint64_t n) {
  while (n != 0) {
    ssize_t done = write(fd, p, n < kPiece ? n : kPiece);
    if (done <= 0) die("write");
    p += done;
    n -= (uint64_t)done;
  }
}

static void raw_write_it(const struct workload* w, const char* path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) die(path);
  write_all(fd, w->data, w->leaves * w->leaf_bytes);
  if (fsync(fd) != 0) die("fsync");
  close(fd);
}

/* A ring of reused, aligned buffers: this thread copies, another writes past the page cache. */
struct ring {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  uint8_t* buffers;
  uint64_t filled, drained, total;
  int fd;
};

static void* drain(void* arg) {
  struct ring* r = arg;
  for (uint64_t i = 0; i < r->total; ++i) {
    pthread_mutex_lock(&r->mutex);
    while (r->filled <= i) pthread_cond_wait(&r->changed, &r->mutex);
    pthread_mutex_unlock(&r->mutex);
    if (pwrite(r->fd, r->buffers + (i % kRing) * kPiece, kPiece, (off_t)(i * kPiece)) != kPiece)
      die("pwrite");
    pthread_mutex_lock(&r->mutex);
    r->drained = i + 1;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mutex);
  }
  return NULL;
}

static void raw_direct_it(const struct workload* w, const char* path) {
  struct ring r = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0, 0, 0, -1};
  static void* buffers;
  if (buffers == NULL && posix_memalign(&buffers, 4096, (size_t)kRing * kPiece) != 0)
    die("posix_memalign");
  r.buffers = buffers;
  uint64_t bytes = w->leaves * w->leaf_bytes;
  r.total = (bytes + kPiece - 1) / kPiece;
  unlink(path);
  r.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0644);
  if (r.fd < 0) die(path);
  if (fallocate(r.fd, 0, 0, (off_t)(r.total * kPiece)) != 0 && errno != EOPNOTSUPP)
    die("fallocate");
  pthread_t thread;
  if (pthread_create(&thread, NULL, drain, &r) != 0) die("pthread_create");
  for (uint64_t i = 0; i < r.total; ++i) {
    pthread_mutex_lock(&r.mutex);
    while (i >= r.drained + kRing) pthread_cond_wait(&r.changed, &r.mutex);
    pthread_mutex_unlock(&r.mutex);
    uint64_t n = bytes - i * kPiece < kPiece ? bytes - i * kPiece : kPiece;
    memcpy(r.buffers + (i % kRing) * kPiece, w->data + i * kPiece, n);
    pthread_mutex_lock(&r.mutex);
    r.filled = i + 1;
    pthread_cond_broadcast(&r.changed);
    pthread_mutex_unlock(&r.mutex);
  }
  pthread_join(thread, NULL);
  if (ftruncate(r.fd, (off_t)bytes) != 0) die("ftruncate");
  if (fsync(r.fd) != 0) die("fsync");
  close(r.fd);
}

static void raw_load_it(const struct workload* w, const char* path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die(path);
  uint64_t n = w->leaves * w->leaf_bytes;
  uint8_t* p = w->data;
  while (n != 0) {
    ssize_t done = read(fd, p, n < kPiece ? n : kPiece);
    if (done <= 0) die("read");
    p += done;
    n -= (uint64_t)done;
  }
  close(fd);
}

/* ------------------------------------------------------------ commands */

typedef void (*operation)(const struct workload*, const char*);

static operation choose(const char* contender, const char* op) {
  if (strcmp(contender, "treering") == 0) {
    if (strcmp(op, "save") == 0) return treering_save_it;
    if (strcmp(op, "load") == 0) return treering_load_it;
    return treering_first_it;
  }
  if (strcmp(op, "load") == 0) return raw_load_it;
  return strcmp(contender, "raw_write") == 0 ? raw_write_it : raw_direct_it;
}

int main(int argc, char** argv) {
  char op[16], name[16], path[4096];
  if (argc < 2) {
    fprintf(stderr, "usage: driver treering|raw_write|raw_direct [threads]\n");
    return 2;
  }
  if (argc > 2) bench_threads = (uint32_t)strtoul(argv[2], NULL, 10);
  while (scanf("%15s %15s %4095s", op, name, path) == 3) {
    struct workload* w = find(name);
    operation run = choose(argv[1], op);
    long before = reset_peak();
    double start = now();
    run(w, path);
    double seconds = now() - start;
    printf("{\"seconds\": %.9f, \"extra_kib\": %ld}\n", seconds, status_kib("VmHWM:") - before);
    fflush(stdout);
  }
  return 0;
}

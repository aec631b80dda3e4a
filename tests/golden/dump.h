/* SPDX-License-Identifier: Apache-2.0
 * The canonical dump of tests/oracle/read_ring.py, made through the C API: a line per item and
 * node. */
#ifndef TREERING_TESTS_GOLDEN_DUMP_H_
#define TREERING_TESTS_GOLDEN_DUMP_H_

#include <stddef.h>
#include <treering/treering.h>

#ifdef __cplusplus
extern "C" {
#endif

struct text {
  char* data; /* NUL-terminated once anything was added; freed by the caller */
  size_t size;
  size_t capacity;
};

void text_add(struct text* text, const char* format, ...);
void text_free(struct text* text);

/* One line, with the data by treering_checkpoint_read. */
treering_status dump_node(struct text* out, const treering_checkpoint* checkpoint, uint64_t id,
                          treering_error* error);
/* All of them. */
treering_status dump_by_read(struct text* out, const treering_checkpoint* checkpoint,
                             treering_error* error);
/* The same by treering_checkpoint_load; the numbers of nodes are found out by a walk. */
treering_status dump_by_load(struct text* out, const treering_checkpoint* checkpoint,
                             uint32_t views, treering_error* error);
/* Views of every leaf that has one are what a read gives; the others answer NO_VIEW. Counts both;
 * INTERNAL where a view shows other bytes. */
treering_status compare_views(uint64_t* views, uint64_t* without,
                              const treering_checkpoint* checkpoint, treering_error* error);

/* A file's bytes, to be freed; NULL if it is not there. One more byte behind them is 0. */
char* read_whole(const char* path, size_t* size);

#ifdef __cplusplus
}
#endif

#endif

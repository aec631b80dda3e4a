/* SPDX-License-Identifier: Apache-2.0
 * The golden containers as trees: what the files in this folder were made of, through the C API. */
#ifndef TREERING_TESTS_GOLDEN_CASES_H_
#define TREERING_TESTS_GOLDEN_CASES_H_

#include <stddef.h>
#include <treering/treering.h>

#ifdef __cplusplus
extern "C" {
#endif

struct golden_case {
  const char* name;             /* of the file, without ".ring" */
  int compressed;               /* 1: the bytes depend on the version of libzstd */
  treering_blob* (*make)(void); /* NULL if the library refused: a message is on stderr */
};

extern const struct golden_case golden_cases[];
extern const size_t golden_case_count;

#ifdef __cplusplus
}
#endif

#endif

# SPDX-License-Identifier: Apache-2.0
# Declares the C ABI to cffi: the public header is the declaration, and the C compiler checks it.
import os
import re

import cffi

HERE = os.path.dirname(os.path.abspath(__file__))
# In a checkout the core is two folders up, in an sdist beside this file.
CORE = os.path.dirname(os.path.dirname(HERE))
if not os.path.isfile(os.path.join(CORE, "include/treering/treering.h")):
    CORE = os.path.join(HERE, "core")

BRIDGE = """
typedef struct treering_py_code {
  int32_t kind;
  uint32_t reserved;
  const treering_attribute *attributes;
  uint64_t attribute_count;
} treering_py_code;
typedef struct treering_py_memory treering_py_memory;
static treering_py_memory *treering_py_memory_new(void);
static void treering_py_memory_free(treering_py_memory *memory);
static int64_t treering_py_fill(uintptr_t keys, uintptr_t values, uintptr_t codes,
                                const treering_py_code *table, uintptr_t dtypes, int32_t target,
                                int64_t first, treering_node *nodes, treering_py_memory *memory);
static int32_t treering_py_describe(const treering_node *nodes, uint64_t count, uintptr_t keys,
                                    uintptr_t shapes, uintptr_t attributes);
static int32_t treering_py_reads(uintptr_t arrays, const uint64_t *ids, uint64_t base,
                                 const treering_node *nodes, treering_read *reads);
"""
CALLBACKS = """
extern "Python" {
void treering_py_release(void *user);
int32_t treering_py_decide(void *user, int64_t step, const treering_candidate *candidates,
                           uint64_t count);
int32_t treering_py_preserve(void *user, const treering_candidate *candidates, uint64_t count,
                             uint8_t *keep);
}
"""


def version():
    with open(os.path.join(CORE, "meson.build"), encoding="utf-8") as file:
        return re.search(r"^  version: '([^']+)'", file.read(), re.MULTILINE).group(1)


def declarations(header):
    """The header without its preprocessor lines; the compiler fills in the constants' values."""
    header = re.sub(r"^#ifdef __cplusplus\n.*?^#endif.*?\n", "", header, flags=re.DOTALL | re.MULTILINE)
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    header = re.sub(r"\s*\\\n\s*", " ", header)
    lines = []
    for line in header.splitlines():
        constant = re.match(r"#define (TREERING_\w+) \S", line)
        if constant:
            lines.append(f"#define {constant.group(1)} ...")
        elif not line.startswith("#"):
            lines.append(line)
    return "\n".join(lines)


def make():
    with open(os.path.join(CORE, "include/treering/treering.h"), encoding="utf-8") as file:
        header = file.read()
    ffi = cffi.FFI()
    ffi.cdef(declarations(header) + BRIDGE + CALLBACKS)
    ffi.set_source(
        "treering._ffi",
        '#include "bridge.h"\n',
        include_dirs=[os.path.join(CORE, "include"), os.path.join(HERE, "native")],
        libraries=["zstd", "xxhash"],
        define_macros=[("Py_LIMITED_API", "0x030A0000")] if stable_abi() else [],
    )
    return ffi


def stable_abi():
    """The stable ABI from 3.10 on; an interpreter without a GIL has none."""
    import sysconfig

    return not sysconfig.get_config_var("Py_GIL_DISABLED")


ffi = make()

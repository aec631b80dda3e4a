# SPDX-License-Identifier: Apache-2.0
# From a flattener's rows to a tree of the library, and the small calls that everything shares.
from __future__ import annotations

import os
from typing import Any

import numpy as np

from . import _dtypes
from ._errors import check, new_error
from ._ffi import ffi, lib
from ._flatten import ARRAY, INTEGER, PRNG_KEY

NODE_SIZE = ffi.sizeof("treering_node")


def options(kind: str, **fields: Any) -> Any:
    """A struct of the C ABI with its size set."""
    struct = ffi.new(f"{kind} *")
    struct.struct_size = ffi.sizeof(kind)
    for name, value in fields.items():
        setattr(struct, name, value)
    return struct


def encoded(path: Any) -> bytes:
    return os.fsencode(os.fspath(path))


def threads_for(size: int) -> int:
    """Helpers besides the calling thread: where there is enough to do for them."""
    if size < 16 << 20:
        return 0
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count - 1, 7)


def json_text(value: Any, what: str) -> bytes:
    """UTF-8 of a JSON document; what JSON does not have is refused."""
    import json

    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except TypeError as error:
        raise TypeError(f"{what} is no JSON document: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is no JSON document: {error}") from None
    # json.dumps makes strings of other keys, and then they would not come back as they were.
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"{what} is no JSON document: the key {key!r} is no string")
            stack.extend(value.values())
        elif isinstance(value, (list, tuple)):
            stack.extend(value)
    return text


def _table(rows: Any, kept: Any) -> Any:
    """The rows' codes as structs; `kept` gets what they point into."""
    table = ffi.new("treering_py_code[]", len(rows.table))
    for entry, (kind, attributes) in zip(table, rows.table):
        entry.kind = kind
        if attributes:
            array = ffi.new("treering_attribute[]", len(attributes))
            for slot, (number, value) in zip(array, attributes):
                text = ffi.from_buffer(value)
                slot.id, slot.value, slot.size = number, text, len(value)
                kept.append(text)
            kept.append(array)
            entry.attributes, entry.attribute_count = array, len(attributes)
    kept.append(table)
    return table


def _help(rows: Any, row: int, nodes: Any, kept: Any) -> Any:
    """Brings a row that the bridge could not take into a form that it can, or makes its node. Where
    to go on."""
    key, value = rows.keys[row], rows.values[row]
    if type(key) is int and not -(2**63) <= key < 2**63:
        rows.keys[row] = _integer_bytes(key)
        return row
    kind = rows.table[rows.codes[row]][0]
    if kind == INTEGER and type(value) is int:
        rows.values[row] = _integer_bytes(value)
    elif hasattr(value, "fill_node"):
        value.fill_node(nodes[row], kept)
        return row + 1
    elif kind in (ARRAY, PRNG_KEY):
        stored = _dtypes.storable(value, lambda: rows.path(row))
        if stored is value and row in rows.helped:
            raise MemoryError
        rows.helped.add(row)
        rows.values[row] = stored
    else:
        raise MemoryError
    return row


def _integer_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def build(rows: Any, lend: Any = None) -> Any:
    """A tree of the rows, which lend their memory: keep `rows` as long as the tree, or until `lend`
    (a treering_lend) has released them. A cdata that frees the tree when it goes."""
    kept: list[Any] = []
    table = _table(rows, kept)
    memory = ffi.gc(lib.treering_py_memory_new(), lib.treering_py_memory_free)
    count = len(rows.codes)
    space = np.empty(count * NODE_SIZE, np.uint8)
    nodes = ffi.from_buffer("treering_node[]", space)
    rows.helped = set()
    done = 0
    while done < count:
        done = lib.treering_py_fill(
            id(rows.keys), id(rows.values), id(rows.codes), table, id(_dtypes.NUMBERS),
            rows.target, done, nodes, memory,
        )  # fmt: skip
        if done < count:
            done = _help(rows, done, nodes, kept)
    error = new_error()
    out = ffi.new("treering_tree **")
    check(lib.treering_tree_create(out, error), error)
    tree = ffi.gc(out[0], lib.treering_tree_free)
    lend = lend or options("treering_lend")
    first = ffi.new("uint64_t *")
    check(
        lib.treering_tree_append(
            first, tree, lib.TREERING_NO_NODE, nodes, NODE_SIZE, count, lend, error
        ),
        error,
    )
    rows.memory = (memory, kept)
    return tree

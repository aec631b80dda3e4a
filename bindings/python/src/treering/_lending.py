# SPDX-License-Identifier: Apache-2.0
# Trees for a save in the background: what is lent as it is, what is copied, and until when it stays.
#
# A save in the background must not see what the program does to its arrays afterwards. A jax.Array
# never changes, and a NumPy view of it pins its buffer: one that is donated or deleted meanwhile
# stays whole, because XLA does not reuse a buffer that somebody else refers to (it takes a new one
# for the result). So JAX's arrays are lent, as are the numbers and texts that Python itself never
# changes. NumPy's arrays may change at any time: they are copied before `save` returns.
#
# The library copies all that is lent, or nothing, and does it within a budget; a few NumPy arrays
# beside JAX's are therefore copied here, and the rest is lent. What is lent is kept in `_lent` until
# the library releases it, on a thread of its own.
from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np

from . import _values
from ._ffi import ffi, lib
from ._flatten import ARRAY, PRNG_KEY, Flattener
from ._nodes import build, json_text, options
from ._calls import calling, number, user

_numbers = itertools.count(1)
_lent: dict[Any, Any] = {}  # number -> rows, which hold the memory that belongs to them


@ffi.def_extern()
def treering_py_release(pointer: Any) -> None:
    # Dropping the last reference may run any destructor, and those may not wait for this thread.
    me = threading.get_ident()
    nested = me in calling
    calling.add(me)
    try:
        _lent.pop(number(pointer), None)
    finally:
        if not nested:
            calling.discard(me)


def _is_lendable(kind: int, attributes: Any) -> Any:
    """True for rows whose memory nobody changes: JAX's, and NumPy scalars (an array of our own)."""
    if kind not in (ARRAY, PRNG_KEY):
        return True
    ids = dict(attributes)
    return ids.get(lib.TREERING_ATTR_ORIGIN) == b"jax" or lib.TREERING_ATTR_SCALAR_KIND in ids


class Prepared:
    """One item of a save: `name` and `kind`, and `rows` of a tree or the `data` of a document."""

    def __init__(self, name: str, value: Any) -> None:
        self.name = name.encode()
        self.rows: Flattener | None = None
        self.data: Any = None
        self.tree: Any = None
        if isinstance(value, _values.Json):
            self.kind, self.data = lib.TREERING_ITEM_JSON, json_text(value.value, f"item {name!r}")
        elif isinstance(value, _values.Blob):
            self.kind, self.data = lib.TREERING_ITEM_BLOB, bytes(memoryview(value.value))
        else:
            self.kind, self.rows = lib.TREERING_ITEM_TREE, Flattener().run(value)

    def changing(self) -> list[Any]:
        """Positions of the arrays that their owner may change."""
        if self.rows is None:
            return []
        codes = {i for i, entry in enumerate(self.rows.table) if not _is_lendable(*entry)}
        if not codes:
            return []
        return [i for i, code in enumerate(self.rows.codes) if code in codes]

    def copy(self, positions: list[int]) -> None:
        values = self.rows.values if self.rows is not None else []
        for i in positions:
            values[i] = np.array(values[i], copy=True, order="C")

    def bytes(self, positions: Any = None) -> Any:
        """Of the arrays at these positions, or of all."""
        if self.rows is None:
            return 0
        values = self.rows.values
        chosen = values if positions is None else [values[i] for i in positions]
        return sum(getattr(value, "nbytes", 0) for value in chosen)

    def build(self) -> None:
        """Makes the tree, for as long as this object lives."""
        if self.rows is not None:
            self.tree = build(self.rows)

    def lend(self) -> None:
        """Makes the tree; the rows stay in `_lent` until the library needs them no more."""
        if self.rows is None:
            return
        key = next(_numbers)
        lend = options("treering_lend", release=lib.treering_py_release, user=user(key))
        _lent[key] = self.rows
        try:
            self.tree = build(self.rows, lend)
        except BaseException:
            _lent.pop(key, None)  # the library has released it, or never saw it
            raise


def named(wanted: Any, items: Any) -> Any:
    """`wanted` (the tree, if any) and `items`, by name."""
    for name, value in (items or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"an item's name is a str, not {name!r}")
        if name in wanted:
            raise ValueError(f"item {name!r}: the tree itself is the item of that name")
        wanted[name] = value
    if not wanted:
        raise TypeError("save needs a tree or items")
    return wanted


def size_of(items: Any) -> Any:
    """(bytes of arrays, number of nodes) of all items."""
    return sum(item.bytes() for item in items), sum(len(item.rows.values) for item in items if item.rows)


def prepare(wanted: Any, budget: Any = None) -> Any:
    """(list of Prepared, whether to borrow, bytes of arrays) of the items `wanted`, by name.

    `budget` bounds, in bytes, what is copied here; None: nothing is, for a save that is over when
    the call returns.
    """
    items = [Prepared(name, value) for name, value in wanted.items()]
    changing = [[] if budget is None else item.changing() for item in items]
    total, _ = size_of(items)
    mutable = sum(item.bytes(found) for item, found in zip(items, changing))
    borrow = not any(changing)
    if not borrow and mutable < total and budget is not None and mutable <= budget:
        for item, found in zip(items, changing):
            if found:
                item.copy(found)
        borrow = True
    for item in items:
        item.lend()
    return items, borrow, total


def pack(items: Any) -> Any:
    """The items as the C ABI's array, and what it points into."""
    array = ffi.new("treering_save_item[]", len(items))
    kept = []
    for slot, item in zip(array, items):
        name = ffi.from_buffer("char[]", item.name)
        slot.name, slot.name_size, slot.kind = name, len(item.name), item.kind
        kept.append(name)
        if item.tree is not None:
            slot.tree = item.tree
        else:
            data = ffi.from_buffer(item.data)
            slot.data, slot.size = data, len(item.data)
            kept.append(data)
    return array, kept

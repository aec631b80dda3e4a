# SPDX-License-Identifier: Apache-2.0
# The nodes of one item of an open checkpoint, and the values they make up.
#
# A file's nodes are numbered so that children follow their parents and stand side by side, so the
# tree is made from the last node to the first, without recursion. Leaves are read by one call into
# memory that is new and each leaf's own; every byte has passed its checksum before it is seen here.
from __future__ import annotations

import sys
from typing import Any

import numpy as np

from . import _dtypes, _values
from ._errors import CorruptionError, UnsupportedError, check, new_error
from ._ffi import ffi, lib
from ._flatten import Attributes, ARRAY, BOOLEAN, BYTES, COMPLEX, FLOAT, INTEGER, PRNG_KEY, STRING
from ._nodes import NODE_SIZE, options, threads_for
from ._progress import Watch
from ._rebuild import _container, _imported_for, _key, _module, _number, _readable, _wrapped
from ._view import view_of

_LEAF_NAMES = {
    BOOLEAN: "bool", INTEGER: "int", FLOAT: "float", COMPLEX: "complex", STRING: "string", BYTES: "bytes",
    PRNG_KEY: "prng_key", ARRAY: "array",
}  # fmt: skip
_OFFSETS = {name: field.offset for name, field in ffi.typeof("treering_node").fields}
_COLUMNS = np.dtype(
    {
        "names": ["kind", "dtype", "child_count", "data_size", "alias_of"],
        "formats": ["i4", "u4", "u8", "u8", "u8"],
        "offsets": [_OFFSETS[n] for n in ("kind", "dtype", "child_count", "data_size", "alias_of")],
        "itemsize": NODE_SIZE,
    }
)


class _Nodes:
    """The nodes of an item, as columns."""

    def __init__(self, checkpoint: Any, root: int, count: int, module: Any = None) -> None:
        self.checkpoint, self.root, self.count = checkpoint, root, count
        self.module = module or _module  # how nodes of Flax find it
        self.space = np.empty(count * NODE_SIZE, np.uint8)
        self.nodes = ffi.from_buffer("treering_node[]", self.space)
        error = new_error()
        done, scratch = ffi.new("uint64_t *"), ffi.new("treering_blob **")
        check(
            lib.treering_checkpoint_nodes(
                checkpoint, root, self.nodes, NODE_SIZE, count, done, scratch, error
            ),
            error,
        )
        blob = ffi.gc(scratch[0], lib.treering_blob_free)
        self.keys: list[Any] = []
        self.shapes: list[tuple[int, ...]] = []
        self.attributes: list[Attributes] = []
        if lib.treering_py_describe(
            self.nodes, done[0], id(self.keys), id(self.shapes), id(self.attributes)
        ):
            raise MemoryError
        del blob
        columns = self.space.view(_COLUMNS)
        self.kinds = columns["kind"].tolist()
        self.dtypes = columns["dtype"].tolist()
        self.counts = columns["child_count"].tolist()
        self.sizes = columns["data_size"].tolist()
        aliases = columns["alias_of"]
        positions = np.flatnonzero(aliases != lib.TREERING_NO_NODE).tolist()
        self.aliases = [(i, int(aliases[i]) - root) for i in positions]
        for i, key in enumerate(self.keys):
            if type(key) is bytes:
                self.keys[i] = int.from_bytes(key, "little", signed=True)

    def tree(self, values: Any) -> Any:
        """The root's value; `values` holds the leaves' by position and is filled up."""
        kinds, counts, keys, attributes = self.kinds, self.counts, self.keys, self.attributes
        containers = [i for i, kind in enumerate(kinds) if kind < ARRAY]
        ends, end = [], 1
        for i in containers:
            end += counts[i]
            ends.append(end)
        if end != self.count:
            raise CorruptionError(
                f"the tree's nodes do not add up: {end} expected, {self.count} found; verify the file",
                status=lib.TREERING_CORRUPT_STRUCTURE,
            )
        for i, end in zip(reversed(containers), reversed(ends)):
            first = end - counts[i]
            values[i] = _container(
                kinds[i], attributes[i], keys[first:end], values[first:end], self.module
            )
        return values[0]

    # -- leaves

    def leaves(self, progress: Any = None, views: bool = False) -> list[Any]:
        """A list with the leaves' values at their positions."""
        values: list[Any] = [None] * self.count
        alias_at = {i for i, _ in self.aliases}
        arrays = [i for i, k in enumerate(self.kinds) if (k == ARRAY or k == PRNG_KEY) and i not in alias_at]
        numbers = [i for i, k in enumerate(self.kinds) if k > ARRAY and k != PRNG_KEY and i not in alias_at]
        viewed = self._views(arrays, values) if views else set()
        copied = [i for i in arrays if i not in viewed]
        memory = self._read(copied, numbers, progress)
        for i, array in zip(copied, memory[0]):
            values[i] = array
        self._finish(arrays, values)
        at = 0
        for i in numbers:
            end = at + self.sizes[i]
            values[i] = _number(self.kinds[i], memory[1][at:end])
            if self.attributes[i]:
                values[i] = _wrapped(self.attributes[i], values[i])
            at = end
        for i, of in self.aliases:
            values[i] = values[of]
        return values

    def _views(self, arrays: list[int], values: list[Any]) -> set[int]:
        """Sets the values of arrays that stay NumPy's to views of the mapped file; which those are."""
        viewed = set()
        for i in arrays:
            origin = dict(self.attributes[i]).get(lib.TREERING_ATTR_ORIGIN, b"")
            if self.kinds[i] != ARRAY or (origin != b"numpy" and origin.decode() in sys.modules):
                continue
            if self.dtypes[i] & 255 in (2, 4):  # packed in the file
                continue
            shape = self.shapes[i]
            dtype = _dtypes.dtype_of(self.dtypes[i])
            found = view_of(self.checkpoint, self.root + i, dtype, (0,) * len(shape), shape)
            if not isinstance(found, UnsupportedError):
                values[i] = found
                viewed.add(i)
        return viewed

    def _read(
        self, arrays: list[int], numbers: list[int], progress: Any = None
    ) -> tuple[list[Any], bytes]:
        """One call for all: (new arrays, bytes of the other leaves one after the other)."""
        known = {number: _dtypes.dtype_of(number) for number in {self.dtypes[i] for i in arrays}}
        made = [_dtypes.empty(self.shapes[i], known[self.dtypes[i]]) for i in arrays]
        sizes = [self.sizes[i] for i in numbers]
        small = bytearray(sum(sizes))
        reads = ffi.new("treering_read[]", len(arrays) + len(numbers))
        ids = np.array(arrays, np.uint64) + np.uint64(self.root)
        if lib.treering_py_reads(
            id(made), ffi.from_buffer("uint64_t[]", ids), self.root, self.nodes, reads
        ):
            raise MemoryError
        base = ffi.from_buffer(small)
        at = 0
        for slot, i, size in zip(range(len(arrays), len(reads)), numbers, sizes):
            read = reads[slot]
            read.node, read.dst, read.dst_size = self.root + i, base + at, size
            at += size
        error = new_error()
        total = sum(self.sizes[i] for i in arrays)
        threads = threads_for(total) if len(arrays) <= 4096 else 0
        size = ffi.sizeof("treering_read")
        with Watch(progress, "loading", total) as watch:
            settings = options("treering_read_options", threads=threads, **watch.fields)
            watch.check(
                lib.treering_checkpoint_read(self.checkpoint, reads, size, len(reads), settings, error),
                error,
            )
        return made, bytes(small)

    def _finish(self, arrays: list[int], values: Any) -> None:
        """NumPy arrays into what they were: scalars, JAX arrays, keys, variables."""
        # What is imported for one leaf is there for all, so that loading again gives the same.
        for module in filter(None, map(_imported_for, {id(a): a for a in self.attributes}.values())):
            _module(module)
        jax, torch = sys.modules.get("jax"), sys.modules.get("torch")
        to_jax, last, plain, origin = [], None, True, None
        special = []
        for i in arrays:
            attributes = self.attributes[i]
            if attributes is not last:
                last, found = attributes, dict(attributes)
                plain = self.kinds[i] == ARRAY and set(found) <= {lib.TREERING_ATTR_ORIGIN}
                origin = found.get(lib.TREERING_ATTR_ORIGIN)
            if origin == b"jax" and jax is not None and self.kinds[i] == ARRAY:
                to_jax.append(i)
            elif origin == b"torch" and torch is not None:
                from ._torch import to_torch

                values[i] = to_torch(torch, values[i])
            if not plain or self.kinds[i] != ARRAY:
                special.append(i)
        if to_jax:
            from ._jax import many_to_jax

            for i, array in zip(to_jax, many_to_jax(jax, [values[i] for i in to_jax])):
                values[i] = array
        for i in special:
            found = dict(self.attributes[i])
            if self.kinds[i] == PRNG_KEY:
                values[i] = _key(found, values[i])
            elif found.get(lib.TREERING_ATTR_SCALAR_KIND) == b"numpy":
                values[i] = values[i][()]
            values[i] = _wrapped(self.attributes[i], values[i])

    def abstract(self) -> list[Any]:
        values: list[Any] = [None] * self.count
        for i, kind in enumerate(self.kinds):
            if kind < ARRAY:
                continue
            found = dict(self.attributes[i])
            name = _LEAF_NAMES.get(kind, f"kind {kind}")
            dtype = None
            if kind in (ARRAY, PRNG_KEY):
                dtype = _dtypes.dtype_of(self.dtypes[i])
            values[i] = _values.AbstractLeaf(
                dtype, self.shapes[i], _readable(found), kind=name, nbytes=self.sizes[i]
            )
            values[i]._stored = self.attributes[i]
        for i, of in self.aliases:
            values[i] = values[of]
        return values

# SPDX-License-Identifier: Apache-2.0
# Arrays that lie over several devices: written by pieces, read by the boxes that devices need.
#
# A large array is written as the distinct pieces that its devices hold, each once and in the order
# of its place, straight from their memory. A small one, and one of elements narrower than a byte, is
# put together first: its parts would cost more in the index than the copy.
#
# For a target, what a device needs is a box of the stored array, however that was cut when it was
# saved. Devices that need the same box share one read. The walk over the stored nodes below only
# finds what agrees in every respect: where anything does not, the whole target goes to the library,
# which says what is wrong.
from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from . import _dtypes
from ._errors import InvalidArgumentError, new_error
from ._ffi import ffi, lib
from ._flatten import ARRAY, Flattener
from ._nodes import options, threads_for
from ._progress import Progress, Watch

_PIECES_FROM = 1 << 20  # bytes of an array


class Pieces:
    """An array as the boxes that make it up: a list of (origin, array)."""

    __slots__ = ("shape", "dtype", "nbytes", "boxes")

    def __init__(self, shape: tuple[Any, ...], dtype: Any, boxes: list[Any]) -> None:
        self.shape, self.dtype, self.boxes = shape, np.dtype(dtype), boxes
        self.nbytes = sum(array.nbytes for _, array in boxes)

    def fill_node(self, node: Any, kept: list[Any]) -> None:
        """Sets what a treering_node says of the value; `kept` gets what it points into."""
        rank = len(self.shape)
        pieces = ffi.new("treering_piece[]", len(self.boxes))
        shape = ffi.new("uint64_t[]", self.shape)
        kept.extend((pieces, shape))
        for piece, (origin, array) in zip(pieces, self.boxes):
            place = ffi.new("uint64_t[]", (*origin, *array.shape))
            strides = ffi.new("int64_t[]", array.strides)
            kept.extend((place, strides))
            piece.origin, piece.extent, piece.strides = place, place + rank, strides
            piece.data = ffi.cast("void *", array.__array_interface__["data"][0])
        node.dtype, node.rank, node.shape = _dtypes.NUMBERS[self.dtype], rank, shape
        node.pieces, node.piece_count = pieces, len(pieces)


def on_host(value: Any) -> np.ndarray | Pieces:
    """What a jax.Array holds, as NumPy's views of its memory where that is possible."""
    if value.is_fully_replicated or getattr(value.sharding, "num_devices", 1) < 2:
        return np.asarray(value)
    shards = [shard for shard in value.addressable_shards if shard.replica_id == 0]
    for shard in shards:
        shard.data.copy_to_host_async()
    boxes = [
        (tuple(cut.start or 0 for cut in shard.index), np.asarray(shard.data)) for shard in shards
    ]
    boxes.sort(key=lambda box: box[0])
    found = _dtypes.storable(boxes[0][1][:0], lambda: "a sharded array").dtype
    narrow = _dtypes.NUMBERS[found] >= _dtypes.ONE_PER_BYTE
    if value.nbytes >= _PIECES_FROM and not narrow:
        return Pieces(tuple(value.shape), value.dtype, boxes)
    whole = np.empty(value.shape, value.dtype)
    for origin, array in boxes:
        whole[tuple(slice(o, o + n) for o, n in zip(origin, array.shape))] = array
    return whole


def advice(mesh: dict[str, int], spec: list[Any], axis_types: Iterable[str]) -> tuple[Any, ...]:
    """The attribute that says how an array lay. Types of axes are told if one is not Auto."""
    told: dict[str, Any] = {"mesh": mesh, "spec": spec}
    types = list(axis_types)
    if any(name != "Auto" for name in types):
        told["axis_types"] = types
    return ((lib.TREERING_ATTR_SHARDING, json.dumps(told, default=str).encode()),)


# ---- targets


def require_divisible(shape: tuple[int, ...], sharding: Any, where: Callable[[], str]) -> None:
    """Refuses a sharding that cannot cut a shape into equal parts; `where()` quotes the leaf's path."""
    try:
        sharding.shard_shape(shape)
    except ValueError as error:
        leaf = where()
        raise InvalidArgumentError(
            f"{leaf}: the target's sharding does not fit the shape {shape}: {error}; give one whose "
            "mesh divides it, or leave the axis whole",
            status=lib.TREERING_INVALID_ARGUMENT,
            leaf=leaf[1:-1] if leaf[0] == "'" else "",
        ) from error


class Boxes:
    """A leaf of a target: the array over devices that is wanted."""

    __slots__ = ("shape", "dtype", "sharding", "node", "found")

    def __init__(self, shape: tuple[Any, ...], dtype: Any, sharding: Any) -> None:
        self.shape, self.dtype, self.sharding = tuple(shape), dtype, sharding
        self.node = 0  # of the checkpoint
        self.found: dict[tuple[Any, ...], np.ndarray] = {}  # (origin, extent) -> memory

    def place(self, index: tuple[Any, ...]) -> tuple[Any, ...]:
        """(origin, extent) of what a device has of the array."""
        bounds = [cut.indices(size) for cut, size in zip(index, self.shape)]
        return tuple(low for low, _, _ in bounds), tuple(high - low for low, high, _ in bounds)

    def plan(self) -> Iterator[tuple[Any, ...]]:
        """(place, memory) of each distinct box of the devices of this process."""
        for index in self.sharding.addressable_devices_indices_map(self.shape).values():
            place = self.place(index)
            if place not in self.found:
                self.found[place] = _dtypes.empty(place[1], self.dtype)
                yield place, self.found[place]

    def array(self) -> Any:
        jax = sys.modules["jax"]
        found, self.found = self.found, {}
        return jax.make_array_from_callback(
            self.shape, self.sharding, lambda index: found[self.place(index)]
        )


def locate(rows: Flattener, nodes: Any) -> bool:
    """Finds the stored nodes of a target's boxes. False if anything there is not as wanted."""
    first, end = {}, 1  # of the children of each stored container
    for i, kind in enumerate(nodes.kinds):
        if kind < ARRAY:
            first[i], end = end, end + nodes.counts[i]
    aliases = dict(nodes.aliases)
    stored_at: dict[int, int] = {}
    for row, stored in _walk(rows, nodes, first):
        wanted = rows.boxes.get(row)
        if wanted is None:
            continue
        stored = aliases.get(stored, stored)
        stored_at[row] = stored
        if isinstance(wanted, int):  # the same Variable again: it is to have one value
            if stored != stored_at.get(wanted):
                return False
        elif (
            nodes.kinds[stored] != ARRAY
            or nodes.shapes[stored] != wanted.shape
            or nodes.dtypes[stored] != _dtypes.NUMBERS[wanted.dtype] & 0xFFFF
        ):
            return False
        else:
            wanted.node = nodes.root + stored
    return len(stored_at) == len(rows.boxes)


def _walk(rows: Flattener, nodes: Any, first: dict[int, int]) -> Iterator[tuple[int, int]]:
    """(row, stored node) of all rows of a target that have a partner, from the root down."""
    stack: list[list[Any]] = []  # [children to come, next position, key -> stored child]
    for row, code in enumerate(rows.codes):
        while stack and stack[-1][0] == 0:
            stack.pop()
        stored: int | None = 0
        if stack:
            level = stack[-1]
            key = rows.keys[row]
            stored = level[2].get(level[1] if key is None else key)
            level[0] -= 1
            level[1] += 1
        if stored is not None:
            yield row, stored
        if rows.table[code][0] < ARRAY:
            stack.append([rows.values[row], 0, _children(nodes, first, stored)])


def _children(nodes: Any, first: dict[int, int], stored: int | None) -> dict[Any, Any]:
    if stored is None or stored not in first:
        return {}
    start = first[stored]
    keys = nodes.keys[start : start + nodes.counts[stored]]
    return {i if key is None else key: start + i for i, key in enumerate(keys)}


def read(rows: Flattener, checkpoint: Any, progress: Progress) -> None:
    """Reads the boxes of a target and puts the arrays in the place of its placeholders."""
    boxes = {row: wanted for row, wanted in rows.boxes.items() if isinstance(wanted, Boxes)}
    plan = [(wanted, place, memory) for wanted in boxes.values() for place, memory in wanted.plan()]
    reads = ffi.new("treering_read[]", len(plan))
    kept = []
    for slot, (wanted, (origin, extent), memory) in zip(reads, plan):
        corner = ffi.new("uint64_t[]", origin + extent)
        kept.append(corner)
        slot.node, slot.origin, slot.extent = wanted.node, corner, corner + len(origin)
        slot.dst = ffi.cast("void *", memory.__array_interface__["data"][0])
        slot.dst_size = memory.nbytes
        slot.one_per_byte = _dtypes.NUMBERS[wanted.dtype] >= _dtypes.ONE_PER_BYTE
    total = sum(memory.nbytes for _, _, memory in plan)
    error = new_error()
    with Watch(progress, "loading", total) as watch:
        settings = options("treering_read_options", threads=threads_for(total), **watch.fields)
        size = ffi.sizeof("treering_read")
        status = lib.treering_checkpoint_read(checkpoint, reads, size, len(plan), settings, error)
        watch.check(status, error)
    for row, wanted in boxes.items():
        rows.values[row] = wanted.array()

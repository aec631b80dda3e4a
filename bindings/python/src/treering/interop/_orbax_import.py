# SPDX-License-Identifier: Apache-2.0
# Orbax checkpoints as checkpoints of treering: one as a file, or a manager's steps as a store.
#
# The core takes a tree whole. So that a checkpoint may be larger than the memory, its arrays are read
# one by one into a temporary file beside the destination, which is mapped: the system keeps in memory
# what fits. Its space is reserved first, since a full disk behind a mapping kills the process.
from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import _flatten, _sharded
from .._errors import AlreadyExistsError, InvalidArgumentError, PathNotFoundError
from .._ffi import lib
from .._manager import CheckpointManager
from .._save import save
from .._values import Json, PRNGKey
from . import _orbax_layout as layout
from ._bytes import file_size, read_json
from ._orbax import OrbaxCheckpoint, open_orbax
from ._orbax_item import OrbaxArray, value_of

_ALIGNMENT = 64


class Imported(NamedTuple):
    """A checkpoint that was imported: its step (None for a file), what its items are called, how many
    arrays and numbers it has, their bytes, and whether it was there already and left alone."""

    step: int | None
    items: tuple[str, ...]
    arrays: int
    nbytes: int
    skipped: bool = False


class _Stored:
    """An array on its way into a tree, with the attributes that Orbax had for it."""

    __slots__ = ("array", "kind", "attributes")

    def __init__(self, array: np.ndarray[Any, Any], kind: int, attributes: _flatten.Attributes):
        self.array, self.kind, self.attributes = array, kind, attributes


def _add_stored(self: _flatten.Flattener, key: Any, value: _Stored, extra: Any) -> None:
    self.row(key, value.kind, value.attributes + extra, value.array)


_flatten._HANDLERS[_Stored] = _add_stored


def _advice(sharding: Any) -> _flatten.Attributes:
    """How the array lay on its devices, as treering notes it for a jax.Array."""
    try:
        if sharding["sharding_type"] != "NamedSharding" or math.prod(sharding["shape"]) < 2:
            return ()
        mesh = dict(zip(sharding["axis_names"], sharding["shape"]))
        types = [name.rpartition(".")[2] for name in sharding.get("axis_types") or ()]
        return _sharded.advice(mesh, sharding["partition_spec"], types)
    except (AttributeError, KeyError, TypeError):
        return ()  # advice: a checkpoint is whole without it


def _stored(leaf: OrbaxArray, value: Any) -> Any:
    attributes = _flatten.JAX + _advice(leaf.sharding)
    if isinstance(value, PRNGKey):
        impl = ((lib.TREERING_ATTR_PRNG_IMPL, value.impl.encode()),)
        return _Stored(value.words, _flatten.PRNG_KEY, impl + attributes)
    return _Stored(value, _flatten.ARRAY, attributes) if leaf.kind == "jax.Array" else value


class _Memory:
    """Where arrays are read into: the heap, or a mapped file if they are too large for `limit`."""

    def __init__(self, leaves: list[OrbaxArray], limit: int, folder: str):
        sizes = [leaf.nbytes + -leaf.nbytes % _ALIGNMENT for leaf in leaves]
        self._map: mmap.mmap | None = None
        self._used = 0
        if sum(sizes) > limit:
            with tempfile.TemporaryFile(dir=folder, prefix=".treering-import-") as file:
                os.posix_fallocate(file.fileno(), 0, sum(sizes))
                self._map = mmap.mmap(file.fileno(), sum(sizes))

    def place(self, leaf: OrbaxArray) -> np.ndarray[Any, Any] | None:
        if self._map is None or not leaf.nbytes:
            return None
        start, count = self._used, math.prod(leaf.shape)
        self._used += leaf.nbytes + -leaf.nbytes % _ALIGNMENT
        found: np.ndarray[Any, Any] = np.frombuffer(self._map, leaf.dtype, count, start)
        return found.reshape(leaf.shape)


class _Import:
    """Reads the wanted items of a checkpoint as treering takes them."""

    def __init__(
        self, source: OrbaxCheckpoint, items: Iterable[str] | None, limit: int, folder: str
    ):
        names = list(source.items) if items is None else list(items)
        unknown = [name for name in names if name not in source.items]
        if unknown or not names:
            raise PathNotFoundError(
                f"'{source.path}' has no item {', '.join(map(repr, unknown)) or 'at all'}; its items are "
                + (", ".join(map(repr, source.items)) or "none that can be recognised"),
                status=lib.TREERING_NOT_FOUND_ITEM,
            )
        self.leaves: list[OrbaxArray] = []
        for name in names:  # what cannot be read is refused before anything is
            source.lazy(name, visit=self._count)
        memory = _Memory(self.leaves, limit, folder)

        def value(leaf: Any) -> Any:
            if not isinstance(leaf, OrbaxArray):
                return leaf
            place = None if leaf.kind == "scalar" else memory.place(leaf)
            return _stored(leaf, value_of(leaf, "numpy", place))

        self.items: dict[str, Any] = {}
        for name in names:
            found = source.lazy(name, visit=value)
            is_json = source.items[name] == layout.JSON
            self.items[name or "default"] = Json(found) if is_json else found
            about = source.item_metadata(name)
            if about is not None:
                self.items[f"{name or 'default'}.custom_metadata"] = Json(about)

    def _count(self, leaf: Any) -> Any:
        if isinstance(leaf, OrbaxArray):
            self.leaves.append(leaf)
        return leaf

    def told(self, step: int | None) -> Imported:
        nbytes = sum(leaf.nbytes for leaf in self.leaves)
        return Imported(step, tuple(self.items), len(self.leaves), nbytes)


def import_orbax(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    steps: Iterable[int] | None = None,
    step: int | None = None,
    items: Iterable[str] | None = None,
    existing: str = "error",
    memory_limit: int = 1 << 30,
    report: Callable[[Imported], object] | None = None,
) -> list[Imported]:
    """Makes checkpoints of treering of those that Orbax wrote.

    A destination that ends in `.ring` becomes one file; it takes one checkpoint. Any other becomes, or
    is, a `CheckpointManager`'s directory, with the same steps, metrics and metadata; the times of
    saving are those of the import. Items keep their names, one without a name becomes "default", and
    what was saved as a tree's `custom_metadata` becomes the JSON item "<item>.custom_metadata".

    Args:
        source: the folder of an Orbax manager, of one checkpoint, or of an item.
        destination: the file or directory to write.
        steps: which ones of a manager; None: all.
        step: the number to give to one checkpoint whose folder is not named by its step.
        items: which items; None: all. One that cannot be read is an error unless it is left out here.
        existing: what to do with a step, or file, that is there: "error", "skip" or "overwrite".
        memory_limit: bytes of arrays that are held in memory; a checkpoint with more goes through a
            temporary file beside the destination, which needs that much room there.
        report: called after each checkpoint with its `Imported`.

    Returns:
        What was imported, in order.

    Raises:
        AlreadyExistsError: a step or the file is there, and `existing` is "error".
        CorruptionError, CheckpointNotFoundError, UnsupportedError: as `from_orbax`. Steps that were
            imported before stay.
    """
    if existing not in ("error", "skip", "overwrite"):
        raise InvalidArgumentError(f"existing is 'error', 'skip' or 'overwrite', not {existing!r}")
    origin, target = os.fsdecode(source), os.path.abspath(os.fsdecode(destination))
    layout.require_folder(origin)
    chosen = _chosen(origin, steps, step)
    done: list[Imported] = []
    wanted = None if items is None else list(items)
    write = _into_file if target.endswith(".ring") else _into_store
    for entry in write(origin, target, chosen, wanted, existing, memory_limit):
        done.append(entry)
        if report is not None:
            report(entry)
    return done


def _chosen(source: str, steps: Iterable[int] | None, step: int | None) -> list[OrbaxCheckpoint]:
    """The checkpoints to import, in the order of their steps."""
    if layout.is_checkpoint(source) or not layout.steps_of(source):
        if steps is not None:
            raise InvalidArgumentError(
                f"'{source}' is one checkpoint; `steps` is for a manager's folder"
            )
        found = open_orbax(source)
        found.step = found.step if step is None else step
        return [found]
    if step is not None:
        raise InvalidArgumentError(
            f"'{source}' has several steps; `step` names one that has no number"
        )
    wanted = layout.steps_of(source) if steps is None else sorted(set(steps))
    return [open_orbax(source, step=number) for number in wanted]


def _into_file(
    source: str, target: str, chosen: list[OrbaxCheckpoint], items: Any, existing: str, limit: int
) -> Iterable[Imported]:
    if len(chosen) != 1:
        raise InvalidArgumentError(
            f"'{source}' has {len(chosen)} steps and '{target}' is one file: choose a step, or give a"
            " destination that does not end in .ring"
        )
    if os.path.exists(target) and existing != "overwrite":
        if existing == "skip":
            yield Imported(chosen[0].step, (), 0, 0, skipped=True)
            return
        raise AlreadyExistsError(f"'{target}' exists", status=lib.TREERING_ALREADY_EXISTS)
    found = _Import(chosen[0], items, limit, os.path.dirname(target))
    about: dict[str, Any] = {"step": chosen[0].step, "metrics": chosen[0].metrics}
    about["custom_metadata"] = chosen[0].custom_metadata
    metadata = {name: value for name, value in about.items() if value not in (None, {})}
    save(target, items=found.items, overwrite=existing == "overwrite", metadata=metadata or None)
    yield found.told(chosen[0].step)


def _into_store(
    source: str, target: str, chosen: list[OrbaxCheckpoint], items: Any, existing: str, limit: int
) -> Iterable[Imported]:
    numbered: list[tuple[int, OrbaxCheckpoint]] = []
    for checkpoint in chosen:
        if checkpoint.step is None:
            raise InvalidArgumentError(
                f"'{checkpoint.path}' is not named by a step: give `step`, or a destination that ends in"
                " .ring"
            )
        numbered.append((checkpoint.step, checkpoint))
    with CheckpointManager(target, asynchronous=False, metadata=_root_metadata(source)) as manager:
        there = set(manager.all_steps())
        for step, checkpoint in numbered:
            if step in there and existing == "skip":
                yield Imported(step, (), 0, 0, skipped=True)
                continue
            if step in there and existing == "error":
                raise AlreadyExistsError(
                    f"step {step} of '{target}' exists", status=lib.TREERING_ALREADY_EXISTS
                )
            found = _Import(checkpoint, items, limit, target)
            manager.save(
                step, items=found.items, metrics=checkpoint.metrics or None, force=True,
                metadata=checkpoint.custom_metadata or None, overwrite=existing == "overwrite",
            )  # fmt: skip
            yield found.told(step)


def _root_metadata(source: str) -> Any:
    """What was given to the manager as metadata, if `source` is its folder."""
    for name in ("_ROOT_METADATA", "metadata"):
        path = os.path.join(source, "metadata", name)
        if file_size(path) is not None:
            return read_json(path).get("custom_metadata") or None
    return None

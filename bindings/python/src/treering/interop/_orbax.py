# SPDX-License-Identifier: Apache-2.0
# Reading Orbax checkpoints: the functions that programs call.
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .._errors import InvalidArgumentError, OutOfMemoryError, PathNotFoundError
from .._ffi import lib
from . import _orbax_layout as layout
from ._bytes import file_size, read_json
from ._faults import damaged, unsupported
from ._orbax_item import OrbaxArray, TreeItem, value_of

_DEFAULTS = ("", "default", "state", "pytree")  # what a tree without a name is called, by version
_KEY_WORDS = {2: "threefry2x32"}  # rbg and unsafe_rbg both have 4: which it was is not stored


class OrbaxCheckpoint:
    """One Orbax checkpoint, opened: what it says of itself, and its items when they are asked for.

    `path` is its folder, `step` the number in the folder's name or None, `items` the kind of each item
    by name ("tree", "json", "jax key", "numpy state", "opaque"), `metrics` and `custom_metadata` what
    was saved with it, `handlers` the names of the classes that wrote the items, `times` when saving
    began and ended (nanoseconds since 1970, or None). Nothing is kept open. Threads may share it.
    """

    def __init__(self, path: str, step: int | None):
        self.path, self.step = path, step
        self._folders = self._find()
        self.items = {name: layout.item_kind(folder) for name, folder in self._folders.items()}
        about = self._read_about()
        self.custom_metadata: Any = about.get("custom_metadata") or {}
        self.times = (about.get("init_timestamp_nsecs"), about.get("commit_timestamp_nsecs"))
        handlers = about.get("item_handlers") or {}
        self.handlers: dict[str, str] = (
            {"": handlers} if isinstance(handlers, str) else dict(handlers)
        )
        self.metrics: dict[str, Any] = dict(about.get("metrics") or {})
        if self.items.get("metrics") == layout.JSON:  # a manager with best_fn has them as an item
            self.metrics.update(read_json(layout.json_file(self._folders.pop("metrics"))))
            del self.items["metrics"]

    def _find(self) -> dict[str, str]:
        kind = layout.item_kind(self.path)
        return {"": self.path} if kind is not None else layout.find_items(self.path)

    def _read_about(self) -> dict[str, Any]:
        path = os.path.join(self.path, "_CHECKPOINT_METADATA")
        about: dict[str, Any] = read_json(path) if file_size(path) is not None else {}
        for name, kinds in (("metrics", dict), ("item_handlers", (dict, str))):
            if not isinstance(about.get(name) or {}, kinds):
                raise damaged(path, f"the field {name!r} is {about[name]!r:.80}")
        return about

    def item_metadata(self, item: str | None = None) -> Any:
        """The `custom_metadata` that was saved with a tree; None: there are none."""
        name = self._name(item)
        if self.items[name] != layout.TREE:
            return None
        return TreeItem(self._folders[name]).about.custom

    def lazy(self, item: str | None = None, *, visit: Callable[[Any], Any] | None = None) -> Any:
        """An item whose arrays and numbers are `OrbaxArray`s, read when asked for one by one.

        Args:
            item: its name; None: the one that was saved without a name, or the only one.
            visit: called with every leaf, strings and None too; what it returns takes its place.
        """
        return self._item(self._name(item), visit or (lambda leaf: leaf))

    def read(self, item: str | None = None, *, arrays: str = "numpy") -> Any:
        """An item with its values.

        Args:
            item: its name; None: the one that was saved without a name, or the only one.
            arrays: "numpy", or "jax" for jax.Array and typed keys where JAX would not narrow them.

        Raises:
            PathNotFoundError: there is no such item.
            CorruptionError, CheckpointNotFoundError: data are damaged or missing.
            UnsupportedError: something that is not read here.
            OutOfMemoryError: there are more bytes of arrays than the machine has memory.
        """
        if arrays not in ("numpy", "jax"):
            raise InvalidArgumentError(f"arrays is 'numpy' or 'jax', not {arrays!r}")

        name = self._name(item)
        library = "numpy" if self.items[name] == layout.STATE else arrays
        return self._item(name, lambda leaf: value_of(leaf, library), self._must_fit)

    def _must_fit(self, leaves: list[Any]) -> None:
        """A checkpoint of more than all memory would end the process; so would one that only says so."""
        size = sum(leaf.nbytes for leaf in leaves if isinstance(leaf, OrbaxArray))
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if size > memory:
            raise OutOfMemoryError(
                f"'{self.path}': arrays of {size} bytes, and {memory} bytes of memory: read them one by"
                " one with open_orbax(…).lazy(), or use import_orbax",
                status=lib.TREERING_NO_MEMORY,
            )

    def _name(self, item: str | None) -> str:
        if item is not None and item in self._folders:
            return item
        if item is None:
            named = [name for name in _DEFAULTS if name in self._folders]
            if named or len(self._folders) == 1:
                return named[0] if named else next(iter(self._folders))
        names = ", ".join(map(repr, self._folders)) or "none that can be recognised"
        what = f"no item {item!r}" if item is not None else "several items; name one"
        if not self._folders:
            what = "no item"
        raise PathNotFoundError(
            f"'{self.path}' has {what}: its items are {names}", status=lib.TREERING_NOT_FOUND_ITEM
        )

    def _item(
        self,
        name: str,
        value: Callable[[Any], Any],
        before: Callable[[list[Any]], object] | None = None,
    ) -> Any:
        folder, kind = self._folders[name], self.items[name]
        if kind == layout.JSON:
            return read_json(layout.json_file(folder), object)
        if kind == layout.OPAQUE:
            raise unsupported(
                f"'{folder}'", "an item in a form of its own; read its files yourself"
            )
        if kind == layout.KEY:
            return self._jax_key(folder, value)
        if kind == layout.STATE:
            return self._numpy_state(folder, value)
        if file_size(os.path.join(folder, "_METADATA")) is None:
            raise unsupported(
                f"'{folder}'",
                "a tree without _METADATA: its structure is lost, or Orbax was too old",
            )
        found = TreeItem(folder).tree(value, before)
        if self.handlers.get(name, "").endswith("ArrayCheckpointHandler"):
            return _only(found, folder)
        return found

    def _jax_key(self, folder: str, value: Callable[[Any], Any]) -> Any:
        part, about = layout.random_parts(folder)
        leaf = _only(TreeItem(part).tree(), part)
        if about["typed"] is True:
            words = leaf.shape[-1] if leaf.shape else None
            if leaf.dtype != np.uint32 or words not in _KEY_WORDS:
                raise unsupported(
                    f"'{folder}'",
                    f"a typed key of {leaf.dtype}{list(leaf.shape)}; Orbax stores no implementation"
                    " with it, and several have keys of that size",
                )
            leaf.prng_impl = _KEY_WORDS[words]
        return value(leaf)

    def _numpy_state(self, folder: str, value: Callable[[Any], Any]) -> Any:
        part, about = layout.random_parts(folder)
        state = TreeItem(part).tree(value)
        return tuple(state) if about["legacy"] is True and isinstance(state, list) else state

    def __repr__(self) -> str:
        return f"<OrbaxCheckpoint '{self.path}' step={self.step} items={self.items}>"


def _only(tree: Any, folder: str) -> Any:
    """The leaf of a tree that Orbax made around one array."""
    if not isinstance(tree, dict) or list(tree) != ["checkpoint"]:
        raise damaged(folder, "an array's folder that holds something else")
    return tree["checkpoint"]


def open_orbax(path: str | os.PathLike[str], *, step: int | None = None) -> OrbaxCheckpoint:
    """Opens an Orbax checkpoint without reading its arrays.

    Args:
        path: the folder of a checkpoint, of an item, or of a manager.
        step: which one of a manager; None: the greatest.

    Raises:
        CheckpointNotFoundError: there is no such folder.
        InvalidArgumentError: it is no Orbax checkpoint.
        PathNotFoundError: there is no such step.
    """
    return OrbaxCheckpoint(*layout.locate(os.fsdecode(path), step))


def orbax_steps(path: str | os.PathLike[str]) -> list[int]:
    """The steps in the folder of an Orbax manager, in order; unfinished ones are left out."""
    folder = os.fsdecode(path)
    layout.require_folder(folder)
    return list(layout.steps_of(folder))


def from_orbax(
    path: str | os.PathLike[str],
    *,
    step: int | None = None,
    item: str | None = None,
    arrays: str = "numpy",
) -> Any:
    """Reads an Orbax checkpoint, v0 or v1; neither orbax nor TensorStore is needed.

    The tree comes as Orbax stored it: dicts with string keys and lists; tuples and namedtuples only if
    it was saved with rich types; Python numbers and strings as such; typed PRNG keys as
    `treering.PRNGKey`, or as keys of JAX with `arrays="jax"`. What cannot be decoded is an error that
    names it. zstd, which Orbax uses, needs `pip install treering[interop]`.

    OCDBT's manifests and nodes and the index of Zarr's shards are checked against their CRC-32C. Orbax
    writes no checksum over the arrays' own bytes: damage there is found only if it breaks the
    compression or a length.

    Args:
        path: the folder of a checkpoint, of an item, or of a manager.
        step: which one of a manager; None: the greatest.
        item: which one of several; None: the one that was saved without a name, or the only one.
        arrays: "numpy" or "jax".

    Returns:
        The tree of a tree's item, the value of a JSON item, a key or NumPy's random state.

    Raises:
        CheckpointNotFoundError: (a FileNotFoundError) the folder, or data of it, are not there.
        CorruptionError: (an OSError) something is damaged.
        UnsupportedError: (a NotImplementedError) something is not read here.
        ValueError, KeyError: no Orbax checkpoint; no such step or item.
    """
    return open_orbax(path, step=step).read(item, arrays=arrays)

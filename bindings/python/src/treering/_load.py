# SPDX-License-Identifier: Apache-2.0
# load: from a file, or an item of an open checkpoint, to a tree.
from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ._errors import (
    CorruptionError,
    InvalidArgumentError,
    PathNotFoundError,
    about,
    check,
    new_error,
)
from ._ffi import ffi, lib
from ._logging import Timer
from ._nodes import encoded, options
from ._opening import AnyPath, open_path, shown
from ._progress import Progress
from ._read import _Nodes
from ._relaxed import STRICT, Relaxed
from ._restore import _restore


def load(
    path: AnyPath,
    target: Any = None,
    *,
    step: int | str | None = None,
    item: str = "",
    partial: bool = False,
    cast: str = "never",
    resize: bool = False,
    renames: Mapping[str, str] | None = None,
    return_report: bool = False,
    progress: Progress = None,
) -> Any:
    """Reads a checkpoint into new memory; every byte is verified.

    Without a target: exactly what was saved. NumPy arrays come back as such; JAX arrays as JAX
    arrays if JAX is imported, which states and typed keys do, else as NumPy arrays; tensors of torch
    as such if torch is imported, else as NumPy arrays; namedtuples as ones of the same name and
    fields; dataclasses as `Record`, or as themselves if registered; `nnx.State` as itself where Flax
    is installed.

    With a target, a tree of arrays, jax.ShapeDtypeStruct, AbstractLeaf, scalars or nnx.State:
    structure, shapes and dtypes must agree. The result has the target's node types, array library
    and shardings; of an array over several devices, each device's part is read and no more. A
    `treering.PLACEHOLDER` (`...`) in a target leaves a leaf out.

    Args:
        path: a file, or a manager's directory.
        target: what to restore into, or None.
        step: of a directory: an int; None or "latest" for the latest that is intact: a damaged
            one is a RuntimeWarning, and the one before is taken.
        item: which item of several; "": the tree that was given to `save`.
        partial: True: leaves that the checkpoint does not have keep the target's value, and those
            that the target does not have are not loaded.
        cast: "safe": another dtype than the target's is converted where that keeps every value;
            "any": in any case, as C does, integers saturating; "never".
        resize: True: an array of another shape, with as many axes, is cut or filled up with zeros at
            the end of each.
        renames: display path in the target to display path in the checkpoint, of leaves or subtrees.
        return_report: True: returns (tree, `LoadReport`), which says what was done.
        progress: True: a bar of tqdm. A function: called with the bytes done and in all, now and then.

    Raises:
        StructureMismatchError, DtypeMismatchError: (a ValueError, a TypeError) it does not fit the
            target; `report` lists all that differs.
        CheckpointNotFoundError: (a FileNotFoundError) there is no such file or step.
        CorruptionError: (an OSError) it is damaged; `leaf` says where.

    >>> treering.save("net.ring", {"w": np.ones(3, np.float32), "old": 1})
    >>> treering.load("net.ring")
    {'w': array([1., 1., 1.], dtype=float32), 'old': 1}
    >>> target = {"w": np.zeros(3, np.float64), "new": 5}
    >>> tree, report = treering.load("net.ring", target, partial=True, cast="safe", return_report=True)
    >>> tree, report.kept
    ({'w': array([1., 1., 1.]), 'new': 5}, ['new'])
    """
    relaxed = Relaxed(partial, cast, resize, renames, return_report)
    with about(shown(path)), Timer("loaded '%s'", shown(path)):
        opened = open_path(path, step)
        try:
            return load_from(opened.checkpoint, opened.name, target, item, progress, relaxed)
        except CorruptionError:
            if opened.step is None or step not in (None, "latest"):
                raise
        # What is passed over is known to be damaged now, and is warned of.
        opened = open_path(path, step, full=True)
        return load_from(opened.checkpoint, opened.name, target, item, progress, relaxed)


def load_from(
    checkpoint: Any,
    path: str,
    target: Any,
    item: str,
    progress: Progress = None,
    relaxed: Relaxed = STRICT,
    views: bool = False,
) -> Any:
    """`path` is for messages."""
    name, kind, root, count = _item(checkpoint, item, path)
    if target is None and relaxed is not STRICT and not relaxed.is_strict():
        raise ValueError("partial, cast, resize, renames and return_report need a target")
    if kind != lib.TREERING_ITEM_TREE:
        if target is not None:
            raise TypeError(f"item {name!r} is a document, not a tree; load it without a target")
        value = _Nodes(checkpoint, root, count).leaves()[0]
        if kind == lib.TREERING_ITEM_BLOB:
            return value
        import json

        return json.loads(value)
    if target is not None:
        nodes = lambda: _Nodes(checkpoint, root, count)  # noqa: E731
        try:
            return _restore(checkpoint, name, target, nodes, progress, relaxed)
        except InvalidArgumentError as error:
            if error.leaf is not None:  # of the target: the file is not named yet
                error.message = f"'{path}': {error.message}"
                error.args = (error.message,)
            raise
        except PathNotFoundError as error:
            raise relaxed.of_rename(error, path) from None
    found = _Nodes(checkpoint, root, count)
    return found.tree(found.leaves(progress, views))


def metadata_from(checkpoint: Any, path: Any, item: str) -> Any:
    _, _, root, count = _item(checkpoint, item, path)
    nodes = _Nodes(checkpoint, root, count, sys.modules.get)
    return nodes.tree(nodes.abstract())


def _items(checkpoint: Any) -> list[tuple[str, int, int, int]]:
    """(name, kind, root, number of nodes) of each item: their nodes lie one after the other."""
    error = new_error()
    out = options("treering_info")
    check(lib.treering_checkpoint_info(out, checkpoint, error), error)
    array = ffi.new("treering_item[]", int(out.item_count))
    count = ffi.new("uint64_t *")
    size = ffi.sizeof("treering_item")
    check(lib.treering_checkpoint_items(checkpoint, 0, array, size, len(array), count, error), error)
    ends = [array[i].root for i in range(1, count[0])] + [out.node_count]
    return [
        (ffi.buffer(entry.name, entry.name_size)[:].decode(), entry.kind, entry.root, end - entry.root)
        for entry, end in zip(array, ends)
    ]


def _item(checkpoint: Any, wanted: str, path: Any) -> tuple[str, int, int, int]:
    items = _items(checkpoint)
    if wanted == "":
        trees = [item for item in items if item[1] == lib.TREERING_ITEM_TREE]
        found = trees if len(trees) == 1 else [item for item in items if item[0] == "default"]
    else:
        found = [item for item in items if item[0] == wanted]
    if not found:
        names = ", ".join(repr(item[0]) for item in items)
        what = f"no item {wanted!r}" if wanted else "no single tree and no item 'default'"
        raise PathNotFoundError(
            f"{encoded(path).decode(errors='replace')}: has {what}; its items are {names}",
            status=lib.TREERING_NOT_FOUND_ITEM,
        )
    return found[0]

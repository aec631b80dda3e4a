# SPDX-License-Identifier: Apache-2.0
# load: from a file, or an item of an open checkpoint, to a tree.
from __future__ import annotations

import sys
from typing import Any

from ._errors import PathNotFoundError, about, check, new_error
from ._ffi import ffi, lib
from ._logging import Timer
from ._nodes import encoded, options
from ._opening import AnyPath, open_path, shown
from ._progress import Progress
from ._read import _Nodes
from ._restore import _restore


def load(
    path: AnyPath,
    target: Any = None,
    *,
    step: int | str | None = None,
    item: str = "",
    progress: Progress = None,
) -> Any:
    """Reads a checkpoint into new memory; every byte is verified.

    Without a target: exactly what was saved. NumPy arrays come back as such; JAX arrays as JAX
    arrays if JAX is imported, which states and typed keys do, else as NumPy arrays; namedtuples as ones of the same name and fields;
    dataclasses as `Record`, or as themselves if registered; `nnx.State` as itself where Flax is
    installed.

    With a target, a tree of arrays, jax.ShapeDtypeStruct, AbstractLeaf, scalars or nnx.State:
    structure, shapes and dtypes must agree, else StructureMismatchError lists all that does not; the
    result has the target's node types, array library and shardings. `...` in a target leaves a leaf
    out.

    `path` may be a manager's directory; `step` is an int then, or None for the latest that is
    intact. `item` names what to load from a checkpoint of several items; "" is the tree given to
    `save`. `progress` is True for a bar of tqdm, or a function of (bytes done, bytes in all). Ctrl-C
    ends a long load.
    """
    with about(shown(path)), Timer("loaded '%s'", shown(path)):
        opened = open_path(path, step)
        return load_from(opened.checkpoint, opened.name, target, item, progress)


def load_from(checkpoint: Any, path: AnyPath, target: Any, item: str, progress: Any = None) -> Any:
    """`path` is for messages."""
    name, kind, root, count = _item(checkpoint, item, path)
    if kind != lib.TREERING_ITEM_TREE:
        if target is not None:
            raise TypeError(f"item {name!r} is a document, not a tree; load it without a target")
        value = _Nodes(checkpoint, root, count).leaves()[0]
        if kind == lib.TREERING_ITEM_BLOB:
            return value
        import json

        return json.loads(value)
    if target is not None:
        return _restore(checkpoint, name, target, lambda: _Nodes(checkpoint, root, count), progress)
    nodes = _Nodes(checkpoint, root, count)
    return nodes.tree(nodes.leaves(progress))


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

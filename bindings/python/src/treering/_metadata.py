# SPDX-License-Identifier: Apache-2.0
# metadata and info: what is in a checkpoint, without reading the data of a leaf.
from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from . import _flatten
from ._display import children_of, format_tree, size_text, tree_html
from ._errors import check, new_error
from ._ffi import ffi, lib
from ._load import _item, _items
from ._nodes import options
from ._opening import AnyPath, Opened, open_path
from ._read import _Nodes
from ._values import AbstractLeaf

KINDS = {lib.TREERING_ITEM_TREE: "tree", lib.TREERING_ITEM_JSON: "json", lib.TREERING_ITEM_BLOB: "blob"}


class Metadata:
    """What `treering.metadata` tells of a checkpoint.

    It can be indexed like the tree itself, and is a target for `load`.

    Attributes:
        tree: the tree with an `AbstractLeaf` in the place of each leaf; a document is one leaf.
        item: the name of the item that `tree` is.
        items: name to kind ("tree", "json", "blob") of all items of the checkpoint.
        custom: the JSON value that was given to `save` as metadata, or None.
        step: the step, where the checkpoint is one of a manager's, else None.
        path: what was opened, for people.
        leaf_count: leaves of all items.
        raw_bytes: bytes of their data before compression.
        file_size: bytes of the file.
        format_version: (major, minor).
        content, file: the digests as hexadecimal text: of what is saved, and of how it lies there.
    """

    def __init__(self, opened: Opened, item: str) -> None:
        facts = info_of(opened.checkpoint)
        self.path, self.step = opened.name, opened.step
        self.items: dict[str, str] = facts["items"]
        self.custom: Any = facts["metadata"]
        self.leaf_count: int = facts["leaf_count"]
        self.raw_bytes: int = facts["raw_bytes"]
        self.file_size: int = facts["file_size"]
        self.format_version: tuple[int, int] = facts["format_version"]
        self.content: str = facts["content"]
        self.file: str = facts["file"]
        self.item, _, root, count = _item(opened.checkpoint, item, opened.name)
        nodes = _Nodes(opened.checkpoint, root, count, sys.modules.get)
        self.tree: Any = nodes.tree(nodes.abstract())

    def leaves(self) -> dict[str, AbstractLeaf]:
        """Display path to leaf, in the order of the tree."""
        found: dict[str, AbstractLeaf] = {}
        stack: list[tuple[str, Any]] = [("", self.tree)]
        while stack:
            path, value = stack.pop()
            children = None if isinstance(value, AbstractLeaf) else children_of(value)
            if children is not None:
                prefix = f"{path}/" if path else ""
                stack.extend((prefix + name, child) for name, child in reversed(children))
            elif isinstance(value, AbstractLeaf):
                found[path] = value
        return found

    def __getitem__(self, key: Any) -> Any:
        return self.tree[key]

    def __contains__(self, key: object) -> bool:
        return key in self.tree

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tree)

    def __len__(self) -> int:
        return len(self.tree)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metadata):
            return NotImplemented
        return self.tree == other.tree and self.items == other.items and self.custom == other.custom

    __hash__ = None  # type: ignore[assignment]

    def _title(self) -> str:
        others = [f"{name} ({kind})" for name, kind in self.items.items() if name != self.item]
        more = f"; other items: {', '.join(others)}" if others else ""
        return (
            f"{self.path}: {self.leaf_count} leaves, {size_text(self.raw_bytes)}, "
            f"file of {size_text(self.file_size)}{more}"
        )

    def __repr__(self) -> str:
        return f"<Metadata of {self._title()}\n{format_tree(self.tree)}>"

    def _repr_html_(self) -> str:
        return tree_html(self.tree, self._title())


def _as_target(flattener: Any, key: Any, value: Metadata, extra: Any) -> None:
    flattener.node(key, value.tree, extra)


_flatten._HANDLERS[Metadata] = _as_target


def metadata(path: AnyPath, *, step: int | str | None = None, item: str = "") -> Metadata:
    """What is in a checkpoint: its items, and the tree of dtypes, shapes and attributes.

    No data are read, and neither JAX nor Flax is imported: an `nnx.State` is a dict here. The result
    is a target for `load`. Any thread may call it.

    Args:
        path: a checkpoint file, or a manager's directory.
        step: of a manager's directory: an int, or None for the latest that is intact.
        item: which item's tree; "" is the tree given to `save`.

    Raises:
        CheckpointNotFoundError: (a FileNotFoundError) there is no such file or step.
        PathNotFoundError: (a KeyError) there is no such item.
        CorruptionError, NotTreeringError, UnsupportedError: the file cannot be read.

    >>> treering.save("net.ring", {"w": np.zeros((3, 4), np.float32), "step": 7})
    >>> found = treering.metadata("net.ring")
    >>> found["w"].shape, found["w"].dtype, found["w"].nbytes
    ((3, 4), dtype('float32'), 48)
    >>> found.items
    {'default': 'tree'}
    >>> target = treering.metadata("net.ring")
    >>> treering.load("net.ring", target)["step"]
    7
    """
    return Metadata(open_path(path, step), item)


def info(path: AnyPath, *, step: int | str | None = None) -> dict[str, Any]:
    """A dict about a checkpoint as a file.

    Returns:
        format_version, file_size, leaf_count, raw_bytes, the digests content and file, items (name to
        kind) and the metadata given to `save`.

    >>> treering.save("net.ring", {"step": 7}, metadata={"loss": 0.5})
    >>> treering.info("net.ring")["metadata"]
    {'loss': 0.5}
    """
    return info_of(open_path(path, step).checkpoint)


def info_of(checkpoint: Any) -> dict[str, Any]:
    error = new_error()
    out = options("treering_info")
    check(lib.treering_checkpoint_info(out, checkpoint, error), error)
    custom = None
    if out.metadata_size:
        import json

        custom = json.loads(ffi.buffer(out.metadata, out.metadata_size)[:])
    return {
        "format_version": (out.format_version >> 16, out.format_version & 0xFFFF),
        "file_size": out.file_size,
        "leaf_count": out.leaf_count,
        "raw_bytes": out.raw_bytes,
        "content": bytes(out.content).hex(),
        "file": bytes(out.file).hex(),
        "items": {name: KINDS.get(kind, str(kind)) for name, kind, _, _ in _items(checkpoint)},
        "metadata": custom,
    }

# SPDX-License-Identifier: Apache-2.0
# An open checkpoint as a mapping from paths to leaves that are read when they are asked for.
from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Union

from ._errors import PathNotFoundError, WrongStateError, about, check, error_of, new_error
from ._ffi import ffi, lib
from ._flatten import ARRAY, display
from ._leaf import LeafRef
from ._load import _item, load_from
from ._metadata import Metadata, info_of
from ._opening import AnyPath, Opened, open_path
from ._read import _Nodes

# A display path ("layers/0/kernel"), or the keys from the root ("layers", 0, "kernel").
LeafPath = Union[str, tuple[Union[str, int], ...]]


class Container(Mapping[LeafPath, LeafRef]):
    """An open checkpoint: the leaves of one item, by path.

    A mapping from display path to `LeafRef`; iterating gives display paths, in the order of the tree.
    It also takes the keys of a path as a tuple, which tells `"0"` from `0`. Close it, or use it in a
    `with` statement; leaves, arrays and views that were taken stay good. Any thread may use it.

    Attributes:
        path: what was opened, for people.
        step: the step, where the checkpoint is one of a manager's, else None.
        item: the name of the item whose leaves these are.
    """

    def __init__(self, opened: Opened, item: str, mmap: bool) -> None:
        self._opened: Opened | None = opened
        self._mmap = mmap
        self.path, self.step = opened.name, opened.step
        self.item: str
        self.item, self._kind, self._root, self._count = _item(opened.checkpoint, item, opened.name)
        self._found: dict[tuple[str | int, ...], tuple[int, str]] | None = None
        self._metadata: Metadata | None = None

    # -- the mapping

    def __getitem__(self, path: LeafPath) -> LeafRef:
        """The leaf at a path.

        Raises:
            PathNotFoundError: (a KeyError) there is no such path, or it is no leaf.
        """
        if isinstance(path, tuple):
            found = self._leaves().get(path)
            if found is None:
                raise self._missing(path)
            return LeafRef(self._checkpoint(), self.path, *found, self._mmap)
        if not isinstance(path, str):
            raise TypeError(f"a path is a str or a tuple of keys, not {path!r}")
        node = self._find(path)
        nodes = _Nodes(self._checkpoint(), node, 1)
        if nodes.kinds[0] < ARRAY:
            raise PathNotFoundError(
                f"'{path}' in {self.path} holds {nodes.counts[0]} nodes and is no leaf; its leaves "
                f"begin with '{path}/'" if path else f"the root of {self.path} is no leaf; give a path",
                status=lib.TREERING_NOT_FOUND_PATH, path=self.path, leaf=path,
            )  # fmt: skip
        return LeafRef(self._checkpoint(), self.path, node, path, self._mmap)

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, (str, tuple)):
            return False
        try:
            self[path]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[LeafPath]:
        return iter([shown for _, shown in self._leaves().values()])

    def __len__(self) -> int:
        return len(self._leaves())

    # -- beside the leaves

    @property
    def item_names(self) -> dict[str, str]:
        """Name to kind ("tree", "json", "blob") of all items."""
        return dict(self.metadata.items)

    @property
    def metadata(self) -> Metadata:
        """What `treering.metadata` says of this item."""
        if self._metadata is None:
            opened = self._opened
            self._checkpoint()
            assert opened is not None
            self._metadata = Metadata(opened, self.item)
        return self._metadata

    def info(self) -> dict[str, Any]:
        """What `treering.info` says of the checkpoint."""
        return info_of(self._checkpoint())

    def load(self, target: Any = None) -> Any:
        """The whole item, as `treering.load` gives it.

        With `mmap=True` and no target, arrays of NumPy are read-only views of the file, where its
        bytes allow that.
        """
        with about(self.path):
            return load_from(self._checkpoint(), self.path, target, self.item, views=self._mmap)

    def keys_of(self, path: str) -> tuple[str | int, ...]:
        """The keys from the root to the leaf at a display path."""
        for keys, (_, shown) in self._leaves().items():
            if shown == path:
                return keys
        raise self._missing(path)

    def close(self) -> None:
        """Lets go of the checkpoint, which stays open for the leaves that were taken. Twice is fine."""
        self._opened = None

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        if self._opened is None:
            return f"<Container of {self.path}, closed>"
        return f"<Container{repr(self.metadata).removeprefix('<Metadata')}"

    def _repr_html_(self) -> str:
        return self.metadata._repr_html_() if self._opened is not None else repr(self)

    # -- how

    def _checkpoint(self) -> Any:
        if self._opened is None:
            raise WrongStateError(
                f"the container of {self.path} is closed; open it again",
                status=lib.TREERING_WRONG_STATE_FINISHED,
            )
        return self._opened.checkpoint

    def _find(self, path: str) -> int:
        name, text = self.item.encode(), path.encode("utf-8", "surrogatepass")
        out, error = ffi.new("uint64_t *"), new_error()
        status = lib.treering_checkpoint_find(
            out, self._checkpoint(), name, len(name), text, len(text), error
        )
        if status & 255 in (lib.TREERING_NOT_FOUND, lib.TREERING_INVALID_ARGUMENT):  # no path at all
            raise self._missing(path, error_of(error).message)
        check(status, error)
        found: int = out[0]
        return found

    def _missing(self, path: LeafPath, message: str = "") -> PathNotFoundError:
        shown = "/".join(map(display, path)) if isinstance(path, tuple) else path
        return PathNotFoundError(
            message or f"{self.path} has no leaf '{shown}'",
            status=lib.TREERING_NOT_FOUND_PATH, path=self.path, leaf=shown,
        )  # fmt: skip

    def _leaves(self) -> dict[tuple[str | int, ...], tuple[int, str]]:
        """Keys to (node, display path) of all leaves, in preorder."""
        if self._found is None:
            nodes = _Nodes(self._checkpoint(), self._root, self._count, sys.modules.get)
            first, starts = 1, []
            for kind, count in zip(nodes.kinds, nodes.counts):
                starts.append(first)
                first += count if kind < ARRAY else 0
            found: dict[tuple[str | int, ...], tuple[int, str]] = {}
            stack: list[tuple[int, tuple[str | int, ...], str]] = [(0, (), "")]
            while stack:
                i, keys, shown = stack.pop()
                if nodes.kinds[i] >= ARRAY:
                    found[keys] = (self._root + i, shown)
                    continue
                for position in range(nodes.counts[i] - 1, -1, -1):
                    child = starts[i] + position
                    key = position if nodes.keys[child] is None else nodes.keys[child]
                    name = display(key)
                    stack.append((child, (*keys, key), f"{shown}/{name}" if shown else name))
            self._found = found
        return self._found


def open(
    path: AnyPath, *, step: int | str | None = None, item: str = "", mmap: bool = False
) -> Container:
    """Opens a checkpoint to read single leaves, or parts of them.

    Args:
        path: a checkpoint file, or a manager's directory.
        step: of a manager's directory: an int, or None for the latest that can be opened; leaves are
            checked when they are read.
        item: which item; "" is the tree given to `save`.
        mmap: map the file: arrays are read-only views of it where its bytes allow that, verified when
            they are made. A mapped file that somebody truncates afterwards ends the process.

    Returns:
        A `Container`, a mapping from path to `LeafRef`.

    Raises:
        CheckpointNotFoundError: (a FileNotFoundError) there is no such file or step.
        PathNotFoundError: (a KeyError) there is no such item.
        CorruptionError, NotTreeringError, UnsupportedError: the file cannot be read.

    >>> treering.save("net.ring", {"layers": [{"w": np.arange(12.0).reshape(3, 4)}], "step": 7})
    >>> with treering.open("net.ring") as container:
    ...     print(list(container))
    ...     w = container["layers/0/w"]
    ...     print(w.shape, w[1, ::2], container["layers", 0, "w"][-1, -1])
    ['layers/0/w', 'step']
    (3, 4) [4. 6.] 11.0
    """
    return Container(open_path(path, step, mmap), item, mmap)

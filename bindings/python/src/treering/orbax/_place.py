# SPDX-License-Identifier: Apache-2.0
# Where a checkpoint is: the container that a path means, its items, and its record.
"""`locate` and `Place`: from a path to a container, or to an item of one."""

from __future__ import annotations

import os
from typing import Any

import treering

from .._errors import about
from .._load import load_from, metadata_from
from .._metadata import info_of
from .._opening import open_path

KEY = "treering.orbax"
ONLY = "default"  # the item of a checkpoint that has but one
LAID_OUT = "item.ring"  # in a folder that a handler of ours was called with directly


class ItemNotFoundError(treering.PathNotFoundError, FileNotFoundError):
    """The checkpoint has no such item. A KeyError and, as its folder would be missing, this too."""


class Place:
    """An item of a container, or (`item` None) all of it.

    Attributes:
        file: the container, a str.
        item: the item that the path named, or None.
    """

    def __init__(self, file: str, item: str | None = None) -> None:
        self.file, self.item = file, item
        self._opened = open_path(file)
        info = info_of(self._opened.checkpoint)
        self._kinds: dict[str, str] = info["items"]
        metadata = info["metadata"]
        if isinstance(metadata, dict) and "treering" in metadata:  # of a manager's version
            metadata = metadata.get("metadata")
        found = metadata.get(KEY) if isinstance(metadata, dict) else None
        self.record: dict[str, Any] = found or {}
        if item is not None and item not in self.item_names():
            raise treering.CheckpointNotFoundError(
                f"Checkpoint at {file} has no item {item!r}; it has {self.item_names()}"
            )

    def item_names(self) -> list[str]:
        """The items as the program named them, sorted."""
        if self.record:
            return sorted(self.record["items"])
        return sorted(self._kinds)

    def at(self, item: str) -> Place:
        """The same container, at one item.

        Raises:
            ItemNotFoundError: (a KeyError and a FileNotFoundError) it has none of that name.
        """
        if item not in self.item_names():
            raise ItemNotFoundError(
                f'Item "{item}" was not found in the checkpoint. '
                f"Available items: {self.item_names()}"
            )
        other: Place = object.__new__(Place)
        other.__dict__.update(self.__dict__, item=item)
        return other

    def only(self) -> Place:
        """The item that the path named, else the only one, or the one named "default".

        Raises:
            KeyError: there are several, and none has that name.
        """
        names = self.item_names()
        if self.item is not None:
            return self
        return self.at(names[0] if len(names) == 1 else ONLY)

    @property
    def details(self) -> dict[str, Any]:
        """What the item's handler recorded."""
        found = self.record.get("items", {}).get(self.item)
        return found if isinstance(found, dict) else {}

    def kind(self) -> str:
        """ "tree", "json", "blob", or "files" of a handler of the program."""
        return "files" if "files" in self.details else self._kinds[str(self.item)]

    def typestr(self) -> str | None:
        """The recorded name of the item's handler; None where the container has no record."""
        found = self.record.get("item_handlers", {}).get(self.item)
        return found if isinstance(found, str) else None

    def load(self, target: Any = None) -> Any:
        """The item as `treering.load` gives it."""
        return self.part(str(self.item), target)

    def part(self, name: str, target: Any = None) -> Any:
        """An item of the container by its own name: that of a blob, say."""
        with about(self._opened.name):
            return load_from(self._opened.checkpoint, self._opened.name, target, name)

    def abstract(self) -> Any:
        """The item's tree of `treering.AbstractLeaf`."""
        with about(self._opened.name):
            return metadata_from(self._opened.checkpoint, self._opened.name, str(self.item))


def locate(path: Any) -> tuple[str, str | None]:
    """(file, item or None) of what a path means.

    `path` is a container; or `<container>/<item>`; or `<directory>/<step>` of a manager (its steps
    are no folders); or `<directory>/<step>/<item>`; or a folder that a handler was called with.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: there is a folder that holds none of these.
    """
    name = os.path.abspath(os.fsdecode(os.fspath(path)))
    parent, last = os.path.split(name)
    for candidate, item in ((name, None), (parent, last)):
        for file in (candidate, os.path.join(candidate, LAID_OUT)):
            if os.path.isfile(file):
                return file, item
        step = _step_file(candidate)
        if step is not None:
            return step, item
    if os.path.isdir(name):
        raise treering.NotTreeringError(
            f"Found incomplete checkpoint at {name}: a folder, and no checkpoint of treering; if "
            "Orbax wrote it, treering.interop.from_orbax reads it"
        )
    raise treering.CheckpointNotFoundError(f"Checkpoint at {name} not found.")


def _step_file(path: str) -> str | None:
    """The container of `<directory>/<step>`, if `directory` is a manager's."""
    directory, name = os.path.split(path)
    digits = name[len(name.rstrip("0123456789")) :]
    if not digits or not os.path.isfile(os.path.join(directory, "STORE")):
        return None
    with treering.CheckpointManager(directory, read_only=True, create=False) as manager:
        try:
            return str(manager.metadata(int(digits)).path)
        except treering.CheckpointNotFoundError:
            return None


def open_place(path: Any) -> Place:
    """The container, or its item, at a path; errors as `locate`, and those of a damaged file."""
    return Place(*locate(path))

# SPDX-License-Identifier: Apache-2.0
# The handlers that come with the package: pytrees, JSON documents, objects that save themselves.
"""`PyTreeHandler` and `JsonHandler` hand over items of a container. Called directly, by handlers of a
program that are built upon them, they write and read files of a folder like any other."""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
from collections.abc import Awaitable
from typing import Any, Optional

import treering

from .. import _restoring, _storing, _walk
from .._handling import LAID_OUT, Place
from . import _leaves
from ._files import PathAwaitingCreation


async def _nothing() -> None:
    return None


async def _answer(value: Any) -> Any:
    return value


class PyTreeHandler:
    """Pytrees of arrays, numbers and texts; takes every node type that JAX knows, and dataclasses.

    Args:
        context: whose options to follow; None: those of the active one at each call.
    """

    def __init__(self, *, context: Any = None) -> None:
        self._context = context

    def to_item(self, checkpointable: Any) -> Any:
        """The pytree as an item of a container.

        Raises:
            UnsupportedLeafError: (a ValueError and a TypeError) a leaf that cannot be stored.
        """
        return _storing.storable(checkpointable, _leaves.save_args(checkpointable, self._context))

    def from_item(self, place: Place, abstract: Any = None) -> Any:
        """The pytree, as it was saved or in the structure of `abstract`."""
        if abstract is None:
            return _leaves.plain_records(_restoring.as_saved(place))
        return _leaves.into(place, abstract, self._context)

    def describe(self, place: Place) -> Any:
        """The tree with what is known of each leaf in its place."""
        return _leaves.described(place.abstract())

    async def save(self, directory: PathAwaitingCreation, checkpointable: Any) -> Awaitable[None]:
        """Writes a container into a folder; all of it before it answers."""
        item = self.to_item(checkpointable)
        folder = await directory.await_creation()
        treering.save(folder / LAID_OUT, items={"default": item}, overwrite=True)
        return _nothing()

    async def load(self, directory: Any, abstract_checkpointable: Any = None) -> Awaitable[Any]:
        """Reads the container of a folder that `save` wrote."""
        return _answer(self.from_item(_place(directory), abstract_checkpointable))

    async def metadata(self, directory: Any) -> Any:
        """Of the container of a folder that `save` wrote."""
        return self.describe(_place(directory))

    def is_handleable(self, checkpointable: Any) -> bool:
        """Whether all leaves can be stored."""
        return all(_leaves.is_leaf(leaf) for _, leaf in _walk.leaves(checkpointable))

    def is_abstract_handleable(self, abstract_checkpointable: Any) -> Optional[bool]:
        """Whether all leaves say what they are to be."""
        return all(_leaves.is_abstract_leaf(leaf) for _, leaf in _walk.leaves(abstract_checkpointable))


def _place(directory: Any) -> Place:
    return Place(str(pathlib.Path(directory) / LAID_OUT)).only()


class JsonHandler:
    """JSON documents.

    Args:
        filename: of the file, where one is written: `data.json`.
    """

    def __init__(self, filename: Optional[str] = None) -> None:
        self._filename = filename or "data.json"

    def to_item(self, checkpointable: Any) -> Any:
        """The document as an item of a container.

        Raises:
            TypeError, ValueError: it is no JSON document (when the item is written).
        """
        return treering.Json(checkpointable)

    def from_item(self, place: Place, abstract: Any = None) -> Any:
        """The document."""
        return place.load()

    def describe(self, place: Place) -> Any:
        """None: nothing is known of a document."""
        return None

    async def save(self, directory: PathAwaitingCreation, checkpointable: Any) -> Awaitable[None]:
        """Writes the document's file into a folder."""
        text = json.dumps(checkpointable)
        folder = await directory.await_creation()
        (folder / self._filename).write_text(text)
        return _nothing()

    async def load(self, directory: Any, abstract_checkpointable: None = None) -> Awaitable[Any]:
        """Reads the document's file."""
        folder = pathlib.Path(directory)
        for name in (self._filename, "data.json", "metadata"):
            if (folder / name).is_file():
                return _answer(json.loads((folder / name).read_text()))
        raise FileNotFoundError(f"there is no JSON file in {folder}: {self._filename} is looked for")

    async def metadata(self, directory: Any) -> None:
        """None."""
        return None

    def is_handleable(self, checkpointable: Any) -> bool:
        """Whether it is a JSON document."""
        try:
            json.dumps(checkpointable)
        except (TypeError, ValueError, RecursionError):
            return False
        return True

    def is_abstract_handleable(self, abstract_checkpointable: Any) -> Optional[bool]:
        """None: as the checkpoint says."""
        return None


class MetricsHandler(JsonHandler):
    """Metrics as Orbax stores them; here they are in the record of a step."""

    def __init__(self) -> None:
        super().__init__("metrics")


def _text_format() -> Any:
    return importlib.import_module("google.protobuf.text_format")


class ProtoHandler:
    """Messages of Protocol Buffers, as text in `proto.pbtxt`; needs protobuf."""

    _file = "proto.pbtxt"

    async def save(self, directory: PathAwaitingCreation, checkpointable: Any) -> Awaitable[None]:
        """Writes the message's file into a folder."""
        text = _text_format().MessageToString(checkpointable)
        folder = await directory.await_creation()
        (folder / self._file).write_text(text)
        return _nothing()

    async def load(self, directory: Any, abstract_checkpointable: Any = None) -> Awaitable[Any]:
        """Reads a message of the class that is given.

        Raises:
            ValueError: none was given.
        """
        if abstract_checkpointable is None:
            raise ValueError("a message is loaded into its class: give that")
        text = (pathlib.Path(directory) / self._file).read_text()
        return _answer(_text_format().Parse(text, abstract_checkpointable()))

    async def metadata(self, directory: Any) -> None:
        """None: only the class knows the fields."""
        return None

    def is_handleable(self, checkpointable: Any) -> bool:
        """Whether it is a message."""
        message = sys.modules.get("google.protobuf.message")
        return message is not None and isinstance(checkpointable, message.Message)

    def is_abstract_handleable(self, abstract_checkpointable: Any) -> Optional[bool]:
        """Whether it is a class of messages."""
        message = sys.modules.get("google.protobuf.message")
        is_class = isinstance(abstract_checkpointable, type)
        return message is not None and is_class and issubclass(abstract_checkpointable, message.Message)


class StatefulHandler:
    """Objects that save and load themselves."""

    async def save(self, directory: PathAwaitingCreation, checkpointable: Any) -> Any:
        """Lets the object save itself."""
        return await checkpointable.save(directory)

    async def load(self, directory: Any, abstract_checkpointable: Any = None) -> Awaitable[Any]:
        """Lets the object load itself, and answers it.

        Raises:
            ValueError: no object was given.
        """
        if abstract_checkpointable is None:
            raise ValueError("a StatefulCheckpointable loads itself: give the object to load into")
        background = await abstract_checkpointable.load(directory)

        async def then() -> Any:
            if hasattr(background, "__await__"):
                await background
            return abstract_checkpointable

        return then()

    async def metadata(self, directory: Any) -> Any:
        """Refused.

        Raises:
            NotImplementedError: only the object knows its files.
        """
        raise NotImplementedError("a StatefulCheckpointable has no metadata")

    def is_handleable(self, checkpointable: Any) -> bool:
        """Whether it has `save` and `load`."""
        return _is_stateful(checkpointable)

    def is_abstract_handleable(self, abstract_checkpointable: Any) -> Optional[bool]:
        """Whether it has `save` and `load`."""
        return _is_stateful(abstract_checkpointable)


def _is_stateful(value: Any) -> bool:
    from .handlers import StatefulCheckpointable

    return isinstance(value, StatefulCheckpointable)


def is_native(handler: Any) -> bool:
    """Whether items can be asked of a handler: it is ours, and no subclass of the program's."""
    return type(handler) in (PyTreeHandler, JsonHandler, MetricsHandler)

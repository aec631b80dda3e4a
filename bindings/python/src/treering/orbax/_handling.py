# SPDX-License-Identifier: Apache-2.0
# From arguments and handlers to the items of a container, and from a container back.
"""What checkpointers and the manager share: preparing saves, finding checkpoints, restoring.

A checkpoint is one container. Each item of the arguments is an item of the container: a tree, a JSON
document, or, for a handler of the program, one blob for each file that it wrote, named
"<item>/<file>". The container's metadata is the record: who wrote which item, and more::

    {"treering.orbax": {
        "single": true,                       # arguments of one handler; the item is "default"
        "item_handlers": {"default": "…"},    # item: typestr of its handler
        "items": {"default": {…}},            # item: what its handler recorded (files of blobs, …)
        "custom_metadata": null, "init_timestamp_nsecs": 0}}

To save, synchronously or not::

    prepared = prepare(handler, args, custom_metadata=…, asynchronous=…)
    with prepared:                    # at the end what is left of temporary folders goes
        prepared.collect()            # waits for futures of the program's own handlers, if any
        manager.save(step, items=prepared.items, metadata=prepared.record, …)   # of treering

`prepare` validates and converts at once, and runs the program's handlers; `prepared.items` still
refers to the caller's arrays, so what copies them (`treering.CheckpointManager.save`) must be called
before the caller goes on. `prepared.has_futures` says whether `collect` may have to wait.
`handler` is a `CompositeCheckpointHandler` with `args` a Composite (several items), or any other
handler with arguments of its own (one item, named "default").

To restore::

    restore(handler, path, args)      # args None: as saved. path: see `locate`
    step_metadata(handler, path)      # a StepMetadata with item_metadata; metrics are the manager's
    open_place(path)                  # a Place: .file, .item, .record, .item_names()

Nothing here is shared between threads, except what handlers share.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import treering

from .._nodes import json_text
from . import _custom
from ._handler_base import CheckpointHandler, get_handler_type
from .composite import Composite

KEY = "treering.orbax"
ONLY = "default"  # the item of a checkpoint that has but one
LAID_OUT = "item.ring"  # in a folder that a handler of ours was called with directly


class ItemNotFoundError(treering.PathNotFoundError, FileNotFoundError):
    """The checkpoint has no such item. A KeyError and, as its folder would be missing, this too."""


class Prepared:
    """A save that is ready: `items` and `record` for the container. A context manager."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.items: dict[str, Any] = {}
        self.record = {KEY: record}
        self._folders: list[tuple[str, CheckpointHandler, pathlib.Path, list[Any]]] = []

    @property
    def has_futures(self) -> bool:
        """Whether a handler of the program has left work to futures."""
        return any(futures for _, _, _, futures in self._folders)

    def collect(self) -> None:
        """Waits for the futures and takes the files of the program's handlers into `items`."""
        for name, handler, folder, futures in self._folders:
            for future in futures:
                future.result()
            handler.finalize(folder)
            blobs, listing = _custom.take(name, folder)
            self.items.update(blobs)
            self.record[KEY]["items"][name] = listing
        self.close()

    def close(self) -> None:
        """Removes the temporary folders."""
        folders, self._folders = self._folders, []
        for _, _, folder, _ in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Prepared:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def add(self, name: str, handler: CheckpointHandler, args: Any, asynchronous: bool) -> None:
        """Adds one item by its handler."""
        record = self.record[KEY]
        record["item_handlers"][name] = _custom.typestr(handler)
        if _custom.is_native(handler):
            self.items[name], record["items"][name] = handler.to_value(args)  # type: ignore[attr-defined]
            return
        folder = pathlib.Path(tempfile.mkdtemp(prefix="treering-"))
        futures: list[Any] = []
        self._folders.append((name, handler, folder, futures))
        futures.extend(_custom.run_save(handler, folder, args, asynchronous))


def prepare(
    handler: CheckpointHandler,
    args: Any,
    *,
    custom_metadata: Any = None,
    asynchronous: bool = False,
) -> Prepared:
    """Converts arguments into items; see the module's docstring.

    Raises:
        ValueError, TypeError: what the handlers refuse; `custom_metadata` that is no JSON document.
    """
    if is_composite(handler) != isinstance(args, Mapping):
        wanted = "a Composite, one of arguments for each item" if is_composite(handler) else "no Composite"
        raise ValueError(f"{type(handler).__name__} takes {wanted}; it was given {type(args).__name__}")
    parts = handler.parts(args) if is_composite(handler) else [(ONLY, handler, args)]  # type: ignore[attr-defined]
    prepared = Prepared(_record(not is_composite(handler), custom_metadata))
    try:
        for name, item_handler, item_args in parts:
            prepared.add(name, item_handler, item_args, asynchronous)
    except BaseException:
        prepared.close()
        raise
    return prepared


def _record(single: bool, custom_metadata: Any = None) -> dict[str, Any]:
    json_text(custom_metadata, "custom_metadata")
    return {
        "single": single,
        "item_handlers": {},
        "items": {},
        "custom_metadata": custom_metadata,
        "init_timestamp_nsecs": time.time_ns(),
    }


def prepare_directly(handler: Any, args: Any) -> Prepared:
    """As `prepare`, by one of our handlers that was called itself: what a subclass overrides is not
    called again."""
    if is_composite(handler):
        return prepare(handler, args)
    prepared = Prepared(_record(True))
    record = prepared.record[KEY]
    record["item_handlers"][ONLY] = _custom.typestr(handler)
    prepared.items[ONLY], record["items"][ONLY] = handler.to_value(args)
    return prepared


def is_composite(handler: CheckpointHandler) -> bool:
    """Whether a handler takes several items."""
    return hasattr(handler, "parts")


class Place:
    """An item of a container, or (`item` None) all of it.

    Attributes:
        file: the container, a str.
        item: the item that the path named, or None.
    """

    def __init__(self, file: str, item: str | None = None) -> None:
        self.file, self.item = file, item
        info = treering.info(file)
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
                f'Item "{item}" was not found in the checkpoint. Available items: {self.item_names()}'
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
        return treering.load(self.file, target, item=str(self.item))

    def abstract(self) -> Any:
        """The item's tree of `treering.AbstractLeaf`."""
        return treering.metadata(self.file, item=str(self.item)).tree


def locate(path: Any) -> tuple[str, str | None]:
    """(file, item or None) of what a path means.

    `path` is a container; or `<container>/<item>`; or `<directory>/<step>` of a manager's directory,
    whose steps are no folders; or `<directory>/<step>/<item>`; or a folder that a handler was called
    with.

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
            f"Found incomplete checkpoint at {name}: a folder, and no checkpoint of treering; if Orbax "
            "wrote it, treering.interop.from_orbax reads it"
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


def restore(handler: CheckpointHandler, path: Any, args: Any = None) -> Any:
    """Restores what `args` ask for; None: everything, as saved.

    Args:
        handler: composite, then the result is a Composite; or another one, for a single item.
        path: see `locate`; or a Place.
        args: arguments for restoring, of the handler.

    Raises:
        KeyError: an item that is not there.
        ValueError: the handler of an item is not known here; what the item's handler refuses.
    """
    place = path if isinstance(path, Place) else open_place(path)
    if not is_composite(handler):
        return restore_item(handler, place.only(), args)
    if place.item is not None:
        place = place.at(place.item)
    wanted = args if args else dict.fromkeys(place.item_names())
    restored = {}
    for name in sorted(wanted):
        found = place.at(name)
        item_handler = handler_for(handler, found, wanted[name])
        restored[name] = restore_item(item_handler, found, wanted[name])
    return Composite(**restored)


def handler_for(composite: Any, place: Place, args: Any = None) -> CheckpointHandler:
    """The handler of an item: by its arguments, else by the composite's entries, else by the record.

    Raises:
        ValueError: none is known.
    """
    if args is not None:
        found: CheckpointHandler = composite.handler_of(place.item, args)
        return found
    known = composite.known_handler(place.item)
    if known is not None:
        return known  # type: ignore[no-any-return]
    return recorded_handler(place)


def recorded_handler(place: Place) -> CheckpointHandler:
    """A new handler of the type that the item's record names.

    Raises:
        ValueError: this program knows none of that name.
    """
    name = place.typestr()
    if name is None:
        from .handlers import by_kind

        return by_kind(place.kind())
    try:
        return get_handler_type(name)()
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'Item "{place.item}" was found in the checkpoint, but could not be restored: its handler '
            f"is {name} ({error}); give a handler registry, or arguments for restoring it"
        ) from error


def restore_item(handler: CheckpointHandler, place: Place, args: Any = None) -> Any:
    """Restores one item by a handler; `args` None: its default arguments."""
    args = _custom.default_args(handler) if args is None else args
    if _custom.is_native(handler) and place.kind() != "files":
        return handler.from_place(place, args)  # type: ignore[attr-defined]
    with _custom.laid_out(place, LAID_OUT) as folder:
        return _custom.run_restore(handler, folder, args)


def item_metadata(handler: CheckpointHandler, place: Place) -> Any:
    """What a handler tells of an item without restoring it."""
    if _custom.is_native(handler) and place.kind() != "files":
        return handler.describe(place)  # type: ignore[attr-defined]
    with _custom.laid_out(place, LAID_OUT) as folder:
        return handler.metadata(folder)


def step_metadata(handler: CheckpointHandler, path: Any) -> Any:
    """A StepMetadata of a checkpoint. Items whose handler is not known are None in it."""
    place = path if isinstance(path, Place) else open_place(path)
    found = record_metadata(place)
    if is_composite(handler):
        found.item_metadata = Composite(
            **{name: _described(handler, place.at(name)) for name in place.item_names()}
        )
    else:
        found.item_metadata = item_metadata(handler, place.only())
    return found


def record_metadata(place: Place) -> Any:
    """A StepMetadata of what the record says."""
    from .metadata import StepMetadata

    handlers: Any = {name: place.at(name).typestr() for name in place.item_names()}
    if place.record.get("single") or place.item is not None:
        handlers = place.only().typestr()
    return StepMetadata(
        item_handlers=handlers,
        init_timestamp_nsecs=place.record.get("init_timestamp_nsecs"),
        commit_timestamp_nsecs=os.stat(place.file).st_mtime_ns,
        custom_metadata=place.record.get("custom_metadata") or {},
    )


def _described(composite: Any, place: Place) -> Any:
    try:
        return item_metadata(handler_for(composite, place), place)
    except (ValueError, TypeError, NotImplementedError, FileNotFoundError):
        return None

# SPDX-License-Identifier: Apache-2.0
# From arguments and handlers to the items of a container, and from a container back.
"""What checkpointers and the manager share: preparing saves, finding checkpoints, restoring.

A checkpoint is one container. Each item of the arguments is an item of it: a tree, a JSON document,
or, for a handler of the program, one blob for each file that it wrote, named
"<item>/<file>". The container's metadata is the record: who wrote which item, and more::

    {"treering.orbax": {
        "single": true,                       # arguments of one handler; the item is "default"
        "item_handlers": {"default": "…"},    # item: typestr of its handler
        "items": {"default": {…}},            # item: what its handler recorded (files, …)
        "custom_metadata": null, "init_timestamp_nsecs": 0}}

To save, synchronously or not::

    prepared = prepare(handler, args, custom_metadata=…, asynchronous=…)
    with prepared:                    # at the end what is left of temporary folders goes
        prepared.collect()            # waits for futures of the program's own handlers, if any
        manager.save(step, items=prepared.items, metadata=prepared.record, …)   # of treering

`prepare` validates and converts at once, and runs the program's handlers; `prepared.items` still
refers to the caller's arrays, so what copies them (`treering.CheckpointManager.save`) must be
called before the caller goes on. `prepared.has_futures` says whether `collect` may have to wait.
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

from .._nodes import json_text
from . import _custom
from ._handler_base import CheckpointHandler, get_handler_type
from ._place import KEY, LAID_OUT, ONLY, ItemNotFoundError, Place, locate, open_place
from .composite import Composite

__all__ = [
    "KEY",
    "LAID_OUT",
    "ONLY",
    "ItemNotFoundError",
    "Place",
    "Prepared",
    "handler_for",
    "is_composite",
    "item_metadata",
    "locate",
    "open_place",
    "prepare",
    "prepare_directly",
    "record_metadata",
    "recorded_handler",
    "restore",
    "restore_item",
    "step_metadata",
]


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
            builtin: Any = handler
            self.items[name], record["items"][name] = builtin.to_value(args)
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
        wanted = (
            "a Composite, one of arguments for each item"
            if is_composite(handler)
            else "no Composite"
        )
        raise ValueError(
            f"{type(handler).__name__} takes {wanted}; it was given {type(args).__name__}"
        )
    composite: Any = handler
    parts = composite.parts(args) if is_composite(handler) else [(ONLY, handler, args)]
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
    """The handler of an item: by its arguments, else by the composite's entries, else as recorded.

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
            f'Item "{place.item}" was found in the checkpoint, but could not be restored: its '
            f"handler is {name} ({error}); give a handler registry, or arguments for restoring it"
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

# SPDX-License-Identifier: Apache-2.0
# Handlers of the program: run in a temporary folder, whose files are blobs of the checkpoint.
"""Runs handlers that know files only.

The folder is below Python's temporary directory (TMPDIR), and a file is in memory as a whole while
it becomes a blob or is laid out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import treering

from ._handler_base import AsyncCheckpointHandler, CheckpointHandler, register_handler_type
from .checkpoint_args import CheckpointArgs, get_registered_args_cls, register_with_handler

_LONGEST = 255  # bytes of an item's name


class BuiltInHandler(AsyncCheckpointHandler):
    """A handler that speaks of items of a container instead of files.

    `to_value(args)` gives (tree, `treering.Json` or `treering.Blob`; what to record of it),
    `from_place(place, args)` the restored object, `describe(place)` its metadata. Methods with a
    folder are for being called directly, and by handlers that are built upon this one.
    """

    def to_value(self, args: Any) -> tuple[Any, dict[str, Any]]:
        raise NotImplementedError

    def from_place(self, place: Any, args: Any) -> Any:
        raise NotImplementedError

    def describe(self, place: Any) -> Any:
        return None

    def _arguments(self, for_save: bool, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return arguments_of(self, for_save, *args, **named)

    def save(self, directory: Any, *args: Any, **kwargs: Any) -> None:
        """Writes a container into the folder `directory`; not atomic as `Checkpointer.save`."""
        from . import _handling

        wanted = self._arguments(True, args, kwargs)
        folder = pathlib.Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        with _handling.prepare_directly(self, wanted) as prepared:
            prepared.collect()
            treering.save(
                folder / _handling.LAID_OUT,
                items=prepared.items,
                metadata=prepared.record,
                overwrite=True,
            )

    async def async_save(self, directory: Any, *args: Any, **kwargs: Any) -> Any:
        """As `save`; no work is left to futures."""
        self.save(directory, *args, **kwargs)
        return []

    def restore(self, directory: Any, *args: Any, **kwargs: Any) -> Any:
        """Restores from a folder that `save` wrote, or from any path of a checkpoint."""
        from . import _handling

        wanted = self._arguments(False, args, kwargs)
        place = _handling.open_place(directory)
        if _handling.is_composite(self):
            return _handling.restore(self, place, wanted)
        place = place.only()
        if place.kind() != "files":
            return self.from_place(place, wanted)
        with laid_out(place, _handling.LAID_OUT) as folder:
            return self.restore(folder, wanted)

    def metadata(self, directory: Any) -> Any:
        """What is known of the item in a folder or at a path of a checkpoint, without its data."""
        from . import _handling

        place = _handling.open_place(directory).only()
        if place.kind() != "files":
            return self.describe(place)
        with laid_out(place, _handling.LAID_OUT) as folder:
            return self.metadata(folder)


@register_handler_type
class LegacyHandler(AsyncCheckpointHandler):
    """Around a handler that has no registered arguments: it is called with loose ones."""

    def __init__(self, handler: CheckpointHandler) -> None:
        self.handler = handler

    def save(self, directory: Any, args: LooseArgs) -> None:
        self.handler.save(directory, *args.args, **args.kwargs)

    async def async_save(self, directory: Any, args: LooseArgs) -> Any:
        if isinstance(self.handler, AsyncCheckpointHandler):
            return await self.handler.async_save(directory, *args.args, **args.kwargs)
        self.save(directory, args)
        return []

    def restore(self, directory: Any, args: LooseArgs) -> Any:
        return self.handler.restore(directory, *args.args, **args.kwargs)

    def metadata(self, directory: Any) -> Any:
        return self.handler.metadata(directory)

    def finalize(self, directory: Any) -> None:
        self.handler.finalize(directory)

    def close(self) -> None:
        self.handler.close()


@register_with_handler(LegacyHandler, for_save=True, for_restore=True)
class LooseArgs(CheckpointArgs):
    """Positional and named arguments as they were given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


def arguments_of(handler: CheckpointHandler, for_save: bool, *args: Any, **kwargs: Any) -> Any:
    """The arguments that were given, or an object of the handler's class of them.

    Raises:
        ValueError: the handler has no registered arguments.
    """
    for given in (*args, *kwargs.values()):
        if isinstance(given, CheckpointArgs):
            return given
    saving, restoring = get_registered_args_cls(handler)
    return (saving if for_save else restoring)(*args, **kwargs)


def default_args(handler: CheckpointHandler) -> Any:
    """Arguments for restoring, with nothing said.

    Raises:
        ValueError: the handler's class of them needs something.
    """
    cls = get_registered_args_cls(handler)[1]
    try:
        return cls()
    except TypeError as error:
        raise ValueError(f"{cls} cannot be made without arguments ({error}); give them") from error


def typestr(handler: CheckpointHandler) -> str:
    """The name to record of a handler."""
    if isinstance(handler, LegacyHandler):
        handler = handler.handler
    return str(handler.typestr())


def is_native(handler: CheckpointHandler) -> bool:
    """Whether items can be asked of a handler: it is ours, and no subclass writes files instead."""
    if not isinstance(handler, BuiltInHandler):
        return False
    names = ("save", "async_save", "restore", "metadata", "finalize")
    return all(getattr(type(handler), name) is getattr(BuiltInHandler, name) for name in names)


def run_save(handler: CheckpointHandler, folder: Any, args: Any, asynchronous: bool) -> list[Any]:
    """Lets a handler write its files; returns its futures."""
    if asynchronous and isinstance(handler, AsyncCheckpointHandler):
        return list(run_coroutine(handler.async_save(folder, args=args)) or [])
    handler.save(folder, args=args)
    return []


def run_restore(handler: CheckpointHandler, folder: Any, args: Any) -> Any:
    return handler.restore(folder, args=args)


def run_coroutine(coroutine: Any) -> Any:
    """The result of a coroutine, whether or not this thread runs a loop already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = asyncio.run(coroutine)
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=False)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def take(name: str, folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(blobs by item name, what to record: files by the blob they are in, and empty folders)."""
    blobs: dict[str, Any] = {}
    files: dict[str, str] = {}
    folders: list[str] = []
    for found in sorted(folder.rglob("*")):
        relative = found.relative_to(folder).as_posix()
        if found.is_dir():
            folders.append(relative)
            continue
        blob = f"{name}/{relative}"
        if len(blob.encode()) > _LONGEST or blob in blobs:
            blob = f"{name}/#{len(files)}"
        blobs[blob] = treering.Blob(found.read_bytes())
        files[relative] = blob
    return blobs, {"files": files, "folders": folders}


@contextlib.contextmanager
def laid_out(place: Any, container: str) -> Iterator[pathlib.Path]:
    """A temporary folder with the files of an item; of one that has no files, with a container."""
    with tempfile.TemporaryDirectory(prefix="treering-") as name:
        folder = pathlib.Path(name)
        if place.kind() != "files":
            value = place.load()
            wrapped = {"json": treering.Json, "blob": treering.Blob}.get(place.kind(), lambda v: v)(
                value
            )
            treering.save(folder / container, items={"default": wrapped})
            yield folder
            return
        for relative in place.details["folders"]:
            _inside(folder, relative).mkdir(parents=True, exist_ok=True)
        for relative, blob in place.details["files"].items():
            lay_out(folder, {relative: place.part(blob)})
        yield folder


def lay_out(folder: pathlib.Path, files: dict[str, bytes]) -> None:
    """Writes files, by their path below the folder."""
    for relative, data in files.items():
        target = _inside(folder, relative)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _inside(folder: pathlib.Path, relative: str) -> pathlib.Path:
    """A path below `folder`; a record that names another is refused."""
    parts = pathlib.PurePosixPath(relative)
    if parts.is_absolute() or ".." in parts.parts:
        raise treering.CorruptionError(
            f"a file of the checkpoint lies outside of its folder: {relative!r}"
        )
    return folder / parts

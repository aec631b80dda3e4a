# SPDX-License-Identifier: Apache-2.0
# save and its relatives: checkpointables become the items of one container.
from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import treering

from ..._manager_options import _make_folders
from ..._nodes import json_text
from .. import _handling, _walk
from .._handler_base import AsyncCheckpointHandler
from .._store import Store
from . import _leaves, _paths, errors, handlers
from ._context import get_context
from ._files import PathAwaitingCreation
from ._native import is_native
from ._response import AsyncResponse, Done, Following

STATE = "state"
RESERVED = frozenset({"metrics", "AUTO", "_CHECKPOINT_DELETION"})


class _OneHandler(AsyncCheckpointHandler):
    """A handler of a checkpointable, as what prepares saves calls it."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def typestr(self) -> str:  # type: ignore[override]
        return handlers.typestr(type(self.handler))

    async def async_save(self, directory: Path, args: Any) -> Any:
        background = await self.handler.save(PathAwaitingCreation(directory), args)
        if hasattr(background, "__await__"):
            await background  # here and now: a task would not outlive this loop
        return []

    def save(self, directory: Any, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    def restore(self, directory: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


def prepare(checkpointables: dict[str, Any], custom_metadata: Any) -> _handling.Prepared:
    """Checks and converts; handlers of the program have written their files when this returns.

    Raises:
        NoEntryError: (a KeyError) nothing handles an object.
        ValueError, TypeError: what handlers refuse; custom metadata that are no JSON object.
    """
    if custom_metadata is not None and not isinstance(custom_metadata, dict):
        raise ValueError(f"custom_metadata is a dict, not {type(custom_metadata)}")
    json_text(custom_metadata, "custom_metadata")
    chosen = choose(checkpointables)
    prepared = _handling.prepare(_NO_PARTS, {}, custom_metadata=custom_metadata, asynchronous=True)
    try:
        record = prepared.record[_handling.KEY]
        for name, handler in chosen.items():
            if is_native(handler):
                prepared.items[name] = handler.to_item(checkpointables[name])
                record["items"][name] = {}
            else:
                prepared.add(name, _OneHandler(handler), checkpointables[name], True)
        prepared.collect()
    except BaseException:
        prepared.close()
        raise
    return prepared


def choose(checkpointables: dict[str, Any]) -> dict[str, Any]:
    """The handlers, by name.

    Raises:
        NoEntryError: (a KeyError) nothing handles an object.
        ValueError: an object is None.
    """
    registry = get_context().checkpointables.registry
    return {
        name: handlers.resolve_for_save(registry, value, name) for name, value in checkpointables.items()
    }


class _Parts:
    """Items are added one by one."""

    def parts(self, args: Any) -> list[Any]:
        return []


_NO_PARTS: Any = _Parts()


def check_names(checkpointables: Any) -> None:
    """Raises ValueError for anything but a dict of objects by usable names."""
    if not isinstance(checkpointables, dict) or not checkpointables:
        what = "an empty dict" if isinstance(checkpointables, dict) else type(checkpointables)
        raise ValueError(f"checkpointables is a dict of objects by name, and not {what}")
    for name in checkpointables:
        if not isinstance(name, str):
            raise TypeError(f"a checkpointable's name is a str, not {name!r}")
        if name == "":
            raise ValueError("a checkpointable's name must not be empty")
    reserved = sorted(checkpointables.keys() & RESERVED)
    if reserved:
        raise ValueError(f"these names of checkpointables are reserved: {', '.join(reserved)}")


def check_state(state: Any) -> None:
    """Raises for leaves that cannot be saved.

    Raises:
        UnsupportedLeafError: (a ValueError and a TypeError) names the first.
    """
    for path, leaf in _walk.leaves(state):
        if not _leaves.is_leaf(leaf):
            raise errors.UnsupportedLeafError(
                f"Unsupported leaf type for saving: {type(leaf)} at '{_walk.text(path)}'; give arrays, "
                "numbers, texts or bytes"
            )


def save(
    path: Any,
    state: Any,
    *,
    checkpointable_name: str = STATE,
    overwrite: bool = False,
    custom_metadata: dict[str, Any] | None = None,
) -> None:
    """Saves a pytree; when this returns, it is on the disk.

    Args:
        path: where the checkpoint is to be, one file; folders above it are made. Or
            `<directory>/<step>` of a Checkpointer's directory, for a step of it.
        state: the pytree: arrays of NumPy and JAX, typed keys, numbers, texts, bytes.
        checkpointable_name: its name in the checkpoint.
        overwrite: True: what is there is replaced, and stays until the new one is whole.
        custom_metadata: a JSON object about the checkpoint.

    Raises:
        DestinationExistsError: (a ValueError and a FileExistsError) there is something, and
            `overwrite` is False.
        UnsupportedLeafError: (a ValueError and a TypeError) a leaf that cannot be stored.
        OSError: with its errno: the disk is full, ….

    >>> import tempfile, numpy as np
    >>> from treering.orbax import v1 as ocp
    >>> path = tempfile.mkdtemp() + "/net"
    >>> ocp.save(path, {"w": np.arange(3), "step": 7})
    >>> ocp.load(path)
    {'w': array([0, 1, 2]), 'step': 7}
    """
    check_state(state)
    save_checkpointables(
        path, {checkpointable_name: state}, overwrite=overwrite, custom_metadata=custom_metadata
    )


def save_checkpointables(
    path: Any,
    checkpointables: dict[str, Any],
    *,
    overwrite: bool = False,
    custom_metadata: dict[str, Any] | None = None,
) -> None:
    """Saves several objects by name, each by the handler that its name or type asks for.

    Args:
        path, overwrite, custom_metadata: as of `save`.
        checkpointables: pytrees, JSON documents where a name has JsonHandler, StatefulCheckpointables,
            and what the program's own handlers take.

    Raises:
        ValueError: an empty dict, an empty or reserved name; and as `save`.
        NoEntryError: (a KeyError) nothing handles an object.
    """
    check_names(checkpointables)
    _write(path, checkpointables, overwrite, custom_metadata, in_background=False)


def save_async(
    path: Any,
    state: Any,
    *,
    checkpointable_name: str = STATE,
    overwrite: bool = False,
    custom_metadata: dict[str, Any] | None = None,
) -> AsyncResponse[None]:
    """As `save`, and returns when the data are safe from what the program does next.

    Returns:
        A response; `result()` waits, and raises what went wrong. The save ends well without it, too,
        also when the interpreter exits.
    """
    check_state(state)
    return save_checkpointables_async(
        path, {checkpointable_name: state}, overwrite=overwrite, custom_metadata=custom_metadata
    )


def save_checkpointables_async(
    path: Any,
    checkpointables: dict[str, Any],
    *,
    overwrite: bool = False,
    custom_metadata: dict[str, Any] | None = None,
) -> AsyncResponse[None]:
    """As `save_checkpointables`, and returns when the data are safe from what the program does next.

    The files of stateful objects and of the program's handlers are written before it returns.
    """
    check_names(checkpointables)
    return _write(path, checkpointables, overwrite, custom_metadata, in_background=True)


def _write(
    path: Any, checkpointables: dict[str, Any], overwrite: bool, custom_metadata: Any, in_background: bool
) -> AsyncResponse[None]:
    file = _paths.absolute(path)
    finished = get_context().asynchronous.post_finalization_callback
    step = _paths.step_of(file)
    if not overwrite and _paths.exists(file):
        raise errors.DestinationExistsError(f"Destination {file} already exists.")
    with prepare(checkpointables, custom_metadata) as prepared:
        if step is not None:
            _write_step(file, step, prepared, overwrite)
        elif in_background:
            _make_folders(os.path.dirname(file))
            response = treering.save_async(
                file, items=prepared.items, metadata=prepared.record, overwrite=overwrite
            )
            return Following(response, finished)
        else:
            _make_folders(os.path.dirname(file))
            treering.save(file, items=prepared.items, metadata=prepared.record, overwrite=overwrite)
    if finished is not None:
        finished()
    return Done(None)


def _write_step(file: str, step: int, prepared: _handling.Prepared, overwrite: bool) -> None:
    """A step of the store that the path lies in."""
    prepared.record[_handling.KEY]["step_name"] = os.path.basename(file)
    store = Store(os.path.dirname(file))
    try:
        store.writer().save(
            step, items=prepared.items, metadata=prepared.record, force=True, overwrite=overwrite
        )
    finally:
        store.close()


def deprecated(old: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` under a name that warns."""

    def call(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(f"use `{function.__name__}` instead of `{old}`", DeprecationWarning, stacklevel=2)
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = old
    call.__doc__ = f"The old name of `{function.__name__}`."
    return call


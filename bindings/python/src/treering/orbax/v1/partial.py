# SPDX-License-Identifier: Apache-2.0
# Partial saves: a pytree that is saved in several calls, and exists once it is finalized.
"""`partial.save`, `partial.save_async` and `partial.finalize`.

Until `finalize`, the parts are containers in a folder `<path>.partial_save` beside the checkpoint.

    >>> import tempfile
    >>> from treering.orbax import v1 as ocp
    >>> path = tempfile.mkdtemp() + "/net"
    >>> ocp.partial.save(path, {"a": 1, "c": {"x": 1}})
    >>> ocp.partial.save(path, {"b": 2, "c": {"y": 3}})
    >>> ocp.partial.finalize(path)
    >>> ocp.load(path)
    {'a': 1, 'c': {'x': 1, 'y': 3}, 'b': 2}
"""

from __future__ import annotations

import os
import shutil
import threading
from typing import Any

import treering

from ..._manager_options import _make_folders
from .. import _handling, _walk
from . import _paths
from ._deletion import _flush
from ._response import AsyncResponse, Following
from ._saving import STATE, check_state, prepare
from .errors import PartialSaveError, PartialSaveReplacementError

SUFFIX = ".partial_save"
_lock = threading.Lock()
_running: dict[str, list[Any]] = {}  # folder -> responses of saves that may still run


def save(path: Any, state: Any, *, custom_metadata: dict[str, Any] | None = None) -> None:
    """Saves one part of a pytree.

    Args:
        path: where the checkpoint is to be when it is finalized.
        state: dicts with keys that no earlier part has.
        custom_metadata: a JSON object; those of later parts go before those of earlier ones.

    Raises:
        PartialSaveReplacementError: an earlier part has a key of this one, or one above or below it.
        FileExistsError: there is a checkpoint at `path`.
        ValueError: a leaf that cannot be stored.
    """
    save_async(path, state, custom_metadata=custom_metadata).result()


def save_async(
    path: Any, state: Any, *, custom_metadata: dict[str, Any] | None = None
) -> AsyncResponse[None]:
    """As `save`, and returns when the data are safe from what the program does next. Keys are compared
    before it returns."""
    file = _final(path)
    check_state(state)
    _refuse_existing(file)
    with prepare({STATE: state}, custom_metadata) as prepared, _lock:
        parts = _settled(file)
        mine = set(_paths_of(prepared.items[STATE]))
        for part in parts:
            for theirs in _paths_of(_handling.Place(part, STATE).abstract()):
                for path_ in mine:
                    shorter = min(len(path_), len(theirs))
                    if path_[:shorter] == theirs[:shorter]:
                        raise PartialSaveReplacementError(
                            f"'{'/'.join(path_)}' was saved by an earlier part of {file}, as "
                            f"'{'/'.join(theirs)}'; a part only adds keys"
                        )
        folder = file + SUFFIX
        _make_folders(folder)
        number = len(parts)
        response = treering.save_async(
            os.path.join(folder, f"{number:08d}"), items=prepared.items, metadata=prepared.record
        )
        _running.setdefault(folder, []).append(response)
    return Following(response)


def _final(path: Any) -> str:
    return _paths.absolute(path).removesuffix(SUFFIX)


def _refuse_existing(file: str) -> None:
    if _paths.exists(file):
        raise treering.AlreadyExistsError(f"Finalized checkpoint already exists at {file}.")


def _settled(file: str) -> list[str]:
    """The parts, in the order in which they were saved; waits for those that are being saved."""
    folder = file + SUFFIX
    for response in _running.pop(folder, []):
        response.exception()
    if not os.path.isdir(folder):
        return []
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.isdigit()]


def _paths_of(tree: Any) -> list[tuple[str, ...]]:
    return [_walk.parts(path) for path, _ in _walk.leaves(tree)]


def finalize(path: Any) -> None:
    """Makes the checkpoint of all parts; then they are gone.

    Args:
        path: as of `save`.

    Raises:
        FileNotFoundError: nothing was saved for it.
        FileExistsError: there is a checkpoint at `path`.
    """
    file = _final(path)
    _refuse_existing(file)
    with _lock:
        parts = _settled(file)
        if not parts:
            raise treering.CheckpointNotFoundError(f"Partial save path {file + SUFFIX} does not exist.")
        merged: Any = None
        custom: dict[str, Any] = {}
        for part in parts:
            place = _handling.Place(part, STATE)
            merged = place.load() if merged is None else _merged(merged, place.load(), ())
            custom.update(place.record.get("custom_metadata") or {})
        with prepare({STATE: merged}, custom) as prepared:
            treering.save(file, items=prepared.items, metadata=prepared.record)
        shutil.rmtree(file + SUFFIX)
        _flush(os.path.dirname(file))


def _merged(first: Any, second: Any, path: tuple[str, ...]) -> Any:
    """One tree of two whose leaves have different paths."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        raise PartialSaveError(f"parts meet at '{'/'.join(path)}' in something that is no dict")
    merged = dict(first)
    for key, value in second.items():
        merged[key] = _merged(merged[key], value, (*path, str(key))) if key in merged else value
    return merged


__all__ = ["finalize", "save", "save_async"]

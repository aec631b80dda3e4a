# SPDX-License-Identifier: Apache-2.0
# delete: a checkpoint, a step, or one checkpointable of either.
from __future__ import annotations

import os
from typing import Any

import treering

from .. import _handling
from .._store import Store
from . import _paths, errors
from ._context import get_context
from ._response import AsyncResponse, Running
from ._saving import RESERVED


def check_arguments(name: Any, missing_ok: Any) -> None:
    """Raises TypeError and ValueError for what cannot be meant."""
    if not isinstance(missing_ok, bool):
        raise TypeError(f"missing_ok is a bool, not {missing_ok!r}")
    if name is None:
        return
    if not isinstance(name, str):
        raise TypeError(f"checkpointable_name is a str or None, not {name!r}")
    if not name or name in (".", "..") or name in RESERVED or any(c in name for c in "/\\\0"):
        raise ValueError(f"Invalid checkpointable name: {name!r}.")


def refuse_moves() -> None:
    """Raises NotImplementedError where the Context asks for Google's storage."""
    if get_context().deletion.gcs_deletion_options.todelete_full_path is not None:
        raise treering.UnsupportedError("todelete_full_path is for Google's storage")


def delete(path: Any, *, checkpointable_name: str | None = None, missing_ok: bool = False) -> bool:
    """Deletes a checkpoint, or one checkpointable of it, for good.

    Args:
        path: of a checkpoint, or `<directory>/<step>` of a Checkpointer's directory.
        checkpointable_name: only this one goes; the checkpoint is written anew without it, and the
            old one stays until that is whole.
        missing_ok: True: what is not there is no error.

    Returns:
        True if there was something to delete.

    Raises:
        FileNotFoundError: there is no such checkpoint or checkpointable.
        InvalidLayoutError: (a ValueError) it is no checkpoint.
        ValueError: the name cannot be one, or is of the only checkpointable.
    """
    check_arguments(checkpointable_name, missing_ok)
    refuse_moves()
    file = _paths.absolute(path)
    if not _paths.exists(file):
        if missing_ok:
            return False
        raise errors.MissingCheckpointError(f"Checkpoint does not exist: {file}.")
    place = _paths.open_checkpoint(file)
    if place.item is not None:
        raise errors.NotACheckpointError(f"{file} is a checkpointable; delete it by checkpointable_name")
    if checkpointable_name is not None:
        return delete_item(file, place, checkpointable_name, missing_ok)
    step = _paths.step_of(file)
    if step is None:
        os.remove(file)
        _flush(os.path.dirname(file))
        return True
    store = Store(os.path.dirname(file))
    try:
        store.writer().delete(step)
    finally:
        store.close()
    return True


def _flush(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete_item(
    file: str, place: _handling.Place, name: str, missing_ok: bool, store: Store | None = None
) -> bool:
    """Writes a checkpoint anew without one of its checkpointables; `store`: that it is a step of."""
    names = [found for found in place.item_names() if found not in RESERVED]
    if name not in names:
        if missing_ok:
            return False
        raise errors.CheckpointableMissingError(
            f"Checkpointable {name!r} does not exist at {file}; there are {names}"
        )
    if len(names) == 1:
        raise ValueError(f"{name!r} is the only checkpointable of {file}; delete the checkpoint instead")
    items, record = _without(place, name)
    step = _paths.step_of(file)
    if step is None:
        treering.save(file, items=items, metadata=record, overwrite=True)
        return True
    own = Store(os.path.dirname(file)) if store is None else store
    try:
        version = own.version(step)
        own.writer().save(
            step, items=items, metrics=version.metrics, metadata=record, force=True, overwrite=True
        )
        own.wait()
    finally:
        if store is None:
            own.close()
    return True


def _without(place: _handling.Place, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(items, record) of a checkpoint but for one checkpointable."""
    record = {
        key: {item: value for item, value in part.items() if item != name} if isinstance(part, dict)
        and key in ("items", "item_handlers") else part
        for key, part in place.record.items()
    }  # fmt: skip
    info = treering.info(place.file)
    gone = set(place.at(name).details.get("files", {}).values()) or {name}
    items = {}
    for item, kind in info["items"].items():
        if item not in gone:
            value = treering.load(place.file, item=item)
            wrap = {"json": treering.Json, "blob": treering.Blob}.get(kind)
            items[item] = value if wrap is None else wrap(value)
    return items, {**info["metadata"], _handling.KEY: record}


def delete_async(
    path: Any, *, checkpointable_name: str | None = None, missing_ok: bool = False
) -> AsyncResponse[bool]:
    """As `delete`, on a thread in the background; a path that is not there is told at once."""
    check_arguments(checkpointable_name, missing_ok)
    file = _paths.absolute(path)
    if not missing_ok and not _paths.exists(file):
        raise errors.MissingCheckpointError(f"Checkpoint does not exist: {file}.")
    return Running(
        lambda: delete(file, checkpointable_name=checkpointable_name, missing_ok=missing_ok),
        f"deleting {file}",
    )

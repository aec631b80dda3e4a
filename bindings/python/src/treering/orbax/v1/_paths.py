# SPDX-License-Identifier: Apache-2.0
# What a path means: a container, a step of a store, or nothing.
from __future__ import annotations

import os
from typing import Any

import treering

from .. import _handling
from . import errors


def absolute(path: Any) -> str:
    """The path as a str; relative ones are taken, too."""
    if not path:
        raise ValueError("Path must not be None.")
    return os.path.abspath(os.fsdecode(os.fspath(path)))


def step_of(path: str) -> int | None:
    """The step that a path below a store names by its last digits, or None."""
    directory, name = os.path.split(path)
    digits = name[len(name.rstrip("0123456789")) :]
    if not digits or os.path.lexists(path) or not os.path.isfile(os.path.join(directory, "STORE")):
        return None
    return int(digits)


def exists(path: str) -> bool:
    """Whether there is a file, a folder or a step."""
    return os.path.lexists(path) or _step_exists(path)


def _step_exists(path: str) -> bool:
    if step_of(path) is None:
        return False
    try:
        _handling.locate(path)
    except (FileNotFoundError, ValueError):
        return False
    return True


def open_checkpoint(path: Any) -> _handling.Place:
    """The checkpoint at a path.

    Raises:
        MissingCheckpointError: (an InvalidLayoutError and a FileNotFoundError) there is nothing.
        NotACheckpointError: (an InvalidLayoutError) it is something else.
        CorruptionError: (an OSError) it is damaged.
    """
    name = absolute(path)
    try:
        return _handling.open_place(name)
    except treering.CheckpointNotFoundError as error:
        raise errors.MissingCheckpointError(f"there is no checkpoint at {name}: {error}") from error
    except treering.NotTreeringError as error:
        raise errors.NotACheckpointError(f"there is no checkpoint of treering at {name}: {error}") from error


def is_orbax_checkpoint(path: Any) -> bool:
    """Whether there is a checkpoint at a path, whole and of treering: a file, or a step of a store."""
    try:
        return open_checkpoint(path).item is None
    except (errors.InvalidLayoutError, OSError):
        return False

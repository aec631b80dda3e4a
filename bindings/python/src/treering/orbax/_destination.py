# SPDX-License-Identifier: Apache-2.0
# Where a checkpointer writes: a file at the path, in the place of what may be there.
"""The path of a checkpoint on its way to the disk."""

from __future__ import annotations

import os
import shutil
import uuid
from typing import Any

import treering

from ._handling import Prepared


class DestinationExistsError(treering.AlreadyExistsError, ValueError):
    """There is something at the path already. Also a ValueError, as in Orbax."""


def destination(path: Any, force: bool) -> str:
    """The file to write for a path; its folders are made.

    Raises:
        DestinationExistsError: (a ValueError and a FileExistsError) something is there, and `force`
            is False.
    """
    name = os.path.abspath(os.fsdecode(os.fspath(path)))
    if os.path.lexists(name) and not force:
        raise DestinationExistsError(f"Destination {name} already exists.", os_error=17)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    return name


def is_folder(name: str) -> bool:
    """Whether there is a folder, and no link to one."""
    return os.path.isdir(name) and not os.path.islink(name)


def write(name: str, prepared: Prepared, force: bool) -> None:
    """Writes a checkpoint to what `destination` gave.

    Raises:
        DestinationExistsError: something has appeared there, and `force` is False.
        OSError: with its errno: it could not be written.
    """
    try:
        if is_folder(name):
            replace_folder(name, prepared)
        else:
            treering.save(name, items=prepared.items, metadata=prepared.record, overwrite=force)
    except treering.AlreadyExistsError as error:
        raise DestinationExistsError(f"Destination {name} already exists.", os_error=17) from error


def replace_folder(name: str, prepared: Prepared) -> None:
    """Puts a checkpoint in the place of a folder, which goes when the checkpoint is whole."""
    new, old = (f"{name}.{uuid.uuid4().hex[:8]}.{end}" for end in ("new", "old"))
    treering.save(new, items=prepared.items, metadata=prepared.record)
    os.rename(name, old)
    os.rename(new, name)
    shutil.rmtree(old, ignore_errors=True)

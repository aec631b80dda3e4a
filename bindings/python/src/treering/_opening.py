# SPDX-License-Identifier: Apache-2.0
# From what a user names, a file or a step of a manager's directory, to an open checkpoint.
from __future__ import annotations

import os
import warnings
from typing import Any, NamedTuple, Union

from ._errors import (
    CheckpointNotFoundError, CorruptionError, InvalidArgumentError, NotTreeringError, about, check,
    error_of, new_error,
)  # fmt: skip
from ._ffi import ffi, lib
from ._nodes import encoded, options
from ._report import findings_of

# Files that only Orbax writes, old versions too: the first two in a step's folder, the others there
# or in those of its items.
_ORBAX_FILES = ("_CHECKPOINT_METADATA", "commit_success.txt", "_METADATA", "manifest.ocdbt")
_OWN_NAMES = {"LOCK", "data", "manifests"}

# A path as the functions of the package take it.
AnyPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Opened(NamedTuple):
    """An open checkpoint: the C handle, its name for messages, and its step where there is one."""

    checkpoint: Any
    name: str
    step: int | None


def shown(path: AnyPath) -> str:
    return os.fsdecode(os.fspath(path))


def is_store(path: AnyPath) -> bool:
    """True for a manager's directory."""
    return os.path.isfile(os.path.join(shown(path), "STORE"))


def found_of_orbax(directory: str) -> str | None:
    """A file that Orbax wrote: a step's, where the directory has some or is one; None if there is none."""
    skipped = ("data", "manifests") if is_store(directory) else ()
    children = _folders(directory, skipped)
    items = [item for child in children if child[-1].isdigit() for item in _folders(child)]
    for folders, names in ([directory, *children], _ORBAX_FILES), (items, _ORBAX_FILES[2:]):
        for folder in folders:
            for name in names:
                file = os.path.join(folder, name)
                if os.path.isfile(file):
                    return file
    return None


def _folders(folder: str, skipped: tuple[str, ...] = ()) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir() and entry.name not in skipped]
    except OSError:  # none, or one that may not be read, of which the library will speak
        return []


def refuse_orbax(directory: str) -> None:
    """Raises NotTreeringError for a directory with checkpoints of Orbax and none of treering."""
    file = found_of_orbax(directory)
    if file is None or (is_store(directory) and _has_steps(directory)):
        return
    raise NotTreeringError(
        f"'{directory}' has checkpoints of Orbax, which would be passed over: '{file}'. Read them with "
        "treering.interop.from_orbax, bring them over with python -m treering import, or use another "
        "folder",
        status=lib.TREERING_NOT_TREERING,
        path=directory,
    )


def _has_steps(directory: str) -> bool:
    info, error = options("treering_store_info"), new_error()
    check(lib.treering_manager_info(info, open_store(directory), error), error)
    return bool(info.version_count)


def _refuse_foreign(path: AnyPath) -> None:
    """Raises for a directory that holds something, but no store: who takes what is not found for a
    reason to start anew must not do so there."""
    directory = shown(path)
    refuse_orbax(directory)
    names = set(os.listdir(directory)) if os.path.isdir(directory) else set()
    if _OWN_NAMES <= names and os.listdir(os.path.join(directory, "manifests")):
        raise CorruptionError(
            f"'{directory}' has records but no file STORE; restore that file from a copy of the directory",
            status=lib.TREERING_CORRUPT,
        )
    other = sorted(name for name in names - _OWN_NAMES if name[0] != ".")
    if other and not any(name.startswith("STORE") for name in names):  # made just now
        raise NotTreeringError(
            f"'{directory}' is no directory of treering's: it has no file STORE, but '{other[0]}'; check "
            "the path",
            status=lib.TREERING_NOT_TREERING,
        )


def open_path(
    path: AnyPath, step: int | str | None = None, mmap: bool = False, full: bool = False
) -> Opened:
    """Opens a checkpoint file, or a step of a manager's directory.

    `step` is an int, "latest" or None (the latest that is intact; of a file None is the only one).
    `full`: of a directory, all of a checkpoint is read and checked before it counts as intact.
    """
    with about(shown(path)):
        return _open(path, step, options("treering_open_options", map=mmap), full)


def _open(path: AnyPath, step: int | str | None, settings: Any, full: bool) -> Opened:
    if os.path.isdir(os.fspath(path)):
        return _open_step(path, _step_number(step), settings, full)
    if step is not None:
        if not os.path.exists(os.fspath(path)):
            raise CheckpointNotFoundError(
                f"there is no directory '{shown(path)}'", status=lib.TREERING_NOT_FOUND_FILE
            )
        raise InvalidArgumentError(
            f"'{shown(path)}' is a file, which has no steps; give a manager's directory, or no step",
            status=lib.TREERING_INVALID_ARGUMENT,
        )
    text, error, out = encoded(path), new_error(), ffi.new("treering_checkpoint **")
    check(lib.treering_checkpoint_open(out, text, len(text), settings, error), error)
    return Opened(ffi.gc(out[0], lib.treering_checkpoint_free), shown(path), None)


def open_store(path: AnyPath) -> Any:
    """A manager's directory, to read from."""
    text, error, out = encoded(path), new_error(), ffi.new("treering_manager **")
    settings = options("treering_manager_options", mode=lib.TREERING_READ_ONLY)
    with about(shown(path)):
        status = lib.treering_manager_open(out, text, len(text), settings, error)
        if status & 255 == lib.TREERING_NOT_FOUND:
            _refuse_foreign(path)
        check(status, error)
    return ffi.gc(out[0], lib.treering_manager_free)


def _step_number(step: int | str | None) -> int:
    if step is None or step == "latest":
        latest: int = lib.TREERING_LATEST
        return latest
    from ._manager_options import step_number

    number: int = step_number(step)
    if number < 0:
        raise InvalidArgumentError(
            f"step {number} is negative; steps begin at 0", status=lib.TREERING_INVALID_ARGUMENT
        )
    return number


def _open_step(path: AnyPath, step: int, settings: Any, full: bool) -> Opened:
    manager, error = open_store(path), new_error()
    out, found = ffi.new("treering_checkpoint **"), ffi.new("int64_t *")
    report, find = ffi.new("treering_report **"), options("treering_find_options", full=full)
    status = lib.treering_manager_checkpoint(
        out, found, report, manager, step, find, settings, error
    )
    skipped = ffi.gc(report[0], lib.treering_report_free) if report[0] != ffi.NULL else None
    if status == lib.TREERING_NOT_FOUND:
        raise CheckpointNotFoundError(error_of(error).message, status=status)
    check(status, error)
    damaged = findings_of(skipped) if skipped is not None else []
    if damaged:
        text = "; ".join(map(str, damaged))
        warnings.warn(
            f"'{shown(path)}': step {found[0]} is taken, since others are damaged: {text}",
            RuntimeWarning,
            stacklevel=4,
        )
    checkpoint = ffi.gc(out[0], lib.treering_checkpoint_free)
    return Opened(checkpoint, f"step {found[0]} of '{shown(path)}'", found[0])

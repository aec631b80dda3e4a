# SPDX-License-Identifier: Apache-2.0
# From what a user names, a file or a step of a manager's directory, to an open checkpoint.
from __future__ import annotations

import os
import warnings
from typing import Any, NamedTuple, Union

from ._errors import (
    CheckpointNotFoundError, InvalidArgumentError, about, check, error_of, new_error,
)  # fmt: skip
from ._ffi import ffi, lib
from ._nodes import encoded, options
from ._report import findings_of

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


def open_path(path: AnyPath, step: int | str | None = None, mmap: bool = False) -> Opened:
    """Opens a checkpoint file, or a step of a manager's directory.

    `step` is an int, "latest" or None (the latest that is intact; of a file None is the only one).
    """
    with about(shown(path)):
        return _open(path, step, options("treering_open_options", map=mmap))


def _open(path: AnyPath, step: int | str | None, settings: Any) -> Opened:
    if os.path.isdir(os.fspath(path)):
        return _open_step(path, _step_number(step), settings)
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
        check(lib.treering_manager_open(out, text, len(text), settings, error), error)
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


def _open_step(path: AnyPath, step: int, settings: Any) -> Opened:
    manager, error = open_store(path), new_error()
    out, found = ffi.new("treering_checkpoint **"), ffi.new("int64_t *")
    report, find = ffi.new("treering_report **"), options("treering_find_options")
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

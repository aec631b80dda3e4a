# SPDX-License-Identifier: Apache-2.0
# A status of the C ABI as a Python exception that is also the built-in one would expect.
from __future__ import annotations

import re
from typing import Any

from ._ffi import ffi, lib


class TreeringError(Exception):
    """Base of all errors here. They can be pickled.

    Attributes:
        message: the text.
        status, status_name: the C ABI's number, and its name: "CORRUPT_CHECKSUM".
        os_error: the errno of what the system answered, or 0.
        offset: the byte offset in the file, or None.
        path: the file or directory, as it was given, where the error is about one; else None.
        leaf: the display path of the leaf, the first of several, where it is about one; else None.
        expected, found: of that leaf, what was wanted and what is there, as text; else None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = lib.TREERING_INTERNAL,
        os_error: int = 0,
        offset: int | None = None,
        path: str | None = None,
        leaf: str | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.os_error = os_error
        self.offset = offset
        self.path, self.leaf = path, leaf
        self.expected, self.found = expected, found

    @property
    def status_name(self) -> str:
        name: str = ffi.string(lib.treering_status_name(self.status)).decode()
        return name

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(kind: type[TreeringError], message: str, state: dict[str, Any]) -> TreeringError:
    error = kind(message, status=state["status"], os_error=state["os_error"])
    error.__dict__.update(state)
    return error


class about:
    """In its block, errors that name no path are about `path`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TreeringError) and error.path is None:
            error.path = self.path
            if isinstance(error, OSError):
                error.filename = self.path


class _SystemError(TreeringError, OSError):
    """An error that is an OSError: sets errno and strerror."""

    def __init__(self, message: str = "", *, os_error: int = 0, **more: Any) -> None:
        super().__init__(message, os_error=os_error, **more)
        self.errno = os_error or self.default_errno
        self.strerror = message

    default_errno = 5  # EIO


class InvalidArgumentError(TreeringError, ValueError):
    """An argument that cannot be meant."""


class UnsupportedTypeError(TreeringError, TypeError):
    """A tree holds an object, key or dtype that a checkpoint has no place for."""

    def __init__(
        self, message: str = "", *, status: int = lib.TREERING_INVALID_ARGUMENT, **more: Any
    ) -> None:
        super().__init__(message, status=status, **more)


class CheckpointNotFoundError(_SystemError, FileNotFoundError):
    """There is no such file, or no such folder to write into."""

    default_errno = 2


class PathNotFoundError(TreeringError, KeyError):
    """The checkpoint has no such path or item."""


class AlreadyExistsError(_SystemError, FileExistsError):
    """The file exists; `overwrite=True` replaces it."""

    default_errno = 17


class NotTreeringError(TreeringError, ValueError):
    """The file is no checkpoint of treering."""


class CorruptionError(_SystemError, OSError):
    """The file is damaged or truncated."""


class UnsupportedError(TreeringError, NotImplementedError):
    """A newer format, or something in it that this version does not know."""


class LimitError(TreeringError, ValueError):
    """Beyond a limit of the format or of the options."""


class StructureMismatchError(TreeringError, ValueError):
    """The checkpoint does not fit the target. The message says how many leaves differ and names the
    first; `report` is several lines with more of them, `missing` and `unexpected` list all paths,
    `different` (path, expected, found)."""

    missing: list[str] | tuple[()] = ()
    unexpected: list[str] | tuple[()] = ()
    different: list[tuple[str, str, str]] | tuple[()] = ()
    report: str = ""


class DtypeMismatchError(StructureMismatchError, TypeError):
    """The first difference is a dtype."""


class OutOfMemoryError(TreeringError, MemoryError):
    """There is not enough memory for the tree or the call."""


class StorageError(_SystemError, OSError):
    """The disk is full, a flush failed, a medium is read-only, …: see `errno`."""


class PermissionDeniedError(_SystemError, PermissionError):
    """The file or folder may not be read or written."""

    default_errno = 13


class BusyError(_SystemError, BlockingIOError):
    """Somebody else is using the file or folder."""

    default_errno = 11


class WrongStateError(TreeringError, RuntimeError):
    """A call that does not fit what was done before."""


class TimedOutError(_SystemError, TimeoutError):
    """The time that was given ran out."""

    default_errno = 110


class CancelledError(TreeringError, RuntimeError):
    """The work was given up because it was asked to be."""


class OutcomeUnknownError(_SystemError, OSError):
    """The file is in place, but whether it would survive a power loss is not known."""


class InternalError(TreeringError, RuntimeError):
    """A mistake in treering itself; please report it."""


_BY_STATUS: dict[int, type[TreeringError]] = {
    lib.TREERING_INVALID_ARGUMENT: InvalidArgumentError,
    lib.TREERING_NOT_FOUND: PathNotFoundError,
    lib.TREERING_NOT_FOUND_FILE: CheckpointNotFoundError,
    lib.TREERING_NOT_FOUND_GONE: CheckpointNotFoundError,
    lib.TREERING_ALREADY_EXISTS: AlreadyExistsError,
    lib.TREERING_NOT_TREERING: NotTreeringError,
    lib.TREERING_CORRUPT: CorruptionError,
    lib.TREERING_UNSUPPORTED: UnsupportedError,
    lib.TREERING_LIMIT: LimitError,
    lib.TREERING_MISMATCH: StructureMismatchError,
    lib.TREERING_MISMATCH_DTYPE: DtypeMismatchError,
    lib.TREERING_NO_MEMORY: OutOfMemoryError,
    lib.TREERING_IO: StorageError,
    lib.TREERING_IO_PERMISSION: PermissionDeniedError,
    lib.TREERING_BUSY: BusyError,
    lib.TREERING_WRONG_STATE: WrongStateError,
    lib.TREERING_TIMEOUT: TimedOutError,
    lib.TREERING_CANCELLED: CancelledError,
    lib.TREERING_OUTCOME_UNKNOWN: OutcomeUnknownError,
    lib.TREERING_INTERNAL: InternalError,
}
_NAMED_ERRNO = {lib.TREERING_IO_NO_SPACE: 28, lib.TREERING_IO_READ_ONLY: 30}


# How the library begins what it says of one leaf of a file: 'layers/0/w': 'run.ring': …
_OF_LEAF = re.compile(r"'(?P<leaf>.*?)': '(?P<path>.*?)'", re.DOTALL)
_LEAF_CLASSES = (lib.TREERING_CORRUPT, lib.TREERING_UNSUPPORTED, lib.TREERING_IO)


def new_error() -> Any:
    error = ffi.new("treering_error *")
    error.struct_size = ffi.sizeof("treering_error")
    return error


def error_of(error: Any) -> TreeringError:
    """The exception that a filled treering_error means."""
    status = error.status
    kind = _BY_STATUS.get(status) or _BY_STATUS.get(status & 255) or TreeringError
    message = ffi.string(error.message).decode("utf-8", "replace")
    offset = None if error.offset == lib.TREERING_NO_OFFSET else error.offset
    os_error = error.os_error or _NAMED_ERRNO.get(status, 0)
    made = kind(message, status=status, os_error=os_error, offset=offset)
    of_leaf = status & 255 in _LEAF_CLASSES or status == lib.TREERING_NOT_FOUND_FILE
    match = _OF_LEAF.match(message) if of_leaf else None
    if match is not None:
        made.leaf = match["leaf"]
    return made


def check(status: int, error: Any) -> None:
    if status != 0:
        raise error_of(error)

# SPDX-License-Identifier: Apache-2.0
# Exceptions of the v1 names. Each is Orbax's class by name and base, and treering's own besides.
"""`ocp.errors`, and what the functions raise that has no name there."""

from __future__ import annotations

from typing import Any

from ... import _errors
from .._storing import UnsupportedLeafError


class InvalidLayoutError(ValueError):
    """A path at which there is no checkpoint, or not what was asked of it."""


class DeletionInProgressError(RuntimeError):
    """Never raised: a deletion is done when it returns."""


class DeletionRecoveryError(RuntimeError):
    """Never raised: there are no half deletions to recover from."""


class MissingCheckpointError(_errors.CheckpointNotFoundError, InvalidLayoutError):
    """There is nothing at the path."""


class NotACheckpointError(_errors.NotTreeringError, InvalidLayoutError):
    """What is at the path is no checkpoint of treering."""


class NoSuchPyTreeError(_errors.PathNotFoundError, InvalidLayoutError):
    """The checkpoint has no pytree of that name."""


class DestinationExistsError(_errors.AlreadyExistsError, ValueError):
    """There is something at the path, and `overwrite` is False."""


class CheckpointableNotFoundError(_errors.PathNotFoundError):
    """(A KeyError) the checkpoint has no checkpointable of that name."""


class CheckpointableMissingError(_errors.CheckpointNotFoundError):
    """(A FileNotFoundError) there is none of that name to delete."""


class PartialSaveError(Exception):
    """A partial save that does not fit the session."""


class PartialSaveReplacementError(PartialSaveError):
    """A key that an earlier partial save of the session wrote, or that lies above or below one."""


def joined(first: type[Exception], error: BaseException, message: str) -> BaseException:
    """An exception that is both of class `first` and of the class of `error`, and caused by it.

    Where Orbax raises `first` whatever went wrong, this lets a program also catch what did.
    """
    if isinstance(error, first):
        return error
    key = first, type(error)
    if key not in _classes:
        bases = (type(error), first) if isinstance(error, OSError) else (first, type(error))
        try:
            _classes[key] = type(type(error).__name__, bases, {**_SHARED, "_first": first})
        except TypeError:  # classes that cannot be joined
            _classes[key] = first
    cls = _classes[key]
    made: BaseException = cls.__new__(cls, message)
    made.args = (message,)
    made.__dict__.update(error.__dict__, message=message)
    for name in ("errno", "strerror", "filename"):
        if isinstance(made, OSError) and isinstance(error, OSError):
            setattr(made, name, getattr(error, name))
    made.__cause__ = error
    return made


_classes: dict[tuple[type, type], Any] = {}


def _text(self: BaseException) -> str:
    return str(self.args[0])


def _reduce(self: Any) -> Any:
    return joined, (self._first, self.__cause__, str(self))


_SHARED = {"__str__": _text, "__reduce__": _reduce, "__module__": __name__}


__all__ = [
    "CheckpointableMissingError", "CheckpointableNotFoundError", "DeletionInProgressError",
    "DeletionRecoveryError", "DestinationExistsError", "InvalidLayoutError", "MissingCheckpointError",
    "NoSuchPyTreeError", "NotACheckpointError", "PartialSaveError", "PartialSaveReplacementError",
    "UnsupportedLeafError", "joined",
]  # fmt: skip

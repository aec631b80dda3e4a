# SPDX-License-Identifier: Apache-2.0
# What a handler is, the program's own ones among them; and handlers by their recorded names.
"""The interfaces of handlers.

A handler of the program writes files into a folder and reads them from one. Here such a folder
exists for the duration of the call only: its files become blobs of the checkpoint, and are laid out
again for `restore` and `metadata`. The folder is a `pathlib.Path`.
"""

from __future__ import annotations

import abc
import pathlib
from typing import Any, TypeVar


class CheckpointHandler(abc.ABC):
    """Saves and restores objects of one kind."""

    @abc.abstractmethod
    def save(self, directory: pathlib.Path, *args: Any, **kwargs: Any) -> None:
        """Writes the files of an object into `directory`, which exists and is empty."""

    @abc.abstractmethod
    def restore(self, directory: pathlib.Path, *args: Any, **kwargs: Any) -> Any:
        """The object whose files are in `directory`."""

    def metadata(self, directory: pathlib.Path) -> Any:
        """What can be told of the object without restoring it; None: nothing."""
        return None

    def finalize(self, directory: pathlib.Path) -> None:
        """Called when `save` and its futures are done, before the files are taken."""

    def close(self) -> None:
        """Ends what the handler keeps open."""

    @classmethod
    def typestr(cls) -> str:
        """The name that a checkpoint records, by which `restore` without arguments finds it."""
        return f"{cls.__module__}.{cls.__qualname__}"


class AsyncCheckpointHandler(CheckpointHandler):
    """A handler that can leave the writing to futures."""

    @abc.abstractmethod
    async def async_save(self, directory: pathlib.Path, *args: Any, **kwargs: Any) -> Any:
        """As `save`, but may return a list of futures with `result()`, which end the writing."""


class DeferredPathAsyncCheckpointHandler(AsyncCheckpointHandler):
    """The same: here the folder always exists when a handler is called."""


_by_name: dict[str, type[CheckpointHandler]] = {}


_Handler = TypeVar("_Handler", bound=CheckpointHandler)


def register_handler_type(cls: type[_Handler]) -> type[_Handler]:
    """Lets checkpoints that record this handler's `typestr` be restored without arguments."""
    _by_name[cls.typestr()] = cls
    return cls


def get_handler_type(typestr: str) -> type[CheckpointHandler]:
    """The handler of a recorded name.

    Raises:
        KeyError: this program has registered none of that name.
    """
    if typestr not in _by_name:
        raise KeyError(f"no handler named {typestr!r} is registered in this program")
    return _by_name[typestr]

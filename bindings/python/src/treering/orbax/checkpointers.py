# SPDX-License-Identifier: Apache-2.0
# Checkpointers: one path, one checkpoint, which is one file.
"""Saving to and restoring from a path.

The checkpoint is a file at exactly the path that was given: it can be deleted, renamed and copied
like any file, and `treering.load` reads it. `force=True` replaces it atomically: until the new one
is whole and on the disk, the old one is there. Missing parent folders are made.
"""

from __future__ import annotations

import abc
import time
from typing import Any

import treering

from . import _handling
from ._custom import LegacyHandler, arguments_of
from ._destination import DestinationExistsError, destination, is_folder, replace_folder, write
from ._handler_base import CheckpointHandler
from ._tree_handlers import (
    PyTreeCheckpointHandler,
    StandardCheckpointHandler,
    StandardRestoreArgs,
    StandardSaveArgs,
)
from .checkpoint_args import has_registered_args
from .options import AsyncOptions


class AbstractCheckpointer(abc.ABC):
    """What every checkpointer can do."""

    @abc.abstractmethod
    def save(self, directory: Any, *args: Any, **kwargs: Any) -> None:
        """Saves to a path."""

    @abc.abstractmethod
    def restore(self, directory: Any, *args: Any, **kwargs: Any) -> Any:
        """Restores from a path."""

    def metadata(self, directory: Any) -> Any:
        """What is known of the checkpoint at a path without its data."""
        return None

    def close(self) -> None:
        """Ends what is going on."""


class Checkpointer(AbstractCheckpointer):
    """Saves and restores by a handler; `save` returns when the checkpoint is on the disk.

    Args:
        handler: what turns objects into checkpoints.
        multiprocessing_options, file_options, atomicity_options, checkpoint_metadata_store,
            temporary_path_class: as in Orbax; a checkpoint that is one file needs none of it.

    Different threads may use different checkpointers, and may restore by the same one.
    """

    def __init__(
        self,
        handler: CheckpointHandler,
        *,
        multiprocessing_options: Any = None,
        file_options: Any = None,
        atomicity_options: Any = None,
        checkpoint_metadata_store: Any = None,
        temporary_path_class: Any = None,
    ) -> None:
        self._handler = handler if has_registered_args(handler) else LegacyHandler(handler)

    @property
    def handler(self) -> CheckpointHandler:
        """The handler."""
        return self._handler

    def _arguments(self, for_save: bool, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return arguments_of(self._handler, for_save, *args, **named)

    def save(
        self,
        directory: Any,
        *args: Any,
        force: bool = False,
        custom_metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Saves to a path.

        Args:
            directory: the path of the checkpoint, which will be a file.
            args, kwargs: an object of the handler's arguments for saving, or what makes one.
            force: True: what is at the path is replaced once the new checkpoint is whole.
            custom_metadata: a JSON value, given back by `metadata`.

        Raises:
            DestinationExistsError: (a ValueError) something is at the path, and `force` is False.
            OSError: with its errno: it could not be written.
            ValueError, TypeError: what cannot be stored.
        """
        name = destination(directory, force)
        wanted = self._arguments(True, args, kwargs)
        with _handling.prepare(self._handler, wanted, custom_metadata=custom_metadata) as prepared:
            prepared.collect()
            write(name, prepared, force)

    def restore(self, directory: Any, *args: Any, **kwargs: Any) -> Any:
        """Restores from a path; `<checkpoint>/<item>` and a manager's `<directory>/<step>` are too.

        Args:
            directory: the path.
            args, kwargs: an object of the handler's arguments for restoring, or what makes one.

        Raises:
            FileNotFoundError: there is no checkpoint.
            ValueError: what is there is none; it does not fit the target.
            OSError: it is damaged.
        """
        place = _handling.open_place(directory)
        return _handling.restore(self._handler, place, self._arguments(False, args, kwargs))

    def metadata(self, directory: Any) -> Any:
        """A StepMetadata of the checkpoint at a path; no data are read.

        Raises:
            FileNotFoundError: there is no checkpoint.
        """
        return _handling.step_metadata(self._handler, directory)

    def close(self) -> None:
        """Closes the handler."""
        self._handler.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class PyTreeCheckpointer(Checkpointer):
    """A Checkpointer of pytrees: `save(path, tree)`, `restore(path, item=…, restore_args=…)`.

    Args:
        primary_host, use_ocdbt, use_zarr3, use_compression: as in Orbax; they change nothing here.
    """

    def __init__(
        self,
        primary_host: int | None = 0,
        use_ocdbt: bool = True,
        use_zarr3: bool = False,
        use_compression: bool = True,
    ) -> None:
        super().__init__(PyTreeCheckpointHandler())


class AsyncCheckpointer(Checkpointer):
    """A Checkpointer whose `save` returns when the data are safe from what the program does next.

    One save is in flight at most: the next call of `save`, `restore` and `close` waits for it. A
    failure is raised once, by the next of `save`, `restore`, `wait_until_finished`,
    `check_for_errors` and `close`. A program that ends without waiting finishes the save, or says
    on stderr that it did not. What cannot be stored is raised by `save` itself.

    Args:
        handler: what turns objects into checkpoints; the futures of a handler of the program are
            waited for by `save`.
        timeout_secs: instead of `async_options.timeout_secs`.
        async_options: how long `wait_until_finished` waits, and what is called after a save.
        more: as of Checkpointer.

    Raises:
        ValueError: a timeout that is not positive.
    """

    def __init__(
        self,
        handler: CheckpointHandler,
        timeout_secs: float | None = None,
        *,
        async_options: AsyncOptions | None = None,
        **more: Any,
    ) -> None:
        super().__init__(handler, **more)
        options = async_options or AsyncOptions()
        self._timeout = float(options.timeout_secs if timeout_secs is None else timeout_secs)
        if self._timeout <= 0:
            raise ValueError(f"timeout_secs must be positive, not {self._timeout}")
        self._callback = options.post_finalization_callback
        self._response: treering.Response[None] | None = None
        self._begun = 0.0
        self._failures: list[BaseException] = []  # of the callback

    def save(
        self,
        directory: Any,
        *args: Any,
        force: bool = False,
        custom_metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """As `Checkpointer.save`, but in the background; waits for the one before, and raises its
        failure without having begun."""
        self.wait_until_finished()
        name = destination(directory, force)
        wanted = self._arguments(True, args, kwargs)
        with _handling.prepare(
            self._handler, wanted, custom_metadata=custom_metadata, asynchronous=True
        ) as prepared:
            prepared.collect()
            if is_folder(name):
                replace_folder(name, prepared)
                self._done(None)
                return
            self._begun = time.monotonic()
            self._response = treering.save_async(
                name, items=prepared.items, metadata=prepared.record, overwrite=force
            )
            self._response.on_complete(self._done)

    def _done(self, response: treering.Response[None] | None) -> None:
        """Calls the program's callback, on the thread of the save."""
        if self._callback is None or (response is not None and response.exception() is not None):
            return
        try:
            self._callback()
        except BaseException as error:
            self._failures.append(error)

    def restore(self, directory: Any, *args: Any, **kwargs: Any) -> Any:
        """As `Checkpointer.restore`; waits for the save in flight first."""
        self.wait_until_finished()
        return super().restore(directory, *args, **kwargs)

    def metadata(self, directory: Any) -> Any:
        """As `Checkpointer.metadata`; waits for the save in flight first."""
        self.wait_until_finished()
        return super().metadata(directory)

    def is_saving_in_progress(self) -> bool:
        """Whether a save is in flight."""
        return self._response is not None and not self._response.done()

    def wait_until_finished(self) -> None:
        """Returns when nothing is in flight.

        Raises:
            TimeoutError: the save has taken more than the timeout; it goes on.
            OSError: it failed, and no call has told it yet.
        """
        response = self._response
        if response is not None:
            left = max(self._timeout - (time.monotonic() - self._begun), 0.0)
            failure = response.exception(left)  # a TimeoutError leaves all as it is
            self._response = None
            if failure is not None:
                raise failure
        if self._failures:
            raise self._failures.pop(0)

    def check_for_errors(self) -> None:
        """Raises the failure of a save that has ended, once; does not wait."""
        if self._response is None or self._response.done():
            self.wait_until_finished()

    def cancel(self) -> None:
        """Gives the save in flight up, if it is not too late; no wait raises that."""
        response = self._response
        if response is None:
            return
        response.cancel()
        try:
            self.wait_until_finished()
        except treering.CancelledError:
            pass

    def close(self) -> None:
        """Finishes the save in flight and closes the handler; raises what was not told yet."""
        try:
            self.wait_until_finished()
        finally:
            super().close()


class StandardCheckpointer(AsyncCheckpointer):
    """An AsyncCheckpointer of trees that takes them without arguments around them.

    >>> import treering.orbax as ocp
    >>> state = {"w": np.arange(3.0)}
    >>> with ocp.StandardCheckpointer() as checkpointer:
    ...     checkpointer.save("run", state)
    ...     checkpointer.wait_until_finished()
    ...     checkpointer.restore("run", state)
    {'w': array([0., 1., 2.])}

    Args:
        async_options: as of AsyncCheckpointer.
        handler_options: as of StandardCheckpointHandler and Checkpointer; they change nothing here.
    """

    def __init__(
        self, *, async_options: AsyncOptions | None = None, **handler_options: Any
    ) -> None:
        for name in ("file_options", "atomicity_options", "checkpoint_metadata_store"):
            handler_options.pop(name, None)
        handler_options.pop("temporary_path_class", None)
        super().__init__(StandardCheckpointHandler(**handler_options), async_options=async_options)

    def save(  # type: ignore[override]
        self,
        directory: Any,
        state: Any = None,
        *,
        save_args: Any = None,
        force: bool = False,
        custom_metadata: dict[str, Any] | None = None,
        args: Any = None,
    ) -> None:
        """Saves a tree in the background.

        Args:
            directory: the path of the checkpoint, which will be a file.
            state: a tree.
            save_args: a tree like it of SaveArgs, or None.
            force, custom_metadata: as of `Checkpointer.save`.
            args: `args.StandardSave`, instead of `state`.

        Raises:
            As `AsyncCheckpointer.save`.
        """
        wanted = args or (
            state if isinstance(state, StandardSaveArgs) else StandardSaveArgs(state, save_args)
        )
        super().save(directory, args=wanted, force=force, custom_metadata=custom_metadata)

    def restore(
        self, directory: Any, target: Any = None, *, strict: bool = True, args: Any = None
    ) -> Any:
        """Restores a tree.

        Args:
            directory: the path.
            target: see `args.StandardRestore`; None: as saved.
            strict: False: arrays of other shapes are cut, and filled up with zeros.
            args: `args.StandardRestore`, instead of `target`.

        Raises:
            As `Checkpointer.restore`.
        """
        if isinstance(target, StandardRestoreArgs):
            args = target
        wanted = args or StandardRestoreArgs(target, strict=strict)
        return super().restore(directory, args=wanted)


__all__ = [
    "AbstractCheckpointer",
    "AsyncCheckpointer",
    "Checkpointer",
    "DestinationExistsError",
    "PyTreeCheckpointer",
    "StandardCheckpointer",
]

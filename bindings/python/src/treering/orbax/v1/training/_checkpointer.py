# SPDX-License-Identifier: Apache-2.0
# Checkpointer: saves, deletes and ends; what it reads is in _reading.py, the store below in _steps.py.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...._errors import InvalidArgumentError, WrongStateError
from ...._ffi import lib
from ...._manager_handle import close_after
from ...._manager_options import step_number
from .. import _deletion, _paths
from .._context import Context, get_context
from .._response import AsyncResponse, Running
from .._saving import STATE, check_names, check_state, choose, deprecated, prepare
from . import errors
from ._metadata import CheckpointMetadata
from ._reading import Reading, number_of
from ._response import SaveResponse
from ._steps import Steps


class Checkpointer(Reading):
    """The checkpoints of a training run, one for each step, in a directory.

    A step exists once it is whole and on the disk, and what was there stays whatever happens. One save
    runs at a time; the next one waits for it. A save in the background is finished at the
    interpreter's exit. Calls come from one thread; responses may be asked from any.

    Args:
        directory: the folder; made if it is not there. Relative paths are taken, too.
        context: options for all methods, where no other Context is active; copied.
        save_decision_policy: which steps are saved; None: the first, each while no save runs, and
            when the machine is about to be taken away.
        preservation_policy: which steps stay; None: all.
        step_name_format: how steps are called in paths.
        custom_metadata: a JSON object about the run; stored once.
        cleanup_tmp_directories, lightweight_initialize, logger: taken and change nothing: leftovers
            always go, opening is always cheap, and `logging.getLogger("treering")` is the logger.

    >>> import tempfile, numpy as np
    >>> from treering.orbax import v1 as ocp
    >>> policy = ocp.training.preservation_policies.LatestN(2)
    >>> with ocp.training.Checkpointer(tempfile.mkdtemp(), preservation_policy=policy) as checkpointer:
    ...     for step in range(4):
    ...         _ = checkpointer.save(step, {"w": np.full(2, step)})
    ...     [found.step for found in checkpointer.checkpoints]
    [2, 3]
    """

    def __init__(
        self,
        directory: Any,
        *,
        context: Context | None = None,
        save_decision_policy: Any = None,
        preservation_policy: Any = None,
        step_name_format: Any = None,
        custom_metadata: Any = None,
        cleanup_tmp_directories: bool = False,
        lightweight_initialize: bool = False,
        logger: Any = None,
    ) -> None:
        self._context = Context(context or get_context())
        self._manager = Steps.of(
            _paths.absolute(directory), self._context, save_decision_policy, preservation_policy,
            step_name_format, custom_metadata,
        )  # fmt: skip
        self._running: SaveResponse | None = None
        self._pending: Running[bool] | None = None
        self._closed = False

    # -- saving

    def save(
        self,
        step: int,
        state: Any,
        *,
        checkpointable_name: str = STATE,
        force: bool = False,
        overwrite: bool = False,
        metrics: Any = None,
        custom_metadata: dict[str, Any] | None = None,
    ) -> bool:
        """Saves a pytree as a step, if it is one to be saved; when this returns, it is on the disk.

        Args:
            step: an int from 0 up.
            state: the pytree.
            checkpointable_name: its name in the checkpoint.
            force: True: whatever the policy says. A step that exists is not replaced.
            overwrite: True: the step may exist; the old one stays until the new one is whole. The
                policy is asked as if it were not there.
            metrics: a JSON document, most often a dict of numbers.
            custom_metadata: a JSON object about the step.

        Returns:
            False if the policy skips it, or a later step exists and `force` is False.

        Raises:
            StepAlreadyExistsError: (a FileExistsError) the step exists, and `overwrite` is False.
            ValueError, TypeError, KeyError: what no checkpoint has a place for. Nothing is written.
            Exception: an earlier save in the background failed, and nobody was told; or this one.
        """
        return _waited(
            self.save_async(
                step, state, checkpointable_name=checkpointable_name, force=force, overwrite=overwrite,
                metrics=metrics, custom_metadata=custom_metadata,
            )
        )  # fmt: skip

    def save_checkpointables(
        self,
        step: int,
        checkpointables: dict[str, Any],
        *,
        force: bool = False,
        overwrite: bool = False,
        metrics: Any = None,
        custom_metadata: dict[str, Any] | None = None,
    ) -> bool:
        """Saves objects by name as a step; else as `save`."""
        return _waited(
            self.save_checkpointables_async(
                step, checkpointables, force=force, overwrite=overwrite, metrics=metrics,
                custom_metadata=custom_metadata,
            )
        )  # fmt: skip

    def save_async(
        self,
        step: int,
        state: Any,
        *,
        checkpointable_name: str = STATE,
        force: bool = False,
        overwrite: bool = False,
        metrics: Any = None,
        custom_metadata: dict[str, Any] | None = None,
    ) -> AsyncResponse[bool] | None:
        """As `save`, and returns when the data are safe from what the program does next.

        Returns:
            A response, whose `result()` waits and is True; None if the step is skipped.
        """
        check_state(state)
        return self.save_checkpointables_async(
            step, {checkpointable_name: state}, force=force, overwrite=overwrite, metrics=metrics,
            custom_metadata=custom_metadata,
        )  # fmt: skip

    def save_checkpointables_async(
        self,
        step: int,
        checkpointables: dict[str, Any],
        *,
        force: bool = False,
        overwrite: bool = False,
        metrics: Any = None,
        custom_metadata: dict[str, Any] | None = None,
    ) -> AsyncResponse[bool] | None:
        """As `save_checkpointables`, and returns when the data are safe from what the program does
        next. The files of stateful objects and of the program's handlers are written before that."""
        self._wait_for_deletion()
        check_names(checkpointables)
        step = self._usable(step)
        if not overwrite and step in self._manager.all_steps():
            raise errors.StepAlreadyExistsError(
                f"step {step} of '{self.directory}' already exists; save another, or overwrite=True",
                status=lib.TREERING_ALREADY_EXISTS,
            )
        with self._in_force():
            choose(checkpointables)
            if not force and not self._manager.decide(step, step if overwrite else None):
                return None
            self._tell()
            with prepare(checkpointables, custom_metadata) as prepared:
                self._running = SaveResponse(self._manager.begin(step, prepared, metrics, overwrite))
        return self._running

    def _usable(self, step: Any) -> int:
        number: int = step_number(step)
        if number < 0:
            raise InvalidArgumentError(
                f"step {number} is negative; steps begin at 0", status=lib.TREERING_INVALID_ARGUMENT
            )
        if self._closed:
            raise WrongStateError(
                f"the Checkpointer of '{self.directory}' is closed; make another to save step {number}",
                status=lib.TREERING_WRONG_STATE_FINISHED,
            )
        return number

    def should_save(self, step: int | CheckpointMetadata[Any]) -> bool:
        """Whether `save(step, …)` would save: False for a step that is not above the latest, else what
        the policy says."""
        with self._in_force():
            return self._manager.decide(number_of(step))

    def cancel(self, step: int | CheckpointMetadata[Any] | None = None) -> None:
        """Asks the save in flight to end early, and waits for its end; it may still end well.

        Args:
            step: a step that is deleted besides, if it is there.
        """
        self._wait_for_deletion()
        self._manager.ask_to_stop()
        if self._running is not None:
            self._running.settle()
            self._running.take_untold()
        if step is not None and number_of(step) in self._manager.all_steps():
            self._manager.delete(number_of(step))

    # -- dropping

    def delete(
        self,
        step: int | CheckpointMetadata[Any],
        *,
        checkpointable_name: str | None = None,
        missing_ok: bool = False,
    ) -> bool:
        """Deletes a step, or one checkpointable of it, for good; a save in flight is waited for.

        Args:
            step: the step.
            checkpointable_name: only this one goes; the step is written anew without it.
            missing_ok: True: what is not there is no error.

        Returns:
            True if there was something to delete.

        Raises:
            StepNotFoundError: (a FileNotFoundError) there is no such step.
            FileNotFoundError: it has no such checkpointable.
            ValueError: the name cannot be one, or is of the only checkpointable.
        """
        response = self.delete_async(step, checkpointable_name=checkpointable_name, missing_ok=missing_ok)
        self._pending = None
        return response.result()

    def delete_async(
        self,
        step: int | CheckpointMetadata[Any],
        *,
        checkpointable_name: str | None = None,
        missing_ok: bool = False,
    ) -> AsyncResponse[bool]:
        """As `delete`, on a thread in the background; what can be told at once is."""
        number = step.step if isinstance(step, CheckpointMetadata) else step
        if not isinstance(number, int) or isinstance(number, bool):
            raise TypeError(f"a step is an int, not {number!r}")
        if number < 0:
            raise ValueError(f"step {number} is negative; steps begin at 0")
        _deletion.check_arguments(checkpointable_name, missing_ok)
        with self._in_force():
            _deletion.refuse_moves()
        self.wait()
        if number not in self._manager.all_steps() and not missing_ok:
            raise self._no_step(number)
        work = self._deleting(number, checkpointable_name, missing_ok)
        self._pending = Running(work, f"deleting step {number} of {self.directory}")
        return self._pending

    def _deleting(self, step: int, name: str | None, missing_ok: bool) -> Callable[[], bool]:
        def work() -> bool:
            if step not in self._manager.all_steps():
                return False
            if name is None:
                self._manager.delete(step)
                return True
            place = self._place(step)
            path = str(self.directory / self._manager.name(step))
            deleted = _deletion.delete_item(path, place, name, missing_ok, self._manager._store)
            self._manager._listing.forget(step)
            return deleted

        return work

    # -- waiting and the end

    def _wait_for_deletion(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _tell(self) -> None:
        """Waits for the save in flight, and raises a failure that nobody was told."""
        if self._running is not None:
            self._running.settle()
            error = self._running.take_untold()
            if error is not None:
                raise error

    def wait(self) -> None:
        """Waits for what is in flight.

        Raises:
            Exception: a save or a deletion failed, and nobody was told.
        """
        self._wait_for_deletion()
        self._tell()

    def reload(self) -> None:
        """Sees what others have saved and deleted."""
        self._wait_for_deletion()
        self._manager.reload()

    def is_saving_in_progress(self) -> bool:
        """True while a save is in flight."""
        return self._manager.is_saving_in_progress()

    def close(self) -> None:
        """Waits for what is in flight and unlocks the directory. Twice is fine; steps can be loaded
        afterwards.

        Raises:
            Exception: a save or a deletion failed, and nobody was told. It is closed all the same.
        """
        try:
            self.wait()
        finally:
            self._closed = True
            self._manager.close()

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(self, kind: Any, exception: Any, traceback: Any) -> None:
        close_after(exception, self.close, self.directory)

    def __repr__(self) -> str:
        return f"Checkpointer('{self.directory}'{', closed' if self._closed else ''})"

    save_pytree = deprecated("save_pytree", save)
    save_pytree_async = deprecated("save_pytree_async", save_async)
    load_pytree = deprecated("load_pytree", Reading.load)
    load_pytree_async = deprecated("load_pytree_async", Reading.load_async)
    pytree_metadata = deprecated("pytree_metadata", Reading.metadata)


def _waited(response: AsyncResponse[bool] | None) -> bool:
    return False if response is None else response.result()

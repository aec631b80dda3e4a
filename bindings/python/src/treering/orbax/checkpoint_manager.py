# SPDX-License-Identifier: Apache-2.0
# CheckpointManager with Orbax's names, on treering's store.
#
# This file makes a manager, saves, deletes and ends; _manager_reading.py restores and lists. What is
# decided is decided before anything is written: a policy that raises, metrics that best_fn cannot
# read, an object that no checkpoint has a place for leave nothing behind.
"""`CheckpointManager`, `CheckpointManagerOptions` and `StepAlreadyExistsError`.

    >>> import tempfile, numpy as np
    >>> import treering.orbax as ocp
    >>> folder = tempfile.mkdtemp()
    >>> options = ocp.CheckpointManagerOptions(max_to_keep=2)
    >>> with ocp.CheckpointManager(folder, options=options) as manager:
    ...     for step in range(4):
    ...         _ = manager.save(step, args=ocp.args.StandardSave({"w": np.full(3, step)}))
    ...     manager.wait_until_finished()
    ...     manager.all_steps(), manager.restore(3)["w"].tolist()
    ([2, 3], [3, 3, 3])
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .. import _errors
from .._ffi import lib
from .._manager_handle import close_after
from .._manager_options import step_number
from . import _handling
from ._listing import CheckpointInfo, Listing, Retention, doomed_steps, move
from ._log import logger
from ._manager_reading import Reading
from ._options import CheckpointManagerOptions, decision_policy, keep_policy, name_format
from ._setup import (
    DEFAULT_ITEM_NAME,
    METADATA_ITEM_NAME,
    METRIC_ITEM_NAME,
    RESERVED_ITEM_NAMES,
    Root,
    check_arguments,
    handlers,
    log_once_unused,
    prepare_folder,
    reached_preemption,
)
from ._store import KEY, Store
from .abstract_checkpoint_manager import AbstractCheckpointManager
from .checkpoint_args import CheckpointArgs
from .checkpoint_managers import save_decision_policy as decision
from .checkpoint_managers.preservation_policy import score_functions
from .composite import Composite
from .options import AsyncOptions, AtomicityOptions, FileOptions, MultiprocessingOptions

__all__ = [
    "AbstractCheckpointManager", "AsyncOptions", "AtomicityOptions", "CheckpointManager",
    "CheckpointManagerOptions", "DEFAULT_ITEM_NAME", "FileOptions", "METADATA_ITEM_NAME",
    "METRIC_ITEM_NAME", "MultiprocessingOptions", "RESERVED_ITEM_NAMES", "StepAlreadyExistsError",
]  # fmt: skip


class StepAlreadyExistsError(_errors.AlreadyExistsError, ValueError):
    """The step exists, or is being saved."""


class CheckpointManager(Reading):
    """The steps of a training run in one folder; `import treering.orbax as ocp` and go on.

    Methods are Orbax's. A step exists once it is whole and on the disk, and what was there before
    stays whatever happens; `ORBAX.md` lists where that makes an answer differ. `latest_step` is the
    greatest step, and lists ascend. A save in the background is finished at the interpreter's exit.

    Calls come from one thread; `wait_until_finished` may be called from several. Several managers of
    one folder may be open in a process; the one that saves holds the folder's lock, and other
    processes may read.

    Args:
        directory: the folder; relative paths are taken, too.
        checkpointers: the old way to name handlers: a Checkpointer, or a dict of them by item.
        options: see `CheckpointManagerOptions`.
        metadata: a JSON object about the run, stored once.
        item_names: names of the items, whose handlers the first arguments say.
        item_handlers: a handler, or a dict of them by item.
        logger: taken and not used; see `logging.getLogger("treering")`.
        handler_registry: handlers by item and class of arguments.

    Raises:
        ValueError: arguments or options that do not go together; a folder with steps of the real Orbax.
        NotImplementedError: `active_processes` with `create`, `todelete_full_path`.
    """

    def __init__(
        self,
        directory: Any,
        checkpointers: Any = None,
        options: Optional[CheckpointManagerOptions] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        item_names: Optional[Sequence[str]] = None,
        item_handlers: Any = None,
        logger: Any = None,
        handler_registry: Any = None,
    ) -> None:
        self._options = options or CheckpointManagerOptions()
        self._decision, self._keep = decision_policy(self._options), keep_policy(self._options)
        check_arguments(checkpointers, item_names, item_handlers, handler_registry)
        self._handler, self._single, asynchronous = handlers(
            checkpointers, item_names, item_handlers, handler_registry, self._options
        )
        settings = self._options.async_options or AsyncOptions()
        if settings.post_finalization_callback is not None and not asynchronous:
            raise ValueError("post_finalization_callback goes with asynchronous saves only")
        if asynchronous and settings.timeout_secs <= 0:
            raise ValueError(f"timeout_secs must be more than 0, not {settings.timeout_secs}")
        self._asynchronous, self._timeout = asynchronous, settings.timeout_secs
        self._directory = os.path.abspath(os.fsdecode(os.fspath(directory)))
        prepare_folder(self._directory, self._options)
        log_once_unused(self._options)
        self._names = name_format(self._options)
        moves = self._options.todelete_subdir is not None
        self._retention = Retention(moves, settings.post_finalization_callback)
        self._store = Store(self._directory, asynchronous, self._retention)
        self._listing = Listing(self._store, self._names, self._retention)
        self._root = Root(self._directory, metadata, self._options)
        self._closed = False

    # -- saving

    def save(
        self,
        step: int,
        items: Any = None,
        save_kwargs: Any = None,
        metrics: Any = None,
        force: Optional[bool] = False,
        args: Optional[CheckpointArgs] = None,
        custom_metadata: Optional[dict[str, Any]] = None,
    ) -> bool:
        """Saves a step, if it is one to be saved.

        Args:
            step: an int from 0 up.
            items, save_kwargs: the old way, for managers made with handlers: objects, by item.
            metrics: a JSON document, most often a dict of numbers; stored in any case.
            force: True: whatever the policies say. A step that exists is never replaced.
            args: `args.StandardSave(tree)` and others, or `args.Composite` of several items.
            custom_metadata: a JSON object about the step.

        Returns:
            True if the save has begun (or is done, when not asynchronous), False if it was skipped.

        Raises:
            StepAlreadyExistsError: (a ValueError) `force`, and the step exists.
            ValueError, TypeError: arguments, or what no checkpoint has a place for. Nothing is written.
            Exception: an earlier save in the background failed; this one has not begun.
        """
        if custom_metadata is not None and not isinstance(custom_metadata, dict):
            raise ValueError(f"custom_metadata is a dict, not {type(custom_metadata).__name__}")
        if items is None and args is None:
            raise ValueError("save needs something to save: args=, e.g. args.StandardSave(tree)")
        step = step_number(step)
        if step < 0:
            raise _errors.InvalidArgumentError(f"step {step} is negative; steps begin at 0")
        if self._single is None:
            self._single = not isinstance(args, Composite)
        self._check_args(items, args)
        if self._closed:
            raise _errors.WrongStateError(
                f"the manager of '{self._directory}' is closed; make another to save step {step}",
                status=lib.TREERING_WRONG_STATE_FINISHED,
            )
        if self._options.read_only:
            logger.warning("'%s' is read only: step %d is not saved", self._directory, step)
            return False
        if not force and not self.should_save(step):
            return False
        self.wait_until_finished()
        self._refuse_existing(step)
        composite = self._arguments(items, save_kwargs, args, 0)
        self._check_metrics(step, metrics)
        self._write(step, composite, metrics, custom_metadata)
        return True

    def _refuse_existing(self, step: int) -> None:
        version = self._store.version(step)
        if version is not None:
            raise StepAlreadyExistsError(
                f"Checkpoint for step {step} already exists: {version.path}; delete it, or save another",
                status=lib.TREERING_ALREADY_EXISTS,
            )

    def _check_metrics(self, step: int, metrics: Any) -> None:
        """Raises what best_fn raises, before the step is there."""
        if metrics is None:
            if self._options.best_fn is not None:
                logger.warning("step %d has no metrics, and best_fn is to rank it by them", step)
            return
        scores = score_functions(self._keep)
        if self._options.best_fn is not None and self._options.best_fn not in scores:
            scores.append(self._options.best_fn)
        for score in scores:
            score(metrics)

    def _write(self, step: int, composite: Composite, metrics: Any, custom_metadata: Any) -> None:
        prepared = _handling.prepare(
            self._handler, composite, custom_metadata=custom_metadata, asynchronous=self._asynchronous
        )
        with prepared:
            prepared.collect()
            record = prepared.record[KEY]
            record["step_name"] = self._names.build_name(step)
            stored: Any = None if self._options.prevent_write_metrics else metrics
            if stored is not None and not (isinstance(stored, Mapping) and stored):
                record["metrics"], stored = stored, None
            info = CheckpointInfo(step, datetime.datetime.now(tz=datetime.timezone.utc), metrics)
            listed = [*self._listing.infos(), info]
            doomed = doomed_steps(self._keep, sorted(listed, key=lambda one: one.step))
            writer = self._store.writer()
            self._refuse_existing(step)
            self._listing.begin(info, doomed)
            writer.save(
                step, items=prepared.items, metrics=stored, metadata=prepared.record, force=True
            )
        if not self._asynchronous:
            self._after()

    def should_save(self, step: int) -> bool:
        """Whether `save(step, …)` would save: False for a step that is not above the latest, and for a
        read-only manager; else what the policy says."""
        if self._options.read_only:
            logger.warning("'%s' is read only: nothing is saved", self._directory)
            return False
        infos = self._listing.infos()
        if infos and infos[-1].step >= step:
            return False
        asked = self._options.enable_should_save_is_saving_in_progress_check
        context = decision.DecisionContext(
            is_saving_in_progress=asked and self.is_saving_in_progress(),
            reached_preemption=self.reached_preemption(step),
            multiprocessing_options=self._options.multiprocessing_options,
        )
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        info = CheckpointInfo(step, now, None)
        return bool(self._decision.should_save(info, previous_steps=infos, context=context))

    def reached_preemption(self, step: int) -> bool:
        """Whether JAX was told that the machine is about to be taken away."""
        return reached_preemption(step)

    # -- dropping

    def delete(self, step: int) -> None:
        """Deletes a step, or moves it into `todelete_subdir`; a save in flight is waited for.

        Raises:
            FileNotFoundError: there is no such step.
        """
        if self._options.read_only:
            logger.warning("'%s' is read only: step %s is not deleted", self._directory, step)
            return
        if step not in self.all_steps():
            raise _errors.CheckpointNotFoundError(
                f"Requested deleting a non-existent step: {step}; '{self._directory}' has "
                f"{self.all_steps()}",
                status=lib.TREERING_NOT_FOUND,
            )
        self._store.wait_quietly()
        if self._store.version(step) is not None:
            self._drop(step)
        self._listing.forget(step)

    def _drop(self, step: int) -> None:
        below = self._options.todelete_subdir
        if below is None:
            self._store.writer().delete(step)
        else:
            move(self._store, step, os.path.join(self._directory, below))

    # -- waiting and the end

    def wait_until_finished(self) -> None:
        """Returns when nothing is in flight.

        Raises:
            TimeoutError: it took longer than `timeout_secs`; the save goes on.
            Exception: the save failed; told once.
        """
        try:
            self._store.wait(self._timeout if self._asynchronous else None)
        except _errors.TimedOutError:
            raise
        except BaseException:
            self._after()
            raise
        self._after()

    def _after(self) -> None:
        """Nothing is in flight: moves what is to be moved, raises what the callback raised."""
        moving = self._listing.settle()
        for step in moving:
            self._drop(step)
        if moving:
            self._listing.settle()
        error, self._retention.error = self._retention.error, None
        if error is not None:
            raise error

    def check_for_errors(self) -> None:
        """Raises the failure of a save that has ended, if nobody was told; does not wait."""
        if not self._store.saving():
            self.wait_until_finished()

    def is_saving_in_progress(self) -> bool:
        """True while a save is in flight."""
        return self._store.saving()

    def close(self) -> None:
        """Finishes what is in flight and unlocks the folder. Twice is fine; steps can be read after it.

        Raises:
            Exception: a save failed, and nobody was told. The manager is closed all the same.
        """
        if self._closed:
            return
        try:
            self._store.wait()
            self._after()
        finally:
            self._closed = True
            self._store.close()

    def __enter__(self) -> CheckpointManager:
        return self

    def __exit__(self, kind: Any, exception: Any, traceback: Any) -> None:
        close_after(exception, self.close, self._directory)

    def __repr__(self) -> str:
        return f"CheckpointManager({self._directory!r}{', closed' if self._closed else ''})"

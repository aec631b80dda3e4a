# SPDX-License-Identifier: Apache-2.0
# CheckpointManager: the checkpoints of a training run, one for each step, in a directory.
#
# This file saves and changes; _manager_read.py restores and lists, _manager_handle.py waits and ends,
# _manager_options.py turns arguments into policies, _lending.py makes trees safe from the program.
from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from . import _errors, _lending, _policies, _versions
from ._errors import about, new_error
from ._ffi import ffi, lib
from ._manager_handle import close_after
from ._manager_options import open_handle, ranking, step_number
from ._manager_read import Reading
from ._nodes import json_text, options, threads_for
from ._opening import AnyPath, refuse_orbax
from ._progress import Progress, Watch

if TYPE_CHECKING:
    from datetime import timedelta

    from ._versions import Decision

_NOTHING: Any = object()
_ITEM_SIZE = ffi.sizeof("treering_save_item")


class CheckpointManager(Reading):
    """A directory with the checkpoints of a run, one for each step.

    >>> state = {"w": np.zeros(3)}
    >>> with treering.CheckpointManager("run", max_to_keep=2) as manager:
    ...     if manager.latest_step() is not None:
    ...         state = manager.restore(target=state)
    ...     for step in range(3):
    ...         state = {"w": state["w"] + 1}  # a step of training
    ...         begun = manager.save(step, state, metrics={"loss": 1 / (step + 1)})
    ...     manager.wait_until_finished()
    ...     manager.all_steps(), manager.metrics(2)
    ([1, 2], {'loss': 0.3333333333333333})

    A step exists once its checkpoint is whole and on the disk, and whatever happens during a save
    (a crash, a kill, a full disk), the steps that were there stay. One manager at a time writes;
    any number may read, here and in other processes (`read_only`).

    Saves run in the background: `save` returns when the data are safe from what the program does
    next. NumPy arrays are copied (up to `staging_bytes` at a time; beyond that `save` takes as long
    as the disk); a `jax.Array` is lent and not copied: it stays in memory until it is written, even
    if it is deleted or donated meanwhile, for which XLA then takes a new buffer. A save that fails
    is raised by the next of `save` (one that is not skipped), `wait_until_finished` and `close`,
    once. A program that ends without `close` finishes the running save, or says on stderr that it
    did not.

    Methods may be called from several threads. Ctrl-C ends every wait, and the manager stays usable;
    while `save` copies for the background, it is seen when the copy is made.
    In a forked child a manager is of no use (WrongStateError); its parent's goes on.

    Args:
        directory: where the steps are; made if `create`, its parents too.
        max_to_keep: how many steps stay: the latest, or with `best_metric` the best, and in any case
            the greatest step. None: all.
        save_interval_steps: `save` takes steps that this divides, the first of all, those of
            `save_on_steps`, and the one after `request_save`; it skips others.
        save_on_steps: more steps to take.
        keep_period: steps that this divides stay, too.
        keep_time_interval: seconds (or a timedelta): a step that was saved this long after the last
            one so kept stays, too.
        best_metric: name of the metric that ranks steps; `best_mode` says which end is good: "max" or
            "min".
        save_policies, keep_policies: instead of the above, one or several `treering.policies` or
            functions.
        asynchronous: False: `save` returns when the step is on the disk, and no thread is started.
        read_only: changes nothing, ever; `save` answers False.
        create: False: the directory must be there.
        lock_timeout: seconds to wait for another writer to end. BusyError (a BlockingIOError) names
            its process and host.
        no_lock: True: for a mount without locks. Two writers then lose each other's work.
        metadata: a JSON value about the run; stored when the directory is made.
        verify_before_prune: True: each new step is read back before old ones are dropped.
        staging_bytes: bytes of copies for saves in the background, at most; 0: 1 GiB.
        save_queue: how many saves may be in flight; `save` waits while there are so many.
        drop_newest: True: the greatest step stays only if a policy keeps it.

    Raises:
        CheckpointNotFoundError: `create` is False, or `read_only`, and there is no directory.
        BusyError: another manager writes there.
        NotTreeringError: (a ValueError) it has checkpoints of Orbax, and none of treering.
        ValueError: arguments that do not go together.
    """

    def __init__(
        self,
        directory: AnyPath,
        *,
        max_to_keep: int | None = None,
        save_interval_steps: int = 1,
        save_on_steps: Iterable[int] | None = None,
        keep_period: int | None = None,
        keep_time_interval: float | timedelta | None = None,
        best_metric: str | None = None,
        best_mode: Literal["max", "min"] = "max",
        save_policies: Any = None,
        keep_policies: Any = None,
        asynchronous: bool = True,
        read_only: bool = False,
        create: bool = True,
        lock_timeout: float = 0,
        no_lock: bool = False,
        metadata: Any = None,
        verify_before_prune: bool = False,
        staging_bytes: int = 0,
        save_queue: int = 1,
        drop_newest: bool = False,
    ) -> None:
        if save_queue < 1:
            raise ValueError(f"save_queue must be at least 1, not {save_queue}")
        self._wants_metric = best_metric
        self._best = ranking(best_metric, best_mode, keep_policies)
        self._asynchronous, self._read_only = bool(asynchronous), bool(read_only)
        self._budget, self._queue = staging_bytes or 1 << 30, save_queue
        self._restored: int | None = None
        self._directory = os.path.abspath(os.fsdecode(os.fspath(directory)))
        refuse_orbax(self._directory)
        self._handle = open_handle(
            self._directory, read_only, create, lock_timeout, metadata,
            (save_policies, save_interval_steps, save_on_steps),
            (keep_policies, max_to_keep, keep_period, keep_time_interval,
             best_metric and (best_metric, best_mode == "min")),
            no_lock=bool(no_lock), verify_before_prune=bool(verify_before_prune),
            staging_bytes=staging_bytes, save_queue=save_queue, drop_newest=bool(drop_newest),
        )  # fmt: skip
        weakref.finalize(self, self._handle.dropped).atexit = False

    # -- saving

    def save(
        self,
        step: int,
        tree: Any = _NOTHING,
        *,
        items: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        metadata: Any = None,
        force: bool = False,
        overwrite: bool = False,
        progress: Progress = None,
    ) -> bool:
        """Saves a step, if it is one to be saved.

        Args:
            step: an int from 0 up. Steps that are not above the latest are skipped unless `force`.
            tree: the item "default"; see `treering.save` for what trees and `items` may hold.
            items: more items by name: trees, `treering.Json`, `treering.Blob`.
            metrics: a dict. Numbers (also scalars of NumPy, JAX and torch) rank steps; what is no
                number must be JSON and is kept with them.
            metadata: a JSON value about the step.
            force: True: whatever the policies say.
            overwrite: True: the step may exist; it is replaced when the new one is on the disk.
            progress: True: a bar of tqdm. A function: called with the bytes done and in all, on the
                thread that saves. What it raises ends the save, and is raised where failures are.

        Returns:
            True if the save has begun (or is done, where saves are not asynchronous), False if it was
            skipped.

        Raises:
            AlreadyExistsError: (a FileExistsError) the step exists, or is being saved.
            OSError: with its errno: this save failed, or an earlier one in the background did, and
                then this one has not begun.
            ValueError, TypeError: arguments, and what no checkpoint has a place for.
        """
        step = step_number(step)
        wanted = _lending.named({} if tree is _NOTHING else {"default": tree}, items)
        numbers, document = _versions.split_metrics(metrics)
        text = b"" if metadata is None else json_text(metadata, "metadata")
        if not self._wanted(step, force, overwrite):
            return False
        _versions.warn_without_rank(step, self._wants_metric, numbers)
        if self._asynchronous:
            self._handle.wait_for_room(self._queue)
        with about(self._directory):
            budget = self._budget if self._asynchronous else None
            prepared, borrow, total = _lending.prepare(wanted, budget)
        array, kept = _lending.pack(prepared)
        metric_array, more = _versions.pack_metrics(numbers)
        memory = [ffi.from_buffer("char[]", document), ffi.from_buffer("char[]", text), kept, more]
        watch = Watch(_policies.guarded(progress), f"saving step {step}", 0 if self._asynchronous else total)
        writing = options("treering_save_options", threads=threads_for(total), **watch.fields)
        settings = options(
            "treering_step_options", force=True, overwrite=bool(overwrite), borrow=borrow,
            metrics=metric_array, metric_size=ffi.sizeof("treering_metric"), metric_count=len(numbers),
            metrics_document=memory[0], metrics_document_size=len(document),
            metadata=memory[1], metadata_size=len(text), save=writing,
        )  # fmt: skip
        if self._asynchronous:
            self._begin(step, array, settings, watch)
        else:
            with watch:
                self._save_now(step, array, settings, watch)
        return True

    def _wanted(self, step: int, force: bool, overwrite: bool) -> bool:
        """False to skip; raises what can be told before any work."""
        with self._handle.exclusive() as pointer:
            self._handle.reap()
            wanted = force or self._decide(pointer, step)
            if self._read_only:
                if force:
                    raise _errors.WrongStateError(
                        f"'{self._directory}' was opened read_only, which force does not change",
                        status=lib.TREERING_WRONG_STATE,
                        path=self._directory,
                    )
                return False
            running = step in self._handle.steps_in_flight()
            exists = running or self._handle.has(step)
            if exists and not overwrite:
                what = "is being saved" if running else "exists already"
                raise _errors.AlreadyExistsError(
                    f"step {step} of '{self._directory}' {what}; save another, or overwrite=True",
                    status=lib.TREERING_ALREADY_EXISTS,
                    path=self._directory,
                )
            return wanted or exists

    def _decide(self, pointer: Any, step: int) -> bool:
        out, error = ffi.new("uint32_t *"), new_error()
        status = lib.treering_manager_should_save(out, pointer, step, error)
        self._handle.check(status, error, self._handle.save_policies)
        return bool(out[0] == 1)

    def _begin(self, step: int, array: Any, settings: Any, watch: Watch) -> None:
        out, error = ffi.new("treering_pending **"), new_error()
        with self._handle.exclusive() as pointer:
            try:  # an interrupt may come as soon as the save has begun
                status = lib.treering_manager_save_async(
                    out, pointer, step, array, _ITEM_SIZE, len(array), settings, error
                )
            finally:
                self._handle.add(step, out[0], watch)
            self._handle.check(status, error)

    def _save_now(self, step: int, array: Any, settings: Any, watch: Watch) -> None:
        out, error = options("treering_saved"), new_error()
        with self._handle.exclusive() as pointer:
            status = lib.treering_manager_save(
                out, pointer, step, array, _ITEM_SIZE, len(array), settings, error
            )
            watch.reraise()
            self._handle.check(status, error)
            self._handle.saved(step, out)

    def should_save(self, step: int) -> bool:
        """Whether `save(step, …)` would save: False for a step that is not above the latest, and for
        a read-only manager."""
        with self._handle.exclusive() as pointer:
            return self._decide(pointer, step_number(step))

    def request_save(self) -> None:
        """Makes the next `should_save` True, until a save has begun. For signal handlers: a SIGTERM
        that announces a preemption, say. Needs `policies.Requested` among `save_policies`, if given."""
        handle = self._handle  # takes no lock: the handler may have interrupted one of our own calls
        if not handle.closed and handle.process == os.getpid():
            lib.treering_manager_request_save(handle.pointer)

    def wait_until_finished(self, timeout: float | None = None) -> None:
        """Returns when nothing is in flight.

        Args:
            timeout: in seconds; None: no limit.

        Raises:
            TimedOutError: (a TimeoutError) time is up; the save goes on.
            OSError: a save failed, and no call has told it yet.
        """
        if not self._handle.wait(timeout):
            steps = ", ".join(map(str, self._handle.steps_in_flight()))
            raise _errors.TimedOutError(
                f"step {steps} of '{self._directory}' is still being saved after {timeout} s",
                status=lib.TREERING_TIMEOUT,
                path=self._directory,
            )

    def is_saving(self) -> bool:
        """True while a save is in flight."""
        return self._handle.saving() > 0

    def cancel(self) -> Any:
        """Gives up the saves in flight; nothing of them stays. What was there before stays.

        Returns:
            The steps that are not saved, a list; others had been saved by then.

        Raises:
            OSError: a save failed for another reason, and no call has told it yet.
        """
        return self._handle.cancel()

    # -- dropping

    def delete(self, step: int) -> None:
        """Deletes a step, for good; waits for saves in flight. CheckpointNotFoundError (a
        FileNotFoundError): there is no such step."""
        step = step_number(step)
        self._handle.wait()
        error = new_error()
        with self._handle.exclusive() as pointer:
            self._handle.check(lib.treering_manager_delete(pointer, step, error), error)

    def prune(self, keep: Any = None, *, dry_run: bool = True) -> list[Decision]:
        """What `keep` (policies and functions; None: those of the manager) says of each step.

        Args:
            keep: as `keep_policies`.
            dry_run: False: the steps that it does not keep are deleted, for good.

        Returns:
            A list of `Decision(step, keep, rule)`, ascending by step; `rule` is for people.
        """
        given = None if keep is None else _policies.keep_array(_policies.as_list(keep))
        try:
            if not dry_run:
                self._handle.wait()
            with self._handle.exclusive() as pointer:
                return self._prune(pointer, given, dry_run)
        finally:
            if given is not None:
                given.close()

    def _prune(self, pointer: Any, given: Any, dry_run: bool) -> list[Decision]:
        self._handle.reap()
        capacity = int(_versions.store_info(pointer).version_count) + self._queue + 1
        array, count = ffi.new("treering_decision[]", capacity), ffi.new("uint64_t *")
        error = new_error()
        status = lib.treering_manager_prune(
            pointer, ffi.NULL if given is None else given.array,
            ffi.sizeof("treering_keep_policy"), 0 if given is None else given.count, bool(dry_run),
            array, ffi.sizeof("treering_decision"), capacity, count, error,
        )  # fmt: skip
        self._handle.check(status, error, given or self._handle.keep_policies)
        return [_versions.Decision.of(array[i]) for i in range(count[0])]

    @staticmethod
    def rebuild(directory: AnyPath, *, lock_timeout: float = 0) -> Any:
        """Brings steps back whose records are lost, from the checkpoints themselves. For a directory
        that is damaged: its `manifests` were deleted, say. Do not open it otherwise before, since a
        manager that writes removes what no record names.

        Args:
            directory: of a manager; nobody may write there meanwhile.
            lock_timeout: as of the manager.

        Returns:
            `Rebuilt(count, findings)`: how many steps came back, and what could not be taken, as a
            list of `treering.Finding`.
        """
        return _versions.rebuild(os.path.abspath(os.fsdecode(os.fspath(directory))), lock_timeout)

    # -- the end

    def close(self, timeout: float | None = None) -> None:
        """Finishes the saves in flight and unlocks the directory. Closing again does nothing.

        Args:
            timeout: in seconds; None: as long as it takes. What is not on the disk by then is
                cancelled, and nothing of it stays.

        Raises:
            TimedOutError: (a TimeoutError) a save was cancelled.
            OSError: a save failed, and no call has told it yet. The manager is closed all the same.
        """
        self._handle.close(timeout)

    def __enter__(self) -> CheckpointManager:
        return self

    def __exit__(self, kind: Any, exception: Any, traceback: Any) -> None:
        close_after(exception, self.close, self._directory)

    def __repr__(self) -> str:
        closed = ", closed" if self._handle.closed else ""
        return f"CheckpointManager({self._directory!r}{closed})"

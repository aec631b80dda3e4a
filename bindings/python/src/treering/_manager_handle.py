# SPDX-License-Identifier: Apache-2.0
# The life of a manager's C handle: exclusion, waiting that Ctrl-C ends, fork, and exit.
#
# C wants one call at a time for what changes a manager, so such calls hold `lock`. Nothing that may
# take long waits inside C: it is asked again every few hundredths of a second, and in between
# Python sees its signals and other threads get the lock.
#
# A save that was begun is finished, whatever becomes of the manager: when it is closed, when it is
# dropped without being closed, when the interpreter exits. What could not be finished then is said
# on stderr, since nobody is left to raise it to. A forked child has no part in any of this: its
# copy of the handle is freed at once, so that it does not hold the lock after its parent's death,
# whatever calls the parent's other threads were in: they are not there to come back.
from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from . import _errors
from ._errors import WrongStateError, about, check, error_of, new_error
from ._exit import first_at_exit
from ._ffi import ffi, lib
from ._logging import INFO, WARNING, log
from ._nodes import options
from ._calls import calling
from ._versions import has, latest_of, store_info

SLICE = 0.05  # seconds: how long Ctrl-C may go unseen
_live: set[Handle] = set()  # handles that are to be closed


def status_class(status: int) -> int:
    return status & 255


def shout(message: str) -> None:
    """For failures that can be raised to nobody."""
    import logging

    logger = logging.getLogger("treering")
    if logger.hasHandlers():
        logger.error(message)
    print(f"treering: {message}", file=sys.stderr, flush=True)


def close_after(exception: Any, close: Callable[[], None], directory: object) -> None:
    """Closes at the end of a `with` block. What the body raised goes on, and says what else went
    wrong; without it the failure of a save is raised."""
    try:
        close()
    except Exception as failure:
        if exception is None:
            raise
        if sys.version_info >= (3, 11):
            exception.add_note(f"and a save had failed: {failure}")
        shout(f"a save of '{directory}' failed: {failure}")


def is_written_here(directory: str) -> bool:
    """Whether a manager of this process has the directory open to write."""
    here = os.path.realpath(directory)
    return any(handle.writes and os.path.realpath(handle.directory) == here for handle in list(_live))


def _without_one_cancelled(failures: list[BaseException]) -> list[BaseException]:
    for at, failure in enumerate(failures):
        if isinstance(failure, _errors.CancelledError):
            return failures[:at] + failures[at + 1 :]
    return failures


class Handle:
    def __init__(self, pointer: Any, directory: str, arrays: Any, writes: bool) -> None:
        self.pointer = pointer
        self.directory, self.writes = directory, writes
        self.save_policies, self.keep_policies = arrays
        self.lock = threading.Lock()
        self.owner: int | None = None
        self.process = os.getpid()
        self.closed = False
        self.in_flight: list[tuple[int, Any, Any]] = []  # (step, pending, watch)
        # By functions that were told of the progress of a save, and warnings that are errors.
        self.raised: list[BaseException] = []
        self.asked: int | None = None  # no step is above this; None: not known
        _live.add(self)
        first_at_exit(_at_exit)

    # -- calls

    def use(self) -> Any:
        """The C handle, if it may be called now."""
        if threading.get_ident() in calling:
            raise WrongStateError(
                "a manager was called from within a policy; policies decide from what they are given",
                status=lib.TREERING_WRONG_STATE,
            )
        if self.process != os.getpid():
            raise WrongStateError(
                f"'{self.directory}' was opened by process {self.process}, before it forked this one; "
                "open a manager of your own, read_only=True to restore",
                status=lib.TREERING_WRONG_STATE_FORKED,
            )
        if self.closed:
            raise WrongStateError(
                f"the manager of '{self.directory}' is closed; open another",
                status=lib.TREERING_WRONG_STATE_FINISHED,
            )
        return self.pointer

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Any]:
        """The C handle, with no other call that may change it."""
        self.use()
        me = threading.get_ident()
        if self.owner == me:  # a signal handler, or a destructor, in the middle of a call
            raise WrongStateError(
                f"the manager of '{self.directory}' was called in the middle of another of its calls "
                "on the same thread; a signal handler may call request_save only",
                status=lib.TREERING_WRONG_STATE,
            )
        with self.lock:
            self.owner = me
            try:
                pointer = self.use()
                for policies in self.save_policies, self.keep_policies:
                    policies.take_error(own=True)  # of an earlier call, which nobody told
                yield pointer
            finally:
                self.owner = None
                if self.process != os.getpid():  # a callback has forked, see abandon
                    ffi.release(self.pointer)

    def check(self, status: int, error: Any, policies: Any = None) -> None:
        """Raises what a status means, or what a function among `policies` raised during the call."""
        raised = None if policies is None else policies.take_error(own=True)
        if raised is not None:
            raise raised
        with _errors.about(self.directory):
            if status == lib.TREERING_NOT_FOUND:  # a step: here, what is not found is a file
                raise _errors.CheckpointNotFoundError(error_of(error).message, status=status)
            check(status, error)

    # -- saves in flight

    def add(self, step: int, pending: Any, watch: Any) -> None:
        if pending != ffi.NULL:
            self.in_flight.append((step, ffi.gc(pending, lib.treering_pending_free), watch))
            first_at_exit(_at_exit)
        else:
            self.end(watch)

    def reap(self) -> None:
        """Forgets saves that have ended, and warns of what their retention could not do."""
        ended: list[tuple[int, Any, Any]] = []
        running: list[tuple[int, Any, Any]] = []
        for entry in list(self.in_flight):
            (running if self.state(entry[1]) < lib.TREERING_STATE_COMMITTED else ended).append(entry)
        self.in_flight = running
        for step, pending, watch in ended:
            self.end(watch)
            saved, error = options("treering_saved"), new_error()
            status = lib.treering_pending_wait(saved, pending, 0, error)
            if status == 0:
                try:
                    self.saved(step, saved)
                except Warning as raised:  # where warnings are errors; other saves go on being told
                    self.raised.append(raised)
            else:
                why = error_of(error).message
                log(WARNING, "step %d of '%s' was not saved: %s", step, self.directory, why)

    def end(self, watch: Any) -> None:
        try:
            with watch:
                watch.reraise()
        except BaseException as raised:
            self.raised.append(raised)

    def state(self, pending: Any) -> int:
        out, error = options("treering_save_state"), new_error()
        check(lib.treering_pending_state(out, pending, error), error)
        return int(out.state)

    def saved(self, step: int, saved: Any) -> None:
        """Logs that a step is on the disk, and warns of what retention could not do then."""
        log(INFO, "saved step %d of '%s'", step, self.directory)
        if saved.retention_status == 0:
            return
        name = ffi.string(lib.treering_status_name(saved.retention_status)).decode()
        raised = self.keep_policies.take_error(own=False) or self.keep_policies.take_error(own=True)
        why = name if raised is None else f"a keep policy raised {raised!r}"
        warnings.warn(
            f"step {step} of '{self.directory}' is saved, but old steps could not be dropped: {why}",
            RuntimeWarning,
            stacklevel=5,
        )

    def has(self, step: int) -> bool:
        """Whether a step is on the disk; within `exclusive`. C keeps every record that it has shown
        until the manager's end, so it is not asked for steps above all others."""
        if self.asked is None:
            latest = latest_of(self.pointer)
            self.asked = -1 if latest is None else latest
        above, self.asked = step > self.asked, max(step, self.asked)
        return not above and has(self.pointer, step)

    def saving(self) -> int:
        return int(store_info(self.use()).saving)

    def steps_in_flight(self) -> list[int]:
        committed = lib.TREERING_STATE_COMMITTED
        return [step for step, pending, _ in self.in_flight if self.state(pending) < committed]

    # -- waiting

    def wait(self, timeout: float | None = None) -> bool:
        """Until nothing is in flight, and raises the failure that was not told yet. False if
        `timeout` seconds were not enough."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = SLICE if deadline is None else min(SLICE, max(deadline - time.monotonic(), 0))
            if self._wait_once(left):
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def wait_for_room(self, limit: int) -> None:
        """Until fewer than `limit` saves are in flight; raises as `wait` does."""
        while self.saving() >= limit and not self._wait_once(SLICE):
            pass
        if self.saving() == 0:
            self._wait_once(0)  # tells the failure before any work

    def _wait_once(self, seconds: float) -> bool:
        error = new_error()
        with self.exclusive() as pointer:
            status = lib.treering_manager_wait(pointer, round(seconds * 1000), error)
            self.reap()
            if status_class(status) == lib.TREERING_TIMEOUT:
                return False
            if self.raised and status_class(status) in (0, lib.TREERING_CANCELLED):
                raise self.raised.pop(0)
            with about(self.directory):
                check(status, error)
            return True

    def wait_for(self, wanted: Callable[[int], bool]) -> None:
        """Until the saves in flight of steps that `wanted` accepts have ended, well or not: how, is
        told to others."""
        for step, pending, _ in list(self.in_flight):
            while wanted(step):
                saved = options("treering_saved")
                status = lib.treering_pending_wait(saved, pending, round(SLICE * 1000), new_error())
                if status_class(status) != lib.TREERING_TIMEOUT:
                    break
                self.use()

    def cancel(self) -> list[Any]:
        """Gives up what is in flight; the steps that this has ended."""
        asked = [(step, pending) for step, pending, _ in self.in_flight]
        for _, pending in asked:
            lib.treering_pending_cancel(pending)
        failure = None
        while True:
            try:
                self.wait()
                break
            except _errors.CancelledError:  # by this
                pass
            except Exception as exception:
                failure = exception
        if failure is not None:
            raise failure
        return [step for step, pending in asked if self.state(pending) == lib.TREERING_STATE_CANCELLED]

    # -- the end

    def close(self, timeout: float | None = None) -> None:
        """Finishes what is in flight, within `timeout` seconds; raises what was not told yet."""
        if self.closed or self.process != os.getpid():
            return
        failures: list[BaseException] = []
        try:
            self.wait(timeout)
        except Exception as exception:  # what a progress function raised is one of them
            failures.append(exception)
        with self.exclusive() as pointer:
            told = self._close(pointer)
            self.reap()
            self.forget()
        for _ in self.raised:  # by what it raised, a progress function has cancelled its save
            told = _without_one_cancelled(told)
        failures += [*self.raised, *told]
        self.raised = []
        for failure in failures[1:]:
            why = f"{type(failure).__name__}: {failure}"
            if sys.version_info >= (3, 11):
                failures[0].add_note(f"and a save had failed too: {why}")
            shout(f"a save of '{self.directory}' failed too: {why}")
        if failures:
            raise failures[0]

    def _close(self, pointer: Any) -> list[BaseException]:
        """Closes the C manager; all failures that no call has told yet."""
        failures: list[BaseException] = []
        while True:
            error = new_error()
            status = lib.treering_manager_close(pointer, 0, error)
            if status == 0:
                return failures
            failure = error_of(error)
            failure.path = self.directory
            failures.append(failure)
            if status_class(status) == lib.TREERING_WRONG_STATE:  # which would be told for ever
                return failures

    def forget(self) -> None:
        self.closed = True
        _live.discard(self)
        self.save_policies.close()
        self.keep_policies.close()

    def abandon(self) -> None:
        """In a forked child. Only the thread that forked is here: unless a callback has forked, in
        the middle of a call, nobody is using the C handle."""
        me = threading.get_ident()
        if self.owner == me:
            pass  # it is freed when that call ends
        elif me in calling:  # the library's thread, whose state is never freed
            ffi.gc(self.pointer, None)
        else:
            ffi.release(self.pointer)
        self.lock = threading.Lock()
        self.in_flight = []

    def dropped(self) -> None:
        """The manager is gone, without a close."""
        if not self.closed and self.process == os.getpid():
            try:
                message = f"the manager of '{self.directory}' was dropped without a close"
                warnings.warn(message, ResourceWarning, stacklevel=2)
            finally:
                self.finalize()

    def finalize(self) -> None:
        """Closes what nobody closed, at the interpreter's exit at the latest."""
        if self.closed or self.process != os.getpid():
            return
        if threading.get_ident() in calling:  # that thread cannot wait for itself
            threading.Thread(target=self.finalize, daemon=False).start()
            return
        steps: list[int] = []
        try:
            steps = self.steps_in_flight()
            self.close()
        except BaseException as exception:
            which = f"step {', '.join(map(str, steps))} was" if steps else "a save was"
            shout(
                f"the manager of '{self.directory}' ended without a close, and {which} NOT saved or a "
                f"failure had not been told: {exception}"
            )
            lib.treering_manager_close(self.pointer, 0, ffi.NULL)  # its thread must not outlive Python
            self.forget()


def _at_exit() -> None:
    for handle in list(_live):
        handle.finalize()


def _after_fork_in_child() -> None:
    for handle in list(_live):
        handle.abandon()
    _live.clear()
    calling.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

# SPDX-License-Identifier: Apache-2.0
# Saving to and loading from a path in the background: one thread each, and a response to ask.
#
# A save must not see what the program does to its arrays afterwards, so what may change is copied
# before `save_async` returns; a jax.Array never changes, and the view that is kept of it pins its
# buffer even if it is donated or deleted meanwhile.
#
# The threads are no daemons: an interpreter that exits waits for them, so a save that was begun is
# finished. If Ctrl-C ends that waiting, the saves are given up, and that is said on stderr, as is a
# failure that nobody asked for. A forked child has no part in its parent's saves.
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, TypeVar

from ._errors import CancelledError, TimedOutError, WrongStateError, about
from ._exit import first_at_exit
from ._ffi import lib
from ._manager_handle import shout
from ._opening import AnyPath, shown
from ._progress import Progress, Watch
from ._save import NOTHING, Writing

T = TypeVar("T")
STAGING = 1 << 30  # bytes
_EXIT_SECONDS = 10.0  # for a save to end after it was given up

_running: set[Response[Any]] = set()
_failed: weakref.WeakSet[Response[Any]] = weakref.WeakSet()


class Response(Generic[T]):
    """What `save_async` and `load_async` answer: one piece of work in the background.

    May be awaited in a coroutine of asyncio; cancelling the coroutine does not cancel the work. All
    methods may be called from any thread.

    A failure is raised by `result` (and `await`), as often as it is asked for; one that nobody has
    asked for when the response is dropped, or when the interpreter exits, is said on stderr.
    """

    def __init__(self, what: str, failure: str) -> None:
        self._what, self._failure = what, failure
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Response[T]], object]] = []
        self._give_up = self._untold = False
        self._bytes = (0, 0)

    # -- asking

    def done(self) -> bool:
        """True when the work has ended, well or not."""
        return self._ended.is_set()

    def result(self, timeout: float | None = None) -> T:
        """Waits for the end. Ctrl-C ends the wait only.

        Args:
            timeout: in seconds; None: no limit.

        Returns:
            None for a save: the file is on the disk. What was loaded, for a load.

        Raises:
            TimedOutError: (a TimeoutError) time is up; the work goes on.
            CancelledError: it was cancelled.
            TreeringError: as `save` and `load` raise.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        value: T = self._value
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Waits as `result` does, and returns what that would raise, or None."""
        if not self._ended.wait(timeout):
            raise TimedOutError(
                f"{self._what} has not ended after {timeout} s; it goes on", status=lib.TREERING_TIMEOUT
            )
        self._untold = False
        return self._error

    def progress(self) -> tuple[int, int]:
        """(bytes of leaf data done, bytes in all), about."""
        return self._bytes

    def cancel(self) -> bool:
        """Asks the work to end early: then `result` raises CancelledError, and of a save nothing is
        left behind. False if it has ended already. It may still end well."""
        self._give_up = True
        return not self.done()

    def on_complete(self, callback: Callable[[Response[T]], object]) -> None:
        """Calls `callback(response)` when the work has ended, on its thread; at once if it has."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def wake() -> None:
            if not future.done():
                future.set_result(None)

        def ended(response: Response[T]) -> None:
            try:
                loop.call_soon_threadsafe(wake)
            except RuntimeError:  # the loop was closed: nobody waits any more
                pass

        self.on_complete(ended)
        yield from future
        return self.result()

    def __repr__(self) -> str:
        state = "running"
        if self.done():
            state = "done" if self._error is None else f"failed: {self._error}"
        return f"<{self._what}: {state}>"

    def __del__(self) -> None:
        if getattr(self, "_untold", False):
            self._tell()

    def _tell(self) -> None:
        self._untold = False
        shout(f"{self._failure}: {self._error}")

    # -- the work

    def _start(self, work: Callable[[], T]) -> None:
        _running.add(self)
        first_at_exit(_at_exit, _at_child_exit)
        if not threading.main_thread().is_alive():
            _run(self, work)  # the interpreter has waited for its threads, and waits for no more
            return
        try:
            name = f"treering: {self._what}"
            # Said, since else it is a daemon where the thread that asks is one.
            threading.Thread(target=_run, args=(self, work), name=name, daemon=False).start()
        except RuntimeError:  # there can be no more threads
            _run(self, work)
        except BaseException:
            _running.discard(self)
            raise

    def _step(self, done: int, total: int) -> None:
        self._bytes = (done, total)
        if self._give_up:
            raise CancelledError(f"{self._what} was cancelled", status=lib.TREERING_CANCELLED)

    def _end(self, value: Any, error: BaseException | None) -> None:
        self._value, self._error = value, error
        if error is not None:
            self._untold = True
            _failed.add(self)
        with self._lock:
            self._ended.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except BaseException as raised:
                shout(f"a callback of {self._what} raised {raised!r}")
        _running.discard(self)


class _Watch(Watch):
    """Tells the response too, which may give up."""

    def __init__(self, response: Response[Any], progress: Progress, what: str) -> None:
        super().__init__(progress, what)
        self._response = response

    def _step(self, user: Any, done: int, total: int) -> int:
        self._response._step(done, total)
        return super()._step(user, done, total)


def _run(response: Response[Any], work: Callable[[], Any]) -> None:
    value, error = None, None
    try:
        response._step(0, 0)
        value = work()
    except BaseException as raised:
        # Without this frame, which refers to the response that is to refer to the error.
        error = raised.with_traceback(raised.__traceback__ and raised.__traceback__.tb_next)
    response._end(value, error)


def save_async(
    path: AnyPath,
    tree: Any = NOTHING,
    *,
    overwrite: bool = False,
    items: Mapping[str, Any] | None = None,
    metadata: Any = None,
    progress: Progress = None,
    staging_bytes: int = STAGING,
) -> Response[None]:
    """Saves as `save` does, in the background: returns when the data are safe from the program.

    NumPy arrays are copied first, unless they are more than `staging_bytes`: then the call returns
    when all is written. A `jax.Array` is not copied: it stays in memory until it is written, even if
    it is donated or deleted meanwhile, for which XLA then takes a new buffer. What can be told
    before any work (no such folder, a file that exists, what has no place in a checkpoint) is raised
    at once.

    A program that ends without asking finishes the save, or says on stderr that it did not.

    Args:
        path, tree, overwrite, items, metadata: as of `save`.
        progress: as of `save`; called on the save's thread.
        staging_bytes: bytes of copies, at most.

    Returns:
        A `Response`: `.result(timeout)`, `.done()`, `.cancel()`, `.on_complete(callback)`; or await it.

    >>> import tempfile, treering
    >>> response = treering.save_async(f"{tempfile.mkdtemp()}/run.ring", {"w": [1.5, 2.5]})
    >>> response.result()
    >>> response.done()
    True
    """
    with about(shown(path)):
        writing = Writing(path, tree, overwrite, items, metadata)
    in_background = writing.snapshot(staging_bytes)
    what = f"saving '{writing.name}'"
    response: Response[None] = Response(what, f"'{writing.name}' was NOT saved")
    watch = _Watch(response, progress, what)
    try:
        with about(writing.name):
            writing.open(watch)
    except BaseException:
        _closed(writing, watch)
        raise

    def work() -> None:
        try:
            with about(writing.name):
                writing.run(watch)
        finally:
            _closed(writing, watch)

    if in_background:
        try:
            response._start(work)
        except BaseException:
            _closed(writing, watch)
            raise
    else:
        _run(response, work)
        error = response._error
        if error is not None and not isinstance(error, Exception):
            response.result()  # Ctrl-C, which is not the save's
    return response


def _closed(writing: Writing, watch: Watch) -> None:
    writing.close()
    watch.__exit__()


def load_async(path: AnyPath, target: Any = None, **more: Any) -> Response[Any]:
    """Loads as `load` does, with the same arguments, in the background.

    The target is looked at then, so it must not change until the load has ended.

    Returns:
        A `Response`, whose `result()` is the tree.

    >>> import tempfile, treering
    >>> path = f"{tempfile.mkdtemp()}/run.ring"
    >>> treering.save(path, {"w": [1.5, 2.5]})
    >>> treering.load_async(path).result()
    {'w': [1.5, 2.5]}
    """
    from ._load import load

    name = shown(path)
    response: Response[Any] = Response(f"loading '{name}'", f"'{name}' was not loaded")
    progress = more.pop("progress", None)
    if progress is True:
        raise ValueError("load_async draws no bar; give a function of (done, total), or use load")

    def step(done: int, total: int) -> None:
        response._step(done, total)
        if progress:
            progress(done, total)

    response._start(lambda: load(path, target, progress=step, **more))
    return response


# ---- the end of the program, and its children


def _at_exit() -> None:
    """The interpreter has waited for the threads; those remain that Ctrl-C kept it from."""
    running = list(_running)
    for response in running:
        response.cancel()
    for response in running:
        if not response._ended.wait(_EXIT_SECONDS):
            shout(f"{response._failure}: the interpreter ended before it was done")
    for response in list(_failed):
        if response._untold:
            response._tell()


def _at_child_exit() -> None:
    for response in list(_running):
        response._ended.wait()
    _at_exit()


def _after_fork_in_child() -> None:
    for response in list(_running):
        response._lock, response._ended = threading.Lock(), threading.Event()
        response._callbacks = []
        response._error = WrongStateError(
            f"{response._what} was begun by the process that forked this one, and goes on there; "
            "ask it there",
            status=lib.TREERING_WRONG_STATE_FORKED,
        )
        response._ended.set()
    for response in list(_failed):
        response._untold = False  # the parent tells it
    _running.clear()
    _failed.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

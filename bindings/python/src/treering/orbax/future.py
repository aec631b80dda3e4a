# SPDX-License-Identifier: Apache-2.0
# Futures, with which a handler of the program leaves its writing for later.
"""Futures of handlers: anything with `result(timeout)` and `cancel()`."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from ._custom import run_coroutine


class Future(Protocol):
    """What a handler's `async_save` returns a list of."""

    def result(self, timeout: float | None = None) -> Any: ...

    def cancel(self) -> Any: ...


class NoopFuture:
    """A future with nothing to do."""

    def result(self, timeout: float | None = None) -> Any:
        """None, at once."""
        return None

    def cancel(self) -> None:
        """Does nothing."""


class ChainedFuture:
    """Several futures as one; when all have ended, `cb` is called, by the first `result`.

    Args:
        futures: to wait for, in order.
        cb: called once.
    """

    def __init__(self, futures: Sequence[Future], cb: Callable[[], None]) -> None:
        self._futures, self._callback = futures, cb
        self._lock, self._called = threading.Lock(), False

    def result(self, timeout: float | None = None) -> None:
        """Waits for all.

        Args:
            timeout: in seconds, for all together; None: no limit.

        Raises:
            TimeoutError: time is up. What a future raises.
        """
        end = None if timeout is None else time.monotonic() + timeout
        for future in self._futures:
            future.result(None if end is None else max(end - time.monotonic(), 0))
        with self._lock:
            called, self._called = self._called, True
        if not called:
            self._callback()

    def cancel(self) -> None:
        """Cancels all."""
        for future in self._futures:
            future.cancel()


class CommitFuture:
    """Runs a coroutine on a thread of its own, from now on.

    Args:
        coro: the coroutine.
        name: of the thread.
        signals: as in Orbax, where a save waits for folders to be made; here they exist.
    """

    def __init__(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, **signals: Any
    ) -> None:
        self._future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        threading.Thread(target=self._run, args=(coro,), name=name, daemon=False).start()

    def _run(self, coro: Coroutine[Any, Any, Any]) -> None:
        try:
            self._future.set_result(run_coroutine(coro))
        except BaseException as error:
            self._future.set_exception(error)

    def result(self, timeout: float | None = None) -> Any:
        """The coroutine's result.

        Raises:
            TimeoutError: it has not ended after `timeout` seconds. What it raised.
        """
        try:
            return self._future.result(timeout)
        except concurrent.futures.TimeoutError as error:
            if self._future.done():
                raise
            raise TimeoutError(f"the future has not ended after {timeout} s") from error

    def cancel(self) -> None:
        """Does nothing: a coroutine that runs is not ended."""


CommitFutureAwaitingContractedSignals = CommitFuture

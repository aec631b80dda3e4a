# SPDX-License-Identifier: Apache-2.0
# AsyncResponse: what functions answer that go on in the background.
from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import treering

T = TypeVar("T")
_Value = TypeVar("_Value", covariant=True)


class AsyncResponse(Protocol[_Value]):
    """Work in the background."""

    def result(self, timeout: float | None = None) -> _Value:
        """Waits for the end, `timeout` seconds at most (TimeoutError); raises what went wrong."""
        ...

    def on_complete(self, callback: Callable[[Any], None]) -> None:
        """Calls `callback(result)` when the work has ended well; on the thread that ended it."""
        ...


class Done(Generic[T]):
    """Work that is over."""

    def __init__(self, value: T) -> None:
        self._value = value

    def result(self, timeout: float | None = None) -> T:
        """What came of it."""
        return self._value

    def on_complete(self, callback: Callable[[T], None]) -> None:
        """Calls it at once."""
        callback(self._value)


class Following:
    """Around the response of treering's own functions."""

    def __init__(self, response: Any, finished: Callable[[], None] | None = None) -> None:
        self._response = response
        self._callback_error: BaseException | None = None
        self._called = threading.Event()
        if finished is None:
            self._called.set()
        else:
            response.on_complete(lambda ended: self._call(ended, finished))

    def _call(self, ended: Any, finished: Callable[[], None]) -> None:
        try:
            if ended.exception() is None:
                finished()
        except Exception as error:
            self._callback_error = error
        finally:
            self._called.set()

    def result(self, timeout: float | None = None) -> Any:
        """Waits for the end; raises what went wrong."""
        value = self._response.result(timeout)
        self._called.wait(timeout)
        if self._callback_error is not None:
            raise self._callback_error
        return value

    def on_complete(self, callback: Callable[[Any], None]) -> None:
        """Calls `callback(result)` when the work has ended well."""

        def ended(response: Any) -> None:
            if response.exception() is None:
                callback(response.result())

        self._response.on_complete(ended)


class Running(Generic[T]):
    """A function on a thread of its own, in the caller's Context; the interpreter waits for it."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[T], None]] = []
        self._value: Any = None
        self._error: BaseException | None = None
        self._name = name
        context = contextvars.copy_context()
        threading.Thread(
            target=lambda: context.run(self._run, work), name=f"treering: {name}", daemon=False
        ).start()

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._value = work()
        except BaseException as error:
            self._error = error
        with self._lock:
            self._ended.set()
            callbacks, self._callbacks = self._callbacks, []
        if self._error is None:
            for callback in callbacks:
                callback(self._value)

    def result(self, timeout: float | None = None) -> T:
        """Waits for the end; raises what went wrong, as often as it is asked."""
        if not self._ended.wait(timeout):
            raise treering.TimedOutError(f"{self._name} has not ended after {timeout} s; it goes on")
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def on_complete(self, callback: Callable[[T], None]) -> None:
        """Calls `callback(result)` when the work has ended well."""
        with self._lock:
            if not self._ended.is_set():
                self._callbacks.append(callback)
                return
        if self._error is None:
            callback(self._value)

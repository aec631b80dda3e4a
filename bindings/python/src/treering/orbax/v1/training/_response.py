# SPDX-License-Identifier: Apache-2.0
# What Checkpointer.save_async answers.
from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from ...._errors import TimedOutError


class SaveResponse:
    """A save of a step in the background.

    Its failure is raised by `result`, as often as it is asked; and if it was not asked, by the next
    save, `wait` or `close` of the Checkpointer.
    """

    def __init__(self, finish: Callable[[float | None], None]) -> None:
        self._finish = finish
        self._lock = threading.Lock()
        self._ended = False
        self._error: Exception | None = None
        self._told = False

    def settle(self, timeout: float | None = None) -> None:
        """Waits for the end, and raises nothing but TimedOutError."""
        with self._lock:
            if self._ended:
                return
            try:
                self._finish(timeout)
            except TimedOutError:
                raise
            except Exception as error:
                self._error = error
            self._ended = True

    def take_untold(self) -> Exception | None:
        """The failure, if nobody was told."""
        error = None if self._told else self._error
        self._told = True
        return error

    def result(self, timeout: float | None = None) -> bool:
        """Waits for the end.

        Args:
            timeout: in seconds; None: until the Context's `timeout_secs` have passed.

        Returns:
            True: the step is on the disk.

        Raises:
            TimeoutError: time is up; the save goes on.
            Exception: what went wrong.
        """
        self.settle(timeout)
        if self._error is not None:
            self._told = True
            raise self._error
        return True

    def on_complete(self, callback: Callable[[bool], None]) -> None:
        """Calls `callback(True)` when the step is on the disk, on a thread that waits for it."""

        def wait() -> None:
            with contextlib.suppress(TimedOutError):
                self.settle()
            if self._ended and self._error is None:
                callback(True)

        threading.Thread(target=wait, name="treering: on_complete", daemon=False).start()

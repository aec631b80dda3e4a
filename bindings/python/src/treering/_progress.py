# SPDX-License-Identifier: Apache-2.0
# Long calls into the library: their progress, and Ctrl-C in the middle of them.
#
# The library calls back every few MiB, also on the thread that called it. There Python runs its
# signal handlers, as it does between any two steps of a program: what they raise, and what a
# caller's own function raises, is kept, the library is told to give up, and the exception goes on
# when it has returned and has cleaned up.
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Union

from ._errors import check
from ._ffi import ffi

# True: a bar of tqdm. A function: called with the bytes of leaf data done and in all.
Progress = Union[bool, Callable[[int, int], object], None]

SIGNATURE = "int32_t(void *, uint64_t, uint64_t)"
SHORT = 8 << 20  # bytes: what is smaller is over before anybody could interrupt it


class Watch:
    """A context around one call or several calls of one operation.

    `fields` go into the options of each call, and `check` takes its answer. `size` is about how many
    bytes there are to do, None if that is not known.
    """

    def __init__(self, progress: Progress = None, what: str = "", size: int | None = None) -> None:
        self._raised: BaseException | None = None
        self._bar: Any = None
        self._tell: Callable[[int, int], object] | None = None
        self.fields: dict[str, Any] = {}
        if progress is True:
            self._bar = _bar(what, size)
            self._tell = self._draw
        elif progress is not None and progress is not False:
            if not callable(progress):
                raise TypeError(f"progress is True or a function of (done, total), not {progress!r}")
            self._tell = progress
        if self._tell is not None or size is None or size >= SHORT:
            self.fields = {
                "progress": ffi.callback(SIGNATURE, self._step, error=1, onerror=self._caught)
            }

    def _step(self, user: Any, done: int, total: int) -> int:
        if self._tell is not None:
            self._tell(done, total)
        return 0

    def _caught(self, kind: Any, error: BaseException, trace: Any) -> None:
        if self._raised is None:
            self._raised = error

    def _draw(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def check(self, status: int, error: Any) -> None:
        """Raises what was raised during the call, else what its status means."""
        self.reraise()
        check(status, error)

    def reraise(self) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.fields = {}  # the callback refers to this object, and this object to it
        if self._bar is not None:
            self._bar.close()


def _bar(what: str, size: int | None) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ModuleNotFoundError(
            "progress=True draws a bar of tqdm, which is not installed: pip install tqdm, or give a "
            "function of (done, total)",
            name="tqdm",
        ) from None
    return tqdm(desc=what, total=size, unit="B", unit_scale=True, unit_divisor=1024)

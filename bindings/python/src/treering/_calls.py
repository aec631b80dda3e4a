# SPDX-License-Identifier: Apache-2.0
# What C gets instead of pointers to Python's objects, and which threads it is calling back on.
from __future__ import annotations

from typing import Any

from ._ffi import ffi

# Threads that are inside a callback: there, a manager must not be called or waited for.
calling: set[int] = set()


def user(number: int) -> Any:
    """A number as the `user` of a callback."""
    return ffi.cast("void *", number)


def number(pointer: Any) -> int:
    """And back."""
    return int(ffi.cast("uintptr_t", pointer))

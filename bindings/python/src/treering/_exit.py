# SPDX-License-Identifier: Apache-2.0
# Functions that run first when the interpreter exits, and in children of multiprocessing too.
from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable

_known: dict[Callable[[], None], int] = {}  # function -> the child whose multiprocessing has it


def first_at_exit(function: Callable[[], None], in_child: Callable[[], None] | None = None) -> None:
    """Has `function` run at exit. What registers last runs first: before JAX takes down what a save
    may still read. A child of multiprocessing runs `in_child` (None: the same)."""
    atexit.unregister(function)
    atexit.register(function)
    # Such a child ends without atexit, and has finalizers of its own instead.
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None or _known.get(function) == os.getpid():
        return
    import multiprocessing.util

    _known[function] = os.getpid()
    multiprocessing.util.Finalize(None, in_child or function, exitpriority=1000)

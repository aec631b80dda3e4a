# SPDX-License-Identifier: Apache-2.0
# The folder of a handler that writes files, and the coroutines of handlers run to their end.
from __future__ import annotations

import pathlib
from typing import Any

from .._custom import run_coroutine


class PathAwaitingCreation:
    """A folder that is made when it is awaited, and not before."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The last component."""
        return self.path.name

    def __truediv__(self, other: Any) -> PathAwaitingCreation:
        return PathAwaitingCreation(self.path / other)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    async def await_creation(self) -> pathlib.Path:
        """The folder, which exists now."""
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path


async def _to_the_end(coroutine: Any) -> Any:
    background = await coroutine
    return await background if hasattr(background, "__await__") else background


def run(coroutine: Any) -> Any:
    """The result of a coroutine that answers what is to be awaited next, and of that."""
    return run_coroutine(_to_the_end(coroutine))

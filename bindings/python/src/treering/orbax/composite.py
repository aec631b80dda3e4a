# SPDX-License-Identifier: Apache-2.0
# Composite: several items by name, as arguments and as results.
"""`Composite`, a mapping whose keys are attributes too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .checkpoint_args import CheckpointArgs


class _UnknownKeyError(KeyError, AttributeError):
    """A KeyError, as programs expect, which `hasattr` takes for a no."""


class Composite(Mapping[str, Any], CheckpointArgs):
    """Items by name; does not change once it is made.

    >>> both = Composite(state=1, config=2)
    >>> both.state, both["config"], sorted(both), both.get("other")
    (1, 2, ['config', 'state'], None)

    Raises:
        ValueError: a name that begins with "__".
    """

    _items: dict[str, Any]

    def __init__(self, **items: Any) -> None:
        for name in items:
            if name.startswith("__"):
                raise ValueError(f"an item's name does not begin with '__': {name!r}")
        object.__setattr__(self, "_items", items)

    def __getitem__(self, key: str) -> Any:
        if key not in self._items:
            raise KeyError(f"Unknown key: {key}. Available keys: {list(self._items)}")
        return self._items[key]

    def __getattr__(self, key: str) -> Any:
        items = self.__dict__.get("_items", {})
        if key in items:
            return items[key]
        raise _UnknownKeyError(f"Unknown key: {key}. Available keys: {list(items)}")

    def __setattr__(self, key: str, value: Any) -> None:
        raise ValueError("a Composite does not change; make another, or join two with |")

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __and__(self, other: Mapping[str, Any]) -> Composite:
        return Composite(**{name: value for name, value in self.items() if name in other})

    def __or__(self, other: Mapping[str, Any]) -> Composite:
        return Composite(**{**self, **other})

    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._items,)

    def __repr__(self) -> str:
        return f"Composite({self._items!r})"


def _again(items: dict[str, Any]) -> Composite:
    return Composite(**items)

# SPDX-License-Identifier: Apache-2.0
# The policies of a CheckpointManager: when to save a step, and which steps to keep.
"""Policies of `treering.CheckpointManager`, as small values.

`save_policies` takes `Interval`, `Steps`, `Continuous`, `Requested`, `Initial` and functions;
`keep_policies` takes `All`, `Latest`, `EverySteps`, `Closest`, `EverySeconds`, `Younger`, `Best`,
`Steps` and functions. Several are joined by "or": one that says yes is enough.

    >>> from treering import policies
    >>> [policies.Latest(2), policies.Best("loss", 3, lowest=True)]
    [Latest(count=2), Best(metric='loss', count=3, lowest=True, drop_without_metrics=False)]

A function of `save_policies` is called as `f(step, versions)` and answers whether to save; one of
`keep_policies` as `f(versions)` and answers one truth value for each. `versions` are `Candidate`s,
ascending by step. Functions must not call their manager. Those of `keep_policies` run on a thread
of the library when a save in the background has been committed; if one raises, nothing is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Optional, Union

__all__ = [
    "All", "Best", "Candidate", "Closest", "Continuous", "EverySeconds", "EverySteps", "Initial",
    "Interval", "Latest", "Requested", "Steps", "Younger",
]  # fmt: skip

Seconds = Union[int, float, timedelta]


class Candidate(NamedTuple):
    """What a function is told of a version: its step, when it was committed (seconds since 1970,
    as `time.time()`; None if not known), and its metrics (name to float; those of a save that is
    still running are empty)."""

    step: int
    time: Optional[float]
    metrics: dict[Any, Any]


def _positive(owner: Any, **numbers: Any) -> None:
    for name, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{type(owner).__name__}: {name} is an int, not {value!r}")
        if value < 1:
            raise ValueError(f"{type(owner).__name__}: {name} must be at least 1, not {value}")


def _duration(owner: Any, value: Any, least: Any) -> None:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        name = type(owner).__name__
        raise TypeError(f"{name}: a time is a number of seconds or a timedelta, not {value!r}")
    if not least <= value <= 9e9:  # also not NaN
        raise ValueError(f"{type(owner).__name__}: {value} seconds; {least} to 9e9 are allowed")


# ---- when to save


@dataclass(frozen=True)
class Interval:
    """Save the steps that `steps` divides."""

    steps: int

    def __post_init__(self) -> None:
        _positive(self, steps=self.steps)


@dataclass(frozen=True)
class Continuous:
    """Save whenever no save is running and the last one began at least `seconds` ago (a number, or
    a timedelta)."""

    seconds: Seconds = 0

    def __post_init__(self) -> None:
        _duration(self, self.seconds, 0)


@dataclass(frozen=True)
class Requested:
    """Save the next step after `CheckpointManager.request_save()`: on a preemption, say."""


@dataclass(frozen=True)
class Initial:
    """Save if there is no version yet, whatever the step."""


@dataclass(frozen=True)
class Steps:
    """Save, or keep, these steps: any iterable of ints."""

    steps: tuple[Any, ...]

    def __post_init__(self) -> None:
        steps = tuple(self.steps)
        for step in steps:
            if not isinstance(step, int) or isinstance(step, bool):
                raise TypeError(f"Steps: a step is an int, not {step!r}")
        object.__setattr__(self, "steps", steps)


# ---- which to keep


@dataclass(frozen=True)
class All:
    """Keep every step."""


@dataclass(frozen=True)
class Latest:
    """Keep the `count` greatest steps."""

    count: int

    def __post_init__(self) -> None:
        _positive(self, count=self.count)


@dataclass(frozen=True)
class EverySteps:
    """Keep the steps that `interval` divides; or with `greedy` the first step, and each that is at
    least `interval` after the last one so kept. Of them only the newest `count`, if given."""

    interval: int
    greedy: bool = False
    count: Optional[int] = None

    def __post_init__(self) -> None:
        _positive(self, interval=self.interval, **({} if self.count is None else {"count": self.count}))


@dataclass(frozen=True)
class Closest:
    """For each multiple of `interval` keep the step nearest to it (of two the later one), and the
    greatest step. Of them only the newest `count`, if given."""

    interval: int
    count: Optional[int] = None

    def __post_init__(self) -> None:
        _positive(self, interval=self.interval, **({} if self.count is None else {"count": self.count}))


@dataclass(frozen=True)
class EverySeconds:
    """Keep the first step, and each that was committed at least `seconds` (a number, or a
    timedelta) after the last one so kept."""

    seconds: Seconds

    def __post_init__(self) -> None:
        _duration(self, self.seconds, 1e-9)


@dataclass(frozen=True)
class Younger:
    """Keep the first step that was committed at most `seconds` (a number, or a timedelta) ago, and
    all after it."""

    seconds: Seconds

    def __post_init__(self) -> None:
        _duration(self, self.seconds, 1e-9)


@dataclass(frozen=True)
class Best:
    """Keep the `count` best steps by `metric`: the highest values, or the lowest with `lowest`; of
    equal ones the later. Steps without the metric (or with NaN) are kept and do not count; with
    `drop_without_metrics` they go as soon as there are more than `count` steps."""

    metric: str
    count: int
    lowest: bool = False
    drop_without_metrics: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str):
            raise TypeError(f"Best: metric is a str, not {self.metric!r}")
        _positive(self, count=self.count)

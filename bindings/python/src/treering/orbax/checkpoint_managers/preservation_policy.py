# SPDX-License-Identifier: Apache-2.0
# Policies that say which steps a CheckpointManager keeps.
"""Preservation policies: small values with one method, `should_preserve`.

They get the steps ascending and answer one truth value for each. What they keep is Orbax's to the
letter: `LatestN(0)` keeps nothing, `BestN` may drop the newest step.

    >>> from types import SimpleNamespace as Info
    >>> from treering.orbax import checkpoint_managers as policies
    >>> steps = [Info(step=s, time=None, metrics=None) for s in (0, 7, 10, 12)]
    >>> context = policies.PreservationContext()
    >>> policies.EveryNSteps(10).should_preserve(steps, context=context)
    [True, False, True, False]
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Callable, Optional, Protocol, Sequence

from .._log import logger
from .save_decision_policy import PolicyCheckpointInfo

__all__ = [
    "AnyPreservationPolicy", "BestN", "CustomSteps", "EveryNSeconds", "EveryNSteps",
    "EveryNStepsClosest", "LatestDuration", "LatestN", "PreservationContext", "PreservationPolicy",
    "PreserveAll",
]  # fmt: skip

Infos = Sequence[PolicyCheckpointInfo]


@dataclasses.dataclass(kw_only=True)
class PreservationContext:
    """Nothing is told besides the steps."""


class PreservationPolicy(Protocol):
    """Anything with this method can be a `preservation_policy`."""

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        """One truth value for each of `checkpoints`, which ascend by step."""
        ...


def _newest(kept: list[bool], count: Optional[int]) -> list[bool]:
    """Of what is kept, the last `count` only. Of 0 Orbax keeps all: `[:-0]` is empty."""
    chosen = [i for i, keep in enumerate(kept) if keep]
    if count and len(chosen) > count:
        for i in chosen[:-count]:
            kept[i] = False
    return kept


def _interval(steps: int) -> int:
    if steps == 0:
        raise ValueError("interval_steps is 0; it must be at least 1")
    return steps


@dataclasses.dataclass
class PreserveAll(PreservationPolicy):
    """Keeps everything."""

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        return [True] * len(checkpoints)


@dataclasses.dataclass
class LatestN(PreservationPolicy):
    """Keeps the last `n`; None: all; 0: none."""

    n: Optional[int] = None

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        total = len(checkpoints)
        kept = total if self.n is None else min(self.n, total)
        return [False] * (total - kept) + [True] * kept


@dataclasses.dataclass
class EveryNSeconds(PreservationPolicy):
    """Keeps the first, and each that came at least `interval_secs` after the last one so kept."""

    interval_secs: int

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        least = datetime.timedelta(seconds=self.interval_secs)
        kept: list[bool] = []
        last: Optional[datetime.datetime] = None
        for info in checkpoints:
            keep = last is None or info.time - last >= least
            last = info.time if keep else last
            kept.append(keep)
        return kept


@dataclasses.dataclass
class EveryNSteps(PreservationPolicy):
    """Keeps the steps that `interval_steps` divides; or, not `exact_interval`, the first, and each at
    least so far after the last one so kept. Of them the newest `max_to_keep`."""

    interval_steps: int
    exact_interval: bool = True
    max_to_keep: Optional[int] = None

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        interval = _interval(self.interval_steps)
        if self.exact_interval:
            return _newest([info.step % interval == 0 for info in checkpoints], self.max_to_keep)
        kept: list[bool] = []
        last: Optional[int] = None
        for info in checkpoints:
            keep = last is None or info.step - last >= interval
            last = info.step if keep else last
            kept.append(keep)
        return _newest(kept, self.max_to_keep)


@dataclasses.dataclass
class EveryNStepsClosest(PreservationPolicy):
    """Keeps for each multiple of `interval_steps` the step nearest to it (of two the later one), and
    the last step. Of them the newest `max_to_keep`."""

    interval_steps: int
    max_to_keep: Optional[int] = None

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        interval = _interval(self.interval_steps)
        nearest: dict[int, tuple[int, int]] = {}  # multiple -> (distance, position)
        for i, info in enumerate(checkpoints):
            multiple = round(info.step / interval)
            distance = abs(info.step - multiple * interval)
            if multiple not in nearest or distance <= nearest[multiple][0]:
                nearest[multiple] = distance, i
        positions = {i for _, i in nearest.values()} | {len(checkpoints) - 1}
        return _newest([i in positions for i in range(len(checkpoints))], self.max_to_keep)


class CustomSteps(PreservationPolicy):
    """Keeps the steps that are listed."""

    def __init__(self, steps: Sequence[int]) -> None:
        self._steps = frozenset(steps)

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        return [info.step in self._steps for info in checkpoints]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CustomSteps) and self._steps == other._steps

    def __hash__(self) -> int:
        return hash(self._steps)

    def __repr__(self) -> str:
        return f"CustomSteps(steps={sorted(self._steps)})"


@dataclasses.dataclass
class AnyPreservationPolicy(PreservationPolicy):
    """Keeps what one of `policies` keeps; all of them are asked."""

    policies: Sequence[PreservationPolicy]

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        answers = [p.should_preserve(checkpoints, context=context) for p in self.policies]
        return [any(answer[i] for answer in answers) for i in range(len(checkpoints))]


@dataclasses.dataclass(kw_only=True)
class BestN(PreservationPolicy):
    """Keeps the `n` best by metric; None: all; 0: none. While there are no more than `n` steps, all.

    Attributes:
        get_metric_fn: from a step's metrics to what ranks it; higher is better.
        reverse: True: lower is better.
        n: how many.
        keep_checkpoints_without_metrics: True: steps without metrics stay and do not count; False:
            they go first. Metrics that `get_metric_fn` cannot read count as none.
    """

    get_metric_fn: Callable[[Any], float]
    reverse: bool = False
    n: Optional[int] = None
    keep_checkpoints_without_metrics: bool = True

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        total = len(checkpoints)
        if self.n is None or total <= self.n:
            return [True] * total
        if self.n == 0:
            return [False] * total
        ranked, without = ranking(checkpoints, self.get_metric_fn, self.reverse)
        best = set(ranked[-self.n :])
        if self.keep_checkpoints_without_metrics:
            best.update(without)
        return [i in best for i in range(total)]


@dataclasses.dataclass
class LatestDuration(PreservationPolicy):
    """Keeps the first step that is not older than `duration`, and all after it."""

    duration: datetime.timedelta

    def should_preserve(self, checkpoints: Infos, *, context: PreservationContext) -> Sequence[bool]:
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        kept = False
        answer = []
        for info in checkpoints:
            kept = kept or now - info.time <= self.duration
            answer.append(kept)
        return answer


def ranking(
    checkpoints: Infos, score: Callable[[Any], float], reverse: bool
) -> tuple[list[int], list[int]]:
    """(positions from the worst to the best, positions of those without metrics). Of equal ones the
    later is the better. Metrics that `score` cannot read are none, and a warning in the log."""
    scores: dict[int, Any] = {}
    without = []
    for i, info in enumerate(checkpoints):
        try:
            if info.metrics is not None:
                scores[i] = score(info.metrics)
                continue
        except Exception as error:
            logger.warning("the metrics of step %d cannot be ranked: %r", info.step, error)
        without.append(i)
    return sorted(scores, key=scores.__getitem__, reverse=reverse), without


def score_functions(policy: PreservationPolicy) -> list[Callable[[Any], float]]:
    """The `get_metric_fn`s among policies, which new metrics must suit."""
    if isinstance(policy, AnyPreservationPolicy):
        return [score for inner in policy.policies for score in score_functions(inner)]
    return [policy.get_metric_fn] if isinstance(policy, BestN) else []

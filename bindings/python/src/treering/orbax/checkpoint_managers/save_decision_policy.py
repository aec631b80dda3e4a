# SPDX-License-Identifier: Apache-2.0
# Policies that say which steps a CheckpointManager saves.
"""Save-decision policies: small values with one method, `should_save`.

    >>> from treering.orbax import checkpoint_managers as policies
    >>> policies.AnySavePolicy([policies.FixedIntervalPolicy(100), policies.InitialSavePolicy()])
    AnySavePolicy(policies=[FixedIntervalPolicy(interval=100), InitialSavePolicy()])
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Container, Optional, Protocol, Sequence, runtime_checkable

from ..options import MultiprocessingOptions

__all__ = [
    "AnySavePolicy", "ContinuousCheckpointingPolicy", "DecisionContext", "FixedIntervalPolicy",
    "InitialSavePolicy", "PolicyCheckpointInfo", "PreemptionCheckpointingPolicy",
    "SaveDecisionPolicy", "SpecificStepsPolicy",
]  # fmt: skip


class PolicyCheckpointInfo(Protocol):
    """What a policy is told of a step: its number, when it was saved (UTC), and its metrics."""

    step: int
    time: datetime.datetime
    metrics: Optional[Any]


@dataclasses.dataclass(kw_only=True)
class DecisionContext:
    """What is known when a decision is made."""

    is_saving_in_progress: bool
    reached_preemption: bool
    multiprocessing_options: MultiprocessingOptions


@runtime_checkable
class SaveDecisionPolicy(Protocol):
    """Anything with this method can be a `save_decision_policy`."""

    def should_save(
        self,
        step: PolicyCheckpointInfo,
        previous_steps: Sequence[PolicyCheckpointInfo],
        *,
        context: DecisionContext,
    ) -> bool:
        """Whether to save `step`; `previous_steps` ascend."""
        ...


@dataclasses.dataclass
class FixedIntervalPolicy(SaveDecisionPolicy):
    """Saves the steps that `interval` divides."""

    interval: int

    def should_save(
        self,
        step: PolicyCheckpointInfo,
        previous_steps: Sequence[PolicyCheckpointInfo],
        *,
        context: DecisionContext,
    ) -> bool:
        return step.step % self.interval == 0


@dataclasses.dataclass
class SpecificStepsPolicy(SaveDecisionPolicy):
    """Saves the steps of a set, list or range."""

    steps: Container[int]

    def should_save(
        self,
        step: PolicyCheckpointInfo,
        previous_steps: Sequence[PolicyCheckpointInfo],
        *,
        context: DecisionContext,
    ) -> bool:
        return step.step in self.steps


@dataclasses.dataclass(kw_only=True)
class ContinuousCheckpointingPolicy(SaveDecisionPolicy):
    """Saves whenever no save is running, `minimum_interval_secs` after the last one at the earliest."""

    minimum_interval_secs: Optional[int] = None

    def should_save(
        self,
        step: PolicyCheckpointInfo,
        previous_steps: Sequence[PolicyCheckpointInfo],
        *,
        context: DecisionContext,
    ) -> bool:
        if context.is_saving_in_progress:
            return False
        if not previous_steps or self.minimum_interval_secs is None:
            return True
        passed = step.time - previous_steps[-1].time
        return passed >= datetime.timedelta(seconds=self.minimum_interval_secs)


@dataclasses.dataclass
class PreemptionCheckpointingPolicy(SaveDecisionPolicy):
    """Saves when the machine is about to be taken away."""

    def should_save(
        self,
        step: PolicyCheckpointInfo,
        previous_steps: Sequence[PolicyCheckpointInfo],
        *,
        context: DecisionContext,
    ) -> bool:
        return context.reached_preemption


@dataclasses.dataclass
class InitialSavePolicy(SaveDecisionPolicy):
    """Saves when there is no step yet."""

    def should_save(
        self,
        step: PolicyCheckpointInfo,
        previous_steps: Sequence[PolicyCheckpointInfo],
        *,
        context: DecisionContext,
    ) -> bool:
        return not previous_steps


@dataclasses.dataclass
class AnySavePolicy(SaveDecisionPolicy):
    """Saves when one of `policies` says so; those after it are not asked."""

    policies: Sequence[SaveDecisionPolicy]

    def should_save(
        self,
        step: PolicyCheckpointInfo,
        previous_steps: Sequence[PolicyCheckpointInfo],
        *,
        context: DecisionContext,
    ) -> bool:
        return any(p.should_save(step, previous_steps, context=context) for p in self.policies)

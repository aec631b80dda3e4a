# SPDX-License-Identifier: Apache-2.0
# Policies of a CheckpointManager, under the names of ocp.checkpoint_managers.
"""Which steps a `CheckpointManager` saves (`save_decision_policy`) and keeps (`preservation_policy`)."""

from __future__ import annotations

from typing import Any

from . import preservation_policy, save_decision_policy
from .preservation_policy import (
    AnyPreservationPolicy,
    BestN,
    CustomSteps,
    EveryNSeconds,
    EveryNSteps,
    EveryNStepsClosest,
    LatestDuration,
    LatestN,
    PreservationContext,
    PreservationPolicy,
    PreserveAll,
)
from .save_decision_policy import (
    AnySavePolicy,
    ContinuousCheckpointingPolicy,
    DecisionContext,
    FixedIntervalPolicy,
    InitialSavePolicy,
    PolicyCheckpointInfo,
    PreemptionCheckpointingPolicy,
    SaveDecisionPolicy,
    SpecificStepsPolicy,
)

_MANAGER = ("AbstractCheckpointManager", "CheckpointManager", "CheckpointManagerOptions")


def __getattr__(name: str) -> Any:  # the manager imports this package
    if name in _MANAGER:
        from .. import checkpoint_manager

        return getattr(checkpoint_manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AnyPreservationPolicy", "AnySavePolicy", "BestN", "ContinuousCheckpointingPolicy", "CustomSteps",
    "DecisionContext", "EveryNSeconds", "EveryNSteps", "EveryNStepsClosest", "FixedIntervalPolicy",
    "InitialSavePolicy", "LatestDuration", "LatestN", "PolicyCheckpointInfo",
    "PreemptionCheckpointingPolicy", "PreservationContext", "PreservationPolicy", "PreserveAll",
    "SaveDecisionPolicy", "SpecificStepsPolicy", "preservation_policy", "save_decision_policy",
]  # fmt: skip

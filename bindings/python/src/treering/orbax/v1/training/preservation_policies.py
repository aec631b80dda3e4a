# SPDX-License-Identifier: Apache-2.0
# Names of ocp.training.preservation_policies: which steps a Checkpointer keeps.
"""The policies of `treering.orbax.checkpoint_managers.preservation_policy`."""

from ...checkpoint_managers.preservation_policy import (
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

__all__ = [
    "AnyPreservationPolicy", "BestN", "CustomSteps", "EveryNSeconds", "EveryNSteps",
    "EveryNStepsClosest", "LatestDuration", "LatestN", "PreservationContext", "PreservationPolicy",
    "PreserveAll",
]  # fmt: skip

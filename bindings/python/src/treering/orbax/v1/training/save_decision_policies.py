# SPDX-License-Identifier: Apache-2.0
# Names of ocp.training.save_decision_policies: which steps a Checkpointer saves.
"""The policies of `treering.orbax.checkpoint_managers.save_decision_policy`."""

from ...checkpoint_managers.save_decision_policy import (
    AnySavePolicy,
    ContinuousCheckpointingPolicy,
    DecisionContext,
    FixedIntervalPolicy,
    InitialSavePolicy,
    PreemptionCheckpointingPolicy,
    SaveDecisionPolicy,
    SpecificStepsPolicy,
)

__all__ = [
    "AnySavePolicy", "ContinuousCheckpointingPolicy", "DecisionContext", "FixedIntervalPolicy",
    "InitialSavePolicy", "PreemptionCheckpointingPolicy", "SaveDecisionPolicy", "SpecificStepsPolicy",
]  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
# Names of ocp.training: the checkpoints of a training run.
"""`Checkpointer`, its policies, its errors and its metadata."""

from . import errors, preservation_policies, save_decision_policies
from ._checkpointer import Checkpointer
from ._metadata import CheckpointMetadata, RootMetadata

__all__ = [
    "CheckpointMetadata", "Checkpointer", "RootMetadata", "errors", "preservation_policies",
    "save_decision_policies",
]  # fmt: skip

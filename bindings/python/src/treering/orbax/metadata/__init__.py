# SPDX-License-Identifier: Apache-2.0
# What checkpoints tell of themselves: of leaves, of trees, of steps.
"""Metadata of leaves, trees, checkpoints and roots."""

from . import sharding, step, tree, value
from .sharding import NamedShardingMetadata, ShardingMetadata, SingleDeviceShardingMetadata
from .step import RootMetadata, StepMetadata, get_step_metadata
from .tree import TreeMetadata
from .value import (
    ArrayMetadata,
    BytesMetadata,
    Metadata,
    ScalarMetadata,
    StorageMetadata,
    StringMetadata,
)

__all__ = [
    "ArrayMetadata",
    "BytesMetadata",
    "Metadata",
    "NamedShardingMetadata",
    "RootMetadata",
    "ScalarMetadata",
    "ShardingMetadata",
    "SingleDeviceShardingMetadata",
    "StepMetadata",
    "StorageMetadata",
    "StringMetadata",
    "TreeMetadata",
    "get_step_metadata",
    "sharding",
    "step",
    "tree",
    "value",
]

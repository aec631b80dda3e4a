# SPDX-License-Identifier: Apache-2.0
# What programs find under ocp.utils: functions on trees, and on the steps of a folder.
"""Functions on trees and on steps, where Orbax's users look for them; `tree` and `path.step` have them."""

from __future__ import annotations

from ._setup import reached_preemption
from .path.step import (
    any_checkpoint_step,
    checkpoint_steps,
    checkpoint_steps_paths,
    get_save_directory,
    is_checkpoint_finalized,
    is_tmp_checkpoint,
    step_from_checkpoint_name,
    tmp_checkpoints,
)
from .tree import (
    from_flat_dict,
    is_empty_node,
    is_empty_or_leaf,
    is_scalar,
    serialize_tree,
    to_flat_dict,
    to_shape_dtype_struct,
    tuple_path_from_keypath,
)

__all__ = [
    "any_checkpoint_step", "checkpoint_steps", "checkpoint_steps_paths", "from_flat_dict",
    "get_save_directory", "is_checkpoint_finalized", "is_empty_node", "is_empty_or_leaf",
    "is_scalar", "is_tmp_checkpoint", "reached_preemption", "serialize_tree",
    "step_from_checkpoint_name", "tmp_checkpoints", "to_flat_dict", "to_shape_dtype_struct", "tuple_path_from_keypath",
]  # fmt: skip

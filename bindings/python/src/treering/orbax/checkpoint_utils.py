# SPDX-License-Identifier: Apache-2.0
# Helpers for restoring: RestoreArgs of a target, and waiting for the steps of a run.
"""`construct_restore_args`: what a target wants, as RestoreArgs for `args.PyTreeRestore`; and what
follows a run from another process."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import _walk
from ._polling import (
    checkpoints_iterator,
    get_snapshot_dir_from_step_dir,
    wait_for_new_checkpoint,
)
from .metadata import ArrayMetadata, Metadata, ScalarMetadata, StringMetadata, TreeMetadata
from .type_handlers import PLACEHOLDER, ArrayRestoreArgs, RestoreArgs, is_placeholder

__all__ = [
    "STANDARD_ARRAY_TYPES",
    "checkpoints_iterator",
    "construct_restore_args",
    "get_snapshot_dir_from_step_dir",
    "wait_for_new_checkpoint",
]

STANDARD_ARRAY_TYPES = (int, float, np.ndarray, jax.Array)


def construct_restore_args(
    target: Any,
    sharding_tree: Any = None,
    set_global_shape: bool = True,
    support_layout: bool = False,
    strict: bool = True,
) -> Any:
    """A tree like `target` of RestoreArgs.

    Args:
        target: a tree of arrays, jax.ShapeDtypeStruct, metadata, numbers, texts, PLACEHOLDER.
        sharding_tree: a tree like it of shardings; None: those of the target's leaves.
        set_global_shape: False: any shape is accepted.
        support_layout: True: `Format`s of jax.Arrays are taken instead of their shardings.
        strict: False: arrays of other shapes are cut, and filled up with zeros.

    Raises:
        ValueError: a leaf of another type.

    >>> construct_restore_args({"n": 1})
    {'n': RestoreArgs(restore_type=<class 'int'>, dtype=None)}
    """
    shardings: dict[Any, Any] = {}
    if sharding_tree is not None:
        given = sharding_tree.tree if isinstance(sharding_tree, TreeMetadata) else sharding_tree
        shardings = dict(_walk.leaves(given))

    def of(path: Any, leaf: Any) -> RestoreArgs:
        sharding = shardings.get(path)
        if sharding_tree is None and not isinstance(leaf, ScalarMetadata):
            sharding = getattr(leaf, "format" if support_layout else "sharding", None)
        return _args(leaf, sharding, set_global_shape, strict, _walk.text(path))

    if isinstance(target, TreeMetadata):
        made = _walk.map_leaves(target.tree, of)
        return TreeMetadata(tree=made, custom_metadata=target.custom_metadata)
    return _walk.map_leaves(target, of)


def _args(leaf: Any, sharding: Any, with_shape: bool, strict: bool, path: str) -> RestoreArgs:
    if is_placeholder(leaf):
        return RestoreArgs(restore_type=type(PLACEHOLDER))
    if isinstance(leaf, ScalarMetadata):
        return RestoreArgs(dtype=leaf.dtype)
    if isinstance(leaf, (jax.ShapeDtypeStruct, jax.Array, ArrayMetadata)):
        if sharding is None:
            return RestoreArgs(restore_type=np.ndarray, dtype=leaf.dtype)
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        shape = tuple(leaf.shape) if with_shape and not key else None
        dtype = None if key else leaf.dtype
        return ArrayRestoreArgs(
            restore_type=jax.Array,
            sharding=sharding,
            global_shape=shape,
            dtype=dtype,
            strict=strict,
        )
    if isinstance(leaf, np.ndarray):
        return RestoreArgs(restore_type=np.ndarray, dtype=leaf.dtype)
    if isinstance(leaf, StringMetadata):
        return RestoreArgs(restore_type=str)
    if isinstance(leaf, Metadata):
        return RestoreArgs()
    if isinstance(leaf, (np.generic, bool, int, float, complex, str, bytes)):
        return RestoreArgs(restore_type=type(leaf))
    raise ValueError(f"Unsupported type: {type(leaf)} for key: {path}")

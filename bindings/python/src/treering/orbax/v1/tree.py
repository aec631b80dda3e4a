# SPDX-License-Identifier: Apache-2.0
# Names of ocp.tree: types of trees, for annotations, and merge.
"""Types of pytrees, and `merge`."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, Union

import jax
import numpy as np

from .arrays import AbstractArray, AbstractScalar, AbstractShardedArray, Scalar

T = TypeVar("T")
PyTree = Any
PyTreeKey = Any
PyTreeKeyPath = tuple[Any, ...]
JsonType = Any
Leaf = Union[jax.Array, np.ndarray, Scalar, str]
AbstractLeaf = Union[AbstractArray, AbstractShardedArray, AbstractScalar, str]


class PyTreeOf(Generic[T]):
    """A pytree with leaves of type T, for annotations."""


def merge(*trees: Any, overwrite: bool = False) -> Any:
    """One tree of several of dicts.

    Args:
        trees: dicts, at any depth.
        overwrite: True: of a key of several trees the last one's value stays.

    Raises:
        ValueError: two trees have a value for one key, and `overwrite` is False.

    >>> merge({"a": {"x": 1}}, {"a": {"y": 2}})
    {'a': {'x': 1, 'y': 2}}
    """
    merged: dict[Any, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            both_dicts = isinstance(merged.get(key), dict) and isinstance(value, dict)
            if both_dicts:
                merged[key] = merge(merged[key], value, overwrite=overwrite)
            elif key in merged and not overwrite:
                raise ValueError(f"several trees have a value at {key!r}; overwrite=True takes the last")
            else:
                merged[key] = value
    return merged


__all__ = ["AbstractLeaf", "JsonType", "Leaf", "PyTree", "PyTreeKey", "PyTreeKeyPath", "PyTreeOf", "merge"]

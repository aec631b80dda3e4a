# SPDX-License-Identifier: Apache-2.0
# Names of ocp.arrays: what an array or a number is, for annotations and isinstance.
"""Types of arrays and numbers, and `to_shape_dtype_struct`."""

from __future__ import annotations

from typing import Any, Protocol, Union, runtime_checkable

import jax
import numpy as np

Shape = tuple[int, ...]
DType = Any
Scalar = Union[int, float, np.number, bytes, bool]
AbstractScalar = Scalar


@runtime_checkable
class AbstractArray(Protocol):
    """Has a shape and a dtype."""

    shape: Any
    dtype: Any


@runtime_checkable
class AbstractShardedArray(Protocol):
    """Has a shape, a dtype and a sharding."""

    shape: Any
    dtype: Any
    sharding: Any


ArrayLike = Union[AbstractArray, AbstractShardedArray]


def to_shape_dtype_struct(value: Any, dtype: Any = None) -> Any:
    """The jax.ShapeDtypeStruct of an array or its metadata; numbers and texts as they are.

    >>> to_shape_dtype_struct(np.zeros((2, 3), np.float32))
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return value
    sharding = getattr(value, "sharding", None)
    struct: Any = jax.ShapeDtypeStruct
    return struct(value.shape, dtype or value.dtype, sharding=sharding)


__all__ = [
    "AbstractArray", "AbstractScalar", "AbstractShardedArray", "ArrayLike", "DType", "Scalar", "Shape",
    "to_shape_dtype_struct",
]  # fmt: skip

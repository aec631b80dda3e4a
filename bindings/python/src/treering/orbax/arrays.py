# SPDX-License-Identifier: Apache-2.0
# Targets of arrays.
"""Abstract arrays for targets."""

from __future__ import annotations

from typing import Any

import jax

from . import _walk
from ._wanted import usable_sharding


def to_shape_dtype_struct(
    x: Any, dtype: Any = None, scalar_dtype: Any = None, *, support_layout: bool = False
) -> Any:
    """A leaf of a target for a leaf: a jax.ShapeDtypeStruct of arrays; texts and numbers stay.

    Args:
        x: an array, the metadata of one, a number or a text.
        dtype: another dtype for arrays.
        scalar_dtype: a type to make numbers of.
        support_layout: True: the Format of a jax.Array is kept.
    """
    if isinstance(x, (str, bytes)) or x is ...:
        return x
    if isinstance(x, (bool, int, float, complex)):
        return x if scalar_dtype is None else scalar_dtype(x)
    sharding = getattr(x, "format" if support_layout and hasattr(x, "format") else "sharding", None)
    return jax.ShapeDtypeStruct(
        tuple(x.shape), dtype or x.dtype, sharding=usable_sharding(sharding)
    )


def construct_maximal_shardings(tree: Any, devices: Any = None) -> Any:
    """For each array of a tree, a sharding that splits its largest axis that the number of devices
    divides; of arrays without such an axis, and of other leaves, none of them is split.

    Args:
        tree: of arrays, or of what has a shape.
        devices: to use; None: all.
    """
    chosen = jax.devices() if devices is None else list(devices)
    mesh = jax.sharding.Mesh(chosen, ("devices",))

    def of(_: Any, leaf: Any) -> Any:
        shape = tuple(getattr(leaf, "shape", ()))
        fitting = [axis for axis, size in enumerate(shape) if size and size % len(chosen) == 0]
        spec: list[Any] = [None] * len(shape)
        if fitting:
            spec[max(fitting, key=lambda axis: shape[axis])] = "devices"
        return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))

    return _walk.map_leaves(tree, of)

# SPDX-License-Identifier: Apache-2.0
# Where arrays shall lie: specs of Variables, and abstract arrays over a mesh.
from __future__ import annotations

import warnings
from typing import Any

import flax.nnx
import jax.sharding
from jax.sharding import Mesh, PartitionSpec

from .._nnx import variable_type

# Of what these annotate, a part is missing and a part too narrow: here they are not checked.
nnx: Any = flax.nnx
sharding: Any = jax.sharding
abstract: Any = jax.ShapeDtypeStruct

Path = tuple[Any, ...]  # keys: str, int


def with_value(leaf: Any, value: Any) -> Any:
    """A Variable like `leaf` around another value; the value itself where there is no Variable."""
    if not isinstance(leaf, nnx.Variable):
        return value
    return variable_type(leaf).from_metadata(value, leaf.get_metadata())


def declared(leaf: Any) -> PartitionSpec:
    """What a Variable's `out_sharding` says; by default, one device holds all."""
    spec = nnx.get_partition_spec(leaf)
    if isinstance(spec, nnx.Variable):
        spec = spec.get_raw_value()
    found: PartitionSpec = sharding.PartitionSpec() if spec is None else spec
    return found


def laid_out(
    leaves: dict[Path, Any], specs: dict[Path, PartitionSpec], mesh: Mesh, stacklevel: int = 3
) -> dict[Path, Any]:
    """The leaves as abstract arrays over the mesh; what is no array of JAX stays.

    Warns, at `stacklevel`, if the specs name none of the mesh's axes.
    """
    made: dict[int, Any] = {}  # shared Variables stay shared
    named = {axis for spec in specs.values() for axes in spec for axis in _names(axes)}
    if leaves and mesh.size > 1 and named.isdisjoint(mesh.axis_names):
        warnings.warn(
            f"every device will hold all of each array: of the mesh's axes {mesh.axis_names} none is "
            f"named by what is restored, which names {sorted(map(str, named)) or 'none'} (`out_sharding`)",
            stacklevel=stacklevel,
        )
    for place, leaf in leaves.items():
        value = leaf.get_raw_value() if isinstance(leaf, nnx.Variable) else leaf
        if id(leaf) in made or not isinstance(value, (jax.Array, jax.ShapeDtypeStruct)):
            continue
        spec = _fitting(specs[place], value.shape, mesh)
        struct = abstract(value.shape, value.dtype, sharding=sharding.NamedSharding(mesh, spec))
        made[id(leaf)] = with_value(leaf, struct)
    return {place: made.get(id(leaf), leaf) for place, leaf in leaves.items()}


def _names(axes: Any) -> tuple[str, ...]:
    """The axes of a mesh that one entry of a spec names."""
    return axes if isinstance(axes, tuple) else () if axes is None else (axes,)


def _fitting(spec: PartitionSpec, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """The spec without axes that the mesh has not, or that do not divide the shape."""
    result: list[Any] = []
    for size, axes in zip(shape, spec):
        names = [name for name in _names(axes) if name in mesh.shape]
        parts = 1
        for name in names:
            parts *= mesh.shape[name]
        fits = names and size % parts == 0
        result.append((tuple(names) if len(names) > 1 else names[0]) if fits else None)
    fitting: PartitionSpec = sharding.PartitionSpec(*result)
    return fitting

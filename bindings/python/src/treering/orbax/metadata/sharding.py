# SPDX-License-Identifier: Apache-2.0
# Shardings as a checkpoint tells of them: without devices.
"""Descriptions of shardings, which can be made into JAX's where there are enough devices.

A checkpoint records mesh axes, their types and the partition spec, no device numbers; a mesh is made of the first
devices that there are.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import numpy as np


class ShardingMetadata(abc.ABC):
    """Describes a jax.sharding.Sharding."""

    @abc.abstractmethod
    def to_jax_sharding(self) -> Any:
        """The sharding on the devices of this process.

        Raises:
            ValueError: there are not enough devices.
        """

    @classmethod
    def from_jax_sharding(cls, jax_sharding: Any) -> ShardingMetadata | None:
        """Describes a sharding; None for kinds that no checkpoint tells of."""
        import jax

        if isinstance(jax_sharding, jax.sharding.NamedSharding):
            mesh = jax_sharding.mesh
            return NamedShardingMetadata(
                np.array(list(mesh.shape.values())),
                list(mesh.axis_names),
                tuple(jax_sharding.spec),
                tuple(mesh.axis_types),
            )
        if isinstance(jax_sharding, jax.sharding.SingleDeviceSharding):
            return SingleDeviceShardingMetadata(str(next(iter(jax_sharding.device_set))))
        return None


@dataclasses.dataclass(eq=False)
class NamedShardingMetadata(ShardingMetadata):
    """Describes a NamedSharding: the mesh's shape, axis names and types (None: all Auto), and the
    partition spec."""

    shape: np.ndarray[Any, Any]
    axis_names: list[str]
    partition_spec: tuple[Any, ...]
    axis_types: tuple[Any, ...] | None = None

    def to_jax_sharding(self) -> Any:
        import jax

        count, devices = int(np.prod(self.shape)), jax.devices()
        if count > len(devices):
            raise ValueError(
                f"it is over {count} devices, and here are {len(devices)}; give a sharding"
            )
        grid = np.asarray(devices[:count]).reshape(tuple(self.shape))
        mesh = jax.sharding.Mesh(grid, tuple(self.axis_names), axis_types=self.axis_types)
        return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*self.partition_spec))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NamedShardingMetadata):
            return NotImplemented
        return self._compared() == other._compared()

    def _compared(self) -> tuple[Any, ...]:
        types = ["Auto"] * len(self.axis_names)
        if self.axis_types is not None:
            types = [kind.name for kind in self.axis_types]
        return list(self.shape), list(self.axis_names), tuple(self.partition_spec), types

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass
class SingleDeviceShardingMetadata(ShardingMetadata):
    """Describes the sharding of an array on one device; a checkpoint does not say on which."""

    device_str: str

    def to_jax_sharding(self) -> Any:
        import jax

        for device in jax.local_devices():
            if str(device) == self.device_str:
                return jax.sharding.SingleDeviceSharding(device)
        raise ValueError(f"here is no device {self.device_str}; give a sharding")


def _axis_types(names: Any, count: int) -> tuple[Any, ...] | None:
    """JAX's types of mesh axes by their names; None: all Auto, or what JAX does not know."""
    import jax

    known = getattr(jax.sharding, "AxisType", None)
    if known is None or not isinstance(names, list) or len(names) != count:
        return None
    found = tuple(getattr(known, str(name), None) for name in names)
    return None if None in found else found


def stored_sharding(leaf: Any) -> ShardingMetadata | None:
    """What a stored leaf (a `treering.AbstractLeaf`) tells of its sharding; None: of NumPy."""
    stored = leaf.attributes.get("sharding")
    if isinstance(stored, dict) and "mesh" in stored:
        mesh, spec = stored["mesh"], stored.get("spec") or []
        axes = tuple(tuple(axis) if isinstance(axis, list) else axis for axis in spec)
        types = _axis_types(stored.get("axis_types"), len(mesh))
        return NamedShardingMetadata(np.array(list(mesh.values())), list(mesh), axes, types)
    if leaf.attributes.get("origin") == "jax":
        import jax

        return SingleDeviceShardingMetadata(str(jax.local_devices()[0]))
    return None

# SPDX-License-Identifier: Apache-2.0
# What can be said of a single leaf on its way in and out.
"""Arguments for single leaves: how to save one, and as what to restore it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jax

PLACEHOLDER: Any = ...


def is_placeholder(value: Any) -> bool:
    """Whether a leaf of a target says that it is not to be read."""
    return value is PLACEHOLDER


@dataclasses.dataclass
class SaveArgs:
    """How to save a leaf.

    Attributes:
        aggregate: has no effect; leaves are always stored one by one.
        dtype: what to cast it to before it is written; keys and texts are never cast.
        chunk_byte_size, shard_axes: have no effect; the format chooses its own blocks.
    """

    aggregate: bool = False
    dtype: Any = None
    chunk_byte_size: int | None = None
    shard_axes: tuple[int, ...] = ()


@dataclasses.dataclass
class RestoreArgs:
    """As what to restore a leaf.

    Attributes:
        restore_type: np.ndarray, jax.Array, int, float, bool, complex, str, bytes or a NumPy scalar
            type; None: as it was saved.
        dtype: what to cast it to; None: as it was saved.
    """

    restore_type: Any = None
    dtype: Any = None


def _jax_array() -> Any:
    import jax

    return jax.Array


@dataclasses.dataclass
class ArrayRestoreArgs(RestoreArgs):
    """How to restore a leaf as a jax.Array.

    Attributes:
        mesh, mesh_axes: a sharding in two parts; `sharding` goes before.
        sharding: a jax Sharding, a ShardingMetadata, or a Format; None: as saved.
        global_shape, shape: the shape that is expected; two names for one thing.
        strict: True: another stored shape is a ValueError. False: the array is cut, or filled up
            with zeros, at the end of each axis.

    Raises:
        ValueError: `global_shape` and `shape` are given and differ.
    """

    restore_type: Any = dataclasses.field(default_factory=_jax_array)
    mesh: jax.sharding.Mesh | None = None
    mesh_axes: jax.sharding.PartitionSpec | None = None
    sharding: Any = None
    global_shape: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    strict: bool = True

    def __post_init__(self) -> None:
        given = [shape for shape in (self.global_shape, self.shape) if shape is not None]
        if len(given) == 2 and tuple(given[0]) != tuple(given[1]):
            raise ValueError(
                f"global_shape {given[0]} and shape {given[1]} are one thing and differ"
            )
        if given:
            self.global_shape = self.shape = given[0]


@dataclasses.dataclass
class SingleReplicaArrayRestoreArgs(ArrayRestoreArgs):
    """As ArrayRestoreArgs: on one host there is nothing to broadcast."""

    single_replica_sharding: Any = None


_HANDLERS = (
    "ArrayHandler NumpyHandler ParamInfo ScalarHandler SingleReplicaArrayHandler StringHandler "
    "TypeHandler TypeHandlerRegistry create_type_handler_registry get_type_handler "
    "has_type_handler register_standard_handlers_with_options register_type_handler supported_types"
).split()


def __getattr__(name: str) -> Any:  # they need RestoreArgs from here
    if name in _HANDLERS:
        from . import _leaf_handlers

        return getattr(_leaf_handlers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

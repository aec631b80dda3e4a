# SPDX-License-Identifier: Apache-2.0
# Metadata of single leaves.
"""What a leaf is, without its data. Leaves of `TreeMetadata`, and of targets for restoring."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import treering

from .sharding import ShardingMetadata, stored_sharding


@dataclasses.dataclass(eq=False)
class Metadata:
    """Of any leaf. Name and directory have no part in comparisons.

    Attributes:
        name: components of the leaf's path, joined by ".".
        directory: the checkpoint.
    """

    name: str = ""
    directory: pathlib.Path | None = None

    def _compared(self) -> tuple[Any, ...]:
        return ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metadata):
            return NotImplemented
        return type(self) is type(other) and self._compared() == other._compared()

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True)
class StorageMetadata:
    """How an array is stored."""

    chunk_shape: tuple[int, ...] | None
    write_shape: tuple[int, ...] | None = None


@dataclasses.dataclass(eq=False)
class ArrayMetadata(Metadata):
    """Of an array; of a typed PRNG key, its words.

    Attributes:
        shape, dtype: of the array.
        sharding: of a jax.Array; None: of NumPy.
        storage: None: the format's own blocks say nothing about the array.
    """

    shape: tuple[int, ...] = ()
    sharding: ShardingMetadata | None = None
    dtype: Any = None
    storage: StorageMetadata | None = None

    def _compared(self) -> tuple[Any, ...]:
        return tuple(self.shape), self.sharding, self.dtype, self.storage

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclasses.dataclass(eq=False)
class ScalarMetadata(ArrayMetadata):
    """Of a number: `dtype` is int64, float64, bool or complex128, a NumPy scalar's its own."""

    def _compared(self) -> tuple[Any, ...]:
        return (self.dtype,)


class StringMetadata(Metadata):
    """Of a text."""


class BytesMetadata(Metadata):
    """Of a bytes object."""


_NUMBERS = {"int": "int64", "float": "float64", "bool": "bool", "complex": "complex128"}


def of_leaf(leaf: treering.AbstractLeaf, name: str, directory: pathlib.Path) -> Metadata:
    """The metadata of a stored leaf."""
    if leaf.kind in _NUMBERS:
        return ScalarMetadata(name, directory, dtype=np.dtype(_NUMBERS[leaf.kind]))
    if leaf.kind == "string":
        return StringMetadata(name, directory)
    if leaf.kind == "bytes":
        return BytesMetadata(name, directory)
    if leaf.attributes.get("scalar") == "numpy":
        return ScalarMetadata(name, directory, dtype=leaf.dtype)
    return ArrayMetadata(name, directory, tuple(leaf.shape), stored_sharding(leaf), leaf.dtype)

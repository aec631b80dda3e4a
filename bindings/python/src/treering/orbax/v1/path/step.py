# SPDX-License-Identifier: Apache-2.0
# Names of steps, as ocp.path.step has them; what is found is a CheckpointMetadata.
"""`standard_name_format` and `composite_name_format`.

    >>> from treering.orbax import v1 as ocp
    >>> ocp.path.step.standard_name_format(step_prefix="run", step_format_fixed_length=4).build_name(7)
    'run_0007'
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...path import step as _v0
from ..training._metadata import CheckpointMetadata


class NameFormat(_v0.NameFormat):
    """How steps are called. A subclass needs `build_name` only."""

    def find_all(self, base_path: Any) -> Iterator[CheckpointMetadata[None]]:
        """The steps of a directory that have a name of this format, ascending."""
        for found in super().find_all(base_path):
            yield _as_metadata(found)


def _as_metadata(found: Any) -> CheckpointMetadata[None]:
    if isinstance(found, CheckpointMetadata):
        return found
    return CheckpointMetadata(
        found.step,
        found.path,
        metadata=None,
        init_timestamp_nsecs=found.init_timestamp_nsecs,
        commit_timestamp_nsecs=found.commit_timestamp_nsecs,
    )


class _Around(NameFormat):
    """A format of the other module under these names."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        readers = getattr(inner, "read_name_formats", None)
        if readers is not None:
            self.read_name_formats = readers

    def build_name(self, step: int) -> str:
        return str(self._inner.build_name(step))

    def find_all(self, base_path: Any) -> Iterator[CheckpointMetadata[None]]:
        return map(_as_metadata, self._inner.find_all(base_path))

    def find_step(self, base_path: Any, step: int) -> CheckpointMetadata[None]:
        return _as_metadata(self._inner.find_step(base_path, step))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Around) and bool(self._inner == other._inner)

    def __hash__(self) -> int:
        return hash(self._inner)

    def __repr__(self) -> str:
        return str(self._inner)


def standard_name_format(
    *,
    step_prefix: str | None = None,
    step_format_fixed_length: int | None = None,
    single_host_load_and_broadcast: bool = False,
) -> NameFormat:
    """`[<prefix>_]<step>`, with zeros in front up to a length."""
    return _Around(
        _v0.standard_name_format(
            step_prefix=step_prefix,
            step_format_fixed_length=step_format_fixed_length,
            single_host_load_and_broadcast=single_host_load_and_broadcast,
        )
    )


def composite_name_format(write_name_format: Any, read_name_formats: Sequence[Any]) -> NameFormat:
    """One format for saving, several for finding.

    Raises:
        ValueError: the first is not among the others.
    """
    return _Around(_v0.composite_name_format(write_name_format, tuple(read_name_formats)))


__all__ = ["NameFormat", "composite_name_format", "standard_name_format"]

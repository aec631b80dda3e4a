# SPDX-License-Identifier: Apache-2.0
# Names of steps: how a step is called in paths, and which steps of a directory a name format sees.
"""Step name formats, as `ocp.path.step` has them.

A step of treering is a record in its directory and no folder, but it has a name, which the manager
that saved it gave it. `<directory>/<name>` is accepted as a path wherever Orbax accepts one.

    >>> from treering.orbax.path import step
    >>> step.standard_name_format(step_prefix="run", step_format_fixed_length=4).build_name(23)
    'run_0023'
"""

from __future__ import annotations

import abc
import dataclasses
import datetime
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from ..._errors import CheckpointNotFoundError
from .._store import named_versions

PathLike = Union[str, "os.PathLike[str]"]
ALLOWED_STEP_NAME_PATTERN = r"(.+)_(\d+)"


@dataclasses.dataclass(frozen=True)
class Metadata:
    """A step that was found: its number, its path, and when it was begun and committed."""

    step: int
    path: Path
    init_timestamp_nsecs: Optional[int] = dataclasses.field(default=None, compare=False)
    commit_timestamp_nsecs: Optional[int] = dataclasses.field(default=None, compare=False)

    @property
    def commit_timestamp(self) -> datetime.datetime:
        """When the step was committed, in UTC; 1970 where that is not known."""
        seconds = (self.commit_timestamp_nsecs or 0) / 1e9
        return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)


class NameFormat(abc.ABC):
    """How steps are called. A subclass needs `build_name` only: a step of a directory belongs to the
    format that gives it the name that it has."""

    @abc.abstractmethod
    def build_name(self, step: int) -> str:
        """The name of `step`."""

    def find_all(self, base_path: PathLike) -> Iterator[Any]:
        """The steps of a directory that have a name of this format, ascending."""
        for version, name in named_versions(base_path):
            if fits(self, version.step, name):
                yield Metadata(
                    version.step,
                    Path(base_path) / name,
                    _nanoseconds(version.started),
                    _nanoseconds(version.committed),
                )

    def find_step(self, base_path: PathLike, step: int) -> Any:
        """One of those; ValueError if it is not there."""
        for found in self.find_all(base_path):
            if found.step == step:
                return found
        raise ValueError(
            f"{base_path} has no step {step} named {self.build_name(step)!r}, as {self} would name it"
        )


def _nanoseconds(seconds: Optional[float]) -> Optional[int]:
    return None if seconds is None else round(seconds * 1e9)


def fits(name_format: Any, step: int, name: str) -> bool:
    """Whether `name_format` (an object with `build_name`) calls `step` by that name."""
    readers = getattr(name_format, "read_name_formats", None) or (name_format,)
    for reader in readers:
        try:
            if reader is not name_format and getattr(reader, "read_name_formats", None):
                if fits(reader, step, name):
                    return True
            elif reader.build_name(step) == name:
                return True
        except NotImplementedError:  # a format that is for finding only
            continue
    return False


@dataclasses.dataclass(frozen=True)
class _StandardNameFormat(NameFormat):
    step_prefix: Optional[str] = None
    step_format_fixed_length: Optional[int] = None
    single_host_load_and_broadcast: bool = False

    def build_name(self, step: int) -> str:
        width = self.step_format_fixed_length
        digits = str(step) if width is None else f"{step:0{width}d}"
        return step_prefix_with_underscore(self.step_prefix) + digits

    def __str__(self) -> str:
        return f"standard_name_format({self.build_name(1234)!r} for 1234)"


@dataclasses.dataclass(frozen=True)
class _CompositeNameFormat(NameFormat):
    write_name_format: Any
    read_name_formats: Sequence[Any]

    def __post_init__(self) -> None:
        if self.write_name_format not in self.read_name_formats:
            raise ValueError(
                f"write_name_format {self.write_name_format} is not among the read_name_formats "
                f"{[str(reader) for reader in self.read_name_formats]}: what is saved would not be found"
            )

    def build_name(self, step: int) -> str:
        return str(self.write_name_format.build_name(step))

    def __str__(self) -> str:
        return f"composite_name_format({', '.join(map(str, self.read_name_formats))})"


def standard_name_format(
    *,
    step_prefix: Optional[str] = None,
    step_format_fixed_length: Optional[int] = None,
    single_host_load_and_broadcast: bool = False,
    temporary_path_cls: Any = None,
    atomicity_options: Any = None,
) -> NameFormat:
    """`[<prefix>_]<step>`, with zeros in front up to a length. The last two arguments are taken and
    change nothing."""
    return _StandardNameFormat(step_prefix, step_format_fixed_length, single_host_load_and_broadcast)


def composite_name_format(write_name_format: Any, read_name_formats: Sequence[Any]) -> NameFormat:
    """One format for saving, several for finding.

    Raises:
        ValueError: the one for saving is not among those for finding.
    """
    return _CompositeNameFormat(write_name_format, tuple(read_name_formats))


def is_standard_name_format(name_format: Any) -> bool:
    """Whether a format is one of `standard_name_format`."""
    return isinstance(name_format, _StandardNameFormat)


def step_prefix_with_underscore(step_prefix: Optional[str]) -> str:
    """The prefix as names have it: with "_", or empty."""
    return "" if step_prefix is None else f"{step_prefix}_"


def build_step_path(base_path: PathLike, name_format: Any, step: int) -> Path:
    """The path of a step, there or not."""
    return Path(base_path) / str(name_format.build_name(step))


def build_step_metadatas(
    step_paths: Iterable[Path], build_metadata: Callable[[Path], Any]
) -> Iterator[Any]:
    """What `build_metadata` makes of the paths, None left out."""
    return (found for found in map(build_metadata, step_paths) if found is not None)


def find_step_path(
    base_path: PathLike, name_format: Any, *, step: int, include_uncommitted: bool = False
) -> Path:
    """The path of a step that is there; uncommitted ones have none. ValueError: it is not there."""
    return Path(name_format.find_step(base_path, step).path)


def maybe_find_step_metadata(base_path: PathLike, name_format: Any, *, step: int) -> Any:
    """The `Metadata` of a step, or None."""
    try:
        return name_format.find_step(base_path, step)
    except ValueError:
        return None


def latest_step_metadata(root_path: PathLike, name_format: Any) -> Any:
    """The `Metadata` of the greatest step, or None."""
    return max(name_format.find_all(root_path), key=lambda found: found.step, default=None)


def step_metadata_of_checkpoint_path(checkpoint_path: PathLike, name_format: Any) -> Any:
    """The `Metadata` of the step at a path.

    Raises:
        ValueError: no step of the format has that path.
    """
    path = Path(checkpoint_path)
    found = list(name_format.find_all(path.parent))
    for metadata in found:
        if metadata.path.name == path.name:
            return metadata
    names = [metadata.path.name for metadata in found]
    raise ValueError(f"{path} is no step of {name_format}; {path.parent} has {names}")


def get_save_directory(
    step: int,
    directory: PathLike,
    name: Optional[str] = None,
    step_prefix: Optional[str] = None,
    override_directory: Optional[PathLike] = None,
    step_format_fixed_length: Optional[int] = None,
    step_name_format: Any = None,
) -> Path:
    """The path of a step, or with `name` of an item of it."""
    if directory is None:
        raise ValueError("directory is None; give the folder of the steps")
    if override_directory is not None:
        path = Path(override_directory)
    else:
        standard = _StandardNameFormat(step_prefix, step_format_fixed_length)
        path = build_step_path(directory, step_name_format or standard, step)
    return path if name is None else path / name


def step_from_checkpoint_name(name: str) -> int:
    """The number that a name ends with.

    Raises:
        ValueError: the name is neither a number nor `<prefix>_<number>`.
    """
    match = re.fullmatch(r"(?:.+_)?(\d+)", name)
    if match is None:
        raise ValueError(f"{name!r} is no name of a step; those end with a number, after '_' if any")
    return int(match.group(1))


def checkpoint_steps_paths(checkpoint_dir: PathLike) -> list[Path]:
    """Paths of all steps of a directory, whatever their names; none if it is not there."""
    return [Path(checkpoint_dir) / name for _, name in named_versions(checkpoint_dir)]


def checkpoint_steps(checkpoint_dir: PathLike) -> list[int]:
    """All steps of a directory, ascending."""
    return [version.step for version, _ in named_versions(checkpoint_dir)]


def any_checkpoint_step(checkpoint_dir: PathLike) -> Optional[int]:
    """Some step of a directory, or None."""
    return next(iter(checkpoint_steps(checkpoint_dir)), None)


def is_path_finalized(path: PathLike, *args: Any, **kwargs: Any) -> bool:
    """Whether there is a checkpoint at a path; here one is either whole or not there."""
    from .._handling import locate

    try:
        locate(path)
    except (ValueError, CheckpointNotFoundError):
        return False
    return True


def is_path_temporary(path: PathLike, *args: Any, **kwargs: Any) -> bool:
    """False: what is not committed has no path."""
    return False


def all_temporary_paths(root_directory: PathLike, *args: Any, **kwargs: Any) -> list[Any]:
    """None: what is not committed has no path."""
    return []


def tmp_checkpoints(checkpoint_dir: PathLike) -> list[str]:
    """None, as `all_temporary_paths`."""
    return []


is_checkpoint_finalized = is_path_finalized
is_tmp_checkpoint = is_path_temporary

# SPDX-License-Identifier: Apache-2.0
# What is known of a checkpoint, and of its leaves, without their data.
from __future__ import annotations

import datetime
import os
from typing import Any, Generic, TypeVar

from .. import _custom, _handling
from .._log import logger
from . import _files, _paths
from ._native import is_native

T = TypeVar("T")
PyTreeMetadata = Any


def _time(nanoseconds: int | None) -> datetime.datetime | None:
    if nanoseconds is None:
        return None
    return datetime.datetime.fromtimestamp(nanoseconds / 1e9, tz=datetime.timezone.utc)


class CheckpointMetadata(Generic[T]):
    """What is known of a checkpoint.

    Attributes:
        path: where it is.
        metadata: of a pytree, the tree with what is known of each leaf in its place: `NumpyMetadata`,
            `ArrayMetadata`, a number of the leaf's type, "string". A dict of these by name, of all
            checkpointables; None where nothing is known of one.
        init_timestamp_nsecs, commit_timestamp_nsecs: nanoseconds since 1970, or None.
        custom_metadata: what `save` was given.
    """

    def __init__(
        self,
        path: Any,
        *,
        metadata: T,
        init_timestamp_nsecs: int | None = None,
        commit_timestamp_nsecs: int | None = None,
        custom_metadata: Any = None,
    ) -> None:
        self.path, self.metadata = path, metadata
        self.init_timestamp_nsecs = init_timestamp_nsecs
        self.commit_timestamp_nsecs = commit_timestamp_nsecs
        self.custom_metadata = custom_metadata

    @property
    def init_timestamp(self) -> datetime.datetime | None:
        """When the save began, in UTC."""
        return _time(self.init_timestamp_nsecs)

    @property
    def commit_timestamp(self) -> datetime.datetime | None:
        """When the checkpoint was on the disk, in UTC."""
        return _time(self.commit_timestamp_nsecs)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in sorted(vars(self).items()))
        return f"{type(self).__name__}({shown})"


def of_place(path: Any, place: _handling.Place, metadata: Any) -> CheckpointMetadata[Any]:
    """The CheckpointMetadata of an open checkpoint."""
    from ._context import get_context

    began = place.record.get("init_timestamp_nsecs")
    return CheckpointMetadata(
        get_context().file.path_class(os.fspath(path)),
        metadata=metadata,
        init_timestamp_nsecs=began,
        commit_timestamp_nsecs=max(os.stat(place.file).st_mtime_ns, began or 0),
        custom_metadata=place.record.get("custom_metadata") or {},
    )


def describe(place: _handling.Place, name: str) -> Any:
    """What is known of one checkpointable; None if its handler has nothing to say."""
    from ._loading import _handler

    found = place.at(name)
    handler = _handler(place, name, None)
    try:
        if is_native(handler) and found.kind() != "files":
            return handler.describe(found) if found.kind() == "tree" else None
        with _custom.laid_out(found, _handling.LAID_OUT) as folder:
            return _custom.run_coroutine(handler.metadata(folder))
    except Exception as error:
        logger.warning("nothing is known of %r in %s: %r", name, place.file, error)
        return None


def metadata(path: Any, checkpointable_name: str | None = "AUTO") -> CheckpointMetadata[PyTreeMetadata]:
    """What is known of a pytree; a target for `load`.

    Args:
        path, checkpointable_name: as of `load`.

    Raises:
        InvalidLayoutError: (a ValueError) there is no checkpoint, or no such pytree in it.

    >>> import tempfile, numpy as np
    >>> from treering.orbax import v1 as ocp
    >>> path = tempfile.mkdtemp() + "/net"
    >>> ocp.save(path, {"w": np.zeros((2, 3)), "step": 7, "name": "x"})
    >>> found = ocp.metadata(path).metadata
    >>> found["w"].shape, found["step"], found["name"]
    ((2, 3), 0, 'string')
    """
    from ._loading import check_layout, check_name, pytree_name

    check_name(checkpointable_name)
    check_layout()
    place = _paths.open_checkpoint(path)
    return of_place(path, place, describe(place, pytree_name(place, checkpointable_name)))


def checkpointables_metadata(path: Any) -> CheckpointMetadata[dict[str, Any]]:
    """What is known of all checkpointables, by name.

    Raises:
        InvalidLayoutError: (a ValueError) there is no checkpoint.
    """
    from ._loading import check_layout
    from ._saving import RESERVED

    check_layout()
    place = _paths.open_checkpoint(path)
    found = {name: describe(place, name) for name in place.item_names() if name not in RESERVED}
    return of_place(path, place, found)


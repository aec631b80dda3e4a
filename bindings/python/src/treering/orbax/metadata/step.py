# SPDX-License-Identifier: Apache-2.0
# Metadata of one checkpoint, and of a directory of them.
"""`StepMetadata` and `RootMetadata`."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class StepMetadata:
    """What a checkpoint tells of itself.

    Attributes:
        item_handlers: names of the items' handlers, by item; of a checkpoint of a single item, its
            handler's name.
        item_metadata: a Composite of the items' metadata; of a single item, its metadata.
        metrics: as they were given to the manager.
        performance_metrics: None; times are not recorded.
        init_timestamp_nsecs, commit_timestamp_nsecs: when the save began and ended, since 1970.
        custom_metadata: as it was given.
    """

    item_handlers: Any = None
    item_metadata: Any = None
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)
    performance_metrics: Any = None
    init_timestamp_nsecs: int | None = None
    commit_timestamp_nsecs: int | None = None
    custom_metadata: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class RootMetadata:
    """What a manager's directory tells of itself.

    Attributes:
        internal_metadata: None.
        custom_metadata: as it was given to the manager that made the directory.
    """

    internal_metadata: dict[str, Any] | None = None
    custom_metadata: dict[str, Any] | None = None


def get_step_metadata(path: Any) -> StepMetadata:
    """The metadata of the checkpoint at a path, with None in the place of the items' own.

    Raises:
        FileNotFoundError: there is none.
    """
    from .. import _handling

    place = _handling.open_place(path)
    found: StepMetadata = _handling.record_metadata(place)
    found.item_metadata = None
    return found

# SPDX-License-Identifier: Apache-2.0
# What a Checkpointer tells of its steps and of its directory.
from __future__ import annotations

import dataclasses
import datetime
from typing import Any, TypeVar

from .._metadata import CheckpointMetadata as _OfAny

T = TypeVar("T")


class CheckpointMetadata(_OfAny[T]):
    """What is known of a step; as that of any checkpoint, and besides:

    Attributes:
        step: the step.
        metrics: what `save` was given, or None.
    """

    def __init__(
        self,
        step: int,
        path: Any,
        *,
        metadata: T,
        init_timestamp_nsecs: int | None = None,
        commit_timestamp_nsecs: int | None = None,
        custom_metadata: Any = None,
        metrics: Any = None,
    ) -> None:
        super().__init__(
            path,
            metadata=metadata,
            init_timestamp_nsecs=init_timestamp_nsecs,
            commit_timestamp_nsecs=commit_timestamp_nsecs,
            custom_metadata=custom_metadata,
        )
        self.step, self.metrics = step, metrics

    @property
    def time(self) -> datetime.datetime:
        """When the step was committed, in UTC; 1970 where that is not known."""
        nanoseconds = self.commit_timestamp_nsecs or 0
        return datetime.datetime.fromtimestamp(nanoseconds / 1e9, tz=datetime.timezone.utc)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RootMetadata:
    """What is known of a Checkpointer's directory.

    Attributes:
        directory: the folder.
        custom_metadata: what the first Checkpointer was given.
    """

    directory: Any
    custom_metadata: Any = None

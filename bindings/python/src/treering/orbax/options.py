# SPDX-License-Identifier: Apache-2.0
# Options of checkpointers and managers, as Orbax's users write them.
"""Options as `ocp.options` has them: asynchronous, multi-process, file and atomicity options.

Every save of treering is atomic and flushed, so `AtomicityOptions` and the thread counts of Orbax are
taken and change nothing; `ORBAX.md` lists them.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Callable, Optional, Set


@dataclasses.dataclass
class AsyncOptions:
    """How a save in the background behaves.

    Attributes:
        timeout_secs: a wait that takes longer is a TimeoutError; the save goes on.
        barrier_sync_fn: for several processes; not used by one.
        post_finalization_callback: called when a step is on the disk, on a thread of the library; it
            must not call its manager. What it raises, the next wait raises.
        create_directories_asynchronously: changes nothing: a save makes one folder.
    """

    timeout_secs: int = 1200
    barrier_sync_fn: Optional[Callable[..., Any]] = None
    post_finalization_callback: Optional[Callable[[], None]] = None
    create_directories_asynchronously: bool = True


@dataclasses.dataclass
class MultiprocessingOptions:
    """Which processes take part: `primary_host` writes (None: each of them), `active_processes` are
    those that call the manager."""

    primary_host: Optional[int] = 0
    active_processes: Optional[Set[int]] = None
    barrier_sync_key_prefix: Optional[str] = None


class AtomicityMode(str, enum.Enum):
    """How Orbax commits; treering always renames a flushed record into place."""

    AUTO = "auto"
    COMMIT_FILE = "commit_file"
    ATOMIC_RENAME = "atomic_rename"


@dataclasses.dataclass(frozen=True)
class AtomicityOptions:
    """Taken for compatibility; see `AtomicityMode`."""

    mode: AtomicityMode = AtomicityMode.AUTO
    allow_legacy_atomic_rename: bool = False


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """`path_permission_mode`: mode bits of a root folder that is made, 0o750 say."""

    path_permission_mode: Optional[int] = None
    skip_sync_file_validations: bool = False


@dataclasses.dataclass
class MemoryLimitOptions:
    """`max_transfer_concurrent_gb`: memory for copies of a save in the background."""

    max_transfer_concurrent_gb: Optional[int] = None

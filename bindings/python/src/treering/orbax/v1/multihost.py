# SPDX-License-Identifier: Apache-2.0
# Names of ocp.multihost, for programs of one process.
"""Which process this is, and barriers, which a single process passes."""

from __future__ import annotations

from typing import Any

import jax


def process_index() -> int:
    """The number of this process."""
    return int(jax.process_index())


def process_count() -> int:
    """How many processes there are."""
    return int(jax.process_count())


def is_primary_host(primary_host: int | None) -> bool:
    """Whether this process is the one that writes; None: each is."""
    return primary_host is None or primary_host == process_index()


def is_pathways_backend() -> bool:
    """False: Pathways is not spoken to."""
    return False


def sync_global_processes(
    name: str, *, operation_id: Any = None, processes: Any = None, timeout: Any = None
) -> None:
    """Waits until all processes have come here.

    Raises:
        NotImplementedError: there are several.
    """
    if process_count() > 1 and (processes is None or len(processes) > 1):
        raise NotImplementedError("several processes cannot write one checkpoint from Python yet")


__all__ = [
    "is_pathways_backend", "is_primary_host", "process_count", "process_index",
    "sync_global_processes",
]  # fmt: skip

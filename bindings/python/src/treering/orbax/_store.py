# SPDX-License-Identifier: Apache-2.0
# The directory below a manager: opened for writing when something is written, and not before.
#
# Programs written for Orbax hold several managers of one directory, most of them for reading, and
# often forget the close of an earlier one. A store of treering has one writer at a time. So a
# manager reads without a lock until its first save, and within a process the directory is handed
# over: the manager that held it finishes its save and goes on as a reader.
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Optional

import treering

from ._log import logger

KEY = "treering.orbax"
_guard = threading.RLock()
_writers: dict[str, weakref.ReferenceType[Store]] = {}


class Store:
    """A directory of checkpoints, there or not yet.

    Args:
        directory: the folder.
        asynchronous: saves run in the background.
        keep: from the committed versions to a truth value for each; called on a thread of the library.
        budget: bytes for copies of a save in the background; 0: the default.
    """

    def __init__(
        self,
        directory: str,
        asynchronous: bool = False,
        keep: Optional[Callable[[Sequence[Any]], list[bool]]] = None,
        budget: int = 0,
    ) -> None:
        self.directory = directory
        self.untold: Optional[BaseException] = None  # the failure of a save that nobody was told
        self._asynchronous, self._keep, self._budget = asynchronous, keep, budget
        self._open: Any = None
        self._writes = False

    @property
    def writes(self) -> bool:
        """Whether this one holds the directory's lock."""
        return self._writes

    def reader(self) -> Any:
        """A treering.CheckpointManager for reading, or None: there is no store yet."""
        if self._open is None and os.path.isfile(os.path.join(self.directory, "STORE")):
            self._open = treering.CheckpointManager(self.directory, read_only=True)
        return self._open

    def writer(self) -> Any:
        """The treering.CheckpointManager that writes; waits for what another in this process saves.

        Raises:
            BusyError: another process writes there.
        """
        if self._writes:
            return self._open
        with _guard:
            place = os.path.realpath(self.directory)
            before = _writers.get(place)
            holder = before() if before is not None else None
            if holder is not None:
                holder.hand_over()
            self._close()
            self._open = treering.CheckpointManager(
                self.directory,
                asynchronous=self._asynchronous,
                keep_policies=self._keep,
                drop_newest=True,
                staging_bytes=self._budget,
            )
            self._writes = True
            _writers[place] = weakref.ref(self)
        return self._open

    def hand_over(self) -> None:
        """Finishes what is in flight and gives up the lock; a failure is told by the next `wait`."""
        if self._writes:
            logger.info("the lock of '%s' goes to another manager of this process", self.directory)
            try:
                self._open.wait_until_finished()
            except Exception as error:
                self.untold = error
            self._close()

    def wait(self, timeout: Optional[float] = None) -> None:
        """Until nothing is in flight; raises the failure that was not told yet."""
        if self._writes:
            self._open.wait_until_finished(timeout)
        error, self.untold = self.untold, None
        if error is not None:
            raise error

    def wait_quietly(self) -> None:
        """Until nothing is in flight; a failure is told by the next `wait`."""
        if self._writes and self._open.is_saving():
            try:
                self._open.wait_until_finished()
            except Exception as error:
                self.untold = error

    def saving(self) -> bool:
        """Whether a save is in flight."""
        return self._writes and bool(self._open.is_saving())

    def steps(self) -> list[int]:
        """All committed steps, ascending."""
        manager = self.reader()
        return [] if manager is None else list(manager.all_steps())

    def versions(self) -> list[tuple[Any, str]]:
        """(treering's Version, the step's name) of all committed steps, ascending."""
        manager = self.reader()
        return [] if manager is None else [(v, name_of(v)) for v in manager.versions()]

    def version(self, step: int) -> Any:
        """The Version of a step, or None."""
        manager = self.reader()
        if manager is None or step not in manager.all_steps():
            return None
        return manager.metadata(step)

    def reload(self) -> None:
        """Sees what others have saved and deleted."""
        manager = self.reader()
        if manager is not None:
            manager.reload()

    def close(self) -> None:
        """Finishes and unlocks; what can be read is read anew afterwards."""
        with _guard:
            self._close()

    def _close(self) -> None:
        if self._writes:
            _writers.pop(os.path.realpath(self.directory), None)
        manager, self._open, self._writes = self._open, None, False
        if manager is not None:
            manager.close()


def name_of(version: Any) -> str:
    """The name of a version's step: what the manager recorded, or its number."""
    record = version.metadata.get(KEY) if isinstance(version.metadata, dict) else None
    name = record.get("step_name") if isinstance(record, dict) else None
    return name if isinstance(name, str) else str(version.step)


def named_versions(directory: Any) -> list[tuple[Any, str]]:
    """(Version, the step's name) of all steps of a directory, ascending; none if it is no store."""
    store = Store(os.path.abspath(os.fsdecode(os.fspath(directory))))
    try:
        return store.versions()
    finally:
        store.close()

# SPDX-License-Identifier: Apache-2.0
# The steps that a manager sees: those on the disk, the one in flight, not those about to go.
#
# Orbax keeps a list and changes it when a save begins; a save that fails, or a reload meanwhile,
# leaves it wrong. Here the list is what the store has, looked at each time, and what the save in
# flight will do to it.
from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any, Optional

from ._log import logger
from ._store import KEY, Store
from .checkpoint_managers import preservation_policy as preservation
from .path.step import fits


@dataclasses.dataclass
class CheckpointInfo:
    """A step: its number, when it was saved (UTC), and its metrics."""

    step: int
    time: datetime.datetime
    metrics: Optional[Any]


class Retention:
    """What the save in flight does when it is committed; C calls it, on a thread of its own.

    `doomed` are the steps to drop, or to move away first (`moves`).
    """

    def __init__(self, moves: bool, finished: Optional[Callable[[], None]]) -> None:
        self.moves = moves
        self.doomed: frozenset[int] = frozenset()
        self.error: Optional[BaseException] = None
        self._finished = finished

    def __call__(self, versions: Sequence[Any]) -> list[bool]:
        if self._finished is not None:
            try:
                self._finished()
            except Exception as error:
                self.error = error
        return [self.moves or version.step not in self.doomed for version in versions]


class Listing:
    """The steps of a store that a name format sees, ascending."""

    def __init__(self, store: Store, name_format: Any, retention: Retention) -> None:
        self._store, self._format, self._retention = store, name_format, retention
        self._known: dict[int, Optional[CheckpointInfo]] = {}  # None: named by another format
        self._running: Optional[CheckpointInfo] = None

    def infos(self) -> list[CheckpointInfo]:
        """What a program is told of."""
        running = self._running if self._store.saving() else None
        committed = self._store.steps()
        self._learn(committed)
        found = {step: info for step in committed if (info := self._known[step]) is not None}
        hidden: frozenset[int] = frozenset()
        if running is not None:
            found[running.step] = running
        if running is not None or self._to_move():
            hidden = self._retention.doomed
        return [found[step] for step in sorted(found) if step not in hidden]

    def begin(self, info: CheckpointInfo, doomed: frozenset[int]) -> None:
        """A save of this step is about to begin, and drops `doomed` once it is committed."""
        self._known[info.step] = self._running = info
        self._retention.doomed = doomed

    def settle(self) -> list[int]:
        """Nothing is in flight: the steps that are now to be moved away."""
        moving = sorted(self._to_move())
        if not moving:
            self._running = None
            self._retention.doomed = frozenset()
        return moving

    def forget(self, step: Optional[int] = None) -> None:
        """A step, or all, is to be read again."""
        if step is None:
            self._known.clear()
        else:
            self._known.pop(step, None)

    def _to_move(self) -> frozenset[int]:
        """Steps whose time has come, where steps are moved: those of a save that was committed."""
        running, doomed = self._running, self._retention.doomed
        if not self._retention.moves or running is None or not doomed:
            return frozenset()
        there = set(self._store.steps())
        return doomed & there if running.step in there else frozenset()

    def _learn(self, committed: list[int]) -> None:
        if all(step in self._known for step in committed):
            return
        for version, name in self._store.versions():
            if version.step not in self._known:
                info = CheckpointInfo(version.step, _time(version.committed), metrics_of(version))
                seen = fits(self._format, version.step, name)
                self._known[version.step] = info if seen else None


def doomed_steps(
    policy: preservation.PreservationPolicy, infos: Sequence[CheckpointInfo]
) -> frozenset[int]:
    """The steps that a policy does not keep."""
    kept = policy.should_preserve(list(infos), context=preservation.PreservationContext())
    return frozenset(info.step for info, keep in zip(infos, kept) if not keep)


def metrics_of(version: Any) -> Any:
    """The metrics of a version as they were given, or None."""
    record = version.metadata.get(KEY) if isinstance(version.metadata, dict) else None
    if isinstance(record, dict) and "metrics" in record:
        return record["metrics"]
    return version.metrics


def _time(seconds: Optional[float]) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds or 0, tz=datetime.timezone.utc)


def move(store: Store, step: int, below: str) -> None:
    """Moves a version into the store at `below`: first it is whole there, then it goes here."""
    import treering

    version = store.version(step)
    info = treering.info(version.path)
    items = {}
    for name, kind in info["items"].items():
        value = treering.load(version.path, item=name)
        wrap = {"json": treering.Json, "blob": treering.Blob}.get(kind)
        items[name] = value if wrap is None else wrap(value)
    with treering.CheckpointManager(below, asynchronous=False) as target:
        target.save(
            step, items=items, metrics=version.metrics, metadata=version.metadata, force=True,
            overwrite=True,
        )  # fmt: skip
    store.writer().delete(step)
    logger.info("step %d of '%s' was moved to '%s'", step, store.directory, below)

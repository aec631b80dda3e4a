# SPDX-License-Identifier: Apache-2.0
# What a Checkpointer reads: steps, what is in them, and what is known of them.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...._ffi import lib
from ...._manager_options import step_number
from ... import _handling
from ..._listing import CheckpointInfo
from .. import _loading, _metadata
from .._context import Context, get_context
from .._response import AsyncResponse, Running
from .._saving import RESERVED, STATE
from . import errors
from ._metadata import CheckpointMetadata, RootMetadata
from ._response import SaveResponse
from ._steps import Steps


def number_of(step: int | CheckpointMetadata[Any]) -> int:
    """A step, or the step of its metadata."""
    number: int = step_number(step.step if isinstance(step, CheckpointMetadata) else step)
    return number


class Reading:
    """The methods of Checkpointer that change nothing."""

    _context: Context
    _manager: Steps
    _running: SaveResponse | None

    def _in_force(self) -> Context:
        """The Context that is active, else the Checkpointer's own."""
        return get_context(self._context)

    @property
    def directory(self) -> Any:
        """The folder, of the class that `FileOptions.path_class` says."""
        return self._context.file.path_class(str(self._manager.directory))

    # -- listing

    @property
    def latest(self) -> CheckpointMetadata[None] | None:
        """What is known of the greatest step, or None."""
        found = self.checkpoints
        return found[-1] if found else None

    @property
    def checkpoints(self) -> Sequence[CheckpointMetadata[None]]:
        """What is known of the steps, ascending: those on the disk and the one in flight. Nothing is
        read for it; `metadata` tells more."""
        return [self._told(info) for info in self._manager._listing.infos()]

    def _told(self, info: CheckpointInfo) -> CheckpointMetadata[None]:
        return CheckpointMetadata(
            info.step,
            self.directory / self._manager.name(info.step),
            metadata=None,
            commit_timestamp_nsecs=int(info.time.timestamp() * 1e9),
            metrics=info.metrics,
        )

    def _no_step(self, step: int) -> errors.StepNotFoundError:
        return errors.StepNotFoundError(
            f"No checkpoint found at step {step} of '{self.directory}'; there are "
            f"{self._manager.all_steps()}",
            status=lib.TREERING_NOT_FOUND,
        )

    def _existing(self, step: int | CheckpointMetadata[Any] | None) -> CheckpointMetadata[None]:
        """What is known of a step that is on the disk; a save in flight is waited for."""
        if self._running is not None:
            self._running.settle()
        found = self.checkpoints
        if step is None:
            if not found:
                raise errors.StepNotFoundError(
                    f"no step was asked for, and '{self.directory}' has none", status=lib.TREERING_NOT_FOUND
                )
            return found[-1]
        number = number_of(step)
        for checkpoint in found:
            if checkpoint.step == number:
                return checkpoint
        raise self._no_step(number)

    def _place(self, step: int) -> _handling.Place:
        version = self._manager._store.version(step)
        if version is None:  # it went while we looked
            raise self._no_step(step)
        return _handling.Place(version.path)

    # -- loading

    def load(
        self,
        step: int | CheckpointMetadata[Any] | None = None,
        abstract_state: Any = None,
        *,
        checkpointable_name: str = STATE,
    ) -> Any:
        """Loads the pytree of a step; a save in flight is waited for.

        Args:
            step: a step or its metadata; None: the latest.
            abstract_state: as of `load` of this package.
            checkpointable_name: the pytree's name.

        Raises:
            StepNotFoundError: (a FileNotFoundError) there is no such step, or none at all.
            KeyError: it has no such pytree; or it does not fit, and then it is a ValueError, too.
            TypeError: a leaf of the target that says nothing.
        """
        if isinstance(abstract_state, _metadata.CheckpointMetadata):
            abstract_state = abstract_state.metadata
        _loading.check_abstract_state(abstract_state)
        return self.load_checkpointables(step, {checkpointable_name: abstract_state})[checkpointable_name]

    def load_checkpointables(
        self,
        step: int | CheckpointMetadata[Any] | None = None,
        abstract_checkpointables: Any = None,
    ) -> dict[str, Any]:
        """Loads objects of a step by name; arguments and errors as of `load_checkpointables` of this
        package, and StepNotFoundError."""
        with self._in_force():
            found = self._existing(step).step
            if isinstance(abstract_checkpointables, _metadata.CheckpointMetadata):
                abstract_checkpointables = abstract_checkpointables.metadata
            _loading.check_abstract_checkpointables(abstract_checkpointables)
            return _loading.load_all(self._place(found), abstract_checkpointables)

    def load_async(
        self,
        step: int | CheckpointMetadata[Any] | None = None,
        abstract_state: Any = None,
        *,
        checkpointable_name: str = STATE,
    ) -> AsyncResponse[Any]:
        """As `load`, on a thread in the background."""
        name = checkpointable_name
        return Running(lambda: self.load(step, abstract_state, checkpointable_name=name), "loading a step")

    def load_checkpointables_async(
        self,
        step: int | CheckpointMetadata[Any] | None = None,
        abstract_checkpointables: Any = None,
    ) -> AsyncResponse[dict[str, Any]]:
        """As `load_checkpointables`, on a thread in the background."""
        return Running(
            lambda: self.load_checkpointables(step, abstract_checkpointables), "loading a step"
        )

    # -- what is known

    def metadata(self, step: int | CheckpointMetadata[Any] | None = None) -> CheckpointMetadata[Any]:
        """What is known of the pytree of a step; a target for `load`.

        Raises:
            StepNotFoundError: (a FileNotFoundError) there is no such step, or none at all.
            InvalidLayoutError: (a ValueError) it has no pytree.
        """
        with self._in_force():
            found = self._existing(step)
            place = self._place(found.step)
            name = _loading.pytree_name(place, _loading.AUTO)
            return self._joined(found, place, _metadata.describe(place, name))

    def checkpointables_metadata(
        self, step: int | CheckpointMetadata[Any] | None = None
    ) -> CheckpointMetadata[dict[str, Any]]:
        """What is known of all checkpointables of a step, by name. Errors as of `metadata`."""
        with self._in_force():
            found = self._existing(step)
            place = self._place(found.step)
            names = [name for name in place.item_names() if name not in RESERVED]
            described = {name: _metadata.describe(place, name) for name in names}
            return self._joined(found, place, described)

    def _joined(
        self, found: CheckpointMetadata[None], place: _handling.Place, described: Any
    ) -> CheckpointMetadata[Any]:
        return CheckpointMetadata(
            found.step,
            found.path,
            metadata=described,
            init_timestamp_nsecs=place.record.get("init_timestamp_nsecs"),
            commit_timestamp_nsecs=found.commit_timestamp_nsecs,
            custom_metadata=place.record.get("custom_metadata") or {},
            metrics=found.metrics,
        )

    def root_metadata(self) -> RootMetadata:
        """What is known of the directory."""
        custom = self._manager.metadata(None).custom_metadata
        return RootMetadata(directory=self.directory, custom_metadata=custom)

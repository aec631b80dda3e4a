# SPDX-License-Identifier: Apache-2.0
# What a CheckpointManager reads: restoring steps, listing them, and what is known of them.
from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Optional

from .. import _errors
from .._ffi import lib
from . import _handling
from ._listing import Listing, metrics_of
from ._options import CheckpointManagerOptions
from ._setup import DEFAULT_ITEM_NAME, METRIC_ITEM_NAME, RESERVED_ITEM_NAMES, Root, args_for
from ._store import Store, name_of
from .abstract_checkpoint_manager import AbstractCheckpointManager
from .checkpoint_args import CheckpointArgs
from .checkpoint_managers.preservation_policy import ranking
from .composite import Composite
from .path.step import fits


class Reading(AbstractCheckpointManager):
    """The methods of CheckpointManager that change nothing."""

    _directory: str
    _handler: Any
    _listing: Listing
    _names: Any
    _options: CheckpointManagerOptions
    _root: Root
    _single: Optional[bool]  # one unnamed item; None: the first call says
    _store: Store

    @property
    def directory(self) -> Path:
        """The folder, a pathlib.Path."""
        return Path(self._directory)

    def all_steps(self, read: bool = False) -> list[int]:
        """The steps, ascending: those on the disk and the one in flight. `read`: after a `reload`."""
        if read:
            self.reload()
        return [info.step for info in self._listing.infos()]

    def latest_step(self) -> Optional[int]:
        """The greatest of `all_steps`, or None."""
        infos = self._listing.infos()
        return infos[-1].step if infos else None

    def best_step(self) -> Optional[int]:
        """The best by `best_fn`, of equal ones the later; without `best_fn` the latest. None: no step
        has metrics that it can read."""
        infos = self._listing.infos()
        if self._options.best_fn is None:
            return infos[-1].step if infos else None
        ranked, _ = ranking(infos, self._options.best_fn, self._options.best_mode == "min")
        return infos[ranked[-1]].step if ranked else None

    def reload(self) -> None:
        """Sees what other managers and processes have saved and deleted."""
        self._store.reload()
        self._listing.forget()

    # -- restoring

    def restore(
        self,
        step: Optional[int],
        items: Any = None,
        restore_kwargs: Any = None,
        directory: Any = None,
        args: Optional[CheckpointArgs] = None,
    ) -> Any:
        """Reads a step; a save in flight is waited for.

        Args:
            step: None: the latest.
            items, restore_kwargs: the old way, for managers made with handlers.
            directory: another folder of steps to read from.
            args: `args.StandardRestore(target)` and others, or `args.Composite` of some of the items.
                None: everything, exactly as it was saved.

        Returns:
            The object, or an `args.Composite` where there are several.

        Raises:
            FileNotFoundError: there is no such step, or none at all.
            KeyError: it has no such item.
            ValueError: it does not fit the target.
            CorruptionError: (an OSError) it is damaged.
        """
        store = self._store
        if directory is not None:
            store = Store(os.path.abspath(os.fsdecode(os.fspath(directory))))
        try:
            version = self._version(store, step)
            place = _handling.Place(version.path)
            self._learn_mode(place)
            self._check_args(items, args)
            composite = self._arguments(items, restore_kwargs, args, 1)
            wanted, metrics = self._with_metrics(place, version, composite)
            restored: Any = metrics
            if wanted or not composite:
                restored = _handling.restore(self._handler, place, wanted or None) | metrics
        finally:
            if store is not self._store:
                store.close()
        return self._unwrapped(restored)

    def _with_metrics(
        self, place: _handling.Place, version: Any, wanted: Composite
    ) -> tuple[Composite, Composite]:
        """(what to restore, the metrics): with best_fn Orbax has them as one more of several items."""
        metrics, name = metrics_of(version), METRIC_ITEM_NAME
        if self._single or metrics is None or name in place.item_names():
            return wanted, Composite()
        if name in wanted or (not wanted and self._options.best_fn is not None):
            others = Composite(**{key: args for key, args in wanted.items() if key != name})
            return others, Composite(**{name: metrics})
        return wanted, Composite()

    def _version(self, store: Store, step: Optional[int]) -> Any:
        """The record of a step."""
        store.wait_quietly()
        if step is None:
            step = self.latest_step() if store is self._store else max(store.steps(), default=None)
            if step is None:
                raise _errors.CheckpointNotFoundError(
                    f"No steps found in {store.directory}.", status=lib.TREERING_NOT_FOUND
                )
        version = store.version(step)
        own = store is self._store
        if version is None or (own and not fits(self._names, step, name_of(version))):
            path = os.path.join(store.directory, str(self._names.build_name(step)))
            raise _errors.CheckpointNotFoundError(
                f"Checkpoint at {path} not found. '{store.directory}' has {store.steps()}",
                status=lib.TREERING_NOT_FOUND,
            )
        return version

    def _learn_mode(self, place: _handling.Place) -> None:
        if self._single is None:
            self._single = DEFAULT_ITEM_NAME in place.item_names()

    def _check_args(self, items: Any, args: Any) -> None:
        """Raises ValueError for arguments that do not suit the manager's mode."""
        if isinstance(items, CheckpointArgs):
            raise ValueError(
                f"{type(items).__name__} was given for `items`; say args={type(items).__name__}(…)"
            )
        if args is None:
            return
        if not isinstance(args, CheckpointArgs):
            raise ValueError(f"args is a CheckpointArgs, e.g. args.StandardSave, not {type(args)}")
        if self._single and isinstance(args, Composite):
            raise ValueError("this manager has a single, unnamed item; args must not be a Composite")
        if not self._single and not isinstance(args, Composite):
            raise ValueError("this manager has several items; args must be a Composite")

    def _arguments(self, items: Any, kwargs: Any, args: Any, which: int) -> Composite:
        """The arguments by item; `which` class of an item's arguments: 0 for saving, 1 restoring."""
        if args is not None:
            found = Composite(**{DEFAULT_ITEM_NAME: args}) if self._single else args
        else:
            by_item = items if items is not None else {}
            more = kwargs if kwargs is not None else {}
            if self._single and items is not None:
                by_item = {DEFAULT_ITEM_NAME: items}
            if self._single and kwargs is not None:
                more = {DEFAULT_ITEM_NAME: kwargs}
            found = Composite(
                **{
                    name: args_for(self._handler, name)[which](by_item.get(name), **(more.get(name) or {}))
                    for name in sorted(set(by_item) | (set(more) if which else set()))
                }
            )
        reserved = [name for name in found if name in RESERVED_ITEM_NAMES]
        if reserved:
            raise ValueError(f"items must not be named {reserved}: the manager uses these names")
        return found

    def _unwrapped(self, composite: Any) -> Any:
        if not self._single:
            return composite
        if DEFAULT_ITEM_NAME not in composite:
            raise ValueError(f"the step has no single, unnamed item; it has {sorted(composite)}")
        return composite[DEFAULT_ITEM_NAME]

    # -- what is known

    def item_metadata(self, step: int) -> Any:
        """`metadata(step).item_metadata`: usable as a target.

        Raises:
            ValueError: `step` is None.
        """
        if step is None:
            raise ValueError("item_metadata needs a step; metadata() is about all of them")
        return self.metadata(step).item_metadata

    def metadata(self, step: Optional[int] = None) -> Any:
        """A `StepMetadata`; without a step the `RootMetadata` of the folder.

        Raises:
            FileNotFoundError: there is no such step.
        """
        if step is None:
            return self._root.read()
        version = self._version(self._store, step)
        place = _handling.Place(version.path)
        self._learn_mode(place)
        found = _handling.step_metadata(self._handler, place)
        committed = version.committed
        return dataclasses.replace(
            found,
            item_metadata=self._unwrapped(found.item_metadata),
            metrics=metrics_of(version) or {},
            commit_timestamp_nsecs=None if committed is None else round(committed * 1e9),
        )

    def metrics(self, step: int) -> Any:
        """The metrics that `save` was given, or None."""
        version = self._store.version(step)
        return None if version is None else metrics_of(version)

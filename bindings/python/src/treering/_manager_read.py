# SPDX-License-Identifier: Apache-2.0
# What a CheckpointManager reads: restoring steps, listing them, and what their records say.
#
# Lists come from the records alone. Only restoring and item_metadata open a checkpoint.
from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from . import _versions
from ._errors import CheckpointNotFoundError, CorruptionError, InvalidArgumentError, about, new_error
from ._ffi import ffi, lib
from ._load import load_from, metadata_from
from ._logging import Timer
from ._manager_options import step_number
from ._nodes import options
from ._relaxed import Relaxed

if TYPE_CHECKING:
    from pathlib import Path

    from ._manager_handle import Handle
    from ._progress import Progress
    from ._verify import VerifyReport
    from ._versions import Version


class Reading:
    """The methods of CheckpointManager that change nothing."""

    _handle: Handle
    _directory: str
    _best: tuple[str, bool] | None
    _restored: int | None

    def restore(
        self,
        step: int | str | None = None,
        target: Any = None,
        *,
        item: str = "",
        strict: bool = False,
        verify: bool = False,
        progress: Progress = None,
        **relaxed: Any,
    ) -> Any:
        """Reads a step, as `treering.load` reads a file; a save of it in flight is waited for.

        Args:
            step: an int; None or "latest": the greatest step whose checkpoint is intact; "best": the
                best by `best_metric` (or the first `policies.Best`). `restored_step` says which it was.
                A damaged one that is passed over is a RuntimeWarning.
            target: a tree to restore into, or None: as it was saved.
            item: which item; "": the tree.
            strict: True: a damaged latest or best is an error, and no other is taken for it.
            verify: True: all of the checkpoint is read and checked before it counts as intact. What is
                loaded is checked in any case, and another step is taken where that finds damage.
            progress: True: a bar of tqdm. A function: called with the bytes done and in all.
            relaxed: `partial`, `cast`, `resize`, `renames`, `return_report`, as of `treering.load`.

        Raises:
            CheckpointNotFoundError: (a FileNotFoundError) there is no such step, or none at all.
            CorruptionError: the step is damaged.
            StructureMismatchError: it does not fit the target.
        """
        number, asked = _which(step), Relaxed.of("restore", relaxed)
        self._handle.use()
        self._handle.wait_for((lambda s: True) if number < 0 else (lambda s: s == number))
        checkpoint, self._restored = self._checkpoint(number, strict, verify)
        more = target, item, progress, asked
        try:
            return self._loaded(checkpoint, self._restored, *more)
        except CorruptionError:
            if number >= 0 or strict or verify:
                raise
        # What is passed over is known to be damaged now, and is warned of.
        checkpoint, self._restored = self._checkpoint(number, strict, True)
        return self._loaded(checkpoint, self._restored, *more)

    def _loaded(self, checkpoint: Any, step: int, *more: Any) -> Any:
        name = self._name(step)
        with about(self._directory), Timer("restored %s", name):
            return load_from(checkpoint, name, *more)

    @property
    def restored_step(self) -> int | None:
        """The step that the last `restore` found; None before."""
        return self._restored

    def item_metadata(self, step: int | str | None = None, *, item: str = "") -> Any:
        """The tree of a step with an AbstractLeaf in the place of each leaf, as `treering.metadata`
        gives it: a target for `restore`."""
        checkpoint, found = self._checkpoint(_which(step), False, False)
        return metadata_from(checkpoint, self._name(found), item)

    def verify(self, *, full: bool = True, progress: Progress = None) -> VerifyReport:
        """What is in the directory that should not be: damage, what dead saves left, unknown names.

        Args:
            full: True: every byte is read and checked; False: records, and that files are there in
                their sizes.
            progress: True: a bar of tqdm. A function: called with the bytes done and in all.

        Returns:
            A `treering.VerifyReport`; damage is what it tells, and no exception.
        """
        from ._verify import verified_manager

        return verified_manager(self._handle.use(), self._directory, full, progress)

    def _name(self, step: int) -> str:
        return f"step {step} of '{self._directory}'"

    def _checkpoint(self, step: int, strict: bool, full: bool) -> tuple[Any, int]:
        """(checkpoint, its step)."""
        find = options("treering_find_options", strict=bool(strict), full=bool(full))
        if step == lib.TREERING_BEST:
            metric, find.lowest = self._ranking()
            name = ffi.from_buffer("char[]", metric.encode())
            find.metric, find.metric_size = name, len(name)
        out, found, error = ffi.new("treering_checkpoint **"), ffi.new("int64_t *"), new_error()
        report = ffi.new("treering_report **")
        status = lib.treering_manager_checkpoint(
            out, found, report, self._handle.use(), step, find, ffi.NULL, error
        )
        skipped = ffi.gc(report[0], lib.treering_report_free) if report[0] != ffi.NULL else None
        self._handle.check(status, error)
        checkpoint = ffi.gc(out[0], lib.treering_checkpoint_free)
        if skipped is not None and lib.treering_report_count(skipped):
            text = ffi.string(lib.treering_report_text(skipped)).decode("utf-8", "replace").strip()
            warnings.warn(
                f"'{self._directory}': step {found[0]} is taken, since others are damaged:\n{text}",
                RuntimeWarning,
                stacklevel=3,
            )
        return checkpoint, found[0]

    # -- listing

    @property
    def directory(self) -> Path:
        """The directory, a pathlib.Path."""
        from pathlib import Path

        return Path(self._directory)

    def all_steps(self) -> list[int]:
        """The steps that are on the disk, ascending."""
        return _versions.steps_of(self._handle.use())

    def latest_step(self) -> int | None:
        """The greatest step that is on the disk, or None."""
        return _versions.latest_of(self._handle.use())

    def best_step(self, metric: str | None = None, mode: str | None = None) -> int | None:
        """The best step by `metric` and `mode` ("max" or "min"; None: those of the manager), of equal
        ones the later; None if no step has the metric."""
        if metric is None:
            metric, lowest = self._ranking()
            lowest = lowest if mode is None else mode == "min"
        else:
            lowest = mode == "min"
        return _versions.best_of(self._handle.use(), metric, lowest)

    def versions(self) -> list[Version]:
        """A list with a `Version` for each step: metrics, metadata, times, size, path."""
        return _versions.versions_of(self._handle.use(), self._directory)

    def metadata(self, step: int | None = None) -> Any:
        """The `Version` of a step; without one, the JSON value that the directory was made with."""
        if step is not None:
            return self._version(step)
        info = _versions.store_info(self._handle.use())
        if not info.metadata_size:
            return None
        import json

        return json.loads(ffi.buffer(info.metadata, info.metadata_size)[:])

    def metrics(self, step: int) -> dict[str, Any] | None:
        """The metrics of a step, a dict, or None if it was saved without."""
        metrics: dict[str, Any] | None = self._version(step).metrics
        return metrics

    def reload(self) -> None:
        """Sees what other processes have saved and deleted."""
        error = new_error()
        with self._handle.exclusive() as pointer:
            self._handle.asked = None
            self._handle.check(lib.treering_manager_reload(pointer, error), error)

    def _version(self, step: int) -> Version:
        step = step_number(step)
        found = _versions.version_of(self._handle.use(), self._directory, step)
        if found is None:
            raise CheckpointNotFoundError(
                f"there is no step {step} in '{self._directory}'",
                status=lib.TREERING_NOT_FOUND,
                path=self._directory,
            )
        return found

    def _ranking(self) -> tuple[str, bool]:
        if self._best is None:
            raise InvalidArgumentError(
                "there is no metric to rank steps by; give best_metric to the manager",
                status=lib.TREERING_INVALID_ARGUMENT,
            )
        return self._best


def _which(step: int | str | None) -> int:
    if step is None or step == "latest":
        return int(lib.TREERING_LATEST)
    if step == "best":
        return int(lib.TREERING_BEST)
    step = step_number(step)
    if step < 0:
        raise InvalidArgumentError(
            f"step {step} is negative; steps begin at 0", status=lib.TREERING_INVALID_ARGUMENT
        )
    return step

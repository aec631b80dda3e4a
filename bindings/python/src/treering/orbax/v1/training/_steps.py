# SPDX-License-Identifier: Apache-2.0
# The store below a Checkpointer, and one save in it.
from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

from ...._errors import TimedOutError
from ...._ffi import lib
from ... import _handling
from ..._listing import CheckpointInfo, doomed_steps
from ..._options import CheckpointManagerOptions
from ...checkpoint_manager import CheckpointManager
from ...checkpoint_managers import preservation_policy as preservation
from ...checkpoint_managers import save_decision_policy as decision
from ...options import AsyncOptions, FileOptions
from .._context import Context


class Steps(CheckpointManager):
    """A manager whose steps are written by a Checkpointer."""

    @classmethod
    def of(
        cls, directory: Any, context: Context, saves: Any, keeps: Any, names: Any, metadata: Any
    ) -> Steps:
        """With a Checkpointer's arguments."""
        asynchronous = context.asynchronous
        options = CheckpointManagerOptions(
            save_decision_policy=saves or _default_saves(),
            preservation_policy=keeps or preservation.PreserveAll(),
            step_name_format=names,
            async_options=AsyncOptions(
                timeout_secs=asynchronous.timeout_secs,
                post_finalization_callback=asynchronous.post_finalization_callback,
            ),
            file_options=FileOptions(path_permission_mode=context.file.path_permission_mode),
        )
        made = cls(directory, options=options, metadata=metadata)
        made._store._budget = context.memory.budget()
        return made

    def name(self, step: int) -> str:
        """The name of a step in paths."""
        return str(self._names.build_name(step))

    def decide(self, step: int, without: int | None = None) -> bool:
        """What the policy says of a step; `without`: as if that step were not there."""
        infos = [info for info in self._listing.infos() if info.step != without]
        if infos and infos[-1].step >= step:
            return False
        context = decision.DecisionContext(
            is_saving_in_progress=self.is_saving_in_progress(),
            reached_preemption=self.reached_preemption(step),
            multiprocessing_options=self._options.multiprocessing_options,
        )
        info = CheckpointInfo(step, datetime.datetime.now(tz=datetime.timezone.utc), None)
        policy: Any = self._decision
        return bool(policy.should_save(info, previous_steps=infos, context=context))

    def begin(
        self, step: int, prepared: _handling.Prepared, metrics: Any, overwrite: bool
    ) -> Callable[[float | None], None]:
        """Begins to write a step; nothing else is in flight.

        Returns:
            What waits for its end, some seconds at most, and raises what went wrong.
        """
        self._check_metrics(step, metrics)
        record = prepared.record[_handling.KEY]
        record["step_name"] = self.name(step)
        stored = metrics
        if metrics is not None and not (isinstance(metrics, dict) and metrics):
            record["metrics"], stored = metrics, None
        info = CheckpointInfo(step, datetime.datetime.now(tz=datetime.timezone.utc), metrics)
        others = [known for known in self._listing.infos() if known.step != step]
        doomed = doomed_steps(self._keep, sorted([*others, info], key=lambda one: one.step))
        writer = self._store.writer()
        self._listing.begin(info, doomed)
        self._began = time.monotonic()
        try:
            writer.save(
                step, items=prepared.items, metrics=stored, metadata=prepared.record, force=True,
                overwrite=overwrite,
            )  # fmt: skip
        except BaseException:
            self._listing.forget(step)
            self._listing.settle()
            raise
        return lambda timeout: self._finish(step, timeout)

    def _finish(self, step: int, timeout: float | None) -> None:
        try:
            if timeout is not None:
                self._store.wait(timeout)
            self.wait_until_finished()
        except TimedOutError:
            raise
        except Exception:
            self._after()
            self._listing.forget(step)
            raise

    def ask_to_stop(self) -> None:
        """Asks the save in flight to end early."""
        if self._store.writes:
            for _, pending in list(self._store.writer()._handle.in_flight):
                lib.treering_pending_cancel(pending)


def _default_saves() -> decision.SaveDecisionPolicy:
    return decision.AnySavePolicy(
        [
            decision.InitialSavePolicy(),
            decision.ContinuousCheckpointingPolicy(),
            decision.PreemptionCheckpointingPolicy(),
        ]
    )

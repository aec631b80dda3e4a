# SPDX-License-Identifier: Apache-2.0
# CheckpointManagerOptions, and the policies that its short options stand for.
from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Container, Sequence
from typing import Any, Optional

from ._log import logger
from .checkpoint_managers import preservation_policy as preservation
from .checkpoint_managers import save_decision_policy as decision
from .options import AsyncOptions, AtomicityOptions, FileOptions, MultiprocessingOptions
from .path import step as step_lib

# What a read-only manager does without, and the value that says so.
_WRITING = {
    "save_interval_steps": 0, "max_to_keep": None, "keep_time_interval": None, "keep_period": None,
    "create": False, "cleanup_tmp_directories": False, "save_on_steps": None, "todelete_subdir": None,
    "todelete_full_path": None, "should_save_fn": None,
}  # fmt: skip


@dataclasses.dataclass
class CheckpointManagerOptions:
    """How a `CheckpointManager` decides, names and keeps; the fields are Orbax's.

    Attributes:
        save_interval_steps: steps that it divides are saved, and the first of all.
        max_to_keep: how many stay: the latest, or with `best_fn` the best. None: all; 0: none.
        keep_time_interval: a step that came so long after the last one so kept stays, too.
        keep_period: steps that it divides stay, too.
        best_fn: from a step's metrics to what ranks it; `best_mode` ("max" or "min") says which end is
            good.
        keep_checkpoints_without_metrics: False: with `best_fn`, steps without metrics go first.
        step_prefix, step_format_fixed_length: names of steps: `<prefix>_<step>`, zeros in front.
        step_name_format: an object with `build_name`, instead of these two.
        create: make the folder.
        save_on_steps: more steps to save.
        todelete_subdir: steps are moved into a store in this folder below the root instead of being
            deleted.
        read_only: nothing is changed, ever; not by `save(force=True)` either.
        enable_async_checkpointing: saves run in the background.
        async_options: see `AsyncOptions`.
        multiprocessing_options: see `MultiprocessingOptions`.
        should_save_fn: `(step, latest step or None) -> bool`, instead of the interval and the steps.
        file_options: mode bits of the root folder.
        save_root_metadata: whether the manager's `metadata` is stored.
        save_decision_policy, preservation_policy: instead of all the short options.
        prevent_write_metrics: metrics are not stored.
        enable_should_save_is_saving_in_progress_check: False: policies are told that nothing is saving.

    `cleanup_tmp_directories`, `single_host_load_and_broadcast`, `enable_background_delete`,
    `num_deletion_threads`, `atomicity_options`, `temporary_path_class`,
    `enable_per_process_directory_creation` and `lightweight_initialize` are taken and change nothing
    here: ORBAX.md says why.

    Raises:
        ValueError: options that do not go together, an unknown `best_mode`, a negative `max_to_keep`.
    """

    save_interval_steps: int = 1
    max_to_keep: Optional[int] = None
    keep_time_interval: Optional[datetime.timedelta] = None
    keep_period: Optional[int] = None
    best_fn: Optional[Callable[[Any], float]] = None
    best_mode: str = "max"
    keep_checkpoints_without_metrics: bool = True
    step_prefix: Optional[str] = None
    step_format_fixed_length: Optional[int] = None
    step_name_format: Any = None
    create: bool = True
    cleanup_tmp_directories: bool = False
    save_on_steps: Optional[Container[int]] = None
    single_host_load_and_broadcast: bool = False
    todelete_subdir: Optional[str] = None
    todelete_full_path: Optional[str] = None
    enable_background_delete: bool = False
    num_deletion_threads: Optional[int] = None
    read_only: bool = False
    enable_async_checkpointing: bool = True
    async_options: Optional[AsyncOptions] = None
    multiprocessing_options: MultiprocessingOptions = dataclasses.field(
        default_factory=MultiprocessingOptions
    )
    should_save_fn: Optional[Callable[[int, Optional[int]], bool]] = None
    file_options: FileOptions = dataclasses.field(default_factory=FileOptions)
    atomicity_options: Optional[AtomicityOptions] = None
    save_root_metadata: bool = True
    temporary_path_class: Optional[Any] = None
    save_decision_policy: Optional[decision.SaveDecisionPolicy] = None
    preservation_policy: Optional[preservation.PreservationPolicy] = None
    prevent_write_metrics: bool = False
    enable_should_save_is_saving_in_progress_check: bool = True
    enable_per_process_directory_creation: bool = False
    lightweight_initialize: bool = False

    def __post_init__(self) -> None:
        self._check_broadcast()
        if self.best_mode not in ("max", "min"):
            raise ValueError(f"best_mode is 'max' or 'min', not {self.best_mode!r}")
        given = self.max_to_keep
        if self.preservation_policy is None and given is not None and given < 0:
            raise ValueError(f"max_to_keep is None or at least 0, not {given}")
        if self.todelete_subdir is not None and self.todelete_full_path is not None:
            if not self.read_only:
                raise ValueError("todelete_subdir and todelete_full_path do not go together; give one")
        primary = self.multiprocessing_options.primary_host
        if self.enable_per_process_directory_creation and primary is not None:
            raise ValueError("enable_per_process_directory_creation needs primary_host=None")
        if self.read_only:
            self._take_back()
        self.save_on_steps = frozenset(self.save_on_steps or ())  # type: ignore[call-overload]

    def _check_broadcast(self) -> None:
        named = self.step_name_format
        wanted = bool(getattr(named, "single_host_load_and_broadcast", False))
        if named and wanted != self.single_host_load_and_broadcast:
            raise ValueError(
                "single_host_load_and_broadcast differs between the options "
                f"({self.single_host_load_and_broadcast}) and step_name_format ({wanted}); set both"
            )

    def _take_back(self) -> None:
        for name, nothing in _WRITING.items():
            if getattr(self, name):
                logger.warning("read_only: %s=%r is not used", name, getattr(self, name))
            setattr(self, name, nothing)


@dataclasses.dataclass
class _Asked(decision.SaveDecisionPolicy):
    """`should_save_fn` as a policy."""

    function: Callable[[int, Optional[int]], bool]

    def should_save(
        self,
        step: decision.PolicyCheckpointInfo,
        previous_steps: Sequence[decision.PolicyCheckpointInfo],
        *,
        context: decision.DecisionContext,
    ) -> bool:
        return self.function(step.step, previous_steps[-1].step if previous_steps else None)


def decision_policy(options: CheckpointManagerOptions) -> decision.SaveDecisionPolicy:
    """The policy that says which steps are saved."""
    if options.save_decision_policy is not None:
        return options.save_decision_policy
    preempted = decision.PreemptionCheckpointingPolicy()
    if options.should_save_fn is not None:
        return decision.AnySavePolicy([_Asked(options.should_save_fn), preempted])
    wanted: list[decision.SaveDecisionPolicy] = []
    if options.save_interval_steps is not None:
        wanted.append(decision.FixedIntervalPolicy(options.save_interval_steps))
    if options.save_on_steps:
        wanted.append(decision.SpecificStepsPolicy(options.save_on_steps))
    return decision.AnySavePolicy([*wanted, preempted, decision.InitialSavePolicy()])


def keep_policy(options: CheckpointManagerOptions) -> preservation.PreservationPolicy:
    """The policy that says which steps stay.

    Raises:
        ValueError: a preservation_policy, and short options besides it.
    """
    given = options.preservation_policy
    if given is not None:
        if options.keep_time_interval or options.max_to_keep or options.keep_period:
            raise ValueError(
                "preservation_policy stands instead of max_to_keep, keep_period and "
                "keep_time_interval; give those as LatestN or BestN, EveryNSteps and EveryNSeconds"
            )
        return given
    kept: list[preservation.PreservationPolicy] = []
    if options.keep_period is not None:
        kept.append(preservation.EveryNSteps(options.keep_period))
    if options.keep_time_interval is not None:
        seconds = int(options.keep_time_interval.total_seconds())
        kept.append(preservation.EveryNSeconds(seconds))
    if options.best_fn is None:
        kept.append(preservation.LatestN(options.max_to_keep))
    else:
        kept.append(
            preservation.BestN(
                get_metric_fn=options.best_fn,
                reverse=options.best_mode == "min",
                n=options.max_to_keep,
                keep_checkpoints_without_metrics=options.keep_checkpoints_without_metrics,
            )
        )
    return preservation.AnyPreservationPolicy(kept)


def name_format(options: CheckpointManagerOptions) -> Any:
    """How steps are called."""
    if options.step_name_format is not None:
        return options.step_name_format
    return step_lib.standard_name_format(
        step_prefix=options.step_prefix,
        step_format_fixed_length=options.step_format_fixed_length,
        single_host_load_and_broadcast=options.single_host_load_and_broadcast,
    )

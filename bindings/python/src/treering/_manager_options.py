# SPDX-License-Identifier: Apache-2.0
# Arguments of a CheckpointManager: the short ones as policies, and opening with all of them.
#
# The short arguments mean what they mean to Orbax's users: the first save of all is taken whatever
# its step, a requested one too, and what `keep_period` and `keep_time_interval` name stays besides
# what `max_to_keep` keeps. Without max_to_keep everything stays.
from __future__ import annotations

import operator
import os
import time
from typing import Any

from . import _policies, policies
from ._errors import BusyError, about, check, error_of, new_error
from ._ffi import ffi, lib
from ._manager_handle import Handle, is_written_here, status_class
from ._nodes import json_text, options

_SLICE = 0.1  # seconds: how long Ctrl-C may go unseen while the lock is waited for


def step_number(step: Any) -> int:
    if isinstance(step, bool):
        raise TypeError(f"a step is an int, not {step!r}")
    try:
        number = operator.index(step)
    except TypeError:
        raise TypeError(f"a step is an int, not {step!r}") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"step {number} has more than 63 bits")
    return number


def save_list(given: Any, interval: Any, steps: Any) -> Any:
    if given is not None:
        if interval != 1 or steps is not None:
            raise ValueError(
                "save_policies stand instead of save_interval_steps and save_on_steps; give those as "
                "policies.Interval and policies.Steps"
            )
        return _policies.as_list(given)
    if interval == 1:
        return []  # every step
    listed = [] if steps is None else [policies.Steps(tuple(map(step_number, steps)))]
    return [policies.Interval(interval), *listed, policies.Requested(), policies.Initial()]


def keep_list(given: Any, count: int | None, period: Any, seconds: Any, best: Any) -> Any:
    if given is not None:
        if count is not None or period is not None or seconds is not None:
            raise ValueError(
                "keep_policies stand instead of max_to_keep, keep_period and keep_time_interval; give "
                "those as policies.Latest or Best, EverySteps and EverySeconds"
            )
        return _policies.as_list(given)
    if count is None:
        return []
    first: Any = policies.Best(best[0], count, best[1]) if best else policies.Latest(count)
    more: list[Any] = [] if period is None else [policies.EverySteps(period)]
    more += [] if seconds is None else [policies.EverySeconds(seconds)]
    return [first, *more]


def ranking(metric: Any, mode: Any, keep: Any) -> Any:
    """(metric, whether the lowest is the best), or None."""
    if mode not in ("max", "min"):
        raise ValueError(f"best_mode is 'max' or 'min', not {mode!r}")
    if metric is not None:
        if not isinstance(metric, str):
            raise TypeError(f"best_metric is the name of a metric, not {metric!r}")
        return metric, mode == "min"
    for policy in _policies.as_list(keep):
        if isinstance(policy, policies.Best):
            return policy.metric, policy.lowest
    return None


def open_handle(
    directory: str,
    read_only: Any,
    create: Any,
    lock_timeout: Any,
    metadata: Any,
    saves: Any,
    keeps: Any,
    **fields: Any,
) -> Any:
    """A Handle of the manager at `directory`; `saves` and `keeps` are the arguments of save_list
    and keep_list, `fields` of treering_manager_options."""
    saves, keeps = save_list(*saves), keep_list(*keeps)
    if read_only:
        fields["mode"] = lib.TREERING_READ_ONLY
    elif not create:
        fields["mode"] = lib.TREERING_OPEN_EXISTING
    text = b"" if metadata is None else json_text(metadata, "metadata")
    memory = ffi.from_buffer("char[]", text)
    fields["metadata"], fields["metadata_size"] = memory, len(text)
    arrays = [_policies.save_array(saves)]
    try:
        arrays.append(_policies.keep_array(keeps))
        for what, array in zip(("save", "keep"), arrays):
            fields[f"{what}_policies"], fields[f"{what}_policy_count"] = array.array, array.count
            fields[f"{what}_policy_size"] = array.size
        if create and not read_only:
            _make_folders(os.path.dirname(directory))
        pointer = _open(os.fsencode(directory), options("treering_manager_options", **fields), lock_timeout)
        return Handle(pointer, directory, arrays, not read_only)
    except BaseException:
        for array in arrays:
            array.close()
        raise


def _open(path: Any, settings: Any, lock_timeout: Any) -> Any:
    deadline = time.monotonic() + lock_timeout
    while True:
        left = max(deadline - time.monotonic(), 0)
        settings.lock_timeout_ms = round(min(left, _SLICE) * 1000)
        out, error = ffi.new("treering_manager **"), new_error()
        status = lib.treering_manager_open(out, path, len(path), settings, error)
        if status == 0:
            return ffi.gc(out[0], lib.treering_manager_free)
        if status_class(status) != lib.TREERING_BUSY or time.monotonic() >= deadline:
            with about(os.fsdecode(path)):
                if status_class(status) == lib.TREERING_BUSY and is_written_here(os.fsdecode(path)):
                    who, _, _ = error_of(error).message.rpartition("; ")
                    raise BusyError(
                        f"{who}; it is another manager of this process: close it, or open read_only",
                        status=status,
                    )
                check(status, error)


def _make_folders(folder: Any) -> None:
    """Makes what is missing of a path, and each stays after a power loss."""
    missing = []
    while folder and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        try:
            os.mkdir(path)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        above = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(above)
        finally:
            os.close(above)

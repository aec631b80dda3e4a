# SPDX-License-Identifier: Apache-2.0
# Following a run from another process: waiting for its steps, and holding one while it is read.
"""`wait_for_new_checkpoint` and `checkpoints_iterator`.

The step that is handed out is kept as a hard link (a copy, where there can be none) in the snapshot
folder until control comes back, so that the run may drop it meanwhile: restore from the path that
`get_snapshot_dir_from_step_dir` gives.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

from ._store import named_versions
from .path.step import fits, standard_name_format

_SNAPSHOTS = "_SNAPSHOTS"


def get_snapshot_dir_from_step_dir(step_dir: Any, snapshot_dir: Any = None) -> pathlib.Path:
    """The path of a step while it is held.

    Args:
        step_dir: `<directory>/<step>`.
        snapshot_dir: as it was given to the wait; None: `<directory>/_SNAPSHOTS`.
    """
    step = pathlib.Path(os.fsdecode(os.fspath(step_dir)))
    return (
        step.parent / _SNAPSHOTS if snapshot_dir is None else pathlib.Path(snapshot_dir)
    ) / step.name


def _latest(directory: pathlib.Path, name_format: Any, until_step: int | None) -> Any:
    """(version, name) of the greatest step, if it is as far as wanted."""
    found = [
        (version, name)
        for version, name in named_versions(directory)
        if name_format is None or fits(name_format, version.step, name)
    ]
    if not found:
        return None
    latest = max(found, key=lambda pair: pair[0].step)
    return latest if until_step is None or latest[0].step >= until_step else None


def _hold(file: str, snapshot: pathlib.Path) -> bool:
    """Keeps a step's file under another name; False: it was dropped before that."""
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, snapshot)
    except FileExistsError:
        pass
    except FileNotFoundError:
        return False
    except OSError:  # another file system, or one without links
        try:
            shutil.copyfile(file, snapshot)
        except FileNotFoundError:
            return False
    return True


def _wait(
    directory: pathlib.Path,
    name_format: Any,
    until_step: int | None,
    seconds_to_sleep: float,
    timeout: float | None,
    timeout_fn: Callable[[], bool] | None,
    snapshot_dir: Any,
) -> tuple[int, pathlib.Path | None]:
    """(step, where it is held), or (-1, None)."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        latest = _latest(directory, name_format, until_step)
        if latest is not None:
            version, name = latest
            snapshot = get_snapshot_dir_from_step_dir(directory / name, snapshot_dir)
            if _hold(version.path, snapshot):
                return int(version.step), snapshot
            continue
        if end is not None and time.monotonic() + seconds_to_sleep > end:
            if timeout_fn is None or timeout_fn():
                return -1, None
        time.sleep(seconds_to_sleep)


@contextlib.contextmanager
def wait_for_new_checkpoint(
    checkpoint_dir: Any,
    *,
    until_step: int | None = None,
    seconds_to_sleep: float = 1,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
    step_prefix: str | None = None,
    step_format_fixed_length: int | None = None,
    step_name_format: Any = None,
    snapshot_dir: Any = None,
    set_immutable: bool | None = None,
    ignore_snapshot_errors: bool | None = True,
) -> Iterator[int]:
    """Waits for a step, and holds it while the body of `with` runs.

    Args:
        checkpoint_dir: a manager's directory; it may yet have to be made.
        until_step: the least step that will do; None: any.
        seconds_to_sleep: between two looks.
        timeout: in seconds; None: no limit.
        timeout_fn: asked when time is up; False: go on waiting.
        step_prefix, step_format_fixed_length, step_name_format: names of steps to look at; none of
            them: all.
        snapshot_dir: where steps are held; None: `_SNAPSHOTS` in the directory.
        set_immutable, ignore_snapshot_errors: as in Orbax; they change nothing here.

    Yields:
        The step, the greatest that there is; -1: time was up.
    """
    if step_name_format is None and (
        step_prefix is not None or step_format_fixed_length is not None
    ):
        step_name_format = standard_name_format(
            step_prefix=step_prefix, step_format_fixed_length=step_format_fixed_length
        )
    directory = pathlib.Path(os.fsdecode(os.fspath(checkpoint_dir)))
    step, held = _wait(
        directory, step_name_format, until_step, seconds_to_sleep, timeout, timeout_fn, snapshot_dir
    )
    try:
        yield step
    finally:
        if held is not None:
            held.unlink(missing_ok=True)
            if snapshot_dir is None:
                with contextlib.suppress(OSError):  # somebody holds another step there
                    held.parent.rmdir()


def checkpoints_iterator(
    checkpoint_dir: Any,
    *,
    min_interval_secs: float = 0,
    seconds_to_sleep: float = 1,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
    snapshot_dir: Any = None,
    **names: Any,
) -> Iterator[int]:
    """Steps as they come; those that came and went while the caller was busy are left out.

    Args:
        checkpoint_dir, seconds_to_sleep, timeout, timeout_fn, snapshot_dir, names: as of
            `wait_for_new_checkpoint`; the timeout counts from one step to the next.
        min_interval_secs: from one step to the next, at least.

    Yields:
        Ascending steps, each held until the next is asked for. Ends when time is up.
    """
    directory = pathlib.Path(os.fsdecode(os.fspath(checkpoint_dir)))
    leftover = get_snapshot_dir_from_step_dir(directory / "0", snapshot_dir).parent
    for file in list(leftover.iterdir()) if leftover.is_dir() else []:
        file.unlink(missing_ok=True)  # of an iterator that was killed
    until: int | None = None
    while True:
        with wait_for_new_checkpoint(
            directory,
            until_step=until,
            seconds_to_sleep=seconds_to_sleep,
            timeout=timeout,
            timeout_fn=timeout_fn,
            snapshot_dir=snapshot_dir,
            **names,
        ) as step:
            if step == -1:
                return
            until, begun = step + 1, time.monotonic()
            yield step
        time.sleep(max(begun + min_interval_secs - time.monotonic(), 0))

# SPDX-License-Identifier: Apache-2.0
# What a manager's records say of its versions, as Python objects; and metrics on their way in.
from __future__ import annotations

import json
import os
import warnings
from typing import Any, NamedTuple

import numpy as np

from ._errors import check, new_error
from ._ffi import ffi, lib
from ._nodes import json_text, options
from ._policies import metrics_of, seconds, text

_SIZE = ffi.sizeof("treering_version_info")
_STEP = np.dtype(
    {
        "names": ["step"],
        "formats": ["i8"],
        "offsets": [dict(ffi.typeof("treering_version_info").fields)["step"].offset],
        "itemsize": _SIZE,
    }
)


class Version:
    """One committed step, as its record tells; no checkpoint was opened for it.

    Attributes:
        step: the step.
        metrics: what was given to `save` as metrics, a dict; None if nothing was.
        metadata: the JSON value that was given to `save`; None if none was.
        path: the checkpoint file, which `treering.load` and every other reader take.
        size: bytes of its files.
        started, committed: seconds since 1970, as `time.time()`; None where not known.
        number: of the record; a later commit has a higher one.
        rebuilt: True if the record was made anew from the checkpoint.
    """

    __slots__ = (
        "step", "metrics", "metadata", "path", "size", "started", "committed", "number", "rebuilt",
    )  # fmt: skip

    def __init__(self, directory: str, info: Any) -> None:
        self.step, self.number, self.size = info.step, info.number, info.size
        self.started, self.committed = seconds(info.started), seconds(info.committed)
        self.path = os.path.join(directory, text(info.file, info.file_size))
        self.metrics = _joined(info)
        self.metadata = json.loads(text(info.metadata, info.metadata_size)) if info.metadata_size else None
        self.rebuilt = info.rebuilt != 0

    def __repr__(self) -> str:
        shown = "" if self.metrics is None else f", metrics={self.metrics!r}"
        return f"Version(step={self.step}{shown}, size={self.size}, path={self.path!r})"


class Decision(NamedTuple):
    """What the keep policies say of a step, and which rule says it, for people."""

    step: int
    keep: bool
    rule: str

    @classmethod
    def of(cls, struct: Any) -> Any:
        return cls(struct.step, struct.keep != 0, text(struct.rule, struct.rule_size))


def _joined(info: Any) -> Any:
    numbers = metrics_of(info.metrics, info.metric_count)
    rest = None
    if info.metrics_document_size:
        rest = json.loads(text(info.metrics_document, info.metrics_document_size))
    if isinstance(rest, dict):
        return {**numbers, **rest}
    return numbers or rest


def split_metrics(metrics: Any) -> tuple[dict[str, float], bytes]:
    """(name to float, JSON text of what is no float or b""): ints are in both, so that they rank and
    come back as ints."""
    numbers, rest = {}, {}
    for name, value in dict(metrics or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"a metric's name is a str, not {name!r}")
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
            value = value.item()  # of NumPy, JAX, torch
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                numbers[name] = float(value)
            except OverflowError:
                pass
            if isinstance(value, float):
                continue
        json_text(value, f"metrics[{name!r}]")  # to say which it is that has no place
        rest[name] = value
    return numbers, json_text(rest, "metrics") if rest else b""


def warn_without_rank(step: int, metric: str | None, numbers: dict[str, float]) -> None:
    """Warns where a step has no value of the metric that is to rank it, for the caller's caller."""
    rank = 0.0 if metric is None else numbers.get(metric)
    if rank is None or rank != rank:
        what = f"has {'no' if rank is None else 'a NaN as'} metric {metric!r}"
        warnings.warn(f"step {step} {what}, which is to rank it: it will be kept", RuntimeWarning, 3)


def pack_metrics(numbers: Any) -> Any:
    """The metrics as the C ABI's array, and what it points into."""
    array = ffi.new("treering_metric[]", len(numbers))
    kept = []
    for slot, (name, value) in zip(array, numbers.items()):
        encoded = name.encode()
        memory = ffi.new("char[]", encoded)
        kept.append(memory)
        slot.name, slot.name_size, slot.value = memory, len(encoded), value
    return array, kept


class Rebuilt(NamedTuple):
    """How many steps came back, and what could not be taken."""

    count: int  # type: ignore[assignment]
    findings: list[Any]


def rebuild(directory: str, lock_timeout: Any) -> Any:
    from ._manager_options import open_handle
    from ._report import findings_of

    handle = open_handle(
        directory, False, False, lock_timeout, None, (None, 1, None), (None, None, None, None, None),
        keep_leftovers=True,
    )  # fmt: skip
    try:
        count, report, error = ffi.new("uint64_t *"), ffi.new("treering_report **"), new_error()
        with handle.exclusive() as pointer:
            status = lib.treering_manager_rebuild(count, report, pointer, error)
            found = ffi.gc(report[0], lib.treering_report_free) if report[0] != ffi.NULL else None
            check(status, error)
        return Rebuilt(count[0], [] if found is None else findings_of(found))
    finally:
        handle.close()


def store_info(pointer: Any) -> Any:
    out = options("treering_store_info")
    error = new_error()
    check(lib.treering_manager_info(out, pointer, error), error)
    return out


def _raw(pointer: Any, first: int = 0) -> Any:
    """(array of structs, how many): all versions from position `first`."""
    count, error = ffi.new("uint64_t *"), new_error()
    capacity = max(store_info(pointer).version_count - first, 0)
    while True:
        capacity += 1  # one may be committed meanwhile; a full array says that there are more
        array = ffi.new("treering_version_info[]", int(capacity))
        check(
            lib.treering_manager_versions(pointer, first, array, _SIZE, capacity, count, error), error
        )
        if count[0] < capacity:
            return array, count[0]
        capacity *= 2


def steps_of(pointer: Any) -> list[int]:
    """All steps, ascending."""
    array, count = _raw(pointer)
    steps: list[int] = np.frombuffer(ffi.buffer(array), _STEP, count)["step"].tolist()
    return steps


def latest_of(pointer: Any) -> int | None:
    """The greatest step, or None."""
    while True:
        total = store_info(pointer).version_count
        if not total:
            return None
        array, count = _raw(pointer, total - 1)
        if count:
            return int(array[count - 1].step)


def has(pointer: Any, step: int) -> bool:
    latest = latest_of(pointer)
    return latest is not None and step <= latest and step in steps_of(pointer)


def versions_of(pointer: Any, directory: str) -> list[Version]:
    array, count = _raw(pointer)
    return [Version(directory, array[i]) for i in range(count)]


def version_of(pointer: Any, directory: str, step: int) -> Version | None:
    """The version of a step, or None."""
    array, count = _raw(pointer)
    at = int(np.searchsorted(np.frombuffer(ffi.buffer(array), _STEP, count)["step"], step))
    return Version(directory, array[at]) if at < count and array[at].step == step else None


def best_of(pointer: Any, metric: str, lowest: bool) -> int | None:
    """The step of the best value (of equal ones the later), or None if no version has it."""
    best = None
    array, count = _raw(pointer)
    for i in range(count):
        value = metrics_of(array[i].metrics, array[i].metric_count).get(metric)
        if value is None or value != value:
            continue
        if best is None or (value <= best[0] if lowest else value >= best[0]):
            best = value, array[i].step
    return None if best is None else best[1]

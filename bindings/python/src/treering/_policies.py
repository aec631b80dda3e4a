# SPDX-License-Identifier: Apache-2.0
# Policies and functions as the C ABI's structs, and the callbacks through which C asks functions.
#
# C gets a number instead of a pointer to a Python object: a callback looks it up in a table here,
# so nothing depends on when the garbage collector runs. A function that raises cannot raise through
# C: the exception is kept, and the answer is the harmless one (not to save; to drop nothing).
from __future__ import annotations

import itertools
import threading
from datetime import timedelta
from typing import Any

from . import policies as kinds
from ._calls import calling, number, user
from ._ffi import ffi, lib

_numbers = itertools.count(1)
_functions: dict[int, Function] = {}  # number -> Function


class Function:
    """A function among policies. `errors` are what it raised last, on each thread."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.number = next(_numbers)
        self.errors: dict[int, BaseException] = {}
        _functions[self.number] = self

    def close(self) -> None:
        _functions.pop(self.number, None)

    def take_error(self, own: bool) -> Any:
        """What it raised on this thread, or on others; once."""
        me = threading.get_ident()
        found = [thread for thread in list(self.errors) if (thread == me) == own]
        return next((self.errors.pop(thread) for thread in found), None)

    def run(self, *arguments: Any, check: Any = bool) -> Any:
        """(what `check` makes of the answer, True), or (None, False) if something raised."""
        me = threading.get_ident()
        nested = me in calling
        calling.add(me)
        try:
            return check(self.call(*arguments)), True
        except BaseException as error:  # KeyboardInterrupt too: it is raised again when C returns
            self.errors[me] = error
            return None, False
        finally:
            if not nested:
                calling.discard(me)


def guarded(call: Any) -> Any:
    """A function that the library's thread will call: a manager that it calls says no, where it
    would wait for that very thread."""
    if not callable(call):
        return call

    def run(*arguments: Any) -> Any:
        me = threading.get_ident()
        nested = me in calling
        calling.add(me)
        try:
            return call(*arguments)
        finally:
            if not nested:
                calling.discard(me)

    return run


def seconds(nanoseconds: Any) -> Any:
    return None if nanoseconds == lib.TREERING_NO_TIME else nanoseconds / 1e9


def text(data: Any, size: int) -> Any:
    return ffi.buffer(data, size)[:].decode("utf-8", "surrogateescape") if size else ""


def metrics_of(array: Any, count: int) -> dict[Any, Any]:
    return {text(array[i].name, array[i].name_size): array[i].value for i in range(count)}


def _candidates(array: Any, count: int) -> list[Any]:
    return [
        kinds.Candidate(
            array[i].step, seconds(array[i].time), metrics_of(array[i].metrics, array[i].metric_count)
        )
        for i in range(count)
    ]


@ffi.def_extern(error=0)
def treering_py_decide(pointer: Any, step: Any, candidates: Any, count: int) -> Any:
    answer, fine = _functions[number(pointer)].run(step, _candidates(candidates, count))
    return 1 if fine and answer else 0


@ffi.def_extern(error=1)
def treering_py_preserve(pointer: Any, candidates: Any, count: int, keep: Any) -> Any:
    def one_for_each(answer: Any) -> Any:
        answer = list(map(bool, answer))
        if len(answer) != count:
            raise ValueError(f"a keep policy answered {len(answer)} values for {count} versions")
        return answer

    versions = _candidates(candidates, count)
    answer, fine = _functions[number(pointer)].run(versions, check=one_for_each)
    if fine:
        ffi.buffer(keep, count)[:] = bytes(answer)
    return 0 if fine else 1


# ---- to structs


def as_list(policies: Any) -> Any:
    """None, one policy or several, as a list."""
    if policies is None:
        return []
    return list(policies) if isinstance(policies, (list, tuple)) else [policies]


class Array:
    """Policies as an array of structs; `functions` are those among them. Keep it as long as C may
    read it, and close it when no manager uses it any more."""

    def __init__(self, what: str, policies: Any, table: Any, callback: Any) -> None:
        self.count = len(policies)
        self.size = ffi.sizeof(f"treering_{what}_policy")
        self.array = ffi.new(f"treering_{what}_policy[]", self.count)
        self.kept: list[Any] = []
        self.functions: list[Function] = []
        for slot, policy in zip(self.array, policies):
            fill = table.get(type(policy))
            if fill is not None:
                fill(self, slot, policy)
            elif callable(policy) and not isinstance(policy, type):
                function = Function(policy)
                self.functions.append(function)
                slot.user = user(function.number)
                callback(slot)
            else:
                self.close()
                known = ", ".join(sorted(kind.__name__ for kind in table))
                raise TypeError(f"{what}_policies takes {known} and functions, not {policy!r}")

    def close(self) -> None:
        for function in self.functions:
            function.close()

    def take_error(self, own: bool) -> Any:
        """What one of the functions raised on this thread, if `own`, or else on others: saves in the
        background ask them too, and what they raise there is no failure of a call made here."""
        errors = [function.take_error(own) for function in self.functions]
        return next((error for error in errors if error is not None), None)


def save_array(policies: Any) -> Any:
    return Array("save", policies, _SAVE, _decide)


def keep_array(policies: Any) -> Any:
    return Array("keep", policies, _KEEP, _preserve)


def nanoseconds(value: Any) -> Any:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return max(round(value * 1e9), 0)


def _decide(slot: Any) -> None:
    slot.kind, slot.decide = lib.TREERING_SAVE_CALLBACK, lib.treering_py_decide


def _preserve(slot: Any) -> None:
    slot.kind, slot.preserve = lib.TREERING_KEEP_CALLBACK, lib.treering_py_preserve


def _plain(kind: int, **fields: Any) -> Any:
    """Fills the struct's fields from the policy's: field=(attribute, conversion)."""

    def fill(self: Any, slot: Any, policy: Any) -> None:
        slot.kind = kind
        for name, (attribute, convert) in fields.items():
            setattr(slot, name, convert(getattr(policy, attribute)))

    return fill


def _steps(kind: int) -> Any:
    def fill(self: Any, slot: Any, policy: Any) -> None:
        slot.kind = kind
        steps = ffi.new("int64_t[]", policy.steps)
        self.kept.append(steps)
        slot.steps, slot.step_count = steps, len(policy.steps)

    return fill


def _best(self: Any, slot: Any, policy: Any) -> None:
    name = policy.metric.encode()
    memory = ffi.new("char[]", name)
    self.kept.append(memory)
    slot.kind, slot.metric, slot.metric_size = lib.TREERING_KEEP_BEST, memory, len(name)
    slot.count, slot.lowest = policy.count, bool(policy.lowest)
    slot.drop_without_metrics = bool(policy.drop_without_metrics)


def _count(value: Any) -> Any:
    return value or 0


_SAVE = {
    kinds.Interval: _plain(lib.TREERING_SAVE_INTERVAL, interval=("steps", int)),
    kinds.Steps: _steps(lib.TREERING_SAVE_STEPS),
    kinds.Continuous: _plain(lib.TREERING_SAVE_CONTINUOUS, interval=("seconds", nanoseconds)),
    kinds.Requested: _plain(lib.TREERING_SAVE_PREEMPTION),
    kinds.Initial: _plain(lib.TREERING_SAVE_INITIAL),
}
_KEEP = {
    kinds.All: _plain(lib.TREERING_KEEP_ALL),
    kinds.Latest: _plain(lib.TREERING_KEEP_LATEST, count=("count", int)),
    kinds.EverySteps: _plain(
        lib.TREERING_KEEP_EVERY_STEPS,
        interval=("interval", int), greedy=("greedy", bool), count=("count", _count),
    ),
    kinds.Closest: _plain(
        lib.TREERING_KEEP_CLOSEST, interval=("interval", int), count=("count", _count)
    ),
    kinds.EverySeconds: _plain(lib.TREERING_KEEP_EVERY_SECONDS, interval=("seconds", nanoseconds)),
    kinds.Younger: _plain(lib.TREERING_KEEP_YOUNGER, interval=("seconds", nanoseconds)),
    kinds.Best: _best,
    kinds.Steps: _steps(lib.TREERING_KEEP_STEPS),
}  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
# Two managers in step: the real Orbax and treering.orbax get the same calls, and answer for answer is
# compared. DEVIATIONS is the list of ORBAX.md as data: only these differences are let through.
import contextlib
import dataclasses
import pathlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Deviation:
    """A difference that ORBAX.md names. `ends`: from here on the two directories are not the same."""

    title: str  # as in ORBAX.md
    seen: object  # (pair, call, theirs, ours) -> bool
    ends: bool = False


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a call returned, or what it raised."""

    value: object = None
    error: object = None

    def __str__(self):
        return repr(self.value) if self.error is None else f"{type(self.error).__name__}: {self.error}"


def answer(function):
    try:
        return Answer(plain(function()))
    except Exception as error:
        return Answer(error=error)


def plain(value):
    """Values that == compares: arrays as (dtype, shape, list), mappings as dicts, paths as names."""
    if isinstance(value, (np.ndarray, np.generic)) or type(value).__module__.startswith("jax"):
        array = np.asarray(value)
        return "array", str(array.dtype), array.shape, array.tolist()
    if isinstance(value, pathlib.PurePath):
        return value.name
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "keys"):
        return {key: plain(value[key]) for key in value.keys()}
    return value


def same(theirs, ours):
    """Whether the answers agree: values are equal; an error is also of each built-in class that
    Orbax's is of."""
    if theirs.error is None or ours.error is None:
        return theirs.error is ours.error and theirs.value == ours.value
    general = (object, BaseException, Exception)
    wanted = [k for k in type(theirs.error).__mro__ if k.__module__ == "builtins" and k not in general]
    return all(isinstance(ours.error, kind) for kind in wanted)


class Different(AssertionError):
    pass


class Pair:
    """Both libraries, a folder and a manager each.

    `calls` are what was done; `noted` the titles of deviations that were seen; `over` is True once
    one of them ended the comparison.
    """

    def __init__(self, libraries, folder, deviations):
        self.libraries = libraries
        self.folders = [folder / "theirs", folder / "ours"]
        self.deviations = deviations
        self.managers = [None, None]
        self.calls, self.noted = [], []
        self.over = False
        self.options = {}
        self.mode_known = self.failed = False

    # -- managers

    def open(self, options, **more):
        """Makes a manager of each; `options` are functions of the library."""
        if self.managers[0] is not None:
            self.both("close", lambda _, manager: manager.close())
        self.options = {**options, **more}
        self.mode_known = self.failed = False

        def make(library, folder):
            values = {name: value(library) for name, value in self.options.items()}
            return library.CheckpointManager(folder, options=library.CheckpointManagerOptions(**values))

        made = [self.quiet(make, *both) for both in zip(self.libraries, self.folders)]
        opened = [Answer("opened") if a.error is None else a for a in made]
        self.compare("open", *opened)
        self.managers = [a.value for a in made]
        if made[0].error is not None or made[1].error is not None:
            self.managers = [None, None]
            self.over = True

    def quiet(self, function, *arguments):
        try:
            return Answer(function(*arguments))
        except Exception as error:
            return Answer(error=error)

    @property
    def asynchronous(self):
        return self.options["enable_async_checkpointing"](None)

    def chosen(self, name):
        value = self.options.get(name)
        return None if value is None else value(self.libraries[1])

    # -- calls

    def both(self, call, function):
        """Does the same to both, and compares. `function` gets the library and the manager."""
        if self.over:
            return None
        answers = [
            answer(lambda both=both: function(*both)) for both in zip(self.libraries, self.managers)
        ]
        self.compare(call, *answers)
        return answers[1]

    def compare(self, call, theirs, ours):
        self.calls.append(f"{call} -> {ours}")
        for deviation in self.deviations:
            if deviation.seen(self, call, theirs, ours):
                self.noted.append(deviation.title)
                self.over = self.over or deviation.ends
                return
        if not same(theirs, ours):
            options = {name: value(self.libraries[1]) for name, value in self.options.items()}
            raise Different(
                "\n".join([f"options {options}", *self.calls, f"Orbax: {theirs}", f"treering: {ours}"])
            )

    def lists(self):
        """What both say of their steps."""
        self.both("all_steps", lambda _, m: list(m.all_steps()))
        self.both("latest_step", lambda _, m: m.latest_step())
        self.both("best_step", lambda _, m: m.best_step())

    def orbax_reloads(self):
        """For where Orbax's list is known to be wrong until the next reload."""
        self.managers[0].wait_until_finished()
        self.managers[0].reload()

    def close(self):
        for manager in self.managers:
            with contextlib.suppress(Exception):
                manager.close()

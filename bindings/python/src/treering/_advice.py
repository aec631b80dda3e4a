# SPDX-License-Identifier: Apache-2.0
# What to give instead of an object that a checkpoint has no place for.
from __future__ import annotations

import numpy as np


def fields_are_all(cls: type) -> bool:
    """False for dataclasses that hold more than their fields: a module, or a builtin type's value."""
    builtin = (dict, list, tuple, set, frozenset, str, bytes, int, float, BaseException, np.ndarray)
    return not issubclass(cls, builtin) and not _is_of_flax(cls)


def _is_of_flax(cls: type) -> bool:
    """True for modules, optimizers and their graphs, whose state is what can be saved."""
    names = ("Module", "Pytree", "GraphDef")
    return any(c.__module__.startswith("flax.") and c.__name__ in names for c in cls.__mro__)


def advice(cls: type) -> str:
    name = f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins.")
    if issubclass(cls, dict):
        return f"a {name}; give a dict, or an OrderedDict"
    if issubclass(cls, (list, tuple, str, bytes, int, float, np.ndarray)):
        base = next(c for c in cls.__mro__ if c.__module__ in ("builtins", "numpy"))
        return f"a {name}, which would come back as a plain {cls.__mro__[1].__name__}; convert it"
    if issubclass(cls, (set, frozenset, bytearray, memoryview)):
        return f"a {name}; give a list or bytes"
    if _is_of_flax(cls):
        return f"a {name}; give the state alone: nnx.state(model), or the variables of a linen module"
    return (
        f"a {name}, which a checkpoint has no place for; give arrays, numbers, strings, bytes and "
        "dicts, lists, tuples or dataclasses of them"
    )

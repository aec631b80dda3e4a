# SPDX-License-Identifier: Apache-2.0
# Context: the options that are in force within a `with` block.
"""`Context` and `get_context`."""

from __future__ import annotations

import contextvars
import copy
import dataclasses
import operator
from typing import Any

from . import options

_active: contextvars.ContextVar[Context | None] = contextvars.ContextVar(
    "treering_orbax_context", default=None
)

# Attribute of a Context: (argument of its constructor, class of options).
_PARTS: dict[str, tuple[str, Any]] = {
    "pytree": ("pytree_options", options.PyTreeOptions),
    "array": ("array_options", options.ArrayOptions),
    "asynchronous": ("async_options", options.AsyncOptions),
    "multiprocessing": ("multiprocessing_options", options.MultiprocessingOptions),
    "file": ("file_options", options.FileOptions),
    "checkpointables": ("checkpointables_options", options.CheckpointablesOptions),
    "pathways": ("pathways_options", options.PathwaysOptions),
    "deletion": ("deletion_options", options.DeletionOptions),
    "memory": ("memory_options", options.MemoryOptions),
    "safetensors": ("safetensors_options", options.SafetensorsOptions),
    "atomicity": ("atomicity_options", options.AtomicityOptions),
}


class Context:
    """Options that are in force in a `with` block, on the thread (or task) that entered it.

    A new Context has the defaults, also within another one; `Context(other)` begins with a copy of the
    other's. While it is entered, nothing of it can be changed (RuntimeError).

    Args:
        context: whose options to copy.
        checkpoint_layout: see `options.CheckpointLayout`.
        parts: `pytree_options=`, `array_options=` and so on, instead of setting the attributes.

    Attributes:
        pytree, array, asynchronous, multiprocessing, file, checkpointables, pathways, deletion,
        memory, safetensors, atomicity: see the classes in `options`.

    >>> from treering.orbax import v1 as ocp
    >>> context = ocp.Context()
    >>> context.pytree.loading.partial_load = True
    >>> with context:
    ...     context.pytree.loading.partial_load = False
    Traceback (most recent call last):
    ...
    RuntimeError: Loading.partial_load belongs to a Context that is active; set it before the `with` block
    """

    pytree: options.PyTreeOptions
    array: options.ArrayOptions
    asynchronous: options.AsyncOptions
    multiprocessing: options.MultiprocessingOptions
    file: options.FileOptions
    checkpointables: options.CheckpointablesOptions
    pathways: options.PathwaysOptions
    deletion: options.DeletionOptions
    memory: options.MemoryOptions
    safetensors: options.SafetensorsOptions
    atomicity: options.AtomicityOptions

    def __init__(
        self, context: Context | None = None, *, checkpoint_layout: Any = None, **parts: Any
    ) -> None:
        for name, (argument, cls) in _PARTS.items():
            given = parts.pop(argument, None)
            if given is None and context is not None:
                given = getattr(context, name)
            self.__dict__[name] = cls() if given is None else copy.deepcopy(given)
        if parts:
            raise TypeError(f"Context takes no {', '.join(sorted(parts))}")
        if checkpoint_layout is None and context is not None:
            checkpoint_layout = context.checkpoint_layout
        layouts = options.CheckpointLayout
        self.__dict__["_layout"] = layouts(checkpoint_layout or layouts.ORBAX)
        self._entered: list[tuple[Any, Any]] = []

    @property
    def checkpoint_layout(self) -> options.CheckpointLayout:
        """What is read; may be set by name, "orbax" say."""
        layout: options.CheckpointLayout = self.__dict__["_layout"]
        return layout

    def __setattr__(self, name: str, value: Any) -> None:
        if id(self) in options.frozen.get():
            raise RuntimeError(f"{name} belongs to a Context that is active; set it before the `with` block")
        if name == "checkpoint_layout":
            self.__dict__["_layout"] = options.CheckpointLayout(value)
        elif name in _PARTS:
            raise AttributeError(f"the {name} of a Context cannot be replaced; set its fields")
        else:
            self.__dict__[name] = value

    def __enter__(self) -> Context:
        ids = options.frozen.get() | _ids(self)
        self._entered.append((options.frozen.set(ids), _active.set(self)))
        return self

    def __exit__(self, *exception: object) -> None:
        frozen, active = self._entered.pop()
        _active.reset(active)
        options.frozen.reset(frozen)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _PARTS)
        return f"Context(checkpoint_layout={self.checkpoint_layout}, {shown})"


# The long names of the same attributes.
for _name, (_argument, _) in _PARTS.items():
    if _name != "atomicity":
        setattr(Context, _argument, property(operator.attrgetter(_name)))


def get_context(default: Context | None = None) -> Context:
    """The Context that is active here; else `default`, else one of defaults."""
    return _active.get() or default or Context()


def _ids(context: Context) -> frozenset[int]:
    """Of a Context and its options, at any depth."""
    found = {id(context)}
    open_ = [getattr(context, name) for name in _PARTS]
    while open_:
        value = open_.pop()
        if dataclasses.is_dataclass(value) and id(value) not in found:
            found.add(id(value))
            open_.extend(getattr(value, field.name) for field in dataclasses.fields(value))
    return frozenset(found)

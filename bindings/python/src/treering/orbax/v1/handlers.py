# SPDX-License-Identifier: Apache-2.0
# Handlers of checkpointables: what one is, and the registry that says which handles what.
"""Handlers of checkpointables, under the names of `ocp.handlers`.

A checkpointable is what has a name of its own in a checkpoint: a pytree, a JSON document, or an object
of the program with `save` and `load` (`StatefulCheckpointable`) or with a handler of its own. The last
two write files into a folder; the files become blobs of the checkpoint, and are laid out again to load.

    >>> from treering.orbax import v1 as ocp
    >>> registry = ocp.handlers.local_registry()
    >>> _ = registry.add(ocp.handlers.JsonHandler, checkpointable_name="config")
    >>> registry.get("config").__name__
    'JsonHandler'
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Optional, Protocol, TypeVar, Union, runtime_checkable

from ._files import PathAwaitingCreation

Checkpointable = Any
AbstractCheckpointable = Any
HandlerType = type[Any]
Entry = tuple[HandlerType, Optional[str]]

_T = TypeVar("_T")
_AbstractT = TypeVar("_AbstractT")
_Class = TypeVar("_Class", bound=HandlerType)


class AlreadyExistsError(ValueError):
    """The registry has an entry for that name, or that handler."""


class NoEntryError(KeyError):
    """The registry has no handler for a checkpointable; also: a handler could not load one."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


@runtime_checkable
class StatefulCheckpointable(Protocol):
    """An object that saves and loads itself, with files in a folder."""

    async def save(self, directory: PathAwaitingCreation) -> Awaitable[None]:
        """Takes what is needed of the object, and answers what is to be awaited to write it."""
        ...

    async def load(self, directory: Any) -> Awaitable[None]:
        """Answers what is to be awaited to set the object from the files."""
        ...


class CheckpointableHandler(Protocol[_T, _AbstractT]):
    """What a handler can do. It is made without arguments whenever one is needed."""

    async def save(self, directory: PathAwaitingCreation, checkpointable: _T) -> Awaitable[None]:
        """Takes what is needed of an object, and answers what is to be awaited to write its files."""
        ...

    async def load(
        self, directory: Any, abstract_checkpointable: Optional[_AbstractT] = None
    ) -> Awaitable[_T]:
        """Answers what is to be awaited for the object whose files are in `directory`."""
        ...

    async def metadata(self, directory: Any) -> _AbstractT:
        """What can be told of the object without loading it."""
        ...

    def is_handleable(self, checkpointable: Any) -> bool:
        """Whether this handler can save the object."""
        ...

    def is_abstract_handleable(self, abstract_checkpointable: Any) -> Optional[bool]:
        """Whether this handler can load into `abstract_checkpointable`; None: as the checkpoint says."""
        ...


def typestr(handler_type: HandlerType) -> str:
    """The name that a checkpoint records of a handler."""
    return f"{handler_type.__module__}.{handler_type.__qualname__}"


class CheckpointableHandlerRegistry(Protocol):
    """What a registry can do; `local_registry` makes one."""

    def add(
        self,
        handler_type: HandlerType,
        *,
        checkpointable_name: Optional[str] = None,
        secondary_typestrs: Optional[Sequence[str]] = None,
    ) -> CheckpointableHandlerRegistry: ...

    def get(self, checkpointable_name: str) -> HandlerType: ...

    def has(self, checkpointable_name: str) -> bool: ...

    def get_all_entries(self) -> Sequence[Entry]: ...

    def get_secondary_typestrs(self, handler_type: HandlerType) -> Sequence[str]: ...


class _Registry(CheckpointableHandlerRegistry):
    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._secondary: dict[HandlerType, Sequence[str]] = {}

    def add(
        self,
        handler_type: HandlerType,
        *,
        checkpointable_name: Optional[str] = None,
        secondary_typestrs: Optional[Sequence[str]] = None,
    ) -> CheckpointableHandlerRegistry:
        """Adds a handler, for one name or for all.

        Args:
            handler_type: its class, which is called without arguments.
            checkpointable_name: None: for whatever it says it can handle.
            secondary_typestrs: other names that checkpoints may record of it.

        Returns:
            The registry.

        Raises:
            AlreadyExistsError: (a ValueError) the name, or the class without a name, has an entry.
            ValueError: it is no class.
        """
        if not isinstance(handler_type, type):
            raise ValueError(f"a handler is registered by its class, not as {handler_type!r}")
        if checkpointable_name:
            if self.has(checkpointable_name):
                raise AlreadyExistsError(f"the registry has a handler for {checkpointable_name!r}")
        elif any(known is handler_type for known, _ in self._entries):
            raise AlreadyExistsError(f"the registry has {handler_type}")
        self._entries.append((handler_type, checkpointable_name))
        if secondary_typestrs is not None:
            self._secondary[handler_type] = secondary_typestrs
        return self

    def get(self, checkpointable_name: str) -> HandlerType:
        """The handler of a name.

        Raises:
            NoEntryError: (a KeyError) there is none of its own.
        """
        for handler_type, name in self._entries:
            if name == checkpointable_name:
                return handler_type
        raise NoEntryError(f"the registry has no handler for {checkpointable_name!r}")

    def has(self, checkpointable_name: str) -> bool:
        """Whether a name has a handler of its own."""
        return any(name == checkpointable_name for _, name in self._entries)

    def get_all_entries(self) -> Sequence[Entry]:
        """(class, name or None), in the order in which they were added; the last one that fits wins."""
        return self._entries

    def get_secondary_typestrs(self, handler_type: HandlerType) -> Sequence[str]:
        """Other names that checkpoints may record of a handler."""
        return self._secondary.get(handler_type, [])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.get_all_entries())})"


class ReadOnlyRegistry(_Registry):
    """A view of a registry that takes no more handlers."""

    def __init__(self, registry: CheckpointableHandlerRegistry) -> None:
        super().__init__()
        _add_all(super(), registry)

    def add(self, *args: Any, **kwargs: Any) -> CheckpointableHandlerRegistry:
        """Refused.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "a Context's own registry takes no handlers; give it one: context.checkpointables.registry "
            "= handlers.local_registry()"
        )


def _add_all(registry: Any, other: CheckpointableHandlerRegistry) -> None:
    for handler_type, name in other.get_all_entries():
        more = other.get_secondary_typestrs(handler_type)
        registry.add(handler_type, checkpointable_name=name, secondary_typestrs=more or None)


_global = _Registry()


def global_registry() -> CheckpointableHandlerRegistry:
    """The registry that new ones begin with."""
    return _global


def local_registry(
    other_registry: Optional[CheckpointableHandlerRegistry] = None,
    *,
    include_global_registry: bool = True,
) -> CheckpointableHandlerRegistry:
    """A new registry, for a Context.

    Args:
        other_registry: its handlers are added.
        include_global_registry: False: without the handlers that are registered for all.
    """
    registry = _Registry()
    if include_global_registry:
        _add_all(registry, _global)
    if other_registry is not None:
        _add_all(registry, other_registry)
    return registry


def register_handler(
    cls: _Class,
    *,
    checkpointable_name: Optional[str] = None,
    secondary_typestrs: Optional[Sequence[str]] = None,
) -> _Class:
    """Registers a handler for all; usable as a decorator. Arguments and errors as of `add`."""
    _global.add(cls, checkpointable_name=checkpointable_name, secondary_typestrs=secondary_typestrs)
    return cls


def _made(handler_type: HandlerType, name: Union[str, None]) -> Any:
    try:
        return handler_type()
    except TypeError as error:
        raise ValueError(
            f"{handler_type} for {name!r} cannot be made without arguments ({error})"
        ) from error


def resolve_for_save(registry: CheckpointableHandlerRegistry, checkpointable: Any, name: str) -> Any:
    """The handler that saves an object: by name, else the last that says it can; for a stateful one
    the other way round.

    Raises:
        NoEntryError: (a KeyError) there is none.
        ValueError: the object is None.
    """
    if checkpointable is None:
        raise ValueError(f"{name!r} is None, and a checkpointable must not be None for saving")
    able = _last_able(registry, lambda handler: handler.is_handleable(checkpointable))
    if able is not None and isinstance(checkpointable, StatefulCheckpointable):
        return able
    if registry.has(name):
        return _made(registry.get(name), name)
    if able is None:
        raise NoEntryError(
            f"Could not identify a valid handler for {name!r} of type {type(checkpointable)}; register "
            f"one whose is_handleable accepts it. There are {[kind for kind, _ in registry.get_all_entries()]}"
        )
    return able


def _last_able(registry: CheckpointableHandlerRegistry, accepts: Any) -> Any:
    for handler_type, name in reversed(registry.get_all_entries()):
        if name is None:
            handler = _made(handler_type, name)
            if accepts(handler):
                return handler
    return None


def resolve_for_load(
    registry: CheckpointableHandlerRegistry, abstract: Any, name: str, recorded: Optional[str]
) -> Any:
    """The handler that loads what is named `name` into `abstract` (None: as it was saved), where the
    checkpoint recorded `recorded`.

    Raises:
        NoEntryError: (a KeyError) there is none.
    """
    by_record = None
    for handler_type, key in reversed(registry.get_all_entries()):
        names = (typestr(handler_type), *registry.get_secondary_typestrs(handler_type))
        if recorded in names:
            by_record = _made(handler_type, key)
            break

    def fits(handler: Any) -> bool:
        return abstract is None or bool(handler.is_abstract_handleable(abstract))

    if by_record is not None and isinstance(abstract, StatefulCheckpointable) and fits(by_record):
        return by_record
    by_name = _made(registry.get(name), name) if registry.has(name) else None
    for handler in (by_name, by_record):
        if handler is not None and fits(handler):
            return handler
    able = None
    if abstract is not None:
        able = _last_able(registry, lambda handler: handler.is_abstract_handleable(abstract))
    if able is None and by_name is None:
        raise NoEntryError(
            f"no handler is registered for {name!r}, which the checkpoint says was saved by {recorded}"
        )
    return able or by_name


from ._native import (  # noqa: E402
    JsonHandler,
    MetricsHandler,
    ProtoHandler,
    PyTreeHandler,
    StatefulHandler,
)

for _handler in (ProtoHandler, JsonHandler, StatefulHandler):
    register_handler(_handler)
register_handler(MetricsHandler, checkpointable_name="metrics")
register_handler(PyTreeHandler)
register_handler(PyTreeHandler, checkpointable_name="state")

__all__ = [
    "AbstractCheckpointable", "AlreadyExistsError", "Checkpointable", "CheckpointableHandler",
    "CheckpointableHandlerRegistry", "JsonHandler", "NoEntryError", "ProtoHandler", "PyTreeHandler",
    "StatefulCheckpointable", "global_registry", "local_registry", "register_handler",
]  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
# The registry that says which handler takes an item and its arguments.
"""Registries of handlers, by item and class of arguments. Not guarded against other threads."""

from __future__ import annotations

from typing import Any, Protocol

from .checkpoint_args import CheckpointArgs, get_registered_args_cls, get_registered_handler_cls
from ._handler_base import CheckpointHandler

Entries = dict[tuple["str | None", type[CheckpointArgs]], CheckpointHandler]
ArgsOrType = "type[CheckpointArgs] | CheckpointArgs"


class AlreadyExistsError(ValueError):
    """The registry has an entry for that item and those arguments."""


class NoEntryError(KeyError):
    """The registry has no entry for that item and those arguments."""


class CheckpointHandlerRegistry(Protocol):
    """What a registry can do; `DefaultCheckpointHandlerRegistry` is one."""

    def add(self, item: str | None, args: Any, handler: Any = None) -> None: ...

    def get(self, item: str | None, args: Any) -> CheckpointHandler: ...

    def has(self, item: str | None, args: Any) -> bool: ...

    def get_all_entries(self) -> Entries: ...


def _class_of(args: type[CheckpointArgs] | CheckpointArgs) -> type[CheckpointArgs]:
    return args if isinstance(args, type) else type(args)


class DefaultCheckpointHandlerRegistry:
    """Handlers by item (None: any item) and class of arguments.

    Args:
        other_registry: its entries are taken over.
    """

    def __init__(self, other_registry: CheckpointHandlerRegistry | None = None) -> None:
        self._entries: Entries = {}
        if other_registry is not None:
            self._entries.update(other_registry.get_all_entries())

    def add(
        self,
        item: str | None,
        args: type[CheckpointArgs] | CheckpointArgs,
        handler: CheckpointHandler | type[CheckpointHandler] | None = None,
    ) -> None:
        """Adds an entry.

        Args:
            item: the item's name; None: all that have no entry of their own.
            args: the class of arguments, or arguments of it.
            handler: a handler or its class; None: the one that was registered with `args`.

        Raises:
            AlreadyExistsError: there is such an entry.
            ValueError: no handler is registered with `args`, or its class needs arguments.
        """
        cls = _class_of(args)
        if self.has(item, cls):
            raise AlreadyExistsError(f"the registry has an entry for item={item} and args={cls}")
        wanted = get_registered_handler_cls(cls) if handler is None else handler
        if isinstance(wanted, type):
            try:
                wanted = wanted()
            except TypeError as error:
                raise ValueError(
                    f"{wanted} for item={item} needs arguments ({error}); give a handler"
                ) from error
        self._entries[item, cls] = wanted

    def get(
        self, item: str | None, args: type[CheckpointArgs] | CheckpointArgs
    ) -> CheckpointHandler:
        """The handler of exactly this entry.

        Raises:
            NoEntryError: there is none.
        """
        cls = _class_of(args)
        if (item, cls) not in self._entries:
            raise NoEntryError(f"the registry has no entry for item={item} and args={cls}")
        return self._entries[item, cls]

    def has(self, item: str | None, args: type[CheckpointArgs] | CheckpointArgs) -> bool:
        """Whether there is exactly this entry."""
        return (item, _class_of(args)) in self._entries

    def get_all_entries(self) -> Entries:
        """All handlers, by (item, class of arguments)."""
        return self._entries

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._entries})"


def create_default_handler_registry(
    **items_to_handlers: CheckpointHandler,
) -> DefaultCheckpointHandlerRegistry:
    """A registry with these handlers for these items, for saving and for restoring."""
    registry = DefaultCheckpointHandlerRegistry()
    for item, handler in items_to_handlers.items():
        for cls in dict.fromkeys(get_registered_args_cls(handler)):
            registry.add(item, cls, handler)
    return registry

# SPDX-License-Identifier: Apache-2.0
# What belongs together: classes of arguments and the handlers that take them.
"""Arguments of handlers, and which handler takes which.

A handler has a class of arguments for saving and one for restoring. `register_with_handler` ties
them together, so that the arguments alone are enough to find the handler. Registration is meant for
import time; it is not guarded against other threads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from ._handler_base import CheckpointHandler, register_handler_type


@dataclasses.dataclass
class CheckpointArgs:
    """Base of all classes of arguments."""


_for_save: dict[type[CheckpointArgs], type[CheckpointHandler]] = {}
_for_restore: dict[type[CheckpointArgs], type[CheckpointHandler]] = {}
_Args = TypeVar("_Args", bound=CheckpointArgs)


def register_with_handler(
    handler_cls: type[CheckpointHandler], for_save: bool = False, for_restore: bool = False
) -> Callable[[type[_Args]], type[_Args]]:
    """A class decorator: these arguments are for `handler_cls`.

    Args:
        handler_cls: the handler.
        for_save: they say what to save.
        for_restore: they say what to restore; both may be True, one must.

    Raises:
        ValueError: neither is True.
        TypeError: the class is no subclass of CheckpointArgs.
    """
    if not for_save and not for_restore:
        raise ValueError(
            "`for_save` and `for_restore` are both False; arguments are for one of them"
        )

    def decorate(cls: type[_Args]) -> type[_Args]:
        if not issubclass(cls, CheckpointArgs):
            raise TypeError(f"{cls} is to be registered but does not derive from CheckpointArgs")
        if for_save:
            _for_save[cls] = handler_cls
        if for_restore:
            _for_restore[cls] = handler_cls
        register_handler_type(handler_cls)
        return cls

    return decorate


def get_registered_handler_cls(
    arg: type[CheckpointArgs] | CheckpointArgs,
) -> type[CheckpointHandler]:
    """The handler's class of arguments, or of a class of them.

    Raises:
        TypeError: no arguments at all.
        ValueError: no handler was registered for them.
    """
    cls = arg if isinstance(arg, type) else type(arg)
    if not issubclass(cls, CheckpointArgs):
        raise TypeError(
            f"{cls} does not derive from CheckpointArgs; wrap it, e.g. in args.StandardSave"
        )
    found = _for_save.get(cls) or _for_restore.get(cls)
    if found is None:
        raise ValueError(f"no handler is registered for {cls}; use register_with_handler")
    return found


def get_registered_args_cls(
    handler: type[CheckpointHandler] | CheckpointHandler,
) -> tuple[type[CheckpointArgs], type[CheckpointArgs]]:
    """(for saving, for restoring): a handler's classes of arguments; if it has none, those of the
    nearest class that it derives from.

    Raises:
        ValueError: one of them was not registered.
    """
    cls = handler if isinstance(handler, type) else type(handler)
    found: list[Any] = []
    for what, table in (("save", _for_save), ("restore", _for_restore)):
        owners = [(args, owner) for owner in cls.__mro__ for args in table if table[args] is owner]
        if not owners:
            raise ValueError(f"no arguments for {what} are registered for {cls}")
        found.append(owners[0][0])
    return found[0], found[1]


def has_registered_args(handler: type[CheckpointHandler] | CheckpointHandler) -> bool:
    """Whether a handler has arguments both for saving and for restoring."""
    try:
        get_registered_args_cls(handler)
    except ValueError:
        return False
    return True

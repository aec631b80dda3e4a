# SPDX-License-Identifier: Apache-2.0
# Handlers and arguments for documents, keys of random numbers, and several items at once.
"""Handlers of JSON, of random keys, and of several items; and their arguments."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import jax
import treering

from . import _restoring
from ._custom import BuiltInHandler, LegacyHandler, LooseArgs
from ._handler_base import CheckpointHandler
from ._storing import storable
from .checkpoint_args import (
    CheckpointArgs,
    get_registered_args_cls,
    get_registered_handler_cls,
    has_registered_args,
    register_with_handler,
)
from .composite import Composite
from .handler_registration import CheckpointHandlerRegistry, DefaultCheckpointHandlerRegistry
from .type_handlers import RestoreArgs


class JsonCheckpointHandler(BuiltInHandler):
    """Saves and restores a JSON document.

    Args:
        filename, multiprocessing_options: as in Orbax; they change nothing here.
    """

    def __init__(self, filename: str | None = None, *, multiprocessing_options: Any = None) -> None:
        pass

    def to_value(self, args: JsonSaveArgs) -> tuple[Any, dict[str, Any]]:
        text = json.dumps(args.item)
        document = json.loads(text)  # with lists for tuples, and texts for keys, as JSON has them
        if _is_finite(document):
            return treering.Json(document), {}
        return treering.Blob(text.encode()), {"json": True}  # NaN and Infinity, which are no JSON

    def from_place(self, place: Any, args: JsonRestoreArgs) -> Any:
        if place.kind() == "blob" and place.details.get("json"):
            return json.loads(place.load())
        if place.kind() != "json":
            raise FileNotFoundError(f"{place.file}: item {place.item!r} is no JSON document")
        return place.load()

    def describe(self, place: Any) -> Any:
        raise NotImplementedError("a JSON document has no metadata; restore it")


def _is_finite(document: Any) -> bool:
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if isinstance(value, (dict, list)):
            stack.extend(value.values() if isinstance(value, dict) else value)
    return True


@register_with_handler(JsonCheckpointHandler, for_save=True)
@dataclasses.dataclass
class JsonSaveArgs(CheckpointArgs):
    """A JSON document to save: what `json.dumps` takes."""

    item: Any


@register_with_handler(JsonCheckpointHandler, for_restore=True)
@dataclasses.dataclass
class JsonRestoreArgs(CheckpointArgs):
    """Restores a JSON document; `item` changes nothing."""

    item: Any = None


class JaxRandomKeyCheckpointHandler(BuiltInHandler):
    """Saves and restores a JAX key, typed (of any implementation) or raw.

    Args:
        key_name: as in Orbax; changes nothing here.
    """

    def __init__(self, key_name: str | None = None) -> None:
        pass

    def to_value(self, args: JaxRandomKeySaveArgs) -> tuple[Any, dict[str, Any]]:
        if not isinstance(args.item, jax.Array):
            raise TypeError(f"a JAX random key is a jax.Array, not {type(args.item)}")
        return args.item, {}

    def from_place(self, place: Any, args: JaxRandomKeyRestoreArgs) -> Any:
        if args.restore_args is None:
            return _restoring.as_saved(place)
        return _restoring.with_args(place, args.restore_args)


@register_with_handler(JaxRandomKeyCheckpointHandler, for_save=True)
@dataclasses.dataclass
class JaxRandomKeySaveArgs(CheckpointArgs):
    """A key to save; `save_args` changes nothing, as keys are not cast."""

    item: Any
    save_args: Any = None


@register_with_handler(JaxRandomKeyCheckpointHandler, for_restore=True)
@dataclasses.dataclass
class JaxRandomKeyRestoreArgs(CheckpointArgs):
    """How to restore a key: ArrayRestoreArgs with a sharding, or as saved."""

    restore_args: RestoreArgs | None = None


class NumpyRandomKeyCheckpointHandler(BuiltInHandler):
    """Saves and restores what `numpy.random.get_state()` gives: a tuple, or a dict.

    Args:
        key_name: as in Orbax; changes nothing here.
    """

    def __init__(self, key_name: str | None = None) -> None:
        pass

    def to_value(self, args: NumpyRandomKeySaveArgs) -> tuple[Any, dict[str, Any]]:
        if not isinstance(args.item, (tuple, Mapping)):
            raise TypeError(
                f"the state of NumPy's generator is a tuple or a dict, not {type(args.item)}"
            )
        return storable(args.item), {}

    def from_place(self, place: Any, args: NumpyRandomKeyRestoreArgs) -> Any:
        return place.load()


@register_with_handler(NumpyRandomKeyCheckpointHandler, for_save=True)
@dataclasses.dataclass
class NumpyRandomKeySaveArgs(CheckpointArgs):
    """The state of NumPy's generator to save."""

    item: Any


@register_with_handler(NumpyRandomKeyCheckpointHandler, for_restore=True)
@dataclasses.dataclass
class NumpyRandomKeyRestoreArgs(CheckpointArgs):
    """Restores the state of NumPy's generator, for `numpy.random.set_state`."""


@dataclasses.dataclass
class CompositeOptions:
    """As in Orbax; they change nothing here."""

    multiprocessing_options: Any = None
    temporary_path_class: Any = None
    file_options: Any = None
    atomicity_options: Any = None
    async_options: Any = None


class CompositeCheckpointHandler(BuiltInHandler):
    """Saves and restores several items, each by a handler of its own.

    The handler of an item is the registry's; else the one registered with the arguments at its
    first use, and after that the item takes arguments of no other handler.

    Args:
        item_names: the items; others are then refused.
        composite_options: changes nothing.
        handler_registry: handlers by item and arguments; excludes the ways to name items here.
        items_and_handlers: items and their handlers; None: by the arguments.

    Raises:
        ValueError: `handler_registry` together with names or handlers.
    """

    def __init__(
        self,
        *item_names: str,
        composite_options: CompositeOptions | None = None,
        handler_registry: CheckpointHandlerRegistry | None = None,
        **items_and_handlers: CheckpointHandler | None,
    ) -> None:
        if handler_registry is not None and (items_and_handlers or item_names):
            raise ValueError(
                "of `handler_registry`, and `item_names` or `items_and_handlers`, give one"
            )
        self._registry = DefaultCheckpointHandlerRegistry(handler_registry)
        # Names whose handler their first arguments decide; None: all names, each once.
        self._open: set[str] | None = set(item_names) if item_names or items_and_handlers else None
        self._decided: set[str] = set()
        for name, handler in items_and_handlers.items():
            if handler is None:
                self._open.add(name)  # type: ignore[union-attr]
            else:
                self._open.discard(name)  # type: ignore[union-attr]
                self._add(name, handler)

    def _add(self, name: str, handler: CheckpointHandler) -> None:
        if not has_registered_args(handler):
            self._registry.add(name, LooseArgs, LegacyHandler(handler))
            return
        for cls in dict.fromkeys(get_registered_args_cls(handler)):
            self._registry.add(name, cls, handler)

    def handler_of(self, name: str, args: Any) -> CheckpointHandler:
        """The handler of an item's arguments.

        Raises:
            ValueError: the item takes others, or is none of those that were named.
            TypeError: these are no arguments.
        """
        if self._registry.has(name, args):
            return self._registry.get(name, args)
        if self._registry.has(None, args):
            handler = self._registry.get(None, args)
            self._registry.add(name, args, handler)
            return handler
        made = get_registered_handler_cls(args)
        may = name in self._open if self._open is not None else name not in self._decided
        if not may:
            entries = list(self._registry.get_all_entries())
            raise ValueError(
                f'Item "{name}" and args "{type(args).__name__}" does not match with any '
                f"registered handler! Registered: {entries}"
            )
        if self._open is not None:
            self._open.discard(name)
        self._decided.add(name)
        handler = made()
        self._add(name, handler)
        return handler

    def known_handler(self, name: str) -> CheckpointHandler | None:
        """The handler that an item has had so far, or None."""
        for (item, _), handler in self._registry.get_all_entries().items():
            if item == name:
                return handler
        return None

    def parts(self, args: Any) -> list[tuple[str, CheckpointHandler, Any]]:
        """(item, handler, arguments), by name, of arguments for saving.

        Raises:
            ValueError: as `handler_of`; an item without arguments.
        """
        found = []
        for name in sorted(args):
            if args[name] is None:
                raise ValueError(
                    f'item "{name}" has None in the place of arguments; give args.StandardSave, …'
                )
            found.append((name, self.handler_of(name, args[name]), args[name]))
        return found

    def metadata(self, directory: Any) -> Any:
        """A StepMetadata of the checkpoint at a path.

        Raises:
            FileNotFoundError: there is none.
        """
        from . import _handling

        return _handling.step_metadata(self, directory)

    def close(self) -> None:
        """Closes the handlers."""
        for handler in {id(h): h for h in self._registry.get_all_entries().values()}.values():
            handler.close()


register_with_handler(CompositeCheckpointHandler, for_save=True, for_restore=True)(Composite)

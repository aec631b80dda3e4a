# SPDX-License-Identifier: Apache-2.0
# Handlers of the program for single leaves, and which handler takes which type.
"""`TypeHandler`, its registry, and leaves that such handlers have written.

A TypeHandler of the program writes files into a temporary folder. What it wrote of a leaf is kept
in the tree, in the place of the leaf, as a record of the handler's name and the files. Handlers of
the types that a container has anyway (arrays, numbers, texts) exist by name only.
"""

from __future__ import annotations

import abc
import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
import treering

from ._custom import lay_out, run_coroutine
from .type_handlers import PLACEHOLDER, RestoreArgs, SaveArgs

RECORD = "treering.orbax:leaf"  # type name of the record in a leaf's place


@dataclasses.dataclass
class ParamInfo:
    """Where a leaf's files are.

    Attributes:
        name: components of the leaf's path, joined by ".".
        parent_dir: a folder.
        path: below `parent_dir`, by the name.
        keypath: None.
        skip_deserialize: False.
        value_typestr: the name of the handler, when reading.
    """

    name: str
    parent_dir: pathlib.Path
    path: Any = None
    keypath: Any = None
    skip_deserialize: bool = False
    value_typestr: str | None = None

    def __post_init__(self) -> None:
        if self.path is None:
            self.path = self.parent_dir / self.name


class TypeHandler(abc.ABC):
    """Writes and reads leaves of one type."""

    @abc.abstractmethod
    def typestr(self) -> str:
        """The name that a checkpoint records."""

    @abc.abstractmethod
    async def metadata(self, infos: Sequence[ParamInfo]) -> Sequence[Any]:
        """Metadata of the leaves whose files are there."""

    @abc.abstractmethod
    async def serialize(
        self,
        values: Sequence[Any],
        infos: Sequence[ParamInfo],
        args: Sequence[SaveArgs] | None = None,
    ) -> Sequence[Any]:
        """Writes leaves into files below `infos[i].parent_dir`; returns futures."""

    @abc.abstractmethod
    async def deserialize(
        self, infos: Sequence[ParamInfo], args: Sequence[RestoreArgs] | None = None
    ) -> Sequence[Any]:
        """Reads leaves from their files."""

    def finalize(self, directory: pathlib.Path) -> None:
        """Called when the futures are done."""


class _Built(TypeHandler):
    """A handler whose work the container does itself; its options change nothing."""

    _name = ""

    def __init__(self, **options: Any) -> None:
        pass

    def typestr(self) -> str:
        return self._name

    async def metadata(self, infos: Sequence[ParamInfo]) -> Sequence[Any]:
        raise NotImplementedError(self._why())

    async def serialize(self, values: Any, infos: Any, args: Any = None) -> Sequence[Any]:
        raise NotImplementedError(self._why())

    async def deserialize(self, infos: Any, args: Any = None) -> Sequence[Any]:
        raise NotImplementedError(self._why())

    def _why(self) -> str:
        return f"{type(self).__name__}: such leaves are in the checkpoint itself, not in files"


class ArrayHandler(_Built):
    """Stands for jax.Array."""

    _name = "jax.Array"


class SingleReplicaArrayHandler(ArrayHandler):
    """Stands for jax.Array."""


class NumpyHandler(_Built):
    """Stands for np.ndarray."""

    _name = "np.ndarray"


class ScalarHandler(_Built):
    """Stands for numbers and bytes."""

    _name = "scalar"


class StringHandler(_Built):
    """Stands for str."""

    _name = "string"


class PlaceholderHandler(_Built):
    """Stands for PLACEHOLDER."""

    _name = "placeholder"


class TypeHandlerRegistry(Protocol):
    """What a registry of TypeHandlers can do."""

    def add(
        self,
        ty: Any,
        handler: TypeHandler,
        func: Callable[[Any], bool] | None = None,
        override: bool = False,
        ignore_warnings: bool = False,
    ) -> None: ...

    def get(self, ty: Any) -> TypeHandler: ...

    def has(self, ty: Any) -> bool: ...


class _Registry:
    """The first entry whose function accepts a type is its handler."""

    def __init__(self, *handlers: tuple[Any, TypeHandler]) -> None:
        self._entries: list[tuple[Callable[[Any], bool], TypeHandler]] = []
        self.has_custom = False
        for ty, handler in handlers:
            self.add(ty, handler, override=True)

    def add(
        self,
        ty: Any,
        handler: TypeHandler,
        func: Callable[[Any], bool] | None = None,
        override: bool = False,
        ignore_warnings: bool = False,
    ) -> None:
        """Registers a handler; ValueError: the type has one, or another type has that name."""
        entry = (func or (lambda t: issubclass(t, ty))), handler
        self.has_custom = self.has_custom or not isinstance(handler, _Built)
        for i, (accepts, _) in enumerate(self._entries):
            if accepts(ty):
                if not override:
                    raise ValueError(f'A TypeHandler for "{ty}" is already registered.')
                self._entries[i] = entry
                return
        if not override and any(h.typestr() == handler.typestr() for _, h in self._entries):
            raise ValueError(
                f'"{ty}": another TypeHandler is called "{handler.typestr()}" already.'
            )
        self._entries.append(entry)

    def get(self, ty: Any) -> TypeHandler:
        """The handler of a type, or of a name; ValueError: there is none."""
        for accepts, handler in reversed(self._entries) if isinstance(ty, str) else self._entries:
            if handler.typestr() == ty if isinstance(ty, str) else accepts(ty):
                return handler
        raise ValueError(f'Unknown type: "{ty}". Must register a TypeHandler.')

    def has(self, ty: Any) -> bool:
        """Whether there is a handler of a type, or of a name."""
        try:
            self.get(ty)
        except ValueError:
            return False
        return True


_STANDARD: tuple[tuple[Any, TypeHandler], ...] = (
    (int, ScalarHandler()), (float, ScalarHandler()), (bytes, ScalarHandler()),
    (np.number, ScalarHandler()), (np.ndarray, NumpyHandler()), (jax.Array, ArrayHandler()),
    (str, StringHandler()), (type(PLACEHOLDER), PlaceholderHandler()),
)  # fmt: skip
_global = _Registry(*_STANDARD)
GLOBAL_TYPE_HANDLER_REGISTRY: TypeHandlerRegistry = _global


def create_type_handler_registry(*handlers: tuple[Any, TypeHandler]) -> TypeHandlerRegistry:
    """A registry of these (type, handler) only."""
    return _Registry(*handlers)


def register_type_handler(
    ty: Any, handler: TypeHandler, func: Callable[[Any], bool] | None = None, override: bool = False
) -> None:
    """Lets leaves of a type be written and read by a handler.

    Args:
        ty: the type.
        handler: its handler.
        func: from a type to whether the handler takes it; None: subclasses of `ty`.
        override: True: the handler that the type has is replaced.

    Raises:
        ValueError: the type has one, and `override` is False.
    """
    _global.add(ty, handler, func, override)


def get_type_handler(ty: Any) -> TypeHandler:
    """The handler of a type, or of a name; ValueError: there is none."""
    return _global.get(ty)


def has_type_handler(ty: Any) -> bool:
    """Whether there is a handler of a type, or of a name."""
    return _global.has(ty)


def supported_types() -> list[Any]:
    """The types that have a handler without any being registered."""
    return [ty for ty, _ in _STANDARD]


def register_standard_handlers_with_options(**options: Any) -> None:
    """Gives the standard types their handlers again; options change nothing."""
    for ty, handler in _STANDARD:
        _global.add(ty, handler, override=True)


# ---- leaves


def custom_handler(cls: type) -> TypeHandler | None:
    """The program's own handler of a type, or None."""
    if not _global.has_custom:
        return None
    for accepts, handler in _global._entries:
        if not isinstance(handler, _Built) and accepts(cls):
            return handler
    return None


def is_record(value: Any) -> bool:
    """Whether a node of a stored tree is a leaf that a handler wrote."""
    return isinstance(value, treering.Record) and value.type_name == RECORD


def write(handler: TypeHandler, value: Any, name: str, args: SaveArgs | None) -> treering.Record:
    """The record of a leaf: what its handler wrote."""
    with tempfile.TemporaryDirectory(prefix="treering-") as made:
        folder = pathlib.Path(made)
        info = ParamInfo(name, folder)
        for future in run_coroutine(handler.serialize([value], [info], [args or SaveArgs()])) or ():
            future.result()
        handler.finalize(folder)
        files = {
            found.relative_to(folder).as_posix(): found.read_bytes()
            for found in sorted(folder.rglob("*"))
            if found.is_file()
        }
    return treering.Record(RECORD, {"typestr": handler.typestr(), "name": name, "files": files})


def _by_name(typestr: str, name: str) -> TypeHandler:
    try:
        return get_type_handler(typestr)
    except ValueError as error:
        raise ValueError(
            f"leaf {name!r} was written by the TypeHandler {typestr!r}: {error}"
        ) from None


def read(record: treering.Record, args: RestoreArgs | None = None) -> Any:
    """The leaf that a handler wrote.

    Raises:
        ValueError: no handler of that name is registered.
    """
    typestr, name, files = (record.fields[field] for field in ("typestr", "name", "files"))
    handler = _by_name(typestr, name)
    with tempfile.TemporaryDirectory(prefix="treering-") as made:
        folder = pathlib.Path(made)
        lay_out(folder, files)
        info = ParamInfo(name, folder, value_typestr=typestr)
        return run_coroutine(handler.deserialize([info], [args or RestoreArgs()]))[0]

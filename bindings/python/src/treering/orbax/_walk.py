# SPDX-License-Identifier: Apache-2.0
# Walking trees: of Python, of JAX, of Flax and of what a file tells, all by one set of paths.
"""Nodes and leaves of any tree that may be saved or be a target.

A path is a tuple of components: a dict's key (str or int), a field's name (str), or `(i,)` for a
position in a sequence, so that `{0: x}` and `[x]` differ. Other keys of dicts are taken by `str`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from treering import AbstractLeaf, Record

from .._values import is_static, make_dataclass
from . import _leaf_handlers
from .metadata import Metadata
from .transform_utils import Transform
from .type_handlers import RestoreArgs, SaveArgs

Path = tuple[Any, ...]
Children = list[tuple[Any, Any]]
Node = tuple[Children, Callable[[list[Any]], Any]]

_LEAVES = (
    np.ndarray, np.generic, jax.Array, jax.ShapeDtypeStruct, AbstractLeaf, Metadata, SaveArgs,
    RestoreArgs, Transform, bool, int, float, complex, str, bytes, type(...), type,
)  # fmt: skip
_leaf_types: set[type] = set()


def component(key: Any) -> Any:
    """A dict's key as a component of a path."""
    if isinstance(key, str):
        return str(key) if type(key) is not str else key
    if isinstance(key, (int, np.integer)) and not isinstance(key, (bool, np.bool_)):
        return int(key)
    return str(key)


def node(value: Any) -> Node | None:
    """(children by component, how to make such a node of other children); None for a leaf."""
    cls = type(value)
    if cls in _leaf_types:
        return None
    if _leaf_handlers.is_record(value) or _leaf_handlers.custom_handler(cls) is not None:
        return None
    if isinstance(value, _LEAVES):
        _leaf_types.add(cls)
        return None
    if value is None:
        return [], lambda children: None
    if cls is dict:
        return _mapping(value, dict)
    if cls is list or cls is tuple:
        return [((i,), child) for i, child in enumerate(value)], cls
    if isinstance(value, tuple) and hasattr(cls, "_fields"):
        return list(zip(cls._fields, value)), lambda children: tuple.__new__(cls, children)
    if isinstance(value, Record):
        names = list(value.fields)
        make_record = lambda children: Record(value.type_name, zip(names, children))  # noqa: E731
        return list(value.fields.items()), make_record
    if isinstance(value, Mapping) and hasattr(value, "raw_mapping"):  # an nnx.State
        return _mapping(getattr(value, "raw_mapping"), cls)  # noqa: B009
    if isinstance(value, Mapping) and cls.__name__ in ("OrderedDict", "FrozenDict"):
        return _mapping(value, cls)
    return _of_jax(value) or _of_dataclass(value)


def _mapping(value: Mapping[Any, Any], make: Callable[[Any], Any]) -> Node:
    keys = list(value)
    children = [(component(key), value[key]) for key in keys]
    if len({key for key, _ in children}) != len(children):
        raise ValueError(f"keys of a dict that a checkpoint cannot tell apart: {keys}")
    return children, lambda new: make(dict(zip(keys, new)))


def _of_jax(value: Any) -> Node | None:
    """A node that is registered with JAX."""
    found, structure = jax.tree_util.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    if len(found) == 1 and found[0][0] == ():
        return None
    return [(of_key(path[0]), child) for path, child in found], _rebuild(value, found, structure)


def _rebuild(value: Any, found: Any, structure: Any) -> Callable[[list[Any]], Any]:
    missing = [None] * (structure.num_leaves - len(found))
    return lambda children: jax.tree_util.tree_unflatten(structure, [*children, *missing])


def of_key(key: Any) -> Any:
    if hasattr(key, "idx"):
        return (key.idx,)
    if hasattr(key, "name"):
        return component(key.name)
    plain = component(key.key) if hasattr(key, "key") else str(key)
    return (plain,) if type(key).__name__ == "FlattenedIndexKey" else plain


def _of_dataclass(value: Any) -> Node | None:
    """A dataclass that JAX does not know: its fields that are saved."""
    cls = type(value)
    builtin = (dict, list, tuple, set, frozenset, str, bytes, int, float, BaseException)
    if not dataclasses.is_dataclass(value) or issubclass(cls, builtin):
        return None
    if cls.__module__.startswith("orbax."):  # RestoreArgs that a helper of Flax has made
        return None
    names = [
        f.name for f in dataclasses.fields(value) if not is_static(f) and hasattr(value, f.name)
    ]
    children = [(name, getattr(value, name)) for name in names]
    return children, lambda new: make_dataclass(cls, dict(zip(names, new)), value)


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, leaf) of all leaves, in the tree's order."""
    found = node(tree)
    if found is None:
        yield path, tree
        return
    for key, child in found[0]:
        yield from leaves(child, (*path, key))


def is_hollow(value: Any) -> bool:
    """Whether a node of a kind that only JAX knows has no children, and so says nothing."""
    known = value is None or isinstance(value, (Mapping, list, tuple, Record))
    found = None if known or dataclasses.is_dataclass(value) else node(value)
    return found is not None and not found[0]


def empty_nodes(tree: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of empty containers and of None."""
    found = node(tree)
    if found is None:
        return
    if not found[0] and not is_hollow(tree):
        yield path
    for key, child in found[0]:
        yield from empty_nodes(child, (*path, key))


def map_leaves(tree: Any, function: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """The tree with `function(path, leaf)` in the place of each leaf."""
    found = node(tree)
    if found is None:
        return function(path, tree)
    children, make = found
    return make([map_leaves(child, function, (*path, key)) for key, child in children])


def text(path: Path) -> str:
    """A path for people, components joined by "/"."""
    return "/".join(parts(path))


def parts(path: Path) -> tuple[str, ...]:
    """The components as texts, which is how Orbax names keys."""
    return tuple(str(part[0]) if isinstance(part, tuple) else str(part) for part in path)

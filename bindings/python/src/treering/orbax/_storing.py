# SPDX-License-Identifier: Apache-2.0
# From a pytree of the program to a tree that a container takes.
"""Trees on their way into a container.

What the format has, stays as it is: dicts with str and int keys, lists, tuples, namedtuples,
dataclasses, states and Variables of NNX. Nodes of other kinds that JAX knows become dicts or lists
of their children, keys of other types their texts, leaves of subclasses what they derive from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import treering

from . import _leaf_handlers
from ._walk import Path, _of_dataclass, component, is_hollow, leaves, node, parts, text
from .type_handlers import SaveArgs

_KEPT = (bool, int, float, complex, str, bytes)


class UnsupportedLeafError(treering.UnsupportedTypeError, ValueError):
    """A leaf of a type that no checkpoint has a place for. Also a ValueError, as in Orbax."""


class _Conversion:
    def __init__(self, save_args: Any) -> None:
        self.args: dict[Path, SaveArgs] = {}
        if save_args is not None:
            self.args = {p: arg for p, arg in leaves(save_args) if hasattr(arg, "chunk_byte_size")}
        self.variables: dict[int, Any] = {}  # one that is met again stays the same

    def tree(self, value: Any, path: Path) -> Any:
        cls = type(value)
        handler = _leaf_handlers.custom_handler(cls)
        if handler is not None:
            name = ".".join(parts(path))
            return _leaf_handlers.write(handler, value, name, self.args.get(path))
        if cls is np.ndarray or cls in _KEPT:
            return self.leaf(value, path) if self.args else value
        if hasattr(cls, "get_raw_value"):
            return self.variable(value, path)
        found = node(value)
        if found is None:
            return self.leaf(value, path)
        if value is None:
            return None
        children, make = found
        new = [self.tree(child, (*path, key)) for key, child in children]
        if isinstance(value, (list, tuple)) and (cls in (list, tuple) or hasattr(cls, "_fields")):
            return value if _same(new, children) else make(new)
        if isinstance(value, Mapping):
            return self.mapping(value, [key for key, _ in children], new, make)
        if isinstance(value, treering.Record) or (_is_plain(value) and _of_dataclass(value)):
            return value if _same(new, children) else make(new)
        kept = [(key, child) for (key, old), child in zip(children, new) if not is_hollow(old)]
        if kept and all(isinstance(key, tuple) for key, _ in kept):
            return [child for _, child in kept]
        return {key[0] if isinstance(key, tuple) else key: child for key, child in kept}

    def mapping(self, value: Any, keys: list[Any], new: list[Any], make: Any) -> Any:
        if hasattr(value, "raw_mapping") or type(value).__name__ in ("OrderedDict", "FrozenDict"):
            raw = getattr(value, "raw_mapping", value)
            if all(a is b for a, b in zip(raw.values(), new)):
                return value
            if all(type(key) in (str, int) for key in raw):
                return make(new)
        plain = {key[0] if isinstance(key, tuple) else key: child for key, child in zip(keys, new)}
        return plain

    def variable(self, value: Any, path: Path) -> Any:
        if id(value) not in self.variables:
            raw = value.get_raw_value()
            new = self.tree(raw, (*path, "value"))
            again = value if new is raw else value.from_metadata(new, value.get_metadata())
            self.variables[id(value)] = again
        return self.variables[id(value)]

    def leaf(self, value: Any, path: Path) -> Any:
        value = _plain(value, path)
        args = self.args.get(path)
        if args is None or args.dtype is None:
            return value
        return cast(value, args.dtype)


def _same(new: list[Any], children: list[tuple[Any, Any]]) -> bool:
    return all(child is old for child, (_, old) in zip(new, children))


def _is_plain(value: Any) -> bool:
    """False for modules and the like, whose fields are not all that they hold."""
    return not any(cls.__module__.startswith("flax.nnx") for cls in type(value).__mro__)


def _plain(value: Any, path: Path) -> Any:
    if (
        type(value) is np.ndarray
        or type(value) in _KEPT
        or isinstance(value, (jax.Array, treering.PRNGKey))
    ):
        return value
    if isinstance(value, np.generic) and not isinstance(value, (np.void, np.character, np.object_)):
        return value
    made: Any
    for made in _KEPT:
        if isinstance(value, made):
            return made(value)
    abstract = isinstance(value, (type, jax.ShapeDtypeStruct, treering.AbstractLeaf))
    if hasattr(value, "__array__") and not abstract:
        array = np.asarray(value)
        if array.dtype != object:
            return array
    raise UnsupportedLeafError(
        f"Unsupported type: {type(value)} for key: {text(path) or 'the root'}."
    )


def cast(value: Any, dtype: Any) -> Any:
    """A leaf as another dtype: arrays as arrays, numbers as numbers; keys and texts as they are."""
    if isinstance(value, (str, bytes, treering.PRNGKey)):
        return value
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return value
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return value if value.dtype == dtype else value.astype(dtype)
    return np.asarray(value).astype(dtype)[()].item()


def storable(tree: Any, save_args: Any = None) -> Any:
    """The tree as a container takes it.

    Args:
        tree: any pytree.
        save_args: a tree of SaveArgs like it; None, or None in places: nothing said.

    Raises:
        UnsupportedLeafError: (a ValueError and a TypeError) a leaf that cannot be stored.
        ValueError: keys of a dict that cannot be told apart as texts.
    """
    return _Conversion(save_args).tree(tree, ())


__all__ = ["UnsupportedLeafError", "cast", "component", "storable"]

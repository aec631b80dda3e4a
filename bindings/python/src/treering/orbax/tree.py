# SPDX-License-Identifier: Apache-2.0
# Trees as flat dicts, and back.
"""Helpers for trees; paths are tuples of texts and, in sequences, of positions as texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _walk


def to_shape_dtype_struct(tree: Any, dtype: Any = None, scalar_dtype: Any = None) -> Any:
    """The tree as a target, see `arrays.to_shape_dtype_struct`."""
    from .arrays import to_shape_dtype_struct as of

    return _walk.map_leaves(tree, lambda path, leaf: of(leaf, dtype, scalar_dtype))


def to_flat_dict(
    tree: Any, keep_empty_nodes: bool = False, sep: str | None = None
) -> dict[Any, Any]:
    """The leaves by path.

    >>> to_flat_dict({"a": {"b": 1}, "c": [2, 3]}, sep="/")
    {'a/b': 1, 'c/0': 2, 'c/1': 3}

    Args:
        tree: any pytree.
        keep_empty_nodes: True: empty dicts, lists and tuples, and None, are leaves too.
        sep: what joins components into one text; None: paths are tuples.
    """
    flat: dict[Any, Any] = {}

    def walk(value: Any, path: tuple[str, ...]) -> None:
        found = _walk.node(value)
        if found is None or (keep_empty_nodes and not found[0]):
            flat[path if sep is None else sep.join(path)] = value
            return
        for key, child in found[0]:
            walk(child, (*path, *_walk.parts((key,))))

    walk(tree, ())
    return flat


def from_flat_dict(flat: dict[Any, Any], target: Any = None, sep: str | None = None) -> Any:
    """The tree of such a dict.

    >>> from_flat_dict({"a/b": 1, "a/c": 2}, sep="/")
    {'a': {'b': 1, 'c': 2}}

    Args:
        flat: leaves by path.
        target: a tree whose structure the result has; None: nested dicts.
        sep: as of `to_flat_dict`.

    Raises:
        KeyError: a leaf of the target is not in `flat`.
    """
    paths = {tuple(key.split(sep)) if sep is not None else tuple(key): v for key, v in flat.items()}
    if target is not None:
        return _walk.map_leaves(target, lambda path, _: paths[_walk.parts(path)])
    from .transform_utils import from_flat

    return from_flat(paths)


def serialize_tree(tree: Any, keep_empty_nodes: bool = False) -> Any:
    """The tree of dicts and lists, as Orbax stores it: other nodes by their keys."""
    found = _walk.node(tree)
    if found is None:
        return tree
    children = [(key, serialize_tree(child, keep_empty_nodes)) for key, child in found[0]]
    if isinstance(tree, (list, tuple)) and not hasattr(type(tree), "_fields"):
        return [child for _, child in children]
    return None if tree is None else {_walk.parts((key,))[0]: child for key, child in children}


def get_param_names(tree: Any, include_empty_nodes: bool = False) -> Any:
    """The tree with each leaf's name: its path joined by "."."""
    return _walk.map_leaves(tree, lambda path, _: ".".join(_walk.parts(path)))


def tuple_path_from_keypath(keypath: Any) -> tuple[str, ...]:
    """The components of one of JAX's paths, as texts."""
    return _walk.parts(tuple(_walk.of_key(key) for key in keypath))


def is_scalar(x: Any) -> bool:
    """Whether a leaf is a number of Python or NumPy."""
    return isinstance(x, (int, float, np.number))


def is_empty_node(value: Any) -> bool:
    """Whether a value is a container without children, or None."""
    found = _walk.node(value)
    return found is not None and not found[0]


def is_empty_or_leaf(value: Any) -> bool:
    """Whether a value is a leaf, or an empty container."""
    return is_empty_node(value) or _walk.node(value) is None

# SPDX-License-Identifier: Apache-2.0
# Trees that are renamed, joined and computed from others, by keys.
"""Transformations of trees: `apply_transformations`, `merge_trees`, `intersect_trees`.

Keys are the components of a leaf's path joined by "/". Importing this costs nothing of JAX.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass
class Transform:
    r"""Where the value of a key comes from.

    Attributes:
        original_key: the key in the original tree; may refer to groups of the key's regular
            expression (`\1`).
        use_fallback: the value of the other tree, see `apply_transformations`.
        value_fn: computes the value from the original one.
        multi_value_fn: computes it from the key and the whole original tree.

    Raises:
        ValueError: two that exclude each other.
    """

    original_key: Any = None
    use_fallback: bool = False
    value_fn: Callable[..., Any] | None = None
    multi_value_fn: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.original_key, (tuple, list)):
            self.original_key = "/".join(map(str, self.original_key))
        one_value = self.original_key is not None or self.value_fn is not None
        if self.use_fallback + one_value + (self.multi_value_fn is not None) > 1:
            raise ValueError(
                "of use_fallback, multi_value_fn, and original_key with value_fn, give one"
            )


@dataclasses.dataclass
class RestoreTransform(Transform):
    """A Transform for restoring: `multi_value_fn` gets its key's RestoreArgs as a third argument.

    Attributes:
        multi_value_fn_input_args: RestoreArgs by regular expression of the keys that it needs.
    """

    multi_value_fn_input_args: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.multi_value_fn_input_args is not None and self.multi_value_fn is None:
            raise ValueError("multi_value_fn_input_args is for multi_value_fn")


def keyed(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by key.

    Raises:
        ValueError: two leaves have one key, since a name in the tree contains "/".
    """
    from . import _walk

    result: dict[str, Any] = {}
    for path, leaf in _walk.leaves(tree):
        key = _walk.text(path)
        if key in result:
            raise ValueError(f"two leaves have the key {key!r}; rename one of them")
        result[key] = leaf
    return result


def transform_of(
    key: str, transforms: dict[str, Transform]
) -> tuple[Transform, re.Match[str]] | None:
    """The last of the transforms whose expression matches a key as a whole."""
    found = None
    for expression, transform in transforms.items():
        match = re.fullmatch(expression, key)
        if match is not None:
            found = transform, match
    return found


def apply_transformations(
    original_tree: Any, transformations: Any, new_tree: Any, default_to_original: bool = True
) -> Any:
    r"""A tree like `new_tree` with values from `original_tree`.

    >>> old = {"a": 1, "b": {"c": 5}, "f": 2}
    >>> how = {"a1": Transform(original_key="a")}
    >>> how["twice"] = Transform(multi_value_fn=lambda key, tree: 2 * tree["f"])
    >>> apply_transformations(old, how, {"a1": 0, "twice": 0, "f": 0, "g": 7})
    {'a1': 1, 'twice': 4, 'f': 2, 'g': 7}

    Args:
        original_tree: what there is.
        transformations: a tree of Transform; its keys are regular expressions.
        new_tree: the result's structure, and the value of keys that are found nowhere else.
        default_to_original: True: keys without a transform come from `original_tree` if it has
            them, and `use_fallback` takes the value of `new_tree`; False: the other way round.

    Raises:
        ValueError: a key that a transform names is not there.
    """
    from . import _walk

    original, transforms = keyed(original_tree), keyed(transformations)

    def value(path: Any, leaf: Any) -> Any:
        key = _walk.text(path)
        found = transform_of(key, transforms)
        if found is None:
            return original.get(key, leaf) if default_to_original else leaf
        transform, match = found
        if transform.use_fallback and default_to_original:
            return leaf
        if transform.multi_value_fn is not None:
            return transform.multi_value_fn(key, original_tree)
        wanted = key if transform.original_key is None else match.expand(transform.original_key)
        if wanted not in original:
            raise ValueError(
                f"the transformation of {key!r} needs {wanted!r}, which the original tree lacks"
            )
        taken = original[wanted]
        return taken if transform.value_fn is None else transform.value_fn(taken)

    return _walk.map_leaves(new_tree, value)


def _nested(flat: dict[Any, Any], target: Any) -> Any:
    from . import _walk

    if target is not None:
        return _walk.map_leaves(target, lambda path, _: flat[path])
    return from_flat(flat)


def from_flat(flat: dict[Any, Any]) -> Any:
    """Nested dicts of leaves by path; a level whose components are all positions is a list."""
    if list(flat) == [()]:
        return flat[()]
    levels: dict[Any, dict[Any, Any]] = {}
    for path, leaf in flat.items():
        levels.setdefault(path[0], {})[path[1:]] = leaf
    made = {key: from_flat(below) for key, below in levels.items()}
    if made and all(isinstance(key, tuple) for key in made):
        return [made[key] for key in sorted(made)]
    return {key[0] if isinstance(key, tuple) else key: value for key, value in made.items()}


def merge_trees(*trees: Any, target: Any = None) -> Any:
    """The leaves of all trees in one; the last tree that has a key gives its value.

    >>> merge_trees({"a": 1, "b": {"c": 2}}, {"b": {"d": 3}, "a": 4})
    {'a': 4, 'b': {'c': 2, 'd': 3}}

    Args:
        trees: trees.
        target: the result's structure; None: dicts and lists.
    """
    from . import _walk

    flat: dict[Any, Any] = {}
    for tree in trees:
        flat.update(_walk.leaves(tree))
    return _nested(flat, target)


def intersect_trees(*trees: Any, target: Any = None) -> Any:
    """What all trees have, with the values of the last one.

    >>> intersect_trees({"a": 1, "b": 2}, {"b": 3})
    {'b': 3}
    """
    from . import _walk

    flats = [dict(_walk.leaves(tree)) for tree in trees]
    common = {path: leaf for path, leaf in flats[-1].items() if all(path in flat for flat in flats)}
    return _nested(common, target)

# SPDX-License-Identifier: Apache-2.0
# A target that restores a part of what is stored, and has the library tell what does not agree.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from .._errors import StructureMismatchError
from .._ffi import lib
from .._flatten import display
from .._values import AbstractLeaf, Record
from ._layout import Path, nnx
from ._leaves import Stored

_UNEXPECTED = object()


def target_of(stored: Stored, wanted: dict[Path, Any], required: dict[Path, Any] | None) -> Any:
    """A target like the stored tree, with `...` in the place of what is not wanted.

    Of what is `required`, all has to be wanted, and all that is wanted has to be stored: what is
    not so is put there, or left out, such that the load tells it. None: for a partial load, of
    which nothing is required.
    """
    leaves: list[Any] = []
    for place in stored.leaves:
        left_out = ... if required is None or place not in required else _UNEXPECTED
        leaves.append(wanted.get(place, left_out))
    tree = _as_target(jax.tree_util.tree_unflatten(stored.structure, leaves))
    if required is not None:
        named = {id(leaf) for place, leaf in wanted.items() if place in stored.leaves}
        for place, leaf in wanted.items():
            shared = isinstance(leaf, nnx.Variable) and id(leaf) in named
            if place not in stored.leaves and not shared:  # one of its names is enough
                _insert(tree, place, leaf)
    return tree


def _as_target(node: Any) -> Any:
    """The tree with dicts for its mappings, without what is unexpected."""
    if isinstance(node, Mapping):
        return {key: _as_target(child) for key, child in node.items() if child is not _UNEXPECTED}
    if isinstance(node, Record):
        fields = node.items()
        return Record(node.type_name, {k: _as_target(v) for k, v in fields if v is not _UNEXPECTED})
    if isinstance(node, (list, tuple)):
        children = [None if child is _UNEXPECTED else _as_target(child) for child in node]
        kind: Any = type(node)
        return kind._make(children) if hasattr(kind, "_fields") else kind(children)
    return node


def _shown(place: Path) -> str:
    return "/".join(map(display, place))


def add_hint(error: StructureMismatchError, stored: Stored, wanted: dict[Path, Any]) -> None:
    """Says in the error if plain arrays may be left over since the model is abstract."""
    bare = (AbstractLeaf, jax.ShapeDtypeStruct)
    plain = {_shown(place) for place, leaf in stored.leaves.items() if isinstance(leaf, bare)}
    values = [leaf.get_raw_value() for leaf in wanted.values() if isinstance(leaf, nnx.Variable)]
    abstract = any(isinstance(value, jax.ShapeDtypeStruct) for value in values)
    if abstract and plain.intersection(error.unexpected):
        error.message += (
            "; an abstract model does not show plain arrays: "
            "make it an nnx.Variable or nnx.data, or give a concrete model"
        )
        error.args = (error.message,)


def _insert(tree: Any, place: Path, leaf: Any) -> None:
    """Puts a leaf that the checkpoint has not where the library will find it missing."""
    for key in place[:-1]:
        if not isinstance(tree, dict) or not isinstance(tree.get(key, {}), dict):
            break
        tree = tree.setdefault(key, {})
    else:
        if isinstance(tree, dict):
            tree[place[-1]] = leaf
            return
    shown = _shown(place)
    error = StructureMismatchError(
        f"'{shown}' is wanted, and the checkpoint has no place for it",
        status=lib.TREERING_MISMATCH_STRUCTURE,
    )
    error.missing = [shown]
    raise error

# SPDX-License-Identifier: Apache-2.0
# The leaves of a model and of a checkpoint, by their paths: what filters are asked about.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec

from .. import _metadata, _rebuild
from .._opening import AnyPath
from .._values import AbstractLeaf
from ._layout import Path, abstract, declared, nnx, sharding, with_value

Predicate = Callable[[Path, Any], bool]


def flat(state: Any) -> dict[Path, Any]:
    return dict(nnx.to_flat_state(state))


def leaves_of(model: Any) -> dict[Path, Any]:
    """The leaves by path; those that are reached by several paths are there under each."""
    if isinstance(model, nnx.State):
        return flat(model)
    found = flat(nnx.state(model))
    shared = [sorted(places, key=len) for places in nnx.find_duplicates(model)]
    for places in sorted(shared, key=lambda places: -len(places[0])):  # what is inside first
        first, below = places[0], found
        for first in places:
            below = {p[len(first) :]: leaf for p, leaf in found.items() if p[: len(first)] == first}
            if below:
                break
        for place in places:
            if place[: len(first)] != first:  # else it contains itself
                found.update({place + rest: leaf for rest, leaf in below.items()})
    return found


def chosen_of(leaves: dict[Path, Any], only: Any) -> dict[Path, Any]:
    wanted: Predicate = nnx.filterlib.to_predicate(only)
    return {place: leaf for place, leaf in leaves.items() if wanted(place, leaf)}


# ---- the leaves of a checkpoint


def _is_unit(node: Any) -> bool:
    return type(node) is AbstractLeaf or isinstance(node, nnx.Variable)


def _key(entry: Any) -> str | int:
    for name in ("key", "idx", "name"):
        if hasattr(entry, name):
            found: str | int = getattr(entry, name)
            return found
    raise TypeError(f"{entry!r} is no key of a tree")


def units_of(tree: Any) -> tuple[list[tuple[Path, Any]], Any]:
    """(path and node of what a filter decides on, the tree's structure)."""
    pairs, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_unit)
    return [(tuple(map(_key, entries)), node) for entries, node in pairs], structure


def _renamed(stored: dict[Path, Any], model: dict[Path, Any]) -> dict[Path, Path]:
    """From a place in the checkpoint to the model's, where they differ as Orbax writes them.

    Orbax makes texts of int keys, and {"value": x} of a Variable. What has a place of the model's
    stays there.
    """
    as_text = {tuple(map(str, place)): place for place in stored if place not in model}
    found: dict[Path, Path] = {}
    for place, leaf in model.items():
        text = tuple(map(str, place))
        wrapped = (*text, "value") if isinstance(leaf, nnx.Variable) else text
        there = as_text.get(text, as_text.get(wrapped))
        if place not in stored and there is not None:
            found[there] = place
    return found


class Stored:
    """What a checkpoint has.

    Attributes:
        leaves: the leaves, abstract, by path, in the order of the tree. Those of a checkpoint that
            Orbax wrote are at the paths, and of the types, that the model has them.
        renamed: from a path in the file to the one in `leaves`, where they differ.
    """

    def __init__(
        self,
        path: AnyPath,
        step: int | str | None,
        item: str,
        model: dict[Path, Any] | None = None,
    ) -> None:
        self.metadata = _metadata.metadata(path, step=step, item=item)
        units, self.structure = units_of(self.metadata.tree)
        self.renamed = {} if model is None else _renamed(dict(units), model)
        self._nodes = {self.renamed.get(place, place): node for place, node in units}
        made: dict[int, Any] = {}  # an alias is the leaf that it stands for, and one Variable here
        for node in self._nodes.values():
            if id(node) not in made:
                made[id(node)] = _abstract(node)
        self.leaves: dict[Path, Any] = {p: made[id(node)] for p, node in self._nodes.items()}
        for place in self.renamed.values():
            if model is not None and not isinstance(self.leaves[place], nnx.Variable):
                self.leaves[place] = with_value(model[place], self.leaves[place])

    def specs(self, leaves: dict[Path, Any]) -> dict[Path, PartitionSpec]:
        """How these lay when they were saved, else how their Variables were declared."""
        found = {}
        for place, leaf in leaves.items():
            node = self._nodes[place]
            stored = node.attributes.get("sharding") if isinstance(node, AbstractLeaf) else None
            if stored and "mesh" in stored:
                axes = [tuple(a) if isinstance(a, list) else a for a in stored["spec"]]
                found[place] = sharding.PartitionSpec(*axes)
            else:
                found[place] = declared(leaf)
        return found


def _abstract(node: Any) -> Any:
    """A leaf of `treering.metadata` as one of an abstract nnx.State."""
    if not isinstance(node, AbstractLeaf):
        return node  # a Variable that holds a tree, or what only a target of its own type restores
    attributes = {name: node.attributes[name] for name in _OF_VALUE if name in node.attributes}
    value: Any = AbstractLeaf(node.dtype, node.shape, attributes, kind=node.kind)
    if attributes.get("origin") == "jax":
        value = _struct(node)
    return _rebuild._wrapped(node._stored or (), value)


_OF_VALUE = ("origin", "scalar", "prng_impl")  # attributes of a value, not of its Variable
_KEY_DTYPES: dict[str, Any] = {}


def _struct(node: AbstractLeaf) -> Any:
    if node.kind != "prng_key":
        return abstract(node.shape, node.dtype)
    impl = node.attributes["prng_impl"]
    if impl not in _KEY_DTYPES:
        _KEY_DTYPES[impl] = jax.eval_shape(lambda: jax.random.key(0, impl=impl)).dtype
    dtype = _KEY_DTYPES[impl]
    words = len(dtype._impl.key_shape)
    return abstract(node.shape[: node.ndim - words], dtype)

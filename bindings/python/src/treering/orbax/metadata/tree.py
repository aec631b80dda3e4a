# SPDX-License-Identifier: Apache-2.0
# Metadata of a whole tree.
"""`TreeMetadata`: a tree of leaves' metadata that is a pytree, a mapping and a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import treering


@jax.tree_util.register_pytree_with_keys_class
class TreeMetadata:
    """The metadata of a tree. JAX maps over it, and it can be indexed as the tree can.

    Attributes:
        tree: dicts, lists, tuples and namedtuples with a `Metadata` in the place of each leaf.
            Dataclasses and states are dicts, a Variable is `{"value": …}`.
        custom_metadata: what was saved with the tree as such.
        use_zarr3: False.
    """

    use_zarr3 = False

    def __init__(self, *, tree: Any, custom_metadata: Any = None) -> None:
        self.tree, self.custom_metadata = tree, custom_metadata

    @classmethod
    def build(
        cls, tree: Any, *, custom_metadata: Any = None, use_zarr3: bool = False
    ) -> TreeMetadata:
        """One of a tree that the program made."""
        return cls(tree=tree, custom_metadata=custom_metadata)

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        """For JAX."""
        tree, key = self.tree, jax.tree_util
        if isinstance(tree, dict):
            pairs: list[Any] = [(key.DictKey(name), child) for name, child in tree.items()]
            return pairs, (dict, tuple(tree), self.custom_metadata)
        if isinstance(tree, (list, tuple)):
            pairs = [(key.SequenceKey(i), child) for i, child in enumerate(tree)]
            return pairs, (type(tree), None, self.custom_metadata)
        return [(key.GetAttrKey("tree"), tree)], (None, None, self.custom_metadata)

    @classmethod
    def tree_unflatten(cls, auxiliary: Any, children: Any) -> TreeMetadata:
        """For JAX."""
        kind, names, custom_metadata = auxiliary
        children = tuple(children)
        if kind is dict:
            tree: Any = dict(zip(names, children))
        elif kind is None:
            (tree,) = children
        elif hasattr(kind, "_fields"):
            tree = tuple.__new__(kind, children)
        else:
            tree = kind(children)
        return cls(tree=tree, custom_metadata=custom_metadata)

    def __getitem__(self, key: Any) -> Any:
        return self.tree[key]

    def __contains__(self, key: Any) -> bool:
        if isinstance(self.tree, (list, tuple)):
            return isinstance(key, int) and -len(self.tree) <= key < len(self.tree)
        return key in self.tree

    def __len__(self) -> int:
        return len(self.tree)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tree)

    def get(self, key: Any, default: Any = None) -> Any:
        """The entry of a key, or `default`."""
        return self.tree[key] if key in self else default

    def keys(self) -> Any:
        """The keys; positions of a sequence."""
        return self.tree.keys() if isinstance(self.tree, Mapping) else range(len(self.tree))

    def values(self) -> Any:
        """The entries."""
        return self.tree.values() if isinstance(self.tree, Mapping) else list(self.tree)

    def items(self) -> Any:
        """Keys and entries."""
        return zip(self.keys(), self.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeMetadata):
            return NotImplemented
        return bool(self.tree == other.tree and self.custom_metadata == other.custom_metadata)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TreeMetadata(tree={self.tree!r}, custom_metadata={self.custom_metadata!r})"


def of_tree(abstract: Any, directory: Any) -> Any:
    """The tree of metadata of a tree of `treering.AbstractLeaf`."""
    from .. import _leaf_handlers, _walk
    from .value import Metadata, of_leaf

    def convert(value: Any, path: tuple[Any, ...]) -> Any:
        if isinstance(value, treering.AbstractLeaf):
            variable = "variable_type" in value.attributes
            made = of_leaf(
                value, ".".join(_walk.parts((*path, "value") if variable else path)), directory
            )
            return {"value": made} if variable else made
        if _leaf_handlers.is_record(value):
            return Metadata(".".join(_walk.parts(path)), directory)
        found = _walk.node(value)
        if found is None or value is None:
            return value
        children, make = found
        new = [convert(child, (*path, key)) for key, child in children]
        if isinstance(value, (list, tuple)):
            return make(new)
        return {key: child for (key, _), child in zip(children, new)}

    return convert(abstract, ())

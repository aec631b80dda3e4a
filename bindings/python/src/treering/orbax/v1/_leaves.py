# SPDX-License-Identifier: Apache-2.0
# Leaves of pytrees: which can be saved, what a target's leaf asks for, what metadata tell of one.
from __future__ import annotations

from typing import Any

import jax
import numpy as np
import treering

from .. import _restoring, _walk
from .._handling import Place
from .._wanted import Wanted, of_target, usable_sharding
from ..metadata import ShardingMetadata
from ..metadata.sharding import stored_sharding
from ..type_handlers import SaveArgs, is_placeholder

_NUMBERS = (bool, int, float, complex, np.generic)
_ZEROS = {"int": 0, "float": 0.0, "bool": False, "complex": 0j, "string": "string", "bytes": b""}


class NumpyMetadata:
    """Of an array that was NumPy's when it was saved; in a target it asks for NumPy.

    Attributes:
        shape, dtype: of the array.
        storage_metadata: None: the format's own blocks say nothing about the array.
    """

    storage_metadata = None

    def __init__(self, shape: Any, dtype: Any) -> None:
        self.shape, self.dtype = tuple(shape), dtype

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"


class ArrayMetadata(NumpyMetadata):
    """Of an array that was JAX's; in a target it asks for a jax.Array with the saved sharding.

    Attributes:
        sharding_metadata: describes the sharding, without devices.
    """

    def __init__(self, shape: Any, dtype: Any, sharding_metadata: ShardingMetadata | None = None) -> None:
        super().__init__(shape, dtype)
        self.sharding_metadata = sharding_metadata

    @property
    def sharding(self) -> Any:
        """The sharding on the devices of here; None where there are too few."""
        try:
            found = self.sharding_metadata
            return None if found is None else found.to_jax_sharding()
        except ValueError:
            return None


def is_leaf(value: Any) -> bool:
    """Whether a leaf can be saved."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "OSUVMm" or value.dtype.kind == "V" and value.dtype.fields is None
    if isinstance(value, np.generic):
        return not isinstance(value, (np.void, np.character, np.object_, np.datetime64, np.timedelta64))
    return isinstance(value, (jax.Array, bool, int, float, complex, str, bytes, treering.PRNGKey))


def is_abstract_leaf(value: Any) -> bool:
    """Whether a leaf of a target says what it is to be."""
    if is_placeholder(value) or value is None:
        return True
    if isinstance(value, type):
        return issubclass(value, (np.ndarray, jax.Array, str, bytes, *_NUMBERS))
    if isinstance(value, (str, bytes, treering.AbstractLeaf, treering.PRNGKey, *_NUMBERS)):
        return True
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _options(context: Any) -> Any:
    from ._context import get_context

    return context or get_context()


def save_args(tree: Any, context: Any) -> Any:
    """SaveArgs by leaf, from the dtypes of the Context's storage options; None: there are none."""
    saving = _options(context).array.saving
    general, creator = saving.storage_options, saving.scoped_storage_options_creator
    if creator is None and general.dtype is None:
        return None

    def args(path: Any, leaf: Any) -> SaveArgs:
        chosen = creator(path, leaf) if creator is not None else None
        dtype = (chosen or general).dtype
        array = isinstance(leaf, (np.ndarray, jax.Array))
        return SaveArgs(dtype=dtype if array and dtype is not None else None)

    return jax.tree_util.tree_map_with_path(args, tree)


def wanted(leaf: Any, path: str, padding: bool) -> Wanted:
    """What a leaf of a target asks for.

    Raises:
        TypeError: nothing that a leaf can be.
    """
    if isinstance(leaf, ArrayMetadata):
        return Wanted(jax.Array, leaf.dtype, leaf.sharding, tuple(leaf.shape), not padding)
    if isinstance(leaf, NumpyMetadata):
        return Wanted(np.ndarray, leaf.dtype, shape=tuple(leaf.shape), strict=not padding)
    if isinstance(leaf, (type, str, bytes, treering.AbstractLeaf, *_NUMBERS)) or is_placeholder(leaf):
        return of_target(leaf, path)
    found: Wanted
    if isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct, np.ndarray)):
        found = of_target(leaf, path)
        found.kind = np.ndarray if isinstance(leaf, np.ndarray) else jax.Array
    elif hasattr(leaf, "sharding"):
        sharding = usable_sharding(leaf.sharding)
        found = Wanted(jax.Array, leaf.dtype, sharding, tuple(leaf.shape))
    elif hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        found = Wanted(np.ndarray, leaf.dtype, shape=tuple(leaf.shape))
    else:
        raise TypeError(f"Unsupported abstract leaf type for loading: {type(leaf)} at '{path}'")
    found.strict = not padding
    return found


def into(place: Place, abstract: Any, context: Any) -> Any:
    """A stored tree in the structure, and with the leaves, that a target asks for.

    Raises:
        ValueError: structures, shapes or kinds do not agree.
    """
    options = _options(context)
    partial = options.pytree.loading.partial_load
    padding = options.array.loading.enable_padding_and_truncation
    _compare_nodes(place.abstract(), abstract, partial)
    return _restoring.into_target(
        place, abstract, lambda path, leaf: wanted(leaf, _walk.text(path), padding), partial
    )


def _compare_nodes(stored: Any, target: Any, partial: bool) -> None:
    """Raises ValueError where one has a node without leaves and the other lacks it, and where lists
    differ in length: what comparing leaves does not find."""
    open_: list[tuple[Any, Any, tuple[Any, ...]]] = [(stored, target, ())]
    while open_:
        there, here, path = open_.pop()
        of_stored, of_target_ = _walk.node(there), _walk.node(here)
        if of_stored is None or of_target_ is None:
            if here is None and of_stored is None:
                raise _differs(path, "None", repr(there))
            continue
        stored_children = {_as_text(key): child for key, child in of_stored[0]}
        children = {_as_text(key): child for key, child in of_target_[0]}
        sequences = any(isinstance(key, tuple) for key in (*stored_children, *children))
        if sequences and partial and len(children) != len(stored_children):
            raise _differs(path, f"{len(children)} entries", f"{len(stored_children)} entries")
        for key in stored_children.keys() & children.keys():
            open_.append((stored_children[key], children[key], (*path, key)))
        if partial:
            continue
        for key in stored_children.keys() - children.keys():
            if _empty(stored_children[key]):
                raise _differs((*path, key), "MISSING", repr(stored_children[key]))
        for key in children.keys() - stored_children.keys():
            if _empty(children[key]):
                raise _differs((*path, key), repr(children[key]), "MISSING")


def _as_text(key: Any) -> Any:
    return key if isinstance(key, tuple) else str(key)


def _empty(value: Any) -> bool:
    found = _walk.node(value)
    return found is not None and not found[0]


def _differs(path: Any, here: str, there: str) -> treering.StructureMismatchError:
    name = _walk.text(path) or "the root"
    error = treering.StructureMismatchError(
        f"'{name}': the target has {here}, the checkpoint {there}; give a target of the saved structure"
    )
    error.different = [(name, here, there)]
    return error


def plain_records(value: Any) -> Any:
    """The tree with dicts for dataclasses whose class is not registered, so that JAX can map over it."""
    if isinstance(value, treering.Record):
        return {name: plain_records(child) for name, child in value.fields.items()}
    if type(value) in (list, dict, tuple) or isinstance(value, tuple):
        found = _walk.node(value)
        if found is not None:
            children, make = found
            new = [plain_records(child) for _, child in children]
            if any(a is not b for a, (_, b) in zip(new, children)):
                return make(new)
    return value


def described(value: Any) -> Any:
    """From a tree of `treering.AbstractLeaf` to one of metadata."""
    if isinstance(value, treering.AbstractLeaf):
        made = _described_leaf(value)
        return {"value": made} if "variable_type" in value.attributes else made
    found = _walk.node(value)
    if found is None or value is None:
        return value
    children, make = found
    new = [described(child) for _, child in children]
    if isinstance(value, (list, tuple)):
        return make(new)
    return {key: child for (key, _), child in zip(children, new)}


def _described_leaf(leaf: treering.AbstractLeaf) -> Any:
    if leaf.kind in _ZEROS:
        return _ZEROS[leaf.kind]
    if leaf.attributes.get("scalar") == "numpy":
        return np.zeros((), leaf.dtype)[()]
    sharding = stored_sharding(leaf)
    if leaf.kind == "prng_key":
        return leaf
    if sharding is None:
        return NumpyMetadata(tuple(leaf.shape), leaf.dtype)
    return ArrayMetadata(tuple(leaf.shape), leaf.dtype, sharding)

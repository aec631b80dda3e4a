# SPDX-License-Identifier: Apache-2.0
# Flax NNX: models, optimizers and states to and from checkpoints, whole or by filters.
"""Save and load Flax NNX models, optimizers and states.

    import treering.nnx as tnx

    tnx.save_model("net.ring", model)
    tnx.load_model("net.ring", model)               # into this model, in place
    model = tnx.load_model("net.ring", nnx.eval_shape(lambda: Net(nnx.Rngs(0))))
    state = tnx.load_model("net.ring")              # without the code: an nnx.State
    params = tnx.load_model("net.ring", only=nnx.Param)    # reads no more than these

What is stored is `nnx.state(model)`: each Variable with its type, the names of its base types and
its metadata. One that the model reaches by several paths is stored once; the other paths are there
too and refer to it. `model` is anything that has a state: a module, an `nnx.Optimizer` (or a dict or
tuple of both), `nnx.Rngs`, or an `nnx.State` itself.

Filters are those of NNX: a Variable type, a tag, `nnx.PathContains`, `nnx.All`, `nnx.Any`, `nnx.Not`,
a list (any of them), a function of (path, leaf), `...` for everything. For a checkpoint they see its
Variables with `jax.ShapeDtypeStruct` in the place of arrays; a type that the program has not imported
is there as the nearest base type that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Union

import jax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from . import _load, _metadata, _rebuild, _save
from ._errors import StructureMismatchError
from ._ffi import lib
from ._flatten import display
from ._opening import AnyPath
from ._values import AbstractLeaf

__all__ = ["abstract_state", "get_partition_spec", "load_model", "save_model"]

Path = tuple[Union[str, int], ...]
Predicate = Callable[[Path, Any], bool]


def save_model(path: AnyPath, model: Any, only: Any = ..., **options: Any) -> None:
    """Saves the state of a model as a checkpoint file.

    Args:
        path: the file.
        model: a module, optimizer, Rngs, a dict, list or tuple of them, or an nnx.State.
        only: a filter: what to save.
        options: as for `treering.save`: overwrite, items, metadata and others.

    Raises:
        AlreadyExistsError: (a FileExistsError) the file exists and `overwrite` was not given.
        UnsupportedTypeError: (a TypeError) a Variable holds what no checkpoint has a place for.

    >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    >>> save_model("net.ring", model)
    >>> load_model("net.ring")["kernel"].shape
    (2, 3)
    """
    if only is ... and isinstance(model, nnx.State):
        _save.save(path, model, **options)
        return
    wanted = nnx.filterlib.to_predicate(only)
    found = {place: leaf for place, leaf in _leaves_of(model).items() if wanted(place, leaf)}
    _save.save(path, nnx.from_flat_state(found), **options)


def load_model(
    path: AnyPath,
    model: Any = None,
    only: Any = ...,
    *,
    strict: bool = True,
    mesh: Mesh | None = None,
    step: int | str | None = None,
    item: str = "",
) -> Any:
    """Restores a model from a checkpoint, or what is stored of one.

    Only leaves that the filter selects are read. A model is changed when all of them have been read
    and verified, and else not at all; Variables keep their own metadata. For an abstract model, of
    `nnx.eval_shape`, each array is allocated once, where it is to stay.

    Args:
        path: a checkpoint file, or a manager's directory.
        model: what to restore into: see `save_model`. None: the code is not needed.
        only: a filter. It is asked both of what `model` has and of what is stored.
        strict: True: what is selected of the model and of the checkpoint has to agree. False: what
            the checkpoint has not stays as it is, and what the model has not is left out. Shapes and
            dtypes have to agree in any case.
        mesh: arrays are laid out over it as their Variables' `out_sharding` says; without a model,
            as they lay when they were saved, where the mesh has such axes and they divide the shape.
        step, item: as for `treering.load`.

    Returns:
        `model` itself; for an nnx.State, which is not changed, and for None a new nnx.State of what
        was restored. In it, positions of lists and tuples are int keys.

    Raises:
        StructureMismatchError: (a ValueError) names all that does not agree.
        CheckpointNotFoundError: (a FileNotFoundError) there is no such file or step.
        CorruptionError: (an OSError) the file is damaged.

    >>> save_model("net.ring", nnx.BatchNorm(2, rngs=nnx.Rngs(0)))
    >>> sorted(load_model("net.ring", only=nnx.BatchStat))
    ['mean', 'var']
    >>> norm = load_model("net.ring", nnx.eval_shape(lambda: nnx.BatchNorm(2, rngs=nnx.Rngs(1))))
    >>> norm.scale[...].tolist()
    [1.0, 1.0]
    """
    if isinstance(model, nnx.State) and only is ... and strict and mesh is None:
        return _load.load(path, model, step=step, item=item)
    wanted = None
    if model is not None:
        wanted = _chosen(dict(_leaves_of(model)), only)
        if mesh is not None:
            wanted = _laid_out(wanted, {place: _declared(leaf) for place, leaf in wanted.items()}, mesh)
    if wanted is not None and only is ... and strict:
        target = nnx.from_flat_state(wanted)
        restored = _flat(_load.load(path, target, step=step, item=item))
    else:
        restored = _selected(path, wanted, only, strict, mesh, step, item)
    state = nnx.from_flat_state(restored)
    if model is None or isinstance(model, nnx.State):
        return state
    nnx.update(model, state)
    return model


def abstract_state(
    path: AnyPath,
    only: Any = ...,
    *,
    mesh: Mesh | None = None,
    step: int | str | None = None,
    item: str = "",
) -> nnx.State:
    """The state that is stored, with `jax.ShapeDtypeStruct` in the place of arrays.

    No data are read. Arrays that JAX does not hold, numbers and texts are `treering.AbstractLeaf`.
    The result is a target for `load_model` and `treering.load`.

    Args:
        path, only, step, item: as for `load_model`.
        mesh: arrays get shardings over it, as with `load_model`.

    >>> save_model("net.ring", nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    >>> abstract_state("net.ring")["kernel"].get_value()
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """
    stored = _Stored(path, step, item)
    chosen = _chosen(stored.leaves, only)
    if mesh is not None:
        chosen = _laid_out(chosen, stored.specs(chosen), mesh)
    return nnx.from_flat_state(chosen)


def get_partition_spec(
    path: AnyPath, only: Any = ..., *, step: int | str | None = None, item: str = ""
) -> nnx.State:
    """How the stored arrays lay, or were declared to lie, over a mesh.

    No data are read. It is advice: `load_model` needs no mesh, and takes any.

    Args:
        path, only, step, item: as for `load_model`.

    Returns:
        What `nnx.get_partition_spec` gives of a state: Variables of `PartitionSpec`. That of an array
        that lay over several devices when it was saved is the one that it had; else the one of the
        Variable's `out_sharding`; else an empty one.

    >>> kernel = nnx.Param(jax.numpy.ones((2, 4)), out_sharding=(None, "model"), eager_sharding=False)
    >>> save_model("net.ring", nnx.State({"kernel": kernel}))
    >>> get_partition_spec("net.ring")["kernel"].get_value()
    PartitionSpec(None, 'model')
    """
    stored = _Stored(path, step, item)
    chosen = _chosen(stored.leaves, only)
    specs = stored.specs(chosen)
    return nnx.from_flat_state(
        {place: _with_value(leaf, specs[place]) for place, leaf in chosen.items()}
    )


# ---- the leaves of a model


def _flat(state: Any) -> dict[Path, Any]:
    return dict(nnx.to_flat_state(state))


def _leaves_of(model: Any) -> dict[Path, Any]:
    """The leaves by path; those that are reached by several paths are there under each."""
    if isinstance(model, nnx.State):
        return _flat(model)
    found = _flat(nnx.state(model))
    shared = [sorted(places, key=len) for places in nnx.find_duplicates(model)]
    for places in sorted(shared, key=lambda places: -len(places[0])):  # what is inside first
        for first in places:
            below = {p[len(first) :]: leaf for p, leaf in found.items() if p[: len(first)] == first}
            if below:
                break
        for place in places:
            if place[: len(first)] != first:  # else it contains itself
                found.update({place + rest: leaf for rest, leaf in below.items()})
    return found


def _chosen(leaves: dict[Path, Any], only: Any) -> dict[Path, Any]:
    wanted: Predicate = nnx.filterlib.to_predicate(only)
    return {place: leaf for place, leaf in leaves.items() if wanted(place, leaf)}


def _with_value(leaf: Any, value: Any) -> Any:
    """A Variable like `leaf` around another value; the value itself where there is no Variable."""
    if not isinstance(leaf, nnx.Variable):
        return value
    return type(leaf).from_metadata(value, leaf.get_metadata())


# ---- the leaves of a checkpoint


def _is_unit(node: Any) -> bool:
    return isinstance(node, (nnx.Variable, AbstractLeaf))


def _key(entry: Any) -> str | int:
    for name in ("key", "idx", "name"):
        if hasattr(entry, name):
            found: str | int = getattr(entry, name)
            return found
    raise TypeError(f"{entry!r} is no key of a tree")


def _units(tree: Any) -> tuple[list[tuple[Path, Any]], Any]:
    """(path and node of what a filter decides on, the tree's structure)."""
    pairs, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_unit)
    return [(tuple(map(_key, entries)), node) for entries, node in pairs], structure


class _Stored:
    """What a checkpoint has: `leaves`, abstract, by path, in the order of the tree."""

    def __init__(self, path: AnyPath, step: int | str | None, item: str) -> None:
        self.metadata = _metadata.metadata(path, step=step, item=item)
        units, self.structure = _units(self.metadata.tree)
        self._nodes = dict(units)
        made: dict[int, Any] = {}  # an alias is the leaf that it stands for, and one Variable here
        for _, node in units:
            if id(node) not in made:
                made[id(node)] = _abstract(node)
        self.leaves: dict[Path, Any] = {place: made[id(node)] for place, node in units}

    def specs(self, leaves: dict[Path, Any]) -> dict[Path, PartitionSpec]:
        """How these lay when they were saved, else how their Variables were declared."""
        found = {}
        for place, leaf in leaves.items():
            node = self._nodes[place]
            sharding = node.attributes.get("sharding") if isinstance(node, AbstractLeaf) else None
            if sharding and "mesh" in sharding:
                axes = [tuple(a) if isinstance(a, list) else a for a in sharding["spec"]]
                found[place] = PartitionSpec(*axes)
            else:
                found[place] = _declared(leaf)
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


def _struct(node: AbstractLeaf) -> jax.ShapeDtypeStruct:
    if node.kind != "prng_key":
        return jax.ShapeDtypeStruct(node.shape, node.dtype)
    impl = node.attributes["prng_impl"]
    if impl not in _KEY_DTYPES:
        _KEY_DTYPES[impl] = jax.eval_shape(lambda: jax.random.key(0, impl=impl)).dtype
    dtype = _KEY_DTYPES[impl]
    words = len(dtype._impl.key_shape)
    return jax.ShapeDtypeStruct(node.shape[: node.ndim - words], dtype)


# ---- shardings


def _declared(leaf: Any) -> PartitionSpec:
    spec = nnx.get_partition_spec(leaf)
    if isinstance(spec, nnx.Variable):
        spec = spec.get_raw_value()
    return spec if isinstance(spec, PartitionSpec) else PartitionSpec()


def _laid_out(
    leaves: dict[Path, Any], specs: dict[Path, PartitionSpec], mesh: Mesh
) -> dict[Path, Any]:
    """The leaves as abstract arrays over the mesh; what is no array of JAX stays."""
    made: dict[int, Any] = {}  # shared Variables stay shared
    for place, leaf in leaves.items():
        value = leaf.get_raw_value() if isinstance(leaf, nnx.Variable) else leaf
        if id(leaf) in made or not isinstance(value, (jax.Array, jax.ShapeDtypeStruct)):
            continue
        spec = _fitting(specs[place], value.shape, mesh)
        struct = jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=NamedSharding(mesh, spec))
        made[id(leaf)] = _with_value(leaf, struct)
    return {place: made.get(id(leaf), leaf) for place, leaf in leaves.items()}


def _fitting(spec: PartitionSpec, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """The spec without axes that the mesh has not, or that do not divide the shape."""
    result: list[Any] = []
    for size, axes in zip(shape, spec):
        names = [a for a in (axes if isinstance(axes, tuple) else (axes,)) if a in mesh.shape]
        parts = 1
        for name in names:
            parts *= mesh.shape[name]
        fits = names and size % parts == 0
        result.append((tuple(names) if len(names) > 1 else names[0]) if fits else None)
    return PartitionSpec(*result)


# ---- restoring a selection

_UNEXPECTED = object()


def _selected(
    path: AnyPath,
    wanted: dict[Path, Any] | None,
    only: Any,
    strict: bool,
    mesh: Mesh | None,
    step: int | str | None,
    item: str,
) -> dict[Path, Any]:
    """The restored leaves of a selection. The rest of the checkpoint is `...` in the target."""
    stored = _Stored(path, step, item)
    chosen = _chosen(stored.leaves, only)
    if wanted is None:
        wanted = chosen if mesh is None else _laid_out(chosen, stored.specs(chosen), mesh)
    leaves: list[Any] = []
    for place in stored.leaves:
        left_out = _UNEXPECTED if strict and place in chosen else ...
        leaves.append(wanted.get(place, left_out))
    tree = _as_target(jax.tree_util.tree_unflatten(stored.structure, leaves))
    if strict:
        for place, leaf in wanted.items():
            if place not in stored.leaves:
                _insert(tree, place, leaf)
    restored, _ = _units(_load.load(path, tree, step=stored.metadata.step, item=item))
    return {place: value for place, value in restored if value is not ...}


def _as_target(node: Any) -> Any:
    """The tree with dicts for its mappings, without what is unexpected."""
    if isinstance(node, Mapping):
        return {key: _as_target(child) for key, child in node.items() if child is not _UNEXPECTED}
    if isinstance(node, (list, tuple)):
        children = [None if child is _UNEXPECTED else _as_target(child) for child in node]
        return type(node)._make(children) if hasattr(node, "_fields") else type(node)(children)
    return node


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
    shown = "/".join(map(display, place))
    error = StructureMismatchError(
        f"'{shown}' is wanted, and the checkpoint has no place for it",
        status=lib.TREERING_MISMATCH_STRUCTURE,
    )
    error.missing = [shown]
    raise error

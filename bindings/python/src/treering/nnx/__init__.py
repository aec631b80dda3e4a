# SPDX-License-Identifier: Apache-2.0
# Flax NNX: models, optimizers and states to and from checkpoints, whole or by filters.
"""Save and load Flax NNX models, optimizers and states.

    >>> import treering.nnx as tnx
    >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    >>> tnx.save_model("net.ring", model)
    >>> model = tnx.load_model("net.ring", model)  # into this model, in place
    >>> abstract = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    >>> model = tnx.load_model("net.ring", abstract)  # memory is taken now, once
    >>> state = tnx.load_model("net.ring")  # without the code: an nnx.State
    >>> params = tnx.load_model("net.ring", only=nnx.Param)  # reads no more than these

What is stored is `nnx.state(model)`: each Variable with its type, the names of its base types and
its metadata. One that the model reaches by several paths is stored once; the other paths are there
too and refer to it. `model` is anything that has a state: a module, an `nnx.Optimizer` (or a dict
or tuple of both), `nnx.Rngs`, or an `nnx.State` itself.

Filters are those of NNX: a Variable type, a tag, `nnx.PathContains`, `nnx.All`, `nnx.Any`,
`nnx.Not`, a list (any of them), a function of (path, leaf), `...` for everything. Of a checkpoint
they see its Variables with `jax.ShapeDtypeStruct` in the place of arrays; a type that the program
has not imported is there as the nearest base type that it has.
"""

from __future__ import annotations

from typing import Any

from flax.nnx import State
from jax.sharding import Mesh

from .. import _load, _save
from .._errors import StructureMismatchError
from .._opening import AnyPath
from .._progress import Progress
from ._leaves import Stored, chosen_of, flat, leaves_of, units_of
from ._layout import Path, declared, laid_out, nnx, with_value
from ._target import target_of, add_hint

__all__ = ["abstract_state", "get_partition_spec", "load_model", "save_model"]


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
    found = {place: leaf for place, leaf in leaves_of(model).items() if wanted(place, leaf)}
    _save.save(path, nnx.from_flat_state(found), **options)


def load_model(
    path: AnyPath,
    model: Any = None,
    only: Any = ...,
    *,
    partial: bool = False,
    cast: str = "never",
    mesh: Mesh | None = None,
    step: int | str | None = None,
    item: str = "",
    progress: Progress = None,
) -> Any:
    """Restores a model from a checkpoint, or what is stored of one.

    Only leaves that the filter selects are read. A model is changed when all of them have been read
    and verified, and else not at all; Variables keep their own metadata. For an abstract model, of
    `nnx.eval_shape`, each array is allocated once, where it is to stay.

    Args:
        path: a checkpoint file, or a manager's directory.
        model: what to restore into: see `save_model`. None: the code is not needed.
        only: a filter. It is asked both of what `model` has and of what is stored.
        partial: False: what is selected of the model and of the checkpoint has to agree. True: what
            the checkpoint has not stays as it is, and what the model has not is left out; shapes
            and dtypes have to agree in any case.
        mesh: arrays are laid out over it as their Variables' `out_sharding` says; without a model,
            as they lay when they were saved, where the mesh has such axes and they divide the
            shape.
        cast, step, item, progress: as for `treering.load`.

    With a model, a checkpoint may also be as Orbax writes the state of one, which
    `python -m treering import` brings over: an int key may be stored as its text, and a Variable
    as {"value": its value}, where nothing else is stored for it.

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
    arguments: dict[str, Any] = {"cast": cast, "item": item, "progress": progress}
    whole = only is ... and not partial
    if model is None:
        if whole and mesh is None and cast == "never":
            tree = _load.load(path, step=step, **arguments)
            return tree if isinstance(tree, nnx.State) else nnx.from_flat_state(units_of(tree)[0])
        stored = Stored(path, step, item)
        chosen = chosen_of(stored.leaves, only)
        wanted = chosen if mesh is None else laid_out(chosen, stored.specs(chosen), mesh)
        return nnx.from_flat_state(_part(path, stored, wanted, chosen, partial, arguments))
    restored = _like(path, model, only, partial, mesh, step, arguments)
    if isinstance(model, nnx.State):
        return restored
    nnx.update(model, restored)
    return model


def _like(
    path: AnyPath,
    model: Any,
    only: Any,
    partial: bool,
    mesh: Mesh | None,
    step: int | str | None,
    arguments: dict[str, Any],
) -> Any:
    """The state to put into a model, or to give for a State."""
    whole = only is ... and not partial
    mismatch = None
    if whole and mesh is None and isinstance(model, nnx.State):
        try:
            return _load.load(path, model, step=step, **arguments)
        except StructureMismatchError as error:
            mismatch = error
    leaves = leaves_of(model)
    wanted = chosen_of(leaves, only)
    if mesh is not None:
        specs = {place: declared(leaf) for place, leaf in wanted.items()}
        wanted = laid_out(wanted, specs, mesh, stacklevel=4)
    several = False
    if whole and mismatch is None:
        try:
            return _load.load(path, nnx.from_flat_state(wanted), step=step, **arguments)
        except StructureMismatchError as error:
            mismatch = error
            several = len(set(map(id, wanted.values()))) < len(wanted)
    stored = Stored(path, step, arguments["item"], leaves)
    # Worth another trial where the checkpoint may have one name of what the model has under several,
    # or the names that Orbax gives.
    try:
        if mismatch is not None and not several and not stored.renamed:
            raise mismatch
        chosen = chosen_of(stored.leaves, only)
        return nnx.from_flat_state(_part(path, stored, wanted, chosen, partial, arguments))
    except StructureMismatchError as error:
        add_hint(error, stored, wanted)
        raise


def _part(
    path: AnyPath,
    stored: Stored,
    wanted: dict[Path, Any],
    chosen: dict[Path, Any],
    partial: bool,
    arguments: dict[str, Any],
) -> dict[Path, Any]:
    """Loads what is wanted. Unless `partial`, it has to agree with what is chosen of the stored."""
    target = target_of(stored, wanted, None if partial else chosen)
    tree = _load.load(path, target, step=stored.metadata.step, **arguments)
    units = units_of(tree)[0]
    return {stored.renamed.get(p, p): value for p, value in units if value is not ...}


def abstract_state(
    path: AnyPath,
    only: Any = ...,
    *,
    mesh: Mesh | None = None,
    step: int | str | None = None,
    item: str = "",
) -> State[Any, Any]:
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
    stored = Stored(path, step, item)
    chosen = chosen_of(stored.leaves, only)
    if mesh is not None:
        chosen = laid_out(chosen, stored.specs(chosen), mesh)
    state: State[Any, Any] = nnx.from_flat_state(chosen)
    return state


def get_partition_spec(
    path: AnyPath, only: Any = ..., *, step: int | str | None = None, item: str = ""
) -> State[Any, Any]:
    """How the stored arrays lay, or were declared to lie, over a mesh.

    No data are read. It is advice: `load_model` needs no mesh, and takes any.

    Args:
        path, only, step, item: as for `load_model`.

    Returns:
        What `nnx.get_partition_spec` gives of a state: Variables of `PartitionSpec`. That of an
        array that lay over several devices when it was saved is the one that it had; else the one
        of the Variable's `out_sharding`; else an empty one.

    >>> import jax.numpy as jnp
    >>> kernel = nnx.Param(jnp.ones((2, 4)), out_sharding=(None, "model"), eager_sharding=False)
    >>> save_model("net.ring", nnx.State({"kernel": kernel}))
    >>> tuple(get_partition_spec("net.ring")["kernel"].get_value())
    (None, 'model')
    """
    stored = Stored(path, step, item)
    chosen = chosen_of(stored.leaves, only)
    specs = stored.specs(chosen)
    leaves = {place: with_value(leaf, specs[place]) for place, leaf in chosen.items()}
    state: State[Any, Any] = nnx.from_flat_state(leaves)
    return state

# SPDX-License-Identifier: Apache-2.0
# load and its relatives: from the items of a container to checkpointables.
from __future__ import annotations

from typing import Any

import treering

from .. import _custom, _handling, _walk
from .._log import logger
from . import _files, _leaves, _paths, errors, handlers
from ._context import get_context
from ._metadata import CheckpointMetadata
from ._native import PyTreeHandler, is_native
from ._response import AsyncResponse, Running
from ._saving import RESERVED, STATE
from .options import CheckpointLayout

AUTO = "AUTO"
PLACEHOLDER: Any = ...


def check_layout() -> None:
    """Raises NotImplementedError for a layout that is not read here."""
    if get_context().checkpoint_layout is CheckpointLayout.SAFETENSORS:
        raise treering.UnsupportedError("files of safetensors are not read by treering.orbax")


def check_name(name: Any) -> None:
    """Raises ValueError for a name that no pytree can have."""
    if name == "":
        raise ValueError("a checkpointable's name must not be empty")
    if name is not None and name != AUTO and name in RESERVED:
        raise ValueError(f"the name {name!r} is reserved")


def check_abstract_state(abstract: Any) -> None:
    """Raises TypeError for a leaf of a target that says nothing."""
    for path, leaf in _walk.leaves(abstract):
        if not _leaves.is_abstract_leaf(leaf):
            raise TypeError(
                f"Unsupported abstract leaf type for loading: {type(leaf)} at '{_walk.text(path)}'; give "
                "arrays, jax.ShapeDtypeStruct, numbers, texts, their types, or ... to leave it out"
            )


def check_abstract_checkpointables(abstract: Any) -> None:
    """Raises ValueError for anything but a dict by usable names, or None."""
    if abstract is None:
        return
    if not isinstance(abstract, dict):
        raise ValueError(f"abstract_checkpointables is a dict by name, and not {type(abstract)}")
    if "" in abstract:
        raise ValueError("a checkpointable's name must not be empty")
    reserved = sorted(abstract.keys() & RESERVED)
    if reserved:
        raise ValueError(f"these names of checkpointables are reserved: {', '.join(reserved)}")


def load(path: Any, abstract_state: Any = None, *, checkpointable_name: str | None = AUTO) -> Any:
    """Loads a pytree.

    Args:
        path: what `save` was given, or `<directory>/<step>` of a Checkpointer's directory.
        abstract_state: the structure of the result, with a leaf for each stored one: an array or
            jax.ShapeDtypeStruct (shape must agree; dtype and sharding are made so), a number or its
            type, a text, or PLACEHOLDER (`...`) to leave the leaf out. Or a CheckpointMetadata. None:
            exactly what was saved.
        checkpointable_name: "AUTO": "state" if there is one, else the first pytree by name. None:
            `path` names the pytree itself, `<checkpoint>/<name>`.

    Raises:
        InvalidLayoutError: (a ValueError) there is no checkpoint, or no pytree of that name in it.
        StructureMismatchError: (a ValueError) structures or shapes do not agree.
        TypeError: a leaf of the target that says nothing.
        CorruptionError: (an OSError) the checkpoint is damaged.
    """
    if isinstance(abstract_state, CheckpointMetadata):
        abstract_state = abstract_state.metadata
    check_name(checkpointable_name)
    check_abstract_state(abstract_state)
    check_layout()
    place = _paths.open_checkpoint(path)
    name = pytree_name(place, checkpointable_name)
    handler = _handler(place, name, abstract_state)
    return load_item(handler, place.at(name), abstract_state)


def pytree_name(place: _handling.Place, wanted: str | None) -> str:
    """The name of the pytree that is meant.

    Raises:
        NoSuchPyTreeError: (an InvalidLayoutError and a KeyError) there is none.
    """
    trees = [name for name in place.item_names() if place.at(name).kind() == "tree"]
    if wanted is None or wanted == AUTO:
        if place.item is not None:
            found: str | None = place.item if place.item in trees else None
        elif wanted is None:
            found = trees[0] if trees == ["default"] else None
        else:
            found = STATE if STATE in trees else min(trees, default=None)
    else:
        found = wanted if wanted in trees and place.item in (None, wanted) else None
    if found is None:
        what = "no pytree" if wanted in (None, AUTO) else f"no pytree {wanted!r}"
        raise errors.NoSuchPyTreeError(f"{place.file} has {what}; it has {trees or 'none at all'}")
    return found


def _handler(place: _handling.Place, name: str, abstract: Any) -> Any:
    registry = get_context().checkpointables.registry
    found = place.at(name)
    recorded = found.typestr()
    if found.kind() == "tree" and recorded is None:
        recorded = handlers.typestr(PyTreeHandler)
    elif found.kind() == "json" and recorded is None:
        recorded = handlers.typestr(handlers.JsonHandler)
    try:
        return handlers.resolve_for_load(registry, abstract, name, recorded)
    except handlers.NoEntryError as error:
        if not registry.has(STATE):
            raise
        logger.warning("%s; it is taken for a pytree", error)
        return registry.get(STATE)()


def load_item(handler: Any, place: _handling.Place, abstract: Any) -> Any:
    """One checkpointable by its handler."""
    if is_native(handler) and place.kind() != "files":
        if place.kind() == "tree" and not isinstance(handler, PyTreeHandler):
            handler = PyTreeHandler()  # what is stored says more than the name
        if place.kind() != "tree" and isinstance(handler, PyTreeHandler) and abstract is not None:
            raise ValueError(f"{place.item!r} is a document and no tree; load it without a target")
        return handler.from_item(place, abstract)
    with _custom.laid_out(place, _handling.LAID_OUT) as folder:
        return _files.run(handler.load(folder, abstract))


def load_checkpointables(path: Any, abstract_checkpointables: Any = None) -> dict[str, Any]:
    """Loads objects by name.

    Args:
        path: as of `load`.
        abstract_checkpointables: a dict from the names that are wanted to what each is to be loaded
            into (None: as it was saved), or a CheckpointMetadata. None: everything.

    Raises:
        CheckpointableNotFoundError: (a KeyError) there is none of a name.
        NoEntryError: (a KeyError) nothing handles one, or loading one failed; then the exception is of
            the class of what went wrong as well, and caused by it.
        InvalidLayoutError: (a ValueError) there is no checkpoint.
    """
    if isinstance(abstract_checkpointables, CheckpointMetadata):
        abstract_checkpointables = abstract_checkpointables.metadata
    check_abstract_checkpointables(abstract_checkpointables)
    check_layout()
    return load_all(_paths.open_checkpoint(path), abstract_checkpointables)


def load_all(place: _handling.Place, abstract: dict[str, Any] | None) -> dict[str, Any]:
    """The checkpointables of an open checkpoint; see `load_checkpointables`."""
    names = place.item_names()
    wanted = dict(abstract) if abstract else {name: None for name in names if name not in RESERVED}
    missing = [name for name in wanted if name not in names]
    if missing:
        raise errors.CheckpointableNotFoundError(f"{place.file} has no {missing}; it has {names}")
    chosen = {name: _handler(place, name, value) for name, value in wanted.items()}
    loaded = {}
    for name, value in wanted.items():
        try:
            loaded[name] = load_item(chosen[name], place.at(name), value)
        except Exception as error:
            message = f"Failed to load checkpointable {name!r} by {type(chosen[name]).__name__}: {error}"
            raise errors.joined(handlers.NoEntryError, error, message) from error
    return loaded


def load_async(
    path: Any, abstract_state: Any = None, *, checkpointable_name: str | None = AUTO
) -> AsyncResponse[Any]:
    """As `load`, on a thread in the background, with the Context of here."""
    return Running(
        lambda: load(path, abstract_state, checkpointable_name=checkpointable_name), f"loading {path}"
    )


def load_checkpointables_async(
    path: Any, abstract_checkpointables: Any = None
) -> AsyncResponse[dict[str, Any]]:
    """As `load_checkpointables`, on a thread in the background, with the Context of here."""
    return Running(lambda: load_checkpointables(path, abstract_checkpointables), f"loading {path}")

# SPDX-License-Identifier: Apache-2.0
# Handlers and arguments for trees and single arrays.
"""Handlers of trees (Standard, PyTree) and of single arrays; and their arguments."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import jax
import numpy as np
import treering

from .._nodes import json_text
from . import _restoring, _wanted
from ._custom import BuiltInHandler
from ._storing import cast, storable
from ._walk import text
from .checkpoint_args import CheckpointArgs, register_with_handler
from .metadata import TreeMetadata
from .metadata.tree import of_tree
from .type_handlers import RestoreArgs

# What Orbax's constructors take besides; the format makes all of it pointless.
_WITHOUT_EFFECT = frozenset(
    "save_concurrent_gb restore_concurrent_gb save_device_host_concurrent_gb memory_limit_options "
    "use_ocdbt use_zarr3 use_compression multiprocessing_options type_handler_registry "
    "handler_impl pytree_metadata_options array_metadata_validator enable_pinned_host_transfer "
    "is_prioritized_key_fn enable_post_merge_validation metadata_key primary_host".split()
)


def _only_known(cls: type, options: dict[str, Any]) -> None:
    unknown = set(options) - _WITHOUT_EFFECT
    if unknown:
        raise TypeError(f"{cls.__name__} has no option {sorted(unknown)[0]!r}")


def _bare(value: Any) -> Any:
    """The tree of a TreeMetadata."""
    return value.tree if isinstance(value, TreeMetadata) else value


def _tree_record(custom_metadata: Any) -> dict[str, Any]:
    if custom_metadata is None:
        return {}
    json_text(custom_metadata, "custom_metadata")
    return {"custom_metadata": custom_metadata}


class _TreeHandler(BuiltInHandler):
    """What handlers of trees share."""

    def __init__(self, **options: Any) -> None:
        _only_known(type(self), options)

    def to_value(self, args: Any) -> tuple[Any, dict[str, Any]]:
        if args.item is None:
            raise ValueError("Must provide item to save.")
        return storable(args.item, args.save_args), _tree_record(args.custom_metadata)

    def describe(self, place: Any) -> Any:
        if place.kind() != "tree":
            return None
        tree = of_tree(place.abstract(), place.file)
        return TreeMetadata(tree=tree, custom_metadata=place.details.get("custom_metadata"))


class PyTreeCheckpointHandler(_TreeHandler):
    """Saves and restores any pytree; RestoreArgs say of each leaf what it is to be.

    Args:
        aggregate_filename, options: as in Orbax; they change nothing here.
    """

    def __init__(self, aggregate_filename: str | None = None, **options: Any) -> None:
        super().__init__(**options)

    def from_place(self, place: Any, args: PyTreeRestoreArgs) -> Any:
        if place.kind() != "tree":
            if args.item is not None:
                raise ValueError(
                    f"item {place.item!r} is a document, no tree; restore it without item"
                )
            return place.load()
        if args.legacy_transform_fn is not None:
            raise treering.UnsupportedError(
                "legacy_transform_fn works on the insides of Orbax; use transforms"
            )
        if args.transforms is not None:
            default = args.transforms_default_to_original
            return _restoring.transformed(
                place, args.item, args.transforms, args.restore_args, default
            )
        if args.item is None and args.restore_args is None:
            return _restoring.as_saved(place)
        if args.item is None:
            return _restoring.with_args(place, args.restore_args)
        given = {} if args.restore_args is None else _restoring.args_by_path(args.restore_args)

        def wanted(path: Any, leaf: Any) -> Any:
            return _wanted.of_restore_args(leaf if leaf is ... else given.get(path))

        return _restoring.into_target(place, args.item, wanted, args.partial_restore)


class StandardCheckpointHandler(_TreeHandler):
    """Saves and restores trees; the target says what each leaf is to be.

    Args:
        options: as in Orbax; they change nothing here.
    """

    def to_value(self, args: Any) -> tuple[Any, dict[str, Any]]:
        if isinstance(args.item, (jax.Array, numbers.Number, np.ndarray)):
            raise ValueError(
                "StandardCheckpointHandler / StandardSave does not support single arrays or "
                "scalars. Use ArrayCheckpointHandler / ArraySave"
            )
        return super().to_value(args)

    def from_place(self, place: Any, args: StandardRestoreArgs) -> Any:
        fallback = args.fallback_sharding
        if place.kind() != "tree":
            raise ValueError(f"item {place.item!r} is a document, no tree; use args.JsonRestore")
        if args.item is None:
            return _restoring.as_saved(place, fallback)

        def wanted(path: Any, leaf: Any) -> Any:
            found = _wanted.of_target(leaf, text(path))
            return dataclasses.replace(found, strict=args.strict, fallback=fallback)

        return _restoring.into_target(place, args.item, wanted)


class ArrayCheckpointHandler(BuiltInHandler):
    """Saves and restores one array or number.

    Args:
        checkpoint_name: as in Orbax; changes nothing here.
    """

    def __init__(self, checkpoint_name: str | None = None) -> None:
        pass

    def to_value(self, args: ArraySaveArgs) -> tuple[Any, dict[str, Any]]:
        if not isinstance(
            args.item, (bool, int, float, complex, np.generic, np.ndarray, jax.Array)
        ):
            raise TypeError(f"Unsupported type: {type(args.item)}.")
        value = storable(args.item)
        dtype = None if args.save_args is None else args.save_args.dtype
        return (value if dtype is None else cast(value, dtype)), {}

    def from_place(self, place: Any, args: ArrayRestoreArgs) -> Any:
        if args.restore_args is None:
            return _restoring.as_saved(place)
        return _restoring.with_args(place, args.restore_args)

    def describe(self, place: Any) -> Any:
        return of_tree(place.abstract(), place.file)


@register_with_handler(PyTreeCheckpointHandler, for_save=True)
@dataclasses.dataclass
class PyTreeSaveArgs(CheckpointArgs):
    """What to save as a tree.

    Attributes:
        item: a pytree.
        save_args: a tree like it of SaveArgs, or None.
        ocdbt_target_data_file_size: changes nothing here.
        custom_metadata: a JSON value that `TreeMetadata.custom_metadata` gives back.

    Raises:
        ValueError: `item` is the metadata of a tree.
    """

    item: Any
    save_args: Any = None
    ocdbt_target_data_file_size: int | None = None
    custom_metadata: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.item, TreeMetadata):
            raise ValueError("Cannot save TreeMetadata.")


@register_with_handler(StandardCheckpointHandler, for_save=True)
@dataclasses.dataclass
class StandardSaveArgs(CheckpointArgs):
    """What to save as a tree; attributes as those of PyTreeSaveArgs."""

    item: Any
    save_args: Any = None
    custom_metadata: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.item, TreeMetadata):
            raise ValueError("Cannot save TreeMetadata.")


@register_with_handler(PyTreeCheckpointHandler, for_restore=True)
@dataclasses.dataclass
class PyTreeRestoreArgs(CheckpointArgs):
    """How to restore a tree.

    Attributes:
        item: the structure of the result; None: as saved. Its leaves say nothing, but for
            PLACEHOLDER, which leaves one out.
        restore_args: a tree of RestoreArgs like `item`, or like the stored tree; None: as saved.
        transforms, transforms_default_to_original: see `transform_utils`.
        legacy_transform_fn: not supported.
        partial_restore: True: only what `item` names.
    """

    item: Any = None
    restore_args: Any = None
    transforms: Any = None
    transforms_default_to_original: bool = True
    legacy_transform_fn: Any = None
    partial_restore: bool = False

    def __post_init__(self) -> None:
        self.item, self.restore_args = _bare(self.item), _bare(self.restore_args)
        self.transforms = _bare(self.transforms)


@register_with_handler(StandardCheckpointHandler, for_restore=True)
@dataclasses.dataclass
class StandardRestoreArgs(CheckpointArgs):
    """How to restore a tree.

    Attributes:
        item: a tree of arrays, jax.ShapeDtypeStruct, metadata, numbers, texts, PLACEHOLDER: the
            result has its structure, dtypes and shardings; None: as saved. A ShapeDtypeStruct
            without a sharding is what was saved: a jax.Array, or a NumPy array.
        strict: False: arrays of other shapes are cut, and filled up with zeros.
        support_layout: changes nothing; a Format as sharding is taken in any case.
        fallback_sharding: for arrays whose saved sharding needs more devices than there are.
    """

    item: Any = None
    strict: bool = True
    support_layout: bool = False
    fallback_sharding: Any = None

    def __post_init__(self) -> None:
        self.item = _bare(self.item)


@register_with_handler(ArrayCheckpointHandler, for_save=True)
@dataclasses.dataclass
class ArraySaveArgs(CheckpointArgs):
    """One array or number to save, and SaveArgs for it or None."""

    item: Any
    save_args: Any = None


@register_with_handler(ArrayCheckpointHandler, for_restore=True)
@dataclasses.dataclass
class ArrayRestoreArgs(CheckpointArgs):
    """How to restore one array: by RestoreArgs, or as saved; `item` changes nothing."""

    item: Any = None
    restore_args: RestoreArgs | None = None

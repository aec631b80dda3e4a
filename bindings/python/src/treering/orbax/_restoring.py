# SPDX-License-Identifier: Apache-2.0
# Restoring trees: which stored leaf belongs to which leaf of a target, and reading only those.
"""From a stored tree to the tree that was asked for.

A target's leaf and a stored one belong together if their paths are the same; failing that, if the
texts of their paths are, and no other's (an int key finds its text, as in targets made for
Orbax, and a position in a list the int key that the state of an nnx.List has). A Variable's value
may be named with and without its last component "value".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import treering

from . import _wanted
from ._handling import Place
from ._leaf_handlers import is_record
from ._walk import Path, empty_nodes, leaves, map_leaves, parts, text
from ._wanted import Wanted
from .metadata import Metadata
from .transform_utils import apply_transformations, keyed, transform_of
from .type_handlers import PLACEHOLDER, RestoreArgs, is_placeholder

_SHOWN = 20  # differences in a message
_WITHOUT_DATA = (jax.ShapeDtypeStruct, Metadata, treering.AbstractLeaf, type)


def _as_text(path: Path) -> Path:
    return tuple(part if isinstance(part, tuple) else str(part) for part in path)


class _Empty:
    def __repr__(self) -> str:
        return "an empty container or None"


_EMPTY = _Empty()


class Stored:
    """The leaves of a stored tree, by path.

    Attributes:
        abstract: the tree of `treering.AbstractLeaf`.
        leaves: the leaves by path.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.abstract = place.abstract()
        self.leaves: dict[Path, Any] = dict(leaves(self.abstract))
        self._alike: dict[Path, list[Path]] = {}
        for path in self.leaves:
            for text_path in {_as_text(path), parts(path)}:
                self._alike.setdefault(text_path, []).append(path)

    def find(self, path: Path) -> Path | None:
        """The stored path that a path means, or None."""
        if path in self.leaves:
            return path
        for text_path in (_as_text(path), parts(path)):
            alike = self._alike.get(text_path, ())
            if len(alike) == 1:
                return alike[0]
        if path and path[-1] == "value":
            found = self.find(path[:-1])
            if found is not None and "variable_type" in attributes_of(self.leaves[found]):
                return found
        return None

    def load(self, wanted: dict[Path, Wanted]) -> dict[Path, Any]:
        """The values of the stored leaves in `wanted`; no others are read."""
        if not wanted:
            return {}

        def leaf(path: Path, found: Any) -> Any:
            return _wanted.direct(found, wanted[path]) if path in wanted else PLACEHOLDER

        return dict(leaves(self.place.load(map_leaves(self.abstract, leaf))))


def attributes_of(leaf: Any) -> dict[str, Any]:
    """A stored leaf's attributes; one that a handler wrote has none."""
    return getattr(leaf, "attributes", {})


def as_saved(place: Place, fallback: Any = None) -> Any:
    """The tree as it was saved, arrays over several devices with the sharding that they had.

    Raises:
        ValueError: there are fewer devices, and no `fallback` sharding is given.
    """
    stored = Stored(place)
    shardings = {
        path: _wanted.saved_sharding(leaf, fallback)
        for path, leaf in stored.leaves.items()
        if "mesh" in (attributes_of(leaf).get("sharding") or {})
    }
    special = {path for path, leaf in stored.leaves.items() if is_record(leaf)} | set(shardings)
    value = place.load()
    if not special:
        return value

    def placed(path: Path, leaf: Any) -> Any:
        found = stored.find(path)
        if found is None or found not in special:
            return leaf
        about = stored.leaves[found]
        wanted = Wanted(fallback=fallback)  # arrays find their sharding; nobody asked for it
        if getattr(about, "kind", None) == "prng_key":
            wanted.sharding = shardings.get(found)
        return _wanted.convert(leaf, about, wanted, text(path))

    return map_leaves(value, placed)


def with_args(place: Place, restore_args: Any) -> Any:
    """The tree in the structure that it was saved in, each leaf by its RestoreArgs.

    Raises:
        ValueError: arguments for leaves that are not there, or that do not fit.
    """
    stored = Stored(place)
    by_path: dict[Path | None, Wanted] = {}
    for path, args in leaves(restore_args):
        found = stored.find(path)
        if found is None:
            raise _mismatch([], [(path, args)])
        by_path[found] = _wanted.of_restore_args(args)

    def converted(path: Path, leaf: Any) -> Any:
        found = stored.find(path)
        wanted = by_path.get(found, Wanted())
        if found is None or is_placeholder(wanted.kind):
            return PLACEHOLDER if found is not None else leaf
        return _wanted.convert(leaf, stored.leaves[found], wanted, text(path))

    return map_leaves(place.load(), converted)


def into_target(
    place: Place, target: Any, wanted_of: Callable[[Path, Any], Wanted], partial: bool = False
) -> Any:
    """The target's structure with stored values.

    Args:
        place: the item.
        target: any pytree.
        wanted_of: from (path, leaf of the target) to what is wanted of it.
        partial: True: stored leaves that the target lacks are left out, and leaves of the target
            that are not stored stay as they are, with a warning.

    Raises:
        StructureMismatchError: (a ValueError) one has leaves, or empty containers, that the other
            lacks.
        ValueError: a leaf cannot be what the target wants.
    """
    stored = Stored(place)
    found: dict[Path, Path] = {}
    wanted: dict[Path, Wanted] = {}
    extra: list[tuple[Path, Any]] = []
    for path, leaf in leaves(target):
        at = stored.find(path)
        if at is None:
            extra.append((path, leaf))
            continue
        found[path] = at
        wanted[path] = wanted_of(path, leaf)
    used = set(found.values())
    missing = [] if partial else [(p, leaf) for p, leaf in stored.leaves.items() if p not in used]
    if (
        not partial
    ):  # of empty containers, only the place counts: one target has () for another's {}
        theirs, mine = ({parts(p): p for p in empty_nodes(t)} for t in (stored.abstract, target))
        missing += [(path, _EMPTY) for name, path in theirs.items() if name not in mine]
        extra += [(path, _EMPTY) for name, path in mine.items() if name not in theirs]
    lost = [(path, leaf) for path, leaf in extra if not partial or isinstance(leaf, _WITHOUT_DATA)]
    if missing or lost:
        raise _mismatch(missing, lost)
    if extra:
        names = ", ".join(text(path) for path, _ in extra[:_SHOWN])
        warnings.warn(f"not in the checkpoint, and left as they are: {names}", stacklevel=6)
    values = _read(stored, found, wanted)
    return map_leaves(target, lambda path, leaf: values.get(path, leaf))


def _read(stored: Stored, found: dict[Path, Path], wanted: dict[Path, Wanted]) -> dict[Path, Any]:
    """By path of the target: the values."""
    values: dict[Path, Any] = {}
    needed: dict[Path, Wanted] = {}
    for path, want in wanted.items():
        if is_placeholder(want.kind):
            values[path] = PLACEHOLDER
        else:
            needed[found[path]] = want
    loaded = stored.load(needed)
    for path, want in wanted.items():
        if path not in values:
            at = found[path]
            leaf = stored.leaves[at]
            value = _wanted.converted(loaded[at], leaf, _plain_key(want, leaf), text(path))
            values[path] = _wanted.wrapped_as_key(value, want)
    _wanted.place_all(values)
    return values


def _plain_key(want: Wanted, leaf: Any) -> Wanted:
    """Where typed keys are wanted and plain words stored, the words are wanted as they are."""
    plain = want.key is not None and getattr(leaf, "kind", None) == "array"
    return Wanted() if plain else want


def _mismatch(missing: list[Any], extra: list[Any]) -> treering.StructureMismatchError:
    """`missing`: stored, and not in the target; `extra`: the other way round."""
    lines = [f"{text(p)}: Source: MISSING, Target: {leaf!r}" for p, leaf in missing]
    lines += [f"{text(p)}: Source: {leaf!r}, Target: MISSING" for p, leaf in extra]
    shown = "\n".join(f"  {line}" for line in lines[:_SHOWN])
    more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    error = treering.StructureMismatchError(
        f"User-provided restore item and on-disk tree structures do not match (Source is the one "
        f"given, Target the one on disk):\n{shown}{more}\n"
        "PLACEHOLDER (...) leaves a leaf out; partial_restore=True reads what the item names"
    )
    error.missing = [text(path) for path, _ in extra]
    error.unexpected = [text(path) for path, _ in missing]
    return error


def transformed(
    place: Place, target: Any, transforms: Any, restore_args: Any, default: bool
) -> Any:
    """The target's structure with values that transforms take from the stored tree.

    Args:
        place: the item.
        target: the result's structure, and the values of keys that come from nowhere else.
        transforms: a tree of Transform.
        restore_args: RestoreArgs by key of the result.
        default: `default_to_original` of `apply_transformations`.

    Raises:
        ValueError: no target, or no restore_args; a key that a transform needs is not stored; a `multi_value_fn` that
            does not say by `multi_value_fn_input_args` what it needs.
    """
    if target is None:
        raise ValueError("transforms need an item: the structure of the result")
    if restore_args is None:
        raise ValueError("transforms need restore_args, as a tree like the item")
    stored = Stored(place)
    rules = keyed(transforms)
    args = keyed(restore_args)
    by_key = {text(path): path for path in stored.leaves}
    needed = _inputs(rules, args, list(keyed(target)), by_key, default)
    loaded = stored.load(needed)
    original = map_leaves(
        stored.abstract,
        lambda path, leaf: (
            _wanted.convert(loaded[path], leaf, needed[path], text(path))
            if path in needed
            else PLACEHOLDER
        ),
    )
    for key, rule in rules.items():
        if rule.multi_value_fn is not None:
            rules[key] = _with_args(rule, args)
    return apply_transformations(original, rules, target, default)


def _with_args(rule: Any, args: dict[str, Any]) -> Any:
    from .transform_utils import Transform

    function = rule.multi_value_fn
    return Transform(
        multi_value_fn=lambda key, tree: function(key, tree, args.get(key, RestoreArgs()))
    )


def _inputs(
    rules: dict[str, Any],
    args: dict[str, Any],
    keys: list[str],
    by_key: dict[str, Path],
    default: bool,
) -> dict[Path, Wanted]:
    """The stored leaves that the result needs, and as what."""
    import re

    needed: dict[Path, Wanted] = {}
    for key in keys:
        found = transform_of(key, rules)
        if found is None:
            source = key if default else None
        elif found[0].multi_value_fn is not None:
            source = None
            inputs = getattr(found[0], "multi_value_fn_input_args", None)
            if inputs is None:
                raise ValueError(
                    f"{key}: multi_value_fn needs multi_value_fn_input_args (RestoreTransform)"
                )
            for expression, input_args in inputs.items():
                for stored_key, path in by_key.items():
                    if re.fullmatch(expression, stored_key):
                        needed[path] = _wanted.of_restore_args(input_args)
        elif found[0].use_fallback:
            source = None if default else key
        else:
            rename = found[0].original_key
            source = key if rename is None else found[1].expand(rename)
        if source is not None and source in by_key:
            needed.setdefault(by_key[source], _wanted.of_restore_args(args.get(key)))
    return needed


def args_by_path(restore_args: Any) -> dict[Path, Any]:
    """RestoreArgs by path."""
    return dict(leaves(restore_args))

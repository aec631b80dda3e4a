# SPDX-License-Identifier: Apache-2.0
# What a folder of Orbax's is: a manager's root with steps, a step with items, an item.
#
# Orbax keeps no list of what it wrote, so the folders' content decides. What is temporary or parked is
# left out by its name; nothing is ever changed.
from __future__ import annotations

import os
import re
from typing import Any

from .._errors import InvalidArgumentError, PathNotFoundError
from .._ffi import lib
from ._bytes import file_size, read_json
from ._faults import damaged, missing

TREE, JSON, KEY, STATE, OPAQUE = "tree", "json", "jax key", "numpy state", "opaque"
_STEP = re.compile(r"(?:.*_)?([0-9]{1,19})\Z", re.DOTALL)
_TREE_FILES = ("_METADATA", "manifest.ocdbt")
_JSON_FILES = ("metadata", "data.json", "metrics")
_MARKERS = ("commit_success.txt", "orbax.checkpoint")


def _has(folder: str, name: str) -> bool:
    return file_size(os.path.join(folder, name)) is not None


def _folders(folder: str) -> list[str]:
    """Names of what lies in a folder and is a folder, but for what is temporary."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return sorted(n for n in names if ".orbax-checkpoint-tmp" not in n and ".partial_save" not in n)


def item_kind(folder: str) -> str | None:
    """What kind of item a folder holds; None: it does not look like one."""
    if any(_has(folder, name) for name in (*_TREE_FILES, ".zarray", "zarr.json")):
        return TREE
    children = _folders(folder)
    for name in children:
        if f"{name}_metadata" in children:
            about = _random_metadata(folder, name)
            if "typed" in about:
                return KEY
            if "legacy" in about:
                return STATE
    with os.scandir(folder) as entries:
        files = sorted(e.name for e in entries if e.is_file() and e.name not in _MARKERS)
    if not children and len(files) == 1 and files[0] in _JSON_FILES:
        return JSON
    if _has(folder, "checkpoint"):
        return TREE  # an old one, which reading it will refuse
    if not children and files and all(n.endswith((".pbtxt", ".json")) for n in files):
        return OPAQUE
    return None


def _random_metadata(folder: str, name: str) -> dict[str, Any]:
    path = os.path.join(folder, f"{name}_metadata", "metadata")
    return read_json(path) if file_size(path) is not None else {}


def random_parts(folder: str) -> tuple[str, dict[str, Any]]:
    """Of a random key's item: the folder with its numbers, and what Orbax noted of them."""
    for name in _folders(folder):
        if f"{name}_metadata" in _folders(folder):
            return os.path.join(folder, name), _random_metadata(folder, name)
    raise damaged(folder, "is no random key")


def json_file(folder: str) -> str:
    """The one file of a JSON item."""
    for name in _JSON_FILES:
        if _has(folder, name):
            return os.path.join(folder, name)
    raise missing(folder, "holds no JSON document")


def find_items(folder: str) -> dict[str, str]:
    """The items of a checkpoint, folder by name; {} if this is none. The name "" is the folder itself:
    a checkpoint of one tree without a folder of its own."""
    if item_kind(folder) == TREE:
        return {"": folder}
    found = {}
    for name in _folders(folder):
        path = os.path.join(folder, name)
        if item_kind(path) is not None:
            found[name] = path
    return found


def steps_of(root: str) -> dict[int, str]:
    """The steps of a manager's root, folder by number, in order."""
    found: dict[int, str] = {}
    for name in _folders(root):
        match = _STEP.match(name)
        path = os.path.join(root, name)
        if match is None or not (_has(path, "_CHECKPOINT_METADATA") or find_items(path)):
            continue
        step = int(match.group(1))
        if step in found:
            raise damaged(root, f"step {step} is there twice: '{found[step]}' and '{path}'")
        found[step] = path
    return dict(sorted(found.items()))


def require_folder(path: str) -> None:
    """Raises unless there is a folder."""
    if not os.path.exists(path):
        raise missing(f"'{path}'", "there is nothing of that name")
    if not os.path.isdir(path):
        raise InvalidArgumentError(f"'{path}' is a file; an Orbax checkpoint is a folder")


def is_checkpoint(path: str) -> bool:
    """True for a step or an item's folder, False for a manager's root."""
    if _has(path, "_CHECKPOINT_METADATA") or item_kind(path) is not None:
        return True
    return not steps_of(path) and bool(find_items(path))


def locate(path: str, step: int | None) -> tuple[str, int | None]:
    """The folder of one checkpoint and its step, from the folder of a checkpoint or of a manager."""
    require_folder(path)
    if is_checkpoint(path):
        match = _STEP.match(os.path.basename(os.path.abspath(path)))
        own = int(match.group(1)) if match else None
        if step is not None and step != own:
            raise InvalidArgumentError(f"'{path}' is one checkpoint, not a folder of steps")
        return path, own
    steps = steps_of(path)
    if not steps:
        raise InvalidArgumentError(
            f"'{path}' is no Orbax checkpoint: it has no _METADATA, manifest.ocdbt or"
            " _CHECKPOINT_METADATA, and no folder that is named by a step and has one of them",
            status=lib.TREERING_INVALID_ARGUMENT,
        )
    wanted = max(steps) if step is None else step
    if wanted not in steps:
        raise PathNotFoundError(
            f"'{path}': has no step {wanted}; its steps are {', '.join(map(str, steps))}",
            status=lib.TREERING_NOT_FOUND,
        )
    return steps[wanted], wanted

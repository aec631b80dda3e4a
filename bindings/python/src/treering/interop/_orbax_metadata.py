# SPDX-License-Identifier: Apache-2.0
# The `_METADATA` of a tree that Orbax saved: its leaves with their paths, and the shape of the tree.
#
# Orbax writes each leaf's path as strings with a kind (1: position in a sequence, 2: name). Node types
# beyond dict and list are there only if the writer asked for rich types, in a second tree.
from __future__ import annotations

import collections
import keyword
from typing import Any, NamedTuple

from ._bytes import parse_json, read_json
from ._faults import damaged, too_large, unsupported

_DEPTH_LIMIT = 256
_SEQUENCE, _NAME = 1, 2
EMPTY: dict[str, Any] = {"None": None, "Dict": {}, "List": [], "Tuple": (), "NamedTuple": None}


class Entry(NamedTuple):
    """A leaf as the metadata have it."""

    path: tuple[str, ...]
    positions: tuple[bool, ...]  # which elements of the path are positions in a sequence
    kind: str  # "jax.Array", "np.ndarray", "scalar", "string", "None", "Dict", …
    skipped: bool  # nothing was stored for it

    @property
    def name(self) -> str:
        """How the stores call it."""
        return ".".join(self.path)


class TreeMetadata(NamedTuple):
    """What `_METADATA` says."""

    entries: list[Entry]
    rich: Any  # the tree with its types as JSON, or None
    uses_ocdbt: bool | None
    may_lack_chunks: bool
    custom: Any


def read_metadata(path: str) -> TreeMetadata:
    """Reads and checks a `_METADATA` file."""
    document = read_json(path)
    leaves = document.get("tree_metadata")
    if not isinstance(leaves, dict):
        raise damaged(path, "has no map 'tree_metadata'")
    entries = [_entry(value, text, path) for text, value in leaves.items()]
    _refuse_collisions(entries, path)
    rich = document.get("value_metadata_tree")
    if rich is not None:
        if not isinstance(rich, str):
            raise damaged(path, "'value_metadata_tree' is no text")
        rich = parse_json(rich.encode("utf-8", "surrogatepass"), f"{path}: value_metadata_tree")
    uses_ocdbt = document.get("use_ocdbt")
    if not (uses_ocdbt is None or isinstance(uses_ocdbt, bool)):
        raise damaged(path, f"'use_ocdbt' is {uses_ocdbt!r:.40}")
    all_stored = document.get("store_array_data_equal_to_fill_value", False)
    return TreeMetadata(
        entries, rich, uses_ocdbt, all_stored is not True, document.get("custom_metadata")
    )


def _entry(value: Any, text: str, where: str) -> Entry:
    try:
        keys, about = value["key_metadata"], value["value_metadata"]
        path = tuple(key["key"] for key in keys)
        kinds = [key["key_type"] for key in keys]
        kind, skipped = about["value_type"], about.get("skip_deserialize", False)
    except (KeyError, TypeError, AttributeError):
        raise damaged(where, f"the entry {text!r:.200} lacks a field") from None
    if len(path) > _DEPTH_LIMIT:
        raise too_large(where, f"the entry {text!r:.200} lies deeper than {_DEPTH_LIMIT} nodes")
    if not all(isinstance(key, str) for key in path) or not isinstance(kind, str):
        raise damaged(where, f"the entry {text!r:.200} has a key or type that is no text")
    for key, number in zip(path, kinds):
        if number not in (_SEQUENCE, _NAME):
            raise unsupported(where, f"the entry {text!r:.200} has a key of type {number!r:.20}")
        if number == _SEQUENCE and not (key.isascii() and key.isdecimal() and len(key) < 10):
            raise damaged(
                where, f"the entry {text!r:.200} has {key!r:.40} for a position in a list"
            )
    return Entry(path, tuple(number == _SEQUENCE for number in kinds), kind, skipped is True)


def _refuse_collisions(entries: list[Entry], where: str) -> None:
    """Two leaves of one name: Orbax wrote one over the other, and which one is not known."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.name, entry)
        if other is not entry and entry.kind not in EMPTY and other.kind not in EMPTY:
            raise damaged(
                where,
                f"the leaves {other.path} and {entry.path} are both stored as {entry.name!r}: one was"
                " written over the other, and which one is not known",
            )


class _Node:
    """A dict or list that is being put together."""

    __slots__ = ("is_list", "children", "parent", "key")

    def __init__(self, is_list: bool, parent: _Node | None, key: Any):
        self.is_list, self.parent, self.key = is_list, parent, key
        self.children: dict[Any, Any] = {}


def build_tree(entries: list[Entry], values: list[Any], where: str) -> Any:
    """Dicts and lists over the values, as the entries' paths say."""
    if len(entries) == 1 and not entries[0].path:
        return values[0]
    nodes: list[_Node] = []  # parents before children

    def child(parent: _Node | None, key: Any, is_list: bool, entry: Entry) -> _Node:
        found = parent.children.get(key) if parent else (nodes[0] if nodes else None)
        if found is None:
            found = _Node(is_list, parent, key)
            nodes.append(found)
            if parent:
                parent.children[key] = found
        if not isinstance(found, _Node) or found.is_list != is_list:
            raise damaged(
                where, f"the entry {entry.path} contradicts another about what is above it"
            )
        return found

    for entry, value in zip(entries, values):
        if not entry.path:
            raise damaged(where, "a leaf at the root beside others")
        keys = [int(key) if at else key for key, at in zip(entry.path, entry.positions)]
        node = child(None, None, entry.positions[0], entry)
        for key, is_list in zip(keys, entry.positions[1:]):
            node = child(node, key, is_list, entry)
        if keys[-1] in node.children:
            raise damaged(where, f"the entry {entry.path} occurs twice, or others lie below it")
        node.children[keys[-1]] = _Leaf(value)
    return _assemble(nodes, where)


class _Leaf:
    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


def _assemble(nodes: list[_Node], where: str) -> Any:
    made: Any = {}
    for node in reversed(nodes):
        children = {k: c.value for k, c in node.children.items()}
        made = children
        if node.is_list:
            if sorted(children) != list(range(len(children))):
                gap = next(i for i in range(len(children) + 1) if i not in children)
                raise damaged(where, f"a list lacks its position {gap}")
            made = [children[i] for i in range(len(children))]
        if node.parent:
            node.parent.children[node.key] = _Leaf(made)
    return made


# ---- rich types


def build_rich_tree(tree: Any, leaf: Any, where: str) -> Any:
    """The tree with its tuples and namedtuples; `leaf(path, value_metadata)` gives the values.

    Works through a list of what is open, as files do not decide how deep the interpreter goes."""
    made: list[Any] = []  # finished values; a frame takes its children from the end
    work: list[tuple[str, Any, Any]] = [("visit", tree, ())]
    while work:
        what, node, path = work.pop()
        if what == "finish":
            make, count = node
            children = made[len(made) - count :]
            del made[len(made) - count :]
            made.append(make(children))
            continue
        if len(path) > _DEPTH_LIMIT:
            raise too_large(where, f"a tree deeper than {_DEPTH_LIMIT} nodes")
        make, children = _rich(node, path, leaf, where)
        if children is None:
            made.append(make)
            continue
        work.append(("finish", (make, len(children)), path))
        work.extend(("visit", value, (*path, key)) for key, value in reversed(children))
    return made[0]


def _rich(node: Any, path: tuple[str, ...], leaf: Any, where: str) -> tuple[Any, Any]:
    """(value, None) of a leaf, else (function that makes the node, [(key, child)])."""
    if isinstance(node, list):
        return list, [(str(i), child) for i, child in enumerate(node)]
    if not isinstance(node, dict):
        raise damaged(where, f"{path}: {node!r:.80} is no node of a tree")
    category, fields = node.get("category"), set(node)
    if category == "custom" and fields == {"category", "clazz", "data"}:
        return leaf(path, node["data"]), None
    entries = node.get("entries")
    if category == "custom" and fields == {"category", "clazz", "entries"}:
        if node["clazz"] != "tuple" or not isinstance(entries, list):
            raise unsupported(where, f"{path}: a node of the class {node['clazz']!r:.80}")
        return tuple, [(str(i), child) for i, child in enumerate(entries)]
    if category == "namedtuple" and fields == {"category", "module", "clazz", "entries"}:
        try:
            pairs = [(entry["key"], entry["value"]) for entry in entries or ()]
        except (KeyError, TypeError):
            raise damaged(where, f"{path}: a namedtuple whose entries lack a field") from None
        kind = _namedtuple(node["clazz"], tuple(key for key, _ in pairs), path, where)
        return (lambda values: kind(*values)), pairs
    names = list(node)
    return (lambda values: dict(zip(names, values))), list(node.items())


def _namedtuple(name: Any, fields: tuple[Any, ...], path: Any, where: str) -> Any:
    """A namedtuple of that name and those fields; nothing is imported for it."""
    last = name.rpartition(".")[2] if isinstance(name, str) else ""
    for word in (last, *fields):
        if not isinstance(word, str) or not word.isidentifier() or keyword.iskeyword(word):
            raise damaged(where, f"{path}: a namedtuple with the name {word!r:.80}")
    try:
        return collections.namedtuple(last, fields)
    except ValueError as error:
        raise damaged(where, f"{path}: {error}") from None

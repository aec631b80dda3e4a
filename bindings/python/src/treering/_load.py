# SPDX-License-Identifier: Apache-2.0
# load, metadata and info: what a program asks of a file.
import sys

from ._errors import PathNotFoundError, check, new_error
from ._ffi import ffi, lib
from ._nodes import encoded, options
from ._read import _Nodes
from ._restore import _restore


def load(path, target=None, *, item=""):
    """Reads a checkpoint into new memory; every byte is verified.

    Without a target: exactly what was saved. NumPy arrays come back as such; JAX arrays as JAX
    arrays if JAX is imported, which states and typed keys do, else as NumPy arrays; namedtuples as ones of the same name and fields;
    dataclasses as `Record`, or as themselves if registered; `nnx.State` as itself where Flax is
    installed.

    With a target, a tree of arrays, jax.ShapeDtypeStruct, AbstractLeaf, scalars or nnx.State:
    structure, shapes and dtypes must agree, else StructureMismatchError lists all that does not; the
    result has the target's node types, array library and shardings. `...` in a target leaves a leaf
    out.

    `item` names what to load from a checkpoint of several items; "" is the tree given to `save`.
    """
    return load_from(_open(path), path, target, item)


def load_from(checkpoint, path, target, item):
    """`path` is for messages."""
    name, kind, root, count = _item(checkpoint, item, path)
    if kind != lib.TREERING_ITEM_TREE:
        if target is not None:
            raise TypeError(f"item {name!r} is a document, not a tree; load it without a target")
        value = _Nodes(checkpoint, root, count).leaves()[0]
        if kind == lib.TREERING_ITEM_BLOB:
            return value
        import json

        return json.loads(value)
    if target is not None:
        return _restore(checkpoint, name, target, lambda: _Nodes(checkpoint, root, count))
    nodes = _Nodes(checkpoint, root, count)
    return nodes.tree(nodes.leaves())


def metadata(path, *, item=""):
    """The tree with an AbstractLeaf in the place of each leaf. No data are read, and Flax is not
    imported for it: states are dicts then. The result is a target for `load`."""
    return metadata_from(_open(path), path, item)


def metadata_from(checkpoint, path, item):
    _, _, root, count = _item(checkpoint, item, path)
    nodes = _Nodes(checkpoint, root, count, sys.modules.get)
    return nodes.tree(nodes.abstract())


def info(path):
    """A dict about the file: format_version, file_size, leaf_count, raw_bytes, the digests content
    and file, items (name to kind) and the metadata given to `save`."""
    checkpoint = _open(path)
    error = new_error()
    out = options("treering_info")
    check(lib.treering_checkpoint_info(out, checkpoint, error), error)
    kinds = {lib.TREERING_ITEM_TREE: "tree", lib.TREERING_ITEM_JSON: "json", lib.TREERING_ITEM_BLOB: "blob"}
    result = {
        "format_version": (out.format_version >> 16, out.format_version & 0xFFFF),
        "file_size": out.file_size,
        "leaf_count": out.leaf_count,
        "raw_bytes": out.raw_bytes,
        "content": bytes(out.content).hex(),
        "file": bytes(out.file).hex(),
        "items": {name: kinds.get(kind, kind) for name, kind, _, _ in _items(checkpoint)},
        "metadata": None,
    }
    if out.metadata_size:
        import json

        result["metadata"] = json.loads(ffi.buffer(out.metadata, out.metadata_size)[:])
    return result


def _open(path):
    text = encoded(path)
    error = new_error()
    out = ffi.new("treering_checkpoint **")
    check(lib.treering_checkpoint_open(out, text, len(text), ffi.NULL, error), error)
    return ffi.gc(out[0], lib.treering_checkpoint_free)


def _items(checkpoint):
    """(name, kind, root, number of nodes) of each item: their nodes lie one after the other."""
    error = new_error()
    out = options("treering_info")
    check(lib.treering_checkpoint_info(out, checkpoint, error), error)
    array = ffi.new("treering_item[]", int(out.item_count))
    count = ffi.new("uint64_t *")
    size = ffi.sizeof("treering_item")
    check(lib.treering_checkpoint_items(checkpoint, 0, array, size, len(array), count, error), error)
    ends = [array[i].root for i in range(1, count[0])] + [out.node_count]
    return [
        (ffi.buffer(entry.name, entry.name_size)[:].decode(), entry.kind, entry.root, end - entry.root)
        for entry, end in zip(array, ends)
    ]


def _item(checkpoint, wanted, path):
    items = _items(checkpoint)
    if wanted == "":
        trees = [item for item in items if item[1] == lib.TREERING_ITEM_TREE]
        found = trees if len(trees) == 1 else [item for item in items if item[0] == "default"]
    else:
        found = [item for item in items if item[0] == wanted]
    if not found:
        names = ", ".join(repr(item[0]) for item in items)
        what = f"no item {wanted!r}" if wanted else "no single tree and no item 'default'"
        raise PathNotFoundError(
            f"{encoded(path).decode(errors='replace')}: has {what}; its items are {names}",
            status=lib.TREERING_NOT_FOUND_ITEM,
        )
    return found[0]

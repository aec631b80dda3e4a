# SPDX-License-Identifier: Apache-2.0
# load and metadata: from a file to a pytree, with or without a target.
#
# A file's nodes are numbered so that children follow their parents and stand side by side, so the
# tree is made from the last node to the first, without recursion. Leaves are read by one call into
# memory that is new and each leaf's own; every byte has passed its checksum before it is seen here.
import struct
import sys
from collections import OrderedDict, namedtuple

import numpy as np

from . import _dtypes, _values
from ._errors import CorruptionError, PathNotFoundError, UnsupportedError, check, error_of, new_error
from ._ffi import ffi, lib
from ._flatten import (
    ALIAS, ARRAY, BOOLEAN, BYTES, COMPLEX, CUSTOM, DATACLASS, DICT, FLOAT, FROZEN_NAME, INTEGER, LIST,
    NAMEDTUPLE, NONE, ORDERED_NAME, PRNG_KEY, STATE_NAME, STRING, TUPLE, Flattener,
)  # fmt: skip
from ._nodes import NODE_SIZE, build, encoded, options, threads_for

_LEAF_NAMES = {
    BOOLEAN: "bool", INTEGER: "int", FLOAT: "float", COMPLEX: "complex", STRING: "string", BYTES: "bytes",
    PRNG_KEY: "prng_key", ARRAY: "array",
}  # fmt: skip
_OFFSETS = {name: field.offset for name, field in ffi.typeof("treering_node").fields}
_COLUMNS = np.dtype(
    {
        "names": ["kind", "dtype", "child_count", "data_size", "alias_of"],
        "formats": ["i4", "u4", "u8", "u8", "u8"],
        "offsets": [_OFFSETS[n] for n in ("kind", "dtype", "child_count", "data_size", "alias_of")],
        "itemsize": NODE_SIZE,
    }
)


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
    checkpoint = _open(path)
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
        return _restore(checkpoint, name, target)
    nodes = _Nodes(checkpoint, root, count)
    return nodes.tree(nodes.leaves())


def metadata(path, *, item=""):
    """The tree with an AbstractLeaf in the place of each leaf. No data are read, and Flax is not
    imported for it: states are dicts then. The result is a target for `load`."""
    checkpoint = _open(path)
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


class _Nodes:
    """The nodes of an item, as columns."""

    def __init__(self, checkpoint, root, count, module=None):
        self.checkpoint, self.root, self.count = checkpoint, root, count
        self.module = module or _module  # how nodes of Flax find it
        self.space = np.empty(count * NODE_SIZE, np.uint8)
        self.nodes = ffi.from_buffer("treering_node[]", self.space)
        error = new_error()
        done, scratch = ffi.new("uint64_t *"), ffi.new("treering_blob **")
        check(
            lib.treering_checkpoint_nodes(
                checkpoint, root, self.nodes, NODE_SIZE, count, done, scratch, error
            ),
            error,
        )
        blob = ffi.gc(scratch[0], lib.treering_blob_free)
        self.keys, self.shapes, self.attributes = [], [], []
        if lib.treering_py_describe(
            self.nodes, done[0], id(self.keys), id(self.shapes), id(self.attributes)
        ):
            raise MemoryError
        del blob
        columns = self.space.view(_COLUMNS)
        self.kinds = columns["kind"].tolist()
        self.dtypes = columns["dtype"].tolist()
        self.counts = columns["child_count"].tolist()
        self.sizes = columns["data_size"].tolist()
        aliases = columns["alias_of"]
        positions = np.flatnonzero(aliases != lib.TREERING_NO_NODE).tolist()
        self.aliases = [(i, int(aliases[i]) - root) for i in positions]
        for i, key in enumerate(self.keys):
            if type(key) is bytes:
                self.keys[i] = int.from_bytes(key, "little", signed=True)

    def tree(self, values):
        """The root's value; `values` holds the leaves' by position and is filled up."""
        kinds, counts, keys, attributes = self.kinds, self.counts, self.keys, self.attributes
        containers = [i for i, kind in enumerate(kinds) if kind < ARRAY]
        ends, end = [], 1
        for i in containers:
            end += counts[i]
            ends.append(end)
        if end != self.count:
            raise CorruptionError(
                f"the tree's nodes do not add up: {end} expected, {self.count} found; verify the file",
                status=lib.TREERING_CORRUPT_STRUCTURE,
            )
        for i, end in zip(reversed(containers), reversed(ends)):
            first = end - counts[i]
            values[i] = _container(
                kinds[i], attributes[i], keys[first:end], values[first:end], self.module
            )
        return values[0]

    # -- leaves

    def leaves(self):
        """A list with the leaves' values at their positions."""
        values = [None] * self.count
        alias_at = {i for i, _ in self.aliases}
        arrays = [i for i, k in enumerate(self.kinds) if (k == ARRAY or k == PRNG_KEY) and i not in alias_at]
        numbers = [i for i, k in enumerate(self.kinds) if k > ARRAY and k != PRNG_KEY and i not in alias_at]
        memory = self._read(arrays, numbers)
        for i, array in zip(arrays, memory[0]):
            values[i] = array
        self._finish(arrays, values)
        at = 0
        for i in numbers:
            end = at + self.sizes[i]
            values[i] = _number(self.kinds[i], memory[1][at:end])
            if self.attributes[i]:
                values[i] = _wrapped(self.attributes[i], values[i])
            at = end
        for i, of in self.aliases:
            values[i] = values[of]
        return values

    def _read(self, arrays, numbers):
        """One call for all: (new arrays, bytes of the other leaves one after the other)."""
        known = {number: _dtypes.dtype_of(number) for number in {self.dtypes[i] for i in arrays}}
        made = [np.empty(self.shapes[i], known[self.dtypes[i]]) for i in arrays]
        sizes = [self.sizes[i] for i in numbers]
        small = bytearray(sum(sizes))
        reads = ffi.new("treering_read[]", len(arrays) + len(numbers))
        ids = np.array(arrays, np.uint64) + np.uint64(self.root)
        if lib.treering_py_reads(
            id(made), ffi.from_buffer("uint64_t[]", ids), self.root, self.nodes, reads
        ):
            raise MemoryError
        base = ffi.from_buffer(small)
        at = 0
        for slot, i, size in zip(range(len(arrays), len(reads)), numbers, sizes):
            read = reads[slot]
            read.node, read.dst, read.dst_size = self.root + i, base + at, size
            at += size
        error = new_error()
        total = sum(self.sizes[i] for i in arrays) if len(arrays) <= 4096 else 0
        settings = options("treering_read_options", threads=threads_for(total))
        size = ffi.sizeof("treering_read")
        check(lib.treering_checkpoint_read(self.checkpoint, reads, size, len(reads), settings, error), error)
        return made, bytes(small)

    def _finish(self, arrays, values):
        """NumPy arrays into what they were: scalars, JAX arrays, keys, variables."""
        # What is imported for one leaf is there for all, so that loading again gives the same.
        for module in filter(None, map(_imported_for, {id(a): a for a in self.attributes}.values())):
            _module(module)
        jax = sys.modules.get("jax")
        to_jax, last, plain = [], None, True
        special = []
        for i in arrays:
            attributes = self.attributes[i]
            if attributes is not last:
                last, found = attributes, dict(attributes)
                plain = self.kinds[i] == ARRAY and set(found) <= {lib.TREERING_ATTR_ORIGIN}
                origin = found.get(lib.TREERING_ATTR_ORIGIN)
            if origin == b"jax" and jax is not None and self.kinds[i] == ARRAY:
                to_jax.append(i)
            if not plain or self.kinds[i] != ARRAY:
                special.append(i)
        if to_jax:
            from ._jax import many_to_jax

            for i, array in zip(to_jax, many_to_jax(jax, [values[i] for i in to_jax])):
                values[i] = array
        for i in special:
            found = dict(self.attributes[i])
            if self.kinds[i] == PRNG_KEY:
                values[i] = _key(found, values[i])
            elif found.get(lib.TREERING_ATTR_SCALAR_KIND) == b"numpy":
                values[i] = values[i][()]
            values[i] = _wrapped(self.attributes[i], values[i])

    def abstract(self):
        values = [None] * self.count
        for i, kind in enumerate(self.kinds):
            if kind < ARRAY:
                continue
            found = dict(self.attributes[i])
            name = _LEAF_NAMES.get(kind, f"kind {kind}")
            dtype = None
            if kind in (ARRAY, PRNG_KEY):
                dtype = _dtypes.dtype_of(self.dtypes[i])
            values[i] = _values.AbstractLeaf(
                dtype, self.shapes[i], _readable(found), kind=name, nbytes=self.sizes[i]
            )
            values[i]._stored = self.attributes[i]
        for i, of in self.aliases:
            values[i] = values[of]
        return values


# ---- leaves


def _number(kind, data):
    if kind == BOOLEAN:
        return data != b"\0"
    if kind == INTEGER:
        return int.from_bytes(data, "little", signed=True)
    if kind == FLOAT:
        return struct.unpack("=d", data)[0]
    if kind == COMPLEX:
        return complex(*struct.unpack("=dd", data))
    if kind == STRING:
        return data.decode("utf-8", "surrogatepass")
    if kind == BYTES:
        return data
    raise UnsupportedError(
        f"leaves of kind {kind} are not known to this version; install a newer treering",
        status=lib.TREERING_UNSUPPORTED_KIND,
    )


def _module(name):
    """An installed module, or None. Only fixed names are asked for, never one from a file."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _imported_for(attributes):
    """The module without which a node would not be what it was, or None."""
    found = dict(attributes)
    state = found.get(lib.TREERING_ATTR_TYPE_NAME) == STATE_NAME.encode()
    if state or lib.TREERING_ATTR_VARIABLE_TYPE in found:
        return "flax.nnx"
    key = lib.TREERING_ATTR_PRNG_IMPL in found and lib.TREERING_ATTR_ORIGIN in found
    return "jax" if key else None


def _key(attributes, words):
    impl = attributes.get(lib.TREERING_ATTR_PRNG_IMPL, b"").decode()
    jax = _module("jax")
    if jax is None or lib.TREERING_ATTR_ORIGIN not in attributes:
        return _values.PRNGKey(impl, words)
    return jax.random.wrap_key_data(jax.device_put(words), impl=impl)


def _wrapped(attributes, value, module=_module):
    """The nnx.Variable around a value, if the leaf was one and Flax is installed."""
    found = dict(attributes)
    if lib.TREERING_ATTR_VARIABLE_TYPE not in found:
        return value
    nnx = module("flax.nnx")
    if nnx is None:
        return value
    from ._jax import make_variable

    return make_variable(nnx, found, value)


_ATTRIBUTE_NAMES = {
    lib.TREERING_ATTR_TAG: "tag", lib.TREERING_ATTR_METADATA: "metadata",
    lib.TREERING_ATTR_SHARDING: "sharding", lib.TREERING_ATTR_PRNG_IMPL: "prng_impl",
    lib.TREERING_ATTR_SCALAR_KIND: "scalar", lib.TREERING_ATTR_ORIGIN: "origin",
    lib.TREERING_ATTR_TYPE_NAME: "type_name",
}  # fmt: skip


def _readable(attributes):
    """Attributes by name, JSON decoded. Unknown ones by number, as bytes."""
    import json

    result = {}
    for number, value in attributes.items():
        name = _ATTRIBUTE_NAMES.get(number, number)
        if number == lib.TREERING_ATTR_VARIABLE_TYPE:
            result["variable_type"] = tuple(value.decode("utf-8", "replace").split("\0"))
        elif number in (lib.TREERING_ATTR_METADATA, lib.TREERING_ATTR_SHARDING):
            result[name] = json.loads(value)
        else:
            result[name] = value.decode("utf-8", "replace") if isinstance(name, str) else value
    return result


def finisher(leaf):
    """For a target's AbstractLeaf: the function from the restored array to what was saved."""
    inner = _bare_finisher(leaf)
    stored = leaf._stored or ()
    if not any(number == lib.TREERING_ATTR_VARIABLE_TYPE for number, _ in stored):
        return inner
    return lambda raw: _wrapped(stored, raw if inner is None else inner(raw))


def _bare_finisher(leaf):
    attributes = leaf.attributes
    if leaf.kind == "prng_key":
        found = {lib.TREERING_ATTR_PRNG_IMPL: attributes.get("prng_impl", "").encode()}
        if "origin" in attributes:
            found[lib.TREERING_ATTR_ORIGIN] = attributes["origin"].encode()
        return lambda raw: _key(found, raw)
    if attributes.get("scalar") == "numpy":
        return lambda raw: raw[()]
    if attributes.get("origin") == "jax" and "jax" in sys.modules:
        from ._jax import to_jax

        return lambda raw: to_jax(sys.modules["jax"], raw)
    return None


# ---- containers


def _container(kind, attributes, keys, values, module):
    found = dict(attributes)
    name = found.get(lib.TREERING_ATTR_TYPE_NAME, b"").decode("utf-8", "surrogatepass")
    if kind == DICT:
        return _mapping(name, dict(zip(keys, values)), module)
    if kind == LIST:
        return values
    if kind == TUPLE:
        return tuple(values)
    if kind == NONE:
        return None
    if kind == NAMEDTUPLE:
        return _namedtuple(name, tuple(keys), values)
    if kind == CUSTOM and lib.TREERING_ATTR_VARIABLE_TYPE in found and len(values) == 1:
        if module("flax.nnx") is not None:
            return _wrapped(attributes, values[0], module)
    if kind in (DATACLASS, CUSTOM):
        if any(key is None for key in keys):
            keys = range(len(values))
        fields = dict(zip(keys, values))
        cls = _values.REGISTERED.get(name)
        return _values.Record(name, fields) if cls is None else _values.make_dataclass(cls, fields)
    raise UnsupportedError(
        f"containers of kind {kind} are not known to this version; install a newer treering",
        status=lib.TREERING_UNSUPPORTED_KIND,
    )


def _mapping(name, values, module):
    if name == STATE_NAME:
        nnx = module("flax.nnx")
        return values if nnx is None else nnx.State(values)
    if name == ORDERED_NAME:
        return OrderedDict(values)
    if name == FROZEN_NAME:
        core = module("flax.core")
        return values if core is None else core.FrozenDict(values)
    return values


_NAMEDTUPLES = {}


def _namedtuple(name, fields, values):
    """A namedtuple of the name and fields of the one that was saved; one class for each."""
    cls = _NAMEDTUPLES.get((name, fields))
    if cls is None:
        module, _, qualified = name.partition(":")
        try:
            cls = namedtuple(qualified.rpartition(".")[2] or "NamedTuple", fields, rename=True)
        except ValueError:  # no identifier: written by another language
            cls = None
        if cls is None or cls._fields != fields:
            return _values.Record(name, dict(zip(fields, values)))
        if qualified:
            cls.__module__, cls.__qualname__ = module, qualified
        _NAMEDTUPLES[name, fields] = cls
    return cls._make(values)


# ---- targets


def _restore(checkpoint, name, target):
    rows = Flattener(target=True).run(target)
    tree = build(rows)
    error = new_error()
    out, report = ffi.new("treering_tree **"), ffi.new("treering_report **")
    total = sum(getattr(value, "nbytes", 0) for value in rows.values) if len(rows.values) <= 4096 else 0
    settings = options("treering_restore_options", threads=threads_for(total))
    item = name.encode()
    status = lib.treering_checkpoint_restore(
        out, report, checkpoint, item, len(item), tree, settings, error
    )
    findings = ffi.gc(report[0], lib.treering_report_free) if report[0] != ffi.NULL else None
    if status != 0:
        raise _mismatch(error_of(error), findings)
    return _finished(rows, ffi.gc(out[0], lib.treering_tree_free))


def _mismatch(exception, report):
    if report is None:
        return exception
    error, count = new_error(), ffi.new("uint64_t *")
    array = ffi.new("treering_finding[]", int(lib.treering_report_count(report)))
    size = ffi.sizeof("treering_finding")
    check(lib.treering_report_findings(report, 0, array, size, len(array), count, error), error)

    def text(data, size):
        return ffi.buffer(data, size)[:].decode("utf-8", "surrogateescape") if size else ""

    found = {lib.TREERING_FINDING_MISSING: [], lib.TREERING_FINDING_UNEXPECTED: []}
    different = []
    for finding in array:
        path = text(finding.path, finding.path_size)
        if finding.kind in found:
            found[finding.kind].append(path)
        elif finding.kind < lib.TREERING_FINDING_CAST:
            expected = text(finding.expected, finding.expected_size)
            different.append((path, expected, text(finding.found, finding.found_size)))
    exception.missing = found[lib.TREERING_FINDING_MISSING]
    exception.unexpected = found[lib.TREERING_FINDING_UNEXPECTED]
    exception.different = different
    text = ffi.string(lib.treering_report_text(report)).decode("utf-8", "replace").rstrip("\n")
    # Advice that names the C ABI's options is left out.
    lines = [line for line in text.split("\n") if line.startswith(" ")]
    summary = exception.message.partition("; To ")[0].partition("; If only ")[0]
    exception.message = "\n".join([summary, *lines])
    exception.args = (exception.message,)
    return exception


def _finished(rows, tree):
    """The target's own containers and leaves, with the restored values."""
    kinds = [rows.table[code][0] for code in rows.codes]
    values = list(rows.values)
    others = [i for i, kind in enumerate(kinds) if ARRAY < kind < ALIAS and kind != PRNG_KEY]
    if others:
        _fetch(tree, kinds, values, others)
    for i, kind in enumerate(kinds):
        if kind >= ARRAY:
            finish = rows.finish[i]
            if kind == ALIAS:
                values[i] = values[finish]
            elif finish is not None:
                values[i] = finish(values[i])
    stack = []
    for i in range(len(kinds) - 1, -1, -1):
        if kinds[i] < ARRAY:
            count = rows.values[i]
            children = stack[len(stack) - count :][::-1]
            del stack[len(stack) - count :]
            stack.append(rows.finish[i]([key for key, _ in children], [value for _, value in children]))
        else:
            stack.append(values[i])
        key = rows.keys[i]
        if type(key) is bytes:
            key = int.from_bytes(key, "little", signed=True)
        stack[-1] = (key, stack[-1])
    return stack[0][1]


def _fetch(tree, kinds, values, positions):
    """Values of leaves that are no arrays, from the restored tree, whose preorder is the target's."""
    node = ffi.new("treering_node *")
    count, error = ffi.new("uint64_t *"), new_error()
    for i in positions:
        check(lib.treering_tree_nodes(tree, i, node, NODE_SIZE, 1, count, error), error)
        data = ffi.buffer(node.data, node.data_size)[:] if node.data_size else b""
        values[i] = _number(kinds[i], data)

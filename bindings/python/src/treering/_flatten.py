# SPDX-License-Identifier: Apache-2.0
# A pytree as three columns in preorder (key, value, code), from which the bridge makes nodes.
#
# Leaves of Python's and NumPy's own types are the many: a container whose children are all such is
# taken whole, by list operations. All else goes through one handler per type. Nothing recurses, so
# depth is the format's affair; a container that is open already is a cycle. For a target the same
# walk makes, beside each row, the function that turns what was restored into what the target had.
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, NoReturn

import numpy as np

from . import _dtypes
from ._errors import InvalidArgumentError, UnsupportedTypeError
from ._ffi import lib
from ._values import AbstractLeaf, PRNGKey, Record, is_static, make_dataclass, type_name

Attributes = tuple[tuple[int, bytes], ...]  # id and value of each

DICT, LIST, TUPLE = lib.TREERING_DICT, lib.TREERING_LIST, lib.TREERING_TUPLE
NAMEDTUPLE, DATACLASS, CUSTOM = lib.TREERING_NAMEDTUPLE, lib.TREERING_DATACLASS, lib.TREERING_CUSTOM
NONE, ARRAY = lib.TREERING_NONE, lib.TREERING_ARRAY
BOOLEAN, INTEGER, FLOAT = lib.TREERING_BOOLEAN, lib.TREERING_INTEGER, lib.TREERING_FLOAT
COMPLEX, STRING, BYTES = lib.TREERING_COMPLEX, lib.TREERING_STRING, lib.TREERING_BYTES
PRNG_KEY = lib.TREERING_PRNG_KEY
ALIAS, PLACEHOLDER = lib.TREERING_ALIAS, lib.TREERING_PLACEHOLDER

NUMPY = ((lib.TREERING_ATTR_ORIGIN, b"numpy"),)
NUMPY_SCALAR = ((lib.TREERING_ATTR_SCALAR_KIND, b"numpy"), *NUMPY)
JAX = ((lib.TREERING_ATTR_ORIGIN, b"jax"),)
STATE_NAME = "flax.nnx:State"
# Mappings that are not plain dicts, by the name a file gives them. STATE_NAME is one of them.
ORDERED_NAME, FROZEN_NAME = "collections:OrderedDict", "flax.core:FrozenDict"

# The first codes of every flattener.
_FIXED = [(ARRAY, NUMPY), (BOOLEAN, ()), (INTEGER, ()), (FLOAT, ()), (COMPLEX, ()), (STRING, ()), (BYTES, ())]
FAST = dict(zip((np.ndarray, bool, int, float, complex, str, bytes), range(7)))
_KEY_TYPES = {str, int}
# What adds the rows of one type: (flattener, key, value, more attributes).
Handler = Callable[["Flattener", Any, Any, Attributes], None]
_REFUSED_KEY = "a dict key of type {}; keys are str or int: {!r}"


def named(name: str) -> Attributes:
    return ((lib.TREERING_ATTR_TYPE_NAME, name.encode("utf-8", "surrogatepass")),)


def display(key: bytes | int | str) -> str:
    """One component of a display path."""
    if isinstance(key, bytes):
        key = int.from_bytes(key, "little", signed=True)
    if isinstance(key, int):
        return str(key)
    plain = key and not any(c in '/"\\*?[]:' or c < " " or c == "\x7f" for c in key)
    if plain and not (key.isdigit() or (key[0] in "+-" and key[1:].isdigit())):
        return key
    import json

    return json.dumps(key, ensure_ascii=False)


class Flattener:
    """Walks one tree. `in_boxes`: leaves of a target that lie over several devices become
    placeholders, and `boxes` says what each of their devices needs."""

    def __init__(self, target: bool = False, in_boxes: bool = False) -> None:
        self.target, self.in_boxes = target, in_boxes
        self.boxes: dict[Any, Any] = {}  # row -> _sharded.Boxes, or the row whose value it shares
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.codes: list[int] = []
        self.finish: list[Any] = []  # targets: per row a function, or None
        self.originals: dict[Any, Any] = {}  # targets: row -> the target's own value
        self.table = list(_FIXED)
        self.numbers = {entry: number for number, entry in enumerate(_FIXED)}
        self.variables: dict[Any, Any] = {}  # id of an nnx.Variable -> its row
        self.known: dict[Any, Any] = {}  # address of attributes -> a sharding, the code of both
        self.kept: list[Any] = []  # what the addresses in `variables` and `known` belong to
        self._stack: list[Any] = []  # (iterator over (key, child), id)
        self._open: set[Any] = set()

    def run(self, root: Any) -> Flattener:
        self.node(None, root)
        stack = self._stack
        while stack:
            depth = len(stack)
            for key, value in stack[-1][0]:
                self.node(key, value)
                if len(stack) != depth:
                    break
            else:
                self._open.discard(stack.pop()[1])
        return self

    def node(self, key: Any, value: Any, extra: Attributes = ()) -> None:
        """Adds the rows of `value`, or its first row and its children to what is to be walked.
        `extra` are the attributes of the nnx.Variable that holds it."""
        code = FAST.get(type(value))
        if code is not None and not extra and not self.target:
            self.keys.append(key)
            self.values.append(value)
            self.codes.append(code)
            return
        if self.target:
            self.originals.setdefault(len(self.codes), value)
        handler = _HANDLERS.get(type(value)) or _handler(self, type(value), key)
        handler(self, key, value, extra)

    # -- rows

    def row(
        self, key: Any, kind: int, attributes: Attributes, value: Any, finish: Any = None
    ) -> None:
        entry = (kind, attributes)
        code = self.numbers.get(entry)
        if code is None:
            code = self.numbers[entry] = len(self.table)
            self.table.append(entry)
        self.keys.append(key)
        self.values.append(value)
        self.codes.append(code)
        if self.target:
            self.finish.append(finish)

    def wanted(
        self, key: Any, kind: int, attributes: Attributes, dtype: Any, shape: Any, finish: Any
    ) -> None:
        """A leaf of a target: the array that the library shall fill."""
        where = self.here(key)
        dtype = _dtypes.storable(np.empty(0, dtype), where).dtype
        self.row(key, kind, attributes, _dtypes.empty(shape, dtype), finish)

    def shared(self, key: Any, first: int) -> None:
        """A leaf that is the one of an earlier row."""
        boxed = first in self.boxes
        if boxed:
            self.boxes[len(self.codes)] = first
        self.row(key, PLACEHOLDER if boxed else ALIAS, (), first, first)

    def boxed(self, key: Any, boxes: Any) -> None:
        """A leaf of a target that is read by the boxes of its devices."""
        boxes.dtype = _dtypes.storable(np.empty(0, boxes.dtype), self.here(key)).dtype
        self.boxes[len(self.codes)] = boxes
        self.row(key, PLACEHOLDER, (), None)

    def open(
        self,
        key: Any,
        kind: int,
        attributes: Attributes,
        owner: Any,
        count: int,
        children: Any,
        build: Any,
    ) -> None:
        """A container and what is below it. `build(keys, values)` makes the target's again."""
        if id(owner) in self._open:
            raise InvalidArgumentError(
                f"{self.where(key)}: contains itself; a checkpoint holds trees, so break the cycle",
                status=lib.TREERING_INVALID_ARGUMENT,
            )
        self.row(key, kind, attributes, count, build)
        if count:
            self._open.add(id(owner))
            self._stack.append((children, id(owner)))

    def leaves(self, keys: Any, values: Any) -> bool:
        """Takes all children at once if they are simple leaves; False if they are not."""
        codes: list[Any] = list(map(FAST.get, map(type, values)))
        if self.target or None in codes:
            return False
        self.keys.extend(keys)
        self.values.extend(values)
        self.codes.extend(codes)
        return True

    # -- where

    def where(self, key: Any = None) -> str:
        """The display path of the child `key` that is about to be added, quoted."""
        return self.path(len(self.codes), key)

    def here(self, key: Any) -> Callable[[], str]:
        row = len(self.codes)
        return lambda: self.path(row, key)

    def path(self, row: int, key: Any = None) -> str:
        """The quoted display path of a row, found by walking the rows before it."""
        above: list[list[Any]] = []  # [children to come, key or position, next position]
        for i in range(row + 1):
            while above and above[-1][0] == 0:
                above.pop()
            label = self.keys[i] if i < len(self.keys) else key
            if above:
                if label is None:
                    label = above[-1][2]
                above[-1][0] -= 1
                above[-1][2] += 1
            if i == row:
                labels = [level[1] for level in above[1:]] + ([label] if above else [])
                return "'" + "/".join(map(display, labels)) + "'" if labels else "the root"
            if self.table[self.codes[i]][0] < ARRAY:
                above.append([self.values[i], label, 0])
        raise IndexError(row)

    def refuse(self, key: Any, what: str) -> NoReturn:
        where = self.where(key)
        raise UnsupportedTypeError(
            f"{where}: {what}", leaf=where[1:-1] if where[0] == "'" else "", found=what.partition(";")[0]
        )


# ---- Python's own types


def _none(self: Any, key: Any, value: Any, extra: Any) -> None:
    self.row(key, NONE, extra, 0, lambda keys, values: None)


def _simple(kind: int) -> Handler:
    def handler(self: Any, key: Any, value: Any, extra: Any) -> None:
        self.row(key, kind, extra, value)

    return handler


def _items(self: Any, mapping: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in mapping.items():
        if type(key) not in _KEY_TYPES:
            shown = key if isinstance(key, (str, int)) else str(key)
            self.refuse(shown, _REFUSED_KEY.format(type(key).__name__, key))
        yield key, value


def _mapping(attributes: Attributes, rebuild: Any) -> Handler:
    def handler(self: Any, key: Any, value: Any, extra: Any) -> None:
        build = None if not self.target else lambda keys, values: rebuild(zip(keys, values))
        self.open(key, DICT, attributes + extra, value, len(value), _items(self, value), build)

    return handler


def _dict(self: Any, key: Any, value: Any, extra: Any) -> None:
    self.open(key, DICT, extra, value, len(value), _items(self, value), _build_dict)
    if value and not self.target and set(map(type, value)) <= _KEY_TYPES:
        if self.leaves(value, value.values()):
            self._open.discard(self._stack.pop()[1])


def _build_dict(keys: Any, values: Any) -> dict[Any, Any]:
    return dict(zip(keys, values))


def _list(self: Any, key: Any, value: Any, extra: Any) -> None:
    self.open(key, LIST, extra, value, len(value), zip(repeat(None), value), lambda keys, values: values)
    if value and self.leaves(repeat(None, len(value)), value):
        self._open.discard(self._stack.pop()[1])


def _tuple(self: Any, key: Any, value: Any, extra: Any) -> None:
    children = zip(repeat(None), value)
    self.open(key, TUPLE, extra, value, len(value), children, lambda keys, values: tuple(values))


def _namedtuple(self: Any, key: Any, value: Any, extra: Any) -> None:
    cls = type(value)
    build = None if not self.target else lambda keys, values: tuple.__new__(cls, values)
    name = named(type_name(cls))
    self.open(key, NAMEDTUPLE, name + extra, value, len(value), zip(cls._fields, value), build)


def _dataclass(self: Any, key: Any, value: Any, extra: Any) -> None:
    from dataclasses import fields

    cls = type(value)
    names = [field.name for field in fields(cls) if not is_static(field)]
    names = [name for name in names if hasattr(value, name)]
    build = None
    if self.target:
        build = lambda keys, values: make_dataclass(cls, dict(zip(keys, values)), value)  # noqa: E731
    children = ((name, getattr(value, name)) for name in names)
    self.open(key, DATACLASS, named(type_name(cls)) + extra, value, len(names), children, build)


def _record(self: Any, key: Any, value: Any, extra: Any) -> None:
    fields, name = value.fields, value.type_name
    build = None if not self.target else lambda keys, values: Record(name, zip(keys, values))
    attributes = named(name) if name else ()
    self.open(key, DATACLASS, attributes + extra, value, len(fields), iter(fields.items()), build)


def _placeholder(self: Any, key: Any, value: Any, extra: Any) -> None:
    if not self.target:
        self.refuse(key, "`...` stands for a leaf in a target only; give a value")
    self.row(key, PLACEHOLDER, (), None, lambda raw: ...)


# ---- arrays


def _ndarray(self: Any, key: Any, value: Any, extra: Any) -> None:
    if self.target:
        self.wanted(key, ARRAY, NUMPY + extra, value.dtype, value.shape, None)
    else:
        self.row(key, ARRAY, NUMPY + extra, value)


def _numpy_scalar(self: Any, key: Any, value: Any, extra: Any) -> None:
    if self.target:
        self.wanted(key, ARRAY, NUMPY_SCALAR + extra, value.dtype, (), lambda raw: raw[()])
    else:
        self.row(key, ARRAY, NUMPY_SCALAR + extra, np.asarray(value))


_NAMED_KINDS = {
    "bool": BOOLEAN, "int": INTEGER, "float": FLOAT, "complex": COMPLEX, "string": STRING, "bytes": BYTES,
}  # fmt: skip


def _abstract(self: Any, key: Any, value: Any, extra: Any) -> None:
    if not self.target:
        self.refuse(key, "an abstract leaf has no data to save; give an array")
    from ._rebuild import finisher

    if value.kind not in ("array", "prng_key", *_NAMED_KINDS):
        self.refuse(key, f"an abstract leaf of kind {value.kind!r}, which no leaf has")
    if value.kind in ("array", "prng_key"):
        kind = PRNG_KEY if value.kind == "prng_key" else ARRAY
        self.wanted(key, kind, extra, value.dtype, value.shape, finisher(value))
    else:
        self.row(key, _NAMED_KINDS[value.kind], extra, None, finisher(value))


def _prng_key(self: Any, key: Any, value: Any, extra: Any) -> None:
    attributes = ((lib.TREERING_ATTR_PRNG_IMPL, value.impl.encode()),) + extra
    if self.target:
        impl = value.impl
        words = value.words
        self.wanted(key, PRNG_KEY, attributes, words.dtype, words.shape, lambda raw: PRNGKey(impl, raw))
    else:
        self.row(key, PRNG_KEY, attributes, value.words)


_HANDLERS: dict[type, Handler] = {
    type(None): _none,
    dict: _dict,
    list: _list,
    tuple: _tuple,
    bool: _simple(BOOLEAN),
    int: _simple(INTEGER),
    float: _simple(FLOAT),
    complex: _simple(COMPLEX),
    str: _simple(STRING),
    bytes: _simple(BYTES),
    type(...): _placeholder,
    np.ndarray: _ndarray,
    np.memmap: _ndarray,
    AbstractLeaf: _abstract,
    Record: _record,
    PRNGKey: _prng_key,
}


def _handler(self: Flattener, cls: type, key: Any) -> Handler:
    """Finds, and keeps, the handler of a type met for the first time."""
    handler: Handler | None = None
    if issubclass(cls, np.generic) and not issubclass(cls, (np.void, np.character, np.object_)):
        handler = _numpy_scalar
    elif issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        handler = _namedtuple
    elif cls.__module__ == "collections" and cls.__name__ == "OrderedDict":
        handler = _mapping(named(ORDERED_NAME), cls)
    if handler is None and "jax" in sys.modules:
        from . import _jax

        handler = _jax.handler(cls)
    if handler is None and "torch" in sys.modules:
        from . import _torch

        handler = _torch.handler(cls)
    if handler is None:
        from . import _advice

        if hasattr(cls, "__dataclass_fields__") and _advice.fields_are_all(cls):
            handler = _dataclass
        else:
            self.refuse(key, _advice.advice(cls))
    assert handler is not None  # refuse raises
    _HANDLERS[cls] = handler
    return handler

# SPDX-License-Identifier: Apache-2.0
# From what a file tells of nodes to Python's values: leaves, Variables, keys, containers.
#
# Nothing named in a file is imported or run: of other packages only fixed names are asked for, and
# classes are those that the program has registered.
from __future__ import annotations

import struct
import sys
import collections
from collections import OrderedDict
from typing import Any

from . import _values
from ._errors import UnsupportedError
from ._ffi import lib
from ._flatten import (
    BOOLEAN, BYTES, COMPLEX, CUSTOM, DATACLASS, DICT, FLOAT, FROZEN_NAME, INTEGER, LIST, NAMEDTUPLE, NONE,
    ORDERED_NAME, STATE_NAME, STRING, TUPLE,
)  # fmt: skip

# ---- leaves


def _number(kind: int, data: Any) -> Any:
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


def _module(name: str) -> Any:
    """An installed module, or None. Only fixed names are asked for, never one from a file."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _imported_for(attributes: Any) -> str | None:
    """The module without which a node would not be what it was, or None."""
    found = dict(attributes)
    state = found.get(lib.TREERING_ATTR_TYPE_NAME) == STATE_NAME.encode()
    if state or lib.TREERING_ATTR_VARIABLE_TYPE in found:
        return "flax.nnx"
    key = lib.TREERING_ATTR_PRNG_IMPL in found and lib.TREERING_ATTR_ORIGIN in found
    return "jax" if key else None


def _key(attributes: Any, words: Any) -> Any:
    impl = attributes.get(lib.TREERING_ATTR_PRNG_IMPL, b"").decode()
    jax = _module("jax")
    if jax is None or lib.TREERING_ATTR_ORIGIN not in attributes:
        return _values.PRNGKey(impl, words)
    return jax.random.wrap_key_data(jax.device_put(words), impl=impl)


def _wrapped(attributes: Any, value: Any, module: Any = _module) -> Any:
    """The nnx.Variable around a value, if the leaf was one and Flax is installed."""
    found = dict(attributes)
    if lib.TREERING_ATTR_VARIABLE_TYPE not in found:
        return value
    nnx = module("flax.nnx")
    if nnx is None:
        return value
    from ._nnx import make_variable

    return make_variable(nnx, found, value)


_ATTRIBUTE_NAMES = {
    lib.TREERING_ATTR_TAG: "tag", lib.TREERING_ATTR_METADATA: "metadata",
    lib.TREERING_ATTR_SHARDING: "sharding", lib.TREERING_ATTR_PRNG_IMPL: "prng_impl",
    lib.TREERING_ATTR_SCALAR_KIND: "scalar", lib.TREERING_ATTR_ORIGIN: "origin",
    lib.TREERING_ATTR_TYPE_NAME: "type_name",
}  # fmt: skip


def _readable(attributes: Any) -> dict[Any, Any]:
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


def finisher(leaf: Any) -> Any:
    """For a target's AbstractLeaf: the function from the restored array to what was saved."""
    inner = _bare_finisher(leaf)
    stored = leaf._stored or ()
    if not any(number == lib.TREERING_ATTR_VARIABLE_TYPE for number, _ in stored):
        return inner
    return lambda raw: _wrapped(stored, raw if inner is None else inner(raw))


def _bare_finisher(leaf: Any) -> Any:
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
    if attributes.get("origin") == "torch" and "torch" in sys.modules:
        from ._torch import to_torch

        return lambda raw: to_torch(sys.modules["torch"], raw)
    return None


# ---- containers


def _container(kind: int, attributes: Any, keys: Any, values: Any, module: Any) -> Any:
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


def _mapping(name: str, values: Any, module: Any) -> Any:
    if name == STATE_NAME:
        nnx = module("flax.nnx")
        return values if nnx is None else nnx.State(values)
    if name == ORDERED_NAME:
        return OrderedDict(values)
    if name == FROZEN_NAME:
        core = module("flax.core")
        return values if core is None else core.FrozenDict(values)
    return values


_make_namedtuple: Any = collections.namedtuple  # of names that a file gives
_NAMEDTUPLES: dict[Any, Any] = {}  # (name, fields) -> class
_MADE: dict[Any, bool] = {}  # classes that are not the program's -> whether their module was imported


def _namedtuple(name: str, fields: Any, values: Any) -> Any:
    """A namedtuple of the name and fields of the one that was saved: of the program's class if it
    has such a one, else of a class made here, one for each."""
    module, _, qualified = name.partition(":")
    cls = _NAMEDTUPLES.get((name, fields))
    if cls is None or _MADE.get(cls, True) != (module in sys.modules) or not _values.is_current(cls):
        cls = _imported(module, qualified, fields) or cls or _make(module, qualified, fields)
        if cls is None:
            return _values.Record(name, dict(zip(fields, values)))
        if cls in _MADE:
            _MADE[cls] = module in sys.modules
        _NAMEDTUPLES[name, fields] = cls
    return tuple.__new__(cls, values)


def _imported(module: str, qualified: str, fields: Any) -> Any:
    """The class of that name and these fields that the program has. Its module may have moved within
    its package. Nothing is imported for it, and no code of it runs."""
    found = None
    for cls in reversed(tuple.__subclasses__()):  # the last that was defined
        if cls.__qualname__ != qualified or getattr(cls, "_fields", None) != fields or cls in _MADE:
            continue
        if cls.__module__ == module:
            return cls
        if cls.__module__.partition(".")[0] == module.partition(".")[0]:
            found = found or cls
    return found


def _make(module: str, qualified: str, fields: Any) -> Any:
    """A class, or None where name and fields are none of Python: written by another language."""
    try:
        cls: Any = _make_namedtuple(qualified.rpartition(".")[2] or "NamedTuple", fields, rename=True)
    except ValueError:
        return None
    if cls._fields != fields:
        return None
    if qualified:
        cls.__module__, cls.__qualname__ = module, qualified
    _MADE[cls] = False
    return cls

# SPDX-License-Identifier: Apache-2.0
# Flax NNX's states and Variables, both ways: their types, metadata and sharing are kept.
from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

from ._ffi import lib
from ._flatten import CUSTOM, DICT, STATE_NAME, _HANDLERS, _items, named
from ._values import is_current, type_name

_CONTAINERS = (type(None), Mapping, list, tuple)


def handler(nnx: Any, cls: Any) -> Any:
    """The handler of a type of Flax NNX, or None."""
    if cls is getattr(nnx, "State", None):
        return _state
    if issubclass(cls, getattr(nnx, "Variable", ())) or cls.__name__ == "HijaxVariable":
        return _variable
    return None


def _raw(state: Any) -> Any:
    return state.raw_mapping if hasattr(state, "raw_mapping") else dict(state)


def _state(self: Any, key: Any, value: Any, extra: Any) -> None:
    raw = _raw(value)
    build = None
    if self.target:
        build = lambda keys, values: type(value)(dict(zip(keys, values)))  # noqa: E731
    self.open(key, DICT, named(STATE_NAME) + extra, raw, len(raw), _items(self, raw), build)


def to_tuples(value: Any) -> Any:
    """Lists of a JSON document are tuples where they stand under "$tuple"; likewise "$spec"."""
    if isinstance(value, dict):
        if set(value) == {"$tuple"} and isinstance(value["$tuple"], list):
            return tuple(map(to_tuples, value["$tuple"]))
        if set(value) == {"$spec"} and isinstance(value["$spec"], list):
            return sys.modules["jax"].sharding.PartitionSpec(*map(to_tuples, value["$spec"]))
        return {name: to_tuples(child) for name, child in value.items()}
    return [to_tuples(child) for child in value] if isinstance(value, list) else value


def _from_tuples(value: Any) -> Any:
    if isinstance(value, sys.modules["jax"].sharding.PartitionSpec):
        return {"$spec": [_from_tuples(child) for child in value]}
    if isinstance(value, tuple):
        return {"$tuple": [_from_tuples(child) for child in value]}
    if isinstance(value, list):
        return [_from_tuples(child) for child in value]
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value) or set(value) in ({"$tuple"}, {"$spec"}):
            raise TypeError("not JSON, or not to be told from a tuple")
        return {_from_tuples(name): _from_tuples(child) for name, child in value.items()}
    if type(value) is str:
        value.encode()  # lone surrogates are no JSON
        return value
    if value is None or type(value) in (bool, int, float):
        return value
    raise TypeError("not JSON")


_ATTRIBUTES: dict[Any, Any] = {}  # (class, metadata as text) -> attributes
# (class, names and addresses of the metadata) -> (the metadata's values, attributes)
_RECENT: dict[Any, Any] = {}
_CONSTANTS = {type(None), bool, int, float, str}


def _is_constant(value: Any) -> bool:
    """True for metadata that never change, so that an address stands for them."""
    if type(value) is tuple or type(value) is sys.modules["jax"].sharding.PartitionSpec:
        return all(map(_is_constant, value))
    return type(value) in _CONSTANTS


def _variable_attributes(variable: Any, nnx: Any) -> Any:
    metadata = variable.get_metadata()
    key = (variable_type(variable), *metadata, *map(id, metadata.values()))
    found = _RECENT.get(key)
    if found is not None:
        return found[1]
    attributes, whole = _make_attributes(variable, metadata, nnx)
    values = tuple(metadata.values())
    if whole and all(map(_is_constant, values)):
        if len(_RECENT) >= 1000:
            _RECENT.clear()
        _RECENT[key] = values, attributes
    return attributes


def chain_of(nnx: Any, cls: Any) -> list[str]:
    """The names of a class of Variables and of its bases, up to nnx.Variable."""
    chain = cls.__mro__[: cls.__mro__.index(nnx.Variable) + 1]
    return [c.__name__ for c in chain if issubclass(c, nnx.Variable)]


def _make_attributes(variable: Any, given: Any, nnx: Any) -> Any:
    """(attributes, whether all of the metadata is in them)."""
    cls = variable_type(variable)
    metadata, dropped = {}, []
    for name, value in given.items():
        try:
            metadata[name] = _from_tuples(value)
        except (TypeError, ValueError, RecursionError):
            dropped.append(name)
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=True)
    found = _ATTRIBUTES.get((cls, text))
    if found is not None and not dropped:
        return found, True
    if dropped:
        warnings.warn(
            f"metadata {', '.join(dropped)} of nnx.{cls.__name__} is no JSON and is not saved; "
            "load with a target to keep the target's",
            stacklevel=6,
        )
    names = "\0".join(chain_of(nnx, cls))
    attributes = [
        (lib.TREERING_ATTR_VARIABLE_TYPE, names.encode()),
        (lib.TREERING_ATTR_METADATA, text.encode()),
        *named(type_name(cls)),
    ]
    if isinstance(metadata.get("tag"), str):
        attributes.append((lib.TREERING_ATTR_TAG, metadata["tag"].encode()))
    sharding = metadata.get("sharding_names", metadata.get("out_sharding", metadata.get("sharding")))
    if sharding is not None:
        plain = given.get("sharding_names", given.get("out_sharding", given.get("sharding")))
        listed = isinstance(plain, (tuple, list)) or (isinstance(sharding, dict) and "$spec" in sharding)
        spec = list(plain) if listed else str(plain)
        attributes.append((lib.TREERING_ATTR_SHARDING, json.dumps({"spec": spec}).encode()))
    if len(_ATTRIBUTES) < 10000:
        _ATTRIBUTES[cls, text] = tuple(attributes)
    return tuple(attributes), not dropped


def variable_type(variable: Any) -> Any:
    """Its class, also of one that Flax has wrapped for hijax."""
    return getattr(variable, "var_type", type(variable))


def remade(cls: Any, value: Any, metadata: Any) -> Any:
    """A Variable of its metadata around a value that was restored."""
    jax = sys.modules["jax"]
    if metadata.get("ref") and isinstance(value, jax.Array):
        value = jax.new_ref(value)
    return cls.from_metadata(value, metadata)


def _variable(self: Any, key: Any, value: Any, extra: Any) -> None:
    first = self.variables.get(id(value))
    if first is not None:
        self.shared(key, first)
        return
    nnx = sys.modules["flax.nnx"]
    attributes = _variable_attributes(value, nnx)
    raw = value.get_raw_value()
    plain = None if self.target else _PLAIN.get(type(raw))
    if plain is not None:
        self.variables[id(value)] = len(self.codes)
        self.kept.append(value)
        plain(self, key, raw, attributes)
        return
    if type(raw).__name__ == "Ref":  # of a Variable that was made with ref=True
        raw = raw[...]
    row = len(self.codes)
    again: Any = partial(remade, variable_type(value)) if self.target else None
    metadata = value.get_metadata() if self.target else None
    if _holds_more(nnx, type(raw)):
        build = lambda keys, values: again(values[0], metadata)  # noqa: E731
        self.open(key, CUSTOM, attributes, value, 1, iter([("value", raw)]), build)
        return
    self.variables[id(value)] = row
    self.kept.append(value)
    self.node(key, raw, attributes)
    if type(raw).__name__ == "ArrayImpl":
        _PLAIN[type(raw)] = _HANDLERS[type(raw)]
    if self.target:
        inner = self.finish[row]
        self.finish[row] = lambda raw: again(raw if inner is None else inner(raw), metadata)


_PLAIN: dict[Any, Any] = {}  # the type of JAX's arrays, once one was met -> its handler
_HOLDING: dict[Any, Any] = {}  # type -> whether a Variable of it holds more than one leaf


def _holds_more(nnx: Any, cls: Any) -> Any:
    found = _HOLDING.get(cls)
    if found is None:
        found = issubclass(cls, (*_CONTAINERS, nnx.State, nnx.Variable)) or hasattr(cls, "__dataclass_fields__")
        _HOLDING[cls] = found
    return found


_CLASSES: dict[Any, Any] = {}  # "module:name" -> class


def _class_of(nnx: Any, name: str, chain: list[str]) -> Any:
    """The program's subclass of nnx.Variable of that name, else the nearest base of its chain."""
    found = _CLASSES.get(name)
    if found is not None and is_current(found):
        return found
    moved = None
    by_name: dict[str, Any] = {}
    queue = [nnx.Variable]
    while queue:
        cls = queue.pop()  # of those with one name and base the newest comes first
        if type_name(cls) == name:
            _CLASSES[name] = cls
            return cls
        if moved is None and _is_of_script(cls, name) and chain_of(nnx, cls) == chain:
            moved = cls
        by_name.setdefault(cls.__name__, cls)
        queue.extend(cls.__subclasses__())
    if moved is not None:
        return moved
    return next((by_name[base] for base in chain[1:] if base in by_name), nnx.Variable)


def _is_of_script(cls: Any, name: str) -> bool:
    """Whether they are one class if a script's module, when it is run, is the one it is imported as."""
    module, _, qualified = name.partition(":")
    return cls.__qualname__ == qualified and "__main__" in (module, cls.__module__)


_DESCRIBED: dict[Any, Any] = {}  # attributes -> the chain, name and metadata in them


def _description(attributes: Any) -> tuple[list[str], str, dict[str, Any]]:
    key = tuple(attributes.get(number) for number in _DESCRIBING)
    found = _DESCRIBED.get(key)
    if found is not None:
        return found  # type: ignore[no-any-return]
    types, name, text, tag = key
    metadata = {"hijax": False, "ref": False, "eager_sharding": True}
    if text is not None:
        metadata = to_tuples(json.loads(text))
    elif tag is not None:
        metadata["tag"] = tag.decode()
    found = types.decode().split("\0"), (name or b"").decode(), metadata
    if all(map(_is_constant, metadata.values())):
        if len(_DESCRIBED) >= 1000:
            _DESCRIBED.clear()
        _DESCRIBED[key] = found
    return found


_DESCRIBING = (
    lib.TREERING_ATTR_VARIABLE_TYPE, lib.TREERING_ATTR_TYPE_NAME, lib.TREERING_ATTR_METADATA,
    lib.TREERING_ATTR_TAG,
)  # fmt: skip


def make_variable(nnx: Any, attributes: Any, value: Any) -> Any:
    """An nnx.Variable of what a file says: attributes by id, as bytes."""
    chain, name, metadata = _description(attributes)
    return remade(_class_of(nnx, name, chain), value, metadata)

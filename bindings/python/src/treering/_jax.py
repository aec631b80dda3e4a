# SPDX-License-Identifier: Apache-2.0
# JAX's arrays and keys and Flax's states: only ever touched where the program has imported them.
import json
import sys
import warnings
from collections.abc import Mapping

import numpy as np

from ._flatten import (
    ALIAS, ARRAY, CUSTOM, DICT, FROZEN_NAME, JAX, PRNG_KEY, STATE_NAME, _items, _mapping, named,
)  # fmt: skip
from ._ffi import lib
from ._values import type_name

_CONTAINERS = (type(None), Mapping, list, tuple)


def handler(cls):
    """The handler of a type of JAX or Flax, or None."""
    jax = sys.modules["jax"]
    nnx = sys.modules.get("flax.nnx")
    core = sys.modules.get("flax.core")
    if nnx is not None and cls is getattr(nnx, "State", None):
        return _state
    if nnx is not None and issubclass(cls, getattr(nnx, "Variable", ())):
        return _variable
    if cls.__name__.endswith("Tracer") and issubclass(cls, jax.core.Tracer):
        return _tracer
    if issubclass(cls, jax.Array):
        return _array
    if cls is jax.ShapeDtypeStruct:
        return _shape_dtype
    if core is not None and cls is getattr(core, "FrozenDict", None):
        return _mapping(named(FROZEN_NAME), lambda items: cls(dict(items)))
    return None


# ---- arrays


def _tracer(self, key, value, extra):
    self.refuse(key, "a value being traced; save outside of jit, grad and scan")


def _is_key(jax, value):
    return jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def _sharding(value):
    """Advice on the layout: mesh axes and partition spec of a NamedSharding over several devices."""
    sharding = value.sharding
    if getattr(sharding, "num_devices", 1) < 2 or not hasattr(sharding, "spec"):
        return ()
    spec = [list(axes) if isinstance(axes, tuple) else axes for axes in sharding.spec]
    text = json.dumps({"mesh": dict(sharding.mesh.shape), "spec": spec}, default=str)
    return ((lib.TREERING_ATTR_SHARDING, text.encode()),)


def _impl(jax, value):
    return str(jax.random.key_impl(value))


def _array(self, key, value, extra):
    jax = sys.modules["jax"]
    if self.target:
        sharding = getattr(value, "sharding", None)
        _wanted(self, key, value, extra, sharding)
        return
    if value.is_deleted():
        self.refuse(key, "a jax.Array whose buffer was deleted or donated; save before donating it")
    if not value.is_fully_addressable and not value.is_fully_replicated:
        self.refuse(key, "a jax.Array that is spread over other processes too; gather it first")
    if _is_key(jax, value):
        attributes = ((lib.TREERING_ATTR_PRNG_IMPL, _impl(jax, value).encode()), *JAX)
        self.row(key, PRNG_KEY, attributes + extra, np.asarray(jax.random.key_data(value)))
        return
    sharding = () if any(i == lib.TREERING_ATTR_SHARDING for i, _ in extra) else _sharding(value)
    self.row(key, ARRAY, JAX + sharding + extra, np.asarray(value))


def _shape_dtype(self, key, value, extra):
    if not self.target:
        self.refuse(key, "a jax.ShapeDtypeStruct has no data to save; give an array")
    _wanted(self, key, value, extra, getattr(value, "sharding", None))


def _wanted(self, key, value, extra, sharding):
    jax = sys.modules["jax"]
    if _is_key(jax, value):
        # The words' shape and dtype follow from the implementation; no key is made for it.
        impl = value.dtype._impl
        name = impl.name

        def finish(raw):
            made = jax.random.wrap_key_data(jax.device_put(raw), impl=name)
            return made if sharding is None else jax.device_put(made, sharding)

        attributes = ((lib.TREERING_ATTR_PRNG_IMPL, name.encode()), *JAX)
        shape = tuple(value.shape) + tuple(impl.key_shape)
        self.wanted(key, PRNG_KEY, attributes + extra, np.uint32, shape, finish)
        return
    self.wanted(key, ARRAY, JAX + extra, value.dtype, value.shape, lambda raw: to_jax(jax, raw, sharding))


def to_jax(jax, array, sharding=None):
    """A jax.Array of the same bits, or the NumPy array where JAX would narrow it (x64 is off)."""
    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        return array
    return jax.device_put(array, sharding)


def many_to_jax(jax, arrays):
    keep = [jax.dtypes.canonicalize_dtype(a.dtype) == a.dtype for a in arrays]
    moved = iter(jax.device_put([a for a, k in zip(arrays, keep) if k]))
    return [next(moved) if k else a for a, k in zip(arrays, keep)]


# ---- nnx.State


def _raw(state):
    return state.raw_mapping if hasattr(state, "raw_mapping") else dict(state)


def _state(self, key, value, extra):
    raw = _raw(value)
    build = None
    if self.target:
        build = lambda keys, values: type(value)(dict(zip(keys, values)))  # noqa: E731
    self.open(key, DICT, named(STATE_NAME) + extra, raw, len(raw), _items(self, raw), build)


def to_tuples(value):
    """Lists of a JSON document are tuples where they stand under "$tuple"; likewise "$spec"."""
    if isinstance(value, dict):
        if set(value) == {"$tuple"} and isinstance(value["$tuple"], list):
            return tuple(map(to_tuples, value["$tuple"]))
        if set(value) == {"$spec"} and isinstance(value["$spec"], list):
            return sys.modules["jax"].sharding.PartitionSpec(*map(to_tuples, value["$spec"]))
        return {name: to_tuples(child) for name, child in value.items()}
    return [to_tuples(child) for child in value] if isinstance(value, list) else value


def _from_tuples(value):
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


_ATTRIBUTES = {}  # (class, metadata as text) -> attributes


def _variable_attributes(variable, nnx):
    cls = type(variable)
    metadata, dropped = {}, []
    for name, value in variable.get_metadata().items():
        try:
            metadata[name] = _from_tuples(value)
        except (TypeError, ValueError, RecursionError):
            dropped.append(name)
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=True)
    found = _ATTRIBUTES.get((cls, text))
    if found is not None and not dropped:
        return found
    if dropped:
        warnings.warn(
            f"metadata {', '.join(dropped)} of nnx.{cls.__name__} is no JSON and is not saved; "
            "load with a target to keep the target's",
            stacklevel=5,
        )
    chain = cls.__mro__[: cls.__mro__.index(nnx.Variable) + 1]
    names = "\0".join(c.__name__ for c in chain if issubclass(c, nnx.Variable))
    attributes = [
        (lib.TREERING_ATTR_VARIABLE_TYPE, names.encode()),
        (lib.TREERING_ATTR_METADATA, text.encode()),
        *named(type_name(cls)),
    ]
    if isinstance(metadata.get("tag"), str):
        attributes.append((lib.TREERING_ATTR_TAG, metadata["tag"].encode()))
    sharding = metadata.get("sharding_names", metadata.get("out_sharding", metadata.get("sharding")))
    if sharding is not None:
        plain = variable.get_metadata()
        plain = plain.get("sharding_names", plain.get("out_sharding", plain.get("sharding")))
        spec = list(plain) if isinstance(plain, (tuple, list)) or "$spec" in sharding else str(plain)
        attributes.append((lib.TREERING_ATTR_SHARDING, json.dumps({"spec": spec}).encode()))
    if len(_ATTRIBUTES) < 10000:
        _ATTRIBUTES[cls, text] = tuple(attributes)
    return tuple(attributes)


def _variable(self, key, value, extra):
    nnx = sys.modules["flax.nnx"]
    first = self.variables.get(id(value))
    if first is not None:
        self.row(key, ALIAS, (), first, first)
        return
    attributes = _variable_attributes(value, nnx)
    raw = value.get_raw_value()
    row = len(self.codes)
    again = value.from_metadata if self.target else None
    metadata = value.get_metadata() if self.target else None
    if isinstance(raw, (*_CONTAINERS, nnx.State, nnx.Variable)) or hasattr(type(raw), "__dataclass_fields__"):
        build = lambda keys, values: again(values[0], metadata)  # noqa: E731
        self.open(key, CUSTOM, attributes, value, 1, iter([("value", raw)]), build)
        return
    self.variables[id(value)] = row
    self.kept.append(value)
    self.node(key, raw, attributes)
    if self.target:
        inner = self.finish[row]
        self.finish[row] = lambda raw: again(raw if inner is None else inner(raw), metadata)


_CLASSES = {}  # "module:name" -> class


def _class_of(nnx, name, chain):
    """The imported subclass of nnx.Variable of that name, else the nearest base of its chain."""
    found = _CLASSES.get(name)
    if found is None:
        known, by_name, queue = {}, {}, [nnx.Variable]
        while queue:
            cls = queue.pop()
            known[type_name(cls)] = cls
            by_name.setdefault(cls.__name__, cls)
            queue.extend(cls.__subclasses__())
        found = known.get(name)
        if found is None:
            for base in chain[1:]:
                if base in by_name:
                    return by_name[base]
            return nnx.Variable
        _CLASSES[name] = found
    return found


def make_variable(nnx, attributes, value):
    """An nnx.Variable of what a file says: attributes by id, as bytes."""
    chain = attributes[lib.TREERING_ATTR_VARIABLE_TYPE].decode().split("\0")
    name = attributes.get(lib.TREERING_ATTR_TYPE_NAME, b"").decode()
    metadata = {"hijax": False, "ref": False, "eager_sharding": True}
    if lib.TREERING_ATTR_METADATA in attributes:
        metadata = to_tuples(json.loads(attributes[lib.TREERING_ATTR_METADATA]))
    elif lib.TREERING_ATTR_TAG in attributes:
        metadata["tag"] = attributes[lib.TREERING_ATTR_TAG].decode()
    return _class_of(nnx, name, chain).from_metadata(value, metadata)

# SPDX-License-Identifier: Apache-2.0
# JAX's arrays and typed keys: only ever touched where the program has imported JAX.
from __future__ import annotations

import sys
from typing import Any, Callable

import numpy as np

from . import _sharded
from ._ffi import lib
from ._flatten import ARRAY, FROZEN_NAME, JAX, PRNG_KEY, Flattener, Handler, _mapping, named
from ._values import register_records

register_records()


def handler(cls: type) -> Handler | None:
    """The handler of a type of JAX or Flax, or None."""
    jax = sys.modules["jax"]
    nnx = sys.modules.get("flax.nnx")
    core = sys.modules.get("flax.core")
    if nnx is not None:
        from . import _nnx

        found: Handler | None = _nnx.handler(nnx, cls)
        if found is not None:
            return found
    if cls.__name__.endswith("Tracer") and issubclass(cls, jax.core.Tracer):
        return _tracer
    if issubclass(cls, jax.Array):
        return _array if cls.__name__ == "ArrayImpl" else _any_array
    if cls is jax.ShapeDtypeStruct:
        return _shape_dtype
    if cls is getattr(jax, "Ref", None):
        return _ref
    if core is not None and cls is getattr(core, "FrozenDict", None):
        return _mapping(named(FROZEN_NAME), lambda items: cls(dict(items)))
    return None


def _tracer(self: Flattener, key: Any, value: Any, extra: Any) -> None:
    self.refuse(key, "a value being traced; save outside of jit, grad and scan")


def _is_key(jax: Any, value: Any) -> bool:
    return bool(jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key))


# ---- what is saved


def _sharding(sharding: Any) -> tuple[Any, ...]:
    """Advice on the layout: mesh and partition spec of a NamedSharding over several devices."""
    if getattr(sharding, "num_devices", 1) < 2 or not hasattr(sharding, "spec"):
        return ()
    spec = [list(axes) if isinstance(axes, tuple) else axes for axes in sharding.spec]
    types = getattr(sharding.mesh, "axis_types", None) or ()
    return _sharded.advice(dict(sharding.mesh.shape), spec, [kind.name for kind in types])


def _array(self: Flattener, key: Any, value: Any, extra: Any) -> None:
    """An ordinary array: the many, so what depends on sharding and attributes alone is kept."""
    sharding = value.sharding
    known = self.known.get(id(extra))  # nothing, for a target
    if known is None or known[0] is not sharding:
        _any_array(self, key, value, extra)
        if not self.target and type(sharding).__name__ == "SingleDeviceSharding":
            self.known[id(extra)] = sharding, self.codes[-1]
            self.kept.append(extra)  # so that nothing else gets its address
        return
    try:
        array = np.asarray(value)
    except RuntimeError:
        _refuse_deleted(self, key, value)
        raise
    self.keys.append(key)
    self.values.append(array)
    self.codes.append(known[1])


def _ref(self: Flattener, key: Any, value: Any, extra: Any) -> None:
    """A mutable array: what it holds now. One that is met again is one leaf."""
    first = self.variables.get(id(value))
    if first is not None:
        self.shared(key, first)
        return
    row = self.variables[id(value)] = len(self.codes)
    self.kept.append(value)
    if not self.target:
        self.node(key, value[...], extra)
        return
    jax = sys.modules["jax"]
    self.node(key, jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=value.sharding), extra)
    self.finish[row] = _wrap_finisher(self.finish[row], jax.new_ref)


def _wrap_finisher(inner: Any, outer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda raw: outer(raw if inner is None else inner(raw))


def _refuse_deleted(self: Flattener, key: Any, value: Any) -> None:
    if value.is_deleted():
        self.refuse(key, "a jax.Array whose buffer was deleted or donated; save before donating it")


def _any_array(self: Flattener, key: Any, value: Any, extra: Any) -> None:
    jax = sys.modules["jax"]
    if self.target:
        _wanted(self, key, value, extra, getattr(value, "sharding", None))
        return
    _refuse_deleted(self, key, value)
    if not value.is_fully_addressable and not value.is_fully_replicated:
        self.refuse(key, "a jax.Array that is spread over other processes too; gather it first")
    if _is_key(jax, value):
        impl = str(jax.random.key_impl(value))
        attributes = ((lib.TREERING_ATTR_PRNG_IMPL, impl.encode()), *JAX)
        self.row(key, PRNG_KEY, attributes + extra, np.asarray(jax.random.key_data(value)))
        return
    sharding = _sharding(value.sharding)
    if sharding:  # how it lies is better advice than what its Variable was declared with
        extra = tuple(pair for pair in extra if pair[0] != lib.TREERING_ATTR_SHARDING)
    self.row(key, ARRAY, JAX + sharding + extra, _sharded.on_host(value))


# ---- what a target wants


def _shape_dtype(self: Flattener, key: Any, value: Any, extra: Any) -> None:
    if not self.target:
        self.refuse(key, "a jax.ShapeDtypeStruct has no data to save; give an array")
    _wanted(self, key, value, extra, getattr(value, "sharding", None))


def _wanted(self: Flattener, key: Any, value: Any, extra: Any, sharding: Any) -> None:
    jax = sys.modules["jax"]
    if isinstance(getattr(sharding, "mesh", None), jax.sharding.AbstractMesh):
        sharding = _over_devices(self, key, sharding)
    if getattr(sharding, "num_devices", 1) > 1:
        _sharded.require_divisible(tuple(value.shape), sharding, lambda: self.where(key))
    if _is_key(jax, value):
        # The words' shape and dtype follow from the implementation; no key is made for it.
        impl = value.dtype._impl
        attributes = ((lib.TREERING_ATTR_PRNG_IMPL, impl.name.encode()), *JAX)
        shape = tuple(value.shape) + tuple(impl.key_shape)
        finish = _key_finisher(jax, impl.name, sharding)
        self.wanted(key, PRNG_KEY, attributes + extra, np.uint32, shape, finish)
        return
    if self.in_boxes and getattr(sharding, "num_devices", 1) > 1 and not _narrows(jax, value.dtype):
        self.boxed(key, _sharded.Boxes(value.shape, value.dtype, sharding))
        return
    finish = lambda raw: to_jax(jax, raw, sharding)  # noqa: E731
    self.wanted(key, ARRAY, JAX + extra, value.dtype, value.shape, finish)


def _over_devices(self: Flattener, key: Any, sharding: Any) -> Any:
    """What eval_shape gives under a mesh names no devices: those of the present mesh are meant."""
    jax = sys.modules["jax"]
    mesh = jax.sharding.get_mesh()
    if not set(sharding.mesh.axis_names) <= set(mesh.axis_names):
        axes = dict(sharding.mesh.shape)
        self.refuse(key, f"a sharding over an abstract mesh {axes}; load within jax.set_mesh(mesh)")
    return jax.sharding.NamedSharding(mesh, sharding.spec)


def _key_finisher(jax: Any, impl: str, sharding: Any) -> Callable[..., Any]:
    def finish(raw: np.ndarray) -> Any:
        made = jax.random.wrap_key_data(jax.device_put(raw), impl=impl)
        return made if sharding is None else jax.device_put(made, sharding)

    return finish


def _narrows(jax: Any, dtype: Any) -> bool:
    """True where JAX would make a narrower dtype of it, since x64 is off."""
    return bool(jax.dtypes.canonicalize_dtype(dtype) != dtype)


def to_jax(jax: Any, array: np.ndarray, sharding: Any = None) -> Any:
    """A jax.Array of the same bits, or the NumPy array where JAX would narrow it."""
    return array if _narrows(jax, array.dtype) else jax.device_put(array, sharding)


def many_to_jax(jax: Any, arrays: list[Any]) -> list[Any]:
    keep = [not _narrows(jax, array.dtype) for array in arrays]
    moved = iter(jax.device_put([a for a, k in zip(arrays, keep) if k]))
    return [next(moved) if k else a for a, k in zip(arrays, keep)]

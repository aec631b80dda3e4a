# SPDX-License-Identifier: Apache-2.0
# As what a leaf is to be restored, and how a stored value becomes that.
"""`Wanted`: the one form of all that targets and RestoreArgs can ask of a leaf."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import treering

from .. import _sharded
from . import _leaf_handlers
from ._storing import cast
from .metadata import ArrayMetadata, Metadata, ShardingMetadata
from .metadata.sharding import NamedShardingMetadata, stored_sharding
from .type_handlers import PLACEHOLDER, RestoreArgs, is_placeholder

_NUMBERS = (bool, int, float, complex)


@dataclasses.dataclass
class Wanted:
    """How to restore a leaf.

    Attributes:
        kind: np.ndarray, jax.Array, a number's type, str, bytes, a NumPy scalar type; None: as
            saved.
        dtype: to cast to, or None.
        sharding: of a jax.Array; None: as saved.
        shape: what is expected, or None.
        strict: whether another shape is an error; else it is cut and filled with zeros.
        key: the dtype of typed PRNG keys, where those are expected.
        fallback: the sharding to take where the saved one cannot be made here.
    """

    kind: Any = None
    dtype: Any = None
    sharding: Any = None
    shape: tuple[int, ...] | None = None
    strict: bool = True
    key: Any = None
    fallback: Any = None


def usable_sharding(sharding: Any) -> Any:
    """A sharding that arrays can be put to: descriptions and abstract meshes on devices of here.

    Raises:
        ValueError: there are not enough devices.
    """
    if isinstance(sharding, ShardingMetadata):
        return sharding.to_jax_sharding()
    mesh = getattr(sharding, "mesh", None)
    if isinstance(mesh, jax.sharding.AbstractMesh):
        current = jax.sharding.get_mesh() if hasattr(jax.sharding, "get_mesh") else None
        if current is not None and not current.empty and current.abstract_mesh == mesh:
            return jax.sharding.NamedSharding(current, sharding.spec)
        sizes = np.array(list(mesh.shape.values()))
        described = NamedShardingMetadata(
            sizes, list(mesh.axis_names), tuple(sharding.spec), tuple(mesh.axis_types)
        )
        return described.to_jax_sharding()
    return sharding


def of_restore_args(args: Any) -> Wanted:
    """What RestoreArgs ask for; None: nothing; PLACEHOLDER: not to read the leaf."""
    if args is None:
        return Wanted()
    if is_placeholder(args) or args.restore_type in (PLACEHOLDER, type(PLACEHOLDER)):
        return Wanted(kind=PLACEHOLDER)
    wanted = Wanted(args.restore_type, args.dtype)
    if hasattr(args, "global_shape"):  # ArrayRestoreArgs, ours or those that a helper of Flax makes
        wanted.sharding = usable_sharding(args.sharding)
        if args.sharding is None and args.mesh is not None:
            axes = jax.sharding.PartitionSpec() if args.mesh_axes is None else args.mesh_axes
            wanted.sharding = jax.sharding.NamedSharding(args.mesh, axes)
        wanted.shape = None if args.shape is None else tuple(args.shape)
        wanted.strict = args.strict
    return wanted


def of_target(leaf: Any, path: str) -> Wanted:
    """What a leaf of a target asks for.

    Raises:
        ValueError: it is nothing that a leaf can be restored as.
    """
    if is_placeholder(leaf):
        return Wanted(kind=PLACEHOLDER)
    if isinstance(leaf, (jax.ShapeDtypeStruct, jax.Array)):
        kind = jax.Array if isinstance(leaf, jax.Array) or leaf.sharding is not None else None
        sharding = usable_sharding(getattr(leaf, "sharding", None))
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return Wanted(kind, None, sharding, tuple(leaf.shape), key=leaf.dtype)
        return Wanted(kind or "array", leaf.dtype, sharding, tuple(leaf.shape))
    if isinstance(leaf, np.ndarray):
        return Wanted(np.ndarray, leaf.dtype, shape=leaf.shape)
    if isinstance(leaf, ArrayMetadata):
        sharding = usable_sharding(leaf.sharding)
        return Wanted(None, leaf.dtype, sharding, tuple(leaf.shape))
    if isinstance(leaf, (Metadata, treering.AbstractLeaf)):
        return Wanted(dtype=getattr(leaf, "dtype", None))
    if isinstance(leaf, type):
        return Wanted(leaf)
    if isinstance(leaf, (np.generic, *_NUMBERS, str, bytes)):
        return Wanted(type(leaf))
    if _leaf_handlers.custom_handler(type(leaf)) is not None:
        return Wanted(type(leaf))
    raise ValueError(f"Unsupported type: {type(leaf)} for key: {path}.")


def saved_sharding(leaf: treering.AbstractLeaf, fallback: Any = None) -> Any:
    """The sharding over several devices that a leaf was saved with, or None.

    Raises:
        ValueError: there are fewer devices here, and no fallback.
    """
    described = stored_sharding(leaf)
    if not isinstance(described, NamedShardingMetadata):
        return None
    try:
        return described.to_jax_sharding()
    except ValueError as error:
        if fallback is not None:
            return fallback
        raise ValueError(
            f"Topology mismatch detected. The checkpoint was saved with another topology: {error}, "
            "or a target whose leaves have shardings"
        ) from error


def direct(leaf: Any, wanted: Wanted) -> Any:
    """What to give `treering.load` for a leaf: with its sharding, where nothing changes."""
    if isinstance(leaf, treering.Record):
        return leaf
    if leaf.kind == "prng_key":
        impl = {"prng_impl": leaf.attributes.get("prng_impl", "")}
        return treering.AbstractLeaf(leaf.dtype, leaf.shape, impl, kind="prng_key")
    if leaf.kind != "array":
        return treering.AbstractLeaf(kind=leaf.kind)
    same = wanted.shape in (None, tuple(leaf.shape)) and wanted.dtype in (None, leaf.dtype)
    spread = isinstance(wanted.sharding, jax.sharding.Sharding) and wanted.sharding.num_devices > 1
    if wanted.kind is jax.Array and spread and same and _keeps(leaf.dtype):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=wanted.sharding)
    return treering.AbstractLeaf(leaf.dtype, leaf.shape)


def _keeps(dtype: Any) -> bool:
    """Whether JAX takes a dtype as it is: not if it has 64 bits, and those are off."""
    return bool(jax.dtypes.canonicalize_dtype(dtype) == np.dtype(dtype))


@dataclasses.dataclass
class Placement:
    """An array on its way to devices."""

    value: Any
    sharding: Any


def place_all(values: dict[Any, Any]) -> None:
    """Puts each Placement among the values where it belongs; one call for all is much cheaper."""
    waiting = {path: value for path, value in values.items() if isinstance(value, Placement)}
    for plain in (True, False):
        chosen = {p: v for p, v in waiting.items() if (v.sharding is None) == plain}
        arrays = [v.value for v in chosen.values()]
        shardings = None if plain else [v.sharding for v in chosen.values()]
        values.update(zip(chosen, jax.device_put(arrays, shardings)))


def convert(value: Any, leaf: Any, wanted: Wanted, path: str) -> Any:
    """As `converted`, and on its devices."""
    found = converted(value, leaf, wanted, path)
    return jax.device_put(found.value, found.sharding) if isinstance(found, Placement) else found


def converted(value: Any, leaf: Any, wanted: Wanted, path: str) -> Any:
    """A stored value as it is wanted, or a Placement of it.

    Args:
        value: as `direct` had it loaded, or as it was saved.
        leaf: what the file tells of it.
        wanted: what is wanted.
        path: for messages.

    Raises:
        ValueError: it has another shape, or cannot be that.
    """
    try:
        return _converted(value, leaf, wanted, path)
    except OverflowError as error:
        raise ValueError(f"{path}: {error}; ask for a wider dtype, or for int") from error


def _converted(value: Any, leaf: Any, wanted: Wanted, path: str) -> Any:
    if isinstance(leaf, treering.Record):
        args = RestoreArgs(restore_type=wanted.kind, dtype=wanted.dtype)
        return _leaf_handlers.read(value, args) if _leaf_handlers.is_record(value) else value
    if leaf.kind == "prng_key":
        return _key(value, leaf, wanted, path)
    if leaf.kind in ("string", "bytes"):
        if wanted.kind not in (None, str if leaf.kind == "string" else bytes):
            raise ValueError(f"{path}: a {leaf.kind} cannot be restored as {wanted.kind}")
        return value
    kind = wanted.kind
    is_array = leaf.kind == "array" and leaf.attributes.get("scalar") != "numpy"
    from_jax = leaf.attributes.get("origin") == "jax"
    if kind is None or kind == "array":
        if is_array or kind == "array":
            kind = jax.Array if from_jax or wanted.sharding is not None else np.ndarray
        else:
            return _number(value, wanted.dtype, None, path)
    if kind in (np.ndarray, jax.Array):
        return _array(value, leaf, wanted, kind, path)
    if not isinstance(kind, type) or not issubclass(kind, (np.generic, *_NUMBERS)):
        raise ValueError(f"{path}: an array or number cannot be restored as {kind}")
    return _number(value, wanted.dtype, kind, path)


def _number(value: Any, dtype: Any, kind: Any, path: str) -> Any:
    """A number, as `kind` or as what it is."""
    if np.shape(value) != ():
        raise ValueError(
            f"{path}: an array of shape {np.shape(value)} cannot be restored as {kind}"
        )
    if kind is not None and issubclass(kind, np.generic):
        return np.asarray(value).astype(kind)[()]
    if dtype is not None and (isinstance(value, np.generic) or kind is not None):
        value = np.asarray(value).astype(dtype)[()]
    if kind is None:
        return value[()] if isinstance(value, np.ndarray) else value
    plain = value.item() if hasattr(value, "item") else value
    return kind(plain.real if isinstance(plain, complex) and kind is not complex else plain)


def _array(value: Any, leaf: treering.AbstractLeaf, wanted: Wanted, kind: Any, path: str) -> Any:
    stored = tuple(np.shape(value))
    if wanted.shape is not None and wanted.shape != stored:
        value = _reshaped(value, wanted, stored, path)
    if wanted.dtype is not None:
        by_jax = isinstance(value, jax.Array) and _keeps(wanted.dtype)
        value = cast(value if by_jax else np.asarray(value), wanted.dtype)
    if kind is np.ndarray:
        return np.asarray(value)
    sharding = wanted.sharding
    if sharding is None:
        sharding = saved_sharding(leaf, wanted.fallback)
    if isinstance(value, jax.Array) and (sharding is None or value.sharding == sharding):
        return value
    if isinstance(value, int):  # one of Python becomes what JAX makes of it, if that holds it
        np.asarray(value, jax.dtypes.canonicalize_dtype(np.int64))
    elif hasattr(value, "dtype") and not _keeps(value.dtype):
        return _wide(np.asarray(value), wanted.sharding, path)
    if getattr(sharding, "num_devices", 1) > 1:
        _sharded.require_divisible(tuple(np.shape(value)), sharding, lambda: f"'{path}'")
    return Placement(value, sharding)


def _wide(value: Any, sharding: Any, path: str) -> Any:
    """An array whose 64 bits JAX would narrow, as NumPy's, unless it was to lie over devices."""
    if getattr(sharding, "num_devices", 1) < 2:
        return value
    raise ValueError(
        f"{path}: {value.dtype} cannot lie over devices while JAX has 64 bits off; set "
        f"jax_enable_x64, or ask for {jax.dtypes.canonicalize_dtype(value.dtype)} or for NumPy"
    )


def _reshaped(value: Any, wanted: Wanted, stored: tuple[int, ...], path: str) -> Any:
    shape = wanted.shape or ()
    if wanted.strict or len(shape) != len(stored):
        raise ValueError(
            f"{path}: Requested shape: {shape} is not compatible with the stored shape: {stored}; "
            "strict=False cuts and fills arrays of as many axes"
        )
    source = np.asarray(value)
    result = np.zeros(shape, source.dtype)
    common = tuple(slice(0, min(a, b)) for a, b in zip(shape, stored))
    result[common] = source[common]
    return result


def _key(value: Any, leaf: treering.AbstractLeaf, wanted: Wanted, path: str) -> Any:
    """A typed key; it is never cast or made into an array."""
    impl = str(leaf.attributes.get("prng_impl", ""))
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        made = value
    else:
        words = value.words if isinstance(value, treering.PRNGKey) else value
        made = jax.random.wrap_key_data(jax.device_put(np.asarray(words)), impl=impl)
    if wanted.key is not None and wanted.shape is not None and made.shape != wanted.shape:
        raise ValueError(f"{path}: Requested shape: {wanted.shape} of keys; stored is {made.shape}")
    if wanted.sharding is None or not isinstance(wanted.sharding, jax.sharding.Sharding):
        return made
    return jax.device_put(made, wanted.sharding)


def wrapped_as_key(value: Any, wanted: Wanted) -> Any:
    """Words that were saved as plain numbers, as the typed keys that a target has."""
    if wanted.key is not None and isinstance(value, Placement):
        value = jax.device_put(value.value, value.sharding)
    if wanted.key is None or jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return value
    return jax.random.wrap_key_data(jax.device_put(value), impl=wanted.key._impl.name)

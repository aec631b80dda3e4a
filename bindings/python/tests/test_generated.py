# SPDX-License-Identifier: Apache-2.0
# Generated trees of every kind of node, leaf and dtype come back equal in structure, types and bits.
import collections
import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

jax = pytest.importorskip("jax")
ml_dtypes = pytest.importorskip("ml_dtypes")
flax = pytest.importorskip("flax")
nnx = pytest.importorskip("flax.nnx")
import jax.numpy as jnp  # noqa: E402

import treering  # noqa: E402

ML = (
    "bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 "
    "float8_e5m2fnuz float8_e8m0fnu float6_e2m3fn float6_e3m2fn float4_e2m1fn int2 int4 uint2 uint4"
).split()
PLAIN = "? i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()
OF_JAX = [n for n in ML if "float6" not in n] + "bool int8 int16 int32 uint8 uint16 uint32 float16 float32 complex64".split()

Pair = collections.namedtuple("Pair", "first second")


@treering.register_dataclass
@dataclasses.dataclass
class Point:
    x: object
    y: object = None


@flax.struct.dataclass
class Train:
    params: object
    apply: object = flax.struct.field(pytree_node=False, default=None)


treering.register_dataclass(Train)


class Scale(nnx.Param):
    pass


def narrow(name, shape, seed):
    """An array of one of ml_dtypes' dtypes, of all bit patterns that it can have."""
    dtype, random = np.dtype(getattr(ml_dtypes, name)), np.random.default_rng(seed)
    if "int" in name:
        low, bits = (-1, int(name[-1]) - 1) if name[0] == "i" else (0, int(name[-1]))
        return random.integers(low * 2**bits, 2**bits, shape).astype(dtype)
    bits = 16 if "float4" in name else 64 if "float6" in name else 256
    return random.integers(0, bits, (*shape, dtype.itemsize), np.uint8).view(dtype).reshape(shape)


SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
SEEDS = st.integers(0, 99)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
KEYS = st.one_of(TEXTS, st.integers(), st.integers(-9, 9))


def of_jax(name, shape, seed):
    numbers = np.random.default_rng(seed).integers(0, 4, shape)
    return jnp.asarray(numbers).astype(name)


def key(impl, shape, seed):
    made = jax.random.key(seed, impl=impl)
    return jax.random.split(made, shape) if shape else made


ARRAYS = st.one_of(
    hnp.arrays(st.sampled_from(PLAIN), SHAPES),
    st.builds(narrow, st.sampled_from(ML), SHAPES, SEEDS),
    st.builds(of_jax, st.sampled_from(OF_JAX), SHAPES, SEEDS),
    st.builds(key, st.sampled_from(["threefry2x32", "rbg", "unsafe_rbg"]), st.sampled_from([(), (2,), (2, 1)]), SEEDS),
)
LEAVES = st.one_of(
    ARRAYS, st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.binary(max_size=20),
    TEXTS, st.builds(lambda name, n: np.dtype(name).type(n), st.sampled_from(PLAIN), st.integers(0, 1)),
)  # fmt: skip
METADATA = st.dictionaries(
    st.sampled_from(["tag", "note", "out_sharding"]),
    st.one_of(st.none(), st.integers(-5, 5), st.sampled_from([("x", None), "text", (1, [2, {"a": (3,)}])])),
)


def variable(cls, value, metadata):
    return cls.from_metadata(value, {"hijax": False, "ref": False, "eager_sharding": True, **metadata})


VARIABLES = st.builds(
    variable, st.sampled_from([nnx.Param, nnx.BatchStat, nnx.RngKey, nnx.Variable, Scale]),
    st.one_of(ARRAYS, st.integers(), st.dictionaries(st.sampled_from("ab"), ARRAYS)), METADATA,
)  # fmt: skip


def shared(state, variables):
    """A state in which one Variable may stand in two places."""
    return nnx.State({**state, "again": dict(enumerate([*variables, *variables[:1]]))})


STATES = st.builds(
    shared, st.dictionaries(st.sampled_from("abc"), VARIABLES), st.lists(VARIABLES, max_size=2)
)
TREES = st.recursive(
    st.one_of(LEAVES, STATES),
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(tuple),
        st.dictionaries(KEYS, children, max_size=4),
        st.dictionaries(TEXTS, children, max_size=3).map(collections.OrderedDict),
        st.dictionaries(st.sampled_from("abc"), children, max_size=3).map(flax.core.FrozenDict),
        st.builds(Pair, children, children),
        st.builds(Point, children, children),
        st.builds(Train, children),
        st.dictionaries(st.sampled_from("abc"), children, max_size=3).map(lambda f: treering.Record("m:C", f)),
    ),
    max_leaves=16,
)


def described(value):
    """All that is to come back, as values that compare by bits."""
    if isinstance(value, nnx.Variable):
        metadata = repr(sorted(value.get_metadata().items()))
        return type(value), metadata, described(value.get_raw_value())
    if isinstance(value, nnx.State):
        return nnx.State, [(type(k), k, described(v)) for k, v in value.raw_mapping.items()]
    if isinstance(value, (dict, flax.core.FrozenDict)):
        return type(value), [(type(k), k, described(v)) for k, v in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value).__name__, value._fields, [described(v) for v in value]
    if isinstance(value, (list, tuple)):
        return type(value), [described(v) for v in value]
    if isinstance(value, treering.Record):
        return value.type_name, [(k, described(v)) for k, v in value.fields.items()]
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return str(jax.random.key_impl(value)), value.shape, np.asarray(jax.random.key_data(value)).tobytes()
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        kind, host = "jax" if isinstance(value, jax.Array) else type(value), np.asarray(value)
        if str(host.dtype) in ("int2", "int4"):  # the upper bits of the byte mean nothing
            host = host.astype(np.int8)
        return kind, str(value.dtype), value.shape, host.tobytes()
    if dataclasses.is_dataclass(value):
        return type(value), [(f.name, described(getattr(value, f.name))) for f in dataclasses.fields(value)]
    if isinstance(value, (float, complex)):
        return type(value), np.asarray(value).tobytes()
    return type(value), value


def places(value):
    """Of the states in a tree: which Variables of one leaf are one, by position."""
    found, stack = {}, [value]
    while stack:
        value = stack.pop()
        if isinstance(value, nnx.Variable) and not isinstance(value.get_raw_value(), dict):
            found.setdefault(id(value), len(found))
            yield found[id(value)]
        elif isinstance(value, nnx.State):
            stack.extend(value.raw_mapping.values())
        elif isinstance(value, (dict, flax.core.FrozenDict)):
            stack.extend(value.values())
        elif isinstance(value, (list, tuple)):
            stack.extend(value)


QUICK = settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


@QUICK
@given(TREES)
def test_trees_of_all_kinds_come_back_with_and_without_a_target(tmp_path, tree):
    path = tmp_path / "run.ring"
    treering.save(path, tree, overwrite=True)
    back = treering.load(path)
    assert described(back) == described(tree) and list(places(back)) == list(places(tree))
    restored = treering.load(path, target=tree)
    assert described(restored) == described(tree) and list(places(restored)) == list(places(tree))
    assert described(treering.load(path, target=treering.metadata(path).tree)) == described(tree)


@QUICK
@given(st.lists(TREES, min_size=1, max_size=3))
def test_saves_in_the_background_give_the_same_bytes(tmp_path, trees):
    plain, later = tmp_path / "plain.ring", tmp_path / "later.ring"
    for tree in trees:
        treering.save(plain, tree, overwrite=True)
        treering.save_async(later, tree, overwrite=True).result(60)
        assert plain.read_bytes() == later.read_bytes()

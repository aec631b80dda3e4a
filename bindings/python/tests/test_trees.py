# SPDX-License-Identifier: Apache-2.0
# Python's and NumPy's own types: what is saved comes back; what has no place is refused by name.
import collections
import copy
import dataclasses
import enum
import math
import pickle
import subprocess
import sys
import typing

import ml_dtypes
import numpy as np
import pytest
from conftest import difference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import treering

Pair = collections.namedtuple("Pair", "first second")


class Typed(typing.NamedTuple):
    x: int
    y: object = None


@dataclasses.dataclass
class Point:
    x: object
    y: object = 2


@dataclasses.dataclass(frozen=True)
class Frozen:
    value: object
    twice: object = dataclasses.field(init=False)

    def __post_init__(self):
        raise AssertionError("load must not call it")


ML = [
    "bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn",
    "int2", "int4", "uint2", "uint4",
]  # fmt: skip
NUMPY = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]


def test_every_kind_of_node_and_leaf_comes_back(same):
    same(
        {
            "dict": {"b": 1, "a": 2, 3: {}, -7: [], "3": (), 2**80: None, -(2**63): 0},
            "list": [1, [2, [3, []]], ()],
            "tuple": (1, (2,), {}),
            "pair": Pair(1, Pair(None, [])),
            "typed": Typed(1),
            "scalars": [True, False, 0, -1, 2**200, -(2**200), 127, 128, -128, -129, 2**63, -(2**63)],
            "floats": [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1 + 2j, complex(-0.0, math.nan)],
            "texts": ["", "a\0b", "é😀", "\ud800", b"", b"\0\xff", "x" * 100000],
            'odd "keys"/*': {"": 1, "a/b": 2, "\ud800": 3, "\n": 4, "é": 5},
        }
    )


@pytest.mark.parametrize("root", [None, 1, "x", b"", 1.5, {}, [], (), np.arange(3), np.float32(1), np.zeros(())])
def test_any_value_is_a_root(same, root):
    same(root)


@pytest.mark.parametrize("name", NUMPY + ML)
def test_every_dtype_keeps_its_bits(same, name):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    one = np.random.default_rng(0).integers(0, 256, 24 * dtype.itemsize, np.uint8)
    if name == "?":
        one &= 1
    if name in ("int4", "int2"):
        bits = int(name[3:])
        one = ((one.astype(np.int16) % 2**bits) - 2 ** (bits - 1)).astype(np.int8).view(np.uint8)
    elif name in ("uint4", "uint2", "float4_e2m1fn"):
        one &= 3 if name == "uint2" else 15
    elif name.startswith("float6"):
        one &= 63
    array = one.view(dtype).reshape(2, 3, 4)
    same({"c": array, "t": array.T, "r": array[::-1, :, ::2], "0d": array[0, 0, 0], "a0": np.array(array[1, 1, 1]),
          "empty": array[:0], "odd": array[0, 0, :3].copy()})  # fmt: skip


def test_strides_and_byte_order_are_taken_as_what_they_mean(round_trip):
    base = np.arange(24, dtype=">f4").reshape(2, 3, 4)
    readonly = np.arange(3)
    readonly.flags.writeable = False
    unaligned = np.frombuffer(b"x" + np.arange(3, dtype="i4").tobytes(), "u1")[1:].view("i4")
    broadcast = np.broadcast_to(np.int8(3), (4, 5))
    tree = [base, base.T, np.asfortranarray(base), base[:, ::-2], broadcast, readonly, unaligned]
    for before, after in zip(tree, round_trip(tree)):
        assert after.dtype == before.dtype.newbyteorder("=") and after.flags.c_contiguous
        assert after.flags.writeable and after.flags.owndata
        np.testing.assert_array_equal(before, after)


def test_a_namedtuple_is_one_class_of_the_same_name_and_fields(round_trip):
    back = round_trip([Pair(1, 2), Pair(3, 4)])
    assert type(back[0]) is type(back[1]) and back[0] == Pair(1, 2) and back[0]._fields == Pair._fields
    assert difference(round_trip(back), back) is None
    Renamed = collections.namedtuple("Renamed", "a def", rename=True)
    assert round_trip(Renamed(1, 2))._fields == ("a", "_1")


def test_a_dataclass_is_a_record_unless_registered(round_trip, monkeypatch):
    back = round_trip(Point([1], {"k": Point(3)}))
    assert isinstance(back, treering.Record) and back.type_name == f"{__name__}:Point"
    assert back.x == [1] and back.y["k"].fields == {"x": 3, "y": 2}
    assert round_trip(back) == back
    monkeypatch.setattr("treering._values.REGISTERED", {})
    treering.register_dataclass(Point)
    assert round_trip(Point([1], {"k": Point(3)})) == Point([1], {"k": Point(3)})
    assert round_trip(Point(1), target=Point(0)) == Point(1)


def test_a_record_reads_like_a_dict_of_its_fields(round_trip):
    record = round_trip(Point([1], 2))
    assert record["x"] == [1] and "y" in record and "z" not in record and len(record) == 2
    assert dict(record) == dict(**record) == {"x": [1], "y": 2} and list(record) == ["x", "y"]
    assert list(record.keys()) == ["x", "y"] and list(record.values()) == [[1], 2]
    assert dict(record.items()) == record.fields and record.get("z", 7) == 7 and record.get("y") == 2
    with pytest.raises(KeyError, match="Point' has no field 'z'"):
        record["z"]
    for again in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert again == record and type(again) is treering.Record
    assert repr(record) == "Point(x=[1], y=2)" and round_trip(record, target=record) == record
    named = treering.Record("m:C", {"keys": 1, "items": 2})
    assert (named["keys"], named["items"]) == (1, 2) and dict(named) == {"keys": 1, "items": 2}


def test_registered_classes_are_made_without_their_init(round_trip, monkeypatch):
    monkeypatch.setattr("treering._values.REGISTERED", {})
    treering.register_dataclass(Frozen)
    value = object.__new__(Frozen)
    object.__setattr__(value, "value", 1)
    object.__setattr__(value, "twice", 2)
    back = round_trip(value)
    assert (type(back), back.value, back.twice) == (Frozen, 1, 2)


@pytest.mark.parametrize("depth", [64, 256])
def test_deep_trees_need_no_recursion(round_trip, depth):
    tree = "leaf"
    for i in range(depth):
        tree = {"d": tree} if i % 2 else [tree]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(120)
    try:
        back = round_trip(tree)
        round_trip(tree, target=tree)
    finally:
        sys.setrecursionlimit(limit)
    assert difference(tree, back) is None


def test_deeper_than_the_limit_is_refused(round_trip):
    tree = []
    for _ in range(300):
        tree = [tree]
    with pytest.raises(treering.LimitError, match="256"):
        round_trip(tree)


def test_cycles_are_refused_and_shared_containers_are_not(same):
    shared = {"x": [1]}
    same([shared, shared, {"again": shared}])
    shared["x"].append(shared)
    with pytest.raises(ValueError, match="'0/x/1'.*cycle"):
        same([shared])


class Colour(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Mapping(dict):
    """Holds more than its fields, like the next."""

    x: object = 1


@dataclasses.dataclass
class Failure(Exception):
    x: object


@pytest.mark.parametrize(
    "tree, words",
    [
        ({True: 1}, "bool"), ({1.5: 1}, "float"), ({b"k": 1}, "bytes"), ({"a": {(1, 2): 3}}, r"'a/.*tuple"),
        ({None: 1}, "NoneType"), ({np.int64(3): 1}, "int64"), ({Colour.RED: 1}, "Colour"),
        ({"a": [1, object()]}, "'a/1': a object"), ([{1, 2}], "'0': a set"), (Colour.RED, "root: .*Colour"),
        (collections.defaultdict(list), "defaultdict"), ([np.array([None])], "'0': an object array"),
        (np.zeros(2, "f4,i4"), "structured"), (np.zeros(2, "M8[s]"), r"datetime64\[s\]"), (np.array(["a"]), "<U1"),
        (np.datetime64("2020"), "datetime64"), (np.zeros(2, np.longdouble), "float128|longdouble"),
        (np.ma.array([1], mask=[1]), "MaskedArray"), (np.str_("x"), "str_"), (..., "target"), (lambda: 1, "function"),
        (np.array(["a"], np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else {1}, "as a list|a set"),
        (Mapping({1: 2}), "OrderedDict"), (Failure("x"), "Failure, which"),
        (treering.AbstractLeaf("f4", (2,)), "abstract"), (bytearray(b"x"), "bytearray"), (range(3), "range"),
    ],
)  # fmt: skip
def test_what_has_no_place_is_refused_by_path_and_type(round_trip, tree, words):
    with pytest.raises(TypeError, match=words) as caught:
        round_trip(tree)
    assert isinstance(caught.value, treering.TreeringError) and "\n" not in str(caught.value)


def test_mappings_of_the_library_keep_their_type(same):
    same(collections.OrderedDict([("b", 1), (2, collections.OrderedDict())]))


KEYS = st.one_of(st.text(st.characters(exclude_categories=()), max_size=8), st.integers(), st.integers(-9, 9))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.binary(max_size=40),
    st.text(st.characters(exclude_categories=()), max_size=40),
    hnp.arrays(st.sampled_from(NUMPY), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        st.lists(children, max_size=5),
        st.lists(children, max_size=5).map(tuple),
        st.dictionaries(KEYS, children, max_size=6),
        st.builds(Pair, children, children),
    ),
    max_leaves=30,
)


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES)
def test_generated_trees_come_back_with_and_without_a_target(round_trip, tree):
    back = round_trip(tree)
    assert difference(tree, back) is None
    restored = round_trip(tree, target=tree)
    assert difference(tree, restored) is None


def test_a_hundred_thousand_leaves_come_back(same):
    same({f"layer{i}": np.full(4, i, np.float32) for i in range(100_000)})


def test_importing_touches_neither_jax_nor_ml_dtypes():
    code = "import sys, treering; print({'jax', 'flax', 'ml_dtypes', 'torch', 'treering.policies', 'tqdm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "set()\n"

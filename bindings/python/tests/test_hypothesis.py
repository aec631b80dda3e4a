# SPDX-License-Identifier: Apache-2.0
# Generated arrays in memory of any order, and generated trees by every way that leads to a leaf.
import itertools
import os
import tempfile

import ml_dtypes
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_generated import ML, TREES, described

import treering

# The same examples each time, and TREERING_EXAMPLES=2000 runs so many new ones.
GIVEN = os.environ.get("TREERING_EXAMPLES")
SETTINGS = settings(
    max_examples=int(GIVEN or 50), derandomize=GIVEN is None, deadline=None, print_blob=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
PLAIN = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
DTYPES = [*map(np.dtype, PLAIN.split()), *(np.dtype(getattr(ml_dtypes, name)) for name in ML)]
# dtypes of less than a byte: bits that count, of the byte that each element takes in memory
NARROW = {"int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "float4_e2m1fn": 4, "float6_e2m3fn": 6, "float6_e3m2fn": 6}


@st.composite
def contents(draw):
    """A C-ordered array of any dtype, shape and bits."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    size = int(np.prod(shape, dtype=int)) * dtype.itemsize
    raw = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)
    bits = 1 if dtype == np.bool_ else NARROW.get(dtype.name, 8)
    raw = raw & np.uint8((1 << bits) - 1)
    if dtype.name in ("int2", "int4"):  # the sign fills the byte
        half = 1 << (bits - 1)
        raw = ((raw.astype(np.int8) ^ half) - half).astype(np.int8)
    return raw.view(dtype).reshape(shape)


@st.composite
def arrays(draw):
    """An array whose memory may be of another order, byte order or right than the program's."""
    array = draw(contents())
    how = draw(st.sampled_from("C Fortran every-second reversed big-endian read-only broadcast part".split()))
    if how == "Fortran":
        return np.asfortranarray(array)
    if how == "every-second" and array.ndim:
        wide = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if how == "reversed" and array.ndim:
        return array[::-1]
    if how == "big-endian" and array.dtype.isbuiltin == 1 and array.dtype.itemsize > 1:
        return array.byteswap().view(array.dtype.newbyteorder(">"))
    if how == "read-only":
        array.flags.writeable = False
    if how == "broadcast":
        return np.broadcast_to(array, (2, *array.shape))
    return array[1:] if how == "part" and array.ndim else array


def bits(array):
    """What an array is, wherever and however it lies."""
    array = np.asarray(array)
    if not array.dtype.isnative:
        array = array.byteswap().view(array.dtype.newbyteorder("="))
    return array.dtype, array.shape, array.tobytes()


@SETTINGS
@given(array=arrays())
def test_arrays_of_any_dtype_and_memory_keep_their_bits(array):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.ring"
        treering.save(path, [array, array[()] if array.ndim == 0 else array])
        found = treering.load(path)
        assert bits(found[0]) == bits(found[1]) == bits(array) and found[0].flags.c_contiguous
        assert found[0].flags.writeable and type(found[0]) is np.ndarray
        assert bits(treering.load(path, [array, found[1]])[0]) == bits(array)
        assert not treering.diff(path, [array, found[1]])
        with treering.open(path, mmap=True) as container:
            leaf = container["0"]
            into = np.empty(leaf.shape, leaf.dtype, order="F")
            leaf.read_into(into)
            assert bits(leaf.numpy()) == bits(np.asarray(leaf)) == bits(into) == bits(array)


@SETTINGS
@given(array=contents(), data=st.data(), mmap=st.booleans())
def test_slices_of_a_leaf_are_those_of_the_array(array, data, mmap):
    index = []
    for length in array.shape[: data.draw(st.integers(0, array.ndim))]:
        whole = st.slices(length)
        index.append(data.draw(whole | st.integers(-length, length - 1) if length else whole))
    for part in data.draw(st.lists(st.sampled_from([None, ...]), max_size=2, unique=True)):
        index.insert(data.draw(st.integers(0, len(index))), part)
    with tempfile.TemporaryDirectory() as folder:
        treering.save(f"{folder}/x.ring", {"a": array})
        with treering.open(f"{folder}/x.ring", mmap=mmap) as container:
            try:
                expected = array[tuple(index)]
            except IndexError:
                expected = None
            if expected is not None:
                assert bits(container["a"][tuple(index)]) == bits(expected)


@SETTINGS
@given(tree=TREES, mmap=st.booleans())
def test_every_leaf_of_a_container_is_the_one_of_the_tree(tree, mmap):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.ring"
        treering.save(path, {"root": tree})
        with treering.open(path, mmap=mmap) as container:
            leaves = {name: container[name] for name in container}
            assert list(leaves) == list(treering.metadata(path).leaves())
            for name, leaf in leaves.items():
                keys = container.keys_of(name)
                assert keys[0] == "root" and described(container[keys].value()) == described(leaf.value())
        for leaf in leaves.values():  # which outlive the container
            if leaf.dtype is not None and leaf.kind == "array":
                assert (leaf.numpy().dtype, leaf.numpy().shape) == (leaf.dtype, leaf.shape)
        assert treering.verify(path).ok and treering.format_tree(treering.metadata(path).tree)


@SETTINGS
@given(tree=TREES)
def test_what_was_loaded_saves_as_the_same_file_and_has_no_difference(tree):
    with tempfile.TemporaryDirectory() as folder:
        one, two = f"{folder}/one.ring", f"{folder}/two.ring"
        treering.save(one, tree)
        treering.save(two, treering.load(one))
        with open(one, "rb") as a, open(two, "rb") as b:
            assert a.read() == b.read()
        assert not treering.diff(one, tree, attributes=True) and not treering.diff(one, two, atol=1)


def test_a_manager_keeps_what_was_saved_whatever_becomes_of_it_afterwards(tmp_path):
    steps = itertools.count()
    with treering.CheckpointManager(tmp_path / "run", max_to_keep=2) as manager:

        @settings(SETTINGS, max_examples=20)
        @given(tree=TREES, array=arrays())
        def run(tree, array):
            step, before = next(steps), (described(tree), bits(array))
            assert manager.save(step, [tree, array])
            if array.flags.writeable:
                array[...] = array.dtype.type(1)
            tree, array = manager.restore(step)
            assert (described(tree), bits(array)) == before
            assert treering.metadata(tmp_path / "run").step == step

        run()

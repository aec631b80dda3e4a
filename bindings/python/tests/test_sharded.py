# SPDX-License-Identifier: Apache-2.0
# Arrays over eight simulated devices: each part is written once, and any layout loads from any other.
import json
import os
import subprocess
import sys

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
import jax.numpy as jnp  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P  # noqa: E402

import treering  # noqa: E402

pytestmark = pytest.mark.skipif(jax.device_count() < 8, reason="XLA_FLAGS were set to fewer devices")

LARGE = (64, 96, 64)  # of float32: written by pieces
SMALL = (8, 12)
LAYOUTS = [
    ((8,), ("x",), P("x")),
    ((4, 2), ("x", "y"), P("x", "y")),
    ((2, 4), ("x", "y"), P("y", None)),
    ((2, 2, 2), ("x", "y", "z"), P(("x", "z"), "y")),
    ((4,), ("x",), P(None, "x")),
    ((2,), ("x",), P("x")),
    ((1,), ("x",), P("x")),
    ((8,), ("x",), P()),
]


def layout(number):
    shape, axes, spec = LAYOUTS[number]
    return NamedSharding(Mesh(np.array(jax.devices()[: np.prod(shape)]).reshape(shape), axes), spec)


def numbers(shape, dtype="float32"):
    return (np.arange(np.prod(shape)).reshape(shape) % 97).astype(dtype)


def wanted(tree, sharding):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ring"


@pytest.mark.parametrize("saved", range(len(LAYOUTS)))
def test_any_layout_loads_from_any_other(path, saved):
    plain = {"large": numbers(LARGE), "small": [numbers(SMALL)]}
    treering.save(path, jax.device_put(plain, layout(saved)))
    raw = sum(x.nbytes for x in jax.tree.leaves(plain))
    assert treering.info(path)["raw_bytes"] == raw and path.stat().st_size < 1.1 * raw
    whole = treering.load(path)
    np.testing.assert_array_equal(whole["large"], plain["large"])
    for number in range(len(LAYOUTS)):
        target = wanted(plain, layout(number))
        back = treering.load(path, target=target)
        for x, y, z in zip(*map(jax.tree.leaves, (target, back, plain))):
            assert isinstance(y, jax.Array) and y.sharding == x.sharding and y.dtype == z.dtype
            np.testing.assert_array_equal(y, z)


def test_arrays_are_targets_as_their_shapes_are(path):
    array = jax.device_put(numbers(LARGE), layout(1))
    treering.save(path, {"w": array})
    back = treering.load(path, target={"w": jnp.zeros_like(array)})["w"]
    assert back.sharding == array.sharding
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(
    "name", "bool int8 uint16 int32 float16 bfloat16 float32 complex64 int4 uint4 int2 uint2 "
    "float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 "
    "float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn".split()
)  # fmt: skip
def test_every_dtype_keeps_its_bits_over_devices(path, name):
    small = numbers((16, 6)) % 4
    if "e8m0" in name:
        small += 1
    host = np.asarray(jnp.asarray(small).astype(name))
    large = np.tile(host, (1 << 11, 8)) if host.itemsize < 8 else host
    tree = {"a": jax.device_put(host, layout(0)), "b": jax.device_put(large, layout(3))}
    treering.save(path, tree)
    back = treering.load(path, target=wanted(tree, layout(2)))
    for key in tree:
        assert back[key].dtype == tree[key].dtype and back[key].sharding == layout(2)
        assert np.asarray(back[key]).tobytes() == np.asarray(tree[key]).tobytes()
        assert np.asarray(treering.load(path)[key]).tobytes() == np.asarray(tree[key]).tobytes()


def test_keys_scalars_and_empty_arrays_lie_over_devices_too(path):
    every, first = layout(7), layout(0)
    tree = {
        "keys": jax.device_put(jax.random.split(jax.random.key(1), 8), first),
        "scalar": jax.device_put(jnp.float32(2.5), every),
        "empty": jax.device_put(jnp.zeros((8, 0)), first),
    }
    treering.save(path, tree)
    back = treering.load(path, target=tree)
    assert [x.sharding for x in jax.tree.leaves(back)] == [x.sharding for x in jax.tree.leaves(tree)]
    assert jax.random.key_data(back["keys"]).tolist() == jax.random.key_data(tree["keys"]).tolist()
    assert back["scalar"] == 2.5 and back["empty"].shape == (8, 0)


def test_the_layout_is_kept_as_advice(path):
    treering.save(path, {"w": jax.device_put(numbers(SMALL), layout(3)), "v": jnp.ones(2)})
    found = treering.metadata(path)
    assert found["w"].attributes["sharding"] == {"mesh": {"x": 2, "y": 2, "z": 2}, "spec": [["x", "z"], "y"]}
    assert "sharding" not in found["v"].attributes


def test_what_lay_over_a_mesh_of_make_mesh_computes_with_what_is_loaded(path):
    """Its axes are Explicit by default: arrays over it do not mix with those over Auto axes."""
    mesh = jax.make_mesh((8,), ("x",))
    array = jax.device_put(numbers(SMALL), NamedSharding(mesh, P("x")))
    treering.save(path, {"w": array})
    for target in (None, {"w": array}):
        np.testing.assert_array_equal(array + treering.load(path, target)["w"], 2 * numbers(SMALL))
    types = [kind.name for kind in mesh.axis_types]
    assert types == ["Explicit"]
    assert treering.metadata(path)["w"].attributes["sharding"] == {
        "mesh": {"x": 8}, "spec": ["x"], "axis_types": types
    }  # fmt: skip


def test_replicas_are_written_once(path):
    array = numbers(LARGE)
    treering.save(path, jax.device_put(array, layout(7)))
    assert path.stat().st_size < array.nbytes * 1.01


def test_only_the_boxes_that_devices_need_are_read(path, monkeypatch):
    """Of a file whose second half is damaged, what lies in the first is loaded."""
    array = np.random.default_rng(3).random((256, 1024), np.float32)
    treering.save(path, {"w": jax.device_put(array, layout(5))})
    data = bytearray(path.read_bytes())
    second = data.find(array[128:].tobytes())
    assert second > 0
    data[second + 5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(treering.CorruptionError, match="w"):
        treering.load(path)
    target = jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=layout(5))
    with pytest.raises(treering.CorruptionError, match="w"):
        treering.load(path, target={"w": target})
    monkeypatch.setattr(type(layout(5)), "addressable_devices_indices_map", first_half)
    monkeypatch.setattr(jax, "make_array_from_callback", lambda shape, sharding, data: data(first_half(0, shape)[0]))
    back = treering.load(path, target={"w": target})
    np.testing.assert_array_equal(back["w"], array[:128])


def first_half(sharding, shape):
    """As if this process had the first of two devices."""
    return {0: (slice(0, shape[0] // 2), slice(None))}


def test_shared_variables_over_devices_are_shared_again(path):
    shared = nnx.Param(jax.device_put(numbers(LARGE), layout(0)))
    state = nnx.State({"a": shared, "b": {"c": shared}})
    treering.save(path, state)
    back = treering.load(path, target=state)
    assert back["a"][...].sharding == layout(0) and back["b"]["c"][...] is back["a"][...]
    np.testing.assert_array_equal(back["a"][...], shared[...])


def test_what_does_not_fit_over_devices_is_told_as_elsewhere(path):
    treering.save(path, {"w": numbers((16, 16)), "v": numbers((8,))})
    for target, words in [
        ({"w": (16, 16)}, "v"),
        ({"w": (16, 16), "v": (8,), "more": (8,)}, "more"),
        ({"w": (16, 8), "v": (8,)}, "float32"),
        ([(16, 16), (8,)], "dict"),
    ]:
        is_shape = lambda x: isinstance(x, tuple)  # noqa: E731
        target = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s, "f4", sharding=layout(0)), target, is_leaf=is_shape)
        with pytest.raises(treering.StructureMismatchError) as caught:
            treering.load(path, target=target)
        assert words in caught.value.report
    other = {"w": jax.ShapeDtypeStruct((16, 16), "bfloat16", sharding=layout(0)), "v": numbers((8,))}
    with pytest.raises(treering.DtypeMismatchError):
        treering.load(path, target=other)


def test_a_sharding_that_does_not_divide_an_array_is_refused_with_leaf_and_file(tmp_path, path):
    tree = {"a": [numbers((8,))], "key": jax.random.split(jax.random.key(0), 8)}
    treering.save(path, tree)
    three = NamedSharding(Mesh(np.array(jax.devices()[:3]), ("x",)), P("x"))
    whole = NamedSharding(three.mesh, P())
    for leaf in ("a/0", "key"):
        target = wanted(tree, whole)
        kept = treering.load(path, target)["a"][0]
        assert kept.sharding == whole
        if leaf == "key":
            target["key"] = jax.ShapeDtypeStruct((8,), tree["key"].dtype, sharding=three)
        else:
            target["a"] = [jax.ShapeDtypeStruct((8,), "f4", sharding=three)]
        for more in ({}, {"cast": "any", "renames": {"a/0": "a/0"}}):
            with pytest.raises(ValueError, match="divide") as caught:
                treering.load(path, target, **more)
            error = caught.value
            assert isinstance(error, treering.TreeringError)
            assert (error.leaf, error.path) == (leaf, str(path))
            assert str(path) in str(error) and f"'{leaf}'" in str(error)
    with treering.CheckpointManager(tmp_path / "run") as manager:
        manager.save(3, tree)
        with pytest.raises(ValueError, match="run.*'key'"):
            manager.restore(3, target=target)


def test_over_devices_too_a_load_takes_what_fits_and_reports_it(path):
    array = jax.device_put(numbers(LARGE), layout(0))
    treering.save(path, {"w": array, "narrow": numbers(SMALL), "old": 1})
    target = wanted({"w": array, "narrow": numbers(SMALL).astype("f4"), "new": array}, layout(1))
    tree, report = treering.load(path, target, partial=True, return_report=True)
    assert tree["new"] is target["new"] and report.kept == ["new"] and sorted(report.restored) == ["narrow", "w"]
    assert tree["w"].sharding == tree["narrow"].sharding == layout(1)
    del target["new"]
    treering.save(path, {"w": array, "narrow": numbers(SMALL)}, overwrite=True)
    tree, report = treering.load(path, target, return_report=True)
    assert sorted(report.restored) == ["narrow", "w"] and report.skipped == []
    target["w"] = jax.ShapeDtypeStruct(LARGE, "bfloat16", sharding=layout(3))
    back = treering.load(path, target, cast="any")["w"]
    assert back.dtype == jnp.bfloat16 and back.sharding == layout(3)
    np.testing.assert_array_equal(back.astype("f4"), array)


def test_a_manager_saves_and_restores_over_devices(tmp_path):
    state = {"w": jax.device_put(numbers(LARGE), layout(1)), "host": np.arange(10)}
    with treering.CheckpointManager(tmp_path / "run") as manager:
        for step, budget in ((1, None), (2, 8)):
            manager._budget = budget or manager._budget
            manager.save(step, state)
            donated = jax.jit(lambda x: x + 1, donate_argnums=0)(state["w"] + 0)
            donated.block_until_ready()
            back = manager.restore(step, target=state)
            np.testing.assert_array_equal(back["w"], numbers(LARGE))
            assert back["w"].sharding == layout(1)


def test_fewer_devices_than_saved_are_enough(path):
    treering.save(path, {"w": jax.device_put(numbers(LARGE), layout(1))})
    code = (
        "import sys, json, numpy as np, jax, treering; from jax.sharding import Mesh, NamedSharding, PartitionSpec as P; "
        "mesh = Mesh(np.array(jax.devices()), ('a',)); found = treering.metadata(sys.argv[1])['w']; "
        "target = jax.ShapeDtypeStruct(found.shape, found.dtype, sharding=NamedSharding(mesh, P(None, 'a'))); "
        "w = treering.load(sys.argv[1], target={'w': target})['w']; "
        "print(json.dumps([jax.device_count(), len(w.addressable_shards), int(w.sum())]))"
    )
    for count in (4, 1):
        environment = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}", "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            [sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True, check=True,
            env={**os.environ, **environment}, timeout=120,
        )  # fmt: skip
        assert json.loads(done.stdout) == [count, count, int(numbers(LARGE).sum())]

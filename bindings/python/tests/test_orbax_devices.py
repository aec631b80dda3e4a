# SPDX-License-Identifier: Apache-2.0
# What treering.orbax refuses, or leaves to NumPy, since JAX's devices cannot hold it as it is.
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treering.orbax as ours

Struct = jax.ShapeDtypeStruct


def named(count, *axes):
    grid = jax.sharding.Mesh(np.asarray(jax.devices()[:count]), ("x",))
    return jax.sharding.NamedSharding(grid, jax.sharding.PartitionSpec(*axes))


def wide_tree():
    """64 bits of JAX, of NumPy and of Python, made while JAX has them on."""
    with jax.enable_x64(True):
        large = jnp.array([2**40 + 5, 7])
        return {
            "jax": large,
            "spread": jax.device_put(large, named(2, "x")),
            "numpy": np.asarray(large),
            "float": jnp.array([0.1, 0.2]),
            "int": 2**40,
        }


@pytest.mark.parametrize("name", ["jax", "numpy", "float"])
def test_64_bits_are_never_narrowed_while_jax_has_them_off(tmp_path, name):
    leaf, path, one = wide_tree()[name], tmp_path / "step", jax.sharding.SingleDeviceSharding
    array, standard = ours.ArrayRestoreArgs, ours.StandardCheckpointer()
    standard.save(path, {name: leaf})
    standard.wait_until_finished()
    here = one(jax.devices()[0])
    targets = [leaf, standard.metadata(path).item_metadata.tree[name], Struct((2,), leaf.dtype)]
    targets.append(Struct((2,), leaf.dtype, sharding=here))
    found = [standard.restore(path, {name: target})[name] for target in targets]
    asked = [array(), array(sharding=here), array(dtype=leaf.dtype), ours.RestoreArgs(jax.Array)]
    asked += [ours.checkpoint_utils.construct_restore_args(target) for target in targets]

    def by(args):
        with ours.PyTreeCheckpointer() as checkpointer:
            given = ours.args.PyTreeRestore(restore_args={name: args})
            return checkpointer.restore(path, args=given)[name]

    for value in found + [by(args) for args in asked]:
        assert isinstance(value, np.ndarray) and value.dtype.itemsize == 8
        assert value.tolist() == np.asarray(leaf).tolist()
    narrow = standard.restore(path, {name: Struct((2,), np.float32)})[name]
    for value in (narrow, by(array(sharding=here, dtype=np.float32))):
        assert value.dtype == np.float32 and value.tolist() == np.float32(leaf).tolist()


def test_64_bits_over_devices_that_jax_has_off_are_refused_by_name(tmp_path):
    tree = {"a": {"w": wide_tree()["spread"]}}
    with ours.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "step", tree)
        checkpointer.wait_until_finished()
        metadata = checkpointer.metadata(tmp_path / "step").item_metadata.tree
        for target in (tree, metadata):
            with pytest.raises(ValueError, match=r"a/w: int64 .* jax_enable_x64"):
                checkpointer.restore(tmp_path / "step", target)
        found = checkpointer.restore(tmp_path / "step")["a"]["w"]  # nothing was asked for
        assert type(found) is np.ndarray and found.tolist() == [2**40 + 5, 7]
        with jax.enable_x64(True):
            again = checkpointer.restore(tmp_path / "step", tree)["a"]["w"]
        assert again.dtype == np.int64 and again.sharding == tree["a"]["w"].sharding


def test_an_int_too_large_for_the_array_that_is_wanted_is_a_value_error_with_its_path(tmp_path):
    with ours.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "step", {"a": [wide_tree()["int"]]})
        for args in (ours.ArrayRestoreArgs(sharding=named(1)), ours.ArrayRestoreArgs()):
            restore = ours.args.PyTreeRestore(restore_args={"a": [args]})
            with pytest.raises(ValueError, match=r"a/0: .*1099511627776"):
                checkpointer.restore(tmp_path / "step", args=restore)


def test_a_sharding_that_does_not_divide_an_array_is_refused_with_its_path(tmp_path):
    three = named(3, "x")
    with ours.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "step", {"a": {"w": jnp.arange(8.0)}})
        checkpointer.wait_until_finished()
        for dtype in (np.float32, np.float16):
            with pytest.raises(ValueError, match="'a/w'"):
                target = {"a": {"w": Struct((8,), dtype, sharding=three)}}
                checkpointer.restore(tmp_path / "step", target)

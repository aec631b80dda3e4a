# SPDX-License-Identifier: Apache-2.0
# Checkpoints of the real Orbax for the tests of treering.interop, written by a process of its own.
#
# `written()` gives the folder; in it lies what was saved, as bits, beside the checkpoints. Run as a
# program, this file writes them all.
import atexit
import functools
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import tempfile

import numpy as np

DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
    " bfloat16 int4 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz"
).split()
LAYOUTS = {  # name -> options of Orbax's handler
    "ocdbt-zarr2": dict(use_ocdbt=True, use_zarr3=False),
    "ocdbt-zarr3": dict(use_ocdbt=True, use_zarr3=True),
    "loose-zarr2": dict(use_ocdbt=False, use_zarr3=False),
    "loose-zarr3": dict(use_ocdbt=False, use_zarr3=True),
}


@functools.cache
def written():
    """The folder of all checkpoints, made once."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="treering-orbax-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
    }
    done = subprocess.run(
        [sys.executable, __file__, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def expected(name):
    """What was saved as the checkpoint `name`: a tree with (dtype's name, shape, bits) for arrays."""
    with open(written() / f"{name}.expected", "rb") as file:
        return pickle.load(file)


def bits(array):
    """Everything that makes an array equal to another."""
    array = np.asarray(array)
    stored = (
        array.astype("i1") if array.dtype.name == "int4" else array
    )  # its upper bits mean nothing
    return array.dtype.name, array.shape, np.ascontiguousarray(stored).tobytes()


def as_bits(tree):
    """The tree with bits for its arrays."""
    if isinstance(tree, dict):
        return {key: as_bits(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        made = [as_bits(value) for value in tree]
        return made if isinstance(tree, list) else tuple(made)
    return bits(tree) if hasattr(tree, "dtype") and hasattr(tree, "shape") else tree


def of_every_dtype(random, shape):
    """Random bits of each dtype; NaNs and infinities among them."""
    import ml_dtypes

    made = {}
    for name in DTYPES:
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        if name == "bool":
            made[name] = random.integers(0, 2, shape).astype(bool)
        elif name == "int4":
            made[name] = random.integers(-8, 8, shape).astype(dtype)
        else:
            size = int(np.prod(shape)) * dtype.itemsize
            made[name] = np.frombuffer(random.bytes(size), dtype).reshape(shape)
    return made


def _dtypes(folder, ocp, jax):
    random = np.random.default_rng(1)
    arrays = of_every_dtype(random, (3, 5))
    zero = {name: array[0, :1].reshape(()).copy() for name, array in arrays.items()}
    tree = {
        "numpy": arrays, "jax": jax.tree.map(jax.numpy.asarray, arrays),
        "zero dimensions": jax.tree.map(jax.numpy.asarray, zero),
    }  # fmt: skip
    for name, options in LAYOUTS.items():
        handler = ocp.PyTreeCheckpointHandler(**options)
        ocp.Checkpointer(handler).save(folder / f"dtypes-{name}", args=ocp.args.PyTreeSave(tree))
        _expect(folder, f"dtypes-{name}", as_bits(tree))


def _sharded(folder, ocp, jax):
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b"))
    random = np.random.default_rng(2)
    specs = {
        "both": P("a", "b"),
        "second": P(None, "a"),
        "none": P(),
        "joined": P(("a", "b"), None),
    }
    tree = {
        name: jax.device_put(random.random((48, 200), np.float32), NamedSharding(mesh, spec))
        for name, spec in specs.items()
    }
    # More than one chunk a shard, in sizes that are no powers of two; zeros, which must be stored too.
    tree["odd"] = random.random((63, 130))
    tree["zeros"] = np.zeros((400, 30))
    saving = jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=3000), tree)
    for name, options in LAYOUTS.items():
        handler = ocp.PyTreeCheckpointHandler(**options)
        args = ocp.args.PyTreeSave(tree, save_args=saving)
        ocp.Checkpointer(handler).save(folder / f"sharded-{name}", args=args)
        _expect(folder, f"sharded-{name}", as_bits(tree))
    # 2 MB of noise lie out of line, in files of at most 64 KB.
    noise = {"noise": jax.device_put(random.random((512, 512)), NamedSharding(mesh, P("a", "b")))}
    args = ocp.args.PyTreeSave(noise, ocdbt_target_data_file_size=65536)
    ocp.Checkpointer(ocp.PyTreeCheckpointHandler()).save(folder / "noise", args=args)
    _expect(folder, "noise", as_bits(noise))


def small_tree(jax):
    """Every kind of node and leaf that Orbax takes in a tree."""
    import collections

    Pair = collections.namedtuple("Pair", "first second")
    return {
        "a list": [np.arange(3), {"deep": np.float32([1, 2])}],
        "a tuple": (np.arange(2.0), 5),
        "pair": Pair(np.ones(2), Pair(2.5, "text")),
        "numbers": {"int": 3, "negative": -(2**40), "float": 0.1, "bool": True},
        "text": "a/b ~ \u00e9",
        "with/slash": {"x.y": np.arange(4)},
        "none": None, "empty dict": {}, "empty list": [], "empty tuple": (),
        "ints": {0: np.int64([7]), 10: np.int64([8])},
        "key": jax.random.key(5), "keys": jax.random.split(jax.random.key(6), 3),
        "rbg": jax.random.key(7, impl="rbg"),
    }  # fmt: skip


def _kinds(folder, ocp, jax):
    from orbax.checkpoint._src.metadata.pytree_metadata_options import PyTreeMetadataOptions

    tree = small_tree(jax)
    for name, options in LAYOUTS.items():
        handler = ocp.PyTreeCheckpointHandler(**options)
        ocp.Checkpointer(handler).save(folder / f"kinds-{name}", args=ocp.args.PyTreeSave(tree))
    rich = PyTreeMetadataOptions(support_rich_types=True)
    handler = ocp.PyTreeCheckpointHandler(pytree_metadata_options=rich)
    ocp.Checkpointer(handler).save(folder / "rich", args=ocp.args.PyTreeSave(tree))
    ocp.Checkpointer(ocp.PyTreeCheckpointHandler()).save(
        folder / "leaf", args=ocp.args.PyTreeSave(np.arange(6))
    )
    collision = {"a": {"b": np.arange(4)}, "a.b": np.ones(4, int)}
    ocp.Checkpointer(ocp.PyTreeCheckpointHandler()).save(
        folder / "collision", args=ocp.args.PyTreeSave(collision)
    )
    ocp.StandardCheckpointer().save(folder / "standard", {"w": np.arange(5), "i": 3})


def _managers(folder, ocp, jax):
    options = ocp.CheckpointManagerOptions(best_fn=lambda metrics: metrics["loss"])
    with ocp.CheckpointManager(
        folder / "manager", options=options, metadata={"run": "first"}
    ) as manager:
        for step in (0, 5, 12):
            tree = {"w": np.full(3, step), "n": step}
            manager.save(
                step, args=ocp.args.StandardSave(tree), metrics={"loss": step / 2, "n": step},
                custom_metadata={"note": f"of {step}"},
            )  # fmt: skip
    naming = ocp.step.standard_name_format(step_prefix="run", step_format_fixed_length=6)
    options = ocp.CheckpointManagerOptions(step_name_format=naming)
    np.random.seed(3)
    with ocp.CheckpointManager(folder / "composite", options=options) as manager:
        args = ocp.args.Composite(
            state=ocp.args.PyTreeSave({"w": np.arange(4.0)}, custom_metadata={"about": "state"}),
            config=ocp.args.JsonSave({"layers": [1, 2], "name": "x"}),
            array=ocp.args.ArraySave(jax.numpy.arange(5)),
            key=ocp.args.JaxRandomKeySave(jax.random.key(3)),
            old_key=ocp.args.JaxRandomKeySave(jax.random.PRNGKey(4)),
            state_of_numpy=ocp.args.NumpyRandomKeySave(np.random.get_state()),
        )
        manager.save(30, args=args)
    _expect(folder, "composite", {"state_of_numpy": as_bits(np.random.get_state())})


def _version_1(folder, jax):
    import orbax.checkpoint.experimental.v1 as ocp

    tree = {
        "w": np.arange(6.0).reshape(2, 3),
        "j": jax.numpy.ones(3),
        "n": 4,
        "s": "text",
        "l": [1.5, None],
    }
    ocp.save(folder / "v1", tree, custom_metadata={"who": "me"})
    ocp.save_checkpointables(folder / "v1-several", {"params": tree, "other": {"a": np.arange(2)}})
    with ocp.training.Checkpointer(folder / "v1-steps") as checkpointer:
        for step in (1, 2):
            checkpointer.save(step, {"w": np.full(2, step)}, metrics={"loss": 1.0 / step})
    _expect(folder, "v1", as_bits(tree))


def _expect(folder, name, tree):
    with open(folder / f"{name}.expected", "wb") as file:
        pickle.dump(tree, file)


def main(folder):
    import jax
    import orbax.checkpoint as ocp

    assert jax.device_count() == 8
    for write in (_dtypes, _sharded, _kinds, _managers):
        write(folder, ocp, jax)
    _version_1(folder, jax)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

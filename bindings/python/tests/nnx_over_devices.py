# SPDX-License-Identifier: Apache-2.0
# Run by test_nnx.py with a folder: eight simulated devices, a model that lies over them.
import os
import sys
import warnings

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import treering
import treering.nnx as tnx


class Net(nnx.Module):
    def __init__(self, rngs):
        self.up = nnx.Linear(8, 16, kernel_metadata={"out_sharding": ("data", "model")}, rngs=rngs)
        self.plain = nnx.Linear(16, 6, rngs=rngs)
        self.rngs = rngs.fork()


def mesh_of(*shape, names=("data", "model")):
    devices = jax.devices()[: int(np.prod(shape))]
    return jax.make_mesh(shape, names, (AxisType.Auto,) * len(shape), devices=devices)


def values(state):
    leaves = jax.tree.leaves(state)
    return [np.asarray(jax.random.key_data(x) if x.dtype == key else x) for x in leaves]


def assert_same(a, b):
    for x, y in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(x, y)


key = jax.random.key(0).dtype
path = sys.argv[1] + "/net.ring"
with jax.set_mesh(mesh_of(2, 4)):
    model = Net(nnx.Rngs(0))
state = nnx.state(model)
# One array lies otherwise than its Variable declares, which declares nothing.
plain = state["plain"]["kernel"]
by_rows = NamedSharding(mesh_of(8, 1), PartitionSpec("data"))
plain.set_value(jax.device_put(plain.get_value(), by_rows))
tnx.save_model(path, state)

specs = tnx.get_partition_spec(path)
assert specs["up"]["kernel"].get_value() == PartitionSpec("data", "model")
assert specs["plain"]["kernel"].get_value() == PartitionSpec("data")

for shape, names in [
    ((1, 4), ("data", "model")), ((2, 1), ("data", "model")), ((1, 1), ("data", "model")),
    ((4, 2), ("data", "model")), ((8, 1), ("model", "other")), ((3, 1), ("data", "model")),
]:  # fmt: skip
    mesh = mesh_of(*shape, names=names)
    with jax.set_mesh(mesh_of(1, 1)):
        abstract = nnx.eval_shape(lambda: Net(nnx.Rngs(1)))
    for restored in (
        tnx.load_model(path, mesh=mesh),
        tnx.load_model(path, state, mesh=mesh),
        tnx.load_model(path, tnx.abstract_state(path, mesh=mesh)),
        nnx.state(tnx.load_model(path, abstract, mesh=mesh)),
    ):
        assert_same(restored, state)
        assert all(leaf.sharding.mesh == mesh for leaf in jax.tree.leaves(restored))
    kernel = tnx.load_model(path, mesh=mesh)["up"]["kernel"]
    fits = all(8 % mesh.shape.get(name, 1) == 0 for name in ("data", "model"))
    parts = int(np.prod([mesh.shape.get(name, 1) for name in ("data", "model")])) if fits else 1
    assert kernel.addressable_shards[0].data.size == 8 * 16 // parts
    assert kernel.out_sharding == ("data", "model")

# Under a mesh, eval_shape gives shardings over an abstract mesh: that of the context is meant.
mesh = mesh_of(4, 2)
with jax.set_mesh(mesh):
    abstract = nnx.eval_shape(lambda: Net(nnx.Rngs(1)))
    restored = tnx.load_model(path, abstract)
    assert restored.up.kernel.sharding == NamedSharding(mesh, PartitionSpec("data", "model"))
    assert_same(nnx.state(restored), state)
    abstract = nnx.eval_shape(lambda: Net(nnx.Rngs(1)))
try:
    tnx.load_model(path, abstract)
    raise AssertionError("a sharding without devices was taken")
except TypeError as error:
    assert "jax.set_mesh" in str(error)

# A mesh of other axes is no error, and is told.
for argument, names in ((None, ["x"]), (state, ["x"]), (None, ["x", "data"])):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tnx.load_model(path, argument, mesh=mesh_of(*[2] * len(names), names=tuple(names)))
    told = [str(warning.message) for warning in caught if warning.filename == "<string>"]
    assert len(told) == ("data" not in names), told
    assert all("every device" in text and "('x',)" in text and "['data', 'model']" in text for text in told), told

# Without a mesh, all lies on one device.
plain = tnx.load_model(path)
assert_same(plain, state)
assert len(plain["up"]["kernel"].sharding.device_set) == 1
attributes = treering.metadata(path)["up"]["kernel"].attributes
assert attributes["sharding"]["mesh"] == {"data": 2, "model": 4}
assert jnp.array_equal(plain["up"]["bias"][...], state["up"]["bias"][...])
print("done")

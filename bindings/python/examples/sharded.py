# SPDX-License-Identifier: Apache-2.0
# A model over eight devices, restored onto four, two and one of them and onto another mesh.
import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import network
import sharded_network
from flax import nnx
from jax.sharding import NamedSharding

import treering
import treering.nnx as tnx

path = network.output_folder() / "sharded.ring"
with jax.set_mesh(sharded_network.mesh_of(2, 4)):
    model = sharded_network.ShardedNetwork(nnx.Rngs(0))
tnx.save_model(path, model, overwrite=True)
print("saved from 2 x 4 devices:", model.up.kernel.sharding.spec)

specs = tnx.get_partition_spec(path)
for shape in [(1, 4), (1, 2), (1, 1), (4, 2)]:
    mesh = sharded_network.mesh_of(*shape)
    restored = tnx.load_model(path, mesh=mesh)
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    assert restored["up"]["kernel"].sharding == shardings["up"]["kernel"].get_value()
    assert network.same(jax.device_get(restored), jax.device_get(nnx.state(model)))
    pieces = {shard.data.shape for shard in restored["up"]["kernel"].addressable_shards}
    print(f"restored onto {shape[0]} x {shape[1]}: pieces of {pieces}")

host = treering.load(path, target=treering.metadata(path))
print("and onto one device, without a mesh:", host["up"]["kernel"].sharding)

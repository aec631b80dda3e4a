# SPDX-License-Identifier: Apache-2.0
# A model over eight devices, restored onto fewer and onto another mesh, as one does with Orbax.
import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import network
import sharded_network
from flax import nnx
from jax.sharding import NamedSharding

import treering.orbax as ocp

path = network.output_folder() / "sharded"
with jax.set_mesh(sharded_network.mesh_of(2, 4)):
    state = nnx.state(sharded_network.ShardedNetwork(nnx.Rngs(0)))

with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, state, force=True)
    checkpointer.wait_until_finished()
    print("saved from 2 x 4 devices:", state["up"]["kernel"].sharding.spec)

    specs = nnx.get_partition_spec(state)
    for shape in [(1, 4), (1, 2), (1, 1), (4, 2)]:
        mesh = sharded_network.mesh_of(*shape)
        target = jax.tree.map(
            lambda leaf, spec: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, spec)
            ),
            state,
            specs,
        )
        restored = checkpointer.restore(path, target)
        assert restored["up"]["kernel"].sharding.mesh == mesh
        assert network.same(jax.device_get(restored), jax.device_get(state))
        pieces = {shard.data.shape for shard in restored["up"]["kernel"].addressable_shards}
        print(f"restored onto {shape[0]} x {shape[1]}: pieces of {pieces}")

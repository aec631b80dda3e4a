# SPDX-License-Identifier: Apache-2.0
# Saves the state of a model and brings it back, as one does with Orbax.
import network
from flax import nnx

import treering.orbax as ocp

path = network.output_folder() / "model"
model, _ = network.create(seed=0)
graphdef, state = nnx.split(model)

with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, state, force=True)
    checkpointer.wait_until_finished()
    print(f"saved {len(nnx.to_flat_state(state))} arrays")
    _, target = nnx.split(network.create(seed=1)[0])
    restored = checkpointer.restore(path, target)

model = nnx.merge(graphdef, restored)
assert network.same(nnx.state(model), state)
print("restored and merged with the graph: the same bits")

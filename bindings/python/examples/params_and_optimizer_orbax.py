# SPDX-License-Identifier: Apache-2.0
# Parameters and optimizer as two items of one step, as one does with Orbax.
import network
from flax import nnx

import treering.orbax as ocp

model, optimizer = network.create(seed=0)
for _ in range(3):
    network.train_step(model, optimizer)
params, state = nnx.state(model, nnx.Param), nnx.state(optimizer)

with ocp.CheckpointManager(network.output_folder() / "run") as manager:
    step = int(optimizer.step[...])
    items = ocp.args.Composite(
        params=ocp.args.StandardSave(params), optimizer=ocp.args.StandardSave(state)
    )
    manager.save(step, args=items)
    manager.wait_until_finished()
    print("saved items of step", manager.latest_step())

    wanted = ocp.args.Composite(params=ocp.args.StandardRestore(params))
    restored = manager.restore(step, args=wanted)
    assert network.same(restored.params, params)
    print("restored the parameters alone")
    wanted = ocp.args.Composite(optimizer=ocp.args.StandardRestore(state))
    restored = manager.restore(step, args=wanted)
    assert network.same(restored["optimizer"], state)
    print("restored the optimizer at step", restored.optimizer["step"][...])

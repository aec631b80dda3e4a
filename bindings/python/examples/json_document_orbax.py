# SPDX-License-Identifier: Apache-2.0
# A configuration beside the arrays, as JSON, as one does with Orbax.
import network
from flax import nnx

import treering.orbax as ocp

config = {"learning_rate": 1e-2, "layers": [4, 16, 16, 1], "dropout": 0.1, "name": "network"}
model, _ = network.create(seed=0)

with ocp.CheckpointManager(network.output_folder() / "run") as manager:
    step = (manager.latest_step() or 0) + 1
    items = ocp.args.Composite(
        state=ocp.args.StandardSave(nnx.state(model)), config=ocp.args.JsonSave(config)
    )
    manager.save(step, args=items)
    manager.wait_until_finished()
    print("saved step", step)

    restored = manager.restore(step, args=ocp.args.Composite(config=ocp.args.JsonRestore()))
    assert restored.config == config
    print("restored", restored.config)

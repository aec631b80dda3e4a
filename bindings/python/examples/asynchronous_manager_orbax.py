# SPDX-License-Identifier: Apache-2.0
# A training that saves in the background and resumes from the latest step, as one does with Orbax.
import network
from flax import nnx

import treering.orbax as ocp

folder = network.output_folder() / "run"


def train(steps):
    model, optimizer = network.create(seed=0)
    training = {"model": model, "optimizer": optimizer}
    options = ocp.CheckpointManagerOptions(max_to_keep=3, save_interval_steps=2)
    with ocp.CheckpointManager(folder, options=options) as manager:
        latest = manager.latest_step()
        if latest is not None:
            target = ocp.args.StandardRestore(nnx.state(training))
            nnx.update(training, manager.restore(latest, args=target))
            print("resumed after step", latest)
        for step in range(int(optimizer.step[...]) + 1, steps + 1):
            network.train_step(model, optimizer)
            manager.save(step, args=ocp.args.StandardSave(nnx.state(training)))
        manager.wait_until_finished()
        print("steps on the disk:", manager.all_steps())


train(steps=10)
train(steps=15)

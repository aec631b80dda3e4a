# SPDX-License-Identifier: Apache-2.0
# A training that saves in the background, keeps the last checkpoints, and resumes from the latest.
import network
from flax import nnx

import treering

folder = network.output_folder() / "run"


def train(steps):
    model, optimizer = network.create(seed=0)
    training = {"model": model, "optimizer": optimizer}
    with treering.CheckpointManager(folder, max_to_keep=3, save_interval_steps=2) as manager:
        if manager.latest_step() is not None:
            nnx.update(training, manager.restore(target=nnx.state(training)))
            print("resumed after step", manager.restored_step)
        for step in range(int(optimizer.step[...]) + 1, steps + 1):
            loss = network.train_step(model, optimizer)
            manager.save(step, nnx.state(training), metrics={"loss": loss})
        manager.wait_until_finished()
        print("steps on the disk:", manager.all_steps())


train(steps=10)
train(steps=15)

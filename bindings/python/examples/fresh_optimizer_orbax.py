# SPDX-License-Identifier: Apache-2.0
# Resumes a training with a fresh model and optimizer, as one does with Orbax.
import network
from flax import nnx

import treering.orbax as ocp

path = network.output_folder() / "run"
model, optimizer = network.create(seed=0)
for _ in range(3):
    network.train_step(model, optimizer)

with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, nnx.state({"model": model, "optimizer": optimizer}), force=True)
    checkpointer.wait_until_finished()
    expected = [network.train_step(model, optimizer) for _ in range(3)]
    print("went on: ", expected)

    model, optimizer = network.create(seed=1)
    fresh = {"model": model, "optimizer": optimizer}
    nnx.update(fresh, checkpointer.restore(path, nnx.state(fresh)))

resumed = [network.train_step(model, optimizer) for _ in range(3)]
print("resumed: ", resumed)
assert resumed == expected

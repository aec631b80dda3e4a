# SPDX-License-Identifier: Apache-2.0
# Resumes a training: a fresh model and optimizer take over the state and go on as the first did.
import network
from flax import nnx

import treering

path = network.output_folder() / "run.ring"
model, optimizer = network.create(seed=0)
for _ in range(3):
    network.train_step(model, optimizer)
treering.save(path, nnx.state({"model": model, "optimizer": optimizer}), overwrite=True)
expected = [network.train_step(model, optimizer) for _ in range(3)]
print("went on: ", expected)

model, optimizer = network.create(seed=1)
fresh = {"model": model, "optimizer": optimizer}
nnx.update(fresh, treering.load(path, target=nnx.state(fresh)))
resumed = [network.train_step(model, optimizer) for _ in range(3)]
print("resumed: ", resumed)
assert resumed == expected

# SPDX-License-Identifier: Apache-2.0
# Parameters and optimizer as two items of one file, each of which can be read without the other.
import network
from flax import nnx

import treering

path = network.output_folder() / "run.ring"
model, optimizer = network.create(seed=0)
for _ in range(3):
    loss = network.train_step(model, optimizer)

params, state = nnx.state(model, nnx.Param), nnx.state(optimizer)
treering.save(
    path, items={"params": params, "optimizer": state}, metadata={"loss": loss}, overwrite=True
)
info = treering.info(path)
print("saved items", ", ".join(info["items"]), "with", info["metadata"])

assert network.same(treering.load(path, item="params"), params)
print("restored the parameters alone")
assert network.same(treering.load(path, target=state, item="optimizer"), state)
print("restored the optimizer at step", treering.load(path, item="optimizer")["step"][...])

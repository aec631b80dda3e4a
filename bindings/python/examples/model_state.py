# SPDX-License-Identifier: Apache-2.0
# Saves the state of a model and brings it back, with the model's code and without.
import network
from flax import nnx

import treering.nnx as tnx

path = network.output_folder() / "model.ring"
model, _ = network.create(seed=0)

tnx.save_model(path, model, overwrite=True)
print(f"saved {len(nnx.to_flat_state(nnx.state(model)))} arrays in {path.stat().st_size} bytes")

other, _ = network.create(seed=1)
tnx.load_model(path, other)
assert network.same(nnx.state(model), nnx.state(other))
print("restored into another model: the same bits")

state = tnx.load_model(path)
assert network.same(nnx.state(model), state)
mean = state["norm"]["mean"]
print("restored without the code:", type(mean).__name__, "of", mean.shape)

statistics = tnx.load_model(path, only=nnx.BatchStat)
print("read by a filter:", ", ".join("/".join(place) for place, _ in nnx.to_flat_state(statistics)))

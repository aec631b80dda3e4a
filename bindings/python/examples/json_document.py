# SPDX-License-Identifier: Apache-2.0
# A configuration beside the arrays, as JSON.
import network
from flax import nnx

import treering

path = network.output_folder() / "run.ring"
config = {"learning_rate": 1e-2, "layers": [4, 16, 16, 1], "dropout": 0.1, "name": "network"}
model, _ = network.create(seed=0)

treering.save(path, nnx.state(model), items={"config": treering.Json(config)}, overwrite=True)
print("saved", treering.info(path)["items"])

restored = treering.load(path, item="config")
assert restored == config
print("restored", restored)

# SPDX-License-Identifier: Apache-2.0
# Restores a model that was never initialized: eval_shape gives its shapes, the file its values.
import network
from flax import nnx

import treering
import treering.nnx as tnx

path = network.output_folder() / "model.ring"
model, _ = network.create(seed=0)
tnx.save_model(path, model, overwrite=True)

abstract = nnx.eval_shape(lambda: network.Network(nnx.Rngs(0)))
print("before:", abstract.out.kernel.get_value())
restored = tnx.load_model(path, abstract)
print("after: ", restored.out.kernel.get_value().shape, "on", restored.out.kernel.device)
assert network.same(nnx.state(restored), nnx.state(model))

try:
    wider = nnx.eval_shape(lambda: nnx.Linear(4, 32, rngs=nnx.Rngs(0)))
    tnx.load_model(path, {"out": wider}, nnx.PathContains("out"))
except treering.StructureMismatchError as error:
    print("another model is refused:", error.report.splitlines()[1:])

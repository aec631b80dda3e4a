# SPDX-License-Identifier: Apache-2.0
# Restores a model that was never initialized, as one does with Orbax.
import network
from flax import nnx

import treering.orbax as ocp

path = network.output_folder() / "model"
model, _ = network.create(seed=0)

with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, nnx.state(model), force=True)
    checkpointer.wait_until_finished()

    abstract = nnx.eval_shape(lambda: network.Network(nnx.Rngs(0)))
    graphdef, target = nnx.split(abstract)
    print("before:", abstract.out.kernel.get_value())
    restored = nnx.merge(graphdef, checkpointer.restore(path, target))

print("after: ", restored.out.kernel.get_value().shape, "on", restored.out.kernel.device)
assert network.same(nnx.state(restored), nnx.state(model))

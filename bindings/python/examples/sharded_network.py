# SPDX-License-Identifier: Apache-2.0
# For the examples of sharding: a network whose kernels are laid out over the axes of a mesh.
import math

import jax
from flax import nnx
from jax.sharding import AxisType


class ShardedNetwork(nnx.Module):
    def __init__(self, rngs):
        rows, columns = {"out_sharding": ("data", "model")}, {"out_sharding": ("model", "data")}
        self.up = nnx.Linear(32, 64, kernel_metadata=rows, rngs=rngs)
        self.down = nnx.Linear(64, 32, kernel_metadata=columns, rngs=rngs)


def mesh_of(data, model):
    """A mesh of the first devices, with axes "data" and "model"."""
    devices = jax.devices()[: math.prod((data, model))]
    return jax.make_mesh((data, model), ("data", "model"), (AxisType.Auto,) * 2, devices=devices)

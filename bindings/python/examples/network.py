# SPDX-License-Identifier: Apache-2.0
# What the examples share: a small network, its training, and where to write.
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from flax import nnx


class Network(nnx.Module):
    """A network with all that training has state for: parameters, statistics, random numbers."""

    def __init__(self, rngs):
        self.hidden = nnx.List([nnx.Linear(4, 16, rngs=rngs), nnx.Linear(16, 16, rngs=rngs)])
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.out = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, x):
        for layer in self.hidden:
            x = nnx.relu(layer(x))
        return self.out(self.dropout(self.norm(x)))


def create(seed):
    """A network and its optimizer. The optimizer does not hold the network."""
    model = Network(nnx.Rngs(seed))
    return model, nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param)


@nnx.jit
def _step(model, optimizer, x):
    def loss_of(model):
        return jnp.mean((model(x)[:, 0] - jnp.sin(x.sum(axis=1))) ** 2)

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss


def train_step(model, optimizer):
    """One step on the batch that belongs to it; the loss."""
    x = jax.random.normal(jax.random.key(int(optimizer.step[...])), (32, 4))
    return float(_step(model, optimizer, x))


def same(a, b):
    """Whether two trees have the same structure and the same bits."""
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    return all(map(_same_array, jax.tree.leaves(a), jax.tree.leaves(b)))


def _same_array(a, b):
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    return a.dtype == b.dtype and bool((a == b).all())


def output_folder():
    """The folder on the command line, or a new one."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder

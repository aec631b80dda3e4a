# SPDX-License-Identifier: Apache-2.0
# optax: the states of optimizers come back equal in structure and bits, with a target and without.
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402

import treering  # noqa: E402

NOTHING = optax.set_to_zero()
SCHEDULE = optax.cosine_decay_schedule(1e-2, 10)
NAMES = {"kernel": "adam", "bias": "none", "scale": "sgd"}


def label_of(path):
    return next(label for name, label in NAMES.items() if name in jax.tree_util.keystr(path))


def labels(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: label_of(path), params)


def without_bias(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: label_of(path) != "none", params)


OPTIMIZERS = {
    "adam": optax.adam(1e-2),
    "adamw": optax.adamw(SCHEDULE, mu_dtype=jnp.bfloat16),
    "sgd": optax.sgd(1e-2),
    "momentum": optax.sgd(1e-2, momentum=0.9, nesterov=True),
    "lion": optax.lion(1e-3),
    "adafactor": optax.adafactor(1e-3),
    "masked": optax.masked(optax.adam(1e-2), without_bias),
    "multi_transform": optax.multi_transform(
        {"adam": optax.adam(1e-2), "sgd": optax.sgd(1e-2, momentum=0.5), "none": NOTHING}, labels
    ),
    "inject_hyperparams": optax.inject_hyperparams(optax.adamw)(learning_rate=SCHEDULE),
    "multi_steps": optax.MultiSteps(optax.adam(1e-2), every_k_schedule=2).gradient_transformation(),
    "ema": optax.chain(optax.ema(0.9, accumulator_dtype=jnp.float32), optax.scale(-1e-2)),
    "chain": optax.chain(
        optax.clip_by_global_norm(1.0), optax.add_noise(0.1, 0.5, jax.random.key(3)),
        optax.lamb(1e-3),
    ),
    "apply_if_finite": optax.apply_if_finite(optax.adam(1e-2), 2),
    "plateau": optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau()),
}  # fmt: skip


def params_of():
    return {
        "dense": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3)},
        "scale": jnp.float32(0.5),
    }


def advanced(tx, steps=2):
    """(parameters, state) after some steps."""
    params = params_of()
    state = tx.init(params)
    for step in range(steps):
        gradients = jax.tree.map(lambda x: jnp.sin(x + step), params)
        updates, state = tx.update(gradients, state, params, value=jnp.float32(step))
        params = optax.apply_updates(params, updates)
    return params, state


def bits(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes()


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        assert type(x) is type(y) and bits(x) == bits(y)


@pytest.fixture(params=OPTIMIZERS, scope="module")
def optimizer(request):
    return optax.with_extra_args_support(OPTIMIZERS[request.param])


@pytest.fixture(scope="module")
def trained(optimizer):
    return advanced(optimizer)


def test_a_state_comes_back_without_a_target(trained, round_trip):
    _, state = trained
    assert_same(round_trip(state), state)


def test_a_state_comes_back_into_a_target(optimizer, trained, round_trip):
    _, state = trained
    for target in (optimizer.init(params_of()), jax.eval_shape(optimizer.init, params_of())):
        assert_same(round_trip(state, target=target), state)


def test_a_training_goes_on_as_if_nothing_had_been(optimizer, trained, round_trip):
    params, state = trained
    both = round_trip({"params": params, "state": state})
    gradients = jax.tree.map(jnp.cos, params)
    value = {"value": jnp.float32(1)}
    expected = optimizer.update(gradients, state, params, **value)
    assert_same(optimizer.update(gradients, both["state"], both["params"], **value), expected)


def test_the_state_of_an_nnx_optimizer_comes_back(optimizer, round_trip):
    class Model(nnx.Module):
        def __init__(self):
            self.dense = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
            self.scale = nnx.Param(jnp.float32(0.5))

    state = nnx.state(nnx.Optimizer(Model(), optimizer, wrt=nnx.Param))
    assert_same(round_trip(state), state)
    assert_same(round_trip(state, target=state), state)


def test_states_over_nnx_variables_come_back(round_trip):
    params = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Param)
    state = optax.chain(optax.ema(0.9), optax.adamw(1e-3)).init(params)
    for back in (round_trip(state), round_trip(state, target=state)):
        assert_same(back, state)
        assert type(back[1][0].mu["kernel"]) is nnx.Param


def test_another_optimizer_is_refused_with_what_differs(round_trip):
    state = optax.adam(1e-3).init(params_of())
    with pytest.raises(treering.StructureMismatchError, match="trace"):
        round_trip(state, target=optax.sgd(1e-3, momentum=0.9).init(params_of()))
    with pytest.raises(treering.StructureMismatchError, match="mu/scale"):
        round_trip(state, target=optax.adam(1e-3).init({"dense": params_of()["dense"]}))


def test_of_a_state_that_was_defined_anew_the_last_is_taken(round_trip):
    for _ in range(3):
        globals()["Anew"] = namedtuple("Anew", ["count"], module=__name__)
        assert type(round_trip(Anew(1))) is Anew  # noqa: F821


def test_without_optax_names_and_fields_are_there_and_with_it_its_own_classes(tmp_path):
    path = tmp_path / "state.ring"
    tx = optax.masked(optax.adam(1e-3), {"a": True, "b": False})
    treering.save(path, tx.init({"a": jnp.ones(2), "b": 1.0}))
    code = (
        "import sys, treering\n"
        "state = treering.load(sys.argv[1])\n"
        "inner = state.inner_state[0]\n"
        "print(*(type(x).__name__ for x in (state, inner, inner.mu['b'])), inner._fields)\n"
        "print('optax' in sys.modules)\n"
        "import optax\n"
        "print(type(treering.load(sys.argv[1]).inner_state[0]) is optax.ScaleByAdamState)"
    )
    paths = [str(Path(treering.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, stdout=subprocess.PIPE, text=True, check=True, timeout=100,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "MaskedState ScaleByAdamState MaskedNode ('count', 'mu', 'nu')", "False", "True",
    ]  # fmt: skip

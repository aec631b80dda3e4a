# SPDX-License-Identifier: Apache-2.0
# treering.nnx: models, optimizers and states, with and without the code, whole and by filters.
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402
from jax.sharding import PartitionSpec  # noqa: E402

import treering  # noqa: E402
import treering.nnx as tnx  # noqa: E402

on_linux = pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="measures by /proc")
SOURCE = Path(treering.__file__).parents[1]


class Counter(nnx.Variable):
    pass


class NamedCounter(Counter):
    pass


class Net(nnx.Module):
    """All kinds of Variables, a layer under two names, and itself."""

    def __init__(self, rngs, width=4):
        self.layers = nnx.List([nnx.Linear(3, width, rngs=rngs), nnx.Linear(width, 2, rngs=rngs)])
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.lora = nnx.LoRA(3, 2, 4, rngs=rngs)
        self.calls = NamedCounter(jnp.zeros((), jnp.int32), unit="calls", tag="count")
        self.tied = self.layers[0]
        self.itself = self


def model_of(seed):
    return Net(nnx.Rngs(seed, dropout=seed + 1))


def optimizer_of(model):
    return nnx.Optimizer(model, optax.adamw(1e-3), wrt=nnx.Param)


def bits(leaf):
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(jax.random.key_impl(leaf)), np.asarray(jax.random.key_data(leaf)).tobytes()
    return str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes()


def assert_same(a, b):
    """The same structure, which has Variable types and metadata in it, and the same bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert list(map(bits, jax.tree.leaves(a))) == list(map(bits, jax.tree.leaves(b)))


def places(state):
    return ["/".join(map(str, place)) for place, _ in nnx.to_flat_state(state)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.ring"


@pytest.fixture
def saved(path):
    """A checkpoint of the model of seed 0."""
    tnx.save_model(path, model_of(0))
    return path


# ---- whole models


def test_a_model_is_restored_in_place(saved):
    model = model_of(7)
    kernel = model.norm.scale
    assert tnx.load_model(saved, model) is model
    assert_same(nnx.state(model), nnx.state(model_of(0)))
    assert model.norm.scale is kernel


def test_an_abstract_model_becomes_a_real_one_with_its_sharing(saved):
    model = tnx.load_model(saved, nnx.eval_shape(lambda: model_of(3)))
    assert_same(nnx.state(model), nnx.state(model_of(0)))
    assert model.tied is model.layers[0] and model.itself is model


def test_without_the_code_types_metadata_int_keys_and_sharing_are_there(saved):
    state = tnx.load_model(saved)
    assert type(state) is nnx.State
    assert type(state["layers"][1]["kernel"]) is nnx.Param
    assert type(state["norm"]["mean"]) is nnx.BatchStat
    assert type(state["dropout"]["rngs"]["key"]) is nnx.RngKey
    assert state["dropout"]["rngs"]["key"].tag == "dropout"
    assert type(state["lora"]["lora_a"]) is nnx.LoRAParam
    assert type(state["calls"]) is NamedCounter
    assert state["calls"].get_metadata() == nnx.state(model_of(0))["calls"].get_metadata()
    assert state["tied"]["kernel"] is state["layers"][0]["kernel"]
    other = model_of(5)
    nnx.update(other, state)
    assert_same(nnx.state(other), nnx.state(model_of(0)))


def test_in_a_process_without_the_code_names_and_base_types_are_attributes(saved):
    code = (
        "import sys, treering, treering.nnx as tnx\n"
        "calls = tnx.load_model(sys.argv[1])['calls']\n"
        "print(type(calls).__name__, calls.unit)\n"
        "print(treering.metadata(sys.argv[1])['calls'].attributes)\n"
        "print(tnx.load_model(sys.argv[1], only='count'))"
    )
    out = run(code, saved)
    assert out.startswith("Variable calls\n") and "('NamedCounter', 'Counter', 'Variable')" in out
    assert "test_nnx:NamedCounter" in out and "unit='calls'" in out


def test_a_class_of_a_script_is_found_where_it_is_imported(tmp_path):
    (tmp_path / "training.py").write_text(
        "import sys, jax.numpy as jnp, treering.nnx as tnx\n"
        "from flax import nnx\n"
        "class Counter(nnx.Variable): pass\n"
        "if __name__ == '__main__': tnx.save_model(sys.argv[1], nnx.State({'a': Counter(jnp.ones(1))}))"
    )
    code = (tmp_path / "training.py").read_text()
    run(code, tmp_path / "script.ring", PYTHONPATH=str(tmp_path))
    code = "import sys, training; assert type(training.tnx.load_model(sys.argv[1])['a']) is training.Counter"
    run(code, tmp_path / "script.ring", PYTHONPATH=str(tmp_path))


def test_of_a_class_that_was_defined_anew_the_last_is_taken(path):
    def define():
        return type("Anew", (nnx.Variable,), {"__module__": __name__})

    for _ in range(3):
        globals()["Anew"] = define()
        tnx.save_model(path, nnx.State({"a": Anew(jnp.ones(1))}), overwrite=True)  # noqa: F821
        assert type(tnx.load_model(path)["a"]) is Anew  # noqa: F821


def run(code, *arguments, **environment):
    more = environment.pop("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    paths = os.pathsep.join([str(SOURCE), more])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdout=subprocess.PIPE, text=True, check=True, timeout=100,
    )  # fmt: skip
    return done.stdout


def test_a_shared_layer_is_stored_once(saved):
    leaves = treering.metadata(saved).leaves()
    assert leaves["tied/kernel"] is leaves["layers/0/kernel"]
    assert treering.info(saved)["raw_bytes"] == size_of(nnx.state(model_of(0)))


def size_of(state):
    return sum(len(bits(leaf)[-1]) for leaf in jax.tree.leaves(state))


def test_layers_that_were_tied_restore_into_ones_that_are_not(saved):
    model = model_of(1)
    model.tied = nnx.Linear(3, 4, rngs=nnx.Rngs(2))
    tnx.load_model(saved, model)
    assert model.tied.kernel is not model.layers[0].kernel
    assert bits(model.tied.kernel[...]) == bits(model_of(0).layers[0].kernel[...])


def test_a_checkpoint_need_not_have_the_other_names_of_a_leaf(path):
    treering.save(path, nnx.state(model_of(0)))
    for only in (..., nnx.Any(...), nnx.PathContains("kernel")):
        model = tnx.load_model(path, model_of(1), only)
        assert bits(model.tied.kernel[...]) == bits(model_of(0).layers[0].kernel[...])
    del model.norm
    with pytest.raises(treering.StructureMismatchError) as caught:
        tnx.load_model(path, model)
    assert caught.value.missing == [] and "norm/mean" in caught.value.unexpected


def test_a_target_need_not_have_the_other_names_of_a_leaf(saved):
    state = nnx.state(nnx.eval_shape(lambda: model_of(1)))
    assert "tied" not in state
    assert_same(treering.load(saved, state), nnx.state(model_of(0)))
    del state["norm"]
    with pytest.raises(treering.StructureMismatchError, match="norm"):
        treering.load(saved, state)


def test_layers_that_differ_do_not_restore_into_tied_ones(path):
    model = model_of(0)
    model.tied = nnx.Linear(3, 4, rngs=nnx.Rngs(2))
    tnx.save_model(path, model)
    other = model_of(1)
    before = nnx.state(other)
    with pytest.raises(treering.StructureMismatchError, match="tied"):
        tnx.load_model(path, other)
    assert_same(nnx.state(other), before)


def test_an_optimizer_and_its_model_go_together(path):
    model = model_of(0)
    both = {"model": model, "optimizer": optimizer_of(model)}
    both["optimizer"].step[...] = jnp.uint32(7)
    tnx.save_model(path, both)
    other = model_of(1)
    fresh = {"model": other, "optimizer": optimizer_of(other)}
    assert tnx.load_model(path, fresh) is fresh
    assert_same(nnx.state(fresh), nnx.state(both))
    state = tnx.load_model(path)
    moment = state["optimizer"]["opt_state"][0]["mu"]["norm"]["scale"]
    assert type(moment) is nnx.optimizer.OptVariable
    assert type(state["optimizer"]["step"]) is nnx.optimizer.OptState


def test_a_model_and_optimizer_in_one_object_is_stored_without_doubles(path):
    training = nnx.ModelAndOptimizer(model_of(0), optax.sgd(0.1, momentum=0.9))
    tnx.save_model(path, training)
    other = nnx.ModelAndOptimizer(model_of(1), optax.sgd(0.1, momentum=0.9))
    tnx.load_model(path, other)
    assert_same(nnx.state(other), nnx.state(training))
    assert treering.info(path)["raw_bytes"] == size_of(nnx.state(training))


def test_tuples_of_modules_and_rngs_are_models_too(path):
    pair = (nnx.Rngs(3, params=4), nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    pair[0].params()
    tnx.save_model(path, pair)
    other = (nnx.Rngs(0, params=0), nnx.Linear(2, 2, rngs=nnx.Rngs(9)))
    tnx.load_model(path, other)
    assert_same(nnx.state(other), nnx.state(pair))
    assert bits(other[0].params()) == bits(pair[0].params())
    assert places(tnx.load_model(path))[0] == "0/default/count"


def test_a_state_is_restored_as_a_new_one(saved):
    target = nnx.state(nnx.eval_shape(lambda: model_of(1)))
    whole = {place: leaf for place, leaf in nnx.to_flat_state(target)}
    whole |= {("tied", name): whole[("layers", 0, name)] for name in ("kernel", "bias")}
    target = nnx.from_flat_state(whole)
    state = tnx.load_model(saved, target)
    assert_same(state, tnx.load_model(saved))
    assert isinstance(target["norm"]["scale"].get_value(), jax.ShapeDtypeStruct)


def test_variables_of_trees_numbers_and_texts_come_back(path):
    state = nnx.State(
        {
            "tree": nnx.Cache({"a": (jnp.ones(2), None)}),
            "number": nnx.Variable(3),
            "text": nnx.Variable("ä"),
            "numpy": nnx.Variable(np.arange(3)),
            "bare": jnp.ones(2),
            "ints": {7: {-1: nnx.Intermediate(jnp.zeros(0))}},
        }
    )
    tnx.save_model(path, state)
    everything = nnx.Any(...)
    for arguments in ((), (None, everything), (state,), (state, everything)):
        back = tnx.load_model(path, *arguments)
        assert jax.tree.structure(back) == jax.tree.structure(state)
        assert back["number"].get_value() == 3 and back["text"].get_value() == "ä"
        assert type(back["numpy"].get_value()) is np.ndarray
        assert type(back["ints"][7][-1]) is nnx.Intermediate
    assert places(tnx.load_model(path, only=nnx.Cache)) == ["tree"]


class Wrapped(nnx.Module):
    """Variables as JAX's references and as hijax has them."""

    def __init__(self, value):
        self.by_reference = nnx.Param(jnp.full(2, value), ref=True, note="r")
        self.by_hijax = Counter(jnp.full(3, value), hijax=True, note="h")


def test_variables_that_are_references_or_of_hijax_come_back(path):
    tnx.save_model(path, Wrapped(1.0))
    model = tnx.load_model(path, Wrapped(0.0))
    state = tnx.load_model(path)
    filtered = tnx.load_model(path, only=nnx.Param)
    for found in (model.by_reference, state["by_reference"], filtered["by_reference"]):
        assert type(found.get_raw_value()).__name__ == "Ref" and found.note == "r"
        assert found[...].tolist() == [1.0, 1.0]
    for found in (model.by_hijax, state["by_hijax"]):
        assert found.hijax and found.var_type is Counter and found.note == "h"
        assert found[...].tolist() == [1.0, 1.0, 1.0]
    attributes = treering.metadata(path)["by_hijax"].attributes
    assert attributes["variable_type"] == ("Counter", "Variable")


# ---- filters


@pytest.mark.parametrize(
    "only",
    [
        nnx.Param, nnx.BatchStat, nnx.RngState, nnx.LoRAParam, Counter, None, ..., "dropout", "count",
        (nnx.BatchStat, "count"), nnx.Any(nnx.PathContains("calls"), nnx.RngKey),
        nnx.PathContains("norm"), nnx.PathContains(0), nnx.PathContains("lay", exact=False),
        nnx.All(nnx.Param, nnx.Not(nnx.LoRAParam)),
        nnx.filterlib.PathIn(("layers", 0, "kernel")), lambda place, leaf: leaf.shape == (4,),
    ],
    ids=str,
)  # fmt: skip
def test_filters_select_of_a_checkpoint_what_they_select_of_the_model(saved, only):
    expected = tnx.load_model(saved)
    wanted = nnx.filterlib.to_predicate(only)
    flat = [(place, leaf) for place, leaf in nnx.to_flat_state(expected) if wanted(place, leaf)]
    assert_same(tnx.load_model(saved, only=only), nnx.from_flat_state(flat))
    assert places(tnx.abstract_state(saved, only)) == places(nnx.from_flat_state(flat))


def test_a_filter_restores_a_part_of_a_model_and_leaves_the_rest(saved):
    model, first, other = model_of(4), model_of(0), model_of(4)
    assert tnx.load_model(saved, model, nnx.Param) is model
    assert_same(nnx.state(model, nnx.Param), nnx.state(first, nnx.Param))
    assert_same(nnx.state(model, nnx.Not(nnx.Param)), nnx.state(other, nnx.Not(nnx.Param)))


def test_a_filter_lets_the_rest_differ(saved):
    other = Net(nnx.Rngs(2), width=9)
    tnx.load_model(saved, other, nnx.PathContains("lora"))
    assert_same(nnx.state(other.lora), nnx.state(model_of(0).lora))
    with pytest.raises(treering.StructureMismatchError, match="norm/bias wanted float32"):
        tnx.load_model(saved, other, nnx.Any(nnx.PathContains("lora"), nnx.PathContains("norm")))


def test_what_is_selected_has_to_agree_unless_it_is_partial(saved):
    other = model_of(1)
    other.extra = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    del other.lora
    kept = bits(other.extra.kernel[...])
    with pytest.raises(treering.StructureMismatchError) as caught:
        tnx.load_model(saved, other, nnx.Param)
    assert caught.value.missing == ["extra/bias", "extra/kernel"]
    assert caught.value.unexpected == ["lora/lora_a", "lora/lora_b"]
    with pytest.raises(treering.StructureMismatchError, match="extra"):
        tnx.load_model(saved, other)
    tnx.load_model(saved, other, partial=True)
    assert bits(other.norm.mean[...]) == bits(model_of(0).norm.mean[...])
    assert bits(other.layers[1].kernel[...]) == bits(model_of(0).layers[1].kernel[...])
    assert bits(other.extra.kernel[...]) == kept


def test_something_wanted_of_which_nothing_is_stored_is_missing(path):
    tnx.save_model(path, model_of(0), nnx.Param)
    with pytest.raises(treering.StructureMismatchError) as caught:
        tnx.load_model(path, model_of(1), nnx.BatchStat)
    assert caught.value.missing == ["norm/mean", "norm/var"]


def test_a_filter_on_save_leaves_out_the_rest(path):
    tnx.save_model(path, model_of(0), nnx.Any(nnx.BatchStat, "dropout"))
    assert places(tnx.load_model(path)) == [
        "dropout/rngs/count", "dropout/rngs/key", "norm/mean", "norm/var",
    ]  # fmt: skip


def test_filters_see_trees_that_are_no_states(path):
    model = model_of(0)
    tx = optax.chain(optax.clip(1.0), optax.adam(1e-3))
    params = nnx.state(model, nnx.Param)
    treering.save(path, {"params": params, "opt": tx.init(params), "steps": [1, 2]})
    state = tnx.load_model(path, only=nnx.All(nnx.PathContains("mu"), nnx.PathContains("norm")))
    assert places(state) == ["opt/1/0/mu/norm/bias", "opt/1/0/mu/norm/scale"]
    assert places(tnx.load_model(path, only=nnx.PathContains("steps"))) == ["steps/0", "steps/1"]
    assert places(tnx.load_model(path)) == places(tnx.load_model(path, only=nnx.Any(...)))
    other = nnx.State({"opt": {1: {"x": nnx.Param(jnp.ones(1))}}})
    with pytest.raises(treering.StructureMismatchError, match="opt/1"):
        tnx.load_model(path, other, nnx.PathContains("x"))


def test_steps_of_a_run_and_items_are_models_too(tmp_path):
    with treering.CheckpointManager(tmp_path / "run") as manager:
        for step in (1, 2):
            manager.save(step, items={"model": nnx.state(model_of(step)), "other": {"x": 1}})
    for step, seed in ((1, 1), (2, 2), (None, 2)):
        model = tnx.load_model(tmp_path / "run", model_of(9), step=step, item="model")
        assert_same(nnx.state(model), nnx.state(model_of(seed)))
        scale = tnx.load_model(tmp_path / "run", only=nnx.BatchStat, step=step, item="model")
        assert_same(scale, nnx.state(model_of(seed), nnx.BatchStat))


def test_a_damaged_checkpoint_leaves_the_model_as_it_was(saved):
    data = bytearray(saved.read_bytes())
    at = data.index(np.asarray(model_of(0).layers[1].kernel[...]).tobytes())
    data[at + 5] ^= 1
    saved.write_bytes(data)
    model = model_of(3)
    for only in (..., nnx.Param):
        with pytest.raises(treering.CorruptionError, match="layers/"):
            tnx.load_model(saved, model, only)
    assert_same(nnx.state(model), nnx.state(model_of(3)))


def bytes_read():
    with open("/proc/self/io") as counters:
        return int(counters.readline().split()[1])


@on_linux
def test_a_filter_reads_only_what_it_selects(path):
    big = np.random.default_rng(0).random((1 << 20,), np.float32)
    tens = jnp.ones(10)
    params = {"big": nnx.Param(jnp.asarray(big)), "small": nnx.Param(tens)}
    stats = {"big": nnx.BatchStat(jnp.asarray(big[::-1])), "small": nnx.BatchStat(tens)}
    tnx.save_model(path, nnx.State({"params": params, "stats": stats}))
    small_stats = nnx.All(nnx.BatchStat, nnx.PathContains("small"))
    small = nnx.State({"stats": {"small": nnx.BatchStat(jnp.zeros(10))}})
    for use, limit in [
        (lambda: tnx.load_model(path, only=nnx.PathContains("small")), 0.3e6),
        (lambda: tnx.load_model(path, small, small_stats), 0.3e6),
        (lambda: tnx.load_model(path, small, partial=True), 0.3e6),
        (lambda: tnx.abstract_state(path), 0.3e6),
        (lambda: tnx.get_partition_spec(path), 0.3e6),
        (lambda: tnx.load_model(path, only=nnx.Param), big.nbytes + 0.3e6),
    ]:
        before = bytes_read()
        use()
        assert bytes_read() - before < limit


# ---- what is stored, and where it shall lie


def test_an_abstract_state_is_a_target(saved):
    abstract = tnx.abstract_state(saved)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(abstract))
    assert jax.dtypes.issubdtype(abstract["dropout"]["rngs"]["key"].dtype, jax.dtypes.prng_key)
    assert_same(tnx.load_model(saved, abstract), tnx.load_model(saved))
    assert_same(treering.load(saved, abstract), treering.load(saved))


def test_declared_shardings_are_kept_as_advice(path):
    spread = nnx.Param(jnp.ones((4, 2)), out_sharding=("x", None), eager_sharding=False)
    state = nnx.State({"spread": spread, "whole": nnx.BatchStat(jnp.ones(2))})
    tnx.save_model(path, state)
    specs = tnx.get_partition_spec(path)
    assert specs["spread"].get_value() == PartitionSpec("x", None)
    assert specs["whole"].get_value() == PartitionSpec()
    assert jax.tree.structure(specs) == jax.tree.structure(nnx.get_partition_spec(state))
    assert tnx.load_model(path)["spread"].out_sharding == ("x", None)


def test_over_devices_a_model_is_restored_as_a_mesh_has_it(tmp_path):
    script = Path(__file__).with_name("nnx_over_devices.py")
    assert run(script.read_text(), tmp_path) == "done\n"


@on_linux
def test_an_abstract_model_is_allocated_once(tmp_path):
    code = (
        "import sys, jax.numpy as jnp, treering.nnx as tnx\n"
        "from flax import nnx\n"
        "class Big(nnx.Module):\n"
        "    def __init__(self):\n"
        "        self.parts = nnx.List([nnx.Param(jnp.ones((4 << 20,))) for _ in range(6)])\n"
        "def peak():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(x.split()[1]) for x in lines if 'VmHWM' in x) / 1024\n"
        "if sys.argv[2] == 'save':\n"
        "    tnx.save_model(sys.argv[1], Big())\n"
        "else:\n"
        "    tnx.load_model(sys.argv[1], nnx.eval_shape(Big), nnx.PathContains('none'))\n"
        "    before = peak()\n"
        "    big = tnx.load_model(sys.argv[1], nnx.eval_shape(Big))\n"
        "    print(peak() - before)\n"
        "    assert float(big.parts[5][...].sum()) == 4 << 20"
    )
    run(code, tmp_path / "big.ring", "save")
    assert 90 < float(run(code, tmp_path / "big.ring", "load")) < 96 * 1.25


# ---- what Orbax wrote, and what is plain


def as_orbax_writes(node):
    """Keys as texts, {"value": x} for a Variable, arrays of NumPy."""
    if isinstance(node, nnx.Variable):
        return {"value": np.asarray(node.get_raw_value())}
    if hasattr(node, "items"):
        return {str(key): as_orbax_writes(child) for key, child in node.items()}
    return np.asarray(node)


class Plain(nnx.Module):
    """Without keys of random numbers, which Orbax does not take everywhere."""

    def __init__(self, seed=0):
        rngs = nnx.Rngs(seed)
        self.layers = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(2)])
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.tied = self.layers[0]


@pytest.fixture
def imported(path):
    treering.save(path, as_orbax_writes(nnx.state(Plain())))
    return path


@pytest.mark.parametrize("abstract", [False, True])
def test_a_model_is_restored_from_the_form_that_orbax_writes(imported, abstract):
    def make():
        return nnx.eval_shape(lambda: Plain(3)) if abstract else Plain(3)

    model = tnx.load_model(imported, make())
    assert_same(nnx.state(model), nnx.state(Plain()))
    assert model.tied is model.layers[0]
    model = tnx.load_model(imported, make(), partial=True)
    assert_same(nnx.state(model), nnx.state(Plain()))
    state = tnx.load_model(imported, nnx.state(make()))
    assert_same(state, nnx.state(Plain()))
    model = tnx.load_model(imported, Plain(3), nnx.BatchStat)
    assert_same(nnx.state(model, nnx.BatchStat), nnx.state(Plain(), nnx.BatchStat))
    assert_same(nnx.state(model, nnx.Param), nnx.state(Plain(3), nnx.Param))


def test_an_optimizer_is_restored_from_the_form_that_orbax_writes(path):
    def make(seed):
        model = Plain(seed)
        return {"model": model, "optimizer": optimizer_of(model)}

    treering.save(path, as_orbax_writes(nnx.state(make(0))))
    assert_same(nnx.state(tnx.load_model(path, make(1))), nnx.state(make(0)))


def test_a_model_is_restored_from_what_was_imported_from_orbax(tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "orbax", nnx.state(Plain()))
    treering.interop.import_orbax(tmp_path / "orbax", tmp_path / "imported.ring")
    model = tnx.load_model(tmp_path / "imported.ring", Plain(3))
    assert_same(nnx.state(model), nnx.state(Plain()))


def test_the_form_that_orbax_writes_has_to_fit_and_its_own_names_go_first(imported):
    class More(Plain):
        def __init__(self):
            super().__init__()
            self.more = nnx.Param(jnp.ones(1))

    with pytest.raises(treering.StructureMismatchError) as caught:
        tnx.load_model(imported, More())
    assert caught.value.missing == ["more"] and caught.value.unexpected == []
    one, two = np.ones(1, np.float32), np.full(1, 2, np.float32)
    stored = {"a": {"0": {"value": one}, "1": one}, "v": {"value": two}}
    treering.save(imported, stored, overwrite=True)
    target = {"a": {i: nnx.Param(jnp.zeros(1)) for i in (0, 1)}, "v": {"value": nnx.Param(jnp.zeros(1))}}
    found = tnx.load_model(imported, nnx.State(target))
    assert [found["a"][0][...], found["a"][1][...], found["v"]["value"][...]] == [1, 1, 2]
    del target["a"][1]
    with pytest.raises(treering.StructureMismatchError) as caught:
        tnx.load_model(imported, nnx.State(target))
    assert caught.value.missing == [] and caught.value.unexpected == ['a/"1"']
    target["v"] = jnp.zeros(1)  # no Variable, so that no value belongs to it
    with pytest.raises(treering.StructureMismatchError, match="v"):
        tnx.load_model(imported, nnx.State(target))


class WithPlain(nnx.Module):
    def __init__(self):
        self.kernel = nnx.Param(jnp.ones(2))
        self.raw = jnp.ones(4)


def test_plain_arrays_are_restored_into_a_model_and_missed_in_an_abstract_one(path):
    tnx.save_model(path, WithPlain())
    model = WithPlain()
    model.raw = jnp.zeros(4)
    assert tnx.load_model(path, model).raw.tolist() == [1.0] * 4
    abstract = nnx.eval_shape(WithPlain)
    hint = "raw.*an abstract model does not show plain arrays: make it an nnx.Variable or nnx.data"
    for only in (..., nnx.Any(...)):
        with pytest.raises(treering.StructureMismatchError, match=hint):
            tnx.load_model(path, abstract, only)
    tnx.save_model(path, nnx.State({"kernel": nnx.Param(jnp.ones(2)), "x": nnx.Param(jnp.ones(1))}), overwrite=True)
    with pytest.raises(treering.StructureMismatchError) as caught:
        tnx.load_model(path, abstract)
    assert "abstract model" not in str(caught.value)

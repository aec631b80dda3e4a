# SPDX-License-Identifier: Apache-2.0
# JAX, Flax NNX and optax: arrays, typed keys, states and optimizer states, with and without a target.
import dataclasses
import subprocess
import sys

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
optax = pytest.importorskip("optax")
flax = pytest.importorskip("flax")
import jax.numpy as jnp  # noqa: E402

import treering  # noqa: E402


class Counter(nnx.Variable):
    pass


class Net(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)])
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.counter = Counter(jnp.zeros((), jnp.int32))
        self.spread = nnx.Param(jnp.ones((2, 2)), out_sharding=("x", None), eager_sharding=False, note="hello", pair=(1, [2]))


def bits(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(jax.random.key_impl(leaf)), np.asarray(jax.random.key_data(leaf)).tobytes()
    return str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes()


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        assert isinstance(y, jax.Array) and bits(x) == bits(y)


@pytest.fixture(scope="module")
def net():
    return Net(nnx.Rngs(0, dropout=1))


@pytest.mark.parametrize("name", "bool int8 int32 uint32 float16 float32 bfloat16 complex64 int4 uint4 float8_e4m3fn".split())
def test_jax_arrays_come_back_as_jax_arrays(round_trip, name):
    array = jnp.arange(15).reshape(3, 5).astype(name)
    tree = {"x": array, "0d": array[0, 1], "empty": array[:0]}
    assert_equal(tree, round_trip(tree))
    assert_equal(tree, round_trip(tree, target=jax.eval_shape(lambda: tree)))


def test_typed_keys_keep_their_implementation(round_trip):
    tree = {"one": jax.random.key(3), "many": jax.random.split(jax.random.key(1, impl="rbg"), 3)}
    assert_equal(tree, round_trip(tree))
    assert_equal(tree, round_trip(tree, target=tree))
    assert_equal(tree, round_trip(tree, target=jax.eval_shape(lambda: tree)))
    placed = {"k": jax.device_put(tree["many"], jax.sharding.NamedSharding(jax.make_mesh((1,), ("x",)), jax.P("x")))}
    assert round_trip(placed, target=placed)["k"].sharding == placed["k"].sharding
    np.testing.assert_array_equal(jax.random.bits(tree["one"], (4,)), jax.random.bits(round_trip(tree)["one"], (4,)))


def test_a_state_comes_back_as_itself(round_trip, net):
    state = nnx.state(net)
    back = round_trip(state)
    assert type(back) is nnx.State
    assert_equal(state, back)
    assert type(back["counter"]) is Counter and type(back["norm"]["mean"]) is nnx.BatchStat
    assert type(back["dropout"]["rngs"]["key"]) is nnx.RngKey
    assert back["spread"].get_metadata() == state["spread"].get_metadata()
    other = Net(nnx.Rngs(5))
    nnx.update(other, back)
    assert_equal(nnx.state(other), state)


def test_a_state_is_restored_into_a_target(round_trip, net):
    state = nnx.state(net)
    abstract = nnx.state(nnx.eval_shape(lambda: Net(nnx.Rngs(0, dropout=1))))
    assert_equal(state, round_trip(state, target=state))
    assert_equal(state, round_trip(state, target=abstract))


def test_optimizer_states_come_back_with_and_without_a_target(round_trip, net):
    params = nnx.state(net, nnx.Param)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3), optax.ema(0.9))
    state = tx.init(params)
    assert_equal(state, round_trip(state, target=state))
    back = round_trip(state)
    assert type(back[1][0]).__name__ == "ScaleByAdamState" and back[1][0]._fields == state[1][0]._fields
    for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(back)):
        assert bits(x) == bits(y)
    optimizer = nnx.Optimizer(net, tx, wrt=nnx.Param)
    assert_equal(nnx.state(optimizer), round_trip(nnx.state(optimizer)))


def test_a_shared_variable_is_stored_once_and_shared_again(round_trip, tmp_path):
    big = nnx.Param(jnp.ones(1000))
    state = nnx.State({"a": big, "b": {"c": big}, "other": nnx.Param(jnp.ones(2))})
    for more in ({}, {"target": state}):
        back = round_trip(state, **more)
        assert back["a"] is back["b"]["c"] and back["a"] is not back["other"]
        assert_equal(state, back)
    assert treering.info(tmp_path / "run.ring")["raw_bytes"] < 8000


@pytest.mark.skipif(not hasattr(jax, "new_ref"), reason="this JAX has no mutable arrays")
def test_mutable_arrays_are_saved_as_they_are_now_and_stay_shared(round_trip, tmp_path):
    ref = jax.new_ref(jnp.ones(1000))
    tree = {"a": ref, "b": [ref], "other": jax.new_ref(jnp.zeros(2))}
    ref[0] = 5.0
    back = round_trip(tree)
    assert isinstance(back["a"], jax.Array) and back["a"] is back["b"][0] and back["a"][0] == 5
    assert treering.info(tmp_path / "run.ring")["raw_bytes"] < 8000
    back = round_trip(tree, target=tree)
    assert type(back["a"]) is type(ref) and back["a"] is back["b"][0] and back["a"] is not ref
    back["a"][0] = 6.0
    assert ref[0] == 5 and back["other"][...].tolist() == [0, 0]
    response = treering.save_async(tmp_path / "later", tree)
    ref[0] = 7.0
    assert response.result(60) is None and treering.load(tmp_path / "later")["a"][0] == 5


def test_a_variable_may_hold_a_tree(round_trip):
    frozen, inner = flax.core.freeze({"z": jnp.ones(1)}), nnx.Param(jnp.ones(3))
    state = nnx.State(
        {
            "a": nnx.Variable({"x": jnp.ones(2), "y": (jnp.zeros(1),)}), "b": nnx.Variable(None),
            "c": nnx.Variable(frozen), "d": nnx.Variable(inner),
        }
    )  # fmt: skip
    assert_equal(state, round_trip(state))
    assert_equal(state, round_trip(state, target=state))


def test_metadata_of_a_variable_that_is_no_json_is_left_out_with_a_warning(round_trip):
    state = nnx.State({"a": nnx.Param(jnp.ones(2), hook=print)})
    with pytest.warns(UserWarning, match="hook"):
        back = round_trip(state)
    assert "hook" not in back["a"].get_metadata()
    with pytest.warns(UserWarning):
        assert round_trip(state, target=state)["a"].get_metadata()["hook"] is print


def test_metadata_of_a_variable_that_would_come_back_as_something_else_is_left_out(round_trip):
    cycle = []
    cycle.append(cycle)
    for value in ("\ud800", {"$tuple": [1]}, {"$spec": 5}, {1: 2}, cycle, jnp.float32):
        state = nnx.State({"a": nnx.Param(jnp.ones(2), odd=value, kept=(1,))})
        with pytest.warns(UserWarning, match="odd"):
            metadata = round_trip(state)["a"].get_metadata()
        assert "odd" not in metadata and metadata["kept"] == (1,)


def test_metadata_shows_a_variables_attributes(tmp_path, net):
    treering.save(tmp_path / "x", nnx.state(net))
    found = treering.metadata(tmp_path / "x")
    kernel = found["layers"][0]["kernel"]
    assert (kernel.dtype, kernel.shape) == (np.float32, (3, 4))
    assert kernel.attributes["variable_type"] == ("Param", "Variable") and kernel.attributes["origin"] == "jax"
    assert found["dropout"]["rngs"]["key"].attributes["tag"] == "dropout"
    assert found["spread"].attributes["sharding"] == {"spec": ["x", None]}
    assert_equal(nnx.state(net), treering.load(tmp_path / "x", target=found))


def test_flax_structs_keep_static_fields_of_the_target(round_trip):
    @flax.struct.dataclass
    class Train:
        params: object
        apply: object = flax.struct.field(pytree_node=False)

    value = Train({"w": jnp.ones(2)}, print)
    back = round_trip(value, target=value)
    assert type(back) is Train and back.apply is print and bits(back.params["w"]) == bits(value.params["w"])
    assert list(round_trip(value).fields) == ["params"]
    assert dataclasses.is_dataclass(back)


def test_frozen_dicts_keep_their_type(round_trip):
    tree = flax.core.freeze({"a": {"b": jnp.ones(1)}})
    assert type(round_trip(tree)) is type(tree) and type(round_trip(tree, target=tree)) is type(tree)


def test_values_under_tracing_and_deleted_arrays_are_refused(round_trip):
    with pytest.raises(TypeError, match="traced"):
        jax.jit(lambda x: round_trip({"x": x}))(jnp.ones(2))
    gone = jnp.ones(2)
    gone.delete()
    with pytest.raises(TypeError, match="deleted"):
        round_trip(gone)
    with pytest.raises(TypeError, match="no data"):
        round_trip(jax.ShapeDtypeStruct((2,), "f4"))


@dataclasses.dataclass
class Fields(nnx.Module):
    a: object = 1

    def __post_init__(self):
        self.weights = nnx.Param(jnp.ones(2))


def test_what_holds_a_state_is_refused_with_advice(round_trip, net):
    optimizer = nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)
    for value in (net, optimizer, nnx.split(net), Fields(), flax.linen.Dense(3)):
        with pytest.raises(TypeError, match="nnx.state"):
            round_trip(value)


def test_without_jax_imported_arrays_come_back_as_numpy(tmp_path):
    treering.save(tmp_path / "x", {"x": jnp.ones(2), "wide": np.ones(2, np.float64)})
    code = (
        "import sys, treering; tree = treering.load(sys.argv[1]); "
        "print(type(tree['x']).__module__, tree['wide'].dtype, 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x"], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "numpy float64 False\n"


def test_a_state_brings_jax_so_that_loading_again_gives_the_same(tmp_path, net):
    for number, tree in enumerate([nnx.state(net), {"k": jax.random.key(0), "x": jnp.ones(2)}]):
        treering.save(tmp_path / str(number), tree)
        code = (
            "import sys, treering; first, again = treering.load(sys.argv[1]), treering.load(sys.argv[1]); import jax; "
            "print({isinstance(x, jax.Array) for tree in (first, again) for x in jax.tree.leaves(tree)})"
        )
        run = [sys.executable, "-c", code, tmp_path / str(number)]
        assert subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True).stdout == "{True}\n"


def test_wide_arrays_of_jax_are_not_narrowed(tmp_path):
    with jax.enable_x64(True):
        treering.save(tmp_path / "x", jnp.arange(3, dtype=jnp.float64))
        assert isinstance(treering.load(tmp_path / "x"), jax.Array)
    assert treering.load(tmp_path / "x").dtype == np.float64


@flax.struct.dataclass
class Training:
    params: object
    step: object


def test_a_struct_of_flax_without_a_target_is_a_node_of_jax(round_trip):
    record = round_trip({"model": Training({"w": jnp.ones((2, 3))}, jnp.int32(4))})["model"]
    assert type(record) is treering.Record and record["params"]["w"].shape == (2, 3)
    shapes = jax.tree.map(jnp.shape, record)
    assert type(shapes) is treering.Record and shapes.fields == {"params": {"w": (2, 3)}, "step": ()}
    found = [jax.tree_util.keystr(key) for key, _ in jax.tree_util.tree_leaves_with_path(record)]
    assert found == [".params['w']", ".step"]
    assert jax.tree.structure(record) == jax.tree.structure(round_trip(record))
    assert jax.jit(lambda r: r.step + 1)(record) == 5


def test_importing_treering_and_making_records_does_not_import_jax():
    code = (
        "import sys, treering; made = treering.Record('m:C', {'x': 1, 2: 3}); assert 'jax' not in sys.modules\n"
        "import jax; treering.Record('m:C', {})\n"
        "assert jax.tree.leaves(made) == [1, 3], jax.tree.leaves(made)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)

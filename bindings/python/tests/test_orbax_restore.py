# SPDX-License-Identifier: Apache-2.0
# Restoring with and without targets: the same calls to the real Orbax and to treering.orbax.
import collections
import dataclasses
import logging
import pathlib
import warnings

import flax
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx

import treering
import treering.orbax as ours
from treering.orbax import _place

theirs = pytest.importorskip("orbax.checkpoint")

Struct = jax.ShapeDtypeStruct
Pair = collections.namedtuple("Pair", "left right")
FLAT = {"j": jnp.arange(4.0), "n": np.arange(4.0), "i": 3, "f": 2.5}


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    w: object
    step: object


def mesh(count, *shape):
    grid = np.asarray(jax.devices()[:count]).reshape(shape or (count,))
    return jax.sharding.Mesh(grid, ("x", "y")[: len(shape) or 1])


def named(count, *axes):
    return jax.sharding.NamedSharding(mesh(count), jax.sharding.PartitionSpec(*axes))


def shown(value):
    """A leaf as what == compares: its type, dtype, shape, sharding and values."""
    if isinstance(value, jax.Array):
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return "key", str(value.dtype), np.asarray(jax.random.key_data(value)).tolist()
        where = sorted(
            (d.id, str(i)) for d, i in value.sharding.devices_indices_map(value.shape).items()
        )
        return "jax", str(value.dtype), value.shape, where, np.asarray(value).tolist()
    if isinstance(value, np.ndarray):
        return "numpy", str(value.dtype), value.shape, value.tolist()
    return type(value).__name__, value


def same_tree(a, b):
    flat_a, flat_b = (jax.tree_util.tree_flatten_with_path(tree) for tree in (a, b))
    assert [p for p, _ in flat_a[0]] == [p for p, _ in flat_b[0]]
    for (path, x), (_, y) in zip(flat_a[0], flat_b[0]):
        assert shown(x) == shown(y), jax.tree_util.keystr(path)


@pytest.fixture(autouse=True)
def quiet():
    level = logging.getLogger("absl").level
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.getLogger("absl").setLevel(level)


@pytest.fixture
def both(tmp_path):
    """Saves a tree with both by PyTreeSave or StandardSave; answers what a call gives, for both."""

    def run(tree, call, save="PyTreeSave", save_args=None):
        answers = []
        for name, ocp in (("theirs", theirs), ("ours", ours)):
            path = tmp_path / name
            handler = (
                ocp.PyTreeCheckpointHandler()
                if save == "PyTreeSave"
                else ocp.StandardCheckpointHandler()
            )
            made = save_args and save_args(ocp)
            with ocp.Checkpointer(handler) as checkpointer:
                checkpointer.save(path, args=getattr(ocp.args, save)(tree, made), force=True)
                try:
                    answers.append(call(ocp, checkpointer, path))
                except Exception as error:
                    answers.append(error)
        return answers

    return run


def agree(answers):
    orbax, mine = answers
    if isinstance(orbax, Exception):
        builtins = [c for c in type(orbax).__mro__ if c.__module__ == "builtins"][:-3]
        assert isinstance(mine, tuple(builtins)), (orbax, mine)
    else:
        assert not isinstance(mine, Exception), mine
        same_tree(orbax, mine)


STANDARD = {
    "as saved": None,
    "itself": FLAT,
    "abstract": {"j": Struct((4,), np.float32), "n": Struct((4,), np.float64), "i": 0, "f": 0.0},
    "casts": {"j": np.zeros(4, np.int8), "n": jnp.zeros(4, bool), "i": 1.5, "f": 1},
    "scalars as arrays": {"j": FLAT["j"], "n": FLAT["n"], "i": jnp.zeros(()), "f": np.zeros(())},
    "sharded": {**FLAT, "j": Struct((4,), np.float32, sharding=named(4, "x"))},
    "numpy onto devices": {**FLAT, "n": Struct((4,), np.float32, sharding=named(2, "x"))},
    "replicated": {**FLAT, "j": Struct((4,), np.float32, sharding=named(8))},
    "other shape": {**FLAT, "j": jnp.zeros(3)},
    "other rank": {**FLAT, "j": jnp.zeros((2, 2))},
    "uneven": {**FLAT, "j": Struct((4,), np.float32, sharding=named(8, "x"))},
    "missing": {"j": FLAT["j"]},
    "extra": {**FLAT, "z": jnp.zeros(4)},
    "extra abstract": {**FLAT, "z": Struct((4,), np.float32)},
    "an object": {**FLAT, "j": object()},
    "a list for a dict": list(FLAT.values()),
}


@pytest.mark.parametrize("name", STANDARD)
def test_a_standard_restore_answers_as_orbax_does(both, name):
    target = STANDARD[name]

    def call(ocp, checkpointer, path):
        return checkpointer.restore(path, args=ocp.args.StandardRestore(target))

    agree(both(FLAT, call, "StandardSave"))


@pytest.mark.parametrize("shape", [(3,), (6,), (4,)])
def test_a_restore_that_is_not_strict_cuts_and_fills_as_orbax_does(both, shape):
    target = {**FLAT, "j": jnp.zeros(shape), "n": Struct(shape, np.float32, sharding=named(1))}

    def call(ocp, checkpointer, path):
        return checkpointer.restore(path, args=ocp.args.StandardRestore(target, strict=False))

    agree(both(FLAT, call, "StandardSave"))


PYTREE = {
    "as saved": lambda ocp: {},
    "item": lambda ocp: {"item": FLAT},
    "item of other dtypes": lambda ocp: {"item": {**FLAT, "j": np.zeros((9, 9), np.int8)}},
    "placeholder": lambda ocp: {"item": {**FLAT, "n": ocp.PLACEHOLDER}},
    "missing": lambda ocp: {"item": {"j": 0}},
    "partial": lambda ocp: {"item": {"j": 0, "f": 0}, "partial_restore": True},
    "partial with more": lambda ocp: {"item": {"j": 0, "zz": 5}, "partial_restore": True},
    "types": lambda ocp: {
        "restore_args": {
            "j": ocp.RestoreArgs(restore_type=np.ndarray, dtype=np.int8),
            "n": ocp.ArrayRestoreArgs(sharding=named(2, "x"), dtype=np.float32),
            "i": ocp.RestoreArgs(restore_type=float),
            "f": ocp.RestoreArgs(),
        }
    },
    "mesh and axes": lambda ocp: {
        "item": FLAT,
        "restore_args": {
            **{name: ocp.RestoreArgs() for name in "nif"},
            "j": ocp.ArrayRestoreArgs(mesh=mesh(4), mesh_axes=jax.sharding.PartitionSpec("x")),
        },
    },
    "cut": lambda ocp: {
        "restore_args": {
            **{name: ocp.RestoreArgs() for name in "nif"},
            "j": ocp.ArrayRestoreArgs(sharding=named(1), global_shape=(2,), strict=False),
        }
    },
    "constructed": lambda ocp: {
        "item": FLAT,
        "restore_args": ocp.checkpoint_utils.construct_restore_args(
            {
                "j": Struct((4,), np.int32, sharding=named(2, "x")),
                "n": np.zeros(4),
                "i": 1.0,
                "f": 2,
            }
        ),
    },
    "renamed": lambda ocp: {
        "item": {"jj": 0, "f": 0, "g": 7},
        "restore_args": {"jj": ocp.RestoreArgs(), "f": ocp.RestoreArgs(), "g": ocp.RestoreArgs()},
        "transforms": {"jj": ocp.Transform(original_key="j")},
    },
    "computed": lambda ocp: {
        "item": {"sum": 0, "i": 0, "old": 1},
        "restore_args": {name: ocp.RestoreArgs() for name in ("sum", "i", "old")},
        "transforms": {
            "sum": ocp.RestoreTransform(
                multi_value_fn=lambda key, tree, args: float(tree["i"]) + tree["f"],
                multi_value_fn_input_args={"i": ocp.RestoreArgs(), "f": ocp.RestoreArgs()},
            ),
            "i": ocp.Transform(value_fn=lambda value: value * 2),
            "old": ocp.Transform(use_fallback=True),
        },
    },
    "a transform of what is not there": lambda ocp: {
        "item": {"a": 0},
        "restore_args": {"a": ocp.RestoreArgs()},
        "transforms": {"a": ocp.Transform(original_key="nowhere")},
    },
    "transforms without an item": lambda ocp: {
        "transforms": {"a": ocp.Transform(original_key="j")}
    },
    "transforms without restore_args": lambda ocp: {"item": {"i": 0}, "transforms": {}},
}


@pytest.mark.parametrize("name", PYTREE)
def test_a_pytree_restore_answers_as_orbax_does(both, name):
    def call(ocp, checkpointer, path):
        return checkpointer.restore(path, args=ocp.args.PyTreeRestore(**PYTREE[name](ocp)))

    agree(both(FLAT, call))


NESTED = {
    "layers": [
        {"w": jnp.ones((2, 3), jnp.bfloat16), "b": None},
        {"w": jnp.zeros((2, 3), jnp.bfloat16), "b": None},
    ],
    "pair": Pair(np.arange(3, dtype=np.uint8), (1, [2.0, "text"])),
    "state": State(jnp.arange(2), 5),
    "empty": {"d": {}, "l": [], "t": ()},
    "key": jax.random.key(3),
    "raw": jax.random.PRNGKey(4),
    "f8": jnp.ones(3, ml_dtypes.float8_e4m3fn),
    "a/b": {"c.d": 1.0},
}


def test_a_nested_target_gets_the_same_from_both(both):
    def call(ocp, checkpointer, path):
        return checkpointer.restore(path, args=ocp.args.PyTreeRestore(NESTED))

    answers = both(NESTED, call)
    agree(answers)
    assert type(answers[1]["pair"]) is Pair and type(answers[1]["state"]) is State
    assert answers[1]["layers"][0]["b"] is None and answers[1]["empty"]["t"] == ()


def test_casts_on_save_give_the_same_from_both(both):
    def save_args(ocp):
        return {
            "j": ocp.SaveArgs(dtype=np.dtype("bfloat16")),
            "n": ocp.SaveArgs(dtype=np.dtype("float32")),
            "i": ocp.SaveArgs(dtype=np.dtype("float32")),
            "f": ocp.SaveArgs(),
        }

    agree(
        both(FLAT, lambda ocp, checkpointer, path: checkpointer.restore(path), save_args=save_args)
    )


def test_what_is_sharded_comes_back_as_it_was_from_both(both):
    tree = {
        "a": jax.device_put(jnp.arange(8.0).reshape(4, 2), named(4, "x")),
        "b": jax.device_put(1.5, named(8)),
    }
    agree(both(tree, lambda ocp, checkpointer, path: checkpointer.restore(path)))


def test_metadata_tell_the_same_of_both(both):
    tree = {**FLAT, "s": "text", "a": [jax.device_put(jnp.arange(4), named(2, "x"))]}
    found = both(tree, lambda ocp, checkpointer, path: checkpointer.metadata(path).item_metadata)
    flat = [jax.tree_util.tree_flatten_with_path(metadata)[0] for metadata in found]
    assert [path for path, _ in flat[0]] == sorted((p for p, _ in flat[1]), key=str)
    mine = {str(path): leaf for path, leaf in flat[1]}
    for path, leaf in flat[0]:
        other = mine[str(path)]
        assert type(leaf).__name__ == type(other).__name__ and leaf.name == other.name
        if hasattr(leaf, "shape"):
            assert (leaf.shape, leaf.dtype) == (other.shape, other.dtype)
            assert (leaf.sharding is None) == (other.sharding is None)
            if leaf.sharding is not None:
                assert leaf.sharding.to_jax_sharding().is_equivalent_to(
                    other.sharding.to_jax_sharding(), len(leaf.shape)
                )


# ---- what Orbax loses or does not see


@pytest.fixture
def save(tmp_path):
    """Saves a tree with treering.orbax; the checkpointer's restore, on that path."""

    def run(tree, **args):
        checkpointer = ours.Checkpointer(ours.PyTreeCheckpointHandler())
        checkpointer.save(tmp_path / "a", tree, force=True)
        return lambda *more, **named: checkpointer.restore(tmp_path / "a", *more, **named)

    run.path = tmp_path / "a"
    return run


def test_nothing_is_lost_without_a_target(save):
    tree = {
        1: (1, np.float32(2), [jnp.int8(3)]),
        "1": Pair(True, 1 + 2j),
        "empty": [(), {}, None, np.zeros((0, 3)), jnp.zeros((2, 0))],
        "bytes": b"\0\xff",
        "big": 2**80,
        "o": collections.OrderedDict([("z", "~a/b"), ("a", np.bool_(True))]),
        "f8": np.arange(3).astype(ml_dtypes.float8_e4m3),
        "key": jax.random.key(1, impl="rbg"),
    }
    back = save(tree)()
    assert list(back) == list(tree) and type(back[1]) is tuple
    assert back["1"] == (True, 1 + 2j) and back["1"]._fields == ("left", "right")
    assert back["empty"][:3] == [(), {}, None] and back["empty"][3].shape == (0, 3)
    assert isinstance(back["empty"][4], jax.Array) and back["empty"][4].shape == (2, 0)
    assert back["bytes"] == b"\0\xff" and back["big"] == 2**80
    assert type(back["o"]) is collections.OrderedDict and list(back["o"].items()) == [
        ("z", "~a/b"),
        ("a", True),
    ]
    assert type(back[1][1]) is np.float32 and back[1][2][0].dtype == jnp.int8
    assert back["f8"].dtype == ml_dtypes.float8_e4m3
    assert jax.random.key_impl(back["key"]) == jax.random.key_impl(tree["key"])


def test_names_with_dots_do_not_collide(save):
    back = save({"a": {"b": np.zeros(2)}, "a.b": np.ones(2)})()
    assert back["a"]["b"].tolist() == [0, 0] and back["a.b"].tolist() == [1, 1]


def test_an_int_key_is_found_by_its_text_unless_that_is_ambiguous(save):
    assert save({1: 5})(args=ours.args.PyTreeRestore({"1": 0})) == {"1": 5}
    restore = save({1: 5, "1": 6})
    assert restore(args=ours.args.PyTreeRestore({"1": 0, 1: 0})) == {"1": 6, 1: 5}
    assert restore(args=ours.args.PyTreeRestore({1: 0}, partial_restore=True)) == {1: 5}


def test_a_wrong_shape_of_a_numpy_leaf_is_an_error(save):
    with pytest.raises(ValueError, match=r"n: Requested shape: \(3,\).*stored shape: \(4,\)"):
        args = {"n": ours.ArrayRestoreArgs(shape=(3,), restore_type=np.ndarray)}
        save({"n": np.arange(4)})(restore_args=args)


def test_none_in_a_target_does_not_hide_a_stored_array(save):
    with pytest.raises(ValueError, match="a: Source: MISSING"):
        save({"a": np.ones(2), "b": 1})(args=ours.args.PyTreeRestore({"a": None, "b": 0}))


def test_a_mismatch_lists_all_that_differs(save):
    restore = save({"a": 1, "b": {"c": 2}})
    with pytest.raises(treering.StructureMismatchError) as raised:
        restore(args=ours.args.PyTreeRestore({"a": 0, "x": 0}))
    assert list(raised.value.missing) == ["x"] and list(raised.value.unexpected) == ["b/c"]
    assert isinstance(raised.value, ValueError) and "partial_restore" in str(raised.value)


def test_a_partial_restore_reports_what_is_not_there(save):
    restore = save({"a": 1})
    with pytest.warns(UserWarning, match="left as they are: x"):
        found = restore(args=ours.args.PyTreeRestore({"a": 0, "x": 7}, partial_restore=True))
    assert found == {"a": 1, "x": 7}
    with pytest.raises(ValueError, match="x: Source"):
        target = {"a": 0, "x": Struct((2,), np.float32)}
        restore(args=ours.args.PyTreeRestore(target, partial_restore=True))


def test_only_what_a_target_names_is_read(save, monkeypatch):
    restore = save({"a": np.ones(3), "b": np.zeros(3)})
    given = []
    load = _place.load_from

    def noting(checkpoint, name, target, item):
        given.append(target)
        return load(checkpoint, name, target, item)

    monkeypatch.setattr(_place, "load_from", noting)
    found = restore(args=ours.args.PyTreeRestore({"a": 0}, partial_restore=True))
    assert found["a"].tolist() == [1, 1, 1] and given[0]["b"] is ...


def test_a_restore_reads_one_checkpoint_even_if_it_is_replaced_meanwhile(save):
    save({"a": 1})
    place = _place.open_place(save.path)
    save({"b": np.zeros(1000)})
    assert place.only().load() == {"a": 1} and list(place.only().abstract()) == ["a"]


def test_a_sharding_over_more_devices_than_there_are_is_a_topology_mismatch(
    save, tmp_path, monkeypatch
):
    restore = save({"a": jax.device_put(jnp.arange(8), named(8, "x"))})
    two = jax.devices()[:2]
    monkeypatch.setattr(jax, "devices", lambda *backend: two)
    with pytest.raises(ValueError, match="Topology mismatch detected"):
        restore()
    sharding = jax.sharding.NamedSharding(
        jax.sharding.Mesh(np.asarray(two), ("x",)), jax.sharding.PartitionSpec("x")
    )
    wanted = ours.args.StandardRestore(fallback_sharding=sharding)
    found = ours.StandardCheckpointer().restore(tmp_path / "a", args=wanted)
    assert found["a"].sharding == sharding and found["a"].tolist() == list(range(8))


# ---- Flax NNX


class Model(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(2, 3, rngs=rngs)
        self.more = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(2)])
        self.norm = nnx.BatchNorm(3, rngs=rngs)


@flax.struct.dataclass
class Training:
    params: object
    step: int


def values_of(tree):
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf).tolist() for path, leaf in flat}


def test_a_state_of_nnx_is_restored_as_orbax_does(both):
    state = nnx.state(Model(nnx.Rngs(0)))
    abstract = nnx.state(nnx.eval_shape(lambda: Model(nnx.Rngs(1))))

    def call(ocp, checkpointer, path):
        return checkpointer.restore(path, args=ocp.args.StandardRestore(abstract))

    orbax, mine = both(state, call, "StandardSave")
    assert values_of(orbax) == values_of(mine) == values_of(state)
    assert jax.tree.structure(mine) == jax.tree.structure(orbax)


# A heading of ORBAX.md: in this, what is restored without a target is other than Orbax's.
THEMSELVES = "State, FrozenDict and dataclasses come back as themselves"


def test_of_flax_all_comes_back_as_itself_without_a_target_where_orbax_gives_dicts(both):
    page = (pathlib.Path(__file__).parents[1] / "ORBAX.md").read_text()
    assert f"### {THEMSELVES}\n" in page
    state = nnx.state(Model(nnx.Rngs(0)))
    tree = {
        "state": state,
        "frozen": flax.core.FrozenDict({"w": jnp.ones(2)}),
        "train": Training({"w": jnp.zeros(3)}, 7),
    }
    orbax, mine = both(tree, lambda ocp, checkpointer, path: checkpointer.restore(path))
    kernel = state["more"][0]["kernel"].get_value().tolist()
    assert orbax["state"]["more"]["0"]["kernel"]["value"].tolist() == kernel
    assert mine["state"]["more"][0]["kernel"].get_value().tolist() == kernel
    assert type(mine["state"]) is nnx.State and values_of(mine["state"]) == values_of(state)
    assert type(mine["state"]["norm"]["mean"]) is nnx.BatchStat
    assert type(mine["frozen"]) is flax.core.FrozenDict and type(orbax["frozen"]) is dict
    assert mine["frozen"].unfreeze().keys() == orbax["frozen"].keys()
    assert type(mine["train"]) is treering.Record and type(orbax["train"]) is dict
    same_tree(dict(mine["train"]), orbax["train"])


def test_a_module_of_nnx_is_restored_into_one(save):
    model = Model(nnx.Rngs(0))
    back = save(model)(args=ours.args.PyTreeRestore(Model(nnx.Rngs(1))))
    assert type(back) is Model and values_of(nnx.state(back)) == values_of(nnx.state(model))
    state = nnx.state(Model(nnx.Rngs(2)))
    assert values_of(save(model)(args=ours.args.PyTreeRestore(state))) == values_of(
        nnx.state(model)
    )


def test_a_sharding_over_an_abstract_mesh_is_made_of_the_devices_of_here(save):
    abstract = jax.sharding.AbstractMesh((4,), ("x",))
    sharding = jax.sharding.NamedSharding(abstract, jax.sharding.PartitionSpec("x"))
    save({"a": jnp.arange(8.0)})
    target = {"a": Struct((8,), np.float32, sharding=sharding)}
    found = ours.StandardCheckpointer().restore(save.path, target)
    assert found["a"].sharding.num_devices == 4 and found["a"].tolist() == list(range(8))


def test_arguments_that_a_helper_of_flax_makes_are_understood(save):
    orbax_utils = pytest.importorskip("flax.training.orbax_utils")
    tree = {"a": jnp.arange(4.0), "n": np.arange(2), "i": 3}
    checkpointer = ours.PyTreeCheckpointer()
    made = orbax_utils.save_args_from_target(tree)
    checkpointer.save(save.path, tree, save_args=made)
    target = {**tree, "a": jax.device_put(tree["a"], named(2, "x"))}
    wanted = orbax_utils.restore_args_from_target(target, mesh=None)
    same_tree(checkpointer.restore(save.path, item=target, restore_args=wanted), target)


def explicit(value):
    """An array over a mesh as jax.make_mesh makes it: of Explicit axes."""
    over = jax.make_mesh((4,), ("x",), devices=jax.devices()[:4])
    return jax.device_put(value, jax.sharding.NamedSharding(over, jax.sharding.PartitionSpec("x")))


def test_what_lay_over_explicit_axes_computes_with_what_is_restored(both):
    array = explicit(jnp.arange(8.0))
    for target in (None, {"w": Struct((8,), np.float32, sharding=array.sharding)}):

        def call(ocp, checkpointer, path, target=target):
            args = ocp.args.StandardRestore(target)
            return {"sum": array + checkpointer.restore(path, args=args)["w"]}

        theirs_found, ours_found = both({"w": array}, call, save="StandardSave")
        same_tree(theirs_found, ours_found)
        assert ours_found["sum"].sharding == array.sharding


def test_descriptions_of_shardings_differ_by_the_types_of_axes(tmp_path):
    array = explicit(jnp.arange(8.0))
    described = ours.metadata.ShardingMetadata.from_jax_sharding(array.sharding)
    auto = ours.metadata.ShardingMetadata.from_jax_sharding(named(4, "x"))
    untold = ours.metadata.NamedShardingMetadata(np.array([4]), ["x"], ("x",))
    assert described != auto and auto == untold and described == described
    for value, sharding in ((array, described), (jax.device_put(array, named(4, "x")), auto)):
        with ours.StandardCheckpointer() as checkpointer:
            checkpointer.save(tmp_path / "step", {"w": value}, force=True)
            checkpointer.wait_until_finished()
            found = checkpointer.metadata(tmp_path / "step").item_metadata.tree
            again = checkpointer.restore(tmp_path / "step", found)["w"]
        assert found["w"].sharding == sharding and again.sharding == value.sharding


def test_an_abstract_mesh_keeps_the_types_of_its_axes():
    kind = jax.sharding.AxisType.Explicit
    over = jax.sharding.AbstractMesh((4,), ("x",), axis_types=(kind,))
    abstract = jax.sharding.NamedSharding(over, jax.sharding.PartitionSpec("x"))
    made = ours.arrays.to_shape_dtype_struct(Struct((8,), np.float32, sharding=abstract))
    assert made.sharding.mesh.axis_types == (kind,)

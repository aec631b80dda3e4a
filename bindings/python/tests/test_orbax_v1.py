# SPDX-License-Identifier: Apache-2.0
# The free functions of treering.orbax.v1: saving, loading, metadata, handlers, Context, partial saves.
import collections
import dataclasses
import os
import pickle
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import treering
from treering.orbax import v1 as ocp

STATE = {"w": np.arange(6.0).reshape(2, 3), "j": jnp.arange(4), "step": 7, "name": "net"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "net"


# ---- what Orbax loses


def test_a_tree_comes_back_as_it_was_without_a_target(path):
    point = collections.namedtuple("point", "x y")
    tree = {1: (2, [3.5, True]), "p": point(np.int8(4), None), "e": {}, "l": [], "z": np.zeros((0, 2)), "c": 1j}
    ocp.save(path, tree)
    back = ocp.load(path)
    assert back[1] == (2, [3.5, True]) and type(back[1]) is tuple and type(back[1][1][1]) is bool
    assert type(back["p"])._fields == ("x", "y") and back["p"].x.dtype == np.int8
    assert list(back) == list(tree) and back["e"] == {} and back["l"] == [] and back["c"] == 1j
    assert back["z"].shape == (0, 2)


def test_what_orbax_refuses_to_save_is_saved(path):
    small = np.zeros((), ml_dtypes.float8_e4m3)[()]
    refused = ({}, {"b": b"x"}, {"n": 2**100}, {"x": np.bool_(True)}, {"f": np.float16(1)}, {"m": small}, {"~/": "x"})
    for i, tree in enumerate(refused):
        ocp.save(f"{path}{i}", tree)
        assert ocp.load(f"{path}{i}") == tree


def test_keys_that_look_alike_do_not_overwrite_each_other(path):
    ocp.save(path, {"a": {"b": np.zeros(2)}, "a.b": np.ones(2)})
    back = ocp.load(path)
    assert back["a"]["b"].tolist() == [0, 0] and back["a.b"].tolist() == [1, 1]


def test_flipped_bits_are_never_returned(path):
    ocp.save(path, {"w": np.random.default_rng(0).normal(size=4096)})
    good = path.read_bytes()
    for at in range(200, len(good), len(good) // 20):
        path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        try:
            back = ocp.load(path)
        except OSError:
            continue
        path.write_bytes(good)
        assert back["w"].tobytes() == ocp.load(path)["w"].tobytes(), at


def test_metadata_of_a_tree_with_a_bool_are_there(path):
    ocp.save(path, {"b": True, "n": 3, "w": np.zeros(2, np.float32)}, custom_metadata={"k": 1})
    found = ocp.metadata(path)
    assert found.metadata["b"] is False and found.metadata["n"] == 0 and found.custom_metadata == {"k": 1}
    assert found.metadata["w"].dtype == np.float32
    assert found.init_timestamp <= found.commit_timestamp


# ---- saving


def test_an_existing_destination_is_an_error_of_both_libraries(path):
    ocp.save(path, STATE)
    with pytest.raises(ValueError, match="already exists") as caught:
        ocp.save(path, {"other": 1})
    assert isinstance(caught.value, FileExistsError) and ocp.load(path)["step"] == 7
    ocp.save(path, {"other": 1}, overwrite=True)
    assert ocp.load(path) == {"other": 1}


def test_an_overwrite_that_fails_leaves_the_old_checkpoint(path):
    ocp.save(path, STATE)
    for bad in ({"a": object()}, {"a": np.array(["x"], object)}):
        with pytest.raises(ValueError, match="'a'"):
            ocp.save(path, bad, overwrite=True)
    with pytest.raises(TypeError, match="custom_metadata"):
        ocp.save(path, {"a": 1}, overwrite=True, custom_metadata={"k": object()})
    assert ocp.load(path)["step"] == 7 and os.listdir(path.parent) == ["net"]


def test_data_are_safe_from_the_program_when_save_async_returns(path):
    array = np.zeros(1000)
    lent = jnp.ones(1000)
    response = ocp.save_async(path, {"a": array, "j": lent})
    array[:] = 9
    lent.delete()
    assert response.result() is None and response.result(timeout=1) is None
    back = ocp.load(path)
    assert back["a"].sum() == 0 and back["j"].sum() == 1000


def test_a_callback_is_called_with_the_result_only_if_the_save_ended_well(path):
    called = threading.Event()
    ocp.save_async(path, STATE).on_complete(lambda value: called.set() if value is None else None)
    assert called.wait(30)
    with pytest.raises(FileExistsError):
        ocp.save_async(path, STATE)


def test_post_finalization_callback_sees_the_checkpoint(path):
    seen = []
    context = ocp.Context()
    context.asynchronous.post_finalization_callback = lambda: seen.append(path.exists())
    with context:
        ocp.save_async(path, STATE).result()
        ocp.save(path, STATE, overwrite=True)
    assert seen == [True, True]


def test_an_interpreter_that_exits_finishes_the_save(path):
    code = (
        "import sys, numpy as np; from treering.orbax import v1 as ocp; "
        "ocp.save_async(sys.argv[1], {'a': np.arange(100000)})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=120, env=environment)
    assert ocp.load(path)["a"][-1] == 99999


def test_neither_orbax_nor_tensorstore_is_imported(path):
    code = (
        "import sys; from treering.orbax import v1 as ocp; ocp.save(sys.argv[1], {'a': 1}); "
        "ocp.load(sys.argv[1]); ocp.metadata(sys.argv[1]); "
        "assert not [m for m in sys.modules if m.split('.')[0] in ('orbax', 'tensorstore')]"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=120, env=environment)


def test_names_of_checkpointables_are_checked(path):
    for bad in ({}, {"": STATE}, {"metrics": STATE}, {"AUTO": STATE}, [1], {"a": None}):
        with pytest.raises(ValueError):
            ocp.save_checkpointables(path, bad)
    with pytest.raises(KeyError, match="handler"):
        ocp.save_checkpointables(path, {"a": object()})
    assert not path.exists()


# ---- loading


def test_auto_takes_state_first_and_then_the_first_name(path):
    ocp.save_checkpointables(path, {"b": {"x": 1}, "state": {"x": 2}, "a": {"x": 3}})
    assert ocp.load(path) == {"x": 2} and ocp.load(path, checkpointable_name="b") == {"x": 1}
    ocp.delete(path, checkpointable_name="state")
    assert ocp.load(path) == {"x": 3} and sorted(ocp.load_checkpointables(path)) == ["a", "b"]
    assert ocp.load(path / "b", checkpointable_name=None) == {"x": 1}
    with pytest.raises(ValueError, match="has no pytree 'state'"):
        ocp.load(path, checkpointable_name="state")


def test_a_target_decides_types_dtypes_and_shardings(path):
    mesh = jax.make_mesh((4,), ("x",))
    sharding = jax.NamedSharding(mesh, jax.P("x"))
    ocp.save(path, STATE)
    target = {
        "w": jax.ShapeDtypeStruct((2, 3), jnp.bfloat16),
        "j": jax.ShapeDtypeStruct((4,), jnp.float32, sharding=sharding),
        "step": float,
        "name": "",
    }
    back = ocp.load(path, target)
    assert isinstance(back["w"], jax.Array) and back["w"].dtype == jnp.bfloat16
    assert back["j"].sharding == sharding and back["j"].tolist() == [0, 1, 2, 3]
    assert back["step"] == 7.0 and type(back["step"]) is float and back["name"] == "net"


def test_abstract_meshes_are_those_of_the_active_mesh(path):
    ocp.save(path, {"j": jnp.arange(8)})
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    abstract = jax.NamedSharding(mesh.abstract_mesh, jax.P("x"))
    with jax.set_mesh(mesh):
        back = ocp.load(path, {"j": jax.ShapeDtypeStruct((8,), jnp.int32, sharding=abstract)})
    assert back["j"].sharding.is_equivalent_to(jax.NamedSharding(mesh, jax.P("x")), 1)


def test_metadata_are_a_target(path):
    ocp.save(path, STATE)
    back = ocp.load(path, ocp.metadata(path))
    assert isinstance(back["j"], jax.Array) and isinstance(back["w"], np.ndarray)
    assert back["step"] == 7 and back["name"] == "net"


def test_a_target_that_does_not_fit_is_an_error_that_says_where(path):
    ocp.save(path, STATE)
    for bad, where in (
        ({**STATE, "w": np.zeros((3, 2))}, "w"),
        ({**STATE, "z": 1}, "z"),
        ({"w": STATE["w"]}, "step"),
        ({**STATE, "w": None}, "w"),
        ({**STATE, "name": 3}, "name"),
        ({**STATE, "w": 3}, "w"),
    ):
        with pytest.raises(ValueError, match=where):
            ocp.load(path, bad)
    with pytest.raises(TypeError, match="'w'"):
        ocp.load(path, {**STATE, "w": object()})


def test_a_failure_of_load_checkpointables_is_of_both_classes(path):
    ocp.save(path, STATE)
    with pytest.raises(KeyError, match="unexpected|match") as caught:
        ocp.load_checkpointables(path, {"state": {"w": np.zeros((2, 3))}})
    assert isinstance(caught.value, treering.StructureMismatchError)
    assert isinstance(caught.value.__cause__, treering.StructureMismatchError)
    assert "step" in " ".join(caught.value.unexpected)
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, treering.StructureMismatchError) and str(again) == str(caught.value)
    with pytest.raises(KeyError, match="none such"):
        ocp.load_checkpointables(path, {"none such": None})


def test_placeholders_and_partial_loads_read_only_what_they_name(path):
    ocp.save(path, {"a": {"x": 1, "y": 2}, "l": [1, 2], "t": "text"})
    assert ocp.load(path, {"a": {"x": 0, "y": ...}, "l": [0, ...], "t": ...}) == {
        "a": {"x": 1, "y": ...}, "l": [1, ...], "t": ...,
    }  # fmt: skip
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    with context:
        assert ocp.load(path, {"a": {"y": 0}}) == {"a": {"y": 2}}
        with pytest.raises(ValueError, match="'l'"):
            ocp.load(path, {"l": [0]})
        with pytest.warns(UserWarning, match="z"):
            assert ocp.load(path, {"t": "", "z": 5}) == {"t": "text", "z": 5}


def test_padding_is_asked_for(path):
    ocp.save(path, {"j": jnp.arange(4), "w": np.arange(3)})
    target = {"j": jax.ShapeDtypeStruct((6,), jnp.int32), "w": np.zeros(2, int)}
    with pytest.raises(ValueError, match="shape"):
        ocp.load(path, target)
    context = ocp.Context()
    context.array.loading.enable_padding_and_truncation = True
    with context:
        back = ocp.load(path, target)
    assert back["j"].tolist() == [0, 1, 2, 3, 0, 0] and back["w"].tolist() == [0, 1]


def test_custom_nodes_come_back_by_a_target(path):
    @jax.tree_util.register_pytree_with_keys_class
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

        def tree_flatten_with_keys(self):
            key = jax.tree_util.GetAttrKey
            return ((key("a"), self.a), (key("b"), self.b)), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    @dataclasses.dataclass
    class Plain:
        n: int

    ocp.save(path, {"pair": Pair(np.ones(2), 3), "plain": Plain(4)})
    assert ocp.load(path)["plain"] == {"n": 4}
    back = ocp.load(path, {"pair": Pair(np.zeros(2), 0), "plain": Plain(0)})
    assert back["pair"].a.tolist() == [1, 1] and back["pair"].b == 3 and back["plain"] == Plain(4)


def test_nnx_states_and_modules_are_saved_and_loaded(path):
    nnx = pytest.importorskip("flax.nnx")

    def make():
        return nnx.Linear(2, 3, rngs=nnx.Rngs(1))

    graph, state = nnx.split(make())
    ocp.save(path, state)
    back = ocp.load(path, nnx.state(nnx.eval_shape(make)))
    assert type(back["kernel"]) is nnx.Param
    assert np.array_equal(back["kernel"][...], state["kernel"][...])
    merged = nnx.merge(graph, ocp.load(path))
    assert merged(jnp.ones((1, 2))).shape == (1, 3)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_typed_keys_stay_keys(path, impl):
    key = jax.random.key(3, impl=impl)
    ocp.save(path, {"k": key})
    for back in (ocp.load(path), ocp.load(path, {"k": key}), ocp.load(path, ocp.metadata(path))):
        assert jax.random.key_impl(back["k"]) == jax.random.key_impl(key)
        assert jax.random.uniform(back["k"]) == jax.random.uniform(key)


def test_what_is_not_there_is_an_invalid_layout_and_a_missing_file(path, tmp_path):
    for call in (ocp.load, ocp.load_checkpointables, ocp.metadata, ocp.checkpointables_metadata):
        with pytest.raises(ocp.errors.InvalidLayoutError) as caught:
            call(path)
        assert isinstance(caught.value, (ValueError, FileNotFoundError))
        with pytest.raises(ocp.errors.InvalidLayoutError):
            call(tmp_path)
    assert not ocp.is_orbax_checkpoint(path) and not ocp.is_orbax_checkpoint(tmp_path)


def test_loading_in_the_background_answers_and_raises_as_loading_does(path):
    ocp.save(path, STATE)
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    with context:
        response = ocp.load_async(path, {"step": 0})
    assert response.result() == {"step": 7}
    response.on_complete(lambda value: value.clear())
    assert response.result() == {}
    assert ocp.load_checkpointables_async(path).result()["state"]["step"] == 7
    with pytest.raises(ValueError):
        ocp.load_async(path, {"step": 0}).result()


# ---- handlers


class Counter:
    """Saves itself; the second phase writes."""

    def __init__(self, value=0):
        self.value = value

    async def save(self, directory):
        value = self.value

        async def later():
            folder = await directory.await_creation()
            (folder / "deep").mkdir()
            (folder / "deep" / "count").write_text(str(value))

        return later()

    async def load(self, directory):
        async def later():
            self.value = int((directory / "deep" / "count").read_text())

        return later()


def test_a_stateful_object_saves_and_loads_itself(path):
    counter = Counter(5)
    response = ocp.save_checkpointables_async(path, {"state": STATE, "data": counter})
    counter.value = 6
    response.result()
    other = Counter()
    back = ocp.load_checkpointables(path, {"data": other})
    assert back["data"] is other and other.value == 5
    assert ocp.checkpointables_metadata(path).metadata["data"] is None
    with pytest.raises(KeyError, match="loads itself"):
        ocp.load_checkpointables(path)


class Point:
    def __init__(self, x):
        self.x = x


class PointHandler(ocp.CheckpointableHandler[Point, None]):
    async def save(self, directory, checkpointable):
        folder = await directory.await_creation()
        (folder / "x").write_text(repr(checkpointable.x))
        return await ocp.handlers.JsonHandler().save(directory, {"more": checkpointable.x})

    async def load(self, directory, abstract_checkpointable=None):
        async def later():
            return Point(float((directory / "x").read_text()))

        return later()

    async def metadata(self, directory):
        return sorted(file.name for file in directory.iterdir())

    def is_handleable(self, checkpointable):
        return isinstance(checkpointable, Point)

    def is_abstract_handleable(self, abstract_checkpointable):
        return abstract_checkpointable is None


def test_a_handler_of_the_program_is_found_by_type_and_by_the_record(path):
    context = ocp.Context()
    context.checkpointables.registry = ocp.handlers.local_registry().add(PointHandler)
    with context:
        ocp.save_checkpointables(path, {"p": Point(1.5), "state": STATE})
        assert ocp.load_checkpointables(path)["p"].x == 1.5
        assert ocp.checkpointables_metadata(path).metadata["p"] == ["data.json", "x"]
        assert ocp.delete(path, checkpointable_name="state")
        assert ocp.load_checkpointables(path)["p"].x == 1.5
    with pytest.raises(KeyError):
        ocp.load_checkpointables(path)


def test_messages_of_protobuf_are_loaded_into_their_class(path):
    struct_pb2 = pytest.importorskip("google.protobuf.struct_pb2")
    message = struct_pb2.Struct()
    message.update({"a": 1.5, "b": "text"})
    ocp.save_checkpointables(path, {"m": message, "state": STATE})
    assert ocp.load_checkpointables(path, {"m": struct_pb2.Struct})["m"] == message
    with pytest.raises(KeyError, match="its class"):
        ocp.load_checkpointables(path, {"m": None})


def test_a_name_decides_before_the_type(path):
    context = ocp.Context()
    registry = ocp.handlers.local_registry()
    context.checkpointables.registry = registry.add(ocp.handlers.JsonHandler, checkpointable_name="config")
    with context:
        ocp.save_checkpointables(path, {"config": {"a": [1, None]}, "other": {"a": 1}})
    assert treering.info(path)["items"] == {"config": "json", "other": "tree"}
    assert ocp.load_checkpointables(path) == {"config": {"a": [1, None]}, "other": {"a": 1}}
    assert ocp.load(path) == {"a": 1}


def test_registries_refuse_what_they_have_and_miss_what_they_have_not():
    registry = ocp.handlers.local_registry(include_global_registry=False)
    registry.add(PointHandler).add(PointHandler, checkpointable_name="p")
    assert registry.has("p") and registry.get("p") is PointHandler and not registry.has("q")
    for again in ({}, {"checkpointable_name": "p"}):
        with pytest.raises(ValueError):
            registry.add(PointHandler, **again)
    with pytest.raises(KeyError):
        registry.get("q")
    with pytest.raises(ValueError):
        registry.add(PointHandler())
    with pytest.raises(NotImplementedError):
        ocp.Context().checkpointables.registry.add(PointHandler)


# ---- Context


def test_a_context_is_frozen_while_it_is_active_and_no_other_thread_has_it(path):
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    child = ocp.Context(context)
    child.pytree.loading.partial_load = False
    ocp.save(path, {"a": 1, "b": 2})
    outcome = []

    def elsewhere():
        with pytest.raises(ValueError):
            ocp.load(path, {"a": 0})
        outcome.append("raised")

    with context:
        assert ocp.load(path, {"a": 0}) == {"a": 1}
        with child, pytest.raises(ValueError):
            ocp.load(path, {"a": 0})
        for change in (
            lambda: setattr(context.pytree.loading, "partial_load", False),
            lambda: setattr(context, "checkpoint_layout", "auto"),
        ):
            with pytest.raises(RuntimeError):
                change()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert outcome == ["raised"]
    context.checkpoint_layout = "safetensors"
    with context, pytest.raises(NotImplementedError):
        ocp.load(path)


def test_storage_options_say_the_dtype_that_is_stored(path):
    context = ocp.Context()
    storage = ocp.options.ArrayOptions.Saving.StorageOptions
    context.array.saving.storage_options = storage(dtype=np.float16)
    context.array.saving.scoped_storage_options_creator = (
        lambda key, value: storage(dtype=jnp.bfloat16) if key[-1].key == "b" else None
    )
    with context:
        ocp.save(path, {"a": np.ones(2), "b": jnp.ones(2), "n": 3})
    back = ocp.load(path)
    assert back["a"].dtype == np.float16 and back["b"].dtype == jnp.bfloat16 and back["n"] == 3


# ---- deleting, and partial saves


def test_delete_says_what_it_deleted(path):
    assert ocp.delete(path, missing_ok=True) is False
    with pytest.raises(FileNotFoundError):
        ocp.delete(path)
    ocp.save(path, STATE)
    with pytest.raises(ValueError, match="only"):
        ocp.delete(path, checkpointable_name="state")
    with pytest.raises(FileNotFoundError):
        ocp.delete(path, checkpointable_name="none")
    assert ocp.delete_async(path).result() is True and not path.exists()
    with pytest.raises(ocp.errors.InvalidLayoutError):
        ocp.delete(path.parent)


def test_parts_are_nothing_until_they_are_finalized(path):
    first = ocp.partial.save_async(path, {"a": np.ones(3), "c": {"x": 1}}, custom_metadata={"k": 1, "l": 1})
    ocp.partial.save(path, {"b": jnp.arange(2), "c": {"y": 2}}, custom_metadata={"k": 2})
    assert first.result() is None and not ocp.is_orbax_checkpoint(path)
    for bad in ({"a": 1}, {"c": 5}, {"c": {"x": {"z": 1}}}):
        with pytest.raises(ocp.errors.PartialSaveReplacementError):
            ocp.partial.save(path, bad)
    ocp.partial.finalize(path)
    back = ocp.load(path)
    assert back["c"] == {"x": 1, "y": 2} and back["a"].sum() == 3 and isinstance(back["b"], jax.Array)
    assert ocp.metadata(path).custom_metadata == {"k": 2, "l": 1}
    assert os.listdir(path.parent) == ["net"]
    for call in (lambda: ocp.partial.save(path, {"z": 1}), lambda: ocp.partial.finalize(path)):
        with pytest.raises(FileExistsError):
            call()
    with pytest.raises(FileNotFoundError):
        ocp.partial.finalize(f"{path}2")


def test_old_names_work_and_warn(path):
    with pytest.warns(DeprecationWarning, match="save"):
        ocp.save_pytree(path, STATE)
    with pytest.warns(DeprecationWarning, match="load"):
        assert ocp.load_pytree(path)["step"] == 7
    with pytest.warns(DeprecationWarning, match="metadata"):
        assert ocp.pytree_metadata(path).metadata["step"] == 0


def test_64_bits_are_never_narrowed_while_jax_has_them_off(path):
    with jax.enable_x64(True):
        array = jnp.array([2**40 + 5])
    ocp.save(path, {"w": array})
    for leaf in (jax.ShapeDtypeStruct((1,), np.int64), array, ocp.metadata(path).metadata["w"]):
        found = ocp.load(path, {"w": leaf})["w"]
        assert isinstance(found, np.ndarray) and found.dtype == np.int64 and found.tolist() == [2**40 + 5]

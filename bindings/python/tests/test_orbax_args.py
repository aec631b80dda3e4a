# SPDX-License-Identifier: Apache-2.0
# Arguments, registries, Composite and handlers of the program, as orbax.checkpoint has them.
import dataclasses
import json

import numpy as np
import pytest

import treering
import treering.orbax as ocp

registration = ocp.handler_registration


class Counter:
    def __init__(self, value):
        self.value = value


class CounterHandler(ocp.CheckpointHandler):
    """Writes files of its own, one in a folder below."""

    def save(self, directory, args):
        (directory / "value.json").write_text(json.dumps(args.item.value))
        (directory / "more").mkdir()
        (directory / "more" / "twice.bin").write_bytes(bytes(2 * args.item.value))
        (directory / "empty").mkdir()

    def restore(self, directory, args):
        assert (directory / "empty").is_dir()
        value = json.loads((directory / "value.json").read_text())
        assert len((directory / "more" / "twice.bin").read_bytes()) == 2 * value
        return Counter(value + args.plus)

    def metadata(self, directory):
        return {"value": json.loads((directory / "value.json").read_text())}

    def finalize(self, directory):
        assert (directory / "value.json").exists()


@ocp.args.register_with_handler(CounterHandler, for_save=True)
@dataclasses.dataclass
class CounterSave(ocp.args.CheckpointArgs):
    item: Counter


@ocp.args.register_with_handler(CounterHandler, for_restore=True)
@dataclasses.dataclass
class CounterRestore(ocp.args.CheckpointArgs):
    plus: int = 0


class LateHandler(ocp.AsyncCheckpointHandler):
    """Leaves its writing to a future."""

    def save(self, directory, args):
        raise AssertionError("an asynchronous checkpointer asks for async_save")

    async def async_save(self, directory, args):
        async def write():
            if args.item is None:
                raise OSError("the stream is closed")
            (directory / "late").write_text(args.item)

        return [ocp.future.CommitFutureAwaitingContractedSignals(write(), name="late")]

    def restore(self, directory, args):
        return (directory / "late").read_text()


@ocp.args.register_with_handler(LateHandler, for_save=True)
@dataclasses.dataclass
class LateSave(ocp.args.CheckpointArgs):
    item: str


@ocp.args.register_with_handler(LateHandler, for_restore=True)
@dataclasses.dataclass
class LateRestore(ocp.args.CheckpointArgs):
    pass


@pytest.fixture
def composite():
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        yield checkpointer


def test_a_composite_is_a_mapping_whose_keys_are_attributes():
    both = ocp.args.Composite(a=1, items=2)
    assert both.a == 1 and both["items"] == 2 and callable(both.items)
    assert "a" in both and both.get("b") is None and list(both) == ["a", "items"]
    assert (both | {"c": 3}) == {"a": 1, "items": 2, "c": 3} and (both & {"a": 0}) == {"a": 1}
    assert not hasattr(both, "nothing")
    with pytest.raises(KeyError, match="Unknown key: nothing"):
        both.nothing
    with pytest.raises(ValueError):
        both.a = 2
    with pytest.raises(ValueError, match="__"):
        ocp.args.Composite(__a=1)


def test_arguments_find_their_handler_and_the_handler_its_arguments():
    handler = ocp.args.get_registered_handler_cls(CounterSave(Counter(1)))
    assert handler is CounterHandler
    assert ocp.args.get_registered_args_cls(CounterHandler()) == (CounterSave, CounterRestore)
    assert ocp.args.has_registered_args(ocp.StandardCheckpointHandler)
    with pytest.raises(ValueError, match="both False"):
        ocp.args.register_with_handler(CounterHandler)
    with pytest.raises(TypeError, match="CheckpointArgs"):
        ocp.args.register_with_handler(CounterHandler, for_save=True)(int)
    with pytest.raises(TypeError):
        ocp.args.get_registered_handler_cls({"a": 1})


def test_a_registry_refuses_doubles_and_knows_what_it_lacks():
    registry = ocp.DefaultCheckpointHandlerRegistry()
    registry.add("state", ocp.args.StandardSave)
    registry.add(None, CounterSave, CounterHandler())
    assert isinstance(
        registry.get("state", ocp.args.StandardSave({})), ocp.StandardCheckpointHandler
    )
    assert registry.has(None, CounterSave) and not registry.has("state", CounterSave)
    with pytest.raises(registration.AlreadyExistsError) as raised:
        registry.add("state", ocp.args.StandardSave)
    assert isinstance(raised.value, ValueError)
    with pytest.raises(registration.NoEntryError) as raised:
        registry.get("state", CounterSave)
    assert isinstance(raised.value, KeyError)
    copied = ocp.DefaultCheckpointHandlerRegistry(registry)
    assert copied.get_all_entries() == registry.get_all_entries()


def test_a_handler_of_the_program_keeps_its_files_in_the_checkpoint(tmp_path, composite):
    path = tmp_path / "all"
    saved = ocp.args.Composite(
        count=CounterSave(Counter(20)), state=ocp.args.StandardSave({"w": 1})
    )
    composite.save(path, saved)
    assert path.is_file()
    assert treering.load(path, item="count/value.json") == b"20"
    restored = composite.restore(path, ocp.args.Composite(count=CounterRestore(plus=2)))
    assert restored.count.value == 22 and list(restored) == ["count"]
    assert composite.metadata(path).item_metadata.count == {"value": 20}
    fresh = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
    everything = fresh.restore(path)
    assert everything["count"].value == 20 and everything.state == {"w": 1}


def test_a_handler_that_nobody_registered_is_named(tmp_path, composite, monkeypatch):
    path = tmp_path / "all"
    composite.save(path, ocp.args.Composite(count=CounterSave(Counter(1))))
    from treering.orbax import _handler_base

    monkeypatch.delitem(_handler_base._by_name, CounterHandler.typestr())
    with pytest.raises(ValueError, match="CounterHandler"):
        ocp.Checkpointer(ocp.CompositeCheckpointHandler()).restore(path)
    found = ocp.Checkpointer(ocp.CompositeCheckpointHandler()).metadata(path)
    assert found.item_metadata.count is None
    assert found.item_handlers == {"count": CounterHandler.typestr()}


def test_futures_of_a_handler_are_waited_for_and_their_failures_raised(tmp_path):
    with ocp.AsyncCheckpointer(LateHandler()) as checkpointer:
        checkpointer.save(tmp_path / "a", args=LateSave("hello"))
        assert checkpointer.restore(tmp_path / "a") == "hello"
        with pytest.raises(OSError, match="stream is closed"):
            checkpointer.save(tmp_path / "b", args=LateSave(None))
        checkpointer.wait_until_finished()
    assert not (tmp_path / "b").exists()


class LooseHandler(ocp.CheckpointHandler):
    """Has no registered arguments."""

    def save(self, directory, text, *, suffix=""):
        (directory / "text").write_text(text + suffix)

    def restore(self, directory, upper=False):
        text = (directory / "text").read_text()
        return text.upper() if upper else text


def test_a_handler_without_arguments_of_its_own_takes_loose_ones(tmp_path):
    from treering.orbax._custom import LooseArgs

    checkpointer = ocp.Checkpointer(LooseHandler())
    checkpointer.save(tmp_path / "a", args=LooseArgs("ab", suffix="c"))
    assert checkpointer.restore(tmp_path / "a", args=LooseArgs(upper=True)) == "ABC"
    checkpointer.save(tmp_path / "b", "xy", suffix="z")
    assert checkpointer.restore(tmp_path / "b") == "xyz"


class NotingHandler(ocp.PyTreeCheckpointHandler):
    """Built upon one of ours; writes a note beside it."""

    def save(self, directory, *args, **kwargs):
        super().save(directory, *args, **kwargs)
        (directory / "note").write_text("noted")

    def restore(self, directory, *args, **kwargs):
        assert (directory / "note").read_text() == "noted"
        return super().restore(directory, *args, **kwargs)


def test_a_handler_built_upon_ours_writes_its_files_too(tmp_path):
    registry = ocp.DefaultCheckpointHandlerRegistry()
    handler = NotingHandler()
    registry.add("state", ocp.args.PyTreeSave, handler)
    registry.add("state", ocp.args.PyTreeRestore, handler)
    checkpointer = ocp.Checkpointer(ocp.CompositeCheckpointHandler(handler_registry=registry))
    tree = {"w": np.arange(3), "t": (1, 2)}
    checkpointer.save(tmp_path / "a", ocp.args.Composite(state=ocp.args.PyTreeSave(tree)))
    restored = checkpointer.restore(tmp_path / "a").state
    assert restored["t"] == (1, 2) and restored["w"].tolist() == [0, 1, 2]


def test_handlers_can_be_called_with_a_folder(tmp_path):
    for handler, value in (
        (ocp.PyTreeCheckpointHandler(), {"a": (1, 2)}),
        (ocp.StandardCheckpointHandler(), {"a": 1}),
        (ocp.JsonCheckpointHandler(), {"a": [1]}),
    ):
        folder = tmp_path / type(handler).__name__
        folder.mkdir()
        handler.save(folder, value)
        assert handler.restore(folder) == value


def test_an_item_keeps_the_kind_of_its_arguments(tmp_path, composite):
    composite.save(tmp_path / "a", ocp.args.Composite(s=ocp.args.StandardSave({"x": 1})))
    with pytest.raises(ValueError, match="does not match with any registered handler"):
        composite.save(tmp_path / "b", ocp.args.Composite(s=ocp.args.JsonSave({})))
    named = ocp.Checkpointer(ocp.CompositeCheckpointHandler("s"))
    named.save(tmp_path / "b", ocp.args.Composite(s=ocp.args.JsonSave({})))
    with pytest.raises(ValueError, match="does not match"):
        named.save(tmp_path / "c", ocp.args.Composite(t=ocp.args.JsonSave({})))
    with pytest.raises(ValueError, match="give one"):
        ocp.CompositeCheckpointHandler("s", handler_registry=ocp.DefaultCheckpointHandlerRegistry())


def test_an_absent_item_is_named_with_those_that_are_there(tmp_path, composite):
    composite.save(tmp_path / "a", ocp.args.Composite(s=ocp.args.StandardSave({"x": 1})))
    with pytest.raises(KeyError, match=r"Item .f. was not found.*'s'"):
        composite.restore(tmp_path / "a", ocp.args.Composite(f=ocp.args.JsonRestore()))


def test_an_item_named_like_a_method_of_a_dict_works(tmp_path, composite):
    composite.save(tmp_path / "a", ocp.args.Composite(keys=ocp.args.JsonSave([1])))
    assert composite.restore(tmp_path / "a")["keys"] == [1]


def test_json_comes_back_as_json_has_it(tmp_path):
    checkpointer = ocp.Checkpointer(ocp.JsonCheckpointHandler())
    document = {"a": (1, 2.5), 3: None, "ü": "\u2028", "nan": [float("inf")]}
    checkpointer.save(tmp_path / "a", document)
    found = {"a": [1, 2.5], "3": None, "ü": "\u2028", "nan": [float("inf")]}
    assert checkpointer.restore(tmp_path / "a") == found
    with pytest.raises(TypeError):
        checkpointer.save(tmp_path / "b", {"a": object()})
    assert not (tmp_path / "b").exists()


def test_a_recorded_file_outside_of_its_folder_is_refused(tmp_path):
    record = {
        "single": True,
        "item_handlers": {"default": CounterHandler.typestr()},
        "items": {"default": {"files": {"../../evil": "default/x"}, "folders": []}},
    }
    items = {"default/x": treering.Blob(b"1")}
    treering.save(tmp_path / "a", items=items, metadata={"treering.orbax": record})
    with pytest.raises(treering.CorruptionError, match="outside"):
        ocp.Checkpointer(CounterHandler()).restore(tmp_path / "a")


# ---- handlers of single leaves


@dataclasses.dataclass
class Point:
    x: int
    y: int


class PointHandler(ocp.type_handlers.TypeHandler):
    def typestr(self):
        return "Point"

    async def metadata(self, infos):
        return ["a point" for _ in infos]

    async def serialize(self, values, infos, args=None):
        for value, info in zip(values, infos):
            info.path.mkdir()
            (info.path / "x").write_text(str(value.x))
            (info.path / "y").write_text(str(value.y))
        return []

    async def deserialize(self, infos, args=None):
        return [Point(*(int((info.path / name).read_text()) for name in "xy")) for info in infos]


@pytest.fixture
def points(monkeypatch):
    from treering.orbax import _leaf_handlers

    monkeypatch.setattr(
        _leaf_handlers, "_global", _leaf_handlers._Registry(*_leaf_handlers._STANDARD)
    )
    ocp.type_handlers.register_type_handler(Point, PointHandler())
    return _leaf_handlers._global


def test_a_handler_of_a_type_writes_and_reads_its_leaves(tmp_path, points):
    tree = {"a": [Point(1, 2), np.arange(2)], "b": Point(3, 4)}
    checkpointer = ocp.PyTreeCheckpointer()
    checkpointer.save(tmp_path / "a", tree)
    back = checkpointer.restore(tmp_path / "a")
    assert (
        back["a"][0] == Point(1, 2) and back["b"] == Point(3, 4) and back["a"][1].tolist() == [0, 1]
    )
    back = checkpointer.restore(tmp_path / "a", item={"a": (Point(0, 0), ...), "b": 0})
    assert back == {"a": (Point(1, 2), ...), "b": Point(3, 4)}
    metadata = checkpointer.metadata(tmp_path / "a").item_metadata
    assert metadata["b"].name == "b" and metadata["a"][1].shape == (2,)
    points._entries.pop()
    with pytest.raises(ValueError, match="'a.0'.*'Point'.*Must register"):
        checkpointer.restore(tmp_path / "a")


def test_a_type_has_one_handler_unless_it_is_overridden(points):
    handlers = ocp.type_handlers
    assert handlers.has_type_handler(Point) and not handlers.has_type_handler(set)
    assert isinstance(handlers.get_type_handler("Point"), PointHandler)
    assert handlers.get_type_handler(np.ndarray).typestr() == "np.ndarray"
    with pytest.raises(ValueError, match="already registered"):
        handlers.register_type_handler(Point, PointHandler())
    with pytest.raises(ValueError, match="Must register"):
        handlers.get_type_handler(set)
    newer = PointHandler()
    handlers.register_type_handler(Point, newer, override=True)
    assert handlers.get_type_handler(Point) is newer
    assert handlers.create_type_handler_registry((Point, newer)).has(Point)
    assert int in handlers.supported_types()


def test_arguments_of_one_item_and_of_several_are_not_mixed_up(tmp_path, composite):
    with pytest.raises(ValueError, match="takes a Composite"):
        composite.save(tmp_path / "a", ocp.args.StandardSave({"x": 1}))
    with pytest.raises(ValueError, match="no Composite"):
        single = ocp.Checkpointer(ocp.StandardCheckpointHandler())
        single.save(tmp_path / "a", ocp.args.Composite(s=ocp.args.StandardSave({"x": 1})))
    with pytest.raises(ValueError, match='"s" has None'):
        composite.save(tmp_path / "a", ocp.args.Composite(s=None))
    assert not (tmp_path / "a").exists()

# SPDX-License-Identifier: Apache-2.0
# from_orbax gives what the real Orbax wrote, bit by bit, in every layout and of every dtype.
import importlib.util
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pytest
from interop_checkpoints import DTYPES, LAYOUTS, as_bits, expected, written

import treering
from treering import interop

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("orbax") is None, reason="writes its checkpoints with orbax"
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_dtype_comes_back_bit_by_bit(layout):
    found = interop.from_orbax(written() / f"dtypes-{layout}")
    assert set(found["numpy"]) == set(DTYPES)
    assert as_bits(found) == expected(f"dtypes-{layout}")
    assert all(array.dtype.isnative for array in found["numpy"].values())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sharded_arrays_and_arrays_of_many_chunks_come_back_bit_by_bit(layout):
    found = interop.from_orbax(written() / f"sharded-{layout}")
    assert as_bits(found) == expected(f"sharded-{layout}")


def test_values_out_of_line_in_several_data_files_come_back_bit_by_bit():
    folder = written() / "noise"
    files = [path for path in folder.glob("**/d/*") if path.stat().st_size > 100_000]
    assert len(files) > 1
    assert as_bits(interop.from_orbax(folder)) == expected("noise")


def _small_tree():
    return {
        "a list": [np.arange(3), {"deep": np.float32([1, 2])}],
        "a tuple": [np.arange(2.0), 5],
        "pair": {"first": np.ones(2), "second": {"first": 2.5, "second": "text"}},
        "numbers": {"int": 3, "negative": -(2**40), "float": 0.1, "bool": True},
        "text": "a/b ~ \u00e9",
        "with/slash": {"x.y": np.arange(4)},
        "none": None, "empty dict": {}, "empty list": [], "empty tuple": (),
        "ints": {"0": np.int64([7]), "10": np.int64([8])},
    }  # fmt: skip


KEYS = {
    "key": ("threefry2x32", [0, 5]),
    "rbg": ("rbg", [0, 7, 0, 7]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_leaf_and_node_comes_back_as_orbax_stored_it(layout):
    found = interop.from_orbax(written() / f"kinds-{layout}")
    for name, (implementation, words) in KEYS.items():
        assert found.pop(name) == treering.PRNGKey(implementation, np.uint32(words))
    assert found.pop("keys").words.shape == (3, 2)
    assert as_bits(found) == as_bits(_small_tree())
    numbers = found["numbers"]
    assert [type(numbers[name]) for name in ("int", "float", "bool")] == [int, float, bool]


def test_rich_types_give_tuples_and_namedtuples():
    found = interop.from_orbax(written() / "rich")
    assert type(found["a tuple"]) is tuple and found["empty tuple"] == ()
    pair = found["pair"]
    assert type(pair).__name__ == "Pair" and pair._fields == ("first", "second")
    assert pair.second == (2.5, "text") and type(pair.second)._fields == ("first", "second")
    assert found["numbers"] == _small_tree()["numbers"]


def test_a_tree_that_is_one_leaf_comes_back_as_that_leaf():
    assert as_bits(interop.from_orbax(written() / "leaf")) == as_bits(np.arange(6))


def test_two_leaves_stored_under_one_name_are_refused_with_both_named():
    with pytest.raises(treering.CorruptionError, match=r"\('a', 'b'\).*\('a\.b',\).*'a\.b'"):
        interop.from_orbax(written() / "collision")


def test_jax_arrays_and_typed_keys_are_made_when_asked_for():
    jax = pytest.importorskip("jax")
    found = interop.from_orbax(written() / "kinds-ocdbt-zarr2", arrays="jax")
    assert jax.random.key_data(found["key"]).tolist() == [0, 5]
    assert str(jax.random.key_impl(found["rbg"])) == "rbg"
    assert found["keys"].shape == (3,)
    assert isinstance(found["a list"][1]["deep"], jax.Array)
    with pytest.raises(ValueError, match="'numpy' or 'jax', not 'torch'"):
        interop.from_orbax(written() / "standard", arrays="torch")


# ---- managers, items


def test_a_managers_folder_a_step_and_an_item_are_recognised():
    root = written() / "manager"
    assert interop.orbax_steps(root) == [0, 5, 12]
    for path, step, number in (
        (root, None, 12), (root, 5, 5), (root / "5", None, 5), (root / "0/default", None, 0),
    ):  # fmt: skip
        found = as_bits(interop.from_orbax(path, step=step))
        assert found == {"n": number, "w": as_bits(np.full(3, number))}
    opened = interop.open_orbax(root, step=5)
    assert opened.step == 5 and opened.items == {"default": "tree"}
    assert opened.metrics == {"loss": 2.5, "n": 5} and opened.custom_metadata == {"note": "of 5"}
    assert opened.times[0] < opened.times[1]


def test_steps_with_a_prefix_and_unfinished_ones_are_told_apart(tmp_path):
    assert interop.orbax_steps(written() / "composite") == [30]
    (tmp_path / "9.orbax-checkpoint-tmp/default").mkdir(parents=True)
    (tmp_path / "9.orbax-checkpoint-tmp/_CHECKPOINT_METADATA").write_text("{}")
    (tmp_path / "12").mkdir()
    assert interop.orbax_steps(tmp_path) == []
    with pytest.raises(ValueError, match="is no Orbax checkpoint"):
        interop.from_orbax(tmp_path)


def test_each_item_of_a_composite_comes_back():
    path = written() / "composite"
    opened = interop.open_orbax(path)
    assert opened.step == 30 and opened.items == {
        "array": "tree", "config": "json", "key": "jax key", "old_key": "jax key", "state": "tree",
        "state_of_numpy": "numpy state",
    }  # fmt: skip
    assert opened.read("config") == {"layers": [1, 2], "name": "x"}
    assert opened.read("array").tolist() == [0, 1, 2, 3, 4]
    assert opened.read("key") == treering.PRNGKey("threefry2x32", np.uint32([0, 3]))
    assert opened.read("old_key").tolist() == [0, 4]
    assert opened.item_metadata("state") == {"about": "state"}
    state = opened.read("state_of_numpy")
    assert as_bits(state) == expected("composite")["state_of_numpy"]
    np.random.RandomState().set_state(state)
    with pytest.raises(KeyError, match="no item 'x': its items are 'array', 'config'"):
        opened.read("x")
    assert opened.read().keys() == {"w"}  # the item that v1 calls state has no other name


def test_checkpoints_of_version_1_come_back():
    opened = interop.open_orbax(written() / "v1")
    assert opened.custom_metadata == {"who": "me"} and opened.items == {"state": "tree"}
    assert as_bits(opened.read()) == expected("v1")
    assert as_bits(interop.from_orbax(written() / "v1-several", item="params")) == expected("v1")
    with pytest.raises(KeyError, match="several items; name one: its items are 'other', 'params'"):
        interop.from_orbax(written() / "v1-several")
    steps = interop.open_orbax(written() / "v1-steps", step=2)
    assert steps.read()["w"].tolist() == [2, 2] and steps.metrics == {"loss": 0.5}


def test_what_is_no_checkpoint_or_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is nothing of that name"):
        interop.from_orbax(tmp_path / "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file; an Orbax checkpoint is a folder"):
        interop.from_orbax(tmp_path / "file")
    with pytest.raises(KeyError, match="has no step 3; its steps are 0, 5, 12"):
        interop.from_orbax(written() / "manager", step=3)
    with pytest.raises(ValueError, match="is one checkpoint"):
        interop.from_orbax(written() / "manager/5", step=6)


# ---- lazy leaves


def test_lazy_leaves_tell_what_they_are_and_read_into_a_given_array():
    lazy = interop.open_orbax(written() / "sharded-ocdbt-zarr2").lazy()
    leaf = lazy["both"]
    assert repr(leaf) == "<OrbaxArray 'both' float32[48,200] jax.Array>"
    assert (leaf.shape, leaf.dtype, leaf.nbytes) == ((48, 200), np.float32, 38400)
    assert leaf.sharding["partition_spec"] == ["a", "b"] and leaf.sharding["shape"] == [4, 2]
    out = np.empty((48, 200), np.float32)
    assert leaf.read(out) is out
    assert as_bits(out) == expected("sharded-ocdbt-zarr2")["both"]
    assert np.asarray(leaf).tobytes() == out.tobytes()
    with pytest.raises(ValueError, match=r"is float32\[48, 200\], out is float64\[2\]"):
        leaf.read(np.empty(2))


def test_opening_reads_no_arrays(tmp_path):
    import shutil

    shutil.copytree(written() / "noise", tmp_path / "noise")
    for path in tmp_path.glob("noise/ocdbt.process_0/d/*"):
        if path.stat().st_size > 50_000:
            path.write_bytes(b"")
    leaf = interop.open_orbax(tmp_path / "noise").lazy()["noise"]
    assert leaf.shape == (512, 512)
    with pytest.raises(treering.CorruptionError, match="which has 0"):
        leaf.read()


# ---- what the package needs


def test_reading_imports_neither_orbax_nor_tensorstore_nor_jax():
    program = (
        "import sys; from treering import interop;"
        f"interop.from_orbax({str(written() / 'dtypes-ocdbt-zarr3')!r});"
        "print(sorted({'jax', 'orbax', 'tensorstore', 'flax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_missing_decoder_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(NotImplementedError, match=r"zstd; `pip install treering\[interop\]`"):
        interop.from_orbax(written() / "standard")


# ---- what older versions wrote: Orbax's own examples for compatibility, where it is installed


def _examples():
    found = (
        importlib.util.find_spec("orbax.checkpoint") if importlib.util.find_spec("orbax") else None
    )
    if found is None or not found.submodule_search_locations:
        return []
    root = pathlib.Path(found.submodule_search_locations[0])
    folder = root / "experimental/v1/_src/testing/compatibility/checkpoints"
    return sorted(
        path.parent for path in folder.glob("**/*") if path.name in ("_METADATA", "_sharding")
    )


def test_orbaxs_own_examples_are_read_if_they_are_whole_and_refused_if_not():
    fatal = ("missing_pytree_data_dir_d", "manifest.ocdbt")
    whole = refused = 0
    for folder in dict.fromkeys(_examples()):
        path = str(folder)
        lacks = any(name in path for name in fatal) or folder.name == "dummy"
        if not lacks and (folder / "_METADATA").exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = interop.from_orbax(folder)
            assert found["a"].tolist() == list(range(8)) and found["b"]["c"].dtype == np.int32
            whole += 1
        else:
            with pytest.raises((FileNotFoundError, treering.CorruptionError, NotImplementedError)):
                interop.from_orbax(folder)
            refused += 1
    assert not _examples() or (whole > 20 and refused > 8)


def test_the_msgpack_files_of_old_versions_are_refused_by_name(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"\x81\xa1a\x01")
    with pytest.raises(NotImplementedError, match="without _METADATA: .*or Orbax was too old"):
        interop.from_orbax(tmp_path)

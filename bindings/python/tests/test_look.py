# SPDX-License-Identifier: Apache-2.0
# Looking into checkpoints: metadata, open, diff, verify, their display, progress and Ctrl-C.
import json
import logging
import os
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import treering

CUBE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BIG = np.arange(1 << 21, dtype=np.float64).reshape(-1, 64)  # 16 MiB: more than one chunk
TREE = {
    "layers": [{"w": CUBE + i, "b": np.ones(3, ml_dtypes.bfloat16)} for i in range(4)],
    "nibbles": np.arange(-8, 7, dtype=np.int8).astype(ml_dtypes.int4).reshape(3, 5),
    "step": 7,
    "name": "run <b>",
    3: {"0": np.float32(2), "none": None},
}


@pytest.fixture
def path(tmp_path):
    treering.save(tmp_path / "run.ring", TREE, items={"config": treering.Json([1])}, metadata={"loss": 0.5})
    return tmp_path / "run.ring"


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    result = tmp_path_factory.mktemp("big") / "big.ring"
    treering.save(result, {"big": BIG, "small": np.arange(5000)})
    return result


@pytest.fixture
def run(tmp_path):
    with treering.CheckpointManager(tmp_path / "run") as manager:
        for step in range(3):
            manager.save(step, {"w": np.full(3000, step, np.float32), "step": step})
    return tmp_path / "run"


def damage(file, offset=None):
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if offset is None else offset] ^= 1
    file.write_bytes(data)


# ---- metadata


def test_metadata_tells_items_sizes_and_the_tree(path):
    found = treering.metadata(path)
    assert found.items == {"default": "tree", "config": "json"} and found.item == "default"
    assert found.custom == {"loss": 0.5} and found.step is None
    assert found.file_size == os.path.getsize(path) and len(found.content) == 32
    assert found["layers"][0]["b"].dtype == ml_dtypes.bfloat16 and found[3]["none"] is None
    assert "layers" in found and list(found) == list(TREE) and len(found) == len(TREE)
    paths = [f"layers/{i}/{name}" for i in range(4) for name in "wb"]
    assert list(found.leaves()) == [*paths, "nibbles", "step", "name", '3/"0"']
    assert treering.metadata(path) == found and treering.metadata(path, item="config") != found


def test_metadata_reads_no_data(path):
    good = treering.metadata(path)
    damage(path, 70)  # in the data of the first leaf
    assert not treering.verify(path)
    assert treering.metadata(path) == good


def test_a_step_of_a_directory_is_named_by_step(run):
    assert treering.metadata(run).step == 2 and treering.metadata(run, step=1).step == 1
    assert treering.load(run, step=0)["step"] == 0 and treering.info(run)["items"] == {"default": "tree"}
    with treering.open(run, step=1) as container:
        assert container.step == 1 and container["step"].value() == 1
    with pytest.raises(FileNotFoundError, match="no step 9"):
        treering.open(run, step=9)
    with pytest.raises(ValueError, match="negative"):
        treering.metadata(run, step=-1)
    with pytest.raises(TypeError, match="a step is an int"):
        treering.metadata(run, step=1.5)
    with pytest.raises(ValueError, match="has no steps"):
        treering.open(treering.CheckpointManager(run, read_only=True).metadata(1).path, step=1)


# ---- open


def test_a_container_is_a_mapping_of_its_leaves(path):
    with treering.open(path) as container:
        assert len(container) == 12 and list(container)[-1] == '3/"0"'
        assert {name: leaf.nbytes for name, leaf in container.items()}["layers/3/w"] == 96
        assert "layers/0/w" in container and "layers/9/w" not in container and 5 not in container
        assert container["layers", 0, "w"].path == "layers/0/w" and (3, "0") in container
        assert (3, 0) not in container and ("3", "0") not in container
        assert container.keys_of('3/"0"') == (3, "0")
        assert container.item_names == {"default": "tree", "config": "json"}
        assert container.load()["step"] == 7
        assert treering.open(path, item="config")[""].value() == "[1]"
        with pytest.raises(KeyError, match="no 'q'") as caught:
            container["layers/0/q"]
        assert isinstance(caught.value, treering.PathNotFoundError)
        with pytest.raises(KeyError, match="is no leaf"):
            container["layers"]
        with pytest.raises(KeyError, match="no leaf 'layers/7'"):
            container["layers", 7]
    with pytest.raises(RuntimeError, match="closed"):
        container["step"]


@pytest.mark.parametrize("mmap", [False, True])
def test_slices_are_those_of_numpy(path, mmap):
    with treering.open(path, mmap=mmap) as container:
        leaf = container["layers/1/w"]
        expected = CUBE + 1
        for index in (
            0, -1, (1, 2, 3), slice(None), (slice(None), 1), (..., -1), (0, ..., 2), (None, 1), ...,
            (slice(None, None, -1), slice(2, 0, -2)), (slice(5, 2),), (slice(0, 9), None, slice(1, 3)), (),
        ):  # fmt: skip
            part = leaf[index]
            assert part.shape == expected[index].shape and part.dtype == np.float32
            assert np.array_equal(part, expected[index])
        assert np.array_equal(container["nibbles"][1:, ::2], TREE["nibbles"][1:, ::2])
        for wrong in (2, (0, 0, 0, 0), (..., ...), [0], True, np.array([0]), "w", (0, 3)):
            with pytest.raises(IndexError, match="layers/1/w"):
                leaf[wrong]


def test_slices_read_only_the_chunks_that_they_touch(tmp_path, big):
    copy = tmp_path / "copy.ring"
    copy.write_bytes(big.read_bytes())
    damage(copy)  # somewhere in the middle of `big`
    with treering.open(copy) as container:
        leaf = container["big"]
        assert np.array_equal(leaf[:10], BIG[:10]) and np.array_equal(leaf[-10:, 3], BIG[-10:, 3])
        with pytest.raises(treering.CorruptionError, match="big"):
            leaf.numpy()
        assert container["small"][4999] == 4999


def test_views_of_the_mapping_copy_nothing_and_keep_the_file(tmp_path, big):
    copy = tmp_path / "copy.ring"
    copy.write_bytes(big.read_bytes())
    with treering.open(copy, mmap=True) as container:
        view, part = container["big"].view(), container["big"][5:9]
        assert np.shares_memory(view, part) and not view.flags.writeable
        assert np.shares_memory(view, np.asarray(container["big"], copy=False))
    del container
    copy.unlink()
    assert np.array_equal(view, BIG) and np.array_equal(part, BIG[5:9])
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1


def test_a_mapped_container_loads_as_a_tree_of_views(tmp_path):
    tree = {"a": BIG, "b": [np.arange(3000)], "nibbles": TREE["nibbles"], "n": 1, "s": np.float32(3)}
    tree["jax"] = jnp.arange(3000.0)
    treering.save(tmp_path / "x", tree)
    with treering.open(tmp_path / "x", mmap=True) as container:
        found, views = container.load(), container["a"].view()
    assert np.shares_memory(found["a"], views) and not found["b"][0].flags.writeable
    assert found["nibbles"].flags.writeable and isinstance(found["jax"], jax.Array)
    assert not treering.diff(tree, found, attributes=True)
    assert treering.open(tmp_path / "x").load()["a"].flags.writeable


def test_where_there_is_no_view_it_says_so_and_copies(path):
    plain, mapped = treering.open(path), treering.open(path, mmap=True)
    with pytest.raises(treering.UnsupportedError):
        plain["layers/0/w"].view()
    with pytest.raises(NotImplementedError, match="packed"):
        mapped["nibbles"].view()
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(mapped["nibbles"], copy=False)
    assert mapped["nibbles"].numpy().flags.writeable
    assert plain["layers/0/w"].numpy().flags.writeable


def test_leaves_are_read_into_memory_of_the_callers(path):
    leaf = treering.open(path)["layers/0/w"]
    for out in (
        np.zeros((2, 3, 4), np.float32),
        np.zeros((4, 3, 2), np.float32).T,
        np.zeros((4, 6, 8), np.float32)[::2, ::2, ::2],
        np.zeros((2, 3, 4), np.float32)[:, ::-1],
    ):
        leaf.read_into(out)
        assert np.array_equal(out, CUBE)
    raw = bytearray(96)
    leaf.read_into(raw)
    assert raw == CUBE.tobytes()
    nibbles = np.zeros((3, 5), ml_dtypes.int4)
    treering.open(path)["nibbles"].read_into(nibbles)
    assert np.array_equal(nibbles, TREE["nibbles"])
    with pytest.raises(ValueError, match=r"layers/0/w.*\(2, 3, 4\)"):
        leaf.read_into(np.zeros((3, 2, 4), np.float32))
    with pytest.raises(TypeError, match="float32"):
        leaf.read_into(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="96 bytes"):
        leaf.read_into(bytearray(95))
    with pytest.raises(ValueError, match="read-only"):
        leaf.read_into(np.broadcast_to(np.float32(0), (2, 3, 4)))


@pytest.mark.parametrize("mmap", [False, True])
def test_other_libraries_take_leaves_as_they_are(path, mmap):
    with treering.open(path, mmap=mmap) as container:
        leaf = container["layers/0/w"]
        assert np.array_equal(np.asarray(leaf), CUBE) and np.asarray(leaf, np.float64).dtype == np.float64
        assert np.array(leaf, copy=True).flags.writeable
        assert np.array_equal(np.from_dlpack(leaf), CUBE) and leaf.__dlpack_device__() == (1, 0)
        assert np.array_equal(jnp.asarray(jax.dlpack.from_dlpack(leaf)), CUBE)
        assert np.add(leaf, 1).sum() == CUBE.sum() + 24
        assert float(container['3/"0"']) == 2.0 and int(container["step"]) == 7 and len(leaf) == 2
        assert container["name"].value() == "run <b>" and container["step"].numpy() == 7
        with pytest.raises(ValueError, match="of kind string"):
            container["name"].numpy()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "uint32", "complex64"])
def test_dlpack_gives_the_same_bits_of_every_dtype_that_it_has(tmp_path, name, mmap):
    array = np.arange(-6, 6).astype(name).reshape(3, 4)
    treering.save(tmp_path / "x", {"a": array})
    with treering.open(tmp_path / "x", mmap=mmap) as container:
        taken = jnp.from_dlpack(container["a"])
        assert taken.dtype == array.dtype and np.asarray(taken).tobytes() == array.tobytes()
        capsules = [container["a"].__dlpack__(), container["a"].__dlpack__(max_version=(1, 0))]
        assert ['"dltensor' in repr(capsule) for capsule in capsules] == [True, True]


def test_dlpack_refuses_what_it_holds_in_another_way(path):
    with pytest.raises(BufferError, match="int4"):
        treering.open(path)["nibbles"].__dlpack__()


def test_an_alias_reads_what_it_names(tmp_path):
    nnx = pytest.importorskip("flax.nnx")
    shared = nnx.Param(jnp.arange(6.0))
    treering.save(tmp_path / "x", nnx.State({"a": shared, "b": {"c": shared}}))
    with treering.open(tmp_path / "x") as container:
        assert np.array_equal(container["b/c"][2:], np.arange(2.0, 6.0))


# ---- diff


def test_diff_lists_what_was_added_removed_and_changed(tmp_path):
    treering.save(tmp_path / "a", {"w": np.zeros(4), "x": 1, "s": "one", "k": np.zeros(2), "q": [1]})
    other = {"w": np.array([0, 0.5, 0, 0.25]), "y": 1, "s": "two", "k": np.zeros(2, "f4"), "q": (1,)}
    treering.save(tmp_path / "b", other)
    found = treering.diff(tmp_path / "a", tmp_path / "b")
    assert found and (found.added, found.removed) == (["y"], ["x"])
    changes = {change.path: change for change in found.changed}
    assert changes["w"][4:] == (2, 4, 0.5) and changes["k"].what == "dtype" and changes["q"].what == "kind"
    assert (changes["s"].before, changes["s"].after) == ("'one'", "'two'")
    assert json.loads(found.to_json())["changed"][0]["path"] in changes
    assert "~ w: 2 of 4 elements, by 0.5 at most" in repr(found)
    assert not treering.diff(tmp_path / "a", tmp_path / "a") and not treering.diff(other, tmp_path / "b")


def test_diff_without_values_reads_no_data(tmp_path, path):
    copy = tmp_path / "copy.ring"
    copy.write_bytes(path.read_bytes())
    damage(copy, 70)
    assert not treering.diff(path, copy, values=False)
    with pytest.raises(treering.CorruptionError):
        treering.diff(path, copy)


def test_diff_has_tolerances_like_numpys(tmp_path):
    a = {"w": np.array([1.0, np.nan, np.inf, 100.0]), "x": 1.0, "n": np.array([2**62, 5]), "h": np.ones(2, "f2")}
    b = {"w": np.array([1.0001, np.nan, np.inf, 100.01]), "x": 1.0001, "n": np.array([2**62 + 1, 5])}
    b["h"] = np.array([1, 1.001], "f2")
    assert not treering.diff(a, b, rtol=1e-2, atol=1)
    assert [change.path for change in treering.diff(a, b, rtol=1e-2).changed] == []
    strict = {change.path: change for change in treering.diff(a, b, atol=0.001).changed}
    assert set(strict) == {"w", "n"} and strict["w"].elements == 1 and strict["n"].largest == 1
    assert treering.diff({"z": 0.0}, {"z": -0.0}) and not treering.diff({"z": 0.0}, {"z": -0.0}, atol=1e-9)
    assert treering.diff({"z": np.zeros(2)}, {"z": -np.zeros(2)}).changed[0].elements == 2
    assert treering.diff({"z": np.array([1, -2], ml_dtypes.int4)}, {"z": np.array([1, 5], ml_dtypes.int4)})
    with pytest.raises(ValueError, match="rtol"):
        treering.diff(a, b, rtol=-1)


def test_diff_shows_ints_that_python_does_not_write_out_by_their_bits():
    large = 10**5000
    found = treering.diff({"a": large}, {"a": -large})
    assert "an int of 16610 bits) -> -(an int of 16610 bits)" in repr(found)
    assert not treering.diff({"a": large}, {"a": large + 1}, rtol=1e-9)
    assert not treering.diff({"a": large}, {"a": large + 1}, atol=1)
    assert treering.diff({"a": large}, {"a": large + 2}, atol=1)
    assert not treering.diff({"a": large}, {"a": 0}, atol=float("inf"))


def test_diff_takes_steps_containers_and_trees(run):
    first, last = treering.open(run, step=0), treering.open(run, step=2)
    assert [change.path for change in treering.diff(first, last).changed] == ["w", "step"]
    assert not treering.diff(run, {"w": jnp.full(3000, 2, jnp.float32), "step": 2})
    assert treering.diff(run, {"w": jnp.full(3000, 2, jnp.float32), "step": 2}, attributes=True)


# ---- verify


def test_verify_names_damaged_leaves_and_raises_when_asked(path, big, tmp_path):
    report = treering.verify(path)
    assert report and report.ok and report.findings == [] and report.raise_if_damaged() is None
    copy = tmp_path / "copy.ring"
    copy.write_bytes(big.read_bytes())
    damage(copy)
    report = treering.verify(copy)
    assert not report and report.damaged == ["big"] and report.findings[0].status == "CORRUPT_CHECKSUM"
    with pytest.raises(treering.CorruptionError):
        report.raise_if_damaged()
    copy.write_bytes(big.read_bytes()[:-1])
    assert isinstance(treering.verify(copy).error, treering.CorruptionError)
    copy.write_bytes(b"something else")
    with pytest.raises(treering.NotTreeringError):
        treering.verify(copy)
    with pytest.raises(FileNotFoundError):
        treering.verify(tmp_path / "nowhere")


def test_verify_checks_all_steps_of_a_directory_or_one(run):
    assert treering.verify(run).ok and treering.verify(run, step=1).ok
    with treering.CheckpointManager(run, read_only=True) as manager:
        file = manager.metadata(1).path
    os.chmod(file, 0o644)
    damage(type(run)(file), 200)
    (run / "data" / "somebody's").mkdir()
    report = treering.verify(run)
    assert not report.ok and report.damaged == ["step 1: w"]
    assert "unknown name" in {finding.kind for finding in report.findings}
    assert treering.verify(run, step=2).ok and treering.verify(run, step=1).damaged == ["w"]


# ---- display


def test_equal_layers_are_shown_once_and_long_trees_are_cut(tmp_path):
    layer = {"w": np.zeros((2, 2), np.float32)}
    tree = {"layers": [dict(layer) for _ in range(50)], "block_1": layer, "block_2": layer, "block_3": layer}
    tree["odd"] = {f"name{'x' * i}": i for i in range(100)}
    treering.save(tmp_path / "x", tree)
    text = repr(treering.metadata(tmp_path / "x"))
    assert "[0-49]: dict of 1" in text and text.count("float32[2,2]") == 2 and "block_[1-3]" in text
    assert "more lines" in text and len(text.splitlines()) < 70
    assert len(treering.format_tree(tree, collapse=False, max_lines=None).splitlines()) == 1 + 1 + 100 + 6 + 101
    layers = [dict(layer) for _ in range(5)]
    layers[2] = {"w": np.zeros((2, 3), np.float32)}
    assert "[0-1]" not in treering.format_tree(layers) and "3:" in treering.format_tree(layers)


def test_leaves_are_shown_with_what_tells_them_apart(tmp_path):
    nnx = pytest.importorskip("flax.nnx")
    state = {"w": nnx.Param(jnp.ones((2, 3)), out_sharding=("x", None), eager_sharding=False), "s": np.float32(1), "n": 3}
    state["key"] = nnx.RngKey(jax.random.key(0), tag="dropout")
    treering.save(tmp_path / "x", nnx.State(state))
    text = treering.format_tree(treering.metadata(tmp_path / "x").tree)
    assert "w: float32[2,3] Param sharding=['x', None]" in text and "s: float32[] scalar=numpy" in text
    assert "key: prng_key uint32[2] RngKey tag=dropout prng_impl=threefry2x32" in text and "n: int" in text


def test_html_is_escaped_and_balanced(path):
    hostile = {"<script>alert(1)</script>": "<img src=x>", "&": [1, "</details>"], "many": list(range(1000))}
    treering.save(path, hostile, overwrite=True)
    shown = [treering.metadata(path), treering.open(path), treering.diff({"<b>": 1}, {"<b>": 2, "<i>": 3})]
    for thing in shown:
        html = thing._repr_html_()
        assert "<script" not in html and "<img" not in html and "<b>:" not in html and "<i>3" not in html
        for tag in ("div", "details", "summary", "table", "tr", "td"):
            assert html.count(f"<{tag}") == html.count(f"</{tag}>"), tag
    assert "&lt;script&gt;" in shown[0]._repr_html_()
    damage(path)
    assert "<table>" in treering.verify(path)._repr_html_()
    report = treering.LoadReport([treering.Finding("kept", "<p>"), treering.Finding("restored", "q")])
    assert "&lt;p&gt;" in report._repr_html_() and report.kept == ["<p>"] and report.restored == ["q"]


# ---- progress, Ctrl-C, logging


def calls(tmp_path, big):
    """Each long call, as a function of `progress`."""
    target = {"big": np.zeros_like(BIG), "small": np.zeros(5000, int)}
    return {
        "save": lambda progress: treering.save(tmp_path / "new.ring", {"b": BIG}, progress=progress),
        "load": lambda progress: treering.load(big, progress=progress),
        "restore": lambda progress: treering.load(big, target, progress=progress),
        "verify": lambda progress: treering.verify(big, progress=progress),
    }


@pytest.mark.parametrize("name", ["save", "load", "restore", "verify"])
def test_progress_is_told_up_to_the_end(tmp_path, big, name):
    seen = []
    calls(tmp_path, big)[name](lambda done, total: seen.append((done, total)))
    assert len(seen) > 2 and seen == sorted(seen) and seen[-1][0] == seen[-1][1] >= BIG.nbytes


@pytest.mark.parametrize("name", ["save", "load", "restore", "verify"])
def test_an_exception_of_a_progress_function_ends_the_call(tmp_path, big, name):
    def stop(done, total):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        calls(tmp_path, big)[name](stop)
    assert os.listdir(tmp_path) == []
    with pytest.raises(TypeError, match="progress is True or a function"):
        calls(tmp_path, big)[name](5)


@pytest.mark.parametrize("name", ["save", "load", "restore", "verify"])
def test_ctrl_c_ends_a_long_call_and_leaves_nothing(tmp_path, big, name, monkeypatch):
    def interrupted(self, user, done, total):
        signal.raise_signal(signal.SIGINT)
        return 0

    monkeypatch.setattr("treering._progress.Watch._step", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where it was ignored by who began
    try:
        with pytest.raises(KeyboardInterrupt):
            calls(tmp_path, big)[name](None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert os.listdir(tmp_path) == []


def test_progress_true_draws_a_bar_on_stderr(big, capfd):
    pytest.importorskip("tqdm")
    treering.load(big, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "loading" in err and "100%" in err


def test_nothing_is_printed_unless_logging_is_set_up(path):
    script = "import logging, treering; treering.load({0!r}); treering.verify({0!r})"
    done = subprocess.run([sys.executable, "-c", script.format(str(path))], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_modules_of_other_libraries_are_there_when_asked_for_and_not_before():
    script = (
        "import sys, treering; assert not {'jax', 'flax', 'tqdm', 'logging'} & set(sys.modules); "
        "treering.nnx.load_model; assert 'flax' in sys.modules; treering.interop.from_orbax; "
        "assert treering.orbax.CheckpointManager and 'orbax' not in sys.modules; assert not hasattr(treering, 'x')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_logged_is_under_one_name(path, caplog):
    with caplog.at_level(logging.INFO, logger="treering"):
        treering.load(path)
        treering.verify(path)
    assert {record.name for record in caplog.records} == {"treering"}
    assert any("verified" in record.getMessage() for record in caplog.records)

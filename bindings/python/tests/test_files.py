# SPDX-License-Identifier: Apache-2.0
# Files: existing and missing ones, damage, items, metadata, targets; each error its own class.
import json
import os
import pickle
import sys

import numpy as np
import pytest
from conftest import difference

import treering

TREE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": [1, {"c": "text"}], "big": np.zeros(5000)}


@pytest.fixture
def path(tmp_path):
    result = tmp_path / "run.ring"
    treering.save(result, TREE)
    return result


def test_an_existing_file_stays_unless_overwrite_is_asked(path):
    before = path.read_bytes()
    with pytest.raises(FileExistsError) as caught:
        treering.save(path, {"other": 1})
    assert isinstance(caught.value, treering.AlreadyExistsError) and caught.value.errno == 17
    assert path.read_bytes() == before and os.listdir(path.parent) == ["run.ring"]
    treering.save(path, {"other": 1}, overwrite=True)
    assert treering.load(path) == {"other": 1}


def test_a_refused_tree_leaves_nothing_behind(tmp_path):
    with pytest.raises(TypeError):
        treering.save(tmp_path / "x.ring", {"a": np.zeros(3), "b": object()})
    assert os.listdir(tmp_path) == []


def test_relative_paths_and_kinds_of_paths_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    treering.save("a.ring", 1)
    os.mkdir("folder")
    treering.save(b"folder/b.ring", 2)
    treering.save("./folder/../é.ring", 3)
    assert [treering.load(p) for p in (tmp_path / "a.ring", "folder/b.ring", "é.ring")] == [1, 2, 3]


def test_missing_files_and_folders_are_named(tmp_path):
    for call in (treering.load, treering.metadata, treering.info, lambda p: treering.save(p, 1)):
        with pytest.raises(FileNotFoundError, match="nowhere") as caught:
            call(tmp_path / "nowhere" / "x.ring")
        assert caught.value.errno == 2 and caught.value.status_name == "NOT_FOUND_FILE"


def test_foreign_and_damaged_files_are_told_apart(path):
    data = bytearray(path.read_bytes())
    cases = [(b"", treering.NotTreeringError, "NOT_TREERING"), (b"hello\n" * 99, ValueError, "NOT_TREERING")]
    cases.append((data[:-1], treering.CorruptionError, "CORRUPT_TRUNCATED"))
    for content, kind, name in cases:
        path.write_bytes(content)
        with pytest.raises(kind, match="run.ring") as caught:
            treering.load(path)
        assert caught.value.status_name == name


def test_a_flipped_byte_is_corruption(path):
    data = path.read_bytes()
    for at in range(0, len(data), 97):
        changed = bytearray(data)
        changed[at] ^= 0x40
        path.write_bytes(changed)
        try:
            back = treering.load(path)
        except treering.TreeringError as error:
            assert isinstance(error, (OSError, ValueError, NotImplementedError))
        else:  # padding, which only verification looks at
            assert difference(TREE, back) is None


def test_an_unwritable_folder_is_a_permission_or_system_error(path):
    with pytest.raises(OSError):
        treering.save("/proc/x.ring", 1)


def test_items_and_documents_stand_beside_the_tree(tmp_path):
    path = tmp_path / "x.ring"
    document = {"steps": [1, 2.5, None, True], "é": "😀"}
    items = {"run": treering.Json(document), "log": treering.Blob(b"\0\1"), "ema": {"w": np.ones(2)}}
    treering.save(path, {"w": np.zeros(2)}, items=items, metadata={"step": 7})
    assert treering.load(path)["w"].tolist() == [0, 0]
    assert treering.load(path, item="ema")["w"].tolist() == [1, 1]
    assert treering.load(path, item="run") == document and treering.load(path, item="log") == b"\0\1"
    with pytest.raises(TypeError, match="'run' is a document"):
        treering.load(path, target=document, item="run")
    with pytest.raises(TypeError, match="kind 'number'"):
        treering.load(path, target=treering.AbstractLeaf(kind="number"))
    info = treering.info(path)
    assert info["items"] == {"default": "tree", "run": "json", "log": "blob", "ema": "tree"}
    assert info["metadata"] == {"step": 7} and len(info["content"]) == 32
    with pytest.raises(KeyError, match="'run'") as caught:
        treering.load(path, item="other")
    assert caught.value.status_name == "NOT_FOUND_ITEM"


def test_documents_alone_make_a_checkpoint_and_bad_ones_are_refused(tmp_path):
    treering.save(tmp_path / "x.ring", items={"only": treering.Json(None)})
    assert treering.load(tmp_path / "x.ring", item="only") is None
    with pytest.raises(ValueError, match="'bad' is no JSON"):
        treering.save(tmp_path / "y.ring", 1, items={"bad": treering.Json(float("nan"))})
    for document, kind in (({1: 2}, TypeError), ([{"a": {None: 1}}], TypeError), ("\ud800", ValueError)):
        with pytest.raises(kind, match="'bad' is no JSON"):
            treering.save(tmp_path / "y.ring", 1, items={"bad": treering.Json(document)})
    for items in ({1: 2}, {"bad": treering.Blob(5)}, {"bad": treering.Blob("text")}):
        with pytest.raises(TypeError):
            treering.save(tmp_path / "y.ring", 1, items=items)
    with pytest.raises(TypeError, match="metadata is no JSON"):
        treering.save(tmp_path / "y.ring", 1, metadata={1, 2})
    with pytest.raises(TypeError, match="a tree or items"):
        treering.save(tmp_path / "y.ring")
    with pytest.raises(ValueError, match="'default'"):
        treering.save(tmp_path / "y.ring", 1, items={"default": 2})
    assert os.listdir(tmp_path) == ["x.ring"]


def test_metadata_is_the_tree_without_data(path):
    found = treering.metadata(path)
    assert list(found) == ["a", "b", "big"] and repr(found["a"]) == "<float32[2,3]>"
    assert found["a"] == treering.AbstractLeaf("f4", (2, 3), {"origin": "numpy"}) and found["a"].nbytes == 24
    assert found["b"][0].kind == "int" and found["b"][1]["c"].kind == "string"
    assert difference(treering.load(path, target=found), TREE) is None


def test_a_target_gives_its_node_types_and_refuses_what_differs(path):
    target = {"a": np.zeros((2, 3), np.float32), "b": [0, {"c": ""}], "big": np.zeros(5000)}
    assert difference(treering.load(path, target=target), TREE) is None
    assert not target["a"].any()  # memory is new
    wrong = {"a": np.zeros((3, 2), np.float32), "b": [0, {"d": ""}], "big": np.zeros(5000)}
    with pytest.raises(ValueError, match="a.*float32") as caught:
        treering.load(path, target=wrong)
    error = caught.value
    assert isinstance(error, treering.StructureMismatchError)
    assert (error.missing, error.unexpected) == (["b/1/d"], ["b/1/c"])
    assert [entry[0] for entry in error.different] == ["a"]
    with pytest.raises(TypeError, match="float64") as caught:
        treering.load(path, target={**target, "a": np.zeros((2, 3))})
    assert isinstance(caught.value, ValueError) and caught.value.status_name == "MISMATCH_DTYPE"


def test_a_placeholder_leaves_its_leaf_out(path):
    back = treering.load(path, target={"a": ..., "b": [..., {"c": ""}], "big": np.zeros(5000)})
    assert back["a"] is ... and back["b"] == [..., {"c": "text"}]


def test_a_mismatch_is_one_line_and_its_report_tells_all(path):
    wrong = {"a": np.zeros((3, 2), np.float32), "b": [0, {"d": "", "e": ""}], "big": np.zeros(5000)}
    with pytest.raises(treering.StructureMismatchError) as caught:
        treering.load(path, target=wrong)
    error = caught.value
    assert "\n" not in str(error) and error.args == (str(error),)
    for part in ("2 missing", "b/1/d", "1 unexpected", "b/1/c", "float32[3,2]", "float32[2,3]"):
        assert part in str(error)
    assert "b/1/e" not in str(error)
    for part in (str(error), "b/1/d", "b/1/e", "b/1/c", "a"):
        assert part in error.report
    assert len(error.report.splitlines()) > 4
    assert pickle.loads(pickle.dumps(error)).report == error.report


def test_the_advice_of_a_mismatch_names_no_options_of_the_c_abi(path):
    for target in ({"a": 1}, {**TREE, "b": (1, {"c": "text"})}, {**TREE, "a": np.zeros((2, 3))}, {**TREE, "x": 1}):
        with pytest.raises(treering.StructureMismatchError) as caught:
            treering.load(path, target=target)
        for word in ("ignore_kinds", "allow_", "TREERING_", "pad_or_truncate"):
            assert word not in str(caught.value) and word not in caught.value.report


def test_a_load_that_is_allowed_to_takes_what_fits(path):
    treering.save(path, {"same": np.arange(3), "wide": np.arange(4.0), "old": {"x": 1}, "gone": 2}, overwrite=True)
    kept = np.ones(2)
    target = {"same": np.zeros(3, int), "wide": np.zeros(6, np.float32), "new": {"x": 0}, "kept": [kept, "text", 5]}
    with pytest.raises(treering.StructureMismatchError) as caught:
        treering.load(path, target)
    assert "partial=True" in caught.value.report
    options = {"partial": True, "cast": "any", "resize": True, "renames": {"new/x": "old/x"}}
    tree, report = treering.load(path, target, return_report=True, **options)
    assert tree["same"].tolist() == [0, 1, 2] and tree["new"] == {"x": 1} and list(tree) == list(target)
    assert tree["wide"].dtype == np.float32 and tree["wide"].tolist() == [0, 1, 2, 3, 0, 0]
    assert tree["kept"][0] is kept and tree["kept"][1:] == ["text", 5]
    assert report.kept == ["kept/0", "kept/1", "kept/2"]
    assert [f.path for f in report.cast] == [f.path for f in report.padded] == ["wide"]
    assert "same" in report.restored and [f.path for f in report.renamed] == ["new/x"]


@pytest.mark.parametrize(
    "target, options",
    [
        ({"a": np.zeros((2, 3)), "b": ...}, {"cast": "never"}),
        ({"a": np.zeros((2, 3), np.int8), "b": ...}, {"cast": "safe"}),
        ({"a": np.zeros((2, 4), np.float32), "b": ...}, {"partial": True}),
        ({"a": np.zeros((6,), np.float32), "b": ...}, {"resize": True}),
    ],
)
def test_each_relaxation_allows_only_what_it_names(path, target, options):
    treering.save(path, {"a": np.ones((2, 3), np.float32), "b": 1}, overwrite=True)
    with pytest.raises(treering.StructureMismatchError) as caught:
        treering.load(path, target, **options)
    assert caught.value.leaf == "a" and caught.value.path == str(path)


def test_relaxations_without_a_target_and_unknown_ones_are_refused(path):
    for options in ({"partial": True}, {"return_report": True}, {"renames": {"a": "b"}}, {"cast": "safe"}):
        with pytest.raises(ValueError, match="target"):
            treering.load(path, **options)
    with pytest.raises(ValueError, match="'maybe'"):
        treering.load(path, TREE, cast="maybe")


def interrupted_save(path, at):
    """True if save was interrupted: by a KeyboardInterrupt at its at-th step, as by Ctrl-C."""
    left = at

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename.endswith("_save.py"):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        treering.save(path, {"new": 1}, overwrite=True)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_leaves_the_old_file_or_the_new_one_and_nothing_else(path):
    steps = 1
    while interrupted_save(path, steps):
        assert os.listdir(path.parent) == ["run.ring"]
        assert list(treering.load(path)) in (list(TREE), ["new"])
        steps += 1
    assert steps > 20


def test_errors_survive_pickling(path):
    for call in (
        lambda: treering.load("nowhere"),
        lambda: treering.load(path, target={"a": 1}),
        lambda: treering.save(path, 1),
    ):
        with pytest.raises(treering.TreeringError) as caught:
            call()
        error = caught.value
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error) and again.status == error.status
        assert getattr(again, "errno", None) == getattr(error, "errno", None)
        assert getattr(again, "missing", None) == getattr(error, "missing", None)


def test_the_same_tree_gives_the_same_bytes(tmp_path):
    for name in "xy":
        treering.save(tmp_path / name, TREE, items={"j": treering.Json(json.loads("[1]"))})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_the_version_is_the_cores():
    assert treering.__version__.count(".") == 2

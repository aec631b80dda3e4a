# SPDX-License-Identifier: Apache-2.0
# import_orbax and `python -m treering import`: the same steps, items, metrics, metadata and bits.
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from interop_checkpoints import as_bits, expected, written

import treering
from treering import __main__ as program
from treering import interop

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("orbax") is None, reason="writes its checkpoints with orbax"
)


def test_a_manager_becomes_a_store_with_the_same_steps_metrics_and_metadata(tmp_path):
    told = []
    done = interop.import_orbax(written() / "manager", tmp_path / "run", report=told.append)
    assert done == told and [entry.step for entry in done] == [0, 5, 12]
    assert done[1] == (5, ("default",), 2, 32, False)
    with treering.CheckpointManager(tmp_path / "run", read_only=True) as manager:
        assert manager.all_steps() == [0, 5, 12] and manager.latest_step() == 12
        assert manager.metrics(5) == {"loss": 2.5, "n": 5}
        assert manager.metadata(12).metadata == {"note": "of 12"}
        for step in (0, 5, 12):
            assert as_bits(manager.restore(step)) == {"n": step, "w": as_bits(np.full(3, step))}
    assert treering.info(tmp_path / "run", step=5)["items"] == {"default": "tree"}


def test_chosen_steps_and_items_only_are_imported(tmp_path):
    interop.import_orbax(written() / "manager", tmp_path / "run", steps=[12, 0])
    interop.import_orbax(written() / "composite", tmp_path / "one.ring", items=["state", "config"])
    with treering.CheckpointManager(tmp_path / "run", read_only=True) as manager:
        assert manager.all_steps() == [0, 12]
    assert treering.load(tmp_path / "one.ring", item="config") == {"layers": [1, 2], "name": "x"}
    assert treering.load(tmp_path / "one.ring", item="state.custom_metadata") == {"about": "state"}
    assert set(treering.info(tmp_path / "one.ring")["items"]) == {
        "state",
        "config",
        "state.custom_metadata",
    }


def test_every_item_of_a_composite_arrives(tmp_path):
    interop.import_orbax(written() / "composite", tmp_path / "run")
    load = lambda item: treering.load(tmp_path / "run", step=30, item=item)  # noqa: E731
    assert load("array").tolist() == [0, 1, 2, 3, 4]
    assert as_bits(load("state_of_numpy")) == expected("composite")["state_of_numpy"]
    jax = pytest.importorskip("jax")
    assert jax.random.key_data(load("key")).tolist() == [0, 3]


@pytest.mark.parametrize("name", ["dtypes-ocdbt-zarr2", "sharded-ocdbt-zarr3", "v1"])
@pytest.mark.parametrize("memory_limit", [0, 1 << 30])
def test_bits_arrive_whether_or_not_they_fit_into_memory(tmp_path, name, memory_limit):
    path = tmp_path / "one.ring"
    interop.import_orbax(written() / name, path, memory_limit=memory_limit)
    done = subprocess.run(  # without JAX, which would narrow what it is given
        [sys.executable, "-c", _LOAD, str(path)],
        capture_output=True,
        timeout=60,
        env=_environment(),
    )
    assert done.returncode == 0, done.stderr.decode()
    import pickle

    assert pickle.loads(done.stdout) == expected(name)
    assert os.listdir(tmp_path) == ["one.ring"]


_LOAD = """
import pickle, sys, treering
from interop_checkpoints import as_bits
sys.stdout.buffer.write(pickle.dumps(as_bits(treering.load(sys.argv[1]))))
"""


def _environment():
    folders = [os.path.dirname(__file__), *filter(None, sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


def test_large_checkpoints_go_through_a_mapped_file_and_not_the_heap(tmp_path, monkeypatch):
    made, original = [], tempfile.TemporaryFile
    monkeypatch.setattr(
        tempfile, "TemporaryFile", lambda **more: made.append(more["dir"]) or original(**more)
    )
    interop.import_orbax(written() / "noise", tmp_path / "a.ring", memory_limit=512 * 512 * 8)
    assert made == []
    interop.import_orbax(written() / "noise", tmp_path / "b.ring", memory_limit=512 * 512 * 8 - 1)
    assert made == [str(tmp_path)]
    digests = [treering.info(tmp_path / name)["content"] for name in ("a.ring", "b.ring")]
    assert digests[0] == digests[1]


def test_the_types_of_mesh_axes_are_imported(tmp_path):
    jax, ocp = pytest.importorskip("jax"), pytest.importorskip("orbax.checkpoint")
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])
    array = jax.device_put(np.arange(8.0, dtype="f4"), jax.NamedSharding(mesh, jax.P("x")))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "theirs", {"w": array})
    interop.import_orbax(tmp_path / "theirs", tmp_path / "one.ring")
    treering.save(tmp_path / "two.ring", {"w": array})
    found = [treering.metadata(tmp_path / f"{n}.ring")["w"].attributes for n in ("one", "two")]
    assert found[0]["sharding"] == found[1]["sharding"] and found[0]["sharding"]["axis_types"] == ["Explicit"]


def test_jax_arrays_and_keys_come_back_as_such_with_their_sharding_as_advice(tmp_path):
    jax = pytest.importorskip("jax")
    interop.import_orbax(written() / "sharded-ocdbt-zarr2", tmp_path / "one.ring")
    found = treering.load(tmp_path / "one.ring")
    assert isinstance(found["both"], jax.Array) and type(found["odd"]) is np.ndarray
    about = treering.metadata(tmp_path / "one.ring")["both"]
    assert about.attributes["sharding"] == {"mesh": {"a": 4, "b": 2}, "spec": ["a", "b"]}
    interop.import_orbax(written() / "kinds-ocdbt-zarr2", tmp_path / "two.ring")
    found = treering.load(tmp_path / "two.ring")
    assert str(jax.random.key_impl(found["rbg"])) == "rbg"
    assert jax.random.key_data(found["key"]).tolist() == [0, 5]
    assert found["text"] == "a/b ~ \u00e9" and found["none"] is None and found["empty list"] == []


def test_what_exists_is_refused_skipped_or_replaced(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(written() / "manager", source)
    shutil.rmtree(source / "12")
    interop.import_orbax(source, tmp_path / "run")
    with pytest.raises(FileExistsError, match="step 0 of .* exists"):
        interop.import_orbax(written() / "manager", tmp_path / "run")
    done = interop.import_orbax(written() / "manager", tmp_path / "run", existing="skip")
    assert [(entry.step, entry.skipped) for entry in done] == [(0, True), (5, True), (12, False)]
    interop.import_orbax(written() / "manager", tmp_path / "run", existing="overwrite", steps=[5])
    interop.import_orbax(source / "5", tmp_path / "a.ring")
    with pytest.raises(FileExistsError, match="a.ring' exists"):
        interop.import_orbax(source / "5", tmp_path / "a.ring")
    assert interop.import_orbax(source / "0", tmp_path / "a.ring", existing="skip")[0].skipped
    interop.import_orbax(source / "0", tmp_path / "a.ring", existing="overwrite")
    assert treering.load(tmp_path / "a.ring")["n"] == 0
    assert treering.info(tmp_path / "a.ring")["metadata"]["metrics"] == {"loss": 0.0, "n": 0}


def test_a_damaged_step_ends_the_import_and_those_before_it_stay(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(written() / "manager", source)
    os.truncate(source / "5/default/manifest.ocdbt", 40)
    with pytest.raises(treering.CorruptionError, match="5/default/manifest.ocdbt"):
        interop.import_orbax(source, tmp_path / "run")
    with treering.CheckpointManager(tmp_path / "run", read_only=True) as manager:
        assert manager.all_steps() == [0]


def test_arguments_that_do_not_go_together_are_refused(tmp_path):
    manager, single = written() / "manager", written() / "standard"
    for source, target, more, message in (
        (manager, "a.ring", {}, "has 3 steps and .* is one file: choose a step"),
        (manager, "a", {"step": 3}, "has several steps"),
        (single, "a", {}, "is not named by a step: give `step`"),
        (single, "a", {"steps": [1]}, "is one checkpoint"),
        (single, "a.ring", {"existing": "maybe"}, "'error', 'skip' or 'overwrite'"),
        (single, "a.ring", {"items": ["x"]}, "has no item 'x'; its items are ''"),
        (single, "a.ring", {"items": []}, "has no item at all"),
    ):
        with pytest.raises((ValueError, KeyError), match=message):
            interop.import_orbax(source, tmp_path / target, **more)
    assert os.listdir(tmp_path) == []
    interop.import_orbax(single, tmp_path / "a", step=8)
    assert treering.load(tmp_path / "a", step=8)["i"] == 3


# ---- the command


def test_the_command_says_what_it_does(tmp_path):
    command = [
        sys.executable,
        "-m",
        "treering",
        "import",
        str(written() / "manager"),
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=_environment())
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[:3] == [f"step {n}: default; 2 arrays, 32 B" for n in (0, 5, 12)]
    assert lines[3] == f"imported 3 checkpoints into {tmp_path / 'run'}"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=_environment())
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"treering: error: step 0 of '{tmp_path / 'run'}' exists\n"


def test_the_command_skips_chooses_and_is_quiet_when_asked(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert (
        program.main(["import", str(written() / "manager"), run, "--steps", "0,5", "--quiet"]) == 0
    )
    assert capsys.readouterr().out == ""
    assert program.main(["import", str(written() / "manager"), run, "--existing", "skip"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "step 0: is there already, left alone", "step 5: is there already, left alone",
        "step 12: default; 2 arrays, 32 B", f"imported 1 checkpoint into {run}",
    ]  # fmt: skip
    one = str(tmp_path / "one.ring")
    assert program.main(["import", str(written() / "noise"), one]) == 0
    assert "checkpoint: default; 1 array, 2.0 MiB" in capsys.readouterr().out
    composite = ["import", str(written() / "composite"), one, "--existing", "overwrite"]
    assert program.main([*composite, "--item", "config", "--item", "array"]) == 0
    assert "step 30: config, array; 1 array, 40 B" in capsys.readouterr().out


def test_the_command_tells_errors_in_one_line_and_warnings_too(tmp_path, capsys):
    assert program.main(["import", str(tmp_path / "x"), str(tmp_path / "y")]) == 1
    assert (
        capsys.readouterr().err
        == f"treering: error: '{tmp_path / 'x'}': there is nothing of that name\n"
    )
    folder = tmp_path / "kinds"
    shutil.copytree(written() / "kinds-ocdbt-zarr2", folder)
    shutil.rmtree(folder / "array_metadatas")
    assert program.main(["import", str(folder), str(tmp_path / "a.ring")]) == 0
    errors = capsys.readouterr().err.splitlines()
    assert (
        len(errors) == 1
        and errors[0].startswith("treering: warning: ")
        and "typed PRNG key" in errors[0]
    )


def test_wrong_arguments_and_help_have_the_usual_exit_codes(capsys):
    for arguments, code, text in (
        (["import", "--help"], 0, "Needs no Orbax"),
        (["import", "only one"], 2, "DST"),
        (["import", "a", "b", "--step", "x"], 2, "--step"),
        (["import", "a", "b", "--step", "-1"], 2, "steps are not negative|expected one argument"),
        ([], 2, "COMMAND"),
    ):
        with pytest.raises(SystemExit) as caught:
            program.main(arguments)
        assert caught.value.code == code
        output = capsys.readouterr()
        assert any(part in output.out + output.err for part in text.split("|"))


def test_an_interrupt_ends_the_command_with_130(monkeypatch, capsys):
    def interrupted(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(interop, "import_orbax", interrupted)
    assert program.main(["import", "a", "b"]) == 130
    assert "what was imported before stays" in capsys.readouterr().err

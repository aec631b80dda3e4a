# SPDX-License-Identifier: Apache-2.0
# CheckpointManager: verifying and rebuilding a directory, progress, cancelling, metrics of frameworks.
import os
import shutil
import signal
import threading

import numpy as np
import pytest

import treering
from treering import CheckpointManager

LARGE = np.ones(1 << 23, np.float32)  # several calls of a progress function


@pytest.fixture
def run(tmp_path):
    opened = []

    def open_(**options):
        opened.append(CheckpointManager(tmp_path / "run", **options))
        return opened[-1]

    yield open_
    for manager in opened:
        manager.close()


def damage(version):
    with open(version.path, "r+b") as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))


# ---- the latest that is intact, verifying, rebuilding


WEIGHTS = {"w": np.arange(4000.0)}


@pytest.fixture
def damaged_last(run):
    manager = run(asynchronous=False, best_metric="loss")
    for step in 1, 2, 3:
        manager.save(step, {**WEIGHTS, "step": step}, metrics={"loss": step})
    damage(manager.metadata(3))
    return manager


@pytest.mark.parametrize("target", [None, {**WEIGHTS, "step": 0}])
@pytest.mark.parametrize("step", [None, "latest", "best"])
def test_a_step_whose_data_are_damaged_is_passed_over_with_a_warning(damaged_last, step, target):
    with pytest.warns(RuntimeWarning, match="step 2 is taken(.|\n)*step 3") as seen:
        assert damaged_last.restore(step, target)["step"] == 2
    assert damaged_last.restored_step == 2 and seen[0].filename == __file__
    if step != "best":
        with pytest.warns(RuntimeWarning, match="step 2 is taken"):
            assert treering.load(damaged_last.directory, target, step=step)["step"] == 2


def test_a_damaged_step_that_was_asked_for_is_an_error(damaged_last):
    for ask in (
        lambda: damaged_last.restore(3), lambda: damaged_last.restore(strict=True),
        lambda: treering.load(damaged_last.directory, step=3),
    ):  # fmt: skip
        with pytest.raises(treering.CorruptionError, match="3"):
            ask()


def test_where_all_steps_are_damaged_no_other_is_taken(damaged_last):
    for step in 1, 2:
        damage(damaged_last.metadata(step))
    for ask in damaged_last.restore, lambda: treering.load(damaged_last.directory):
        with pytest.raises(treering.CorruptionError):
            ask()


def test_an_intact_directory_verifies_and_a_flipped_byte_is_found(run):
    manager = run(asynchronous=False)
    for step in 1, 2:
        manager.save(step, {"w": np.arange(4000.0)})
    seen = []
    report = manager.verify(progress=lambda done, total: seen.append((done, total)))
    assert report.ok and report.findings == [] and seen
    damage(manager.metadata(2))
    report = manager.verify()
    assert not report and report.damaged and "2" in str(report)
    with pytest.raises(treering.CorruptionError):
        report.raise_if_damaged()
    assert manager.verify(full=False).ok


def test_verifying_needs_no_writer_and_sees_missing_files(run):
    manager = run(asynchronous=False)
    manager.save(1, 1)
    reader = run(read_only=True)
    assert reader.verify().ok
    os.unlink(manager.metadata(1).path)
    assert not reader.verify(full=False)


def test_steps_come_back_when_their_records_are_lost(run, tmp_path):
    with run(asynchronous=False) as manager:
        for step in 3, 7:
            manager.save(step, {"n": step}, metrics={"loss": float(step)}, metadata=["m", step])
    for name in os.listdir(tmp_path / "run" / "manifests"):
        os.unlink(tmp_path / "run" / "manifests" / name)
    assert CheckpointManager(tmp_path / "run", read_only=True).all_steps() == []
    rebuilt = CheckpointManager.rebuild(tmp_path / "run")
    assert rebuilt == (2, [])
    manager = run()
    assert manager.all_steps() == [3, 7] and manager.restore(7) == {"n": 7}
    assert manager.metadata(3).rebuilt and manager.metrics(3) == {"loss": 3.0}
    assert manager.metadata(7).metadata == ["m", 7]


def test_what_cannot_be_rebuilt_is_told(run, tmp_path):
    with run(asynchronous=False) as manager:
        manager.save(3, {"w": np.arange(4000.0)})
        manager.save(4, {"w": np.arange(4000.0)})
        damage(manager.metadata(4))
    shutil.rmtree(tmp_path / "run" / "manifests")
    os.mkdir(tmp_path / "run" / "manifests")
    rebuilt = CheckpointManager.rebuild(tmp_path / "run")
    assert rebuilt.count == 1 and len(rebuilt.findings) == 1
    with run() as manager:
        assert manager.all_steps() == [3]


def test_only_a_directory_that_nobody_writes_is_rebuilt(run, tmp_path):
    run()
    with pytest.raises(treering.BusyError):
        CheckpointManager.rebuild(tmp_path / "run")
    with pytest.raises(FileNotFoundError):
        CheckpointManager.rebuild(tmp_path / "none")
    assert not (tmp_path / "none").exists()


# ---- progress


@pytest.mark.parametrize("asynchronous", [True, False])
def test_progress_is_told_to_the_end(run, asynchronous):
    manager, seen = run(asynchronous=asynchronous), []
    manager.save(1, {"w": LARGE}, progress=lambda done, total: seen.append((done, total)))
    manager.wait_until_finished()
    assert len(seen) > 1 and seen[-1] == (LARGE.nbytes, LARGE.nbytes) and seen == sorted(seen)
    loaded = []
    manager.restore(1, progress=lambda done, total: loaded.append(done))
    assert loaded[-1] == LARGE.nbytes


def test_progress_true_is_a_bar_of_tqdm(run, capfd):
    pytest.importorskip("tqdm")
    manager = run()
    manager.save(12, {"w": LARGE}, progress=True)
    manager.wait_until_finished()
    assert "step 12" in capfd.readouterr().err


@pytest.mark.parametrize("asynchronous", [True, False])
def test_what_a_progress_function_raises_ends_the_save_and_is_raised(run, asynchronous):
    manager = run(asynchronous=asynchronous)
    manager.save(1, 1)

    def stop(done, total):
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError, match="planted"):
        manager.save(2, {"w": LARGE}, progress=stop)
        manager.wait_until_finished()
    manager.wait_until_finished()
    assert manager.save(3, 3)
    manager.wait_until_finished()
    assert manager.all_steps() == [1, 3]


def test_a_progress_function_that_calls_its_manager_is_told_not_to(run):
    manager, seen = run(), []

    def call(done, total):
        try:
            manager.wait_until_finished()
        except treering.WrongStateError as error:
            seen.append(error)

    manager.save(1, {"w": LARGE}, progress=call)
    manager.wait_until_finished()
    assert seen and manager.all_steps() == [1]


def test_ctrl_c_ends_a_save_in_the_foreground(run):
    manager = run(asynchronous=False)

    def interrupt(done, total):
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            manager.save(1, {"w": LARGE}, progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert manager.all_steps() == [] and manager.save(2, 2) and manager.all_steps() == [2]


# ---- cancelling


def test_a_cancelled_save_leaves_nothing_and_the_manager_goes_on(run, gate, tmp_path):
    manager = run()
    manager.save(1, 1)
    manager.wait_until_finished()
    manager.save(2, {"w": LARGE}, progress=gate.progress)
    assert gate.reached.wait(60)
    threading.Timer(0.05, gate.set).start()
    assert manager.cancel() == [2]
    assert manager.all_steps() == [1] and len(os.listdir(tmp_path / "run" / "data")) == 1
    assert manager.cancel() == []
    assert manager.save(2, 2)
    manager.wait_until_finished()
    assert manager.restore() == 2


def test_cancelling_tells_an_earlier_failure(run, gate):
    manager = run(save_queue=2)

    def fail(done, total):
        gate.progress(done, total)
        raise OSError(5, "planted")

    manager.save(1, {"w": LARGE}, progress=fail)
    assert gate.reached.wait(60)
    threading.Timer(0.05, gate.set).start()
    with pytest.raises(OSError, match="planted"):
        manager.cancel()
        raise AssertionError("nothing was told")
    manager.wait_until_finished()


# ---- metrics


def test_metrics_are_scalars_of_any_framework(run):
    jnp = pytest.importorskip("jax.numpy")
    manager = run(best_metric="loss", best_mode="min", asynchronous=False)
    for step, loss in enumerate([np.float32(2), jnp.float32(0.5), jnp.asarray(1.5, jnp.bfloat16), np.array(3.0)]):
        manager.save(step, step, metrics={"loss": loss, "n": np.int64(step), "ok": np.bool_(True)})
    assert manager.best_step() == 1
    assert manager.metrics(2) == {"loss": 1.5, "n": 2, "ok": True}
    assert [type(value) for value in manager.metrics(1).values()] == [float, int, bool]
    with pytest.raises(TypeError, match="loss|metrics"):
        manager.save(9, 9, metrics={"loss": np.ones(2)})


# ---- errors, logging


@pytest.mark.parametrize("metrics, what", [({}, "no metric 'loss'"), ({"loss": np.nan}, "a NaN as metric 'loss'")])
def test_a_step_without_a_rank_is_kept_and_warned_of(run, metrics, what):
    manager = run(asynchronous=False, best_metric="loss", best_mode="min", max_to_keep=1)
    manager.save(1, {"w": 1}, metrics={"loss": 0.5})
    with pytest.warns(RuntimeWarning, match=f"step 2 has {what}") as seen:
        manager.save(2, {"w": 1}, metrics=metrics)
    assert seen[0].filename == __file__
    manager.save(3, {"w": 1}, metrics={"loss": 0.25})
    assert 2 in manager.all_steps()


def test_a_metric_that_has_no_place_is_named(run):
    with pytest.raises(TypeError, match=r"metrics\['v'\] is no JSON document"):
        run().save(1, {"w": 1}, metrics={"u": 1, "v": np.ones(2)})


def test_a_second_manager_of_the_process_is_told_of_the_first(run, tmp_path):
    run()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for name in "run", "link":
        with pytest.raises(treering.BusyError, match="another manager of this process: close it") as raised:
            CheckpointManager(tmp_path / name)
        assert raised.value.path == str(tmp_path / name) and raised.value.errno == 11


def test_arguments_that_restore_does_not_have_are_named(run):
    with pytest.raises(TypeError, match=r"^restore\(\) got an unexpected keyword argument 'stp'"):
        run().restore(stp=1)
    with pytest.raises(ValueError, match="not True; did you mean 'any'"):
        run(read_only=True).restore(target=1, cast=True)


@pytest.mark.parametrize("renames", [{"qq": "z"}, {"w": "z"}])
def test_a_rename_that_names_nothing_is_told_with_file_and_direction(tmp_path, renames):
    path = tmp_path / "net.ring"
    treering.save(path, {"w": 1})
    with pytest.raises(treering.PathNotFoundError, match="from paths in the target to paths in the check") as raised:
        treering.load(path, {"w": 1}, renames=renames)
    assert str(path) in str(raised.value) and next(iter(renames)) in str(raised.value)


def test_errors_name_the_directory_and_the_leaf(run, tmp_path):
    manager, folder = run(asynchronous=False), str(tmp_path / "run")
    manager.save(1, {"a": [np.zeros(3, np.float32)]})
    with pytest.raises(treering.StructureMismatchError) as caught:
        manager.restore(1, {"a": [np.zeros(4, np.float32)]})
    error = caught.value
    assert (error.path, error.leaf, error.expected, error.found) == (folder, "a/0", "float32[4]", "float32[3]")
    with pytest.raises(TypeError) as caught:
        manager.save(2, {"a": {"b": object()}})
    assert (caught.value.path, caught.value.leaf) == (folder, "a/b")
    for call in (lambda: manager.restore(5), lambda: manager.metrics(5), lambda: manager.delete(5)):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert caught.value.path == folder
    with pytest.raises(FileExistsError) as caught:
        manager.save(1, 1, overwrite=False, force=True)
    assert caught.value.path == folder
    with pytest.raises(TypeError) as caught:
        treering.save(tmp_path / "x", {"a": {"b": object()}})
    assert (caught.value.path, caught.value.leaf) == (str(tmp_path / "x"), "a/b")
    with pytest.raises(TypeError) as caught:
        treering.save_async(tmp_path / "x", {"a": {"b": object()}})
    assert (caught.value.path, caught.value.leaf) == (str(tmp_path / "x"), "a/b")


def test_what_a_manager_does_is_logged(run, caplog):
    caplog.set_level("INFO", logger="treering")
    manager = run()
    manager.save(1, {"w": np.arange(3)})
    manager.restore(1)
    manager.save(2, {"w": LARGE}, progress=lambda done, total: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        manager.wait_until_finished()
    text = caplog.text
    assert "saved step 1 of" in text and "restored step 1 of" in text and "step 2 of" in text
    assert all(record.name == "treering" for record in caplog.records)

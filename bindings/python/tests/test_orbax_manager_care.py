# SPDX-License-Identifier: Apache-2.0
# CheckpointManager under Orbax's names does better where Orbax loses, damages or surprises.
import gc
import resource
import subprocess
import sys
import threading
import time
import weakref

import jax.numpy as jnp
import numpy as np
import pytest
from orbax_managers import Options, open_manager, standard  # noqa: F401

import treering
import treering.orbax as ocp


def test_a_forced_lower_step_is_neither_the_latest_nor_costs_a_greater_one(open_manager):
    manager = open_manager(max_to_keep=2)
    for step, force in ((4, False), (6, False), (1, True)):
        assert manager.save(step, args=standard(step), force=force)
    assert (manager.all_steps(), manager.latest_step()) == ([4, 6], 6)
    assert manager.restore(None)["n"] == 6


def test_an_empty_folder_that_is_named_like_a_step_is_none(open_manager, tmp_path):
    manager = open_manager()
    manager.save(3, args=standard(3))
    (tmp_path / "run" / "12").mkdir()
    manager.reload()
    assert manager.latest_step() == 3 == open_manager(read_only=True).latest_step()


def test_restore_of_nothing_does_not_decide_what_may_be_saved(open_manager):
    manager = open_manager()
    with pytest.raises(FileNotFoundError):
        manager.restore(0)
    assert manager.save(0, args=standard())


def test_what_one_process_saves_is_there_after_an_exit_without_a_wait(tmp_path):
    script = (
        "import sys, numpy as np, treering.orbax as ocp\n"
        "m = ocp.CheckpointManager(sys.argv[1], options=ocp.CheckpointManagerOptions(max_to_keep=1))\n"
        "for s in (1, 2): m.save(s, args=ocp.args.StandardSave({'w': np.full(1 << 20, s)}))\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "run"], check=True, timeout=60)
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        assert manager.all_steps() == [2]
        assert (manager.restore(2)["w"] == 2).all()


def test_a_flipped_bit_is_an_error_and_other_steps_can_be_restored(open_manager, tmp_path):
    manager = open_manager()
    for step in (1, 2):
        manager.save(step, args=ocp.args.StandardSave({"w": np.full(100_000, step)}))
    (path,) = (tmp_path / "run" / "data").glob("00000002-*/default.ring")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(treering.CorruptionError):
        manager.restore(2)
    assert (manager.restore(1)["w"] == 1).all()


def test_read_only_is_not_overruled_by_force_and_leaves_no_trace(open_manager, tmp_path):
    manager = open_manager(read_only=True, more={"metadata": {"a": 1}})
    assert manager.save(1, args=standard(), force=True) is False
    assert not manager.should_save(1)
    manager.delete(1)
    assert not (tmp_path / "run").exists()


def test_save_after_close_is_an_error_and_reading_goes_on(open_manager):
    manager = open_manager()
    manager.save(1, args=standard(1))
    manager.close()
    manager.close()
    with pytest.raises(treering.WrongStateError, match="closed"):
        manager.save(2, args=standard(2))
    assert manager.latest_step() == 1 and manager.restore(1)["n"] == 1


def test_metrics_that_best_fn_cannot_read_leave_no_step_behind(open_manager):
    manager = open_manager(best_fn=lambda m: m["loss"], max_to_keep=2)
    manager.save(1, args=standard(1), metrics={"loss": 1.0})
    with pytest.raises(KeyError, match="loss"):
        manager.save(2, args=standard(2), metrics={"other": 1.0})
    assert (manager.all_steps(), manager.best_step()) == ([1], 1)
    open_manager().save(2, args=standard(2), metrics={"other": 1.0})
    assert open_manager(best_fn=lambda m: m["loss"]).best_step() == 1


@pytest.mark.parametrize("metrics", [{"loss": np.float32(2)}, {"loss": 1, "name": "x"}, {}, [1, 2], 0.5])
def test_metrics_are_stored_without_best_fn_and_as_they_were(open_manager, metrics):
    open_manager().save(1, args=standard(), metrics=metrics)
    assert open_manager(read_only=True).metrics(1) == metrics
    assert open_manager(read_only=True).metrics(2) is None


def test_a_best_n_policy_knows_its_metrics_after_a_restart(open_manager):
    policy = ocp.checkpoint_managers.BestN(get_metric_fn=lambda m: m["acc"], n=1)
    open_manager(preservation_policy=policy).save(1, args=standard(), metrics={"acc": 0.9})
    manager = open_manager(preservation_policy=policy)
    manager.save(2, args=standard(), metrics={"acc": 0.1})
    assert manager.all_steps() == [1]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_cannot_be_saved_is_told_by_save_and_nothing_is_left(open_manager, tmp_path, asynchronous):
    manager = open_manager(max_to_keep=1, enable_async_checkpointing=asynchronous)
    manager.save(0, args=ocp.args.JsonSave([0]))
    with pytest.raises(TypeError):
        manager.save(1, args=ocp.args.JsonSave({1, 2}))
    with pytest.raises((TypeError, ValueError)):
        manager.save(1, args=ocp.args.JsonSave([1]), custom_metadata={"a": {1}})
    assert not manager.is_saving_in_progress() or asynchronous
    manager.wait_until_finished()
    manager.check_for_errors()
    assert manager.all_steps() == [0]
    assert manager.save(1, args=ocp.args.JsonSave([1]))
    manager.wait_until_finished()
    assert len(list((tmp_path / "run" / "data").iterdir())) == 1


def test_a_policy_that_raises_does_so_before_anything_is_written(open_manager):
    class Policy:
        def should_preserve(self, checkpoints, *, context):
            raise ZeroDivisionError("no")

    manager = open_manager(preservation_policy=Policy())
    with pytest.raises(ZeroDivisionError):
        manager.save(1, args=standard())
    assert manager.all_steps() == []


def test_a_failed_save_in_the_background_is_told_once_and_costs_no_step(open_manager):
    manager = open_manager(max_to_keep=1, enable_async_checkpointing=True)
    manager.save(0, args=standard(0))
    manager.wait_until_finished()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        manager.save(1, args=ocp.args.StandardSave({"w": np.ones(1 << 20)}))
        deadline = time.monotonic() + 20
        while manager.is_saving_in_progress() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert manager.all_steps() == [0]
        with pytest.raises(OSError):
            manager.check_for_errors()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    manager.check_for_errors()
    assert manager.all_steps() == [0] and manager.restore(0)["n"] == 0
    assert manager.save(1, args=standard(1))
    manager.wait_until_finished()
    assert manager.all_steps() == [1]


def test_reload_and_delete_during_a_save_leave_the_list_right(open_manager):
    manager = open_manager(enable_async_checkpointing=True)
    big = {"w": np.ones(8 << 20, np.float32)}
    manager.save(1, args=ocp.args.StandardSave(big))
    manager.reload()
    assert manager.all_steps() == [1]
    manager.delete(1)
    manager.wait_until_finished()
    assert manager.all_steps() == []


def test_a_running_save_is_listed_and_what_it_will_drop_is_not(open_manager):
    manager = open_manager(max_to_keep=1, enable_async_checkpointing=True)
    for step in range(5):
        manager.save(step, args=standard(step))
        assert (manager.all_steps(), manager.latest_step()) == ([step], step)
    assert manager.restore(4)["n"] == 4


def test_managers_of_one_process_hand_the_directory_over(open_manager):
    first, second = (open_manager(enable_async_checkpointing=True) for _ in range(2))
    first.save(1, args=standard(1))
    second.save(2, args=standard(2))
    first.save(3, args=standard(3))
    first.wait_until_finished()
    second.reload()
    assert first.all_steps() == [1, 2, 3] == second.all_steps()


def test_a_manager_that_is_dropped_without_close_does_not_hold_the_directory(open_manager, tmp_path):
    manager = ocp.CheckpointManager(tmp_path / "run")
    manager.save(1, args=standard(1))
    gone = weakref.ref(manager)
    with pytest.warns(ResourceWarning):
        del manager
        gc.collect()
    assert gone() is None
    assert open_manager().save(2, args=standard(2))


def test_the_callback_runs_after_each_commit_and_what_it_raises_is_told(tmp_path):
    seen = []

    def callback():
        seen.append(len(list((tmp_path / "run" / "manifests").iterdir())))
        if len(seen) == 2:
            raise ArithmeticError("from the callback")

    options = ocp.options.AsyncOptions(post_finalization_callback=callback)
    with ocp.CheckpointManager(tmp_path / "run", options=Options(async_options=options)) as manager:
        manager.save(1, args=standard(1))
        manager.wait_until_finished()
        manager.save(2, args=standard(2))
        with pytest.raises(ArithmeticError):
            manager.wait_until_finished()
        assert seen == [1, 2] and manager.all_steps() == [1, 2]
    with pytest.raises(ValueError, match="asynchronous"):
        ocp.CheckpointManager(
            tmp_path, options=Options(async_options=options, enable_async_checkpointing=False)
        )


def test_an_exception_in_the_body_goes_on_and_notes_that_a_save_failed(tmp_path, capfd):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(LookupError) as raised, ocp.CheckpointManager(tmp_path / "run") as manager:
            manager.save(1, args=standard(1))
            manager.wait_until_finished()
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
            manager.save(2, args=ocp.args.StandardSave({"w": np.ones(1 << 20)}))
            raise LookupError
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "failed" in "".join(getattr(raised.value, "__notes__", ["failed"]))
    assert "failed" in capfd.readouterr().err
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        assert manager.all_steps() == [1]


def test_negative_steps_and_steps_that_are_no_ints_are_refused(open_manager):
    manager = open_manager()
    with pytest.raises(ValueError, match="negative"):
        manager.save(-1, args=standard())
    for step in ("1", 1.0, True):
        with pytest.raises(TypeError, match="int"):
            manager.save(step, args=standard())
    assert manager.save(jnp.int32(3), args=standard()) and manager.save(np.int64(4), args=standard())
    assert manager.all_steps() == [3, 4]


@pytest.mark.parametrize("file", ["_CHECKPOINT_METADATA", "default/manifest.ocdbt"])
def test_a_folder_with_steps_of_the_real_orbax_is_refused(tmp_path, file):
    found = tmp_path / "run" / "3" / file
    found.parent.mkdir(parents=True)
    found.write_text("{}")
    with pytest.raises(ValueError, match="import"):
        ocp.CheckpointManager(tmp_path / "run")


def test_a_step_that_exists_under_another_name_is_not_written_again(open_manager):
    open_manager(step_prefix="a").save(1, args=standard(1))
    manager = open_manager(step_prefix="b")
    assert manager.all_steps() == []
    with pytest.raises(ocp.StepAlreadyExistsError):
        manager.save(1, args=standard(2))
    assert open_manager(step_prefix="a").restore(1)["n"] == 1


def test_a_wait_ends_with_a_timeout_and_the_save_goes_on(open_manager):
    may_end = threading.Event()
    options = ocp.options.AsyncOptions(
        timeout_secs=0.1, post_finalization_callback=lambda: may_end.wait(30)
    )
    manager = open_manager(enable_async_checkpointing=True, async_options=options)
    manager.save(1, args=standard(1))
    try:
        with pytest.raises(TimeoutError, match="step 1"):
            manager.wait_until_finished()
        assert manager.is_saving_in_progress() and manager.all_steps() == [1]
        with pytest.raises(TimeoutError, match="step 1"):
            manager.save(2, args=standard(2))
    finally:
        may_end.set()
    manager.close()
    assert manager.all_steps() == [1]


def test_options_that_need_more_processes_or_other_storage_are_refused_by_name(tmp_path):
    processes = ocp.options.MultiprocessingOptions(active_processes={0})
    for options in (Options(multiprocessing_options=processes), Options(todelete_full_path="t")):
        with pytest.raises(NotImplementedError):
            ocp.CheckpointManager(tmp_path, options=options)
    timeout = ocp.options.AsyncOptions(timeout_secs=0)
    with pytest.raises(ValueError, match="timeout_secs"):
        ocp.CheckpointManager(tmp_path, options=Options(async_options=timeout))


def test_the_root_folder_gets_the_mode_that_was_asked_for(tmp_path):
    options = Options(file_options=ocp.options.FileOptions(path_permission_mode=0o750))
    ocp.CheckpointManager(tmp_path / "a" / "run", options=options)
    assert (tmp_path / "a" / "run").stat().st_mode & 0o777 == 0o750
    ocp.CheckpointManager(tmp_path / "b", options=Options(create=False))
    assert not (tmp_path / "b").exists()


def test_neither_orbax_nor_tensorstore_is_imported_and_the_log_is_quiet(tmp_path):
    script = (
        "import sys, numpy as np, treering.orbax as ocp\n"
        "with ocp.CheckpointManager(sys.argv[1]) as m:\n"
        "    m.save(1, args=ocp.args.StandardSave({'w': np.ones(3)}), metrics={'loss': 1})\n"
        "    m.restore(1)\n"
        "assert not {'orbax', 'tensorstore'} & set(sys.modules), sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "run"], check=True, timeout=60, capture_output=True
    )
    assert done.stdout == done.stderr == b""


HOLDER = """
import sys, treering.orbax as ocp
manager = ocp.CheckpointManager(sys.argv[1])
manager.save(1, args=ocp.args.JsonSave([1]))
manager.wait_until_finished()
print("ready", flush=True)
sys.stdin.read()
"""


def test_while_another_process_saves_this_one_reads_and_is_told_who_saves(open_manager, tmp_path):
    command = [sys.executable, "-c", HOLDER, tmp_path / "run"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"ready\n"
        manager = open_manager()
        assert manager.restore(1) == [1]
        with pytest.raises(BlockingIOError, match=str(holder.pid)):
            manager.save(2, args=ocp.args.JsonSave([2]))
        assert manager.all_steps() == [1]
        holder.communicate()
    assert manager.save(2, args=ocp.args.JsonSave([2])) and manager.all_steps() == [1, 2]


def test_a_process_that_is_killed_while_it_saves_leaves_the_steps_that_were_there(tmp_path):
    script = (
        "import os, sys, numpy as np, treering.orbax as ocp\n"
        "m = ocp.CheckpointManager(sys.argv[1], options=ocp.CheckpointManagerOptions(max_to_keep=1))\n"
        "for s in (1, 2):\n"
        "    m.wait_until_finished()\n"
        "    m.save(s, args=ocp.args.StandardSave({'w': np.full(4 << 20, s)}))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "run"], timeout=60)
    with ocp.CheckpointManager(tmp_path / "run") as manager:
        (step,) = manager.all_steps()
        assert step in (1, 2) and (manager.restore(step)["w"] == step).all()
        assert manager.save(3, args=standard(3))

# SPDX-License-Identifier: Apache-2.0
# Following a run from elsewhere: waiting for steps, and holding one while it is read.
import os
import threading

import pytest

import treering
import treering.orbax as ocp

utils = ocp.checkpoint_utils


def saved(directory, *steps, **options):
    with treering.CheckpointManager(directory, asynchronous=False, **options) as manager:
        for step in steps:
            manager.save(step, {"x": step}, force=True)


def test_the_latest_step_is_handed_out_and_held(tmp_path):
    saved(tmp_path, 1, 5)
    with utils.wait_for_new_checkpoint(tmp_path, timeout=0) as step:
        assert step == 5
        with treering.CheckpointManager(tmp_path) as manager:
            manager.delete(5)
        held = utils.get_snapshot_dir_from_step_dir(tmp_path / "5")
        assert ocp.PyTreeCheckpointer().restore(held) == {"x": 5}
    assert not held.exists()
    with treering.CheckpointManager(tmp_path) as manager:
        assert manager.all_steps() == [1]


def test_a_wait_ends_at_its_timeout_unless_the_function_says_otherwise(tmp_path):
    with utils.wait_for_new_checkpoint(tmp_path / "none", timeout=0, seconds_to_sleep=0.01) as step:
        assert step == -1
    saved(tmp_path, 3)
    answers = [False, False, True]
    waiting = utils.wait_for_new_checkpoint(
        tmp_path, until_step=4, timeout=0, seconds_to_sleep=0.01, timeout_fn=lambda: answers.pop(0)
    )
    with waiting as step:
        assert step == -1 and answers == []
    with utils.wait_for_new_checkpoint(tmp_path, step_prefix="other", timeout=0) as step:
        assert step == -1


def test_steps_are_iterated_as_they_come(tmp_path):
    (tmp_path / "run" / "_SNAPSHOTS").mkdir(parents=True)
    (tmp_path / "run" / "_SNAPSHOTS" / "1").write_text("of an iterator that was killed")
    found, go_on = [], threading.Event()

    def train():
        saved(tmp_path / "run", 1)
        go_on.wait(10)
        saved(tmp_path / "run", 2, 3, max_to_keep=1)

    thread = threading.Thread(target=train)
    thread.start()
    for step in utils.checkpoints_iterator(tmp_path / "run", timeout=1, seconds_to_sleep=0.01):
        held = utils.get_snapshot_dir_from_step_dir(tmp_path / "run" / str(step))
        assert ocp.PyTreeCheckpointer().restore(held) == {"x": step}
        found.append(step)
        go_on.set()
    thread.join()
    assert found in ([1, 3], [1, 2, 3])
    assert not os.path.exists(tmp_path / "run" / "_SNAPSHOTS")


def test_a_step_is_held_where_it_is_told_to_be(tmp_path):
    saved(tmp_path / "run", 4)
    with utils.wait_for_new_checkpoint(tmp_path / "run", snapshot_dir=tmp_path / "held") as step:
        assert step == 4 and os.listdir(tmp_path / "held") == ["4"]
    with pytest.raises(FileNotFoundError):
        ocp.PyTreeCheckpointer().restore(tmp_path / "held" / "4")

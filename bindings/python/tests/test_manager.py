# SPDX-License-Identifier: Apache-2.0
# CheckpointManager: saving and skipping, listing, restoring, policies, retention, errors.
import contextlib
import doctest
import errno
import os
import socket
import threading
import warnings

import numpy as np
import pytest
from conftest import difference

import treering
from treering import CheckpointManager, _versions, policies


def tree(step):
    return {"w": np.full((3, 4), step, np.float32), "layers": [{"b": np.arange(step + 1)}], "n": step}


@pytest.fixture
def run(tmp_path):
    """Opens managers of one directory, synchronous unless told otherwise, and closes them."""
    opened = []

    def open_(**options):
        options.setdefault("asynchronous", False)
        opened.append(CheckpointManager(tmp_path / "run", **options))
        return opened[-1]

    yield open_
    for manager in opened:
        manager.close()


def save_all(manager, steps, **more):
    return [step for step in steps if manager.save(step, tree(step), **more)]


# ---- saving, listing, restoring


def test_a_step_comes_back_as_it_was_saved(run):
    manager = run()
    assert manager.save(3, tree(3)) is True
    assert difference(manager.restore(3), tree(3)) is None
    assert difference(manager.restore(), tree(3)) is None
    assert manager.restored_step == 3
    assert difference(manager.restore(3, {"w": np.zeros((3, 4), np.float32), "layers": ..., "n": 0})["w"],
                      tree(3)["w"]) is None  # fmt: skip


def test_steps_are_listed_in_order_whatever_the_order_of_saving(run):
    manager = run()
    assert (manager.all_steps(), manager.latest_step()) == ([], None)
    save_all(manager, [4, 6])
    assert manager.save(1, tree(1), force=True)
    assert manager.all_steps() == [1, 4, 6]
    assert manager.latest_step() == 6
    assert difference(manager.restore(), tree(6)) is None


def test_another_manager_finds_what_was_saved(run, tmp_path):
    with run(metadata={"run": "a"}) as manager:
        manager.save(2, tree(2), metrics={"loss": 0.25}, metadata={"lr": [1, 2.5, "x"]})
    manager = CheckpointManager(str(tmp_path / "run"), read_only=True)
    assert manager.all_steps() == [2]
    assert manager.metadata() == {"run": "a"}
    version = manager.metadata(2)
    assert (version.step, version.metadata, version.metrics) == (2, {"lr": [1, 2.5, "x"]}, {"loss": 0.25})
    assert version.size == os.path.getsize(version.path) and version.committed > 1.6e9
    assert difference(treering.load(version.path), tree(2)) is None
    assert manager.directory == tmp_path / "run"


def test_items_and_documents_are_restored_by_name(run):
    manager = run()
    items = {"config": treering.Json({"a": [1]}), "log": treering.Blob(b"\0x"), "ema": tree(9)}
    manager.save(0, tree(0), items=items)
    assert manager.restore(item="config") == {"a": [1]}
    assert manager.restore(0, item="log") == b"\0x"
    assert difference(manager.restore(0, item="ema"), tree(9)) is None
    assert difference(manager.restore(0), tree(0)) is None
    with pytest.raises(KeyError, match="config"):
        manager.restore(0, item="nothing")


def test_item_metadata_is_a_target(run):
    manager = run()
    manager.save(0, tree(2))
    target = manager.item_metadata(0)
    assert target["w"].shape == (3, 4)
    assert difference(manager.restore(0, target), tree(2)) is None
    target["more"] = 0
    with pytest.raises(treering.StructureMismatchError) as caught:
        manager.restore(0, target)
    assert caught.value.missing == ["more"]


def test_metrics_come_back_with_their_types(run):
    manager = run()
    manager.save(0, 0, metrics={"loss": np.float32(0.5), "epoch": 3, "big": 2**80, "name": "x", "ok": True})
    assert manager.metrics(0) == {"loss": 0.5, "epoch": 3, "big": 2**80, "name": "x", "ok": True}
    assert {type(value) for value in manager.metrics(0).values()} == {float, int, str, bool}
    manager.save(1, 0)
    assert manager.metrics(1) is None
    manager.save(2, 0, metrics={"loss": float("nan")})
    assert np.isnan(manager.metrics(2)["loss"])
    with pytest.raises(TypeError, match="metrics"):
        manager.save(3, 0, metrics={"loss": object()})
    assert manager.all_steps() == [0, 1, 2]


# ---- what is refused


def test_an_existing_step_is_a_file_exists_error_unless_overwritten(run):
    manager = run()
    manager.save(1, tree(1))
    for force in (False, True):
        with pytest.raises(FileExistsError, match="step 1 "):
            manager.save(1, tree(2), force=force)
    assert difference(manager.restore(1), tree(1)) is None
    assert manager.save(1, tree(5), overwrite=True)
    assert difference(manager.restore(1), tree(5)) is None
    assert manager.all_steps() == [1]


@pytest.mark.parametrize("step", ["1", 1.0, None, True])
def test_a_step_that_is_no_int_is_a_type_error(run, step):
    with pytest.raises(TypeError, match="step"):
        run().save(step, 0)


def test_a_negative_step_is_a_value_error(run):
    manager = run()
    with pytest.raises(ValueError, match="-1"):
        manager.save(-1, 0)
    with pytest.raises(ValueError, match="-2"):
        manager.restore(-2)
    assert manager.save(np.int64(7), 0) and manager.all_steps() == [7]


def test_no_such_step_is_a_file_not_found_error(run):
    manager = run()
    with pytest.raises(FileNotFoundError):
        manager.restore()
    manager.save(1, 0)
    for call in (manager.restore, manager.delete, manager.metadata, manager.metrics, manager.item_metadata):
        with pytest.raises(FileNotFoundError, match="8"):
            call(8)


def test_no_such_directory_is_a_file_not_found_error(run, tmp_path):
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(FileNotFoundError):
            run(**options)
    assert os.listdir(tmp_path) == []


def test_parents_are_made(tmp_path):
    CheckpointManager(tmp_path / "a/b/run").close()
    assert (tmp_path / "a/b/run/STORE").is_file()


def test_a_relative_directory_is_meant_when_the_manager_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with CheckpointManager("run") as manager:
        os.mkdir("elsewhere")
        monkeypatch.chdir("elsewhere")
        manager.save(1, 0)
    assert CheckpointManager("../run", read_only=True).restore() == 0
    with CheckpointManager("../run", create=False) as manager:
        assert manager.metadata(1).path.startswith(str(tmp_path / "run/data/00000001-"))


def test_without_locks_two_may_write(run):
    first, second = run(no_lock=True), run(no_lock=True)
    first.save(1, 0)
    second.reload()
    second.save(2, 0)
    first.reload()
    assert first.all_steps() == [1, 2]


def test_a_second_writer_is_told_who_the_first_is(run):
    first = run()
    with pytest.raises(BlockingIOError) as caught:
        run(lock_timeout=0.05)
    assert str(os.getpid()) in str(caught.value) and socket.gethostname() in str(caught.value)
    assert caught.value.errno in (errno.EAGAIN, errno.EWOULDBLOCK)
    first.close()
    run()


def test_a_reader_changes_nothing_and_is_not_kept_out(run, tmp_path):
    writer = run()
    writer.save(1, tree(1))
    before = sorted(os.walk(tmp_path))
    reader = run(read_only=True)
    assert reader.should_save(5) is False
    assert reader.save(5, tree(5)) is False
    for call in (lambda: reader.save(5, tree(5), force=True), lambda: reader.delete(1),
                 lambda: reader.prune(dry_run=False)):  # fmt: skip
        with pytest.raises(RuntimeError, match="read.only"):
            call()
    assert sorted(os.walk(tmp_path)) == before
    writer.save(2, tree(2))
    assert reader.all_steps() == [1]
    reader.reload()
    assert reader.all_steps() == [1, 2]


def test_a_closed_manager_is_a_runtime_error(run):
    with run() as manager:
        manager.save(1, 0)
    manager.close()
    for call in (lambda: manager.save(2, 0), manager.all_steps, manager.restore, manager.wait_until_finished):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    manager.request_save()


def test_a_tree_with_no_place_for_something_leaves_nothing_behind(run, tmp_path):
    manager = run()
    for value, error in (({"a": object()}, TypeError), ({1.5: 0}, TypeError)):
        with pytest.raises(error, match="a|1.5"):
            manager.save(1, value)
    assert manager.all_steps() == [] and os.listdir(tmp_path / "run/data") == []
    with pytest.raises(TypeError, match="tree or items"):
        manager.save(1)
    assert manager.save(1, 0)


# ---- damage


def damage(version):
    with open(version.path, "r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"\xff" * 8)


def test_a_damaged_latest_is_passed_over_and_said(run):
    manager = run()
    save_all(manager, [1, 2])
    damage(manager.metadata(2))
    with pytest.warns(RuntimeWarning, match="2"):
        back = manager.restore()
    assert difference(back, tree(1)) is None and manager.restored_step == 1
    for step, strict in ((2, False), (None, True)):
        with pytest.raises(treering.CorruptionError):
            manager.restore(step, strict=strict)


def test_a_step_with_damage_in_its_data_is_passed_over_before_or_while_it_is_loaded(run):
    manager = run()
    for step in (1, 2):
        manager.save(step, np.full(10000, step, np.int32))
    version = manager.metadata(2)
    with open(version.path, "r+b") as file:
        content = file.read()
        file.seek(content.index(np.full(100, 2, np.int32).tobytes()) + 200)
        file.write(b"\x55")
    for verify in False, True:
        with pytest.warns(RuntimeWarning, match="step 1 is taken"):
            assert manager.restore(verify=verify)[0] == 1
        with pytest.raises(treering.CorruptionError):
            manager.restore(strict=True, verify=verify)


# ---- when to save


def test_the_interval_takes_the_first_step_too_and_skips_others(run):
    manager = run(save_interval_steps=5, save_on_steps=[7])
    assert save_all(manager, range(3, 12)) == [3, 5, 7, 10]
    assert not manager.should_save(10) and not manager.should_save(9) and manager.should_save(15)
    assert manager.save(9, tree(9)) is False
    assert manager.save(9, tree(9), force=True)


def test_a_requested_save_is_the_next(run):
    manager = run(save_interval_steps=100)
    manager.save(0, 0)
    assert not manager.should_save(1)
    manager.request_save()
    assert manager.should_save(2)
    assert save_all(manager, [2, 3]) == [2]


def test_save_policies_are_joined_by_or(run):
    manager = run(save_policies=[policies.Interval(4), policies.Steps([6])])
    assert save_all(manager, range(1, 10)) == [4, 6, 8]
    manager.close()
    manager = run(save_policies=policies.Initial())
    assert save_all(manager, [20]) == []


def test_continuous_saves_when_the_last_is_old_enough(run):
    assert save_all(run(save_policies=policies.Continuous(3600)), range(3)) == [0]


def test_continuous_without_an_interval_saves_whenever_none_is_running(run):
    assert save_all(run(save_policies=policies.Continuous()), range(3)) == [0, 1, 2]


def test_a_function_decides_from_step_and_versions(run):
    seen = []

    def ask(step, versions):
        seen.append((step, versions))
        return step % 2

    manager = run(save_policies=ask)
    assert [s for s in range(4) if manager.save(s, 0, metrics={"m": float(s)})] == [1, 3]
    assert [step for step, _ in seen] == [0, 1, 2, 3]
    ((version,),) = [versions for step, versions in seen if step == 2]
    assert (version.step, version.metrics) == (1, {"m": 1.0}) and version.time > 1.6e9


def test_what_a_save_policy_raises_is_raised_and_nothing_is_saved(run):
    def ask(step, versions):
        raise ZeroDivisionError("no")

    manager = run(save_policies=ask)
    for call in (lambda: manager.save(1, 0), lambda: manager.should_save(1)):
        with pytest.raises(ZeroDivisionError):
            call()
    assert manager.all_steps() == []
    assert manager.save(1, 0, force=True)


def test_a_policy_that_calls_its_manager_is_told_not_to(run):
    manager = run(save_policies=lambda step, versions: manager.latest_step() is None)
    with pytest.raises(RuntimeError, match="policy"):
        manager.should_save(1)


# ---- what stays


LOSSES = [5.0, 1.0, 4.0, 2.0, 3.0, 9.0]


@pytest.mark.parametrize(
    "options, kept",
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"max_to_keep": 2}, [4, 5]),
        ({"max_to_keep": 2, "verify_before_prune": True}, [4, 5]),
        ({"max_to_keep": 1, "keep_period": 2}, [0, 2, 4, 5]),
        ({"keep_period": 2}, [0, 1, 2, 3, 4, 5]),
        ({"max_to_keep": 1, "keep_time_interval": 3600}, [0, 5]),
        ({"max_to_keep": 2, "best_metric": "loss", "best_mode": "min"}, [1, 3, 5]),
        ({"max_to_keep": 2, "best_metric": "loss"}, [0, 5]),
        ({"keep_policies": policies.Latest(3)}, [3, 4, 5]),
        ({"keep_policies": policies.All()}, [0, 1, 2, 3, 4, 5]),
        ({"keep_policies": [policies.Latest(1), policies.Best("loss", 1, lowest=True)]}, [1, 5]),
        ({"keep_policies": policies.EverySteps(3)}, [0, 3, 5]),
        ({"keep_policies": policies.EverySteps(3, count=1)}, [3, 5]),
        ({"keep_policies": policies.Closest(3)}, [0, 3, 5]),
        ({"keep_policies": policies.EverySeconds(3600)}, [0, 5]),
        ({"keep_policies": policies.Younger(3600)}, [0, 1, 2, 3, 4, 5]),
        ({"keep_policies": policies.Steps([1, 2])}, [1, 2, 5]),
        ({"keep_policies": lambda versions: [v.metrics["loss"] < 3 for v in versions]}, [1, 3, 5]),
    ],
)
def test_retention_keeps(run, options, kept):
    manager = run(**options)
    for step, loss in enumerate(LOSSES):
        manager.save(step, tree(step), metrics={"loss": loss})
    assert manager.all_steps() == kept
    for step in kept:
        assert difference(manager.restore(step), tree(step)) is None
    manager.close()
    assert run().all_steps() == kept


def test_a_dry_run_explains_and_changes_nothing(run):
    manager = run()
    for step, loss in enumerate(LOSSES):
        manager.save(step, 0, metrics={"loss": loss})
    keep = [policies.Latest(1), policies.Best("loss", 2, lowest=True)]
    decisions = manager.prune(keep)
    assert [d.step for d in decisions] == list(range(6))
    assert [d.step for d in decisions if d.keep] == [1, 3, 5]
    assert all(isinstance(d.rule, str) and d.rule for d in decisions)
    assert manager.all_steps() == list(range(6))
    assert [d.keep for d in manager.prune()] == [True] * 6
    manager.prune(keep, dry_run=False)
    assert manager.all_steps() == [1, 3, 5]


def test_what_a_keep_policy_raises_drops_nothing_and_is_said(run):
    def ask(versions):
        raise ZeroDivisionError("no")

    manager = run(keep_policies=[ask, policies.Latest(1)])
    for step in range(3):
        with pytest.warns(RuntimeWarning, match="ZeroDivisionError"):
            manager.save(step, 0)
    assert manager.all_steps() == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        manager.prune()
    with pytest.raises(ValueError, match="1 values for 3"):
        manager.prune(lambda versions: [True], dry_run=False)


def test_what_a_keep_policy_raises_in_the_background_is_said_and_raised_by_no_other_call(run):
    main = threading.get_ident()

    def ask(versions):
        if threading.get_ident() != main:
            raise ZeroDivisionError("no")
        return [False] * len(versions)

    manager = run(keep_policies=ask, asynchronous=True)
    for step in range(2):
        manager.save(step, 0)
        with pytest.warns(RuntimeWarning, match=f"step {step} .*ZeroDivisionError"):
            manager.wait_until_finished()
    manager.save(2, 0)
    with pytest.warns(RuntimeWarning, match="step 2 .*ZeroDivisionError"):
        decisions = manager.prune(dry_run=False)
    assert [decision.keep for decision in decisions] == [False, False, True]
    assert manager.all_steps() == [2]


def test_a_warning_that_is_an_error_hides_no_failure(run):
    def ask(versions):
        assert saved.wait(60)
        raise ZeroDivisionError("no")

    def broken(done, total):
        raise KeyError("planted")

    saved, manager = threading.Event(), run(keep_policies=ask, asynchronous=True, save_queue=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager.save(0, 0)
        manager.save(1, 0, progress=broken)
        saved.set()
        with pytest.raises(RuntimeWarning, match="ZeroDivisionError"):
            manager.wait_until_finished()
        with pytest.raises(KeyError, match="planted"):
            manager.wait_until_finished()
        manager.wait_until_finished()
    assert manager.all_steps() == [0]


def test_a_save_is_listed_no_more_often_the_longer_the_run(run, monkeypatch):
    asked = []
    real = _versions._raw
    monkeypatch.setattr(_versions, "_raw", lambda *args: asked.append(args) or real(*args))
    manager = run(max_to_keep=2)
    manager.save(0, 0)
    before = len(asked)
    for step in range(1, 30):
        assert manager.save(step, 0, force=step % 2 == 0)
    assert len(asked) == before
    with pytest.raises(FileExistsError):
        manager.save(29, 0, force=True)
    manager.reload()
    assert manager.save(30, 0)


def test_a_step_without_the_metric_stays_unless_told_otherwise(run):
    manager = run()
    for step, loss in enumerate([2.0, None, 1.0, float("nan"), 3.0]):
        manager.save(step, 0, metrics=None if loss is None else {"loss": loss})
    best = dict(metric="loss", count=1, lowest=True)
    assert [d.step for d in manager.prune(policies.Best(**best)) if d.keep] == [1, 2, 3, 4]
    dropping = policies.Best(**best, drop_without_metrics=True)
    assert [d.step for d in manager.prune(dropping) if d.keep] == [2, 4]


def test_the_best_is_found_by_metric(run):
    manager = run(best_metric="loss", best_mode="min")
    assert manager.best_step() is None
    for step, loss in enumerate([3.0, 1.0, float("nan"), 1.0, 2.0]):
        with pytest.warns(RuntimeWarning) if loss != loss else contextlib.nullcontext():
            manager.save(step, tree(step), metrics={"loss": loss})
    assert manager.best_step() == 3
    assert manager.best_step("loss", "max") == 0
    assert manager.best_step("other") is None
    assert difference(manager.restore("best"), tree(3)) is None and manager.restored_step == 3


def test_a_step_without_the_metric_that_ranks_it_is_a_warning(run):
    manager = run(best_metric="loss", max_to_keep=1)
    with pytest.warns(RuntimeWarning, match="'loss'"):
        manager.save(1, 0, metrics={"los": 1.0})


def test_without_a_metric_there_is_no_best(run):
    manager = run()
    manager.save(1, 0, metrics={"loss": 1.0})
    for call in (manager.best_step, lambda: manager.restore("best")):
        with pytest.raises(ValueError, match="best_metric"):
            call()


def test_a_deleted_step_is_gone(run, tmp_path):
    manager = run()
    save_all(manager, [1, 2])
    manager.delete(2)
    assert manager.all_steps() == [1] and manager.latest_step() == 1
    assert len(os.listdir(tmp_path / "run/data")) == 1
    assert manager.save(2, tree(7))
    assert difference(manager.restore(2), tree(7)) is None


@pytest.mark.parametrize(
    "options",
    [
        {"max_to_keep": 0}, {"max_to_keep": -1}, {"max_to_keep": 2, "best_metric": "m", "best_mode": "best"},
        {"max_to_keep": 2, "keep_policies": policies.Latest(2)},
        {"save_interval_steps": 2, "save_policies": policies.Interval(2)},
        {"save_interval_steps": 0}, {"save_queue": 0},
    ],
)  # fmt: skip
def test_arguments_that_do_not_go_together_are_value_errors(run, tmp_path, options):
    with pytest.raises(ValueError):
        run(**options)
    assert os.listdir(tmp_path) == []


def test_what_is_no_policy_is_a_type_error(run):
    for options in ({"keep_policies": policies.Interval(2)}, {"save_policies": [3]}, {"keep_policies": int}):
        with pytest.raises(TypeError, match="policies takes"):
            run(**options)


def test_the_examples_of_policies_are_right():
    assert doctest.testmod(policies).failed == 0 and doctest.testmod(policies).attempted > 0

# SPDX-License-Identifier: Apache-2.0
# training.Checkpointer of treering.orbax.v1: deciding, keeping, failing, loading, ending.
import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treering
from treering.orbax import v1 as ocp

saves = ocp.training.save_decision_policies
keeps = ocp.training.preservation_policies
StepAlreadyExistsError = ocp.training.errors.StepAlreadyExistsError
StepNotFoundError = ocp.training.errors.StepNotFoundError


def state(value):
    return {"w": np.full(3, value), "j": jnp.full(2, value), "n": value}


@pytest.fixture
def make(tmp_path):
    made = []

    def run(**arguments):
        made.append(ocp.training.Checkpointer(tmp_path / "run", **arguments))
        return made[-1]

    yield run
    for checkpointer in made:
        checkpointer.close()


def steps(checkpointer):
    return [found.step for found in checkpointer.checkpoints]


# ---- saving


def test_a_run_saves_skips_and_goes_on(make):
    policy = saves.AnySavePolicy([saves.FixedIntervalPolicy(3), saves.InitialSavePolicy()])
    first = make(save_decision_policy=policy, custom_metadata={"run": 1})
    assert first.latest is None and first.checkpoints == []
    answers = [first.save(s, state(s), metrics={"loss": -s}, custom_metadata={"s": s}) for s in range(1, 8)]
    assert answers == [True, False, True, False, False, True, False]
    first.close()
    second = make(custom_metadata={"run": 2})
    assert steps(second) == [1, 3, 6] and second.latest.metrics == {"loss": -6}
    assert second.load()["w"].tolist() == [6, 6, 6] and second.load(3)["n"] == 3
    assert second.root_metadata().custom_metadata == {"run": 1}
    found = second.metadata(3)
    assert (found.step, found.metrics, found.custom_metadata) == (3, {"loss": -3}, {"s": 3})
    assert found.metadata["n"] == 0 and found.path == second.directory / "3"
    assert second.load(second.checkpoints[0])["n"] == 1


def test_a_step_that_exists_is_an_error_even_where_the_policy_skips(make):
    checkpointer = make(save_decision_policy=saves.SpecificStepsPolicy([2]))
    checkpointer.save(2, state(2))
    for more in ({}, {"force": True}):
        with pytest.raises(StepAlreadyExistsError) as caught:
            checkpointer.save(2, state(3), **more)
        assert isinstance(caught.value, FileExistsError)
    assert checkpointer.save(1, state(1)) is False and checkpointer.load(2)["n"] == 2


def test_an_overwrite_without_force_never_loses_the_step(make):
    checkpointer = make()
    for step in (1, 3):
        checkpointer.save(step, state(step))
    assert checkpointer.save(1, state(9), overwrite=True) is False
    assert steps(checkpointer) == [1, 3] and checkpointer.load(1)["n"] == 1
    assert checkpointer.save(1, state(9), overwrite=True, force=True) is True
    assert checkpointer.save(3, state(8), overwrite=True) is True
    assert checkpointer.load(1)["n"] == 9 and checkpointer.load(3)["n"] == 8


def test_an_overwrite_that_fails_leaves_the_step(make):
    checkpointer = make()
    checkpointer.save(1, state(1), metrics={"loss": 1})
    for bad in ({"metrics": {"loss": object()}}, {"custom_metadata": {"k": object()}}):
        with pytest.raises(TypeError):
            checkpointer.save(1, state(2), overwrite=True, **bad)
    with pytest.raises(ValueError):
        checkpointer.save(1, {"a": object()}, overwrite=True)
    assert checkpointer.load(1)["n"] == 1 and checkpointer.latest.metrics == {"loss": 1}
    assert not checkpointer.is_saving_in_progress() and checkpointer.save(2, state(2))


def test_a_forced_lower_step_is_not_the_latest_and_drops_no_greater_one(make):
    checkpointer = make(preservation_policy=keeps.LatestN(2))
    for step in (6, 8):
        checkpointer.save(step, state(step))
    assert checkpointer.save(1, state(1), force=True) is True
    assert steps(checkpointer) == [6, 8] and checkpointer.latest.step == 8
    assert checkpointer.should_save(9) and not checkpointer.should_save(7)


def test_steps_are_ints_from_zero_up(make):
    checkpointer = make()
    for bad, error in ((-1, ValueError), ("4", TypeError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error):
            checkpointer.save(bad, state(0))
    assert checkpointer.save(np.int64(4), state(4)) and checkpointer.load(np.int64(4))["n"] == 4


def test_data_are_safe_from_the_program_when_save_async_returns(make):
    checkpointer = make()
    array, lent = np.zeros(50000), jnp.zeros(50000)
    response = checkpointer.save_async(0, {"a": array, "j": lent})
    array[:] = 5
    lent.delete()
    assert steps(checkpointer) == [0]
    assert response.result() is True and response.result(timeout=1) is True
    back = checkpointer.load()
    assert back["a"].sum() == 0 and back["j"].sum() == 0


def test_the_default_policy_skips_while_a_save_runs(make):
    checkpointer = make()
    response = checkpointer.save_async(0, {"a": np.zeros(3_000_000)})
    skipped = checkpointer.save_async(1, state(1))
    assert skipped is None or not checkpointer._manager.is_saving_in_progress() or skipped.result()
    with pytest.raises(StepAlreadyExistsError):
        checkpointer.save_async(0, state(0), force=True)
    assert checkpointer.load(0)["a"].shape == (3_000_000,)  # waits
    assert response.result() is True


def test_metrics_are_stored_and_come_back(make):
    checkpointer = make()
    given = [{"loss": 1.5, "n": 2, "text": "x"}, {"loss": np.float32(0.5)}, {}, None, [1, 2]]
    for step, metrics in enumerate(given):
        checkpointer.save(step, state(step), metrics=metrics)
    checkpointer.reload()
    assert [found.metrics for found in checkpointer.checkpoints] == given


def test_checkpointables_are_saved_and_loaded_by_name(make):
    checkpointer = make()
    assert checkpointer.save_checkpointables(0, {"model": state(1), "opt": {"m": 2}})
    assert checkpointer.load_checkpointables(0, {"opt": None}) == {"opt": {"m": 2}}
    assert sorted(checkpointer.load_checkpointables()) == ["model", "opt"]
    assert checkpointer.load(checkpointable_name="model")["n"] == 1
    assert checkpointer.checkpointables_metadata().metadata["opt"] == {"m": 0}
    with pytest.raises(KeyError):
        checkpointer.load()
    for bad in ({}, {"metrics": {}}, {"": 1}):
        with pytest.raises(ValueError):
            checkpointer.save_checkpointables(1, bad)


# ---- keeping


@pytest.mark.parametrize(
    "policy, kept",
    [
        (keeps.PreserveAll(), [0, 1, 2, 3, 4]),
        (keeps.LatestN(2), [3, 4]),
        (keeps.LatestN(0), []),
        (keeps.EveryNSteps(2), [0, 2, 4]),
        (keeps.CustomSteps([1, 3]), [1, 3]),
        (keeps.BestN(get_metric_fn=lambda m: m["loss"], n=2), [0, 4]),
        (keeps.BestN(get_metric_fn=lambda m: m["loss"], n=1, reverse=True), [2]),
        (keeps.AnyPreservationPolicy([keeps.LatestN(1), keeps.CustomSteps([0])]), [0, 4]),
    ],
)
def test_a_policy_keeps_what_that_of_orbax_keeps(make, policy, kept):
    checkpointer = make(preservation_policy=policy)
    for step, loss in enumerate((9, 3, 1, 5, 7)):
        assert checkpointer.save(step, state(step), metrics={"loss": loss}, force=True)
    assert steps(checkpointer) == kept
    checkpointer.reload()
    assert steps(checkpointer) == kept


def test_a_policy_of_the_program_is_told_of_steps_times_and_metrics(make):
    told = []

    class Mine:
        def should_save(self, step, previous_steps, *, context):
            told.append((step.step, [p.step for p in previous_steps], context.is_saving_in_progress))
            return step.step != 1

        def should_preserve(self, checkpoints, *, context):
            assert all(c.time.tzinfo is not None for c in checkpoints)
            return [c.metrics["keep"] for c in checkpoints]

    checkpointer = make(save_decision_policy=Mine(), preservation_policy=Mine())
    answers = [checkpointer.save(s, state(s), metrics={"keep": s != 2}) for s in range(4)]
    assert answers == [True, False, True, True] and steps(checkpointer) == [0, 3]
    assert told == [(0, [], False), (1, [0], False), (2, [0], False), (3, [0], False)]


def test_a_policy_that_raises_stops_the_save_before_anything_is_written(make):
    class Bad:
        def should_save(self, step, previous_steps, *, context):
            raise LookupError("no")

        def should_preserve(self, checkpoints, *, context):
            raise LookupError("no")

    for arguments in ({"save_decision_policy": Bad()}, {"preservation_policy": Bad()}):
        checkpointer = make(**arguments)
        with pytest.raises(LookupError):
            checkpointer.save(0, state(0))
        assert steps(checkpointer) == []
    best = make(preservation_policy=keeps.BestN(get_metric_fn=lambda m: m["loss"], n=1))
    with pytest.raises(KeyError):
        best.save(0, state(0), metrics={"other": 1})
    assert steps(best) == []


# ---- names and paths


def test_steps_have_the_names_that_the_format_gives(make, tmp_path):
    names = ocp.path.step.standard_name_format(step_prefix="run", step_format_fixed_length=4)
    checkpointer = make(step_name_format=names)
    checkpointer.save(7, state(7))
    assert checkpointer.latest.path == tmp_path / "run" / "run_0007"
    assert ocp.load(checkpointer.latest.path)["n"] == 7
    assert [found.step for found in names.find_all(tmp_path / "run")] == [7]
    assert names.find_step(tmp_path / "run", 7).path.name == "run_0007"
    other = ocp.path.step.standard_name_format()
    assert list(other.find_all(tmp_path / "run")) == []
    both = ocp.path.step.composite_name_format(other, [other, names])
    assert both.build_name(7) == "7" and both.find_step(tmp_path / "run", 7).step == 7


def test_free_functions_take_the_paths_of_steps(make):
    checkpointer = make()
    checkpointer.save(3, state(3))
    path = checkpointer.directory / "3"
    assert ocp.load(path)["n"] == 3 and ocp.is_orbax_checkpoint(path)
    assert not ocp.is_orbax_checkpoint(checkpointer.directory)
    with pytest.raises(ValueError):
        ocp.save(path, state(4))
    checkpointer.close()
    ocp.save(checkpointer.directory / "5", state(5))
    ocp.save(path, state(9), overwrite=True)
    again = make()
    assert steps(again) == [3, 5] and again.load(3)["n"] == 9 and again.load(5)["n"] == 5
    again.close()
    assert ocp.delete(path) is True and steps(make()) == [5]


def test_steps_of_the_older_manager_are_loaded_and_the_other_way_round(make, tmp_path):
    import treering.orbax as old

    with old.CheckpointManager(tmp_path / "run") as manager:
        manager.save(1, args=old.args.StandardSave(state(1)))
    checkpointer = make()
    assert checkpointer.load_checkpointables(1)["default"]["n"] == 1
    assert ocp.load(checkpointer.directory / "1")["n"] == 1
    assert checkpointer.save_checkpointables(2, {"default": state(2)}, metrics={"loss": 3})
    checkpointer.close()
    with old.CheckpointManager(tmp_path / "run") as manager:
        assert manager.restore(2)["n"] == 2 and manager.metrics(2) == {"loss": 3}


def test_an_empty_folder_named_after_a_step_is_none(make):
    checkpointer = make()
    checkpointer.save(1, state(1))
    (checkpointer.directory / "12").mkdir()
    checkpointer.reload()
    assert steps(checkpointer) == [1] and checkpointer.load()["n"] == 1


# ---- loading


def test_missing_steps_are_missing_files(make):
    checkpointer = make()
    for call in (checkpointer.load, checkpointer.metadata, checkpointer.load_checkpointables):
        with pytest.raises(StepNotFoundError):
            call()
        with pytest.raises(FileNotFoundError):
            call(3)


def test_a_target_that_does_not_fit_is_of_both_classes(make):
    checkpointer = make()
    checkpointer.save(0, state(0))
    with pytest.raises(KeyError) as caught:
        checkpointer.load(0, {"w": np.zeros(3)})
    assert isinstance(caught.value, ValueError)
    with pytest.raises(TypeError):
        checkpointer.load(0, {"w": object()})
    target = {**state(0), "j": jax.ShapeDtypeStruct((2,), jnp.float32)}
    assert checkpointer.load(0, target)["j"].dtype == jnp.float32
    assert checkpointer.load_async(0, target).result()["n"] == 0
    assert checkpointer.load(0, checkpointer.metadata(0))["n"] == 0


def test_the_context_of_a_checkpointer_is_in_force_unless_another_is_active(make):
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    checkpointer = make(context=context)
    context.pytree.loading.partial_load = False
    checkpointer.save(0, state(4))
    assert checkpointer.load(0, {"n": 0}) == {"n": 4}
    with ocp.Context(), pytest.raises(KeyError):
        checkpointer.load(0, {"n": 0})


# ---- dropping, failing, ending


def test_delete_and_cancel_drop_steps(make):
    checkpointer = make()
    for step in range(4):
        checkpointer.save_checkpointables(step, {"a": {"x": step}, "b": {"y": step}})
    assert checkpointer.delete(0) is True and checkpointer.delete(0, missing_ok=True) is False
    with pytest.raises(StepNotFoundError):
        checkpointer.delete(0)
    with pytest.raises(TypeError):
        checkpointer.delete("1")
    assert checkpointer.delete(1, checkpointable_name="a") is True
    assert checkpointer.load_checkpointables(1) == {"b": {"y": 1}}
    with pytest.raises(ValueError, match="only"):
        checkpointer.delete(1, checkpointable_name="b")
    pending = checkpointer.delete_async(2)
    checkpointer.wait()
    assert pending.result() is True and steps(checkpointer) == [1, 3]
    checkpointer.cancel()
    checkpointer.cancel(3)
    assert steps(checkpointer) == [1]


@contextlib.contextmanager
def files_of_at_most(size):
    """What is longer fails to be written, in this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_failure_in_the_background_is_told_once_and_drops_no_step(make):
    large = {"a": np.zeros(100_000)}
    checkpointer = make(preservation_policy=keeps.LatestN(1))
    checkpointer.save(0, state(0))
    with files_of_at_most(100_000):
        response = checkpointer.save_async(1, large, force=True)
        for _ in range(2):
            with pytest.raises(OSError):
                response.result()
        checkpointer.wait()  # it was told
        assert steps(checkpointer) == [0] and not checkpointer.is_saving_in_progress()
        checkpointer.save_async(2, large, force=True)
        with pytest.raises(OSError):
            checkpointer.save(3, state(3), force=True)
        assert steps(checkpointer) == [0] and checkpointer.load()["n"] == 0
    assert checkpointer.save(3, large) is True and steps(checkpointer) == [3]


def test_a_failure_that_nobody_asked_for_is_told_by_wait_once(make):
    class Failing:
        def __init__(self):
            self.error = OSError(28, "full")

        def __call__(self, timeout):
            raise self.error

    from treering.orbax.v1.training._response import SaveResponse

    checkpointer = make()
    checkpointer._running = response = SaveResponse(Failing())
    with pytest.raises(OSError, match="full"):
        checkpointer.wait()
    checkpointer.wait()
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            response.result()


def test_callbacks_are_called_when_the_step_is_there(make):
    seen, done = [], threading.Event()
    context = ocp.Context()
    context.asynchronous.post_finalization_callback = lambda: seen.append("callback")
    checkpointer = make(context=context)
    checkpointer.save_async(0, state(0)).on_complete(lambda value: (seen.append(value), done.set()))
    assert done.wait(60)
    checkpointer.wait()
    assert sorted(map(str, seen)) == ["True", "callback"]


def test_after_close_steps_can_be_loaded_and_not_saved(make):
    checkpointer = make()
    checkpointer.save_async(0, state(0))
    checkpointer.close()
    checkpointer.close()
    assert checkpointer.load()["n"] == 0 and steps(checkpointer) == [0]
    with pytest.raises(treering.WrongStateError):
        checkpointer.save(1, state(1))


def test_a_reload_during_a_save_keeps_the_step(make):
    checkpointer = make()
    response = checkpointer.save_async(0, {"a": np.zeros(2_000_000)})
    checkpointer.reload()
    assert steps(checkpointer) == [0]
    response.result()
    assert steps(checkpointer) == [0]


def test_two_checkpointers_of_a_directory_see_each_other_after_reload(make):
    first, second = make(), make()
    first.save(0, state(0))
    second.reload()
    assert second.load()["n"] == 0
    assert second.save(1, state(1))
    first.reload()
    assert steps(first) == [0, 1]


def test_an_exception_in_the_body_is_not_replaced(tmp_path):
    with pytest.raises(ZeroDivisionError), ocp.training.Checkpointer(tmp_path / "x") as checkpointer:
        checkpointer.save_async(0, state(0))
        1 / 0
    with ocp.training.Checkpointer(tmp_path / "x") as again:
        assert steps(again) == [0]


RUN = """
import sys, numpy as np
from treering.orbax import v1 as ocp
checkpointer = ocp.training.Checkpointer(sys.argv[1])
for step in range(int(sys.argv[2])):
    response = checkpointer.save_async(step, {"a": np.full(200000, step)}, force=True, overwrite=True)
    print(step, flush=True)
"""


def _start(folder, count):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RUN, str(folder), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


def test_an_interpreter_that_exits_without_close_finishes_its_last_save(make, tmp_path):
    process = _start(tmp_path / "run", 3)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert steps(make()) == [0, 1, 2]


def test_a_kill_leaves_whole_steps_only(make, tmp_path):
    process = _start(tmp_path / "run", 100000)
    for line in process.stdout:
        if line.strip() == "4":
            break
    time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    checkpointer = make()
    assert steps(checkpointer)[:4] == [0, 1, 2, 3]
    for step in steps(checkpointer):
        assert checkpointer.load(step)["a"].tolist() == [step] * 200000

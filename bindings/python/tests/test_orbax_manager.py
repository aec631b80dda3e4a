# SPDX-License-Identifier: Apache-2.0
# CheckpointManager under Orbax's names: what it does, and where it does better than Orbax.
import datetime
import resource
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treering
import treering.orbax as ocp

Options = ocp.CheckpointManagerOptions


def tree(step=0):
    return {"w": np.full((2, 3), step, np.float32), "n": step}


def standard(step=0):
    return ocp.args.StandardSave(tree(step))


@pytest.fixture
def open_manager(tmp_path):
    """Makes managers of one folder, synchronous unless said otherwise, and closes them."""
    made = []

    def run(folder=None, *, more=None, **options):
        options.setdefault("enable_async_checkpointing", False)
        manager = ocp.CheckpointManager(
            folder or tmp_path / "run", options=Options(**options), **(more or {})
        )
        made.append(manager)
        return manager

    yield run
    for manager in made:
        manager.close()


# ---- what Orbax does, too


@pytest.mark.parametrize("asynchronous", [False, True])
def test_max_to_keep_of_zero_keeps_nothing_not_even_the_step_just_saved(open_manager, asynchronous):
    manager = open_manager(max_to_keep=0, enable_async_checkpointing=asynchronous)
    assert manager.save(0, args=standard())
    assert manager.all_steps() == []
    manager.wait_until_finished()
    assert open_manager(read_only=True).all_steps() == []
    assert manager.save(0, args=standard())


def test_best_n_drops_the_newest_step_if_it_is_not_among_the_best(open_manager):
    manager = open_manager(max_to_keep=2, best_fn=lambda m: m["loss"], best_mode="max")
    for step, loss in enumerate([5, 9, 7, 1]):
        manager.save(step, args=standard(step), metrics={"loss": loss})
    assert (manager.all_steps(), manager.latest_step(), manager.best_step()) == ([1, 2], 2, 1)


def test_a_step_that_exists_is_skipped_and_with_force_an_error(open_manager):
    manager = open_manager()
    manager.save(5, args=standard())
    assert manager.save(5, args=standard()) is False
    with pytest.raises(ValueError, match="step 5 already exists"):
        manager.save(5, args=standard(), force=True)


def test_several_items_come_back_as_a_composite_and_some_of_them_if_asked(open_manager):
    manager = open_manager()
    items = ocp.args.Composite(state=standard(1), more=ocp.args.JsonSave({"a": [1]}))
    manager.save(1, args=items)
    fresh = open_manager(read_only=True)
    both = fresh.restore(1)
    assert (both.state["n"], both["more"]) == (1, {"a": [1]})
    some = fresh.restore(1, args=ocp.args.Composite(more=ocp.args.JsonRestore()))
    assert list(some) == ["more"]
    with pytest.raises(KeyError, match="more"):
        fresh.restore(1, args=ocp.args.Composite(other=ocp.args.JsonRestore()))


def test_the_first_save_decides_between_one_item_and_several(open_manager):
    manager = open_manager()
    manager.save(1, args=standard())
    with pytest.raises(ValueError, match="Composite"):
        manager.save(2, args=ocp.args.Composite(state=standard()))
    with pytest.raises(ValueError, match="args=StandardSave"):
        manager.save(2, standard())
    with pytest.raises(ValueError, match="args="):
        manager.save(2)


@pytest.mark.parametrize("name", ["checkpointers", "item_names", "item_handlers"])
def test_arguments_that_name_handlers_twice_are_refused(tmp_path, name):
    given = {
        "checkpointers": ocp.PyTreeCheckpointer(),
        "item_names": ("a",),
        "item_handlers": {"a": ocp.JsonCheckpointHandler()},
    }
    registry = ocp.DefaultCheckpointHandlerRegistry()
    with pytest.raises(ValueError, match="mutually exclusive"):
        ocp.CheckpointManager(tmp_path, handler_registry=registry, **{name: given[name]})


@pytest.mark.parametrize(
    "options",
    [
        {"best_mode": "most"},
        {"max_to_keep": -1},
        {"todelete_subdir": "a", "todelete_full_path": "b"},
        {"single_host_load_and_broadcast": True, "step_name_format": ocp.path.step.standard_name_format()},
        {"enable_per_process_directory_creation": True},
    ],
)
def test_options_that_do_not_go_together_are_a_value_error(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


def test_policies_beside_short_options_are_a_value_error_of_the_manager(tmp_path):
    policy = ocp.checkpoint_managers.LatestN(1)
    with pytest.raises(ValueError, match="preservation_policy"):
        ocp.CheckpointManager(tmp_path, options=Options(preservation_policy=policy, max_to_keep=2))


def test_the_old_api_saves_and_restores_by_checkpointers_and_handlers(tmp_path):
    one = ocp.CheckpointManager(tmp_path / "one", ocp.PyTreeCheckpointer())
    one.save(0, tree(3), metrics={"loss": 1.0})
    assert one.restore(0)["n"] == 3
    one.close()
    several = ocp.CheckpointManager(
        tmp_path / "several", item_handlers={"state": ocp.PyTreeCheckpointHandler()}
    )
    several.save(0, {"state": tree(4)})
    assert several.restore(0, {"state": None})["state"]["n"] == 4
    with pytest.raises(ValueError, match="no handler for item 'other'"):
        several.save(1, {"other": tree()})
    several.close()


def test_a_legacy_dict_of_checkpointers_holds_checkpointers_only(tmp_path):
    with pytest.raises(ValueError, match="'a'"):
        ocp.CheckpointManager(tmp_path, {"a": 3})
    with pytest.raises(ValueError, match="Checkpointer"):
        ocp.CheckpointManager(tmp_path, 3)


def test_root_metadata_is_written_once_and_read_only_managers_fall_back_to_theirs(tmp_path):
    root = tmp_path / "run"
    for value in (1, 2):
        with ocp.CheckpointManager(root, metadata={"version": value}) as manager:
            assert manager.metadata().custom_metadata == {"version": 1}
    with ocp.CheckpointManager(
        tmp_path / "none", options=Options(read_only=True), metadata={"v": 3}
    ) as manager:
        assert manager.metadata().custom_metadata == {"v": 3}
    assert not (tmp_path / "none").exists()
    (root / "metadata" / "_ROOT_METADATA").write_text("{")
    with ocp.CheckpointManager(root) as manager, pytest.raises(OSError, match="damaged"):
        manager.metadata()


def test_metadata_of_a_step_has_times_metrics_handlers_and_what_was_given(open_manager):
    before = time.time_ns()
    manager = open_manager()
    manager.save(1, args=standard(1), metrics={"loss": 2.0}, custom_metadata={"a": [1]})
    found = manager.metadata(1)
    assert found.metrics == {"loss": 2.0} and found.custom_metadata == {"a": [1]}
    assert before <= found.init_timestamp_nsecs <= found.commit_timestamp_nsecs <= time.time_ns()
    assert list(found.item_handlers) == ["default"]
    assert found.item_metadata["w"].shape == (2, 3)
    assert open_manager(read_only=True).item_metadata(1) == found.item_metadata
    with pytest.raises(ValueError, match="step"):
        manager.item_metadata(None)
    with pytest.raises(FileNotFoundError):
        manager.metadata(2)


def test_paths_of_steps_and_items_are_taken_by_checkpointers(open_manager, tmp_path):
    manager = open_manager(step_prefix="run", step_format_fixed_length=5)
    manager.save(3, args=ocp.args.Composite(state=standard(3), more=ocp.args.JsonSave([1])))
    path = tmp_path / "run" / "run_00003"
    assert ocp.StandardCheckpointer().restore(path / "state")["n"] == 3
    assert ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(path / "more") == [1]
    with pytest.raises(FileNotFoundError):
        ocp.StandardCheckpointer().restore(tmp_path / "run" / "run_00004" / "state")


def test_name_formats_say_which_steps_are_seen(open_manager, tmp_path):
    named = ocp.path.step
    old, new = named.standard_name_format(), named.standard_name_format(step_prefix="run")
    for step, form in ((1, old), (2, new), (123456, named.standard_name_format(step_format_fixed_length=3))):
        open_manager(step_name_format=form).save(step, args=standard(step))
    both = named.composite_name_format(new, [new, old])
    assert open_manager(step_name_format=both).all_steps() == [1, 2, 123456]
    assert open_manager(step_prefix="run").all_steps() == [2]
    assert open_manager(step_prefix="other").all_steps() == []
    root = tmp_path / "run"
    assert [m.path.name for m in both.find_all(root)] == ["1", "run_2", "123456"]
    assert named.latest_step_metadata(root, old).step == 123456
    assert named.find_step_path(root, new, step=2) == root / "run_2"
    assert named.checkpoint_steps(root) == [1, 2, 123456]
    assert named.is_path_finalized(root / "run_2") and not named.is_path_finalized(root / "9")
    with pytest.raises(ValueError, match="run_1"):
        new.find_step(root, 1)
    with pytest.raises(ValueError, match="write_name_format"):
        named.composite_name_format(new, [old])


def test_a_name_format_of_the_program_needs_build_name_only(open_manager):
    class Letters:
        def build_name(self, step):
            return "s" + "x" * step

    manager = open_manager(step_name_format=Letters())
    manager.save(3, args=standard(3))
    assert open_manager(step_name_format=Letters()).all_steps() == [3]
    assert open_manager().all_steps() == []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_todelete_subdir_moves_steps_into_a_store_of_its_own(open_manager, tmp_path, asynchronous):
    manager = open_manager(
        max_to_keep=1, todelete_subdir="trash", enable_async_checkpointing=asynchronous
    )
    manager.save(1, args=standard(1), metrics={"loss": 1.5}, custom_metadata={"a": 1})
    manager.save(2, args=ocp.args.StandardSave({"k": jax.random.key(3), "t": (1, jnp.ones(2))}))
    assert manager.all_steps() == [2]
    manager.save(3, args=standard(3))
    manager.wait_until_finished()
    manager.delete(3)
    assert manager.all_steps() == []
    trash = ocp.CheckpointManager(tmp_path / "run" / "trash", options=Options(read_only=True))
    assert trash.all_steps() == [1, 2, 3]
    assert (trash.restore(1)["n"], trash.metrics(1)) == (1, {"loss": 1.5})
    assert trash.metadata(1).custom_metadata == {"a": 1}
    assert isinstance(trash.restore(2)["t"], tuple)
    assert ocp.StandardCheckpointer().restore(tmp_path / "run" / "trash" / "3" / "default")["n"] == 3


def test_restore_takes_another_directory(open_manager, tmp_path):
    open_manager(tmp_path / "other", step_prefix="x").save(7, args=standard(7))
    manager = open_manager()
    assert manager.restore(None, directory=tmp_path / "other")["n"] == 7
    with pytest.raises(FileNotFoundError):
        manager.restore(None)
    with pytest.raises(FileNotFoundError):
        manager.restore(None, directory=tmp_path / "nowhere")


def test_a_policy_of_the_program_is_told_of_steps_times_and_metrics(open_manager):
    seen = []

    class Policy:
        def should_save(self, step, previous_steps, *, context):
            seen.append((step.step, [p.step for p in previous_steps], context.is_saving_in_progress))
            return step.step != 2

        def should_preserve(self, checkpoints, *, context):
            assert all(c.time.tzinfo is datetime.timezone.utc for c in checkpoints)
            return [c.metrics["keep"] for c in checkpoints]

    manager = open_manager(save_decision_policy=Policy(), preservation_policy=Policy())
    for step, keep in ((1, True), (2, True), (3, False), (4, True)):
        manager.save(step, args=standard(step), metrics={"keep": keep})
    assert seen == [(1, [], False), (2, [1], False), (3, [1], False), (4, [1], False)]
    assert manager.all_steps() == [1, 4]


def test_a_continuous_policy_saves_when_nothing_is_saving_and_time_has_passed(open_manager):
    kinds = ocp.checkpoint_managers
    policy = kinds.ContinuousCheckpointingPolicy(minimum_interval_secs=3600)
    manager = open_manager(save_decision_policy=policy)
    assert [manager.save(step, args=standard()) for step in (1, 2)] == [True, False]
    context = kinds.DecisionContext(
        is_saving_in_progress=True, reached_preemption=False,
        multiprocessing_options=ocp.options.MultiprocessingOptions(),
    )  # fmt: skip
    always = kinds.ContinuousCheckpointingPolicy()
    assert not always.should_save(None, [], context=context)


def test_a_preemption_saves_whatever_the_interval(open_manager, monkeypatch):
    manager = open_manager(save_interval_steps=10)
    manager.save(0, args=standard())
    assert not manager.should_save(3)
    monkeypatch.setattr(type(manager), "reached_preemption", lambda self, step: step == 3)
    assert manager.save(3, args=standard(3)) and manager.all_steps() == [0, 3]


# ---- where Orbax loses, damages or surprises


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
    import gc
    import weakref

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


def test_a_wait_ends_with_a_timeout_and_the_save_goes_on(open_manager, monkeypatch):
    manager = open_manager(enable_async_checkpointing=True)
    manager.save(1, args=ocp.args.StandardSave({"w": np.ones(16 << 20, np.float32)}))
    monkeypatch.setattr(manager, "_timeout", 0.0)
    if manager.is_saving_in_progress():
        try:
            manager.wait_until_finished()
        except TimeoutError as error:
            assert "step 1" in str(error)
    monkeypatch.undo()
    manager.wait_until_finished()
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

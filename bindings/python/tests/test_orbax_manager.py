# SPDX-License-Identifier: Apache-2.0
# CheckpointManager under Orbax's names does what Orbax's does.
import datetime
import time

import jax
import jax.numpy as jnp
import pytest
from orbax_managers import Options, open_manager, standard, tree  # noqa: F401

import treering.orbax as ocp


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


def test_metrics_are_one_of_several_items_with_best_fn_or_if_asked_for(open_manager):
    manager = open_manager(best_fn=lambda m: m["loss"])
    manager.save(1, args=ocp.args.Composite(state=standard(1)), metrics={"loss": 2})
    assert list(manager.restore(1)) == ["state", "metrics"]
    asked = ocp.args.Composite(metrics=ocp.args.JsonRestore())
    assert dict(open_manager().restore(1, args=asked)) == {"metrics": {"loss": 2}}
    assert list(open_manager().restore(1)) == ["state"]


def test_the_first_save_decides_between_one_item_and_several(open_manager):
    manager = open_manager()
    manager.save(1, args=standard())
    with pytest.raises(ValueError, match="Composite"):
        manager.save(2, args=ocp.args.Composite(state=standard()))
    with pytest.raises(ValueError, match="args=StandardSave"):
        manager.save(2, standard())
    with pytest.raises(ValueError, match="args="):
        manager.save(2)
    with pytest.raises(ValueError, match="args is a CheckpointArgs"):
        manager.save(2, args=3)
    with pytest.raises(ValueError, match="custom_metadata is a dict"):
        manager.save(2, args=standard(), custom_metadata=[1])


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
    assert ocp.utils.checkpoint_steps(root) == [1, 2, 123456]
    assert [ocp.utils.step_from_checkpoint_name(name) for name in ("7", "a_b_0012")] == [7, 12]
    assert named.get_save_directory(3, root, "state", step_prefix="a") == root / "a_3" / "state"
    assert named.step_metadata_of_checkpoint_path(root / "run_2", new).step == 2
    assert named.maybe_find_step_metadata(root, new, step=9) is None
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
    manager.save(1, args=standard(100))
    manager.delete(1)
    trash.reload()
    assert trash.restore(1)["n"] == 100
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

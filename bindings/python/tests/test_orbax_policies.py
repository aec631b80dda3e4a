# SPDX-License-Identifier: Apache-2.0
# Policies and step names alone, against the real Orbax's on generated lists.
import dataclasses
import datetime
import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import treering.orbax as ours

theirs = pytest.importorskip("orbax.checkpoint")

NOW = datetime.datetime.now(tz=datetime.timezone.utc)


@dataclasses.dataclass
class Info:
    step: int
    time: datetime.datetime
    metrics: object


@st.composite
def _infos(draw):
    """Steps that ascend, in steps of minutes, some with metrics."""
    infos, step, time = [], -1, NOW - datetime.timedelta(hours=3)
    for more, minutes, loss in draw(
        st.lists(
            st.tuples(st.integers(1, 7), st.integers(0, 20), st.one_of(st.none(), st.integers(-3, 3))),
            max_size=12,
        )
    ):
        step, time = step + more, time + datetime.timedelta(minutes=minutes)
        infos.append(Info(step, time, None if loss is None else {"loss": loss}))
    return infos


def _loss(metrics):
    return metrics["loss"]


_counts = st.one_of(st.none(), st.integers(0, 5))
_intervals = st.integers(0, 6)
_keeps = st.one_of(
    st.tuples(st.just("LatestN"), st.fixed_dictionaries({"n": _counts})),
    st.tuples(st.just("EveryNSeconds"), st.fixed_dictionaries({"interval_secs": st.integers(0, 3000)})),
    st.tuples(
        st.just("EveryNSteps"),
        st.fixed_dictionaries(
            {"interval_steps": _intervals, "exact_interval": st.booleans(), "max_to_keep": _counts}
        ),
    ),
    st.tuples(
        st.just("EveryNStepsClosest"),
        st.fixed_dictionaries({"interval_steps": _intervals, "max_to_keep": _counts}),
    ),
    st.tuples(st.just("CustomSteps"), st.fixed_dictionaries({"steps": st.lists(st.integers(0, 30))})),
    st.tuples(
        st.just("BestN"),
        st.fixed_dictionaries(
            {
                "get_metric_fn": st.just(_loss), "reverse": st.booleans(), "n": _counts,
                "keep_checkpoints_without_metrics": st.booleans(),
            }
        ),
    ),
    st.tuples(
        st.just("LatestDuration"),
        st.fixed_dictionaries(
            {"duration": st.integers(0, 8).map(lambda n: datetime.timedelta(minutes=30 * n + 15.5))}
        ),
    ),
)  # fmt: skip


def _answer(library, chosen, infos):
    kinds = library.checkpoint_managers
    made = [getattr(kinds, name)(**options) for name, options in chosen]
    policy = made[0] if len(made) == 1 else kinds.AnyPreservationPolicy(made)
    try:
        return list(policy.should_preserve(infos, context=kinds.PreservationContext()))
    except Exception as error:
        return type(error)


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(st.lists(_keeps, min_size=1, max_size=3), _infos())
def test_a_preservation_policy_keeps_what_orbax_keeps(chosen, infos):
    assert _answer(ours, chosen, infos) == _answer(theirs, chosen, infos)


_formats = st.tuples(st.sampled_from([None, "a", "a_b", ""]), st.sampled_from([None, 1, 2, 4]))


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(_formats, st.lists(st.tuples(_formats, st.integers(0, 12345)), max_size=6))
def test_a_name_format_sees_the_names_that_orbax_sees(tmp_path_factory, form, others):
    def make(library, prefix, length):
        return library.path.step.standard_name_format(step_prefix=prefix, step_format_fixed_length=length)

    base = tmp_path_factory.mktemp("steps")
    named = {make(ours, *other).build_name(step): step for other, step in others}
    assert named == {make(theirs, *other).build_name(step): step for other, step in others}
    for name in named:
        (base / name).mkdir()
    seen = {m.path.name: m.step for m in make(theirs, *form).find_all(base)}
    fits = ours.path.step.fits
    found = {name: step for name, step in named.items() if fits(make(ours, *form), step, name)}
    assert found == seen


@pytest.mark.parametrize("name", ["CheckpointManager", "CheckpointManagerOptions"])
def test_arguments_have_orbax_s_names_order_and_defaults(name):
    def arguments(library):
        found = inspect.signature(getattr(library, name)).parameters.values()
        return [(p.name, p.default if isinstance(p.default, (int, str)) else None) for p in found]

    assert arguments(ours) == arguments(theirs)


def test_methods_have_orbax_s_names_and_arguments():
    for name, method in inspect.getmembers(theirs.CheckpointManager, inspect.isfunction):
        if not name.startswith("_"):
            wanted = list(inspect.signature(method).parameters)
            assert list(inspect.signature(getattr(ours.CheckpointManager, name)).parameters) == wanted


def test_every_public_name_of_orbax_is_there_or_known_to_be_left_out():
    left_out = {
        "aggregate_handlers", "contextlib", "experimental", "functools", "logging", "msgpack_utils",
        "multihost", "pathways", "serialization", "ProtoCheckpointHandler",
    }  # fmt: skip
    names = {name for name in dir(theirs) if not name.startswith("_")}
    assert {name for name in names if not hasattr(ours, name)} <= left_out

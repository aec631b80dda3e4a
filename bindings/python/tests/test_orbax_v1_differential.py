# SPDX-License-Identifier: Apache-2.0
# The same calls to the real Orbax v1 and to treering.orbax.v1: generated, answer for answer.
#
# TREERING_ORBAX_V1_SEQUENCES=1000 runs so many of each kind, of new seeds; without it a few run,
# always the same. What may differ is in DEVIATIONS, whose titles stand in ORBAX.md.
import contextlib
import logging
import os
import pathlib
import re
import tempfile
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from orbax_pair import Answer, Deviation, Different, plain, same

from treering.orbax import v1 as ours

theirs = pytest.importorskip("orbax.checkpoint.experimental.v1")
logging.getLogger("absl").setLevel(logging.CRITICAL)

GIVEN = os.environ.get("TREERING_ORBAX_V1_SEQUENCES")
RUNS = int(GIVEN or 40)
LIBRARIES = (theirs, ours)

# ---- what is saved and loaded

CONTENTS = {
    "plain": {"a": np.arange(3.0), "n": 1},
    "jax": {"j": jnp.arange(4), "s": "text", "f": 0.5},
    "nested": {"l": [np.ones(2), 2], "d": {"x": np.float32(1.5) * np.ones((2, 2), np.float32)}},
    "none": {"a": np.arange(3.0), "none": None},
    "leaf": np.arange(3.0),
    "tuple": {"t": (np.ones(2), 3)},
    "ints": {0: np.ones(2), 1: {2: 5}},
    "bool": {"b": True, "n": 1},
    "object": {"a": object()},
    "empty": {},
    "zero": {"z": np.zeros((0, 2))},
    "complex": {"c": 1j},
}
COMMON = ("plain", "jax", "nested", "plain", "nested")
REFUSED = {"empty", "zero", "complex"}  # by Orbax, and stored here

STRUCT = jax.ShapeDtypeStruct
TARGETS = {
    None: None,
    "plain": {"a": np.zeros(3), "n": 0},
    "plain_cast": {"a": np.zeros(3, np.int32), "n": float},
    "plain_as_jax": {"a": STRUCT((3,), np.float32), "n": 0},
    "plain_left_out": {"a": ..., "n": 0},
    "plain_other_shape": {"a": np.zeros(4), "n": 0},
    "plain_less": {"a": np.zeros(3)},
    "plain_more": {"a": np.zeros(3), "n": 0, "z": 1},
    "plain_none": {"a": None, "n": 0},
    "jax": {"j": STRUCT((4,), np.int32), "s": str, "f": float},
    "jax_cast": {"j": STRUCT((4,), np.float32), "s": "", "f": int},
    "jax_as_numpy": {"j": np.zeros(4, np.int32), "s": "", "f": 0.0},
    "jax_other_shape": {"j": STRUCT((5,), np.int32), "s": "", "f": 0.0},
    "jax_text_as_number": {"j": STRUCT((4,), np.int32), "s": 3, "f": 0.0},
    "jax_number_as_text": {"j": STRUCT((4,), np.int32), "s": "", "f": ""},
    "nested": {"l": [np.zeros(2), 0], "d": {"x": np.zeros((2, 2), np.float32)}},
    "nested_as_tuple": {"l": (np.zeros(2), 0), "d": {"x": np.zeros((2, 2), np.float32)}},
    "nested_shorter": {"l": [np.zeros(2)], "d": {"x": np.zeros((2, 2), np.float32)}},
    "leaf": np.zeros(3),
    "object": {"a": object()},
}


def as_texts(value):
    """What Orbax makes of a tree without a target: keys are texts, in their order."""
    if isinstance(value, dict):
        return {str(key): as_texts(child) for key, child in value.items()}
    return [as_texts(child) for child in value] if isinstance(value, list) else value


# ---- what is different on purpose


def saved_as(call):
    return call[1].get("content") if call[0].startswith("save") else None


def is_error(answer, *kinds):
    return answer.error is not None and isinstance(answer.error, kinds)


def overwritten_below(pair, call, theirs, ours):
    return call[0] == "after_overwrite" and set(theirs.value) < set(ours.value)


def forced_below(pair, call, theirs, ours):
    return call[0] in ("steps", "latest") and pair.forced_below and theirs.value != ours.value


def stored_here(pair, call, theirs, ours):
    refused = saved_as(call) in REFUSED and is_error(theirs, ValueError, KeyError)
    return refused and not same(theirs, ours)


def told_once(pair, call, theirs, ours):
    """Orbax raises it from this call and from the next ones, too."""
    return saved_as(call) and call[1].get("custom_metadata") == [1] and is_error(ours, ValueError)


def wrong_shape(pair, call, theirs, ours):
    return call[0].startswith("load") and call[1]["target"] == "plain_other_shape" and is_error(ours, ValueError)


def none_over_array(pair, call, theirs, ours):
    return call[0].startswith("load") and call[1]["target"] == "plain_none" and is_error(ours, ValueError)


def numpy_as_jax(pair, call, theirs, ours):
    wanted = call[0].startswith("load") and call[1]["target"] == "plain_as_jax"
    return wanted and is_error(theirs, ValueError, KeyError) and ours.error is None


def number_as_text(pair, call, theirs, ours):
    wanted = call[0].startswith("load") and call[1]["target"] == "jax_number_as_text"
    return wanted and is_error(ours, ValueError)


def lossless(pair, call, theirs, ours):
    if call[0].startswith(("load", "metadata")) and theirs.error is None and ours.error is None:
        return as_texts(ours.value) == theirs.value != ours.value
    return False


def bool_metadata(pair, call, theirs, ours):
    return call[0].startswith("metadata") and theirs.error is None and str(theirs.value).count("None") > str(
        ours.value
    ).count("None")


def unreadable_metrics(pair, call, theirs, ours):
    unreadable = saved_as(call) and call[1].get("metrics") in ({"other": 1.0}, {})
    return unreadable and is_error(ours, KeyError)


def placeholder_in_part(pair, call, theirs, ours):
    wanted = call[0] == "load_partial" and call[1]["target"] == "plain_left_out"
    return wanted and is_error(theirs, TypeError) and ours.error is None


def nothing_to_keep(pair, call, theirs, ours):
    return call[0] == "load_partial" and theirs.error is None and is_error(ours, ValueError)


def numpy_metrics(pair, call, theirs, ours):
    metrics = call[1].get("metrics") if call[0].startswith("save") else None
    return isinstance(metrics, dict) and isinstance(metrics.get("loss"), np.generic) and ours.value is True


def empty_metrics(pair, call, theirs, ours):
    if call[0] != "metrics" or theirs.error or ours.error:
        return False
    return [m or None for m in theirs.value] == [m or None for m in ours.value]


def negative_step(pair, call, theirs, ours):
    return saved_as(call) is not None and call[1]["step"] < 0 and is_error(ours, ValueError)


def load_in_background(pair, call, theirs, ours):
    return call[0] == "load_async" and is_error(theirs, NotImplementedError)


def nothing_left(pair, call, theirs, ours):
    return call[0] == "there" and [n for n in theirs.value if not n.endswith("-tmp")] == ours.value


def closed(pair, call, theirs, ours):
    return call[0] == "save_closed" and theirs.value is True and is_error(ours, RuntimeError)


DEVIATIONS = (
    Deviation("An overwrite without force never loses the step", overwritten_below, True),
    Deviation("Steps ascend, and the latest is the greatest", forced_below, True),
    Deviation("Empty arrays and trees are saved", stored_here, True),
    Deviation("Failures are told where they happen", told_once, True),
    Deviation("A target's shape and dtype count", wrong_shape),
    Deviation("None over a stored leaf is an error", none_over_array),
    Deviation("A NumPy array can be loaded as a jax.Array", numpy_as_jax),
    Deviation("A number as a text is a ValueError", number_as_text),
    Deviation("Trees come back as they were", lossless),
    Deviation("Metadata of a tree with a bool are there", bool_metadata),
    Deviation("Metrics that best_fn cannot read are refused", unreadable_metrics, True),
    Deviation("PLACEHOLDER goes with partial_load", placeholder_in_part),
    Deviation("A partial restore says what is not there", nothing_to_keep),
    Deviation("Metrics are always stored", numpy_metrics, True),
    Deviation("Empty metrics are kept", empty_metrics),
    Deviation("Negative steps are refused", negative_step, True),
    Deviation("Loading in the background works", load_in_background),
    Deviation("A failed save leaves nothing behind", nothing_left),
    Deviation("Closed is closed", closed),
)


# ---- both in step


class Both:
    """Both libraries, a folder and most often a Checkpointer each."""

    def __init__(self, folder):
        self.folders = [str(folder / "theirs"), str(folder / "ours")]
        self.checkpointers = [None, None]
        self.calls, self.noted = [], []
        self.over = self.forced_below = False
        self.saved = {}  # place -> name of what was saved there last

    def do(self, call, function):
        """`function(library, folder, checkpointer)` on both sides; None once the comparison is over."""
        if self.over:
            return None
        call = (call[0], call[1] if len(call) > 1 and isinstance(call[1], dict) else {"given": call[1:]})
        answers = []
        for side in zip(LIBRARIES, self.folders, self.checkpointers):
            try:
                answers.append(Answer(plain(function(*side))))
            except Exception as error:
                answers.append(Answer(error=error))
        self.calls.append(f"{call} -> {answers[1]}")
        for deviation in DEVIATIONS:
            if (deviation.ends or not same(*answers)) and deviation.seen(self, call, *answers):
                self.noted.append(deviation.title)
                self.over = deviation.ends
                return answers[1]
        if not same(*answers):
            lines = [*self.calls, f"Orbax: {answers[0]}", f"treering: {answers[1]}"]
            raise Different("\n".join(lines))
        return answers[1]


def fitting(name, content):
    """A target for what was saved: `name`, or if it is a number, one of those made for `content`."""
    if not isinstance(name, int):
        return TARGETS[name], name
    made_for = [None, *(target for target in TARGETS if target and target.startswith(content or "plain"))]
    chosen = made_for[name % len(made_for)]
    return TARGETS[chosen], chosen


# ---- Checkpointers

steps = st.integers(0, 9)
saves = st.sampled_from(
    [
        ("default", lambda library: None),
        ("every 2", lambda library: library.training.save_decision_policies.FixedIntervalPolicy(2)),
        ("some", lambda library: library.training.save_decision_policies.SpecificStepsPolicy([1, 4, 5])),
        ("initial or 3", lambda library: library.training.save_decision_policies.AnySavePolicy([
            library.training.save_decision_policies.InitialSavePolicy(),
            library.training.save_decision_policies.FixedIntervalPolicy(3),
        ])),
    ]
)  # fmt: skip


def keep(name, **arguments):
    return f"{name} {arguments}", lambda library: getattr(library.training.preservation_policies, name)(**arguments)


def loss(metrics):
    return metrics["loss"]


keeps = st.sampled_from(
    [
        ("all", lambda library: None),
        *(keep("LatestN", n=n) for n in (0, 1, 2, 3)),
        keep("EveryNSteps", interval_steps=2),
        keep("EveryNSteps", interval_steps=3, exact_interval=False),
        keep("EveryNStepsClosest", interval_steps=3),
        keep("CustomSteps", steps=[2, 3, 5]),
        keep("BestN", get_metric_fn=loss, n=2),
        keep("BestN", get_metric_fn=loss, n=1, reverse=True, keep_checkpoints_without_metrics=False),
        ("any", lambda library: library.training.preservation_policies.AnyPreservationPolicy([
            library.training.preservation_policies.LatestN(1),
            library.training.preservation_policies.EveryNSteps(3),
        ])),
    ]
)  # fmt: skip
names = st.sampled_from([None, {"step_prefix": "run"}, {"step_format_fixed_length": 4}])
metrics = st.sampled_from(
    [None, None, {"loss": 1.0}, {"loss": 2.5}, {"loss": -1}, {"loss": 4, "text": "x"}, {"other": 1.0}, {},
     {"loss": np.float32(3)}]
)  # fmt: skip
usual = [name for name in sorted(CONTENTS) if name not in REFUSED]
contents = st.one_of(st.sampled_from(COMMON), st.sampled_from(usual), st.sampled_from(sorted(CONTENTS)))
targets = st.one_of(st.integers(0, 30), st.sampled_from([None, *[name for name in TARGETS if name]]))
save_calls = st.fixed_dictionaries(
    {
        "step": st.one_of(steps, steps, st.integers(-1, 9)),
        "content": contents,
        "force": st.booleans(),
        "overwrite": st.sampled_from([False, False, True]),
        "metrics": metrics,
        "custom_metadata": st.sampled_from([None, None, None, None, {"k": 1}, {"k": [2]}, [1]]),
    }
)
load_calls = st.fixed_dictionaries({"step": st.one_of(st.none(), steps), "target": targets})
operation = st.one_of(
    st.tuples(st.sampled_from(["save", "save", "save_async", "save_checkpointables"]), save_calls),
    st.tuples(st.sampled_from(["save", "save_async"]), save_calls),
    st.tuples(st.sampled_from(["load", "load", "load_checkpointables", "load_async", "load_path"]), load_calls),
    st.tuples(st.just("delete"), st.fixed_dictionaries({"step": steps, "missing_ok": st.booleans()})),
    st.tuples(st.sampled_from(["metadata", "metadata_all", "should_save", "save_closed"]), steps),
    st.tuples(st.sampled_from(["reload", "reopen", "root"]), st.none()),
)  # fmt: skip


def open_both(both, chosen):
    for i, library in enumerate(LIBRARIES):
        name_format = chosen["names"]
        both.checkpointers[i] = library.training.Checkpointer(
            both.folders[i],
            save_decision_policy=chosen["saves"][1](library),
            preservation_policy=chosen["keeps"][1](library),
            step_name_format=name_format and library.path.step.standard_name_format(**name_format),
            custom_metadata={"run": 1},
        )


def lists(both):
    both.do(("steps",), lambda _, __, c: [found.step for found in c.checkpoints])
    both.do(("latest",), lambda _, __, c: c.latest and [c.latest.step, c.latest.path])
    both.do(("metrics",), lambda _, __, c: [found.metrics for found in c.checkpoints])


def save_both(both, kind, given):
    arguments = {name: given[name] for name in ("force", "overwrite", "metrics", "custom_metadata")}
    step, content = given["step"], CONTENTS[given["content"]]
    there = [found.step for found in both.checkpointers[1].checkpoints]

    def run(library, folder, checkpointer):
        if kind == "save_checkpointables":
            both_items = {"state": content, "more": {"x": 1}}
            return checkpointer.save_checkpointables(step, both_items, **arguments)
        if kind == "save":
            return checkpointer.save(step, content, **arguments)
        response = checkpointer.save_async(step, content, **arguments)
        return response if response is None else response.result()

    answer = both.do((kind, given), run)
    if answer is None:
        return
    if answer.value is True:
        both.saved[None] = given["content"]
    if given["overwrite"] and step in there and answer.value is not True:
        # Orbax has deleted the step before it decided or failed.
        both.do(("after_overwrite",), lambda _, __, c: [found.step for found in c.checkpoints])
    if answer.value is True and there and step < there[-1]:
        both.forced_below = True


def load_both(both, kind, given):
    target, name = fitting(given["target"], both.saved.get(None))
    step, given = given["step"], {**given, "target": name}

    def run(library, folder, checkpointer):
        if kind == "load":
            return checkpointer.load(step, target)
        if kind == "load_async":
            return checkpointer.load_async(step, target).result()
        if kind == "load_path":
            last = checkpointer.latest
            return last and library.load(last.path, target)
        return checkpointer.load_checkpointables(step, {"state": target} if target is not None else None)

    both.do((kind, given), run)


def summary(found):
    """What metadata say, without classes of their own and times."""

    def leaf(value):
        return [list(value.shape), str(value.dtype)] if hasattr(value, "shape") else value

    tree = jax.tree.map(leaf, found.metadata)
    assert found.commit_timestamp_nsecs >= found.init_timestamp_nsecs
    return [found.step, tree, found.metrics, found.custom_metadata, found.path]


def other_both(both, kind, given, chosen):
    if kind == "delete":
        both.do((kind, given), lambda _, __, c: c.delete(given["step"], missing_ok=given["missing_ok"]))
    elif kind == "metadata":
        both.do((kind, given), lambda _, __, c: summary(c.metadata(given)))
    elif kind == "metadata_all":
        both.do((kind, given), lambda _, __, c: summary(c.checkpointables_metadata(given)))
    elif kind == "should_save":
        if not both.forced_below:  # there Orbax's list is not in order
            both.do((kind, given), lambda _, __, c: c.should_save(given))
    elif kind == "reload":
        both.do((kind,), lambda _, __, c: c.reload())
    elif kind == "root":
        both.do((kind,), lambda _, __, c: [c.root_metadata().custom_metadata, c.is_saving_in_progress()])
    else:
        both.do(("close",), lambda _, __, c: c.close())
        if kind == "save_closed":
            both.do((kind,), lambda _, __, c: c.save(100, {"a": 1}, force=True))
            return
        open_both(both, chosen)


def checkpointer_sequence(chosen, operations, folder):
    both = Both(folder)
    open_both(both, chosen)
    both.calls.append(str({**chosen, "saves": chosen["saves"][0], "keeps": chosen["keeps"][0]}))
    for kind, given in operations:
        if both.over:
            break
        if kind.startswith("save") and kind != "save_closed":
            save_both(both, kind, given)
        elif kind.startswith("load"):
            load_both(both, kind, given)
        elif kind == "save_closed":
            continue
        else:
            other_both(both, kind, given, chosen)
        lists(both)
    if not both.over:
        other_both(both, "save_closed", None, chosen)
    for checkpointer in both.checkpointers:
        with contextlib.suppress(Exception):  # a failure that a call has told before
            checkpointer.close()
    return both


# ---- free functions

places = st.sampled_from(["p", "p", "p", "q"])
free_operation = st.one_of(
    st.tuples(st.just("save"), places, contents, st.booleans()),
    st.tuples(st.just("save_async"), places, contents, st.booleans()),
    st.tuples(st.just("save_checkpointables"), places,
              st.sampled_from([("state", "more"), ("more",), ("", "x"), ("metrics",), (), ("a", "b")]), contents),
    st.tuples(st.sampled_from(["load", "load", "load_partial"]), places, targets,
              st.sampled_from([*["AUTO"] * 6, "state", "more", "none such", "", "metrics", None])),
    st.tuples(st.just("load_checkpointables"), places, st.sampled_from(["state", "more", "none such"]), targets),
    st.tuples(st.sampled_from(["metadata", "metadata_all", "is_orbax_checkpoint"]), places, st.none(), st.none()),
    st.tuples(st.just("delete"), places, st.sampled_from([None, None, "more", "state", "a/b"]), st.booleans()),
    st.tuples(st.just("partial_save"), places, st.sampled_from(["a", "b", "c.x", "c.y", "a.b"]), st.none()),
    st.tuples(st.just("partial_finalize"), places, st.none(), st.none()),
)  # fmt: skip


def tree_of(path, leaf):
    for key in reversed(path.split(".")):
        leaf = {key: leaf}
    return leaf


def free_call(operation_, saved):
    """(the call for DEVIATIONS, a function of library and folder)."""
    kind, place, first, second = operation_
    at = lambda folder: f"{folder}/{place}"  # noqa: E731
    if kind in ("save", "save_async"):
        def run(library, folder, _):
            done = getattr(library, kind)(at(folder), CONTENTS[first], overwrite=second)
            return done if kind == "save" else done.result()

        return (kind, {"content": first, "step": 0}), run
    if kind == "save_checkpointables":
        items = {name: CONTENTS[second] for name in first}
        call = kind, {"content": second, "step": 0, "names": first}
        return call, lambda library, folder, _: library.save_checkpointables(at(folder), items)
    if kind in ("load", "load_partial"):
        target, first = fitting(first, saved.get(place))

        def load(library, folder, _):
            context = library.Context()
            context.pytree.loading.partial_load = kind == "load_partial"
            with context:
                return library.load(at(folder), target, checkpointable_name=second)

        return (kind, {"target": first}), load
    if kind == "load_checkpointables":
        target, second = fitting(second, saved.get(place))
        return (kind, {"target": second}), lambda library, folder, _: library.load_checkpointables(
            at(folder), {first: target}
        )
    if kind == "delete":
        return (kind, {}), lambda library, folder, _: library.delete(
            at(folder), checkpointable_name=first, missing_ok=second
        )
    if kind == "partial_save":
        return (kind, {}), lambda library, folder, _: library.partial.save(at(folder), tree_of(first, 5))
    if kind == "partial_finalize":
        return (kind, {}), lambda library, folder, _: library.partial.finalize(at(folder))
    if kind == "is_orbax_checkpoint":
        return (kind, {}), lambda library, folder, _: library.is_orbax_checkpoint(at(folder))

    def told(library, folder, _):
        function = library.metadata if kind == "metadata" else library.checkpointables_metadata
        found = function(at(folder))
        found.step = found.metrics = None
        return summary(found)

    return (kind, {}), told


def free_sequence(operations, folder):
    both = Both(folder)
    for operation_ in operations:
        call, function = free_call(operation_, both.saved)
        answer = both.do((call[0], {**call[1], "place": operation_[1]}), function)
        if call[0].startswith("save") and answer.error is None:
            both.saved[operation_[1]] = call[1]["content"]
        if both.over:
            break
        both.do(("there",), lambda _, folder, __: sorted(os.listdir(folder)) if os.path.isdir(folder) else [])
    return both


# ---- the tests

LIMITS = settings(
    max_examples=RUNS,
    deadline=None,
    derandomize=GIVEN is None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,) if GIVEN is None else (Phase.generate, Phase.shrink),
)
noted = set()


def run(sequence, *arguments):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        noted.update(sequence(*arguments, pathlib.Path(name)).noted)


@LIMITS
@given(
    st.fixed_dictionaries({"saves": saves, "keeps": keeps, "names": names}),
    st.lists(operation, min_size=3, max_size=9),
)
def test_a_checkpointer_answers_as_that_of_orbax_does(chosen, operations):
    run(checkpointer_sequence, chosen, operations)


@LIMITS
@given(contents, st.lists(free_operation, min_size=2, max_size=8))
def test_free_functions_answer_as_those_of_orbax_do(content, operations):
    run(free_sequence, [("save", "p", content, False), *operations])


def test_every_deviation_is_a_heading_of_the_page():
    page = (pathlib.Path(__file__).parents[1] / "ORBAX.md").read_text()
    headings = set(re.findall(r"^### (.+)$", page, re.MULTILINE))
    assert {deviation.title for deviation in DEVIATIONS} <= headings


MODULES = ("", "training", "training.errors", "handlers", "options", "partial", "path", "path.step", "tree",
           "arrays", "errors", "multihost", "training.Checkpointer", "Context")  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_orbax_is_there(module):
    found = list(LIBRARIES)
    for part in filter(None, module.split(".")):
        found = [getattr(library, part) for library in found]
    names = {name for name in dir(found[0]) if not name.startswith("_")} - {"pathways", "orbax"}
    there = set(dir(ours.Context() if module == "Context" else found[1]))
    assert names <= there, names - there


def test_an_unlisted_difference_fails(tmp_path):
    both = Both(tmp_path)
    with pytest.raises(Different):
        both.do(("save", {"content": None}), lambda library, *_: library is ours)

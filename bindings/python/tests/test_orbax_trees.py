# SPDX-License-Identifier: Apache-2.0
# Helpers for trees, targets and transforms: the same from the real Orbax and from treering.orbax.
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treering.orbax as ours

theirs = pytest.importorskip("orbax.checkpoint")

TREE = {"a": {"b": 1, "c": [2, (3, 4)]}, "e": {}, "n": None, "l": []}


@pytest.mark.parametrize("more", [{}, {"sep": "/"}, {"keep_empty_nodes": True}])
def test_flat_dicts_are_the_same(more):
    assert ours.tree.to_flat_dict(TREE, **more) == theirs.tree.to_flat_dict(TREE, **more)


def test_flat_dicts_are_made_into_trees_the_same_way():
    for flat, sep in (({"a/b": 1, "a/c": 2, "d": 3}, "/"), ({("a", "b"): 1, ("c",): 2}, None)):
        made = ours.tree.from_flat_dict(flat, sep=sep)
        assert made == theirs.tree.from_flat_dict(flat, sep=sep)
    flat = theirs.tree.to_flat_dict(TREE)
    assert ours.tree.from_flat_dict(flat, target=TREE) == TREE
    with pytest.raises(KeyError):
        ours.tree.from_flat_dict({}, target=TREE)


def test_targets_made_of_leaves_are_the_same():
    tree = {"j": jnp.ones((2, 3)), "n": np.arange(3), "i": 3}
    for more in ({}, {"dtype": jnp.bfloat16}, {"scalar_dtype": float}):
        mine, other = (
            jax.tree.map(lambda leaf, ocp=ocp: ocp.tree.to_shape_dtype_struct(leaf, **more), tree)
            for ocp in (ours, theirs)
        )
        assert mine == other == ours.tree.to_shape_dtype_struct(tree, **more)
    assert ours.utils.to_shape_dtype_struct({"s": "text"}) == {"s": "text"}


def test_the_largest_axis_that_the_devices_divide_is_split():
    tree = {
        "a": jax.ShapeDtypeStruct((8, 16), np.float32),
        "b": jax.ShapeDtypeStruct((3,), np.int8),
    }
    made = ours.arrays.construct_maximal_shardings(tree)
    assert made["a"].shard_shape((8, 16)) == (8, 2) and made["b"].shard_shape((3,)) == (3,)


TRANSFORMS = [
    (lambda ocp: {"a1": ocp.Transform(original_key="a")}, {"a1": 0, "f": 0, "g": 5}, True),
    (lambda ocp: {r"x(\d)": ocp.Transform(original_key=r"b\1")}, {"x1": {"c": 0}}, True),
    (lambda ocp: {r"x(.*)": ocp.Transform(original_key=r"b\1")}, {"x1": {"c": 0}}, False),
    (lambda ocp: {"b": {"c": ocp.Transform(value_fn=lambda v: v * 9)}}, {"b": {"c": 0}}, True),
    (lambda ocp: {"s": ocp.Transform(multi_value_fn=lambda k, t: t["b"]["d"][1])}, {"s": 0}, True),
    (lambda ocp: {"a": ocp.Transform(use_fallback=True)}, {"a": 9, "f": 9}, True),
    (lambda ocp: {"a": ocp.Transform(use_fallback=True)}, {"a": 9, "f": 9}, False),
    (lambda ocp: {"z": ocp.Transform(use_fallback=True)}, {"z": 9}, False),
    (lambda ocp: {}, {"a": 9, "zz": 8}, True),
    (lambda ocp: {}, {"a": 9, "zz": 8}, False),
    (lambda ocp: {"q": ocp.Transform(original_key="nowhere")}, {"q": 0}, True),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(TRANSFORMS)))
def test_transformations_give_the_same(case):
    original = {"a": 1, "b": {"c": 5, "d": [0, 1]}, "f": 2, "b1": {"c": 2}, "b2": {"c": 3}}
    make, new, default = TRANSFORMS[case]
    answers = []
    for ocp in (theirs, ours):
        try:
            answers.append(ocp.apply_transformations(original, make(ocp), new, default))
        except Exception as error:
            answers.append(type(error).__mro__[-4:])
    assert answers[0] == answers[1]


def test_trees_are_merged_and_intersected_the_same_way():
    trees = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 4, "e": 5}, "a": 6}
    for name in ("merge_trees", "intersect_trees"):
        mine, other = (getattr(ocp.transform_utils, name) for ocp in (ours, theirs))
        assert mine(*trees) == other(*trees)
    target = {"b": {"d": 0}, "a": 0}
    assert ours.transform_utils.intersect_trees(*trees, target=target) == {"b": {"d": 4}, "a": 6}


def test_transforms_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="give one"):
        ours.Transform(original_key="a", use_fallback=True)
    with pytest.raises(ValueError, match="multi_value_fn"):
        ours.RestoreTransform(multi_value_fn_input_args={})


def test_restore_args_of_a_target_are_the_same():
    tree = {"j": jnp.ones((2, 3)), "n": np.arange(3), "i": 3, "s": "text", "p": ...}
    tree["abstract"] = jax.ShapeDtypeStruct((2,), np.int8)
    for more in ({}, {"set_global_shape": False}, {"strict": False}):
        mine, other = (
            ocp.checkpoint_utils.construct_restore_args(tree, **more) for ocp in (ours, theirs)
        )
        for name in tree:
            assert type(mine[name]).__name__ == type(other[name]).__name__
            for field in ("restore_type", "dtype", "sharding", "global_shape", "strict"):
                assert getattr(mine[name], field, None) == getattr(other[name], field, None)
    with pytest.raises(ValueError, match="Unsupported type"):
        ours.checkpoint_utils.construct_restore_args({"o": object()})
    with pytest.raises(ValueError, match="differ"):
        ours.ArrayRestoreArgs(shape=(1,), global_shape=(2,))


def test_erasing_a_folder_makes_an_empty_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    made = ours.test_utils.erase_and_create_empty(tmp_path / "a")
    assert made == tmp_path / "a" and not list(made.iterdir())
    made.rmdir()
    made.write_text("a checkpoint")
    assert ours.test_utils.erase_and_create_empty(made).is_dir()
    (made / "b").mkdir()
    assert ours.test_utils.empty_directory(made) and not list(made.iterdir())
    assert not ours.test_utils.empty_directory(made / "none")

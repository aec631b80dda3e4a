# SPDX-License-Identifier: Apache-2.0
# Generated trees and targets, saved and restored by the real Orbax and by treering.orbax alike.
#
# Trees hold what Orbax stores without loss: what it loses or refuses is tested by name elsewhere.
import collections
import logging
import os
import shutil
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import treering.orbax as ours

theirs = pytest.importorskip("orbax.checkpoint")
logging.getLogger("absl").setLevel(logging.CRITICAL)

EXAMPLES = int(os.environ.get("TREERING_ORBAX_TREES", "20"))
Point = collections.namedtuple("Point", "x y")
SHAPES = st.sampled_from([(), (1,), (3,), (2, 3)])
DTYPES = ["float32", "int32", "uint8", "bool", "bfloat16", "complex64", "int8", "float16"]


@st.composite
def arrays(draw):
    shape, dtype = draw(SHAPES), draw(st.sampled_from(DTYPES))
    raw = np.arange(int(np.prod(shape))).reshape(shape) + draw(st.integers(0, 3))
    array = jnp.asarray(raw).astype(dtype)
    return array if draw(st.booleans()) else np.asarray(array)


LEAVES = st.one_of(
    arrays(), st.integers(-(2**31), 2**31 - 1), st.floats(allow_nan=False), st.none()
)
KEYS = st.text("abc_/.", min_size=1, max_size=3)
TREES = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.lists(below, max_size=3).map(tuple),
        st.dictionaries(KEYS, below, max_size=3),
        st.tuples(below, below).map(lambda pair: Point(*pair)),
    ),
    max_leaves=8,
)
ROOTS = st.dictionaries(st.sampled_from("pqrs"), TREES, min_size=1, max_size=3).filter(
    lambda tree: jax.tree.leaves(tree) and not _collides(tree)
)


def _collides(tree):
    """Whether two leaves have one name in Orbax, which joins components by dots, or one that it
    makes a folder of."""
    names = [
        "/".join(
            str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", "")))) for key in path
        )
        for path, _ in jax.tree_util.tree_leaves_with_path(tree)
    ]
    flat = [name.replace("/", ".") for name in names]
    return len(set(flat)) < len(flat) or any(".." in name or "//" in name for name in names)


def shown(value):
    if isinstance(value, (jax.Array, np.ndarray)):
        kind = "jax" if isinstance(value, jax.Array) else "numpy"
        return kind, str(value.dtype), value.shape, np.asarray(value).tobytes()
    return type(value).__name__, value


def change(draw, tree):
    """A target made of the tree: as it is, abstract, of other dtypes, shapes or keys."""
    how = draw(st.sampled_from(["same", "abstract", "cast", "shape", "drop", "add", "numpy"]))
    if how == "drop":
        return {key: tree[key] for key in list(tree)[1:]} or {"other": 1}
    if how == "add":
        return {**tree, "added": jnp.ones(2)}

    def leaf(value):
        if not isinstance(value, (jax.Array, np.ndarray)):
            return value
        if how == "abstract":
            return jax.ShapeDtypeStruct(value.shape, value.dtype)
        if how == "numpy":
            return np.zeros(value.shape, value.dtype)
        if how == "shape" and isinstance(value, jax.Array):
            return jnp.zeros((*value.shape, 2), value.dtype)
        if how == "cast" and value.dtype != np.complex64:
            return jnp.zeros(value.shape, "float32")
        return value

    return jax.tree.map(leaf, tree)


def answers(tree, kind, target):
    found = []
    for ocp in (theirs, ours):
        folder = tempfile.mkdtemp()
        try:
            handler = getattr(ocp, f"{kind}CheckpointHandler")()
            saved, wanted = (getattr(ocp.args, kind + end) for end in ("Save", "Restore"))
            with ocp.Checkpointer(handler) as checkpointer:
                checkpointer.save(folder + "/a", args=saved(tree))
                try:
                    found.append(checkpointer.restore(folder + "/a", args=wanted(target)))
                except Exception as error:
                    found.append(error)
        finally:
            shutil.rmtree(folder)
    return found


@settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True)
@given(st.data())
def test_generated_trees_and_targets_give_the_same_from_both(data):
    tree = data.draw(ROOTS)
    kind = data.draw(st.sampled_from(["PyTree", "Standard"]))
    target = change(data.draw, tree)
    orbax, mine = answers(tree, kind, target)
    if isinstance(orbax, Exception):
        builtins = [c for c in type(orbax).__mro__ if c.__module__ == "builtins"][:-3]
        assert isinstance(mine, tuple(builtins)), (orbax, mine)
        return
    assert not isinstance(mine, Exception), mine
    assert jax.tree.structure(mine) == jax.tree.structure(orbax)
    flat = zip(jax.tree_util.tree_leaves_with_path(orbax), jax.tree.leaves(mine))
    for (path, a), b in flat:
        assert shown(a) == shown(b), jax.tree_util.keystr(path)

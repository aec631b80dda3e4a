# SPDX-License-Identifier: Apache-2.0
# Each example runs in a process of its own, and those for Orbax say the same with the real one.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import treering

for name in ("jax", "flax", "optax"):
    pytest.importorskip(name)

EXAMPLES = Path(__file__).parents[1] / "examples"
SHARED = ("network", "sharded_network")
SAID = {  # a line of each workflow's
    "model_state": "the same bits",
    "params_and_optimizer": "restored the optimizer at step 3",
    "json_document": "restored {'learning_rate': 0.01",
    "abstract_target": "after:  (16, 1) on cpu:0",
    "fresh_optimizer": "resumed:  [",
    "sharded": "restored onto 4 x 2: pieces of {(8, 32)}",
    "asynchronous_manager": "steps on the disk: [10, 12, 14]",
}


def start(script, *arguments):
    folders = [Path(treering.__file__).parents[1], EXAMPLES, os.environ.get("PYTHONPATH", "")]
    paths = os.pathsep.join(map(str, folders))
    surroundings = {**os.environ, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    surroundings.pop("XLA_FLAGS", None)
    return subprocess.Popen(
        [sys.executable, *map(str, (script, *arguments))], env=surroundings, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def said(process):
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error[-3000:]
    return out


def test_there_is_an_example_of_each_workflow_with_our_face_and_with_orbaxs():
    expected = {f"{name}{face}" for name in SAID for face in ("", "_orbax")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == expected | set(SHARED)


@pytest.mark.parametrize("name", SAID)
def test_a_workflow_runs_with_our_face(name, tmp_path):
    out = said(start(EXAMPLES / f"{name}.py", tmp_path))
    assert SAID[name] in out and len(out.splitlines()) <= 8


@pytest.mark.parametrize("name", SAID)
def test_a_workflow_runs_with_treering_orbax_as_with_orbax(name, tmp_path):
    script = EXAMPLES / f"{name}_orbax.py"
    ours = start(script, tmp_path / "ours")
    if importlib.util.find_spec("orbax") is None:
        assert SAID[name] in said(ours)
        return
    text = script.read_text()
    moved = text.replace("import treering.orbax as ocp", "import orbax.checkpoint as ocp")
    assert moved != text
    (tmp_path / "real.py").write_text(moved)
    theirs = start(tmp_path / "real.py", tmp_path / "theirs")
    out = said(ours)
    assert SAID[name] in out and out == said(theirs)

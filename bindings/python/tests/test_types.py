# SPDX-License-Identifier: Apache-2.0
# mypy and pyright: the package is clean, and what a program does wrong with it is reported.
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

import treering

PROJECT = pathlib.Path(__file__).resolve().parents[1]
SOURCE = PROJECT / "src"

# A program as users write it. Lines that are wrong say what kind of complaint they deserve.
PROGRAM = '''
import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import treering
from treering import policies


def looks(path: Path) -> None:
    found = treering.metadata(path, step=3)
    kinds: dict[str, str] = found.items
    leaves: dict[str, treering.AbstractLeaf] = found.leaves()
    with treering.open(path, mmap=True) as container:
        leaf: treering.LeafRef = container["layers/0/w"]
        total: float = float(leaf[0, :10].sum())
        shape: tuple[int, ...] = container["layers", 0, "w"].shape
        names: list[Any] = list(container)
    difference = treering.diff(path, {"w": np.zeros(3)}, rtol=1e-3)
    added: list[str] = difference.added
    largest: float | None = difference.changed[0].largest
    report = treering.verify(str(path), progress=lambda done, total: print(done, total))
    damaged: list[str] = report.damaged


def trains(path: Path) -> None:
    keep = [policies.Latest(2), policies.Best("loss", 3, lowest=True)]
    with treering.CheckpointManager(path, keep_policies=keep) as manager:
        latest: int | None = manager.latest_step()
        begun: bool = manager.save(1, {"w": np.zeros(3)}, metrics={"loss": 0.5})
        versions = [version.step for version in manager.versions()]
    try:
        treering.load(path, target={"w": treering.PLACEHOLDER})
    except treering.StructureMismatchError as error:
        missing = list(error.missing)
        where: str | None = error.path


def wrong(path: Path) -> None:
    treering.save(path)  # fine: refused when it runs
    treering.open(path, mode="r")  # WRONG argument
    treering.metadata(3.5)  # WRONG type
    count: str = treering.open(path)["w"].ndim  # WRONG type
    treering.verify(path).findigns  # WRONG attribute
    treering.verify(path, progress="yes")  # WRONG type
    treering.diff(path)  # WRONG argument
    treering.CheckpointManager(path, best_mode="maximum")  # WRONG type
    treering.CheckpointManager(path).save("1", {})  # WRONG type
    step: int = treering.CheckpointManager(path).latest_step()  # WRONG type
    treering.PermissionDeniedError("").leaff  # WRONG attribute
    treering.nonsense(path)  # WRONG attribute
'''


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    every = "".join(f"    treering.{name}\n" for name in treering.__all__)  # type checkers see them all
    file.write_text(file.read_text(encoding="utf-8") + f"\n\ndef names() -> None:\n{every}", encoding="utf-8")
    lines = file.read_text(encoding="utf-8").splitlines()
    return file, {number for number, line in enumerate(lines, 1) if "# WRONG" in line}


def run(*command, **more):
    environment = {**os.environ, "PYTHONPATH": "", "MYPYPATH": str(SOURCE), "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, **more)


def mypy(cache, *arguments):
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--config-file", PROJECT / "pyproject.toml"]
    return run(*map(str, command), "--cache-dir", str(cache), *map(str, arguments), cwd=PROJECT)


def pyright(project, at_least):
    """Errors of the project's files, of which there are so many at least."""
    tool = pathlib.Path(sys.executable).with_name("pyright")
    if not tool.exists() and shutil.which("pyright") is None:
        pytest.skip("pyright is not installed")
    command = [tool if tool.exists() else "pyright", "--outputjson", "-p", project]
    done = run(*map(str, command), "--pythonpath", sys.executable)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] >= at_least, done.stderr
    return [entry for entry in found["generalDiagnostics"] if entry["severity"] == "error"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("mypy")


def test_the_package_is_clean_under_mypys_strict_mode(cache):
    done = mypy(cache)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_clean_under_pyright():
    found = pyright(PROJECT, at_least=30)
    where = [f"{entry['file']}:{entry['range']['start']['line'] + 1}" for entry in found]
    assert list(zip(where, (entry["message"] for entry in found))) == []


def test_mypy_reports_what_a_program_does_wrong_and_no_more(program, cache):
    file, wrong = program
    done = mypy(cache, "--python-version", "3.11", file)
    lines = {int(number) for number in re.findall(r"program\.py:(\d+): error", done.stdout)}
    assert lines == wrong, done.stdout


def test_pyright_reports_what_a_program_does_wrong_and_no_more(program, tmp_path):
    file, wrong = program
    settings = {"include": [file.name], "extraPaths": [str(SOURCE)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    found = pyright(tmp_path, at_least=1)
    lines = {entry["range"]["start"]["line"] + 1 for entry in found}
    assert lines == wrong, found


def test_the_package_says_that_it_is_typed():
    assert (SOURCE / "treering" / "py.typed").exists() and (SOURCE / "treering" / "_ffi.pyi").exists()
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'treering = ["py.typed", "*.pyi"]' in text

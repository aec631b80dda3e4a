# SPDX-License-Identifier: Apache-2.0
# The examples of the docstrings and of the README run, each in a folder of its own.
import ast
import doctest
import importlib
import io
import pathlib
import pkgutil
import re

import numpy as np
import pytest

import treering

PROJECT = pathlib.Path(__file__).resolve().parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Functions that a program meets first: each shows how it is used.
SHOWN = "save load save_async load_async metadata info open diff verify format_tree CheckpointManager".split()


def modules():
    walked = pkgutil.walk_packages(treering.__path__, "treering.")
    names = [entry.name for entry in walked if not entry.name.endswith("__main__")]
    return ["treering", *sorted(names)]


def examples_of(name):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(module, extraglobs={"np": np, "treering": treering})
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch):
    for number, test in enumerate(examples_of(name)):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        said = io.StringIO()
        result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.write)
        assert result.failed == 0, f"{test.name}:\n{said.getvalue()}"


@pytest.mark.parametrize("name", SHOWN)
def test_what_a_program_meets_first_has_an_example(name):
    found = getattr(treering, name)
    shown = {test.name for test in examples_of(found.__module__)}
    assert any(test == f"{found.__module__}.{name}" for test in shown), shown


@pytest.mark.parametrize("path", sorted((PROJECT / "src" / "treering").rglob("*.py")), ids=lambda p: p.stem)
def test_every_example_in_a_docstring_is_one_that_runs(path):
    """Lines of code that are set off in a docstring begin with >>> or ..."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        if isinstance(node, ast.Module) and re.match("_[a-z]", path.name):
            continue  # read by nobody but its authors
        text = ast.get_docstring(node) or ""
        for line in text.splitlines():
            code = re.match(r"\s{4,}(import \w+|from .* import |with .*:$|(treering|ocp|manager)\.\w+\()", line)
            assert not code, f"{path.name}: {getattr(node, 'name', 'module')}: {line.strip()}"


def test_the_examples_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    names = {"__name__": "readme"}
    for block in blocks:
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, "README.md", "README.md", 0)
            said = io.StringIO()
            result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.write, clear_globs=False)
            assert result.failed == 0, said.getvalue()
            names = test.globs
        else:
            exec(compile(block, "README.md", "exec"), names)

# SPDX-License-Identifier: Apache-2.0
# What the lints share: walking the checkout and reading C++ without its comments and strings.
import os
import re
import sys

CODE = (".c", ".cc", ".h")
SKIPPED = {".git", ".dev", "__pycache__", "build", "core", ".pytest_cache", ".hypothesis"}

TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<raw>[^(\s]*)\(.*?\)(?P=raw)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'"""
    r"""|'\\[0-7x][0-9a-fA-F]*'""",
    re.DOTALL,
)


def walk(root, *folders):
    """Yields every file's path relative to root, '/'-separated, below the folders given."""
    for folder in folders or ("",):
        for here, folders_below, files in os.walk(os.path.join(root, folder)):
            folders_below[:] = sorted(
                name
                for name in folders_below
                if name not in SKIPPED
                and not name.endswith(".egg-info")
                and not os.path.isdir(os.path.join(here, name, "meson-private"))
            )
            for name in sorted(files):
                yield os.path.relpath(os.path.join(here, name), root).replace(os.sep, "/")


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def bare(text):
    """The text with comments and literals blanked; line numbers stay what they were."""

    def blank(match):
        found = match.group(0)
        quotes = '""' if found[0] in "\"R" else " "
        return quotes + "\n" * found.count("\n")

    return TOKEN.sub(blank, text)


def report(check):
    """Runs check(root) as a program: prints what it finds, one a line; 1 if there was anything."""
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../..")
    findings = list(check(root))
    for finding in findings:
        print(finding)
    return 1 if findings else 0

# SPDX-License-Identifier: Apache-2.0
# What guides and tests use to begin with an empty folder.
"""Helpers for examples and tests."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import Any


def erase_and_create_empty(directory: Any) -> pathlib.Path:
    """Deletes what is at a path, whatever it is, and makes an empty folder there.

    Args:
        directory: the path; the folder it is in must exist.

    Returns:
        The path.
    """
    path = pathlib.Path(os.fsdecode(os.fspath(directory)))
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.mkdir()
    return path


def empty_directory(directory: Any) -> bool:
    """Deletes what is in a folder; False: there is none."""
    path = pathlib.Path(os.fsdecode(os.fspath(directory)))
    if not path.is_dir():
        return False
    for child in path.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()
    return True

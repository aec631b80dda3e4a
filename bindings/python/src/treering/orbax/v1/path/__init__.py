# SPDX-License-Identifier: Apache-2.0
# Names of ocp.path: types of paths, and names of steps.
"""`Path`, `PathLike`, `PathAwaitingCreation`, and `path.step`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from .._files import PathAwaitingCreation
from . import step

PathLike = Union[str, "os.PathLike[str]"]

__all__ = ["Path", "PathAwaitingCreation", "PathLike", "step"]

# SPDX-License-Identifier: Apache-2.0
# Small helpers that programs use from orbax.checkpoint.utils.
"""Helpers for leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import to_shape_dtype_struct
from .tree import from_flat_dict, serialize_tree, to_flat_dict, tuple_path_from_keypath


def is_scalar(x: Any) -> bool:
    """Whether a leaf is a number of Python or NumPy."""
    return isinstance(x, (int, float, np.number))


__all__ = [
    "from_flat_dict",
    "is_scalar",
    "serialize_tree",
    "to_flat_dict",
    "to_shape_dtype_struct",
    "tuple_path_from_keypath",
]

# SPDX-License-Identifier: Apache-2.0
# Arrays of NumPy that are the bytes of a mapped file, where those are an array's.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import UnsupportedError, check, error_of, new_error
from ._ffi import ffi, lib


class Held:
    """The base of a view: holds the blob, and with it the mapping of the file."""

    def __init__(self, blob: Any) -> None:
        self.blob = blob
        address = int(ffi.cast("uintptr_t", lib.treering_blob_data(blob)))
        self.__array_interface__ = {
            "version": 3, "typestr": "|u1", "shape": (lib.treering_blob_size(blob),), "data": (address, True),
        }  # fmt: skip


def bytes_of(blob: Any) -> npt.NDArray[Any]:
    """The bytes of a treering_blob that the caller owns: read-only, and the blob stays with them."""
    return np.asarray(Held(ffi.gc(blob, lib.treering_blob_free)))


def view_of(
    checkpoint: Any, node: int, dtype: np.dtype[Any], origin: Sequence[int], extent: Sequence[int]
) -> npt.NDArray[Any] | UnsupportedError:
    """A box of a leaf where it lies in the file, verified; the error if it cannot be had there."""
    out, error = ffi.new("treering_blob **"), new_error()
    boxes = ffi.new("uint64_t[]", origin), ffi.new("uint64_t[]", extent)
    status = lib.treering_checkpoint_view(out, checkpoint, node, *boxes, error)
    if status & 255 == lib.TREERING_UNSUPPORTED:
        refused = error_of(error)
        if isinstance(refused, UnsupportedError):
            return refused
    check(status, error)
    return bytes_of(out[0]).view(dtype).reshape(extent)

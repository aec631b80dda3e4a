# SPDX-License-Identifier: Apache-2.0
# DLPack capsules of arrays whose dtype NumPy itself does not export: bfloat16 and float8.
#
# NumPy makes the capsule of the same bytes as unsigned integers; what says the dtype in it is three
# fields, and a dtype's number here is DLPack's: code << 8 | bits.
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

# Where the dtype stands in a DLManagedTensor, and in a DLManagedTensorVersioned: after data, device
# and ndim of the tensor, which comes first in the one, and after version, context, deleter and flags
# in the other.
_IN_TENSOR = ctypes.sizeof(ctypes.c_void_p) + 12
_PLACES = {
    b"dltensor": _IN_TENSOR,
    b"dltensor_versioned": 16 + 2 * ctypes.sizeof(ctypes.c_void_p) + _IN_TENSOR,
}
_UNSIGNED = {1: np.uint8, 2: np.uint16}


def capsule(array: npt.NDArray[Any], number: int, arguments: dict[str, Any]) -> Any:
    """The capsule that `array.__dlpack__(**arguments)` would be. `number` is the dtype's.

    Raises:
        BufferError: a dtype of less than a byte, which DLPack has packed and NumPy has not.
    """
    if array.dtype.isbuiltin == 1:
        return array.__dlpack__(**arguments)
    if number & 255 not in (8, 16):
        raise BufferError(f"an array of {array.dtype} cannot be lent by DLPack; copy it from numpy()")
    made = array.view(_UNSIGNED[array.dtype.itemsize]).__dlpack__(**arguments)
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    name = api.PyCapsule_GetName(made)
    address = api.PyCapsule_GetPointer(made, name) + _PLACES[name]
    code = ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8))
    assert code[1] == number & 255, "the capsule is laid out in another way"
    code[0] = number >> 8
    return made

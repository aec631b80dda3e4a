# SPDX-License-Identifier: Apache-2.0
# NumPy's and ml_dtypes' dtypes by the format's numbers, both ways.
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ._errors import UnsupportedError, UnsupportedTypeError
from ._ffi import ffi, lib

LARGE = 65536  # bytes: from here on a copy costs more than it takes to avoid one
ONE_PER_BYTE = 65536  # the arrays hold a 2- or 4-bit element in a byte each

# numpy.dtype -> number, in the form that the bridge takes. Grows when ml_dtypes' are met.
NUMBERS = {}
_NUMPY = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
).split()
_ML_DTYPES = (
    "int2 int4 uint2 uint4 bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn "
    "float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float6_e2m3fn float6_e3m2fn "
    "float4_e2m1fn"
).split()
_DTYPES = {}  # number -> numpy.dtype


def _number(name: str) -> int:
    text = name.encode()
    number: int = lib.treering_dtype_parse(text, len(text))
    return number


for _name in _NUMPY:
    _value = _number(_name)
    NUMBERS[np.dtype(_name)] = _value
    _DTYPES[_value] = np.dtype(_name)


def _add_ml_dtypes() -> bool:
    try:
        import ml_dtypes
    except ImportError:
        return False
    for name in _ML_DTYPES:
        number, scalar = _number(name), getattr(ml_dtypes, name, None)
        if scalar is not None and number and number not in _DTYPES:
            NUMBERS[np.dtype(scalar)] = number | (ONE_PER_BYTE if number & 255 in (2, 4) else 0)
            _DTYPES[number] = np.dtype(scalar)
    return True


def name_of(number: int) -> str:
    name = lib.treering_dtype_name(number)
    return f"dtype {number}" if name == ffi.NULL else ffi.string(name).decode()


def dtype_of(number: int) -> np.dtype[Any]:
    """The numpy.dtype of a number in a file."""
    found = _DTYPES.get(number)
    if found is None and _add_ml_dtypes():
        found = _DTYPES.get(number)
    if found is None:
        raise UnsupportedError(
            f"NumPy has no {name_of(number)} here; install a recent ml_dtypes, which has it",
            status=lib.TREERING_UNSUPPORTED_DTYPE,
        )
    return found


def empty(shape: Any, dtype: Any) -> Any:
    """A new array. What is large begins at a multiple of 64 bytes, so that JAX can take it as it is."""
    array = np.empty(shape, dtype)
    if array.nbytes < LARGE or array.__array_interface__["data"][0] % 64 == 0:
        return array
    memory = np.empty(array.nbytes + 63, np.uint8)
    start = -memory.__array_interface__["data"][0] % 64
    return memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)


def storable(array: Any, where: Callable[[], str]) -> Any:
    """The array with a dtype that NUMBERS holds: byte-swapped where it must be. `where()` names the
    leaf in the refusal."""
    dtype = array.dtype
    if dtype not in NUMBERS and "ml_dtypes" in sys.modules and dtype.kind in "Vf":
        _add_ml_dtypes()
    if dtype in NUMBERS:
        return array
    if dtype.byteorder in "<>":
        native = dtype.newbyteorder("=")
        if native in NUMBERS:
            return array.astype(native)
    if dtype == np.dtype(object):
        what = "an object array; give its elements as a list"
    elif dtype.names is not None:
        what = f"a structured array ({dtype}); give its fields as a dict of arrays"
    elif dtype.kind in "Mm":
        what = f"an array of {dtype}; give .view('int64') and the unit beside it"
    elif dtype.kind in "UST":
        what = f"an array of {dtype}; give its strings as a list"
    else:
        what = f"an array of {dtype}, which the format does not have"
    path = where()
    raise UnsupportedTypeError(f"{path}: {what}", leaf=path.strip("'"), found=str(dtype))

# SPDX-License-Identifier: Apache-2.0
# Tensors of PyTorch: only ever touched where the program has imported torch.
#
# A tensor's memory is taken as it lies, by address, shape and strides, and a new tensor takes the
# buffer of a new array: NumPy's own bridge to torch is not used, which lacks bfloat16 and float8 and
# is missing where the two were built for different versions of each other. Tensors that share memory
# (tied weights) are stored once and are one tensor again.
from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _dtypes
from ._ffi import ffi, lib
from ._flatten import ARRAY, Flattener, Handler

TORCH = ((lib.TREERING_ATTR_ORIGIN, b"torch"),)
_NAMES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 "
    "complex128 bfloat16 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu"
).split()


def handler(cls: type) -> Handler | None:
    """The handler of a type of torch, or None."""
    torch = sys.modules["torch"]
    return _tensor if issubclass(cls, torch.Tensor) else None


def _number(dtype: Any) -> int:
    """The format's number of a torch.dtype, or 0."""
    name = str(dtype).removeprefix("torch.")
    return int(lib.treering_dtype_parse(name.encode(), len(name))) if name in _NAMES else 0


def _tensor(self: Flattener, key: Any, value: Any, extra: Any) -> None:
    torch = sys.modules["torch"]
    number = _number(value.dtype)
    if value.layout != torch.strided or value.is_quantized:
        self.refuse(key, f"a tensor of layout {value.layout}; give its parts, or .to_dense()")
    if not number:
        self.refuse(key, f"a tensor of {value.dtype}, which the format does not have")
    dtype = _dtypes.dtype_of(number)
    shared = _identity(value)
    first = None if shared is None else self.variables.get(shared)
    if first is not None:
        self.shared(key, first)
        return
    if shared is not None:
        self.variables[shared] = len(self.codes)
        self.kept.append(value)
    if self.target:
        self.wanted(key, ARRAY, TORCH + extra, dtype, tuple(value.shape), _finisher(torch, value))
        return
    if value.device.type == "meta":
        self.refuse(key, "a tensor on the device 'meta' has no data to save; give a real one")
    host = value.detach().cpu().resolve_conj().resolve_neg()
    self.kept.append(host)
    self.row(key, ARRAY, TORCH + extra, _view(host, dtype))


def _identity(value: Any) -> tuple[Any, ...] | None:
    """Equal for tensors that are the same elements of the same memory."""
    if value.device.type == "meta" or value.numel() == 0:
        return None
    place = str(value.device), value.data_ptr(), str(value.dtype)
    return (*place, tuple(value.shape), tuple(value.stride()), value.is_conj(), value.is_neg())


def _view(tensor: Any, dtype: np.dtype) -> np.ndarray:
    """The memory of a tensor of the host, which must be kept as long as the array."""
    shape = tuple(tensor.shape)
    if not tensor.numel():
        return np.empty(shape, dtype)
    strides = tuple(step * dtype.itemsize for step in tensor.stride())
    size = sum((n - 1) * step for n, step in zip(shape, strides)) + dtype.itemsize
    memory = ffi.buffer(ffi.cast("char *", tensor.data_ptr()), size)
    made: np.ndarray = np.ndarray(shape, dtype, memory, 0, strides)
    return made


def to_torch(torch: Any, array: np.ndarray) -> Any:
    """A tensor of the array's memory, or the array where torch has no such dtype."""
    name = array.dtype.name
    dtype = getattr(torch, name, None) if name in _NAMES else None
    if dtype is None:
        return array
    if not array.size:
        return torch.empty(array.shape, dtype=dtype)
    flat = array.reshape(-1).view(np.uint8)
    return torch.frombuffer(flat, dtype=dtype, count=math.prod(array.shape)).reshape(array.shape)


def _finisher(torch: Any, wanted: Any) -> Callable[[np.ndarray], Any]:
    """From what was restored to a tensor as the target has it."""
    device = "cpu" if wanted.device.type == "meta" else wanted.device
    grad, parameter = wanted.requires_grad, isinstance(wanted, torch.nn.Parameter)

    def finish(raw: np.ndarray) -> Any:
        made = to_torch(torch, raw).to(device)
        return torch.nn.Parameter(made, grad) if parameter else made.requires_grad_(grad)

    return finish

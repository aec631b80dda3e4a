# SPDX-License-Identifier: Apache-2.0
# One leaf of an open checkpoint: reading the part of it that is asked for, or viewing it in place.
from __future__ import annotations

import math
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import _dtypes
from ._errors import (
    DtypeMismatchError, InvalidArgumentError, StructureMismatchError, UnsupportedError, about, new_error,
)  # fmt: skip
from ._ffi import ffi, lib
from ._flatten import ARRAY, PRNG_KEY
from ._nodes import options, threads_for
from ._progress import Watch
from ._read import _LEAF_NAMES, _Nodes
from ._rebuild import _readable
from ._view import view_of

Array = npt.NDArray[Any]


class LeafRef:
    """A leaf of an open checkpoint, of which nothing is read yet.

    Indexing reads only the chunks that the result touches, verified. In a container that was opened
    with `mmap=True` the results are read-only views of the file where its bytes allow that (they lie
    there uncompressed and adjacent), else copies. Any thread may use it.

    Attributes:
        path: the display path, "layers/0/kernel".
        kind: "array", "prng_key", "int", "float", "complex", "bool", "string" or "bytes".
        dtype, shape: of arrays and keys; None and () else.
        nbytes: bytes of the value; stored_nbytes: of the file.
        attributes: as in `AbstractLeaf`.
    """

    def __init__(self, checkpoint: Any, file: str, node: int, path: str, mmap: bool) -> None:
        self._checkpoint, self._id, self._mmap = checkpoint, node, mmap
        self._file = file
        self.path = path
        nodes = _Nodes(checkpoint, node, 1)
        if nodes.aliases:
            self._id = node + nodes.aliases[0][1]
        self._kind: int = nodes.kinds[0]
        self._number: int = nodes.dtypes[0]
        self.kind: str = _LEAF_NAMES.get(self._kind, f"kind {self._kind}")
        self.shape: tuple[int, ...] = ()
        self.dtype: np.dtype[Any] | None = None
        if self._kind in (ARRAY, PRNG_KEY):
            self.shape = nodes.shapes[0]
            self.dtype = _dtypes.dtype_of(self._number)
        self.attributes: dict[Any, Any] = _readable(dict(nodes.attributes[0]))
        self.nbytes: int = nodes.sizes[0]
        self.stored_nbytes: int = nodes.nodes[0].stored_size

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"'{self.path}' has no axes, so it has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        what = self.kind
        if self.dtype is not None:
            what = f"{self.dtype.name}[{','.join(map(str, self.shape))}]"
        return f"<LeafRef {self.path or '(root)'}: {what}>"

    # -- values

    def value(self) -> Any:
        """The leaf as `load` gives it: a number, a text, an array of NumPy or JAX, a key."""
        with about(self._file):
            return _Nodes(self._checkpoint, self._id, 1).leaves()[0]

    def numpy(self) -> Array:
        """The whole array, or number, as a NumPy array; of a PRNG key its words."""
        return self._get((0,) * self.ndim, self.shape)

    def __getitem__(self, index: Any) -> Array:
        """Part of the array, by ints, slices, `...` and None; reads what it touches only."""
        origin, extent, rest = _box(index, self.shape, self.path)
        part: Array = self._get(origin, extent)[rest]
        return part

    def view(self) -> Array:
        """The whole array where it lies in the mapped file: read-only, no copy, verified now.

        The array keeps the mapping; the container may be closed.

        Raises:
            UnsupportedError: there is no view: the container was not opened with `mmap=True`, or the
                bytes are compressed or packed.
        """
        found = self._view((0,) * self.ndim, self.shape)
        if isinstance(found, UnsupportedError):
            raise found
        return found

    def read_into(self, buffer: Any) -> None:
        """Reads the whole array into memory of the caller's.

        Args:
            buffer: a writable NumPy array of this dtype and shape, with any strides, or an object
                with a writable buffer of just `nbytes` bytes.

        Raises:
            StructureMismatchError: (a ValueError) another shape or size.
            DtypeMismatchError: (also a TypeError) another dtype.
            CorruptionError: the bytes are damaged; the contents of the buffer are undefined then.
        """
        dtype = self._array_dtype()
        out = buffer
        if not isinstance(buffer, np.ndarray):
            raw = np.frombuffer(buffer, np.uint8)
            size = self.size * dtype.itemsize
            if raw.size != size:
                raise self._mismatch(StructureMismatchError, f"{size} bytes", f"{raw.size} bytes")
            out = raw.view(dtype).reshape(self.shape)
        if out.dtype != dtype or not out.dtype.isnative:
            raise self._mismatch(DtypeMismatchError, str(dtype), str(out.dtype))
        if out.shape != self.shape:
            raise self._mismatch(StructureMismatchError, str(self.shape), str(out.shape))
        if not out.flags.writeable:
            raise InvalidArgumentError(
                f"'{self.path}': the buffer is read-only",
                status=lib.TREERING_INVALID_ARGUMENT, leaf=self.path,
            )  # fmt: skip
        self._read((0,) * self.ndim, self.shape, out)

    # -- what other libraries ask for

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            found = self._view((0,) * self.ndim, self.shape) if self.dtype is not None else None
            if found is None or isinstance(found, UnsupportedError):
                raise ValueError(f"'{self.path}' cannot be had without a copy; open it with mmap=True")
            if dtype is not None and np.dtype(dtype) != found.dtype:
                raise ValueError(f"'{self.path}' is {found.dtype}; {np.dtype(dtype)} needs a copy")
            return found
        array = self.numpy()
        if dtype is not None:
            array = array.astype(dtype, copy=False)
        return array.copy() if copy and not array.flags.writeable else array

    def __dlpack__(self, **arguments: Any) -> Any:
        array = self.numpy()
        if not array.flags.writeable and arguments.get("max_version") is None:
            array = array.copy()  # the first version of DLPack cannot say that memory is read-only
        from ._dlpack import capsule

        return capsule(array, self._number, arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # kDLCPU

    def __float__(self) -> float:
        return float(self.value())

    def __int__(self) -> int:
        return int(self.value())

    # -- how

    def _array_dtype(self) -> np.dtype[Any]:
        if self.dtype is None:
            raise InvalidArgumentError(
                f"'{self.path}' is of kind {self.kind}, not an array; its value() says what it is",
                status=lib.TREERING_INVALID_ARGUMENT, leaf=self.path,
            )  # fmt: skip
        return self.dtype

    def _mismatch(self, kind: type[StructureMismatchError], expected: str, found: str) -> Exception:
        name = "DTYPE" if kind is DtypeMismatchError else "SHAPE"
        status = getattr(lib, f"TREERING_MISMATCH_{name}")
        error = kind(
            f"'{self.path}': {expected} is stored, the buffer has {found}",
            status=status, path=self._file, leaf=self.path, expected=expected, found=found,
        )  # fmt: skip
        error.different = [(self.path, expected, found)]
        return error

    def _get(self, origin: tuple[int, ...], extent: tuple[int, ...]) -> Array:
        if self.dtype is None:
            if self.kind in ("string", "bytes"):
                self._array_dtype()
            return np.asarray(self.value())
        if self._mmap:
            found = self._view(origin, extent)
            if not isinstance(found, UnsupportedError):
                return found
        out: Array = np.empty(extent, self.dtype)
        self._read(origin, extent, out)
        return out

    def _view(self, origin: tuple[int, ...], extent: tuple[int, ...]) -> Array | UnsupportedError:
        dtype = self._array_dtype()
        if self._number & 255 in (2, 4):
            return UnsupportedError(
                f"'{self.path}': NumPy has no view of packed {dtype}; read a copy",
                status=lib.TREERING_UNSUPPORTED_NO_VIEW, path=self._file, leaf=self.path,
            )  # fmt: skip
        with about(self._file):
            found = view_of(self._checkpoint, self._id, dtype, origin, extent)
        if isinstance(found, UnsupportedError):
            found.path, found.leaf = self._file, self.path
        return found

    def _read(self, origin: tuple[int, ...], extent: tuple[int, ...], out: Array) -> None:
        reads, error = ffi.new("treering_read[1]"), new_error()
        read = reads[0]
        boxes = ffi.new("uint64_t[]", origin), ffi.new("uint64_t[]", extent)
        read.node, read.origin, read.extent = self._id, boxes[0], boxes[1]
        target = out
        if not out.flags.c_contiguous and any(stride < 0 for stride in out.strides):
            target = np.empty(extent, out.dtype)
        strides = ffi.new("int64_t[]", target.strides)
        if not target.flags.c_contiguous:
            read.strides = strides
        read.dst = ffi.cast("void *", target.__array_interface__["data"][0])
        reach = sum((n - 1) * s for n, s in zip(target.shape, target.strides)) + target.itemsize
        read.dst_size = target.nbytes if target.flags.c_contiguous else reach if target.size else 0
        read.one_per_byte = self._number & 255 in (2, 4)
        with about(self._file), Watch(size=target.nbytes) as watch:
            settings = options(
                "treering_read_options", threads=threads_for(target.nbytes), **watch.fields
            )
            size = ffi.sizeof("treering_read")
            watch.check(
                lib.treering_checkpoint_read(self._checkpoint, reads, size, 1, settings, error), error
            )
        if target is not out:
            out[...] = target


def _box(
    index: Any, shape: tuple[int, ...], path: str
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Any, ...]]:
    """(origin, extent, index into what was read) of an index as NumPy takes it."""
    given = list(index) if isinstance(index, tuple) else [index]
    axes = sum(1 for part in given if part is not None and part is not Ellipsis)
    if sum(1 for part in given if part is Ellipsis) == 0:
        given.append(Ellipsis)
    elif sum(1 for part in given if part is Ellipsis) > 1:
        raise IndexError(f"'{path}': an index has one `...` at most")
    if axes > len(shape):
        raise IndexError(f"'{path}' has {len(shape)} axes, and {axes} were indexed")
    origin: list[int] = []
    extent: list[int] = []
    rest: list[Any] = []
    for part in given:
        if part is None:
            rest.append(None)
        elif part is Ellipsis:
            for axis in range(len(origin), len(origin) + len(shape) - axes):
                origin.append(0)
                extent.append(shape[axis])
                rest.append(slice(None))
        else:
            begin, count, then = _along(part, shape[len(origin)], len(origin), path)
            origin.append(begin)
            extent.append(count)
            rest.append(then)
    return tuple(origin), tuple(extent), tuple(rest)


def _along(part: Any, length: int, axis: int, path: str) -> tuple[int, int, Any]:
    """(origin, extent, index into it) along one axis."""
    if isinstance(part, slice):
        steps = range(*part.indices(length))
        if not steps:
            return 0, 0, slice(0, 0)
        low, high = min(steps[0], steps[-1]), max(steps[0], steps[-1])
        return low, high - low + 1, slice(None, None, steps.step)
    refused = isinstance(part, (bool, np.bool_)) or getattr(part, "shape", ()) != ()
    if refused or not isinstance(part, SupportsIndex):
        raise IndexError(
            f"'{path}': a {type(part).__name__} as index; ints, slices, `...` and None are taken "
            "here, for all else index .numpy()"
        )
    at = part.__index__()
    if not -length <= at < length:
        raise IndexError(f"'{path}': index {at} is out of bounds for axis {axis} of length {length}")
    return at % length, 1, 0

# SPDX-License-Identifier: Apache-2.0
# The values of a Zarr array out of a key-value store: chunk by chunk, shards too.
#
# Nothing covers the bytes of a chunk but what a codec brings (crc32c, a frame's checksum); its length
# is checked always. A chunk that is absent is the fill value only where the writer left such chunks
# out; elsewhere it is lost, and that is an error.
from __future__ import annotations

import itertools
import math
from typing import Any, Protocol

import numpy as np

from .._dtypes import empty
from ._bytes import Extent, parse_json
from ._codecs import decode
from ._faults import damaged, missing, too_large
from ._zarr_metadata import ArrayFormat, parse_v2, parse_v3

_CHUNK_LIMIT = 1 << 26  # chunks of an array
_DOCUMENT_LIMIT = 1 << 22
_ABSENT = (1 << 64) - 1


class Store(Protocol):
    """Values by keys."""

    where: str

    def find(self, key: str) -> Extent | None: ...


class ZarrArray:
    """An array in a store: its format now, its values when `read` is called."""

    def __init__(self, store: Store, name: str, may_lack_chunks: bool):
        self._store, self._may_lack = store, may_lack_chunks
        self._prefix = name + "/" if name else ""
        self.where = f"array {name!r} of '{store.where}'"
        self.format = self._open()

    def _open(self) -> ArrayFormat:
        for key, parse in ((".zarray", parse_v2), ("zarr.json", parse_v3)):
            extent = self._store.find(self._prefix + key)
            if extent is None:
                continue
            if extent.size > _DOCUMENT_LIMIT:
                raise too_large(extent.where, f"{extent.size} bytes of metadata of an array")
            document = parse_json(extent.read(), extent.where)
            if not isinstance(document, dict):
                raise damaged(extent.where, "holds no JSON object")
            return parse(document, self.where)
        raise missing(self.where, "there is neither .zarray nor zarr.json; its data are lost")

    def read(self, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """The whole array, in C order and native byte order; into `out` if given."""
        form = self.format
        grid = form.grid
        if math.prod(grid) > _CHUNK_LIMIT:
            raise too_large(self.where, f"{math.prod(grid)} chunks")
        self._find_all(grid)
        found: np.ndarray[Any, Any] = empty(form.shape, form.dtype) if out is None else out
        for position in itertools.product(*map(range, grid)):
            self._chunk(position, found)
        return found

    def _find_all(self, grid: tuple[int, ...]) -> None:
        """Before memory is taken for it: an array of many chunks and no data is refused."""
        if self._may_lack:
            return
        for position in itertools.product(*map(range, grid)):
            if self._store.find(self._prefix + self.format.key(position)) is None:
                raise self._lost(position)

    def _lost(self, position: tuple[int, ...]) -> Exception:
        return missing(self.where, f"the chunk {list(position)} is not there; its data are lost")

    def _chunk(self, position: tuple[int, ...], out: np.ndarray[Any, Any]) -> None:
        form = self.format
        start = [at * size for at, size in zip(position, form.chunks)]
        extent = self._store.find(self._prefix + form.key(position))
        if extent is None:
            if not self._may_lack:
                raise self._lost(position)
            _place(out, start, form.chunks, form.fill)
        elif form.inner is None:
            _place(out, start, form.chunks, self._decoded(extent.read(), form.chunks, extent.where))
        else:
            self._shard(extent, start, form.inner, out)

    def _decoded(self, data: bytes, shape: tuple[int, ...], where: str) -> np.ndarray[Any, Any]:
        form = self.format
        count = math.prod(shape)
        raw = decode(data, form.codecs, count * form.stored.itemsize, f"{self.where}: {where}")
        if form.dtype == np.bool_ and raw.translate(None, b"\0\1"):
            raise damaged(where, "a bool that is neither 0 nor 1")
        return np.frombuffer(raw, form.stored).reshape(shape)

    def _shard(
        self, extent: Extent, start: list[int], inner: tuple[int, ...], out: np.ndarray[Any, Any]
    ) -> None:
        form = self.format
        counts = tuple(size // part for size, part in zip(form.chunks, inner))
        number = math.prod(counts)
        if number > _CHUNK_LIMIT:
            raise too_large(extent.where, f"{number} chunks in a shard")
        size = 16 * number + (4 if form.index_codecs else 0)
        at = 0 if form.index_first else extent.size - size
        where = f"{self.where}: index of {extent.where}"
        index = decode(extent.read(at, size), form.index_codecs, 16 * number, where)
        pairs = np.frombuffer(index, "<u8").reshape(number, 2).tolist()
        for position, (offset, length) in zip(itertools.product(*map(range, counts)), pairs):
            corner = [a + p * i for a, p, i in zip(start, position, inner)]
            if any(c >= s for c, s in zip(corner, form.shape)):
                continue  # beyond the array's edge
            if offset == _ABSENT and length == _ABSENT:
                if not self._may_lack:
                    raise missing(where, f"the chunk at {corner} is not there; its data are lost")
                _place(out, corner, inner, form.fill)
                continue
            part = self._decoded(extent.read(offset, length), inner, extent.where)
            _place(out, corner, inner, part)


def _place(out: np.ndarray[Any, Any], start: Any, size: tuple[int, ...], values: Any) -> None:
    """Puts a chunk where it belongs; what lies beyond the array's edge is dropped."""
    ends = [min(at + step, limit) for at, step, limit in zip(start, size, out.shape)]
    target = tuple(slice(a, b) for a, b in zip(start, ends))
    if isinstance(values, np.ndarray):
        values = values[tuple(slice(b - a) for a, b in zip(start, ends))]
    out[target] = values

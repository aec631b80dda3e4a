# SPDX-License-Identifier: Apache-2.0
# What a `.zarray` (Zarr v2) or `zarr.json` (v3) says of an array, checked; the subset that Orbax writes.
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ._codecs import known
from ._faults import damaged, too_large, unsupported

_RANK_LIMIT = 32
_ARRAY_LIMIT = 1 << 46  # bytes of an array; what memory there is decides earlier
_NUMPY = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
).split()
_ML_DTYPES = (
    "bfloat16 int2 int4 uint2 uint4 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn "
    "float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float6_e2m3fn float6_e3m2fn "
    "float4_e2m1fn"
).split()
_V2 = {np.dtype(name).str[1:]: name for name in _NUMPY}  # "f4" -> "float32"


class ArrayFormat(NamedTuple):
    """An array's shape and how its chunks are stored."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # native
    stored: np.dtype[Any]  # of the chunks' bytes
    chunks: tuple[int, ...]  # what one key holds: with shards, a shard
    inner: tuple[int, ...] | None  # with shards, what is encoded by itself
    fill: Any
    codecs: list[str]  # bytes to bytes, in the order of encoding
    index_codecs: list[str]  # of a shard's index
    index_first: bool
    prefix: str  # what keys of chunks begin with
    separator: str

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def grid(self) -> tuple[int, ...]:
        """How many keys there are along each dimension."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks))

    def key(self, position: tuple[int, ...]) -> str:
        """The key of a chunk, behind the array's name and a slash."""
        if not position:
            return self.prefix or "0"
        start = self.prefix + self.separator if self.prefix else ""
        return start + self.separator.join(map(str, position))


def dtype_named(name: str, where: str) -> np.dtype[Any]:
    """The dtype, in native byte order."""
    if name in _NUMPY:
        return np.dtype(name)
    if name in _ML_DTYPES:
        try:
            import ml_dtypes
        except ImportError:
            raise unsupported(
                where, f"has dtype {name}; `pip install ml_dtypes` brings it"
            ) from None
        scalar = getattr(ml_dtypes, name, None)
        if scalar is not None:
            found: np.dtype[Any] = np.dtype(scalar)
            return found
    raise unsupported(where, f"has dtype {name!r}, which is not read here")


def _shape(value: Any, what: str, where: str, least: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _RANK_LIMIT:
        raise damaged(where, f"{what} is no list of at most {_RANK_LIMIT} sizes: {value!r:.80}")
    for size in value:
        if type(size) is not int or not least <= size < 1 << 62:
            raise damaged(where, f"{what} has the size {size!r:.40}")
    return tuple(value)


def _field(document: Any, name: str, kind: Any, where: str) -> Any:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, kind):
        raise damaged(where, f"the field {name!r} is {found!r:.80}")
    return found


def _checked(found: ArrayFormat, where: str) -> ArrayFormat:
    if len(found.chunks) != len(found.shape):
        raise damaged(where, f"chunks {found.chunks} for the shape {found.shape}")
    if found.nbytes > _ARRAY_LIMIT or math.prod(found.chunks) * found.dtype.itemsize > _ARRAY_LIMIT:
        raise too_large(where, f"an array of shape {found.shape} in chunks of {found.chunks}")
    return found


def parse_v2(document: dict[str, Any], where: str) -> ArrayFormat:
    """Of a `.zarray`."""
    if document.get("zarr_format") != 2:
        raise unsupported(
            where, f"Zarr format {document.get('zarr_format')!r:.20}; 2 is known here"
        )
    if document.get("order", "C") != "C":
        raise unsupported(where, f"order {document['order']!r:.20}; C is known here")
    if document.get("filters"):
        raise unsupported(where, f"filters {document['filters']!r:.80}")
    text = _field(document, "dtype", str, where)
    native = _V2.get(text[1:]) if text[:1] in "<>|" else None
    dtype = dtype_named(native or text, where)
    stored = np.dtype(text) if native else dtype
    compressor = document.get("compressor")
    codecs = [] if compressor is None else [known(_field(compressor, "id", str, where), where)]
    separator = document.get("dimension_separator", ".")
    if separator not in (".", "/"):
        raise damaged(where, f"the separator {separator!r:.20}")
    fill = document.get("fill_value")
    found = ArrayFormat(
        _shape(document.get("shape"), "shape", where, 0), dtype, stored,
        _shape(document.get("chunks"), "chunks", where, 1), None,
        fill_value(0 if fill is None else fill, dtype, where), codecs, [], False, "", separator,
    )  # fmt: skip
    return _checked(found, where)


def parse_v3(document: dict[str, Any], where: str) -> ArrayFormat:
    """Of a `zarr.json`."""
    if document.get("zarr_format") != 3 or document.get("node_type") != "array":
        raise unsupported(where, "is no array of Zarr format 3")
    if document.get("storage_transformers"):
        raise unsupported(where, "storage transformers")
    dtype = dtype_named(_field(document, "data_type", str, where), where)
    grid = _field(document, "chunk_grid", dict, where)
    if grid.get("name") != "regular":
        raise unsupported(
            where, f"the chunk grid {grid.get('name')!r:.40}; 'regular' is known here"
        )
    chunks = _shape(
        _field(grid, "configuration", dict, where).get("chunk_shape"), "chunks", where, 1
    )
    prefix, separator = _key_encoding(document, where)
    codecs = _field(document, "codecs", list, where)
    inner: tuple[int, ...] | None = None
    index_codecs: list[str] = []
    index_first = False
    if _name(codecs[0] if codecs else None, where) == "sharding_indexed":
        if len(codecs) > 1:
            raise unsupported(where, "codecs behind sharding_indexed")
        shard = _field(codecs[0], "configuration", dict, where)
        inner = _shape(shard.get("chunk_shape"), "inner chunks", where, 1)
        if len(inner) != len(chunks) or any(a % b for a, b in zip(chunks, inner)):
            raise damaged(where, f"inner chunks {inner} for shards of {chunks}")
        codecs = _field(shard, "codecs", list, where)
        index_dtype, index_codecs = _chain(
            _field(shard, "index_codecs", list, where), np.dtype("u8"), where
        )
        if index_dtype != np.dtype("<u8") or index_codecs not in ([], ["crc32c"]):
            raise unsupported(
                where, "a shard's index that is not little-endian with or without crc32c"
            )
        index_first = shard.get("index_location", "end") == "start"
    stored, names = _chain(codecs, dtype, where)
    found = ArrayFormat(
        _shape(document.get("shape"), "shape", where, 0), dtype, stored, chunks, inner,
        fill_value(document.get("fill_value"), dtype, where), names, index_codecs, index_first,
        prefix, separator,
    )  # fmt: skip
    return _checked(found, where)


def _name(codec: Any, where: str) -> str:
    return codec if isinstance(codec, str) else str(_field(codec, "name", str, where))


def _key_encoding(document: dict[str, Any], where: str) -> tuple[str, str]:
    encoding = document.get("chunk_key_encoding")
    name = _name(encoding, where)
    if name not in ("default", "v2"):
        raise unsupported(where, f"keys of chunks in the encoding {name!r:.40}")
    options = encoding.get("configuration") if isinstance(encoding, dict) else None
    separator = (options or {}).get("separator", "/" if name == "default" else ".")
    if separator not in (".", "/"):
        raise damaged(where, f"the separator {separator!r:.20}")
    return ("c" if name == "default" else ""), separator


def _chain(codecs: list[Any], dtype: np.dtype[Any], where: str) -> tuple[np.dtype[Any], list[str]]:
    """The dtype as stored and the names of the codecs behind `bytes`."""
    if not codecs or _name(codecs[0], where) != "bytes":
        raise unsupported(where, f"codecs that do not begin with 'bytes': {codecs!r:.80}")
    options = codecs[0].get("configuration") if isinstance(codecs[0], dict) else None
    endian = (options or {}).get("endian", "little")
    if endian not in ("little", "big"):
        raise damaged(where, f"the byte order {endian!r:.20}")
    if dtype.itemsize > 1 and dtype.kind != "V" and dtype.name in _NUMPY:
        dtype = dtype.newbyteorder("<" if endian == "little" else ">")
    elif endian == "big" and dtype.itemsize > 1:
        raise unsupported(where, f"big-endian {dtype.name}")
    return dtype, [known(_name(codec, where), where) for codec in codecs[1:]]


def fill_value(value: Any, dtype: np.dtype[Any], where: str) -> Any:
    """What a chunk that is not there consists of."""
    try:
        if dtype.kind == "c" and isinstance(value, list) and len(value) == 2:
            return dtype.type(complex(_real(value[0]), _real(value[1])))
        if isinstance(value, str) and value.startswith("0x"):
            raw = bytes.fromhex(value[2:])
            if len(raw) == dtype.itemsize and dtype.kind != "c":
                return np.frombuffer(raw[::-1], dtype)[0]
        elif isinstance(value, (bool, int, float, str)):
            return np.dtype(dtype).type(value if isinstance(value, (bool, int)) else _real(value))
    except (ValueError, OverflowError, TypeError):
        pass
    raise damaged(where, f"the fill value {value!r:.40} for dtype {dtype.name}")


def _real(value: Any) -> float:
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, str):
        raise ValueError(value)
    return float(value)

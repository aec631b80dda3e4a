# SPDX-License-Identifier: Apache-2.0
# Decompression into a size that is known beforehand; what cannot be decoded is refused by name.
from __future__ import annotations

import zlib
from typing import Any

from ._crc32c import crc32c
from ._faults import damaged, failed_checksum, unsupported


def _zstandard(where: str) -> Any:
    try:
        import zstandard
    except ImportError:
        raise unsupported(
            where, "is compressed with zstd; `pip install treering[interop]` brings the decoder"
        ) from None
    return zstandard


def unzstd(data: bytes, limit: int, where: str) -> bytes:
    """The content of one zstd frame, of at most `limit` bytes; the frame's checksum, if it has one,
    is verified."""
    zstandard = _zstandard(where)
    try:
        size = zstandard.frame_content_size(data)
        if size > limit:
            raise damaged(where, f"a zstd frame of {size} bytes where {limit} are possible")
        if size == 0:
            return b""
        decoder = zstandard.ZstdDecompressor()
        found: bytes = decoder.decompress(data, max_output_size=limit, allow_extra_data=False)
        return found
    except zstandard.ZstdError as error:
        raise damaged(where, f"zstd cannot decode it: {error}") from None


def _inflate(data: bytes, limit: int, where: str) -> bytes:
    """gzip or zlib, both of which end with a checksum."""
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        found = decoder.decompress(data, limit + 1)
    except zlib.error as error:
        raise damaged(where, f"zlib cannot decode it: {error}") from None
    if len(found) > limit:
        raise damaged(where, f"more than {limit} bytes when inflated")
    if not decoder.eof or decoder.unused_data:
        raise damaged(where, "a compressed stream that does not end where its bytes do")
    return found


def _check(data: bytes, limit: int, where: str) -> bytes:
    """Zarr's codec crc32c: four bytes behind the data."""
    if len(data) < 4:
        raise damaged(where, f"{len(data)} bytes, too short for a checksum")
    stored, found = int.from_bytes(data[-4:], "little"), crc32c(data[:-4])
    if stored != found:
        raise failed_checksum(where, stored, found)
    return data[:-4]


_DECODERS = {"zstd": unzstd, "gzip": _inflate, "zlib": _inflate, "crc32c": _check}


def known(codec: str, where: str) -> str:
    """The codec's name if it can be decoded; refuses it otherwise."""
    if codec not in _DECODERS:
        raise unsupported(
            where, f"the codec {codec!r} is not decoded here ({', '.join(_DECODERS)} are)"
        )
    return codec


def decode(data: bytes, codecs: list[str], size: int, where: str) -> bytes:
    """Undoes `codecs`, the last first. The result has exactly `size` bytes."""
    for position, codec in reversed(list(enumerate(codecs))):
        # What is in between may be longer by the checksums and headers that follow.
        limit = size if position == 0 else size + size // 8 + 65536
        data = _DECODERS[codec](data, limit, where)
    if len(data) != size:
        raise damaged(where, f"{len(data)} bytes after decoding, {size} were written")
    return data

# SPDX-License-Identifier: Apache-2.0
# Bytes of files that nobody vouches for: bounded reads, and a cursor that never leaves its bytes.
from __future__ import annotations

import json
import os
import stat
from typing import Any

from ._faults import damaged, missing, too_large

JSON_LIMIT = 256 << 20  # bytes of a metadata file; 100,000 arrays have 30 MB


class Extent:
    """A run of bytes in a file, or `inline` ones that are already here; `where` names it."""

    __slots__ = ("where", "path", "offset", "size", "inline")

    def __init__(self, where: str, path: str, offset: int, size: int, inline: bytes | None = None):
        self.where, self.path = where, path
        self.offset, self.size, self.inline = offset, size, inline

    def read(self, start: int = 0, size: int | None = None) -> bytes:
        """All, or `size` bytes from `start` on; a part outside of the run is damage."""
        size = self.size - start if size is None else size
        if start < 0 or size < 0 or start + size > self.size:
            raise damaged(
                self.where, f"bytes {start} to {start + size} of a value of {self.size} bytes"
            )
        if self.inline is not None:
            return self.inline[start : start + size]
        return read_range(self.path, self.offset + start, size, self.where)


def _open_regular(path: str, where: str) -> tuple[int, int]:
    """A descriptor and the size. A pipe or device in a file's place must not block the reader."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | os.O_CLOEXEC)
    except FileNotFoundError:
        raise missing(
            where, f"the file '{path}' is not there; was the folder copied whole?"
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise damaged(where, f"'{path}' is no regular file")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def read_range(path: str, offset: int, size: int, where: str) -> bytes:
    """`size` bytes from `offset` on; `where` is what they are, for errors."""
    descriptor, there = _open_regular(path, where)
    try:
        if offset + size > there:
            raise damaged(
                where,
                f"needs bytes {offset} to {offset + size} of '{path}', which has {there}",
                offset,
            )
        parts = []
        while size:
            part = os.pread(descriptor, min(size, 1 << 30), offset)
            if not part:
                raise damaged(where, f"'{path}' became shorter while it was read", offset)
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(descriptor)


def file_size(path: str) -> int | None:
    """None where there is no regular file."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read_file(path: str, limit: int) -> bytes:
    """A whole file of at most `limit` bytes."""
    descriptor, size = _open_regular(path, path)
    os.close(descriptor)
    if size > limit:
        raise too_large(path, f"{size} bytes; {limit} are the limit for such a file")
    return read_range(path, 0, size, path)


def parse_json(data: bytes, where: str) -> Any:
    """The document; a name that occurs twice in one object is refused, as it loses a value."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise damaged(where, f"is no UTF-8 text at byte {error.start}", error.start) from None
    except ValueError as error:
        raise damaged(where, f"is no JSON document: {error}") from None
    except RecursionError:
        raise too_large(where, "JSON that is nested too deeply") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} occurs twice in one object")
    return found


def read_json(path: str, kind: type = dict) -> Any:
    """The JSON document in a file, whose top must be a `kind`."""
    found = parse_json(read_file(path, JSON_LIMIT), path)
    if not isinstance(found, kind):
        raise damaged(path, f"holds a JSON {type(found).__name__}, not a {kind.__name__}")
    return found


class Cursor:
    """Reads numbers and bytes one after the other; beyond the end is damage, told with the offset."""

    __slots__ = ("data", "position", "where")

    def __init__(self, data: bytes, where: str):
        self.data, self.position, self.where = data, 0, where

    def fail(self, what: str) -> Exception:
        """The exception to raise for what was found just here."""
        return damaged(self.where, f"{what} (at byte {self.position})", self.position)

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise self.fail(
                f"{size} more bytes are needed, {len(self.data) - self.position} are left"
            )
        found = self.data[self.position : end]
        self.position = end
        return found

    def fixed(self, size: int, order: Any = "little") -> int:
        return int.from_bytes(self.take(size), order)

    def varint(self, limit: int = (1 << 64) - 1) -> int:
        """A LEB128 number of at most ten bytes and at most `limit`."""
        data, position, value, shift = self.data, self.position, 0, 0
        while True:
            if position >= len(data) or shift > 63:
                raise self.fail("a number that does not end")
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        if value > limit:
            raise self.fail(f"the number {value} where at most {limit} is possible")
        self.position = position
        return value

    def varints(self, count: int, limit: int = (1 << 64) - 1) -> list[int]:
        if count > len(self.data) - self.position:
            raise self.fail(f"{count} numbers in {len(self.data) - self.position} bytes")
        return [self.varint(limit) for _ in range(count)]

    def end(self) -> None:
        """Raises unless everything was read."""
        if self.position != len(self.data):
            raise self.fail(f"{len(self.data) - self.position} bytes too many")

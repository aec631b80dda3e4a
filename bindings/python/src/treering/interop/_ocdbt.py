# SPDX-License-Identifier: Apache-2.0
# The key-value store in which Orbax puts its arrays: OCDBT, read from its files.
#
# A manifest names versions, each the root of a B-tree whose leaves hold values or say where they lie.
# Manifest and nodes carry a CRC-32C, checked before anything of them is parsed; values carry none.
# The newest version stands in the manifest itself, so that older ones, which have nodes of their own,
# are never read. All levels are walked with a list of what is still to read, not by recursion.
from __future__ import annotations

import os
from typing import NamedTuple

from ._bytes import Cursor, Extent, file_size, read_file, read_range
from ._codecs import unzstd
from ._crc32c import crc32c
from ._faults import damaged, failed_checksum, too_large, unsupported

_MANIFEST, _NODE = 0x0CDB3A2A, 0x0CDB20DE
_MISSING = (1 << 64) - 1  # offset and length of the root of an empty version
_ENVELOPE_LIMIT = 1 << 30  # bytes of an encoded manifest or node
_PATH_LIMIT, _KEY_LIMIT, _ARITY_LIMIT = 65535, 65535, 1 << 20
_NODE_COUNT_LIMIT = 1 << 20


class _File(NamedTuple):
    base: str  # what child nodes' paths begin with
    path: str  # relative to the store


class _Reference(NamedTuple):
    file: _File
    offset: int
    size: int
    keys: int  # how many are below


class _Step(NamedTuple):
    """A node that is still to be read: where, of what height, and what its keys begin with."""

    reference: _Reference
    height: int
    prefix: bytes
    smallest: bytes


def _unwrap(data: bytes, magic: int, limit: int, where: str) -> Cursor:
    """Checks the envelope of a manifest or node; a cursor over the body."""
    if len(data) < 18:
        raise damaged(where, f"{len(data)} bytes, too short for an OCDBT record")
    if int.from_bytes(data[:4], "big") != magic:
        raise damaged(where, f"begins with {data[:4].hex()}, not with {magic:08x}", 0)
    size = int.from_bytes(data[4:12], "little")
    if size != len(data):
        raise damaged(where, f"says that it has {size} bytes, but has {len(data)}", 4)
    stored, found = int.from_bytes(data[-4:], "little"), crc32c(data[:-4])
    if stored != found:
        raise failed_checksum(where, stored, found)
    cursor = Cursor(data[12:-4], where)
    version, compression = cursor.varint(), cursor.varint()
    if version != 0:
        raise unsupported(where, f"version {version} of the OCDBT format; 0 is known here")
    if compression > 1:
        raise unsupported(where, f"OCDBT compression {compression}; 0 and 1 (zstd) are known here")
    body = cursor.take(len(cursor.data) - cursor.position)
    return Cursor(unzstd(body, limit, where) if compression else body, where)


def _file_table(cursor: Cursor, base: str) -> list[_File]:
    """The data files that a record refers to; their names share prefixes with the one before."""
    count = cursor.varint(len(cursor.data))
    prefixes = [0] + cursor.varints(count - 1, _PATH_LIMIT) if count else []
    suffixes = cursor.varints(count, _PATH_LIMIT)
    bases = cursor.varints(count, _PATH_LIMIT)
    files, before = [], b""
    for prefix, suffix, base_size in zip(prefixes, suffixes, bases):
        if prefix > len(before) or prefix + suffix > _PATH_LIMIT or base_size > prefix + suffix:
            raise cursor.fail("a data file's name with impossible lengths")
        before = before[:prefix] + cursor.take(suffix)
        files.append(_file(cursor, base, before, base_size))
    return files


def _file(cursor: Cursor, base: str, name: bytes, base_size: int) -> _File:
    try:
        own, rest = name[:base_size].decode(), name[base_size:].decode()
    except UnicodeDecodeError:
        raise cursor.fail(f"a data file's name that is no text: {name!r}") from None
    path = base + own + rest
    if path and ("\0" in path or ".." in path.split("/") or os.path.isabs(path)):
        raise cursor.fail(f"the data file {path!r}, which lies outside of the store")
    return _File(base + own, path)


def _references(cursor: Cursor, files: list[_File], count: int) -> list[_Reference]:
    ids = cursor.varints(count, max(len(files) - 1, 0))
    if count and not files:
        raise cursor.fail("a reference to a data file, of which there are none")
    offsets, sizes = cursor.varints(count), cursor.varints(count)
    keys = cursor.varints(count)
    cursor.varints(2 * count)  # bytes of the tree and of values out of line: statistics
    return [_Reference(files[i], o, s, k) for i, o, s, k in zip(ids, offsets, sizes, keys)]


def _newest(path: str) -> tuple[_Reference, int, int]:
    """Of the manifest: the newest version's root, its height, and how large a node may be."""
    cursor = _unwrap(read_file(path, _ENVELOPE_LIMIT), _MANIFEST, _ENVELOPE_LIMIT, path)
    cursor.take(16)  # uuid
    kind = cursor.fixed(1)
    if kind != 0:
        raise unsupported(path, f"manifest kind {kind} (versions in numbered files)")
    cursor.varint()  # the largest value within a node
    node_limit = min(cursor.varint(0xFFFFFFFF), _ENVELOPE_LIMIT)
    arity = cursor.fixed(1)
    if not 1 <= arity <= 16:
        raise cursor.fail(f"versions in groups of 2**{arity}")
    method = cursor.varint()
    if method > 1:
        raise unsupported(path, f"OCDBT compression method {method}; 0 and 1 (zstd) are known here")
    cursor.take(4 if method else 0)  # zstd's level
    files = _file_table(cursor, "")
    count = cursor.varint(1 << arity)
    if not count:
        raise cursor.fail("a manifest without a version")
    generations = cursor.varints(count)
    if sorted(set(generations)) != generations:
        raise cursor.fail("versions out of order")
    heights = cursor.take(count)
    roots = _references(cursor, files, count)
    cursor.take(8 * count)  # commit times
    _skip_older(cursor, files)
    cursor.end()
    return roots[-1], heights[-1], node_limit


def _skip_older(cursor: Cursor, files: list[_File]) -> None:
    """References to older versions: read past, so that the manifest is known to end where it should."""
    count = cursor.varint(64)
    cursor.varints(count)  # generations
    cursor.varints(count, max(len(files) - 1, 0))
    cursor.varints(3 * count)  # offsets, lengths, numbers of generations
    cursor.take(9 * count)  # commit times, heights


def _keys(cursor: Cursor, count: int, interior: bool) -> tuple[list[bytes], list[int]]:
    """The keys of a node, in order, and of each how much of it all keys below begin with."""
    prefixes = [0] + cursor.varints(count - 1, _KEY_LIMIT)
    suffixes = cursor.varints(count, _KEY_LIMIT)
    shared = cursor.varints(count, _KEY_LIMIT) if interior else []
    keys: list[bytes] = []
    before = b""
    for position, (prefix, suffix) in enumerate(zip(prefixes, suffixes)):
        if prefix > len(before):
            raise cursor.fail("a key that shares more with the one before than that has")
        key = before[:prefix] + cursor.take(suffix)
        if position and key <= before:
            raise cursor.fail(f"keys out of order: {before!r}, {key!r}")
        if interior and shared[position] > len(key):
            raise cursor.fail("a subtree whose keys share more than its first key has")
        keys.append(key)
        before = key
    return keys, shared


class OcdbtStore:
    """All keys of the newest version, and where each value lies; values are read when asked for."""

    def __init__(self, folder: str):
        self.where = os.path.join(folder, "manifest.ocdbt")
        self._folder = folder
        self._values: dict[bytes, Extent] = {}
        root, height, self._node_limit = _newest(self.where)
        if root.offset == _MISSING and root.size == _MISSING:
            return
        steps, read = [_Step(root, height, b"", b"")], 0
        while steps:
            read += 1
            if read > _NODE_COUNT_LIMIT:
                raise too_large(self.where, f"a B-tree of more than {_NODE_COUNT_LIMIT} nodes")
            steps.extend(self._node(steps.pop(), root.keys))
        if len(self._values) != root.keys:
            raise damaged(
                self.where, f"a B-tree of {len(self._values)} keys, where {root.keys} were written"
            )

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: str) -> Extent | None:
        """Where the value of a key lies."""
        return self._values.get(key.encode("utf-8", "surrogatepass"))

    def _node(self, step: _Step, most: int) -> list[_Step]:
        """Reads a node: of a leaf the values are kept, of others the children are returned."""
        file, offset, size = step.reference.file, step.reference.offset, step.reference.size
        path = os.path.join(self._folder, file.path)
        where = f"B-tree node at byte {offset} of '{path}'"
        if size > _ENVELOPE_LIMIT:
            raise too_large(where, f"a node of {size} bytes")
        data = read_range(path, offset, size, where)
        cursor = _unwrap(data, _NODE, self._node_limit, where)
        height = cursor.fixed(1)
        if height != step.height:
            raise cursor.fail(
                f"a node of height {height} where one of height {step.height} belongs"
            )
        files = _file_table(cursor, file.base)
        count = cursor.varint(_ARITY_LIMIT)
        if not count:
            raise cursor.fail("a node without entries")
        keys, shared = _keys(cursor, count, height > 0)
        if step.prefix + keys[0] < step.smallest:
            raise cursor.fail("a node whose keys are below those that its parent promised")
        if not height:
            if len(self._values) + count > most:
                raise damaged(
                    self.where, f"a B-tree of more than the {most} keys that were written"
                )
            self._leaf(cursor, files, [step.prefix + key for key in keys])
            return []
        children = _references(cursor, files, count)
        cursor.end()
        return [
            _Step(child, height - 1, step.prefix + key[:common], step.prefix + key)
            for child, key, common in zip(children, keys, shared)
        ]

    def _leaf(self, cursor: Cursor, files: list[_File], keys: list[bytes]) -> None:
        sizes = cursor.varints(len(keys))
        kinds = cursor.take(len(keys))
        if kinds.count(0) + kinds.count(1) != len(kinds):
            raise cursor.fail("a value of an unknown kind")
        outside = kinds.count(1)
        if outside and not files:
            raise cursor.fail("a value in a data file, of which there are none")
        lying_in = iter(cursor.varints(outside, max(len(files) - 1, 0)))
        offsets = iter(cursor.varints(outside))
        for key, size, kind in zip(keys, sizes, kinds):
            name = key.decode("utf-8", "replace")
            if key in self._values:
                raise cursor.fail(f"the key {name!r} twice")
            if kind:
                path = os.path.join(self._folder, files[next(lying_in)].path)
                where = f"value {name!r} of '{self.where}'"
                self._values[key] = Extent(where, path, next(offsets), size)
            else:
                where = f"value {name!r} in {cursor.where}"
                self._values[key] = Extent(where, "", 0, size, cursor.take(size))
        cursor.end()


class LooseStore:
    """The same for arrays that lie in a folder each, with a file for each key."""

    def __init__(self, folder: str):
        self.where = self._folder = folder

    def find(self, key: str) -> Extent | None:
        """The file of a key. A key that would leave the folder is refused."""
        if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
            raise damaged(self.where, f"the key {key!r} is no name of a file below it")
        path = os.path.join(self._folder, key)
        size = file_size(path)
        return None if size is None else Extent(f"'{path}'", path, 0, size)

# SPDX-License-Identifier: Apache-2.0
# An independent reader, written from FORMAT.md alone.
"""An independent reader of treering containers, written from FORMAT.md alone. Checks everything; prints a canonical dump.

usage: read_ring.py FILE. Exit code 0 and the dump, or 1 and one line that says what is wrong. The dump has a line per item and
per node in order of id, with the raw bytes of leaves in hex (FNV-1a 64 above 64 bytes), so that readers can be compared.
"""

import ctypes
import ctypes.util
import itertools
import math
import os
import re
import struct
import sys

from xxh3 import xxh3_64, xxh3_128

STRIDES = (32, 64, 8, 1, 8, 1, 32, 48, 72, 1, 0, 0)
ITEMS, NODES, SLOTS, ATTRS, DIMS, TEXT, PIECES, CHUNKS, FILES, META = range(10)


class Bad(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Bad(what)


def zeros(data, what):
    need(not any(data), f"{what}: reserved bytes or padding not zero")


def h128(data):
    return struct.pack("<QQ", *xxh3_128(data))


def unzstd(frame, size):
    lib = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    lib.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    for name in ("ZSTD_decompress", "ZSTD_findFrameCompressedSize"):
        getattr(lib, name).restype = ctypes.c_size_t
    need(lib.ZSTD_getFrameContentSize(frame, ctypes.c_size_t(len(frame))) == size, "zstd content size")
    need(lib.ZSTD_findFrameCompressedSize(frame, ctypes.c_size_t(len(frame))) == len(frame), "zstd frame count")
    out = ctypes.create_string_buffer(size)
    got = lib.ZSTD_decompress(out, ctypes.c_size_t(size), frame, ctypes.c_size_t(len(frame)))
    need(got == size, "zstd frame")
    return out.raw


def unplanes(stored, size, param):
    width, rotate = param & 15, param >> 7
    need(width in (2, 4, 8) and param & 0x70 == 0 and size % width == 0, "planes parameter")
    at, planes = 4 * width, []
    for word in struct.unpack_from(f"<{width}I", stored):
        part = stored[at:at + (word & 0x7FFFFFFF)]
        at += len(part)
        planes.append(part if word >> 31 else unzstd(part, size // width))
        need(len(planes[-1]) == size // width, "plane size")
    need(at == len(stored), "planes do not add up")
    out = bytearray(size)
    for i, plane in enumerate(planes):
        out[i::width] = plane
    if rotate:
        bits = 8 * width
        for i in range(0, size, width):
            x = int.from_bytes(out[i:i + width], "little")
            out[i:i + width] = (x >> 1 | (x & 1) << (bits - 1)).to_bytes(width, "little")
    return bytes(out)


class Ring:
    def __init__(self, data, folder=None):
        self.data, self.folder, self.others = data, folder, {}
        need(len(data) >= 416, "shorter than header and trailer")
        need(data[:8] == b"\x89TRR\r\n\x1a\n", "header magic")
        trailer = self.trailer = data[-352:]
        need(trailer[344:] == b"\n\x1a\n\rRRT\x89", "trailer magic")
        need(xxh3_64(trailer[:336]) == struct.unpack_from("<Q", trailer, 336)[0], "trailer hash")
        (size, trailer_size, major, _, _, _, incompatible, zero) = struct.unpack_from("<QIHHQQQQ", trailer, 288)
        need(size == len(data), "file size")
        need((major, trailer_size, incompatible, zero) == (1, 352, 0, 0), "version, features or trailer size")
        need(data[8:10] == b"\1\0", "header version")
        zeros(data[10:64], "header")
        header_hash, self.start, self.size, block, blocks, table_hash, self.leaf_count = struct.unpack_from(
            "<QQQIIQQ", trailer)
        need(xxh3_64(data[:64]) == header_hash, "header hash")
        need(self.start % 64 == 0 and self.size % 64 == 0 and self.start >= 64 and block == 16384, "index place")
        table_at = self.start + self.size
        need(blocks == -(-self.size // block) and table_at + 8 * blocks + 352 == len(data), "map of the file")
        table = data[table_at:table_at + 8 * blocks]
        need(xxh3_64(table) == table_hash, "table hash")
        index = self.index = data[self.start:table_at]
        for i, expected in enumerate(struct.unpack(f"<{blocks}Q", table)):
            need(xxh3_64(index[i * block:(i + 1) * block]) == expected, f"index block {i}")
        need(h128(data[:64] + table + trailer[:64] + trailer[80:336]) == trailer[64:80], "file digest")
        self.sections, at = [], 0
        for slot, stride in enumerate(STRIDES):
            offset, count, found = struct.unpack_from("<QII", trailer, 80 + 16 * slot)
            if stride == 0:
                need((offset, count, found) == (0, 0, 0), "reserved section")
                continue
            need(found == stride or stride > 8 and found > stride and found % 8 == 0, f"section {slot}: stride")
            need(offset == at and at + count * found <= self.size, f"section {slot}")
            self.sections.append((offset, count, found))
            at = -(-(offset + count * found) // 64) * 64
            zeros(index[offset + count * found:at], "section padding")
        need(at == self.size, "index size")
        zeros(trailer[280:288], "trailer")

    def part(self, section, at, size):
        offset, count, stride = self.sections[section]
        need(0 <= at and at + size <= count * stride, f"section {section}: out of bounds")
        return self.index[offset + at:offset + at + size]

    def record(self, section, i, layout):
        return struct.unpack(layout, self.part(section, i * self.sections[section][2], struct.calcsize(layout)))

    def dims(self, at, rank):
        return list(struct.unpack(f"<{rank}Q", self.part(DIMS, 8 * at, 8 * rank)))

    def chunk(self, i):
        offset, stored_size, size, stored_hash, raw_hash, file, codec, param, zero = self.record(
            CHUNKS, i, "<QIIQ16sIBBH")
        need(zero == 0 and stored_size > 0 and 0 < size <= 1 << 30, f"chunk {i}")
        need(codec > 2 or (stored_size, param) == (size, 0) or codec > 0 and stored_size < size, f"chunk {i}: sizes")
        data = self.data if file == 0 else self.other(file - 1)
        need(offset >= 64 and offset + stored_size <= len(data), f"chunk {i}: out of bounds")
        stored = data[offset:offset + stored_size]
        need(xxh3_64(stored) == stored_hash, f"chunk {i}: checksum")
        need(codec in (0, 1, 2), f"chunk {i}: codec {codec} is not known")
        raw = stored if codec == 0 else unzstd(stored, size) if codec == 1 else unplanes(stored, size, param)
        need(len(raw) == size and h128(raw) == raw_hash, f"chunk {i}: raw hash")
        return raw, raw_hash

    def other(self, i):
        if i not in self.others:
            folder_at, name_at, folder_size, name_size, size, algorithm, zero, digest = self.record(
                FILES, i, "<QQIIQB7s32s")
            parts = [self.part(TEXT, a, n).decode() for a, n in ((folder_at, folder_size), (name_at, name_size)) if n]
            need(all(re.fullmatch(r"[a-z0-9._-]{1,128}", p) and p not in (".", "..") for p in parts), "file name")
            need(algorithm == 1 and not any(zero + digest[16:]), "file record")
            with open(os.path.join(self.folder, ".." if folder_size else ".", *parts), "rb") as file:
                data = file.read()
            need(len(data) == size and Ring(data, self.folder).trailer[64:80] == digest[:16], "other file's digest")
            self.others[i] = data
        return self.others[i]

    def attributes(self, at):
        if at == 0:
            return b"", []
        count, size = struct.unpack("<II", self.part(ATTRS, 8 * (at - 1), 8))
        blob, found, pos = self.part(ATTRS, 8 * (at - 1), 8 + size), [], 8
        for _ in range(count):
            ident, flags, length = struct.unpack_from("<HHI", blob, pos)
            need(ident > 0 and flags < 2, "attribute id or flags")
            found.append((ident, flags, blob[pos + 8:pos + 8 + length]))
            end = pos + 8 + -(-length // 8) * 8
            zeros(blob[pos + 8 + length:end], "attribute padding")
            pos = end
        need(pos == len(blob) and [f[0] for f in found] == sorted({f[0] for f in found}), "attribute set")
        return blob, found

    def pieces(self, node, rank, shape, code, bits, first, count):
        """The raw bytes and the identity of a leaf in pieces."""
        step = {2: 2, 4: 4, 6: 8}.get(bits, bits)
        cells, last = {}, []
        record = struct.pack("<BBB5x", code, bits, rank) + struct.pack(f"<{rank}Q", *shape)
        for p in range(first, first + count):
            leaf, origin, extent, grid, chunk, chunks, zero = self.record(PIECES, p, "<IIIIIIQ")
            need(leaf == node and zero == 0, f"piece {p}")
            origin, extent, grid = (self.dims(at, rank) for at in (origin, extent, grid))
            record += struct.pack(f"<{3 * rank}Q", *origin, *extent, *grid)
            starts = list(itertools.product(*(range(0, e, g) for e, g in zip(extent, grid))))
            need(len(starts) == chunks and origin > last, f"piece {p}: number of chunks, or order")
            need(all(0 < g <= e for g, e in zip(grid, extent)), f"piece {p}: chunk shape")
            last = origin
            for i, start in enumerate(starts):
                raw, raw_hash = self.chunk(chunk + i)
                record += raw_hash
                box = [range(o + s, o + min(s + g, e)) for o, s, g, e in zip(origin, start, grid, extent)]
                need(len(raw) == -(-math.prod(map(len, box)) * step // 8), f"chunk {chunk + i}: size")
                bits_of = int.from_bytes(raw, "little") if step < 8 else None
                for n, where in enumerate(itertools.product(*box)):
                    need(where not in cells, "pieces overlap")
                    cells[where] = (bits_of >> n * step & (1 << step) - 1 if step < 8
                                    else raw[n * step // 8:(n + 1) * step // 8])
        need(len(cells) == math.prod(shape), "pieces do not cover the array")
        order = [cells[where] for where in itertools.product(*map(range, shape))]
        if step < 8:
            packed = sum(v << i * step for i, v in enumerate(order))
            return packed.to_bytes(-(-len(order) * step // 8), "little"), h128(record)
        return b"".join(order), h128(record)

    def leaf(self, i, kind, bits, code, rank, storage, shape, size, a, b, value):
        array = kind in (64, 71)
        if array:
            step = {2: 2, 4: 4, 6: 8}.get(bits, bits)
            need(size == -(-math.prod(shape) * step // 8), f"node {i}: size")
        if storage == 1:
            need(size <= 16 and a == b == 0, f"node {i}: inline")
            zeros(value[size:], f"node {i}")
            return value[:size], h128(value[:size])
        if storage == 2:
            raw = self.chunk(a)[0][b:b + size]
            need(16 < size == len(raw) and h128(raw) == value, f"node {i}: packed identity")
            return raw, value
        need(storage == 3, f"node {i}: storage")
        spec = (rank, shape, code, bits) if array else (1, [size], 1, 8)
        raw, identity = self.pieces(i, *spec, a, b)
        need(identity == value, f"node {i}: identity")
        return raw, identity

    def layout(self):
        """Chunks of this file stand in order, apart or equal, with zeros between them that alignment explains."""
        end, before = 64, None
        for i in range(self.sections[CHUNKS][1]):
            record = self.record(CHUNKS, i, "<QIIQ16sIBBH")
            offset, size, file = record[0], record[1], record[5]
            if file != 0:
                continue
            if record != before:
                need(offset >= end and offset - end < 4096, f"chunk {i}: order, overlap or gap")
                zeros(self.data[end:offset], "chunk padding")
                end = offset + size
            before = record
        need(-(-end // 64) * 64 == self.start, "chunks do not end at the index")
        zeros(self.data[end:self.start], "chunk padding")

    def check_key(self, i, kind, position, key_kind, key, text, seen):
        """The key of the child at `position` of a container of that kind; `seen` are its siblings' keys."""
        if kind is None:
            need((key_kind, key, text) == (0, 0, b""), f"node {i}: key of a root")
            return
        allowed = {1: (2, 3, 4), 2: (1,), 3: (1,), 4: (2,), 5: (2,)}.get(kind, (1, 2))
        need(key_kind in allowed, f"node {i}: key kind")
        need(key_kind != 1 or key == position, f"node {i}: index")
        need(kind != 6 or not seen or (key_kind, 1) in seen, f"node {i}: keys of two kinds")
        if key_kind == 2:
            need(is_wtf8(text), f"node {i}: key text")
        if key_kind == 4:
            need(is_minimal(text) and len(text) > 8, f"node {i}: bigint")
        mine = (key_kind, 0 if key_kind in (2, 4) else key, text)
        need(mine not in seen, f"node {i}: key given twice")
        seen.update((mine, (key_kind, 1)))

    def hash_table(self, entries):
        """The slots are what inserting the children of hashed containers in order of id gives."""
        count = self.sections[SLOTS][1]
        need(count & (count - 1) == 0 and 3 * count >= 4 * len(entries), "hash slots")
        slots = [(0, 0)] * count
        for node, key in entries:
            value = xxh3_64(key)
            at = value % count
            while slots[at] != (0, 0):
                at = (at + 1) % count
            slots[at] = (value >> 32, node + 1)
        need([self.record(SLOTS, i, "<II") for i in range(count)] == slots, "hash table")

    def dump(self):
        lines, content, leaves, next_node, raw_bytes, entries, names = [], b"", 0, 0, 0, [], set()
        self.layout()
        for item in range(self.sections[ITEMS][1]):
            name_at, name_size, item_kind, root, count, zero = self.record(ITEMS, item, "<QIIIIQ")
            need(zero == 0 and root == next_node and item_kind in (1, 2, 3), f"item {item}")
            name = self.part(TEXT, name_at, name_size)
            lines.append(f"item {name.hex()} kind={item_kind} root={root} nodes={count}")
            content += struct.pack("<II", item_kind, name_size) + name + struct.pack("<II", count, 0)
            need(is_wtf8(name) and 0 < name_size < 256 and name not in names, f"item {item}: name")
            names.add(name)
            next_child = root + 1
            place, kinds, seen = {}, {}, {}
            for i in range(root, root + count):
                (kind, key_kind, bits, code, rank, storage, flags, parent, key_size, key, attrs, shape_at, size, a, b,
                 value) = self.record(NODES, i, "<BBBBBBHIIQIIQII16s")
                need(flags in (0, 1), f"node {i}: flags")
                owner, position, hashed = place.get(i, (None, 0, False))
                need(parent == (0xFFFFFFFF if i == root else owner), f"node {i}: parent")
                kinds[i] = kind
                text = self.part(TEXT, key, key_size) if key_kind in (2, 4) else b""
                self.check_key(i, kinds.get(owner), position, key_kind, key, text, seen.setdefault(owner, set()))
                if hashed:
                    entries.append((i, struct.pack("<IB3x", owner, key_kind) + (
                        text if key_kind in (2, 4) else struct.pack("<Q", key))))
                need(rank or shape_at == 0, f"node {i}: shape")
                need(64 <= kind <= 95 or not any(value), f"node {i}: value")
                need(item_kind == 1 or kind == 67 + item_kind, f"item {item}: kind of its root")
                shape = self.dims(shape_at, rank) if rank else []
                blob, attributes = self.attributes(attrs)
                content += struct.pack("<BBBBB3xII", kind, key_kind, bits, code, rank,
                                       0xFFFFFFFF if i == root else parent - root, key_size)
                content += struct.pack("<Q", 0 if text or key_kind in (2, 4) else key) + text
                content += struct.pack(f"<{rank}Q", *shape) + struct.pack("<QI", size, len(blob)) + blob + bytes(4)
                shown = key if key_kind in (1, 3) else text.hex()
                line = f"{i} parent={'-' if i == root else parent} kind={kind} key={key_kind}:{shown}"
                if kind < 64:
                    need(a == (next_child if size else 0) and b == 0 and storage == 0, f"node {i}: children")
                    hashed = size > 16 and self.record(NODES, a, "<BB")[1] != 1
                    need(flags == hashed and 1 <= kind <= 7 and (kind != 7 or size == 0), f"node {i}: container")
                    need(a + size <= root + count, f"node {i}: children")
                    place.update((a + n, (i, n, hashed)) for n in range(size))
                    next_child += size
                    line += f" children={a}+{size}"
                elif kind == 96:
                    need(storage == 4 and size == b == attrs == flags == 0, f"node {i}: alias")
                    need(64 <= kinds.get(a, 0) <= 71, f"node {i}: alias of what is no leaf before it")
                    content += struct.pack("<q", a - root)
                    line += f" alias={a}"
                else:
                    raw, identity = self.leaf(i, kind, bits, code, rank, storage, shape, size, a, b, value)
                    need(64 <= kind <= 71 and flags == 0, f"node {i}: leaf")
                    check_value(i, kind, bits, code, rank, math.prod(shape), raw)
                    content += identity
                    raw_bytes += size
                    line += f" dtype={code}/{bits} shape={','.join(map(str, shape))} raw={show(raw)}"
                leaves += kind >= 64
                line += "".join(f" attr={n}:{f}:{v.hex()}" for n, f, v in attributes)
                lines.append(line)
            need(next_child == root + count, f"item {item}: nodes")
            next_node = root + count
        need(next_node == self.sections[NODES][1] and leaves == self.leaf_count, "node and leaf counts")
        self.hash_table(entries)
        need(raw_bytes == struct.unpack_from("<Q", self.trailer, 272)[0], "raw bytes")
        need(h128(content) == self.trailer[48:64], "content digest")
        lines.append(f"metadata {self.part(META, 0, self.sections[META][1]).hex()}")
        return "\n".join(lines) + "\n"


def is_wtf8(text):
    """UTF-8 in which surrogates may be encoded, unless two of them are a pair."""
    try:
        decoded = text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return re.search("[\ud800-\udbff][\udc00-\udfff]", decoded) is None


def is_minimal(raw):
    value = int.from_bytes(raw, "little", signed=True)
    return len(raw) == 1 or len(raw) > 1 and not -1 << 8 * len(raw) - 9 <= value < 1 << 8 * len(raw) - 9


def check_value(i, kind, bits, code, rank, elements, raw):
    what = f"node {i}: no value of its kind"
    sizes = {65: 1, 67: 8, 68: 16}
    need(sizes.get(kind, len(raw)) == len(raw), what)
    if kind == 65 or (kind == 64 and (code, bits) == (6, 8)):
        need(not raw or max(raw) < 2, what)
    elif kind == 71:
        need(code == 1 and rank > 0, what)
    elif kind == 66:
        need(is_minimal(raw), what)
    elif kind == 69:
        need(is_wtf8(raw), what)
    elif kind == 64 and bits == 6:
        need(not raw or max(raw) < 64, what)
    elif kind == 64 and bits in (2, 4) and elements:
        need(int.from_bytes(raw, "little") >> elements * bits == 0, what)


def show(raw):
    if len(raw) <= 64:
        return raw.hex()
    h = 0xCBF29CE484222325
    for byte in raw:
        h = ((h ^ byte) * 0x100000001B3) & (1 << 64) - 1
    return f"fnv:{h:016x}:{len(raw)}"


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    try:
        sys.stdout.write(Ring(data, os.path.dirname(os.path.abspath(sys.argv[1]))).dump())
    except Bad as error:
        raise SystemExit(f"{sys.argv[1]}: {error}") from None


if __name__ == "__main__":
    main()

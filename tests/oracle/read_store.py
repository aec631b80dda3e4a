# SPDX-License-Identifier: Apache-2.0
# An independent reader of a manager's directory, written from part II of FORMAT.md alone.
"""An independent reader of the records of a treering store, written from FORMAT.md alone. Checks everything; prints a dump.

usage: read_store.py FILE...  where FILE is a STORE (or *.store), a record, a *.note, or a store's directory. Exit code 0 and
the dumps, or 1 and one line that says what is wrong.
"""

import json
import math
import os
import re
import struct
import sys

from read_ring import Bad, Ring, h128, is_wtf8, need, zeros
from xxh3 import xxh3_64

UNKNOWN = -1 << 63
FILE_NAME = re.compile(r"(?!\.\.?$)[a-z0-9_.-]{1,128}$", re.ASCII)


def attempt_name(store, step, attempt):
    tag = xxh3_64(store + struct.pack("<q", step) + attempt)
    return f"{step:08d}-{attempt.hex()}{tag:016x}"


class Body:
    """What lies between frame and hash, taken from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, size):
        need(size <= self.left(), "a size beyond the record")
        self.at += size
        return self.data[self.at - size:self.at]

    def fields(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))


def frame(data, letter):
    """Section 20: (body, features, hash)."""
    magic = b"\x89TR" + letter + b"\r\n\x1a\n"
    need(len(data) >= 64, "shorter than a frame")
    found, major, minor, zero, size, *features = struct.unpack_from("<8sHHIQQQQ", data)
    need(found == magic, "magic")
    need(len(data) >= size, "cut off")
    need(h128(data[:-16]) == data[-16:], "hash")
    need(major == 1, f"version {major}")
    need(features[2] == 0, "incompatible features")
    need(zero == 0 and size == len(data), "reserved bytes or size")
    body = Body(data[48:-16])
    body.minor = minor
    return body, features, data[-16:]


def ends(body):
    need(body.minor > 0 or body.left() == 0, "bytes behind the last field")


def text(data):
    return data.hex() or "-"


def read_store(data):
    body, features, _ = frame(data, b"S")
    uuid, created, size = body.fields("<16sqQ")
    metadata = body.take(size)
    ends(body)
    return {"uuid": uuid, "created": created, "features": features, "metadata": metadata}


def read_file(body, own):
    folder_size, name_size, algorithm, zero, size, digest = body.fields("<HHB3sQ32s")
    folder, name = body.take(folder_size).decode("latin-1"), body.take(name_size).decode("latin-1")
    zeros(zero, "file")
    need(FILE_NAME.match(name) and (not folder or FILE_NAME.match(folder)), "name of a file")
    need(not (own and folder), "folder of an own file")
    need(0 < size < 1 << 63 and algorithm != 0, "size or algorithm of a file")
    if algorithm == 1:
        zeros(digest[16:], "digest")
    return folder, name, size, algorithm, digest


def unique_name(names, name):
    need(1 <= len(name) <= 255 and is_wtf8(name) and name not in names, "name of an item or metric")
    names.add(name)
    return name


def read_record(data):
    body, features, digest = frame(data, b"M")
    (kind, zero, number, step, store, attempt, flags, started, committed, previous, before, file_count, other_count,
     item_count, metric_count, document_size, metadata_size) = body.fields("<IIQq16s16sQqqQ16sIIIIQQ")
    need(kind in (1, 2) and zero == 0, "kind")
    need(number > 0 and step >= 0 and previous < number, "number, step or previous")
    need(flags in (0, 1) and (previous or not any(before)), "flags or previous digest")
    if kind == 2:
        need(not any(attempt) and flags == 0 and body.left() == 0, "content of a removed record")
        need(file_count + other_count + item_count + metric_count + document_size + metadata_size == 0, "counts")
    else:
        need(file_count > 0, "no file")
    need(48 * (file_count + other_count) + 8 * item_count + 16 * metric_count <= body.left(), "counts")
    files = [read_file(body, True) for _ in range(file_count)]
    need(len({file[1] for file in files}) == len(files), "a file given twice")
    others = [read_file(body, False) for _ in range(other_count)]
    items, metrics, names = [], [], set()
    for _ in range(item_count):
        item_kind, size = body.fields("<II")
        items.append((item_kind, unique_name(names, body.take(size))))
    names = set()
    for _ in range(metric_count):
        value, size = body.fields("<QQ")
        metrics.append((value, unique_name(names, body.take(size))))
    document, metadata = body.take(document_size), body.take(metadata_size)
    ends(body)
    return {
        "kind": kind, "number": number, "step": step, "store": store, "attempt": attempt, "flags": flags,
        "started": started, "committed": committed, "previous": previous, "before": before, "features": features,
        "files": files, "others": others, "items": items, "metrics": metrics, "document": document,
        "metadata": metadata, "digest": digest,
    }  # fmt: skip


def read_note(data):
    """Section 24: the sizes say where the texts are, the rest is one JSON object in one spelling."""
    try:
        start = data.index(b"},\"metrics_document\":") + 1
        head = json.loads(data[:start] + b"}")["treering"]
        sizes = head["metrics_document_size"], head["metadata_size"]
        at, texts = start, []
        for key, size in zip((b",\"metrics_document\":", b",\"metadata\":"), sizes, strict=True):
            need(data[at:at + len(key)] == key, "note")
            at += len(key)
            texts.append(data[at:at + size])
            at += size
            if size == 0:
                need(data[at:at + 4] == b"null", "note")
                at += 4
        need(data[at:] == b"}", "note")
        metrics = [(int(bits, 16), name.encode("utf-8"), shown) for name, bits, shown in head["metrics"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Bad(f"no note: {error}") from None
    for bits, _, shown in metrics:
        value = struct.unpack("<d", struct.pack("<Q", bits))[0]
        need(shown is None if not math.isfinite(value) else shown == value, "value of a metric")
    parts = ",".join(f"[{quoted(name)},\"{bits:016x}\",@]" for bits, name, _ in metrics)
    spelled = (f"{{\"treering\":{{\"step\":{head['step']},\"metrics\":[{parts}],\"metrics_document_size\":{sizes[0]},"
               f"\"metadata_size\":{sizes[1]}}}").encode()
    pattern = re.escape(spelled).replace(b"@", rb"(null|-?[0-9.]+(e[+-][0-9]{2,})?)")
    need(re.fullmatch(pattern, data[:start]), "spelling of a note")
    return {"step": head["step"], "metrics": [metric[:2] for metric in metrics], "document": texts[0],
            "metadata": texts[1]}  # fmt: skip


def quoted(name):
    shown = name.decode("utf-8").replace("\\", "\\\\").replace("\"", "\\\"")
    return "\"" + re.sub("[\0-\x1f]", lambda c: f"\\u{ord(c[0]):04x}", shown) + "\""


def dump_store(store):
    return [f"uuid {store['uuid'].hex()}", f"created {store['created']}",
            "features " + " ".join(map(str, store["features"])), f"metadata {text(store['metadata'])}"]  # fmt: skip


def dump_texts(record):
    lines = [f"metric {bits:016x} {text(name)}" for bits, name in record["metrics"]]
    return lines + [f"metrics_document {text(record['document'])}", f"metadata {text(record['metadata'])}"]


def dump_record(record):
    lines = [f"kind {record['kind']}", f"name {record['number']:020d}", f"step {record['step']}",
             f"store {record['store'].hex()}"]  # fmt: skip
    if record["kind"] == 1:
        lines.append(f"folder {attempt_name(record['store'], record['step'], record['attempt'])}")
    lines += [f"{key} {record[key]}" for key in ("flags", "started", "committed", "previous")]
    lines += [f"previous_digest {record['before'].hex()}", "features " + " ".join(map(str, record["features"]))]
    for what, files in (("file", record["files"]), ("other", record["others"])):
        for folder, name, size, algorithm, digest in files:
            lines.append(f"{what} {folder or '.'} {name} {size} {algorithm} {digest.hex()}")
    lines += [f"item {kind} {text(name)}" for kind, name in record["items"]]
    return lines + dump_texts(record) + [f"digest {record['digest'].hex()}"]


def dump_file(path):
    with open(path, "rb") as file:
        data = file.read()
    name = os.path.basename(path)
    if name == "STORE" or name.endswith(".store"):
        return dump_store(read_store(data))
    if name.endswith(".note"):
        note = read_note(data)
        return [f"step {note['step']}"] + dump_texts(note)
    return dump_record(read_record(data))


def check_version(path, record):
    """The files of a version are there, whole, and the ones that the record means."""
    folder = attempt_name(record["store"], record["step"], record["attempt"])
    for where, name, size, algorithm, digest in record["files"] + record["others"]:
        home = os.path.join(path, "data", where or folder)
        with open(os.path.join(home, name), "rb") as file:
            data = file.read()
        need(len(data) == size and (algorithm != 1 or data[-352 + 64:-352 + 80] == digest[:16]), f"{name}: digest")
        Ring(data, home).dump()


def dump_directory(path):
    """Sections 19 and 23: the versions that there are, in order of step."""
    with open(os.path.join(path, "STORE"), "rb") as file:
        store = read_store(file.read())
    by_step, by_number = {}, {}
    for name in sorted(os.listdir(os.path.join(path, "manifests"))):
        if not re.fullmatch("[0-9]{20}", name, re.ASCII) or not 0 < int(name) < 1 << 64:
            continue
        with open(os.path.join(path, "manifests", name), "rb") as file:
            record = read_record(file.read())
        need(record["number"] == int(name) and record["store"] == store["uuid"], f"{name}: not its record")
        if record["previous"] in by_number:
            need(by_number[record["previous"]]["digest"] == record["before"], f"{name}: another record before it")
        by_number[record["number"]] = by_step[record["step"]] = record
    lines = dump_store(store)
    for _, record in sorted(by_step.items()):
        if record["kind"] == 1:
            check_version(path, record)
            lines += dump_record(record)
    return lines


def main():
    for path in sys.argv[1:]:
        try:
            print("\n".join(dump_directory(path) if os.path.isdir(path) else dump_file(path)))
        except Bad as error:
            raise SystemExit(f"{path}: {error}") from None


if __name__ == "__main__":
    main()

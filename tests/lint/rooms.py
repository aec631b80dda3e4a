# SPDX-License-Identifier: Apache-2.0
# Holds the rooms' table: includes run downward only, and each outside library has one room.
import re
import sys

from sources import CODE, read, report, walk

LOWER = ["base", "storage", "codec", "tree", "format", "container", "manager"]
SEES = {
    "base": [],
    "storage": ["base"],
    "codec": ["base"],
    "tree": ["base"],
    "format": ["base", "tree"],
    "container": LOWER[:5],
    "manager": LOWER[:6],
    "capi": LOWER,
    "cli": [],
}
SEES_PUBLIC_HEADERS = {"capi", "cli"}
EXCEPTIONS = {
    # A record checks its own hash before it is parsed, and there is one hash function.
    ("format", "codec/hash.h"),
}
# Headers from outside that belong to some rooms only: a dependency is wrapped once.
OUTSIDE = [
    (re.compile(r"(zstd|zstd_errors|xxhash)\.h"), {"codec"}),
    (re.compile(r"thread|future|pthread\.h"), {"base", "manager"}),
    (re.compile(r"(fcntl|unistd|dirent)\.h|sys/.*|filesystem|fstream"), {"storage", "cli"}),
    (re.compile(r"iostream|csignal|signal\.h|clocale|locale|locale\.h"), {"cli"}),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def allowed(room, quote, header):
    """None if the room may include the header, else why not."""
    if header.startswith("treering/"):
        return None if room in SEES_PUBLIC_HEADERS else "public headers are seen by capi and cli alone"
    if quote == "<":
        for pattern, rooms in OUTSIDE:
            if pattern.fullmatch(header) and room not in rooms:
                return "that header belongs to " + ", ".join(sorted(rooms))
        return None
    other, slash, _ = header.partition("/")
    if not slash or ".." in header:
        return 'write #include "room/file.h"'
    if other == room or other in SEES[room] or (room, header) in EXCEPTIONS:
        return None
    return f"{room} sees {', '.join(SEES[room]) or 'no other room'}"


def check(root):
    for path in walk(root, "src"):
        parts = path.split("/")
        if not path.endswith(CODE):
            continue
        if len(parts) != 3 or parts[1] not in SEES:
            yield f"{path}: not in a room of the table: {', '.join(SEES)}"
            continue
        for quote, header in INCLUDE.findall(read(root, path)):
            reason = allowed(parts[1], quote, header)
            if reason:
                yield f"{path}: includes {header}: {reason}"


if __name__ == "__main__":
    sys.exit(report(check))

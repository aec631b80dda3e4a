# SPDX-License-Identifier: Apache-2.0
# Every status of the public header is expected by a test of the C ABI.
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Not answered by any call: the success, a class of which only details are answered, and a mistake of
# our own, which nobody can provoke.
ANSWERED_BY_NONE = {"OK", "CORRUPT", "INTERNAL"}
# Answered by managers alone; their tests are in tests/manager.
OF_MANAGERS = {
    "NOT_FOUND", "NOT_FOUND_GONE", "BUSY", "BUSY_CONFLICT", "WRONG_STATE_FORKED", "TIMEOUT",
}  # fmt: skip


def statuses(header):
    """The names between the head line of the section and the first constant that is no status."""
    section = header.split("- status */", 1)[1].split("As a length of text", 1)[0]
    return re.findall(r"^#define TREERING_(\w+) \d+$", section, re.MULTILINE)


def tested(folder):
    words = set()
    for name in os.listdir(folder):
        if name.endswith((".c", ".cc")):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                words.update(re.findall(r"\bTREERING_(\w+)", file.read()))
    return words


def main():
    with open(os.path.join(sys.argv[1], "include/treering/treering.h"), encoding="utf-8") as file:
        declared = statuses(file.read())
    known = set(declared)
    missing = [
        name for name in declared if name not in ANSWERED_BY_NONE | OF_MANAGERS | tested(HERE)
    ]
    for name in missing:
        print(f"no test in tests/capi expects TREERING_{name}")
    unknown = sorted((ANSWERED_BY_NONE | OF_MANAGERS) - known)
    for name in unknown:
        print(f"statuses.py names TREERING_{name}, which the header does not have")
    if len(declared) < 40:
        print(f"only {len(declared)} statuses found in the header")
    return 1 if missing or unknown or len(declared) < 40 else 0


if __name__ == "__main__":
    sys.exit(main())

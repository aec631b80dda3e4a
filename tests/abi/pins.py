# SPDX-License-Identifier: Apache-2.0
# Pins the ABI: symbols.txt holds the functions, layout.txt each constant, struct and field.
#
# Both are made from the header: `python3 tests/abi/pins.py --update` rewrites them. A released line
# is never changed; a new function, constant or field at the end of a struct is a new line.
import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SKIP = 77


def header_text(source):
    with open(os.path.join(source, "include/treering/treering.h"), encoding="utf-8") as file:
        return re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.DOTALL)


def prototypes(header):
    """Each function's declaration on one line, sorted by the function's name."""
    found = re.findall(r"^(?!typedef)([a-z][\w *]*?\b(treering_\w+)\([^;{}]*\));", header, re.MULTILINE)
    texts = [text for text, _ in sorted(found, key=lambda one: one[1])]
    return [re.sub(r" ?(\*+) ?", r" \1", re.sub(r"\s+", " ", text)) for text in texts]


def names(lines):
    return {re.search(r"(treering_\w+)\(", line).group(1) for line in lines}


def structs(header):
    """Pairs of a struct's name and its fields' names."""
    for body, name in re.findall(r"typedef struct \w+\s*\{([^{}]*)\}\s*(\w+);", header):
        fields = []
        for line in filter(None, (" ".join(part.split()) for part in body.split(";"))):
            match = re.search(r"\(\*(\w+)\)\s*\(", line) or re.search(r"(\w+)\s*(\[\w+\]\s*)*$", line)
            if "," in line and "(*" not in line:
                raise SystemExit(f"{name}: declare one field at a time: {line}")
            fields.append(match.group(1))
        yield name, fields


def layout_program(header):
    """A C program that prints the layout as the compiler sees it."""
    out = ["#include <treering/treering.h>", "#include <stddef.h>", "#include <stdio.h>"]
    out += ["int main(void) {"]
    for name in re.findall(r"^#define (TREERING_\w+) +\S", header, re.MULTILINE):
        out.append(f'  printf("{name} %llu\\n", (unsigned long long)({name}));')
    for name, fields in structs(header):
        out.append(f'  printf("{name} size %zu\\n", sizeof({name}));')
        for field in fields:
            out.append(f'  printf("{name}.{field} at %zu size %zu\\n", offsetof({name}, {field}), '
                       f"sizeof((({name} *)0)->{field}));")  # fmt: skip
    return "\n".join([*out, "  return sizeof(void *) == 8 ? 0 : 77;", "}", ""])


def layout(source, cc, header):
    """The lines of the layout, or None where pointers are not 8 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        program, text = os.path.join(folder, "layout"), os.path.join(folder, "layout.c")
        with open(text, "w", encoding="utf-8") as file:
            file.write(layout_program(header))
        include = os.path.join(source, "include")
        command = [*shlex.split(cc), "-std=c11", "-I", include, text, "-o", program]
        subprocess.run(command, check=True)
        done = subprocess.run([program], stdout=subprocess.PIPE, text=True)
        return None if done.returncode == SKIP else done.stdout.splitlines()


def differs(name, lines, update):
    """Compares with the pinned file and shows the difference; or writes it."""
    path = os.path.join(HERE, name)
    if update:
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return False
    with open(path, encoding="utf-8") as file:
        pinned = file.read().splitlines()
    difference = list(difflib.unified_diff(pinned, lines, name, "the header", lineterm="", n=0))
    for line in difference:
        print(line)
    return bool(difference)


def archive_findings(archive, declared):
    """What nm shows: the declared functions, names of our own only, and no writable globals."""
    shown = subprocess.run(["nm", archive], check=True, stdout=subprocess.PIPE, text=True).stdout
    symbols = re.findall(r"^[0-9a-f]+ (\w) (\S+)$", shown, re.MULTILINE)
    defined = {name for kind, name in symbols if kind == "T" and name.startswith("treering_")}
    for name in sorted(declared - defined):
        yield f"declared and not in the archive: {name}"
    for name in sorted(defined - declared):
        yield f"in the archive and not declared: {name}"
    for kind, name in symbols:
        ours = name.startswith("treering_") or (name.startswith("_Z") and "8treering" in name)
        if kind in "TDBRC" and not ours:
            yield f"a global name that is not ours: {name}"
        if kind in "bBC":
            yield f"writable global memory: {name}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", default=os.path.join(HERE, "../.."))
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--archive")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("what", nargs="*", default=["symbols", "layout"])
    options = parser.parse_args()
    header, bad = header_text(options.source), False
    declared = prototypes(header)
    if "symbols" in options.what:
        bad |= differs("symbols.txt", declared, options.update)
    if "layout" in options.what:
        lines = layout(options.source, options.cc, header)
        if lines is None:
            return SKIP
        bad |= differs("layout.txt", lines, options.update)
    if options.archive and not bad:
        findings = list(archive_findings(options.archive, names(declared)))
        print("\n".join(findings))
        bad |= bool(findings)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

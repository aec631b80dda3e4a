# SPDX-License-Identifier: Apache-2.0
# Holds the limits of files and functions, the two opening lines, the top level and banned words.
import os
import re
import sys

from sources import CODE, bare, read, report, walk

TOP_LEVEL = {
    "meson.build", "meson_options.txt", "include", "src", "bindings", "tests", "fuzz",
    "README.md", "LICENSE", "CHANGELOG.md", "dev",
}  # fmt: skip
ROOMS_OF_NOTHING = {"util", "utils", "common", "misc", "helpers"}
FILE_LINES = {"src": 400, "tests": 600, "fuzz": 600}
FUNCTION_LINES = 60

# In the library: what a host process did not ask for. Per rule: pattern, why, rooms exempt.
BANNED = [
    (r"\bthread_local\b", "no thread-local state", {"cli"}),
    (r"\b(secure_)?getenv\s*\(", "no environment variables", {"cli"}),
    (r"\b(abort|_?[eE]xit|quick_exit|terminate)\s*\(", "the host process decides when it ends", {"cli"}),
    (r"\bstd::c(out|err|log)\b|\bv?f?printf\s*\(|\bf?puts\s*\(", "the library prints nothing", {"cli"}),
    (r"\bsignal\s*\(|\bsigaction\s*\(|\bsetlocale\s*\(", "signals and locale are the host's", {"cli"}),
    (r"\bthrow\b", "failure is a Status", set()),
    (r"\brandom_device\b|\bs?rand\s*\(|\bsystem_clock\b|\btime\s*\(|\bclock_gettime\s*\(",
     "randomness and time come through storage", {"storage", "cli"}),
]  # fmt: skip
BANNED = [(re.compile(pattern), why, exempt) for pattern, why, exempt in BANNED]

SCOPE = re.compile(r"(^|[\s>])(namespace|class|struct|enum|union|extern)\b[^()=]*$")


def opening(path, text):
    """The licence and the purpose stand in the first two lines, after a #! line if there is one."""
    lines = text.splitlines()
    if lines and lines[0].startswith("#!"):
        lines = lines[1:]
    marks = "/*#<!-;%"
    if not lines or "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        yield f"{path}: the first line lacks SPDX-License-Identifier: Apache-2.0"
    elif len(lines) < 2 or lines[1][:1] not in marks + " " or len(lines[1].strip(marks + " >")) < 8:
        yield f"{path}: the second line must say what the file is for"


def introduction(path, text):
    """A .cc of the library says problem, idea, invariant and what it leaves to others."""
    count = 0
    for line in text.splitlines()[2:]:
        if line.startswith("//"):
            count += len(line.strip("/ ")) > 0
        elif line.strip():
            break
    if not 3 <= count <= 15:
        yield f"{path}: opens with {count} lines of introduction; 3 to 15 are wanted"


def long_functions(path, text):
    """Counts braces: a function is an outermost block that is no namespace, type or initialiser."""
    depth_in_function, start, header, header_line = 0, 0, "", 1
    for number, line in enumerate(bare(text).splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for char in line + "\n":
            if depth_in_function:
                depth_in_function += (char == "{") - (char == "}")
                if not depth_in_function:
                    header = ""
                    if number - start + 1 > FUNCTION_LINES:
                        yield (f"{path}:{start}: a function of {number - start + 1} lines; "
                               f"{FUNCTION_LINES} are the limit")  # fmt: skip
            elif char in ";{}":
                if char == "{" and not SCOPE.search(header) and not header.rstrip().endswith("="):
                    depth_in_function, start = 1, header_line
                header = ""
            else:
                if not header.strip():
                    header, header_line = "", number
                header += char


def banned(path, text):
    room = path.split("/")[1]
    for number, line in enumerate(bare(text).splitlines(), 1):
        for pattern, why, exempt in BANNED:
            if room not in exempt and pattern.search(line):
                yield f"{path}:{number}: {pattern.search(line).group(0)}: {why}"


def check(root):
    for name in sorted(os.listdir(root)):
        if not (name in TOP_LEVEL or name.startswith((".", "build"))):
            yield f"{name}: does not belong at the top level"
    for path in walk(root):
        parts = path.split("/")
        for name in ROOMS_OF_NOTHING.intersection(parts[:-1] + [parts[-1].split(".")[0]]):
            yield f"{path}: nothing is called {name}: name it by what it is"
        if not (path.endswith(CODE + (".py",)) or parts[-1] in ("meson.build", "dev", "run")):
            continue
        text = read(root, path)
        yield from opening(path, text)
        lines, limit = text.count("\n"), FILE_LINES.get(parts[0], 600)
        if lines > limit and parts[0] != "include" and parts[0] != "dev":
            yield f"{path}: {lines} lines; {limit} are the limit"
        if parts[0] == "src" and path.endswith(CODE):
            yield from long_functions(path, text)
            yield from banned(path, text)
            if path.endswith(".cc"):
                yield from introduction(path, text)


if __name__ == "__main__":
    sys.exit(report(check))

# SPDX-License-Identifier: Apache-2.0
# Plants each fault of DURABILITY.md, section 5, and looks whether the tests that are named find it.
#
# A fault is compiled into the files that have it alone; the rest is linked from the build. The named
# test must pass without the fault and fail with it. One line for each: fault | test | answer.
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Per fault: what it is, the program of the test below tests/, the test.
FAULTS = {
    1: ("no flush of files", "crash/crash-crash_model", "ACrashWhileSavingLeavesTheOldOrTheNewVersions"),
    2: ("no flush of directories", "crash/crash-crash_model", "ACrashWhileSavingLeavesTheOldOrTheNewVersions"),
    3: ("manifests/ flushed before the rename", "crash/crash-crash_model", "ACrashWhileSavingLeavesTheOldOrTheNewVersions"),
    4: ("record renamed before its flush", "crash/crash-crash_model", "ACrashWhileSavingLeavesTheOldOrTheNewVersions"),
    5: ("record before its container", "crash/crash-crash_model", "ACrashWhileSavingLeavesTheOldOrTheNewVersions"),
    6: ("error of a flush ignored", "crash/crash-error_loop", "AnOperationThatFailsOnceLosesNothing"),
    7: ("failed flush tried again", "crash/crash-error_loop", "AnOperationThatFailsOnceLosesNothing"),
    8: ("error of close ignored", "crash/crash-error_loop", "AnOperationThatFailsOnceLosesNothing"),
    9: ("short write taken for a whole one", "storage/storage-faults", "InterruptedAndShortWritesLoseNothing"),
    10: ("EINTR taken for a failure", "storage/storage-faults", "InterruptedAndShortWritesLoseNothing"),
    11: ("retention before the commit", "crash/crash-protocol", "ASaveThatFailsDropsNothing"),
    12: ("retention counts what is not committed", "crash/crash-protocol", "ASaveThatFailsDropsNothing"),
    13: ("data removed before the record", "crash/crash-crash_model", "ACrashWhileRetainingTakesDroppedVersionsOnly"),
    14: ("sweep before the lock", "crash/crash-protocol", "AWriterThatIsRefusedRemovesNothing"),
    15: ("sweep removes unknown names", "crash/crash-crash_model", "SavingAmongStrangersTouchesNoneOfThem"),
    16: ("lock's file removed when it is freed", "crash/crash-protocol", "TheFileOfTheLockOutlivesItsHolder"),
    17: ("classic lock", "crash/crash-protocol", "ALockHoldsAgainstItsOwnProcess"),
    18: ("attempt's bits from the clock", "crash/crash-protocol", "TwoAttemptsAtOneStepInOneSecondDiffer"),
    19: ("retry in the folder of the attempt before", "crash/crash-protocol", "ARetryTakesAFolderOfItsOwn"),
    20: ("close drops the failure of a background save", "manager/manager-save_queue",
         "each_failure_is_told_once_by_whoever_asks_first_and_stays_in_its_save"),
    21: ("copy taken after the return", "capi/capi-manager_async", "lent_memory_is_copied_before_the_call_returns"),
    22: ("index used without its hash", "corrupt/corrupt-damage", "NoChangedByteIsUndetected"),
    23: ("chunk decoded before its hash is checked", "corrupt/corrupt-damage", "NoChangedByteIsUndetected"),
    24: ("products of sizes unchecked", "base/base-checked", "MulSaysWhenItOverflows"),
    25: ("unknown incompatible features accepted", "format/format-trailer", "TheFeaturesAreCheckedBeforeTheRest"),
}  # fmt: skip


class Build:
    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        commands = os.path.join(self.folder, "compile_commands.json")
        with open(commands, encoding="utf-8") as file:
            self.commands = json.load(file)

    def compile(self, entry, fault, to):
        """The object of a source with the fault in it."""
        out = os.path.join(to, os.path.basename(entry["output"]))
        words, kept = shlex.split(entry["command"]), []
        while words:
            word = words.pop(0)
            if word in ("-o", "-MF", "-MQ"):
                words.pop(0)
            elif word not in ("-MD",):
                kept.append(word)
        kept += [f"-DTREERING_PLANTED={fault}", "-o", out]
        subprocess.run(kept, cwd=self.folder, check=True)
        return out

    def entries(self, wanted):
        return [entry for entry in self.commands if wanted(entry)]

    def link(self, program, objects, replaced, to):
        """Links as the build does, with one object replaced and some in front of the archives."""
        rule = f"tests/{program}"
        listed = subprocess.run(["ninja", "-C", self.folder, "-t", "commands", "-s", rule],
                                capture_output=True, text=True, check=True).stdout  # fmt: skip
        lines = [line for line in listed.splitlines() if not line.startswith("ninja:")]
        words = shlex.split(lines[-1])
        out = os.path.join(to, os.path.basename(program))
        words[words.index("-o") + 1] = out
        words = [replaced.get(word, word) for word in words]
        at = words.index(out) + 1
        subprocess.run(words[:at] + objects + words[at:], cwd=self.folder, check=True)
        return out


def sources_of(fault):
    """The files of src/ that have the fault; whether a header has it."""
    pattern, found, header = re.compile(rf"\bPlanted\({fault}\)"), [], False
    for folder, _, names in os.walk(os.path.join(ROOT, "src")):
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith((".cc", ".h")):
                continue
            with open(path, encoding="utf-8") as file:
                if pattern.search(file.read()):
                    header = header or name.endswith(".h")
                    found += [path] if name.endswith(".cc") else []
    return found, header


def arguments_of(build, program):
    """What the build gives the test when it runs it."""
    with open(os.path.join(build.folder, "meson-info", "intro-tests.json"), encoding="utf-8") as file:
        for test in json.load(file):
            if test["cmd"][0].endswith("/tests/" + program):
                return test["cmd"][1:]
    return []


def outcome(command, folder, test, limit=600):
    """"passes", "fails" (by an assertion, or by ending the program or never ending) or "lacks": the
    program has no such test, or ended before it."""
    environment = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "STDOUT"}
    try:
        output = subprocess.run(command, cwd=folder, env=environment, timeout=limit,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout  # fmt: skip
    except subprocess.TimeoutExpired as stopped:
        output = stopped.stdout or b""
    return judged(output.decode(errors="replace"), test)


def judged(output, test):
    """What the lines of cmocka tell of a test. A program that died in another test found nothing."""
    lines = re.findall(r"^\[ *(RUN|OK|FAILED) *\] (\w+)$", output, re.M)
    for word, answer in (("OK", "passes"), ("FAILED", "fails")):
        if (word, test) in lines:
            return answer
    whole = re.search(r"^\[=+\] .*\d+ test\(s\) run\.", output, re.M)
    return "fails" if lines and lines[-1] == ("RUN", test) and not whole else "lacks"


def try_fault(build, work, fault):
    what, program, test = FAULTS[fault]
    to = os.path.join(work, f"planted-{fault}")
    os.makedirs(to, exist_ok=True)
    sources, header = sources_of(fault)
    if not sources and not header:
        return "the fault is not in the sources"
    arguments = arguments_of(build, program)
    built = os.path.join(build.folder, "tests", program)
    if outcome([built] + arguments, to, test) != "passes":
        return f"the test does not pass without the fault: {test}"
    entries = build.entries(
        lambda e: os.path.normpath(os.path.join(e["directory"], e["file"])) in sources
        and e["output"].startswith("libtreering.a.p/")
    )
    objects = [build.compile(entry, fault, to) for entry in entries]
    replaced = {}
    if header:  # what it tests are inline functions: those of the test's own object
        for entry in build.entries(lambda e: e["output"].startswith(f"tests/{program}.p/")):
            replaced[entry["output"]] = build.compile(entry, fault, to)
    planted = build.link(program, objects, replaced, to)
    return "found" if outcome([planted] + arguments, to, test) == "fails" else "escaped"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("faults", nargs="*", type=int, help="numbers; none: all")
    arguments = parser.parse_args()
    work, build, escaped = os.path.abspath(arguments.work), Build(arguments.build), 0
    faults = arguments.faults or sorted(FAULTS)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda fault: try_fault(build, work, fault), faults)
        for fault, answer in zip(faults, answers):
            what, _, test = FAULTS[fault]
            print(f"P{fault} {what} | {test} | {answer}", flush=True)
            escaped += answer != "found"
    print(f"{len(faults) - escaped} of {len(faults)} found")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
# Kills a process before every system call of each scenario: old or new, whole, at each point.
#
# A run is recorded with strace; then it is repeated from the same directory once for each call from
# the first that names the store on, and killed before that call. strace counts calls by name and
# thread. Where several threads make the same call, only those calls are points that the thread
# alone reaches with that number; so a background save is recorded after many others.
import collections
import concurrent.futures
import itertools
import os
import re
import shutil
import signal
import subprocess

import harness
from harness import Bad

LINE = re.compile(r"^(\d+) +([a-z_0-9]+)\(")
ATTEMPT = 120 << 10  # bytes that one save takes at most
FEW_ALIVE = 5  # of a scenario's points at most: a thread may get elsewhere when it is run again
Point = collections.namedtuple("Point", "call number text")


def traced(driver, directory, words, trace, *options):
    command = ["strace", "-f", "-qq", "-o", trace, *options, driver, directory]
    command += [str(word) for word in words]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=harness.TIMEOUT)


def record(driver, directory, words, trace):
    """The points of a run, in order: each call with its number in its thread."""
    done = traced(driver, directory, words, trace)
    if done.returncode:
        raise Bad(f"the recorded run failed: {done.stdout[-600:]}")
    counts = collections.Counter()
    calls, begun = [], False
    with open(trace, errors="replace") as file:
        for line in file:
            match = LINE.match(line)
            if not match:
                continue
            thread, call = match.groups()
            counts[thread, call] += 1
            if call != "execve":
                begun = begun or os.path.basename(directory) in line
                calls.append((begun, thread, call, counts[thread, call], line.strip()))
    most = collections.defaultdict(int)
    points = []
    for begun, thread, call, number, text in calls:
        # A thread that has got there earlier would be killed in its place.
        if begun and number > most[call]:
            points.append(Point(call, number, text))
        most[call] = max(most[call], number)
    return points


def kill(driver, directory, words, point, trace):
    """Repeats a run up to a point. What it had answered, and whether it was killed."""
    inject = f"inject={point.call}:signal=KILL:when={point.number}"
    done = traced(driver, directory, words, trace, "-e", f"trace={point.call}", "-e", inject)
    return harness.answers(done.stdout), done.returncode == -signal.SIGKILL


class Scenario:
    """A run to be killed, from a directory that `prepare` makes."""

    def __init__(self, name, least, words, prepare, old, new, between=(), creates=False,
                 room=ATTEMPT):
        self.name, self.words, self.prepare = name, words, prepare
        self.old, self.new, self.creates = old, new, creates
        self.allowed, self.room = {old, new, *between}, room
        self.least = least  # points: fewer prove nothing

    def acknowledged(self, answers):
        verbs = ("save", "async", "overwrite", "delete")
        done = [a for a in answers if a["command"] in verbs and a["status"] == "OK"]
        return len(done) == sum(word in verbs for word in self.words)


def steps(*pairs):
    return tuple(pair if isinstance(pair, tuple) else (pair, 0) for pair in pairs)


def saved(*words):
    def prepare(driver, directory):
        harness.run(driver, directory, "create", *words, "close")
        harness.add_strangers(directory)

    return prepare


def nothing(_driver, _directory):
    pass


def littered(driver, directory):
    """A store with all that dead writers can leave: data, records' temporaries, old records."""
    base = directory + "-base"
    saved("save", 1, "save", 2)(driver, base)
    shutil.copytree(base, directory)
    stop_before(driver, directory, ("open", "overwrite", 2, 1), "unlinkat", first=True)
    for call in ("renameat2", "pwrite64", "write", "fsync"):
        other = directory + "-" + call
        shutil.copytree(base, other)
        stop_before(driver, other, ("open", "save", 3), call)
        for name in set(harness.names(other)) - set(harness.names(base)):
            target = os.path.join(directory, name)
            if os.path.isdir(os.path.join(other, name)):
                os.makedirs(target, exist_ok=True)
            elif name.startswith("data/") or os.path.basename(name).startswith("."):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(os.path.join(other, name), target)
        shutil.rmtree(other)
    shutil.rmtree(base)


def stop_before(driver, directory, words, call, first=False):
    """Kills a run before the last (or first) of some call that works on the store."""
    trace, copy = directory + ".trace", directory + "-recorded"
    shutil.copytree(directory, copy)
    points = [p for p in record(driver, copy, words, trace) if p.call == call and '"{' not in p.text]
    shutil.rmtree(copy)
    if points:
        kill(driver, directory, words, points[0 if first else -1], trace)
    os.remove(trace)


def scenarios():
    dropped = steps(1, 2, 3)
    some = [kept + steps(4, 5) for n in range(4) for kept in itertools.combinations(dropped, n)]
    background = ("keep", 3, "open", *(w for step in range(3, 17) for w in ("async", step)))
    trained = [steps(*range(max(1, last - n), last + 1)) for last in range(2, 17) for n in (2, 3)]
    return [
        Scenario("create", 60, ("create",), nothing, (), (), creates=True),
        Scenario("save a new step", 75, ("open", "save", 3), saved("save", 1, "save", 2),
                 steps(1, 2), steps(1, 2, 3)),
        Scenario("save with retention", 110, ("keep", 2, "open", "save", 5),
                 saved("save", 1, "save", 2, "save", 3, "save", 4),
                 steps(1, 2, 3, 4), steps(4, 5), some),
        Scenario("overwrite", 85, ("open", "overwrite", 2, 1), saved("save", 1, "save", 2),
                 steps(1, 2), steps(1, (2, 1))),
        Scenario("delete the latest", 70, ("open", "delete", 3),
                 saved("save", 1, "save", 2, "save", 3), steps(1, 2, 3), steps(1, 2)),
        Scenario("delete another", 70, ("open", "delete", 2),
                 saved("save", 1, "save", 2, "save", 3), steps(1, 2, 3), steps(1, 3)),
        Scenario("open with cleanup", 95, ("open", "close"), littered,
                 steps(1, (2, 1)), steps(1, (2, 1))),
        Scenario("save in the background", 250, background, saved("save", 1, "save", 2),
                 steps(1, 2), steps(14, 15, 16), trained, room=2 * ATTEMPT),
    ]  # fmt: skip


def judge(driver, base, folder, scenario, index, point):
    """One point; answers whether the process was killed there, raises Bad."""
    copy = os.path.join(folder, f"point-{index}", "store")
    trace = os.path.join(folder, f"point-{index}", "trace")
    os.makedirs(os.path.dirname(copy))
    try:
        if not scenario.creates:
            shutil.copytree(base, copy)
        before = harness.size(copy) if not scenario.creates else 0
        answers, killed = kill(driver, copy, scenario.words, point, trace)
        allowed = scenario.allowed
        if scenario.acknowledged(answers) and not scenario.creates:
            allowed = {scenario.new}
        if harness.size(copy) > before + scenario.room:
            raise Bad(f"{harness.size(copy) - before} bytes more than before")
        created = scenario.creates and any(
            a["command"] == "create" and a["status"] == "OK" for a in answers
        )
        harness.verdict(driver, copy, allowed, 99, scenario.creates and not created)
        if not scenario.creates:
            harness.require_strangers(copy)
        return killed
    finally:
        shutil.rmtree(os.path.dirname(copy), ignore_errors=True)


def too_little(scenario, recorded, judged, alive):
    """Why the points of a scenario prove nothing, or nothing."""
    if recorded < scenario.least:
        return f"{recorded} points were recorded; at least {scenario.least} are known"
    if alive > FEW_ALIVE or alive * 2 > judged:
        return f"of {judged} points {alive} did not kill the process"
    return None


def kill_at(points, driver, base, folder, scenario, findings):
    """Judges the points of a scenario; of how many the process was not killed."""
    alive = 0
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = {
            pool.submit(judge, driver, base, folder, scenario, index, point): point
            for index, point in enumerate(points)
        }
        for job in concurrent.futures.as_completed(jobs):
            try:
                alive += not job.result()
            except (Bad, OSError, subprocess.SubprocessError) as error:
                point = jobs[job]
                where = f"{scenario.name}, {point.call} {point.number}"
                findings.add(f"{where}, at {point.text[:120]}", error)
    return alive


def run(driver, work, quick=False):
    findings = harness.Findings("kill points")
    figures = {"points": 0, "bad": 0, "not_killed": 0, "scenarios": {}}
    with harness.scratch(work, "kill_points") as folder:
        for scenario in scenarios():
            base = os.path.join(folder, "base", "store")
            os.makedirs(os.path.dirname(base))
            scenario.prepare(driver, base)
            recorded = os.path.join(folder, "recorded", "store")
            if not scenario.creates:
                shutil.copytree(base, recorded)
            else:
                os.makedirs(os.path.dirname(recorded))
            known = record(driver, recorded, scenario.words, os.path.join(folder, "trace"))
            points = known[::12] if quick else known
            alive = kill_at(points, driver, base, folder, scenario, findings)
            why = too_little(scenario, len(known), len(points), alive)
            if why:
                findings.add(scenario.name, why)
            harness.say(f"{scenario.name}: {len(points)} points, {findings.bad} bad so far")
            figures["scenarios"][scenario.name] = len(points)
            figures["points"] += len(points)
            figures["not_killed"] += alive
            shutil.rmtree(os.path.join(folder, "base"))
            shutil.rmtree(os.path.join(folder, "recorded"))
    figures["bad"] = findings.bad
    return figures

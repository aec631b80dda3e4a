# SPDX-License-Identifier: Apache-2.0
# Real power loss: a file system on a disk that logs its writes, rebuilt as of each point and judged.
#
# fuse-disk shows an image file and logs what reaches it; a loop device over it carries ext4 or XFS,
# on which the driver works while a neighbour flushes a file of its own after each answer. For a
# point of the log the image holds all that was flushed before and, of the writes since the last
# flush, all up to the point or a seeded subset. It is mounted, so that the journal is replayed, and
# judged. The control is the same without our flushes, and must be found damaged.
import collections
import concurrent.futures
import contextlib
import ctypes
import itertools
import json
import os
import random
import shutil
import struct
import subprocess
import threading
import time

import harness
from harness import Bad, Session

HEAD = struct.Struct("<B7xQQ")
PIECE = 4096  # what a disk writes as one
SIZES = {"ext4": "96M", "xfs": "320M"}
MKFS = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
OPTIONS = {"ext4": "loop", "xfs": "loop,nouuid"}
CREATION = ["create", "close"]
SAVES = [
    "kib 400", "open", "save 1", "save 2", "save 3", "overwrite 2 1", "delete 1", "close",
    "keep 2", "open", "save 4", "async 5", "overwrite 5 2", "delete 5", "async 6", "close",
]  # fmt: skip
WORK = CREATION + SAVES
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class NotMounted(Bad):
    """The file system could not be mounted: this says nothing about the store in it."""


def system(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stdout.strip()[-300:]}")
    return done.stdout.strip()


def possible(folder):
    """Why this cannot run here, or nothing."""
    if os.geteuid():
        return "mounting needs root"
    for path in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(path):
            return f"there is no {path}"
    for tool in ("mkfs.ext4", "mkfs.xfs", "losetup", "mount", "fusermount3"):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            return f"there is no {tool}"
    return None


# ---- states


def carry_out(state, keep, words):
    """What a command makes of a set of versions: the new set, and all that a crash may leave."""
    verb, numbers = words[0], [int(word) for word in words[1:]]
    versions = dict(state)
    if verb in ("save", "async", "overwrite"):
        versions[numbers[0]] = numbers[1] if len(numbers) > 1 else 0
    elif verb == "delete":
        del versions[numbers[0]]
    else:
        return state, {state}
    saved = tuple(sorted(versions.items()))
    kept = saved[-keep:] if keep and verb != "delete" else saved
    dropped = [version for version in saved if version not in kept]
    between = {state}
    for n in range(len(dropped) + 1):
        for some in itertools.combinations(dropped, n):
            between.add(tuple(sorted(kept + some)))
    return kept, between


def expected_states():
    """After how many answers of WORK which sets of versions are right."""
    state, keep, allowed = (), 0, []
    for command in WORK:
        words = command.split()
        keep = int(words[1]) if words[0] == "keep" else keep
        state, between = carry_out(state, keep, words)
        allowed.append(between)
    return allowed + [{state}]


# ---- recording


def unmount(folder):
    if subprocess.run(["umount", folder]).returncode:
        subprocess.run(["umount", "-l", folder])


def end(daemon, disk):
    """Unmounts the logging disk, which ends its process."""
    subprocess.run(["fusermount3", "-u", "-q", disk])
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


@contextlib.contextmanager
def mounted_log(tools, folder, kind):
    """A file system on the logging disk: its mount point, and the file for marks."""
    image, journal = os.path.join(folder, "image"), os.path.join(folder, "log")
    system("truncate", "-s", SIZES[kind], image)
    system(*MKFS[kind], image)
    system("cp", "--sparse=always", image, os.path.join(folder, "durable"))
    disk, mount = os.path.join(folder, "disk"), os.path.join(folder, "mount")
    os.makedirs(disk)
    os.makedirs(mount)
    with contextlib.ExitStack() as stack:
        daemon = subprocess.Popen([tools["fuse-disk"], image, journal, disk])
        stack.callback(end, daemon, disk)
        deadline = time.monotonic() + 20
        while not os.path.exists(os.path.join(disk, "disk")):
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise OSError("the logging disk was not mounted")
            time.sleep(0.02)
        loop = system("losetup", "-f", "--show", os.path.join(disk, "disk"))
        stack.callback(subprocess.run, ["losetup", "-d", loop], check=False)
        system("mount", "-t", kind, loop, mount)
        stack.callback(unmount, mount)
        yield mount, os.path.join(disk, "mark")


def neighbour(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(file, os.urandom(2000))
    os.fsync(file)
    os.close(file)


def record(tools, folder, kind, flushing):
    """Works on the logging disk; the log as (kind, offset, size or data) up to the last answer."""
    env = {} if flushing else {"LD_PRELOAD": tools["no_flush"]}
    with mounted_log(tools, folder, kind) as (mount, mark):
        for commands, more in ((CREATION, {}), (SAVES, env)):
            store = os.path.join(mount, "store")
            with Session(tools["driver"], store, mark, {**os.environ, **more}) as session:
                for command in commands:
                    session.must(*command.split())
                    neighbour(os.path.join(mount, "neighbour"))
        size = os.path.getsize(os.path.join(folder, "log"))
    return parse(os.path.join(folder, "log"), size)


def parse(path, until):
    log = []
    with open(path, "rb") as file:
        while file.tell() < until:
            kind, offset, size = HEAD.unpack(file.read(HEAD.size))
            kind = chr(kind)
            log.append((kind, offset, file.read(size) if kind in "WM" else size))
    return log


# ---- images


def apply(image, change):
    kind, offset, what = change
    if kind == "W" and what.count(0) != len(what):
        os.pwrite(image, what, offset)
    elif kind in "WD":
        size = len(what) if kind == "W" else what
        if libc.fallocate(image, 3, offset, size):
            raise OSError(ctypes.get_errno(), "a hole")


def pieces(change):
    kind, offset, what = change
    if kind != "W":
        return [change]
    return [("W", offset + at, what[at : at + PIECE]) for at in range(0, len(what), PIECE)]


def points(log, limit, chance, from_answer):
    """(position, kept changes since the last flush or None for all): cuts, then seeded subsets."""
    answers, cuts, start = 0, [], 0
    for position, (kind, _, _) in enumerate(log):
        answers += kind == "M"
        if kind == "F":
            start = position + 1
        if kind in "WDF" and answers >= from_answer:
            cuts.append((position + 1, start))
    wanted = [(position, None) for position, _ in spread(cuts, limit - limit // 2)]
    several = []
    for position, start in cuts:
        changes = [change for change in log[start:position] if change[0] in "WD"]
        torn = [piece for change in changes for piece in pieces(change)]
        several += [(position, some) for some in (changes, torn) if len(some) > 1]
    for position, some in spread(several, limit // 2):
        wanted.append((position, [c for c in some if chance.random() < 0.5]))
    return sorted(wanted, key=lambda point: point[0])


def spread(items, limit):
    if len(items) <= limit:
        return items
    return [items[i * len(items) // limit] for i in range(limit)]


def images(log, wanted, folder):
    """For each point an image file and the number of answers given by then."""
    durable = os.open(os.path.join(folder, "durable"), os.O_RDWR)
    flushed, at = 0, 0
    try:
        for number, (position, kept) in enumerate(wanted):
            for index in range(at, position):
                if log[index][0] == "F":
                    for change in log[flushed:index]:
                        apply(durable, change)
                    flushed = index + 1
            at = position
            path = os.path.join(folder, f"image-{number}")
            system("cp", "--sparse=auto", os.path.join(folder, "durable"), path)
            image = os.open(path, os.O_RDWR)
            for change in log[flushed:position] if kept is None else kept:
                apply(image, change)
            os.close(image)
            answers = sum(kind == "M" for kind, _, _ in log[:position])
            yield number, path, answers, position, kept is not None
    finally:
        os.close(durable)


def judge(tools, kind, path, answers, allowed):
    """Mounts an image and judges the store in it; raises Bad."""
    mount = path + "-mount"
    os.makedirs(mount)
    try:
        try:
            system("mount", "-t", kind, "-o", OPTIONS[kind], path, mount)
        except OSError as error:
            raise NotMounted(f"not mounted: {error}") from error
        try:
            store = os.path.join(mount, "store")
            # Until creation was acknowledged there may be no store.
            harness.verdict(tools["driver"], store, allowed[answers], 99, answers < 1)
        finally:
            unmount(mount)
    finally:
        os.rmdir(mount)
        os.unlink(path)


def outcomes(jobs):
    """For each job's point what came of it: "good", "bad" (the store is damaged), "not_mounted" or
    "failed" (it could not be judged); with the error."""
    for job, point in jobs:
        try:
            job.result()
            yield point, "good", None
        except NotMounted as error:
            yield point, "not_mounted", error
        except Bad as error:
            yield point, "bad", error
        except Exception as error:  # whatever it is: an image that was not judged is not good
            yield point, "failed", error


def measure(tools, work, kind, flushing, limit, seed):
    """One file system: its images and what came of them, writes and flushes."""
    name = kind if flushing else f"{kind} without flushes"
    findings = harness.Findings(name)
    figures = {"images": 0, "subsets": 0, "bad": 0, "not_mounted": 0, "failed": 0}
    found = collections.Counter()
    allowed = expected_states()
    with harness.scratch(work, f"device-{kind}") as folder:
        log = record(tools, folder, kind, flushing)
        figures["writes"] = sum(c[0] == "W" for c in log)
        figures["flushes"] = sum(c[0] == "F" for c in log)
        first_save = 1 + next(i for i, command in enumerate(WORK) if command.startswith("save"))
        wanted = points(log, limit, random.Random(seed), 0 if flushing else first_save)
        room = threading.Semaphore(4)

        def one(path, answers):
            try:
                judge(tools, kind, path, answers, allowed)
            finally:
                room.release()

        jobs = []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for _, path, answers, position, subset in images(log, wanted, folder):
                room.acquire()
                figures["images"] += 1
                figures["subsets"] += subset
                where = f"{'a subset at' if subset else 'cut at'} {position} of {len(log)}"
                jobs.append((pool.submit(one, path, answers), where))
        for where, outcome, error in outcomes(jobs):
            if outcome == "good":
                continue
            figures[outcome] += 1
            found[" ".join(str(error).split(" ")[:4])] += 1
            if flushing or outcome != "bad":
                findings.add(f"{where}, seed {seed}", error if outcome == "bad" else repr(error))
    harness.say(f"{name}: {figures} {dict(found) if found else ''}")
    return figures


def missed(kind, control):
    """Whether the run without flushes shows damage at too few of its points to prove anything."""
    if control["bad"] * 2 > control["images"]:
        return False
    print(f"{kind}: damage at only {control['bad']} of {control['images']} points "
          "without flushes: this test would miss a fault")  # fmt: skip
    return True


def run(tools, work, quick=False, seed=1):
    """Figures for ./dev crash --device; bad is 0 where all is well."""
    why_not = possible(work)
    if why_not:
        return {"bad": 1, "not_possible": why_not}
    result = {"seed": seed, "images": 0, "bad": 0, "control_missed": 0}
    for kind in ("ext4", "xfs"):
        figures = measure(tools, work, kind, True, 24 if quick else 480, seed)
        control = measure(tools, work, kind, False, 12 if quick else 60, seed)
        result[kind], result[f"{kind}_without_flushes"] = figures, control
        result["images"] += figures["images"]
        # Without our flushes damage is right, but what could not be judged at all is not.
        result["bad"] += figures["bad"] + figures["not_mounted"] + figures["failed"]
        result["bad"] += control["failed"] + (not figures["images"])
        result["control_missed"] += missed(kind, control)
    result["bad"] += result["control_missed"]
    return result

# SPDX-License-Identifier: Apache-2.0
# What the crash tests share: driver processes, the verdict on a directory, and cleaning up.
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

TIMEOUT = 60
# Writes these beside ours: a writer must leave them alone.
STRANGERS = {"data/notes": "kept\n", "manifests/README.txt": "kept\n", "stranger.bin": "kept\n"}


class Bad(Exception):
    """A promise was broken: one line that says which."""


def answers(text):
    """The driver's JSON lines; a last line that was cut off is none."""
    return [json.loads(line) for line in text.split("\n")[:-1] if line]


class Session:
    """A driver that takes its commands one by one."""

    def __init__(self, driver, directory, mark=None, env=None):
        command = [driver, directory, "-"] + ([mark] if mark else [])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=env
        )

    def tell(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Bad(f"the driver ended with {self.process.wait(TIMEOUT)} at {words}")
        return json.loads(line)

    def must(self, *words):
        answer = self.tell(*words)
        if answer["status"] != "OK":
            raise Bad(f"{' '.join(map(str, words))}: {answer['status']}: {answer['message']}")
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


def run(driver, directory, *words, expect=0):
    command = [driver, directory] + [str(word) for word in words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
    if expect is not None and done.returncode != expect:
        raise Bad(f"{' '.join(command[2:])}: {done.returncode}: {done.stdout[-600:]}")
    return answers(done.stdout)


def add_strangers(directory):
    for name, text in STRANGERS.items():
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)


def require_strangers(directory):
    for name, text in STRANGERS.items():
        try:
            with open(os.path.join(directory, name)) as file:
                if file.read() == text:
                    continue
        except FileNotFoundError:
            pass
        raise Bad(f"the unknown file {name} was touched")


def names(directory):
    """All names below the directory, sorted, without the file system's own."""
    found = []
    for base, folders, files in os.walk(directory):
        found += [os.path.relpath(os.path.join(base, name), directory) for name in folders + files]
    return sorted(found)


def size(directory):
    total = 0
    for base, _, files in os.walk(directory):
        total += sum(os.path.getsize(os.path.join(base, name)) for name in files)
    return total


def versions(answer):
    return tuple(tuple(version) for version in answer.get("versions", []))


def require_intact(answer):
    if answer.get("wrongs", 0):
        raise Bad(f"wrong: {answer['wrong']}")


def require_clean(directory, count):
    """Nothing of dead attempts: as many folders as there should be, no temporary name anywhere."""
    folders = [name for name in os.listdir(os.path.join(directory, "data"))
               if os.path.isdir(os.path.join(directory, "data", name))]  # fmt: skip
    if len(folders) != count:
        raise Bad(f"{len(folders)} folders, not {count}, after a writer's opening")
    left = [name for name in names(directory) if os.path.basename(name).startswith(".")]
    if left:
        raise Bad(f"left after a writer's opening: {left}")


def verdict(driver, directory, allowed, next_step, may_be_absent=False):
    """Old or new, whole; then a writer's opening, twice, and the next save. The versions found."""
    with Session(driver, directory) as session:
        first = session.tell("check")
        require_intact(first)
        absent = first["status"] == "NOT_FOUND_FILE" and may_be_absent
        if first["status"] != "OK" and not absent:
            raise Bad(f"check: {first['status']}: {first['message']}")
        found = versions(first)
        if found not in allowed:
            raise Bad(f"versions {found}; allowed were {sorted(allowed)}")
        for again in range(2):
            session.must("writer" if may_be_absent else "open")
            session.must("close")
            second = session.must("check")
            require_intact(second)
            if versions(second) != found:
                raise Bad(f"versions {versions(second)} after a writer's opening, {found} before")
            # One whole container may stay, and only where there is no version at all (D6).
            lone = 0 if found else min(second["lone"], 1)
            if second["leftovers"] != lone:
                raise Bad(f"{second['leftovers']} leftovers after a writer's opening")
            require_clean(directory, len(found) + lone)
            listing = names(directory)
            if again and listing != before:
                raise Bad(f"opening again changed {set(listing) ^ set(before)}")
            before = listing
        session.must("open")
        session.must("save", next_step, 7)
        session.must("close")
        last = session.must("check")
        require_intact(last)
        if versions(last) != found + ((next_step, 7),):
            raise Bad(f"versions {versions(last)} after the next save, {found} before")
        if last["leftovers"]:
            raise Bad(f"{last['leftovers']} leftovers after the next save")
        require_clean(directory, len(found) + 1)
    return found


@contextlib.contextmanager
def scratch(parent, name):
    """A fresh folder, removed in the end."""
    path = os.path.join(parent, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def fast_folder(work):
    """Where many small files go: memory, if there is room for it."""
    shared = "/dev/shm"
    try:
        room = os.statvfs(shared)
        if room.f_bavail * room.f_frsize > 4 << 30 and os.access(shared, os.W_OK):
            return os.path.join(shared, f"treering-crash-{os.getpid()}")
    except OSError:
        pass
    return os.path.join(work, "scratch")


def end_on_signals():
    """SIGTERM and SIGHUP unwind, so that mounts, devices and processes are cleaned up."""

    def leave(number, _):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def say(text):
    print(f"crash: {text}", file=sys.stderr, flush=True)


class Findings:
    """Counts what was looked at, and shows the first of what was bad."""

    def __init__(self, name):
        self.name, self.bad = name, 0

    def add(self, where, error):
        self.bad += 1
        if self.bad <= 20:
            print(f"{self.name}: {where}: {error}", flush=True)

# SPDX-License-Identifier: Apache-2.0
# Saves into a tmpfs with a little room, from nothing up: a failed attempt leaves nothing behind,
# earlier versions stay, deletion works, and after space was freed the same manager saves.
import contextlib
import os
import subprocess

import harness
from harness import Bad, Session

PAGE = 4096
KIB = 160  # the large leaf; an attempt takes about 45 pages


@contextlib.contextmanager
def tmpfs(folder, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "treering-crash", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=False)


def free_pages(folder):
    room = os.statvfs(folder)
    return room.f_bfree * room.f_frsize // PAGE


def leave_pages(folder, pages):
    """Takes up all room but so many pages."""
    with open(os.path.join(folder, "ballast"), "wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, (free_pages(folder) - pages) * PAGE))
    if free_pages(folder) != pages:
        raise Bad(f"the test left {free_pages(folder)} pages, not {pages}")


def leave_inodes(folder, count):
    os.mkdir(os.path.join(folder, "ballast"))
    for number in range(os.statvfs(folder).f_ffree - count):
        os.close(os.open(os.path.join(folder, "ballast", str(number)), os.O_CREAT | os.O_WRONLY))


def free_ballast(folder):
    path = os.path.join(folder, "ballast")
    if os.path.isdir(path):
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.unlink(path)


def state(folder, store):
    room = os.statvfs(folder)
    return room.f_bfree, room.f_ffree, harness.names(store)


def require_same(before, after, what):
    if before != after:
        raise Bad(f"{what} changed the directory: {before[:2]} {after[:2]} "
                  f"{sorted(set(before[2]) ^ set(after[2]))}")  # fmt: skip


def full_failure(answer):
    if answer["status"] != "IO_NO_SPACE":
        raise Bad(f"answered {answer['status']}: {answer['message']}")


def save_when_full(driver, folder, leave, amount):
    """A save into little room; answers whether it failed there."""
    store = os.path.join(folder, "store")
    with Session(driver, store) as session:
        session.must("kib", KIB)
        session.must("create")
        session.must("save", 1)
        session.must("save", 2)
        leave(folder, amount)
        before = state(folder, store)
        answer = session.tell("save", 3)
        failed = answer["status"] != "OK"
        expected = ((1, 0), (2, 0)) + (() if failed else ((3, 0),))
        if failed:
            full_failure(answer)
            require_same(before, state(folder, store), "the failed save")
            full_failure(session.tell("async", 3))
            full_failure(session.tell("wait"))
            session.must("wait")
            require_same(before, state(folder, store), "the failed save in the background")
        check(session, expected)
        # Deleting the one that is not the latest needs no room.
        session.must("delete", 1)
        check(session, expected[1:])
        free_ballast(folder)
        session.must("overwrite", 3, 5)
        session.must("close")
        check(session, ((2, 0), (3, 5)))
    harness.require_clean(store, 2)
    return failed


def check(session, expected):
    answer = session.must("check")
    harness.require_intact(answer)
    if harness.versions(answer) != expected or answer["leftovers"]:
        raise Bad(f"{harness.versions(answer)} and {answer['leftovers']} leftovers, "
                  f"not {expected}")  # fmt: skip


def create_when_full(driver, folder, leave, amount):
    """Creation and a first save where there is hardly room for the directory itself."""
    store = os.path.join(folder, "store")
    leave(folder, amount)
    with Session(driver, store) as session:
        session.must("kib", KIB)
        answer = session.tell("writer")
        if answer["status"] != "OK":
            full_failure(answer)
            free_ballast(folder)
            session.must("writer")
        else:
            answer = session.tell("save", 1)
            if answer["status"] != "OK":
                full_failure(answer)
                check(session, ())
            free_ballast(folder)
        session.must("overwrite", 1, 4)
        session.must("close")
        check(session, ((1, 4),))
    harness.require_clean(store, 1)
    return answer["status"] != "OK"


def cases(quick):
    step = 8 if quick else 1
    for pages in range(0, 64, step):
        yield f"save, {pages} pages", save_when_full, leave_pages, pages
    for inodes in range(0, 6):
        yield f"save, {inodes} inodes", save_when_full, leave_inodes, inodes
    for pages in range(0, 64, step * 4):
        yield f"create, {pages} pages", create_when_full, leave_pages, pages
    for inodes in range(0, 12, 3 if quick else 1):
        yield f"create, {inodes} inodes", create_when_full, leave_inodes, inodes


def run(driver, work, quick=False):
    findings = harness.Findings("disk full")
    sizes, failed = 0, 0
    with harness.scratch(work, "disk_full") as folder:
        for name, test, leave, amount in cases(quick):
            sizes += 1
            try:
                with tmpfs(folder, "size=4m,nr_inodes=400"):
                    failed += test(driver, folder, leave, amount)
            except (Bad, OSError, subprocess.SubprocessError) as error:
                findings.add(name, error)
    if not 0 < failed < sizes:
        findings.add("in all", f"{failed} of {sizes} attempts failed: sizes are badly chosen")
    harness.say(f"disk full: {sizes} sizes, {failed} failed attempts, {findings.bad} bad")
    return {"sizes": sizes, "failed_attempts": failed, "bad": findings.bad}

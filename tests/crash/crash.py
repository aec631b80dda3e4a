# SPDX-License-Identifier: Apache-2.0
# ./dev crash: runs the crash tests and closes with one JSON line of their figures.
#
# Without options: all crash states and failing operations of the recorded storage, a kill before
# every system call, random kills among readers, and full disks. --device: power loss on real file
# systems. --planted: each planted fault must be found.
import argparse
import json
import os
import subprocess
import sys
import time

import device
import disk_full
import harness
import kill_points
import random_kill


def recorded(build, name, quick, seed):
    """A test over the recorded storage, which elsewhere judges a sample; here all."""
    program = os.path.join(build, "tests", "crash", f"crash-{name}")
    command = [program] + ([] if quick else ["--all", "--seed", str(seed)])
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout[-3000:])
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    figures = json.loads(lines[-1]) if lines else {}
    harness.say(f"{name}: {'bad' if done.returncode else 'good'}")
    return {**figures, "bad": figures.get("bad", 0) or abs(done.returncode)}


def planted(build, work, _quick):
    here = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, os.path.join(here, "planted.py"), "--build", build, "--work", work]
    return {"bad": subprocess.run(command).returncode}


def carry_out(part):
    """The figures of a part; one that could not even begin is bad."""
    start = time.monotonic()
    try:
        figures = part()
    except (harness.Bad, OSError, subprocess.SubprocessError) as error:
        print(error)
        figures = {"bad": 1, "error": str(error)}
    figures["seconds"] = round(time.monotonic() - start, 1)
    return figures


def main():
    parser = argparse.ArgumentParser(prog="./dev crash")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--device", action="store_true", help="power loss on ext4 and XFS")
    parser.add_argument("--planted", action="store_true", help="planted faults must be found")
    parser.add_argument("--quick", action="store_true", help="a sample, in two minutes")
    parser.add_argument("--only", metavar="PART", help="one part: see the names in the figures")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    build, work, quick, seed = arguments.build, arguments.work, arguments.quick, arguments.seed
    harness.end_on_signals()
    os.makedirs(work, exist_ok=True)
    folder = harness.fast_folder(work)
    tools = {
        "driver": os.path.join(build, "tests", "crash", "crash-driver"),
        "fuse-disk": os.path.join(build, "tests", "crash", "fuse-disk"),
        "no_flush": os.path.join(build, "tests", "crash", "libno_flush.so"),
    }
    driver = tools["driver"]
    parts = {
        "crash_model": lambda: recorded(build, "crash_model", quick, seed),
        "error_loop": lambda: recorded(build, "error_loop", quick, seed),
        "kill_points": lambda: kill_points.run(driver, folder, quick),
        "random_kill": lambda: random_kill.run(driver, work, 40 if quick else 500, seed),
        "disk_full": lambda: disk_full.run(driver, folder, quick),
    }
    if arguments.device:
        parts = {"device": lambda: device.run(tools, folder, quick, seed)}
    if arguments.planted:
        parts = {"planted": lambda: planted(build, work, quick)}
    if arguments.only:
        parts = {arguments.only: parts[arguments.only]}
    figures = {}
    with harness.scratch(os.path.dirname(folder), os.path.basename(folder)):
        for name, part in parts.items():
            figures[name] = carry_out(part)
    bad = sum(part["bad"] for part in figures.values())
    print(json.dumps({"crash": "bad" if bad else "good", "bad": bad, **figures}), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
# The benchmark: lets the contenders take turns and prints medians and ratios.
"""The benchmark: treering beside the raw limits of this machine and its peers, interleaved in one run.

Each contender is a process of its own; a round lets every contender do the same operation once, in turn, so that a slow minute
of a shared disk hits all alike. The first round is dropped; medians are reported, and ratios against the better raw write.
`--quick` takes at most five minutes. The last line printed is one JSON object of all figures.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NATIVE = {"treering_c": ["treering", "1"], "treering_c_0_threads": ["treering", "0"],
          "raw_write": ["raw_write"], "raw_direct": ["raw_direct"]}
PYTHON = {"treering_py": "treering", "safetensors": "safetensors", "npz": "npz", "orbax": "orbax"}


class Contender:
    """A driver process; `ask` runs one operation in it."""

    def __init__(self, name, build):
        environment = dict(os.environ, JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3")
        if name in NATIVE:
            command = [str(build / "tests" / "bench" / "driver"), *NATIVE[name]]
        else:
            command = [sys.executable, str(HERE / "peer.py"), PYTHON[name]]
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)

    def ask(self, op, workload, path):
        self.process.stdin.write(f"{op} {workload} {path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):
            line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self.name} ended during {op} {workload}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(names, op, workload, work, build, rounds, cold=False):
    """Medians of seconds and peaks of memory, by contender."""
    contenders = [Contender(name, build) for name in names]
    seconds = {name: [] for name in names}
    extra = {name: [] for name in names}
    for turn in range(rounds + 1):
        for contender in contenders:
            path = work / f"{workload}-{contender.name}"
            if cold:
                subprocess.run(["sync"], check=True)
                pathlib.Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
            answer = contender.ask(op, workload, path)
            if turn > 0:
                seconds[contender.name].append(answer["seconds"])
                extra[contender.name].append(answer["extra_kib"])
    for contender in contenders:
        contender.close()
    return {name: {"seconds": statistics.median(seconds[name]), "min": min(seconds[name]),
                   "max": max(seconds[name]), "extra_mib": round(max(extra[name]) / 1024, 1)} for name in names}


def show(title, table, unit=1.0, unit_name="s", base=None):
    print(f"\n{title}")
    limit = None if base is None else min(table[name]["seconds"] for name in base if name in table)
    for name, row in sorted(table.items(), key=lambda entry: entry[1]["seconds"]):
        ratio = "" if limit is None else f"  x raw {row['seconds'] / limit:6.2f}"
        print(f"  {name:22s} {row['seconds'] * unit:10.4f} {unit_name}{ratio}  peak +{row['extra_mib']} MiB")


def ratios(table, base):
    limit = min(table[name]["seconds"] for name in base)
    return {name: round(row["seconds"] / limit, 3) for name, row in table.items()}


def count_versions(build):
    """10,000 saves into one directory in memory: what a save costs as versions grow."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        program = build / "tests" / "bench" / "versions"
        done = subprocess.run([program, os.path.join(folder, "run"), "10000"], check=True,
                              capture_output=True, text=True)
    figures = json.loads(done.stdout)
    print(f"\n10,000 versions: a save costs {figures['first_us']} us among the first thousand, "
          f"{figures['last_us']} us among the last; opened and listed in {figures['open_ms']} ms")
    return figures


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true", help="at most five minutes")
    parser.add_argument("--cold", action="store_true", help="also loads with dropped caches (root)")
    options = parser.parse_args()
    rounds = 3 if options.quick else 7
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    run = lambda names, op, workload, n=rounds, cold=False: measure(  # noqa: E731
        names, op, workload, options.work, options.build, n, cold)
    raw = ["raw_write", "raw_direct"]
    figures = {"machine": platform.platform(), "cpus": os.cpu_count(), "load": os.getloadavg(), "rounds": rounds}

    everyone = raw + ["treering_c", "treering_c_0_threads", "treering_py", "safetensors", "npz", "orbax"]
    figures["save_1gib"] = run(everyone, "save", "big")
    show("durable save, 1 GiB in 64 leaves", figures["save_1gib"], base=raw)
    figures["save_1gib_x_raw"] = ratios(figures["save_1gib"], raw)
    readers = [name for name in everyone if name != "raw_direct"]
    figures["load_1gib"] = run(readers, "load", "big")
    show("load, warm, 1 GiB (treering verifies every byte)", figures["load_1gib"], base=["raw_write"])
    if options.cold:
        figures["load_1gib_cold"] = run(readers, "load", "big", cold=True)
        show("load, cold, 1 GiB", figures["load_1gib_cold"], base=["raw_write"])

    small = ["raw_write", "treering_c", "treering_py", "safetensors", "npz"]
    figures["save_100k"] = run(small, "save", "small")
    show("durable save, 100,000 leaves of 256 bytes, a leaf", figures["save_100k"], 10.0, "us", ["raw_write"])
    figures["load_100k"] = run(small, "load", "small")
    show("load, warm, 100,000 leaves of 256 bytes, a leaf", figures["load_100k"], 10.0, "us", ["raw_write"])
    figures["save_10k_orbax"] = run(["orbax"], "save", "small10k", 1)
    show("durable save, 10,000 leaves of 256 bytes, a leaf", figures["save_10k_orbax"], 100.0, "us")
    for workload, what in (("small10k", "NumPy leaves in a dict"), ("state10k", "JAX leaves in an NNX state")):
        figures[f"save_{workload}_py"] = run(["treering_py"], "save", workload, 20)
        show(f"durable save, 10,000 {what}, a leaf", figures[f"save_{workload}_py"], 100.0, "us")

    run(["treering_c"], "save", "million", 1)
    figures["open_first_1m"] = run(["treering_c"], "first", "million", 20)
    show("open and read one leaf of 1,000,000", figures["open_first_1m"], 1e6, "us")

    figures["versions"] = count_versions(options.build)

    figures["us_per_leaf_c"] = round(figures["save_100k"]["treering_c"]["seconds"] * 10, 3)
    figures["us_per_leaf_py"] = round(figures["save_100k"]["treering_py"]["seconds"] * 10, 3)
    shutil.rmtree(options.work, ignore_errors=True)
    print()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

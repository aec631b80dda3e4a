# SPDX-License-Identifier: Apache-2.0
# One Python contender of the benchmark.
"""One contender of the benchmark in a Python process of its own, speaking the same lines as driver.c.

usage: peer.py treering|safetensors|npz|orbax. Lines "OP WORKLOAD PATH"; each is answered by one JSON line. Every save ends
durable: a contender that does not flush its files is followed by fsync of each file and folder it wrote.
"""

import json
import os
import shutil
import sys
import time

import numpy as np

SIZES = {"big": (64, 16 << 20), "small": (100_000, 256), "small10k": (10_000, 256),
         "state10k": (10_000, 256), "million": (1_000_000, 16)}


def make(name):
    """A dict of NumPy arrays; "state10k": an nnx.State of 1,000 layers with ten Params of JAX arrays each."""
    leaves, size = SIZES[name]
    data = np.frombuffer(np.random.default_rng(1).bytes(leaves * size), dtype=np.float32).reshape(leaves, -1).copy()
    if name == "state10k":
        import jax.numpy as jnp
        from flax import nnx

        layer = lambda n: {f"w{i}": nnx.Param(jnp.asarray(data[10 * n + i])) for i in range(10)}  # noqa: E731
        return nnx.State({f"layer{n}": layer(n) for n in range(leaves // 10)})
    return {f"leaf{i:07d}": data[i] for i in range(leaves)}


def flush(path):
    if os.path.isdir(path):
        for folder, _, files in os.walk(path):
            for entry in files:
                flush(os.path.join(folder, entry))
            flush_one(folder, os.O_RDONLY | os.O_DIRECTORY)
    else:
        flush_one(path, os.O_RDWR)
    flush_one(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)


def flush_one(path, flags):
    fd = os.open(path, flags)
    os.fsync(fd)
    os.close(fd)


class Treering:
    def __init__(self):
        import treering

        self.lib = treering

    def save(self, tree, path):
        self.lib.save(path, tree, overwrite=True)

    def load(self, path):
        return self.lib.load(path)


class Safetensors:
    def __init__(self):
        import safetensors.numpy

        self.lib = safetensors.numpy

    def save(self, tree, path):
        self.lib.save_file(tree, path)
        flush(path)

    def load(self, path):
        loaded = self.lib.load_file(path)
        for array in loaded.values():  # the file is mapped: touch every page
            array.reshape(-1).view(np.uint8)[::4096].sum()
        return loaded


class Npz:
    def save(self, tree, path):
        with open(path, "wb") as file:
            np.savez(file, **tree)
        flush(path)

    def load(self, path):
        with np.load(path) as file:
            return {name: file[name] for name in file.files}


class Orbax:
    def __init__(self):
        import orbax.checkpoint as ocp

        self.checkpointer = ocp.StandardCheckpointer()

    def save(self, tree, path):
        shutil.rmtree(path, ignore_errors=True)
        self.checkpointer.save(path, tree)
        self.checkpointer.wait_until_finished()
        flush(path)

    def load(self, path):
        return self.checkpointer.restore(path)


def status_kib(field):
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1])
    return -1


def main():
    contender = {"treering": Treering, "safetensors": Safetensors, "npz": Npz, "orbax": Orbax}[sys.argv[1]]()
    trees = {}
    for line in sys.stdin:
        op, workload, path = line.split()
        if op == "save" and workload not in trees:
            trees[workload] = make(workload)
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        before = status_kib("VmRSS:")
        start = time.perf_counter()
        result = contender.save(trees[workload], path) if op == "save" else contender.load(path)
        seconds = time.perf_counter() - start
        extra = status_kib("VmHWM:") - before
        del result
        print(json.dumps({"seconds": seconds, "extra_kib": extra}), flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
# Exact comparison of trees: types of nodes and leaves, key types and order, dtypes, bits.
import os
import struct
import subprocess
import sys
import textwrap
import threading

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import numpy as np  # noqa: E402
import pytest  # noqa: E402

import treering  # noqa: E402


def difference(a, b, path=""):
    """None if the trees are the same in everything that is saved, else where they differ and how.
    Namedtuples are the same if name and fields are."""
    stack = [(a, b, path)]
    while stack:
        a, b, path = stack.pop()
        if hasattr(type(a), "_fields") and isinstance(a, tuple):
            if type(a).__name__ != type(b).__name__ or type(a)._fields != type(b)._fields:
                return f"{path}: {type(a)} and {type(b)}"
        elif type(a) is not type(b):
            return f"{path}: {type(a)} and {type(b)}"
        if isinstance(a, dict):
            if [(type(k), k) for k in a] != [(type(k), k) for k in b]:
                return f"{path}: keys {list(a)} and {list(b)}"
            stack.extend((a[k], b[k], f"{path}/{k}") for k in a)
        elif isinstance(a, (list, tuple)):
            if len(a) != len(b):
                return f"{path}: lengths {len(a)} and {len(b)}"
            stack.extend((x, y, f"{path}/{i}") for i, (x, y) in enumerate(zip(a, b)))
        elif _bits(a) != _bits(b):
            return f"{path}: {a!r} and {b!r}"
    return None


def _bits(leaf):
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype, leaf.shape, leaf.tobytes()
    if isinstance(leaf, float):
        return struct.pack("d", leaf)
    if isinstance(leaf, complex):
        return struct.pack("dd", leaf.real, leaf.imag)
    return leaf


@pytest.fixture
def round_trip(tmp_path):
    """Saves and loads a tree."""

    def run(tree, **more):
        path = tmp_path / "run.ring"
        treering.save(path, tree, overwrite=True)
        return treering.load(path, **more)

    return run


@pytest.fixture
def same(round_trip):
    """Asserts that a tree comes back as it was."""

    def run(tree):
        back = round_trip(tree)
        assert difference(tree, back) is None
        return back

    return run


@pytest.fixture
def gate():
    """A progress function that holds up what calls it until the gate is set."""
    event = threading.Event()
    event.reached = threading.Event()

    def progress(done, total):
        event.reached.set()
        assert event.wait(60)

    event.progress = progress
    yield event
    event.set()


def on_a_small_disk(text):
    """Runs a script where /mnt is a disk of 600 KiB; what it printed, nothing else having been said."""
    shell = 'mount -t tmpfs -o size=600k none /mnt && exec "$@"'
    try:
        probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
        if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode != 0:
            pytest.skip("no mount namespaces here")
    except OSError:
        pytest.skip("no unshare here")
    command = ["unshare", "-rm", "sh", "-c", shell, "sh", sys.executable, "-c", textwrap.dedent(text)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    return done.stdout

# SPDX-License-Identifier: Apache-2.0
# Threads, forks, signals, exits and full disks in the middle of a save: exceptions, and whole files.
import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import on_a_small_disk

import treering

resource = pytest.importorskip("resource")
LIMIT = 120  # seconds: for what would hang
LARGE = 1 << 22  # elements of float32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ring"


def large(value):
    return {"w": np.full(LARGE, value, np.float32)}


def script(text, *arguments):
    code = "import errno, os, signal, sys, threading, time, numpy as np, treering\n" + textwrap.dedent(text)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)


def whole(path, *values):
    found = treering.load(path)["w"]
    assert treering.verify(path).ok and found[0] in values and (found == found[0]).all()
    return True


# ---- threads


def test_threads_save_and_load_side_by_side(tmp_path):
    failures = []

    def work(number):
        try:
            for turn in range(5):
                name = tmp_path / f"{number}.ring"
                treering.save(name, {"w": np.full(1 << 18, number * 10 + turn, np.float32)}, overwrite=True)
                assert treering.load(name)["w"].sum() == (number * 10 + turn) * (1 << 18)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    [thread.start() for thread in threads]
    [thread.join(LIMIT) for thread in threads]
    assert failures == [] and len(os.listdir(tmp_path)) == 8


def test_of_threads_that_save_to_one_path_one_wins_and_the_file_is_whole(path):
    responses = [treering.save_async(path, large(n), overwrite=True) for n in range(6)]
    for response in responses:
        response.result(LIMIT)
    assert whole(path, *range(6)) and os.listdir(path.parent) == ["run.ring"]


def test_without_overwrite_only_one_of_several_saves_gets_the_path(path):
    outcomes = []
    start = threading.Barrier(6)

    def work(number):
        start.wait()
        try:
            treering.save(path, large(number))
            outcomes.append(number)
        except FileExistsError:
            outcomes.append(None)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    [thread.start() for thread in threads]
    [thread.join(LIMIT) for thread in threads]
    winners = [number for number in outcomes if number is not None]
    assert len(outcomes) == 6 and len(winners) == 1 and whole(path, winners[0])
    assert os.listdir(path.parent) == ["run.ring"]


# ---- fork


def test_a_fork_in_the_middle_of_a_save_hurts_neither_process(path):
    done = script(
        """
        path, reached, gate = sys.argv[1], threading.Event(), threading.Event()
        def hold(done, total):
            reached.set()
            gate.wait(60)
        tree = {"w": np.full(1 << 22, 5, np.float32)}
        saver = threading.Thread(target=treering.save, args=(path, tree), kwargs={"progress": hold})
        saver.start()
        assert reached.wait(60)
        child = os.fork()
        if child == 0:
            treering.save(path + ".child", {"w": np.full(1 << 22, 6, np.float32)})
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        gate.set()
        saver.join()
        print("saved")
        """,
        path,
    )
    assert (done.stdout, done.stderr) == ("saved\n", "")
    assert whole(path, 5) and whole(f"{path}.child", 6)
    assert sorted(os.listdir(path.parent)) == ["run.ring", "run.ring.child"]


def test_forks_while_threads_save_do_not_hang(path):
    done = script(
        """
        stop = threading.Event()
        def work(number):
            while not stop.is_set():
                treering.save(f"{sys.argv[1]}{number}", [number] * 1000, overwrite=True)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        [t.start() for t in threads]
        for turn in range(20):
            child = os.fork()
            if child == 0:
                treering.save(f"{sys.argv[1]}.child", {"turn": turn}, overwrite=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        [t.join() for t in threads]
        print(treering.load(f"{sys.argv[1]}.child"))
        """,
        path,
    )
    assert (done.stdout, done.stderr) == ("{'turn': 19}\n", "")


# ---- exit


def test_an_exit_in_the_middle_of_a_thread_that_saves_finishes_it(path):
    done = script(
        """
        tree = {"w": np.full(1 << 24, 7, np.float32)}
        threading.Thread(target=treering.save, args=(sys.argv[1], tree)).start()
        """,
        path,
    )
    assert (done.returncode, done.stderr) == (0, "") and whole(path, 7)


@pytest.mark.parametrize("end", ["sys.exit(4)", "os._exit(4)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_an_exit_with_a_daemon_in_the_middle_of_a_save_leaves_the_old_file(path, end):
    treering.save(path, large(1))
    done = script(
        f"""
        reached = threading.Event()
        def told(done, total):
            reached.set()
            time.sleep(60)
        tree = {{"w": np.full(1 << 22, 2, np.float32)}}
        options = {{"overwrite": True, "progress": told}}
        threading.Thread(target=treering.save, args=(sys.argv[1], tree), kwargs=options, daemon=True).start()
        reached.wait(60)
        {end}
        """,
        path,
    )
    assert done.returncode in (4, -signal.SIGKILL) and "Fatal" not in done.stderr and whole(path, 1)
    treering.save(path, large(3), overwrite=True)
    assert whole(path, 3)


# ---- signals


class Interrupted(Exception):
    pass


@pytest.fixture
def alarm():
    """SIGALRM raises Interrupted."""

    def handler(number, frame):
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handler)
    yield lambda *ignored: os.kill(os.getpid(), signal.SIGALRM)
    signal.signal(signal.SIGALRM, before)


def test_what_a_signal_handler_raises_ends_a_save_and_a_load(path, alarm):
    treering.save(path, large(1))
    with pytest.raises(Interrupted):
        treering.save(path, large(2), overwrite=True, progress=alarm)
    assert whole(path, 1) and os.listdir(path.parent) == ["run.ring"]
    with pytest.raises(Interrupted):
        treering.load(path, progress=alarm)
    with pytest.raises(Interrupted):
        treering.load(path, large(0), progress=alarm)
    assert whole(path, 1)


def test_ctrl_c_needs_no_progress_function_to_end_a_long_save(path):
    done = script(
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tree = {f"w{i}": np.zeros(1 << 22, np.float32) for i in range(8)}
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        ended = 0
        try:
            while True:
                treering.save(sys.argv[1], tree, overwrite=True)
                ended += 1
        except KeyboardInterrupt:
            print("interrupted")
        """,
        path,
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
    assert set(os.listdir(path.parent)) <= {"run.ring"}
    assert not path.exists() or treering.verify(path).ok


# ---- the disk


class small_files:
    """Within: a file of more than so many bytes cannot be written."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.signal = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *exception):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.signal)


@pytest.mark.parametrize("save", [treering.save, lambda *a, **k: treering.save_async(*a, **k).result(LIMIT)])
def test_a_file_that_cannot_grow_is_an_os_error_and_leaves_the_old_one(path, save):
    save(path, large(1))
    with small_files(1 << 20), pytest.raises(OSError) as caught:
        save(path, large(2), overwrite=True)
    assert isinstance(caught.value, treering.StorageError) and caught.value.errno == errno.EFBIG
    assert caught.value.path == str(path)
    assert whole(path, 1) and os.listdir(path.parent) == ["run.ring"]
    save(path, large(3), overwrite=True)
    assert whole(path, 3)


def test_a_full_disk_is_told_with_its_errno_and_what_fits_is_saved_afterwards():
    text = """
        import errno, os
        import treering, numpy as np
        treering.save("/mnt/a", np.arange(1000))
        for save in treering.save, lambda *a, **k: treering.save_async(*a, **k).result(60):
            for more in {"overwrite": True}, {}:
                try:
                    save("/mnt/a" if more else "/mnt/b", np.arange(1 << 18), **more)
                except treering.StorageError as error:
                    assert error.errno == errno.ENOSPC, error
                else:
                    raise SystemExit("nothing was told")
                assert os.listdir("/mnt") == ["a"]
        treering.save("/mnt/b", np.arange(2000))
        print(len(treering.load("/mnt/a")), len(treering.load("/mnt/b")))
    """
    assert on_a_small_disk(text) == "1000 2000\n"


def test_a_folder_that_goes_away_during_a_save_is_an_os_error(path):
    folder = path.parent / "folder"
    folder.mkdir()
    reached, gate = threading.Event(), threading.Event()

    def hold(done, total):
        reached.set()
        assert gate.wait(LIMIT)

    response = treering.save_async(folder / "run.ring", large(1), progress=hold)
    assert reached.wait(LIMIT)
    for name in os.listdir(folder):
        os.unlink(folder / name)
    folder.rmdir()
    gate.set()
    with pytest.raises(OSError) as caught:
        response.result(LIMIT)
    assert isinstance(caught.value, treering.TreeringError)


def test_a_failure_in_the_background_waits_until_it_is_asked_for(path):
    with small_files(1 << 20):
        response = treering.save_async(path, large(1))
        while not response.done():
            time.sleep(0.001)
    assert isinstance(response.exception(), OSError) and os.listdir(path.parent) == []

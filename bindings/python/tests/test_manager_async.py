# SPDX-License-Identifier: Apache-2.0
# CheckpointManager in the background: snapshots, waiting, failures told once, fork, exit, kill.
#
# A keep policy runs on the library's thread: one that blocks holds a save in flight for as long as a
# test wants. A limit on the size of files makes a save fail.
import errno
import gc
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from conftest import difference, on_a_small_disk

import treering
from treering import CheckpointManager, _lending

LIMIT = 60  # seconds after which a test that hangs fails


class Gate:
    """A keep policy that keeps everything, and waits inside until it is opened."""

    def __init__(self):
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, versions):
        self.entered.set()
        assert self.opened.wait(LIMIT)
        return [True] * len(versions)


@pytest.fixture
def ctrl_c():
    """SIGINT raises KeyboardInterrupt, as it does unless who started us had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def run(tmp_path, gate):
    opened = []

    def open_(**options):
        opened.append(CheckpointManager(tmp_path / "run", **options))
        return opened[-1]

    yield open_
    gate.opened.set()
    for manager in opened:
        manager.close()


class small_files:
    """Within: a file of more than so many bytes cannot be written."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *exception):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def script(text, *arguments, **more):
    """Runs a program of its own, which gets the arguments as sys.argv."""
    head = "import os, signal, sys, threading\nimport numpy as np\nimport treering\n"
    command = [sys.executable, "-c", head + textwrap.dedent(text), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, **more)
    return done.returncode, done.stdout, done.stderr


BIG = 1 << 20  # elements


# ---- snapshots


def test_numpy_arrays_may_change_as_soon_as_save_returns(run):
    manager = run()
    arrays = {"a": np.arange(BIG), "b": [np.ones((7, 9), np.float16)[::2], np.full((), 3)]}
    expected = {"a": arrays["a"].copy(), "b": [arrays["b"][0].copy(), arrays["b"][1].copy()]}
    manager.save(1, arrays)
    arrays["a"][:] = -1
    arrays["b"][0][:] = -1
    arrays["b"][1][()] = -1
    assert difference(manager.restore(1), expected) is None


@pytest.mark.parametrize("staging", [0, 4096])
def test_arrays_of_all_kinds_are_safe_together(run, staging):
    jnp = pytest.importorskip("jax.numpy")
    manager = run(staging_bytes=staging)
    changing = np.arange(BIG // 8)
    manager.save(1, {"numpy": changing, "jax": jnp.arange(100.0), "rest": ["x" * 100, 2**100, 1.5, None]})
    changing[:] = -1
    back = manager.restore(1)
    assert (back["numpy"] == np.arange(BIG // 8)).all()
    assert (np.asarray(back["jax"]) == np.arange(100.0)).all()
    assert back["rest"] == ["x" * 100, 2**100, 1.5, None]


def test_jax_arrays_are_lent_and_survive_donation_and_deletion(run, gate):
    jax = pytest.importorskip("jax")
    manager = run(keep_policies=gate)
    step = jax.jit(lambda a: a * 2 + 1, donate_argnums=0)
    donated, deleted = jax.numpy.arange(BIG) * 1, jax.numpy.arange(BIG) + 3
    key = jax.random.key(5)
    manager.save(1, {"donated": donated, "deleted": deleted, "key": key})
    assert len(_lending._lent) == 1
    deleted.delete()
    for _ in range(5):
        donated = step(donated)
    donated.block_until_ready()
    gate.opened.set()
    back = manager.restore(1)
    assert (np.asarray(back["donated"]) == np.arange(BIG)).all()
    assert (np.asarray(back["deleted"]) == np.arange(BIG) + 3).all()
    assert (jax.random.key_data(back["key"]) == jax.random.key_data(key)).all()
    assert (np.asarray(donated) == np.arange(BIG, dtype=np.int32) * 32 + 31).all()


def test_a_view_of_a_jax_array_keeps_its_buffer_from_donation():
    jax = pytest.importorskip("jax")
    array = jax.numpy.arange(BIG) * 1
    view = np.asarray(array)
    if view.ctypes.data != array.unsafe_buffer_pointer():
        pytest.skip("no view on this device")
    result = jax.jit(lambda a: a + 1, donate_argnums=0)(array)
    assert result.unsafe_buffer_pointer() != view.ctypes.data
    assert (view == np.arange(BIG)).all()


def test_what_was_lent_is_released_when_the_save_has_ended(run):
    jnp = pytest.importorskip("jax.numpy")
    manager = run()
    for step in range(3):
        manager.save(step, {"a": jnp.arange(1000), "s": "text", "n": np.ones(4)})
    manager.wait_until_finished()
    assert not _lending._lent
    with pytest.raises(TypeError):
        manager.save(3, {"a": jnp.arange(1000), "b": object()})
    with small_files(10000), pytest.raises(OSError):
        manager.save(4, {"a": jnp.arange(100000)})
        manager.wait_until_finished()
    assert not _lending._lent


# ---- in flight


def test_a_save_in_flight_is_waited_for(run, gate):
    manager = run(keep_policies=gate)
    assert manager.save(1, np.arange(4)) is True
    assert gate.entered.wait(LIMIT)
    assert manager.is_saving()
    with pytest.raises(TimeoutError, match="step 1 "):
        manager.wait_until_finished(timeout=0.01)
    with pytest.raises(FileExistsError):
        manager.save(1, 0)
    assert not manager.should_save(1)
    gate.opened.set()
    manager.wait_until_finished()
    assert not manager.is_saving()
    assert manager.all_steps() == [1]


def test_the_next_save_waits_for_the_one_in_flight(run, gate):
    manager = run(keep_policies=gate)
    manager.save(1, 0)
    other = threading.Thread(target=lambda: manager.save(2, 0))
    other.start()
    assert gate.entered.wait(LIMIT)
    other.join(0.1)
    assert other.is_alive()
    gate.opened.set()
    other.join(LIMIT)
    manager.wait_until_finished()
    assert manager.all_steps() == [1, 2]


def test_a_queue_takes_more_saves(run, gate):
    manager = run(keep_policies=gate, save_queue=3)
    for step in range(3):
        manager.save(step, np.full(100, step))
    assert gate.entered.wait(LIMIT) and manager.is_saving()
    gate.opened.set()
    manager.wait_until_finished()
    assert manager.all_steps() == [0, 1, 2]
    assert manager.restore(2)[0] == 2


def test_close_cancels_what_its_time_is_too_short_for(run, gate):
    manager = run(keep_policies=gate, save_queue=2)
    manager.save(1, 0)
    assert gate.entered.wait(LIMIT)
    manager.save(2, 0)
    threading.Timer(0.2, gate.opened.set).start()
    with pytest.raises(TimeoutError):
        manager.close(timeout=0.01)
    with pytest.raises(RuntimeError, match="closed"):
        manager.save(3, 0)
    assert run().all_steps() == [1]


def test_ctrl_c_ends_a_wait_and_the_manager_goes_on(run, gate, ctrl_c):
    manager = run(keep_policies=gate)
    manager.save(1, 0)
    assert gate.entered.wait(LIMIT)
    waits = [manager.wait_until_finished, manager.close, manager.restore]
    waits += [lambda: manager.save(2, 0), lambda: manager.delete(1)]
    for wait in waits:
        timer = threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            wait()
        timer.join()
    gate.opened.set()
    assert manager.save(2, 0)
    manager.wait_until_finished()
    assert manager.all_steps() == [1, 2]


def test_ctrl_c_ends_waiting_for_the_lock(run, ctrl_c):
    run()
    threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run(lock_timeout=LIMIT)


def test_threads_may_save_and_read_together(run):
    manager = run()
    failures = []

    def work(first):
        try:
            for step in range(first, 40, 4):
                manager.save(step, np.full(1000, step), force=True)
                assert manager.restore(step)[0] == step
                manager.versions()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert not failures
    manager.wait_until_finished()
    assert manager.all_steps() == list(range(40))


# ---- failures


def fail(manager, step):
    with small_files(100_000):
        manager.save(step, np.zeros(BIG))
        manager._handle.wait_for(lambda found: True)


def test_a_failure_is_told_once_by_whichever_call_comes_first(run):
    manager = run()
    manager.save(1, np.arange(3))
    manager.wait_until_finished()
    fail(manager, 2)
    with pytest.raises(OSError) as caught:
        manager.wait_until_finished()
    assert caught.value.errno == errno.EFBIG
    manager.wait_until_finished()
    fail(manager, 2)
    assert not manager.save(0, 0)  # one that is skipped tells nothing
    with pytest.raises(OSError):
        manager.save(3, np.arange(3))
    assert manager.all_steps() == [1]
    assert manager.save(2, np.arange(2)) and manager.save(3, np.arange(3))
    fail(manager, 4)
    with pytest.raises(OSError):
        manager.close()
    manager.close()
    assert run(read_only=True).all_steps() == [1, 2, 3]


def test_nothing_is_left_behind_by_a_failure(run, tmp_path):
    manager = run()
    fail(manager, 1)
    with pytest.raises(OSError):
        manager.wait_until_finished()
    assert manager.all_steps() == [] and os.listdir(tmp_path / "run/data") == []


def test_close_raises_the_first_failure_and_says_the_others(run, gate, capfd):
    manager = run(save_queue=5, keep_policies=gate)
    manager.save(0, 0)

    def broken(done, total):
        raise ZeroDivisionError("planted")

    with small_files(100_000):
        for step in 1, 2, 3:
            manager.save(step, np.zeros(BIG))
        manager.save(4, 0, progress=broken)
        gate.opened.set()
        with pytest.raises(OSError) as caught:
            manager.close()
    assert caught.value.errno == errno.EFBIG
    said = capfd.readouterr().err
    assert said.count("failed too: StorageError") == 2 and said.count("ZeroDivisionError: planted") == 1


def test_close_says_what_it_cancelled_besides_what_it_raises(run, gate, capfd):
    manager = run(keep_policies=gate, save_queue=3)
    manager.save(1, 0)
    assert gate.entered.wait(LIMIT)
    manager.save(2, 0)
    manager._handle.raised.append(ZeroDivisionError("planted"))  # by the progress of an ended save
    threading.Timer(0.2, gate.opened.set).start()
    with pytest.raises(ZeroDivisionError):
        manager.close(timeout=0.01)
    assert "failed too: TimedOutError" in capfd.readouterr().err


def test_the_exception_of_a_with_block_is_not_replaced(run, capfd):
    with pytest.raises(ZeroDivisionError) as caught:
        with run() as manager:
            fail(manager, 1)
            raise ZeroDivisionError("mine")
    assert "failed" in "".join(getattr(caught.value, "__notes__", ["failed"]))
    assert "failed" in capfd.readouterr().err
    with pytest.raises(OSError):
        with run() as manager:
            fail(manager, 2)


def test_a_full_disk_is_an_os_error_with_its_errno(tmp_path):
    text = """
        import errno
        import treering, numpy as np
        manager = treering.CheckpointManager("/mnt/run")
        manager.save(1, np.arange(1000))
        for _ in range(2):
            try:
                manager.save(2, np.arange(1 << 18))
                manager.wait_until_finished()
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
            else:
                raise SystemExit("nothing was told")
        manager.save(3, np.arange(2000))
        manager.close()
        print(manager, treering.CheckpointManager("/mnt/run", read_only=True).all_steps())
    """
    assert on_a_small_disk(text) == "CheckpointManager('/mnt/run', closed) [1, 3]\n"


# ---- the end of a manager, of a process


def test_a_manager_that_is_dropped_finishes_its_save(tmp_path):
    manager = CheckpointManager(tmp_path / "run")
    manager.save(1, np.arange(BIG))
    with pytest.warns(ResourceWarning, match="dropped"):
        del manager
        gc.collect()
    with CheckpointManager(tmp_path / "run") as manager:
        assert manager.all_steps() == [1] and (manager.restore() == np.arange(BIG)).all()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_manager_may_be_dropped_on_its_own_thread(tmp_path):
    holder, begun, dropped = [], threading.Event(), threading.Event()

    def keep(versions):
        assert begun.wait(LIMIT)
        holder.clear()
        gc.collect()
        dropped.set()
        return [True] * len(versions)

    holder.append(CheckpointManager(tmp_path / "run", keep_policies=keep))
    holder[0].save(1, np.arange(1000))
    begun.set()
    assert dropped.wait(LIMIT)
    with CheckpointManager(tmp_path / "run", lock_timeout=LIMIT) as manager:
        assert manager.all_steps() == [1]


def test_an_exit_without_close_finishes_the_save(tmp_path):
    code, out, err = script(
        """
        manager = treering.CheckpointManager(sys.argv[1])
        manager.save(1, np.arange(1 << 22))
        """,
        tmp_path / "run",
    )
    assert (code, out, err) == (0, "", "")
    assert (CheckpointManager(tmp_path / "run", read_only=True).restore(1) == np.arange(1 << 22)).all()


def test_an_exit_that_loses_a_save_says_so(tmp_path):
    code, out, err = script(
        """
        import resource
        manager = treering.CheckpointManager(sys.argv[1])
        manager.save(1, 0)
        manager.wait_until_finished()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))
        manager.save(27, np.arange(1 << 20))
        """,
        tmp_path / "run",
    )
    assert code == 0 and "treering: " in err and "NOT saved" in err and "27" in err
    assert CheckpointManager(tmp_path / "run", read_only=True).all_steps() == [1]


def test_an_exit_by_an_exception_finishes_a_save_of_lent_arrays(tmp_path):
    pytest.importorskip("jax")
    code, _, err = script(
        """
        manager = treering.CheckpointManager(sys.argv[1])
        import jax
        manager.save(1, jax.numpy.arange(1 << 22))
        raise ZeroDivisionError
        """,
        tmp_path / "run",
    )
    assert code == 1 and err.rstrip().endswith("ZeroDivisionError")
    reader = CheckpointManager(tmp_path / "run", read_only=True)
    assert (np.asarray(reader.restore(1)) == np.arange(1 << 22)).all()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_finishes_its_own_save(tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import multiprocessing, sys
            import numpy as np
            import treering

            def work(folder):
                global manager
                manager = treering.CheckpointManager(folder)
                manager.save(1, np.arange(1 << 22))

            if __name__ == "__main__":
                mine = treering.CheckpointManager(sys.argv[1] + "-parent")
                child = multiprocessing.get_context(sys.argv[2]).Process(target=work, args=sys.argv[1:2])
                child.start()
                child.join()
                mine.save(2, 0)
                sys.exit(child.exitcode)
            """
        )
    )
    command = [sys.executable, program, tmp_path / "run", method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name, steps in (("run", [1]), ("run-parent", [2])):
        with CheckpointManager(tmp_path / name) as manager:
            assert manager.all_steps() == steps


def test_a_forked_child_has_no_manager_and_its_end_does_not_hurt_its_parents(tmp_path):
    code, out, err = script(
        """
        import warnings
        warnings.simplefilter("ignore")
        manager = treering.CheckpointManager(sys.argv[1])
        manager.save(1, np.arange(1 << 20))
        child = os.fork()
        if child == 0:
            for call in (manager.all_steps, manager.wait_until_finished, manager.latest_step,
                         lambda: manager.save(2, 0)):
                try:
                    call()
                    os._exit(3)
                except RuntimeError as error:
                    assert error.status_name == "WRONG_STATE_FORKED" and str(os.getppid()) in str(error)
            manager.request_save()
            manager.close()
            del manager
            sys.exit(7)  # runs what runs at exit
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        try:
            treering.CheckpointManager(sys.argv[1])
        except BlockingIOError:
            print("still locked")
        manager.save(2, 0)
        manager.close()
        print(treering.CheckpointManager(sys.argv[1]).all_steps())
        """,
        tmp_path / "run",
    )
    assert (code, out, err) == (0, "still locked\n[1, 2]\n", "")


@pytest.mark.parametrize("waiting", [False, True])
def test_a_forked_child_does_not_keep_the_lock_of_a_killed_parent(tmp_path, waiting):
    read, write = os.pipe()
    text = """
        import time, threading, treering, os, signal, sys
        entered, go = threading.Event(), threading.Event()
        def keep(versions):
            return entered.set() or [go.wait()] * len(versions)
        manager = treering.CheckpointManager(sys.argv[1], keep_policies=keep)
        manager.save(1, 0)
        if sys.argv[2] == "True":
            threading.Thread(target=manager.wait_until_finished, daemon=True).start()
            while not (entered.is_set() and manager._handle.lock.locked()):
                time.sleep(0.001)
        else:
            go.set()
            manager.wait_until_finished()
        if os.fork() == 0:
            print("child", flush=True)
            sys.stdin.read()
            os._exit(0)
        signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(text), tmp_path / "run", str(waiting)]
    with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, text=True) as parent:
        os.close(read)
        assert parent.stdout.readline() == "child\n"
        parent.kill()
        assert parent.wait(LIMIT) == -signal.SIGKILL
        with CheckpointManager(tmp_path / "run") as manager:
            assert manager.all_steps() == [1]
        os.close(write)


@pytest.mark.parametrize("saved", [1, 4])
def test_a_killed_writer_leaves_whole_steps_and_no_lock(tmp_path, saved):
    text = """
        manager = treering.CheckpointManager(sys.argv[1], max_to_keep=2)
        for step in range(1000):
            manager.save(step, np.full(1 << 18, step))
            print(step, flush=True)
    """
    head = "import sys\nimport numpy as np\nimport treering\n"
    command = [sys.executable, "-c", head + textwrap.dedent(text), tmp_path / "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        for line in writer.stdout:
            if int(line) == saved:
                break
        writer.kill()
    with CheckpointManager(tmp_path / "run") as manager:
        steps = manager.all_steps()
        # `saved` was begun, so the one before was committed.
        assert steps[-1] >= saved - 1
        for step in steps:
            assert (manager.restore(step, verify=True) == step).all()
        assert manager.save(2000, 0)


def test_policies_see_versions_from_the_librarys_thread(run):
    seen = []

    def keep(versions):
        seen.append(([version.step for version in versions], threading.get_ident()))
        return [version.step != 1 for version in versions]

    manager = run(keep_policies=keep)
    for step in range(3):
        manager.save(step, 0)
    manager.wait_until_finished()
    assert manager.all_steps() == [0, 2]
    assert [steps for steps, _ in seen] == [[0], [0, 1], [0, 1, 2]]  # the greatest step always stays
    assert threading.main_thread().ident not in {thread for _, thread in seen}


def test_a_synchronous_manager_starts_no_thread(run):
    def count():
        return len(os.listdir("/proc/self/task"))

    if not os.path.isdir("/proc/self/task"):
        pytest.skip("no /proc here")
    manager = run(asynchronous=False)
    before = count()
    manager.save(1, {"a": np.zeros(1000)})
    assert count() == before and not manager.is_saving() and manager.all_steps() == [1]
    treering.load(manager.metadata(1).path)

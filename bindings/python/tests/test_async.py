# SPDX-License-Identifier: Apache-2.0
# Saving to and loading from a path in the background: snapshots, responses, exit and fork.
import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import treering

LARGE = 6 << 20  # elements of float32: several calls of a progress function


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ring"


def script(text, *arguments, **more):
    code = "import sys, os, signal, threading, time, numpy as np, treering\n" + text
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=120, **more,
    )  # fmt: skip


def large(value=1.0):
    return np.full(LARGE, value, np.float32)


# ---- snapshots


def test_the_result_of_a_save_is_a_file_on_the_disk(path):
    response = treering.save_async(path, {"a": np.arange(5)}, items={"n": treering.Json([1])}, metadata={"step": 3})
    assert response.result(60) is None and response.done() and response.exception() is None
    assert treering.load(path)["a"].tolist() == [0, 1, 2, 3, 4] and treering.load(path, item="n") == [1]
    assert treering.info(path)["metadata"] == {"step": 3} and os.listdir(path.parent) == ["run.ring"]


def test_numpy_arrays_may_change_as_soon_as_save_returns(path, gate):
    tree = {"a": large(), "views": [np.arange(12).reshape(3, 4).T, np.float32(2)]}
    response = treering.save_async(path, tree, progress=gate.progress)
    assert not response.done()
    tree["a"][:] = 7
    tree["views"][0][:] = 0
    tree["views"].clear()
    gate.set()
    response.result(60)
    back = treering.load(path)
    assert (back["a"] == 1).all() and back["views"][0][3, 2] == 11 and len(back["views"]) == 2


def test_jax_arrays_are_lent_and_survive_donation_and_deletion(path, gate):
    jax = pytest.importorskip("jax")
    tree = {"donated": jax.numpy.ones(LARGE), "deleted": jax.numpy.full(1000, 2.0), "n": np.ones(3)}
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    response = treering.save_async(path, tree, progress=gate.progress)
    assert gate.reached.wait(60)
    add(tree["donated"]).block_until_ready()
    tree["deleted"].delete()
    tree["n"][:] = 0
    for _ in range(3):  # whatever memory is free is used again
        jax.numpy.zeros(LARGE).block_until_ready()
    gate.set()
    response.result(60)
    back = treering.load(path)
    assert (np.asarray(back["donated"]) == 1).all() and (np.asarray(back["deleted"]) == 2).all()
    assert (back["n"] == 1).all()


def test_arrays_over_devices_are_lent_by_their_parts(path, gate):
    jax = pytest.importorskip("jax")
    sharding = jax.sharding.NamedSharding(jax.make_mesh((jax.device_count(),), ("x",)), jax.P("x"))
    array = jax.device_put(large(), sharding)
    response = treering.save_async(path, {"w": array}, progress=gate.progress)
    jax.jit(lambda x: x + 1, donate_argnums=0)(array).block_until_ready()
    gate.set()
    response.result(60)
    assert (np.asarray(treering.load(path)["w"]) == 1).all()


def test_what_is_more_than_the_budget_is_written_before_save_returns(path):
    threads = []
    tell = lambda done, total: threads.append(threading.current_thread())  # noqa: E731
    response = treering.save_async(path, {"a": large()}, staging_bytes=1000, progress=tell)
    assert response.done() and path.exists() and set(threads) == {threading.main_thread()}
    with pytest.raises(ZeroDivisionError):
        treering.save_async(path, large(), overwrite=True, staging_bytes=0, progress=lambda *a: 1 / 0).result()


# ---- responses


def test_waiting_has_a_limit_and_the_save_goes_on(path, gate):
    response = treering.save_async(path, large(), progress=gate.progress)
    with pytest.raises(TimeoutError, match="run.ring.*goes on"):
        response.result(0.01)
    assert not response.done() and "running" in repr(response)
    gate.set()
    assert response.result(60) is None and "done" in repr(response)
    done, total = response.progress()
    assert 0 < done <= total == LARGE * 4


def test_a_cancelled_save_leaves_what_was_there(path, gate):
    treering.save(path, "old")
    response = treering.save_async(path, large(), overwrite=True, progress=gate.progress)
    assert response.cancel()
    gate.set()
    for _ in range(2):
        with pytest.raises(treering.CancelledError, match="run.ring"):
            response.result(60)
    assert treering.load(path) == "old" and os.listdir(path.parent) == ["run.ring"]
    assert not response.cancel()


def test_what_can_be_told_at_once_is_raised_at_once(path):
    treering.save(path, 1)
    with pytest.raises(FileExistsError):
        treering.save_async(path, 2)
    with pytest.raises(FileNotFoundError):
        treering.save_async(path / "x" / "y", 2)
    with pytest.raises(TypeError, match="'a/0'"):
        treering.save_async(path, {"a": [object()]}, overwrite=True)
    with pytest.raises(TypeError, match="tree or items"):
        treering.save_async(path)
    assert os.listdir(path.parent) == ["run.ring"]


def fail(*ignored):
    raise OSError(5, "planted")


def test_a_failure_is_kept_and_raised_whenever_it_is_asked_for(path, capfd):
    response = treering.save_async(path, large(), progress=fail)
    for _ in range(2):
        with pytest.raises(OSError, match="planted"):
            response.result(60)
    assert response.exception().errno == 5 and "planted" in repr(response)
    del response
    gc.collect()
    assert capfd.readouterr().err == "" and os.listdir(path.parent) == []


def test_a_failure_that_nobody_asks_for_is_said_once(path, capfd):
    response = treering.save_async(path, large(), progress=fail)
    while not response.done():
        time.sleep(0.001)
    del response
    deadline = time.monotonic() + 60
    said = ""
    while "planted" not in said and time.monotonic() < deadline:
        gc.collect()
        said += capfd.readouterr().err
        time.sleep(0.001)
    assert said.count("planted") == 1 and "run.ring' was NOT saved" in said


def test_callbacks_are_called_once_however_late_they_come(path, gate, capfd):
    seen = []
    response = treering.save_async(path, large(), progress=gate.progress)
    response.on_complete(lambda r: seen.append(("early", r.done())))
    response.on_complete(lambda r: 1 / 0)
    ended = threading.Event()
    response.on_complete(lambda r: ended.set())
    assert seen == []
    gate.set()
    assert ended.wait(60)
    response.on_complete(lambda r: seen.append(("late", r.done())))
    assert seen == [("early", True), ("late", True)]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_response_can_be_awaited(path):
    async def both():
        first = treering.save_async(path, {"a": large()})
        assert await first is None and path.exists()
        second = treering.save_async(path, large(), overwrite=True, progress=fail)
        with pytest.raises(OSError, match="planted"):
            await second
        loaded = await asyncio.gather(treering.load_async(path), treering.load_async(path))
        return [len(tree["a"]) for tree in loaded]

    assert asyncio.run(both()) == [LARGE, LARGE]


def test_a_cancelled_coroutine_does_not_cancel_its_save(path, gate):
    async def impatient():
        response = treering.save_async(path, large(), progress=gate.progress)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_wait(response), 0.01)
        return response

    async def _wait(response):
        return await response

    response = asyncio.run(impatient())
    gate.set()
    assert response.result(60) is None and path.exists()


def test_ctrl_c_ends_the_wait_only(path, gate):
    response = treering.save_async(path, large(), progress=gate.progress)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            response.result(60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not response.done()
    gate.set()
    assert response.result(60) is None


# ---- loads


def test_a_load_in_the_background_gives_what_load_gives(path):
    treering.save(path, {"a": np.arange(4), "b": [1, "x"]}, items={"n": treering.Json(5)})
    assert treering.load_async(path).result(60)["b"] == [1, "x"]
    target = {"a": np.zeros(4, int), "b": [0, ""]}
    assert treering.load_async(path, target).result(60)["a"].tolist() == [0, 1, 2, 3]
    assert treering.load_async(path, item="n").result(60) == 5


def test_a_load_that_fails_or_is_cancelled_says_so(path, gate):
    with pytest.raises(FileNotFoundError):
        treering.load_async(path).result(60)
    treering.save(path, {"a": large()})
    with pytest.raises(treering.StructureMismatchError):
        treering.load_async(path, {"b": 1}).result(60)
    response = treering.load_async(path, progress=gate.progress)
    assert gate.reached.wait(60) and response.cancel()
    gate.set()
    with pytest.raises(treering.CancelledError):
        response.result(60)


# ---- the end of a program, and its children


def test_an_exit_without_asking_finishes_the_save(path):
    done = script("treering.save_async(sys.argv[1], {'a': np.ones(1 << 24)})", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert treering.load(path)["a"].sum() == 1 << 24


def test_an_exit_by_an_exception_finishes_a_save_of_lent_arrays(path):
    pytest.importorskip("jax")
    text = "import jax\ntreering.save_async(sys.argv[1], [jax.numpy.ones(1 << 24)])\nsys.exit(3)"
    done = script(text, path)
    assert (done.returncode, done.stderr) == (3, "")
    assert np.asarray(treering.load(path)[0]).sum() == 1 << 24


def test_an_exit_says_what_failed_and_was_not_asked_for(path):
    text = "def fail(*a): raise OSError('planted')\nkept = treering.save_async(sys.argv[1], np.ones(1 << 22), progress=fail)"
    done = script(text, path)
    assert done.stderr.count("planted") == 1 and "NOT saved" in done.stderr
    assert os.listdir(path.parent) == []


def test_an_exit_that_ctrl_c_cuts_short_says_that_it_lost_the_save(path):
    text = """
signal.signal(signal.SIGINT, signal.default_int_handler)
def slow(done, total):
    print("in", flush=True)
    time.sleep(0.5)
treering.save_async(sys.argv[1], np.ones(1 << 22), progress=slow)
threading.Thread(target=lambda: (time.sleep(0.3), os.kill(os.getpid(), signal.SIGINT)), daemon=True).start()
"""
    done = script(text, path)
    assert "NOT saved" in done.stderr and os.listdir(path.parent) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_no_part_in_its_parents_save(path):
    text = """
gate = threading.Event()
reached = threading.Event()
def hold(done, total):
    reached.set()
    gate.wait(60)
response = treering.save_async(sys.argv[1], {'a': np.ones(1 << 22)}, progress=hold)
assert reached.wait(60)
child = os.fork()
if child == 0:
    try:
        response.result(60)
    except treering.WrongStateError as error:
        print("child:", "forked" in str(error), flush=True)
    treering.save(sys.argv[1] + ".child", 5)
    treering.save_async(sys.argv[1] + ".later", 6)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
gate.set()
response.result(60)
print("parent:", treering.load(sys.argv[1])['a'].sum())
"""
    done = script(text, path)
    assert done.stdout.split("\n")[:2] == ["child: True", f"parent: {float(1 << 22)}"], done.stderr
    assert done.stderr == "" and treering.load(f"{path}.child") == 5 and treering.load(f"{path}.later") == 6


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_finishes_its_own_save(path, method):
    module = path.parent / "child_of_async.py"
    module.write_text(
        "import numpy as np, treering\n"
        "def work(path):\n    treering.save_async(path, {'a': np.ones(1 << 22)})\n"
        "def bad(path):\n    def fail(*a): raise OSError('planted')\n"
        "    treering.save_async(path, np.ones(1 << 22), progress=fail)\n"
    )
    text = """
import multiprocessing, child_of_async
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    for work in child_of_async.work, child_of_async.bad:
        child = context.Process(target=work, args=(sys.argv[1] + work.__name__,))
        child.start()
        child.join()
"""
    environment = {**os.environ, "PYTHONPATH": f"{path.parent}:{os.environ.get('PYTHONPATH', '')}"}
    done = script(text, path, method, env=environment)
    assert treering.load(f"{path}work")["a"].sum() == 1 << 22
    assert done.stderr.count("planted") == 1, done.stderr


def test_a_save_that_begins_at_exit_is_finished(path):
    text = """
import atexit
def late():
    treering.save_async(sys.argv[1], {'a': np.ones(1 << 24)})
    manager = treering.CheckpointManager(sys.argv[1] + ".run")
    manager.save(1, {'a': np.ones(1 << 24)})
    kept.append(manager)
kept = []
atexit.register(late)
"""
    done = script(text, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert treering.load(path)["a"].sum() == 1 << 24
    assert treering.load(f"{path}.run")["a"].sum() == 1 << 24


def test_a_save_begun_on_a_daemon_thread_is_finished_at_exit(path):
    text = """
tree = {"w": np.ones(1 << 24)}
thread = threading.Thread(target=lambda: treering.save_async(sys.argv[1], tree), daemon=True)
thread.start()
thread.join()
"""
    done = script(text, path)
    assert (done.returncode, done.stderr) == (0, "") and treering.load(path)["w"].sum() == 1 << 24


def test_threads_of_futures_and_coroutines_are_no_daemons_on_a_daemon_thread():
    from treering.orbax import future
    from treering.orbax._custom import run_coroutine
    from treering.orbax.v1._response import Running

    seen = {}

    async def look(name):
        seen[name] = threading.current_thread().daemon

    async def nested():
        run_coroutine(look("coroutine"))

    def begin():
        future.CommitFuture(look("future")).result(30)
        Running(lambda: seen.update(running=threading.current_thread().daemon), "running").result(30)
        run_coroutine(nested())

    thread = threading.Thread(target=begin, daemon=True)
    thread.start()
    thread.join(60)
    assert seen == {"future": False, "running": False, "coroutine": False}

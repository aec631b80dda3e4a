# SPDX-License-Identifier: Apache-2.0
# Each exception of the package, provoked once: its built-in base, path, leaf, expected and found.
import builtins
import errno
import os
import pickle
import signal

import numpy as np
import pytest

import treering
from treering import _errors
from treering._ffi import lib

TREE = {"w": {"x y": np.arange(3000.0)}, "n": 3}


@pytest.fixture
def path(tmp_path):
    treering.save(tmp_path / "run.ring", TREE)
    return tmp_path / "run.ring"


def caught(kind, call, *arguments, **more):
    """The exception, which also has survived pickling with all it says."""
    with pytest.raises(kind) as info:
        call(*arguments, **more)
    error = info.value
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert vars(again) == vars(error)
    return error


BASES = {
    "AlreadyExistsError": FileExistsError, "BusyError": BlockingIOError, "CancelledError": RuntimeError,
    "CheckpointNotFoundError": FileNotFoundError, "CorruptionError": OSError, "DtypeMismatchError": TypeError,
    "InternalError": RuntimeError, "InvalidArgumentError": ValueError, "LimitError": ValueError,
    "NotTreeringError": ValueError, "OutOfMemoryError": MemoryError, "OutcomeUnknownError": OSError,
    "PathNotFoundError": KeyError, "PermissionDeniedError": PermissionError, "StorageError": OSError,
    "StructureMismatchError": ValueError, "TimedOutError": TimeoutError,
    "UnsupportedError": NotImplementedError, "UnsupportedTypeError": TypeError, "WrongStateError": RuntimeError,
}  # fmt: skip


def test_every_exception_has_its_builtin_and_its_status():
    kinds = {name for name in treering.__all__ if name.endswith("Error") and name != "TreeringError"}
    assert kinds == set(BASES)
    for name, base in BASES.items():
        kind = getattr(treering, name)
        assert issubclass(kind, base) and issubclass(kind, treering.TreeringError)
        assert kind("text").path is None and kind("text").leaf is None and str(kind("text")) == "text"
    told = set(_errors._BY_STATUS.values()) | {treering.UnsupportedTypeError}
    assert told == {getattr(treering, name) for name in kinds}


def test_every_class_of_status_has_its_exception():
    classes = {getattr(lib, name) & 255 for name in dir(lib) if getattr(lib, name, None) in range(8, 129, 8)}
    for status in range(8, 129, 8):
        name = _errors.ffi.string(lib.treering_status_name(status)).decode()
        assert _errors._BY_STATUS.get(status) is not None, name
        error = _errors.new_error()
        error.status = status + 256 * 200  # a detail that a newer library may have
        assert type(_errors.error_of(error)) is _errors._BY_STATUS[status], name
    assert classes >= {8, 128}


def test_files_that_are_missing_or_exist_are_named(path, tmp_path):
    nowhere = str(tmp_path / "nowhere.ring")
    for call in (treering.load, treering.metadata, treering.info, treering.open, treering.verify):
        error = caught(FileNotFoundError, call, nowhere)
        assert error.path == error.filename == nowhere and error.errno == errno.ENOENT
    error = caught(FileExistsError, treering.save, path, TREE)
    assert error.path == str(path) and error.errno == errno.EEXIST and error.leaf is None
    error = caught(FileNotFoundError, treering.save, tmp_path / "no" / "x.ring", TREE)
    assert error.path == str(tmp_path / "no" / "x.ring")


def test_foreign_files_are_named(path):
    path.write_bytes(b"hello" * 99)
    error = caught(ValueError, treering.load, path)
    assert type(error) is treering.NotTreeringError and error.path == str(path)


def test_a_damaged_leaf_is_named_with_its_file_and_offset(path):
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    target = treering.metadata(path)
    read = treering.open(path)['w/x y']
    for call in (
        lambda: treering.load(path), lambda: treering.load(path, target), read.numpy, read.value,
        lambda: read[5:], treering.open(path, mmap=True)["w/x y"].view, treering.verify(path).raise_if_damaged,
    ):  # fmt: skip
        error = caught(OSError, call)
        assert type(error) is treering.CorruptionError and error.status_name == "CORRUPT_CHECKSUM"
        assert error.path == str(path) and error.leaf == "w/x y" and error.offset == 64
    path.write_bytes(data[:-1])
    error = caught(OSError, treering.load, path)
    assert error.path == str(path) and error.leaf is None and error.status_name == "CORRUPT_TRUNCATED"


def test_a_newer_format_is_named(path):
    data = bytearray(path.read_bytes())
    kind = treering.UnsupportedError
    seen = set()
    for at in range(len(data) - 64, len(data)):  # the trailer says the version, under a hash
        broken = bytearray(data)
        broken[at] ^= 0x40
        path.write_bytes(broken)
        with pytest.raises(treering.TreeringError) as info:
            treering.load(path)
        seen.add(type(info.value))
        assert info.value.path == str(path)
    assert treering.CorruptionError in seen and issubclass(kind, NotImplementedError)


def test_what_is_not_there_is_named(path):
    error = caught(KeyError, lambda: treering.open(path)["w/xy"])
    assert error.path == str(path) and error.leaf == "w/xy"
    error = caught(KeyError, lambda: treering.open(path)["w", 5])
    assert error.leaf == "w/5"
    error = caught(KeyError, lambda: treering.open(path)["w"])
    assert error.leaf == "w"
    error = caught(KeyError, treering.load, path, item="other")
    assert error.path == str(path) and error.status_name == "NOT_FOUND_ITEM"


def test_a_mismatch_tells_leaf_expected_and_found(path):
    error = caught(ValueError, treering.load, path, {"w": {"x y": np.zeros(7)}, "n": 0})
    assert type(error) is treering.StructureMismatchError and error.path == str(path)
    assert (error.leaf, error.expected, error.found) == ("w/x y", "float64[7]", "float64[3000]")
    error = caught(TypeError, treering.load, path, {"w": {"x y": np.zeros(3000, "f4")}, "n": 0})
    assert type(error) is treering.DtypeMismatchError and isinstance(error, ValueError)
    assert (error.leaf, error.expected, error.found) == ("w/x y", "float32[3000]", "float64[3000]")
    error = caught(ValueError, treering.load, path, {"w": {}, "n": 0, "more": 1})
    assert error.missing == ["more"] and error.unexpected == ["w/x y"] and error.leaf == "w/x y"
    error = caught(TypeError, treering.open(path)["w/x y"].read_into, np.zeros(3000, "f4"))
    assert (error.leaf, error.expected, error.found) == ("w/x y", "float64", "float32")
    assert error.path == str(path) and error.different == [("w/x y", "float64", "float32")]


def test_what_has_no_place_is_named(tmp_path):
    error = caught(TypeError, treering.save, tmp_path / "x", {"a": [1, object()]})
    assert type(error) is treering.UnsupportedTypeError and error.leaf == "a/1" and "object" in error.found
    error = caught(TypeError, treering.save, tmp_path / "x", {"a": {"t": np.zeros(2, "M8[s]")}})
    assert error.leaf == "a/t" and error.found == "datetime64[s]"
    error = caught(TypeError, treering.save, tmp_path / "x", {1.5: 2})
    assert error.leaf == "1.5"
    assert caught(TypeError, treering.save, tmp_path / "x", object()).leaf == ""


def test_limits_and_cycles_are_errors_of_value(tmp_path):
    deep = 1
    for _ in range(300):
        deep = [deep]
    error = caught(ValueError, treering.save, tmp_path / "x", deep)
    assert type(error) is treering.LimitError and error.status_name == "LIMIT"
    cycle = []
    cycle.append(cycle)
    error = caught(ValueError, treering.save, tmp_path / "x", cycle)
    assert type(error) is treering.InvalidArgumentError
    assert os.listdir(tmp_path) == []


def test_managers_name_their_directory(tmp_path):
    run = tmp_path / "run"
    with treering.CheckpointManager(run) as manager:
        manager.save(1, {"a": 1})
        error = caught(BlockingIOError, treering.CheckpointManager, run)
        assert type(error) is treering.BusyError and error.path == str(run)
        error = caught(FileNotFoundError, manager.restore, 5)
        assert error.path == str(run) and "no step 5" in str(error)
        error = caught(FileExistsError, lambda: (manager.wait_until_finished(), manager.save(1, 2, force=True)))
        assert error.path == str(run)
    error = caught(RuntimeError, manager.latest_step)
    assert type(error) is treering.WrongStateError
    error = caught(FileNotFoundError, treering.load, run, step=8)
    assert error.path == str(run)


def test_a_full_disk_is_an_oserror_with_its_errno(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        error = caught(OSError, treering.save, tmp_path / "x.ring", {"big": np.zeros(1 << 17)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert type(error) is treering.StorageError and error.errno == errno.EFBIG
    assert error.path == str(tmp_path / "x.ring") and os.listdir(tmp_path) == []


def test_what_only_a_library_of_another_time_or_place_answers_has_its_exception():
    for status, kind, base in (
        (lib.TREERING_NO_MEMORY, treering.OutOfMemoryError, builtins.MemoryError),
        (lib.TREERING_TIMEOUT, treering.TimedOutError, builtins.TimeoutError),
        (lib.TREERING_CANCELLED, treering.CancelledError, builtins.RuntimeError),
        (lib.TREERING_OUTCOME_UNKNOWN, treering.OutcomeUnknownError, builtins.OSError),
        (lib.TREERING_INTERNAL, treering.InternalError, builtins.RuntimeError),
        (lib.TREERING_UNSUPPORTED_VERSION, treering.UnsupportedError, builtins.NotImplementedError),
        (lib.TREERING_IO_PERMISSION, treering.PermissionDeniedError, builtins.PermissionError),
        (lib.TREERING_IO_NO_SPACE, treering.StorageError, builtins.OSError),
    ):
        made = _errors.new_error()
        made.status, made.message = status, b"'a/b': 'run.ring': it is so"
        error = _errors.error_of(made)
        assert type(error) is kind and isinstance(error, base) and str(error).endswith("it is so")
        assert error.leaf == ("a/b" if status & 255 in _errors._LEAF_CLASSES else None)
    assert _errors.error_of(made).errno == errno.ENOSPC

# SPDX-License-Identifier: Apache-2.0
# safetensors files: what is written is what the format asks for, what is read is checked whole.
import json
import os

import numpy as np
import pytest

import treering
from treering import interop

ml_dtypes = pytest.importorskip("ml_dtypes")
DTYPES = (
    "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64 complex64"
    " float8_e4m3fn float8_e5m2 float8_e8m0fnu"
).split()


def _tree():
    random = np.random.default_rng(0)
    every = {}
    for name in DTYPES:
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        data = random.integers(0, 2, 15, np.uint8) if name == "bool" else None
        raw = data.tobytes() if data is not None else random.bytes(15 * dtype.itemsize)
        every[name] = np.frombuffer(raw, dtype).reshape(3, 5)
    return {"every": every, "list": [np.arange(3), (np.float32(2.5),)], "empty": np.zeros((0, 4))}


def _flat(tree):
    flat = {f"every.{name}": array for name, array in tree["every"].items()}
    return {
        **flat,
        "list.0": tree["list"][0],
        "list.1.0": tree["list"][1][0],
        "empty": tree["empty"],
    }


def _bits(arrays):
    return {name: (a.dtype.name, a.shape, a.tobytes()) for name, a in arrays.items()}


def _file(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_every_dtype_comes_back_bit_by_bit_under_joined_names(tmp_path):
    path, tree = tmp_path / "a.safetensors", _tree()
    interop.to_safetensors(path, tree, metadata={"format": "np"})
    assert _bits(interop.from_safetensors(path)) == _bits(_flat(tree))
    assert interop.safetensors_metadata(path) == {"format": "np"}
    nested = interop.from_safetensors(path, separator=".")
    assert _bits(nested["every"]) == _bits(tree["every"])
    assert nested["list"]["1"]["0"] == 2.5
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_files_are_as_the_format_asks(tmp_path):
    path = tmp_path / "a.safetensors"
    interop.to_safetensors(path, {"b": np.uint8([1, 2, 3]), "a": np.arange(2.0)})
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert size % 8 == 0 and data[8:9] == b"{"
    assert header == {
        "a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]},
        "b": {"dtype": "U8", "shape": [3], "data_offsets": [16, 19]},
    }
    assert data[8 + size :] == np.arange(2.0).tobytes() + b"\1\2\3"


def test_files_are_those_of_the_safetensors_package(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    path, flat = tmp_path / "a.safetensors", _flat(_tree())
    known = {name: np.asarray(a) for name, a in flat.items() if a.dtype.char in "?bBhHiIlLefd"}
    assert len(known) == 12 + 3
    interop.to_safetensors(path, known, separator="/")
    assert _bits(numpy_files.load_file(path)) == _bits(known)
    numpy_files.save_file(known, tmp_path / "b.safetensors", metadata={"k": "v"})
    assert _bits(interop.from_safetensors(tmp_path / "b.safetensors")) == _bits(known)
    assert interop.safetensors_metadata(tmp_path / "b.safetensors") == {"k": "v"}


def test_views_byte_orders_and_jax_arrays_are_written_as_they_read(tmp_path):
    jax = pytest.importorskip("jax")
    path, base = tmp_path / "a.safetensors", np.arange(12, dtype=np.int16).reshape(3, 4)
    tree = {"t": base.T, "step": base[:, ::2], "big": base.astype(">i2")}
    tree["jax"] = jax.numpy.ones(2, "bfloat16")
    interop.to_safetensors(path, tree)
    found = interop.from_safetensors(path)
    assert (
        found["t"].tolist() == base.T.tolist() and found["step"].tolist() == base[:, ::2].tolist()
    )
    assert found["big"].dtype == np.int16 and found["big"].tolist() == base.tolist()
    assert found["jax"].dtype == ml_dtypes.bfloat16 and found["jax"].flags.writeable


def test_an_existing_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.safetensors"
    interop.to_safetensors(path, {"x": np.arange(2)})
    with pytest.raises(FileExistsError, match="exists"):
        interop.to_safetensors(path, {"x": np.arange(3)})
    assert interop.from_safetensors(path)["x"].size == 2
    interop.to_safetensors(path, {"x": np.arange(3)}, overwrite=True)
    assert interop.from_safetensors(path)["x"].size == 3 and os.listdir(tmp_path) == [
        "a.safetensors"
    ]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    interop.to_safetensors(path, {"x": np.arange(2)})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        interop.to_safetensors(path, {"x": np.arange(3)}, overwrite=True)
    assert interop.from_safetensors(path)["x"].size == 2 and os.listdir(tmp_path) == [
        "a.safetensors"
    ]


def test_what_the_format_lacks_is_refused_by_name(tmp_path):
    cycle = {}
    cycle["again"] = cycle
    for tree, error, message in (
        ({"a": {"b": 3}}, TypeError, "'a.b' is a int, not an array"),
        ({"a": np.complex128([1])}, TypeError, "'a': safetensors files have no complex128"),
        ({"a": np.array(["x"])}, TypeError, "'a': safetensors files have no <U1"),
        ({"a": {"b": np.ones(1)}, "a.b": np.ones(1)}, ValueError, "the name 'a.b' is taken"),
        ({"__metadata__": np.ones(1)}, ValueError, "'__metadata__' is taken"),
        (cycle, ValueError, "or a cycle"),
    ):
        with pytest.raises(error, match=message):
            interop.to_safetensors(tmp_path / "a", tree)
    assert os.listdir(tmp_path) == []


GOOD = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


@pytest.mark.parametrize(
    "header, data, error, message",
    [
        (b"{", b"", OSError, "no JSON document"),
        (b"[]", b"", OSError, "no JSON object"),
        (b'{"a":{},"a":{}}', b"", OSError, "'a' occurs twice"),
        ({"a": {**GOOD, "dtype": ["F7"]}}, b"ab", NotImplementedError, "dtype .*'F7'"),
        ({"a": {**GOOD, "dtype": "F7"}}, b"ab", NotImplementedError, "dtype 'F7'"),
        ({"a": {**GOOD, "shape": [3]}}, b"ab", OSError, r"U8\[3\] in the bytes 0 to 2"),
        ({"a": {**GOOD, "shape": [-2]}}, b"ab", OSError, "the header says"),
        ({"a": {**GOOD, "shape": [True]}}, b"ab", OSError, "the header says"),
        ({"a": {**GOOD, "data_offsets": [0]}}, b"ab", OSError, "the header says"),
        ({"a": {**GOOD, "data_offsets": [1, 3]}}, b"abc", OSError, "begins at byte 1"),
        ({"a": GOOD, "b": GOOD}, b"ab", OSError, "'b'.*begins at byte 0, the one before ends at 2"),
        ({"a": GOOD}, b"a", OSError, "according to its header"),
        ({"a": GOOD}, b"abc", OSError, "according to its header"),
        ({"a": "x"}, b"", OSError, "the header says"),
    ],
)
def test_headers_that_cannot_be_right_are_refused(tmp_path, header, data, error, message):
    with pytest.raises(error, match=message) as caught:
        interop.from_safetensors(_file(tmp_path / "x.safetensors", header, data))
    assert "x.safetensors" in str(caught.value) and isinstance(caught.value, treering.TreeringError)


def test_files_that_are_something_else_are_refused(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(FileNotFoundError, match="no such file"):
        interop.from_safetensors(path)
    path.write_bytes(b"short")
    with pytest.raises(treering.CorruptionError, match="too few"):
        interop.from_safetensors(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    with pytest.raises(treering.LimitError, match="is it a safetensors file"):
        interop.from_safetensors(path)
    path.write_bytes((50).to_bytes(8, "little") + b"{}")
    with pytest.raises(treering.CorruptionError, match="which has 10"):
        interop.from_safetensors(path)
    for names in (("a", "a.b"), ("a.b", "a")):
        header = {
            name: {**GOOD, "data_offsets": [2 * i, 2 * i + 2]} for i, name in enumerate(names)
        }
        with pytest.raises(treering.CorruptionError, match="below"):
            interop.from_safetensors(_file(path, header, b"abcd"), separator=".")

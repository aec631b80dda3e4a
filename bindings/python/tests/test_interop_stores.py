# SPDX-License-Identifier: Apache-2.0
# The parts below from_orbax, on stores and arrays that the real TensorStore writes.
import json
import shutil
import zlib

import numpy as np
import pytest

import treering
from treering.interop import _codecs
from treering.interop._bytes import Cursor
from treering.interop._crc32c import crc32c
from treering.interop._ocdbt import LooseStore, OcdbtStore
from treering.interop._zarr import ZarrArray

tensorstore = pytest.importorskip("tensorstore")
pytest.importorskip("zstandard")


def _ocdbt(folder, context=None, **config):
    spec = {"driver": "ocdbt", "base": f"file://{folder}/", "config": config}
    return tensorstore.KvStore.open(spec, context=context or tensorstore.Context()).result()


def _all(store):
    return {key: extent.read() for key, extent in store._values.items()}


def _pairs(count, seed=0):
    random = np.random.default_rng(seed)
    return {
        f"params/{random.integers(40)}/layer_{i:04}".encode(): random.bytes(
            int(random.integers(0, 60))
        )
        for i in range(count)
    }


# ---- checksums, numbers


def test_crc32c_is_that_of_the_standard_and_of_a_plain_loop():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"\0" * 32) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E
    data = np.random.default_rng(4).bytes(3000)
    for size in (0, 1, 511, 512, 513, 1024, 1535, 3000):
        crc = 0xFFFFFFFF
        for byte in data[:size]:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        assert crc32c(data[:size]) == crc ^ 0xFFFFFFFF


def test_a_cursor_refuses_numbers_that_do_not_end_and_bytes_beyond_the_end():
    assert Cursor(b"\x80\x01\xff", "x").varint() == 128
    for data in (b"", b"\x80", b"\xff" * 11):
        with pytest.raises(treering.CorruptionError, match="does not end"):
            Cursor(data, "x").varint()
    with pytest.raises(treering.CorruptionError, match="at most 5"):
        Cursor(b"\x06", "x").varint(5)
    with pytest.raises(treering.CorruptionError, match="3 more bytes are needed, 2 are left"):
        Cursor(b"ab", "x").take(3)
    with pytest.raises(treering.CorruptionError, match="numbers in 1 bytes"):
        Cursor(b"a", "x").varints(1 << 60)


# ---- OCDBT


@pytest.mark.parametrize("compression", [None, {"id": "zstd"}])
def test_btrees_of_several_levels_and_many_versions_give_the_newest_values(tmp_path, compression):
    pairs = _pairs(800)
    store = _ocdbt(
        tmp_path, max_decoded_node_bytes=900, max_inline_value_bytes=20, version_tree_arity_log2=1,
        compression=compression,
    )  # fmt: skip
    for part in range(8):  # eight versions and more: older ones get nodes of their own
        with tensorstore.Transaction() as transaction:
            for key, value in list(pairs.items())[part::8]:
                store.with_transaction(transaction)[key] = b"old" + value
    with tensorstore.Transaction() as transaction:
        for key, value in pairs.items():
            store.with_transaction(transaction)[key] = value
    found = OcdbtStore(str(tmp_path))
    assert _all(found) == pairs
    assert len(found) == len(pairs) and found.find("params") is None
    inline = [extent.inline is not None for extent in found._values.values()]
    assert any(inline) and not all(inline)


def test_stores_of_several_processes_merged_into_one_are_read_through_the_merged_manifest(tmp_path):
    for process in range(3):
        part = _ocdbt(tmp_path / f"ocdbt.process_{process}", max_inline_value_bytes=10)
        with tensorstore.Transaction() as transaction:
            for key, value in _pairs(50, process).items():
                part.with_transaction(transaction)[b"%d/" % process + key] = value
    context = tensorstore.Context()  # one for all, or nothing can be copied by reference
    merged = _ocdbt(tmp_path, context)
    with tensorstore.Transaction() as transaction:
        for process in range(3):
            part = _ocdbt(tmp_path / f"ocdbt.process_{process}", context)
            part.experimental_copy_range_to(merged.with_transaction(transaction)).result()
    expected = {
        b"%d/" % process + key: value
        for process in range(3)
        for key, value in _pairs(50, process).items()
    }
    store = OcdbtStore(str(tmp_path))
    assert _all(store) == expected
    paths = {extent.path for extent in store._values.values() if extent.inline is None}
    assert {path.split("ocdbt.process_")[1][0] for path in paths} == {"0", "1", "2"}
    shutil.rmtree(tmp_path / "ocdbt.process_1")
    with pytest.raises(
        FileNotFoundError, match="ocdbt.process_1.*is not there; was the folder copied whole"
    ):
        _all(OcdbtStore(str(tmp_path)))


def test_metadata_and_values_in_folders_of_their_own_are_found(tmp_path):
    spec = {
        "driver": "ocdbt", "base": f"file://{tmp_path}/", "value_data_prefix": "ocdbt_data/",
        "btree_node_data_prefix": "ocdbt_meta/", "version_tree_node_data_prefix": "ocdbt_meta/",
        "config": {"max_inline_value_bytes": 10},
    }  # fmt: skip
    store, pairs = tensorstore.KvStore.open(spec).result(), _pairs(60)
    with tensorstore.Transaction() as transaction:
        for key, value in pairs.items():
            store.with_transaction(transaction)[key] = value
    assert _all(OcdbtStore(str(tmp_path))) == pairs
    assert {path.name for path in tmp_path.iterdir()} == {
        "manifest.ocdbt",
        "ocdbt_data",
        "ocdbt_meta",
    }


def test_an_empty_store_has_no_keys(tmp_path):
    store = _ocdbt(tmp_path)
    store[b"a"] = b"b"
    del store[b"a"]
    assert len(OcdbtStore(str(tmp_path))) == 0


def test_versions_in_numbered_files_are_refused_by_name(tmp_path):
    _ocdbt(tmp_path, manifest_kind="numbered")[b"a"] = b"b"
    with pytest.raises(NotImplementedError, match="manifest kind 1"):
        OcdbtStore(str(tmp_path))


# ---- Zarr


def _write(folder, values, driver, metadata, **spec):
    spec = {
        "driver": driver, "kvstore": f"file://{folder}/",
        "metadata": {"shape": list(values.shape), **metadata},
        "store_data_equal_to_fill_value": True, **spec,
    }  # fmt: skip
    array = tensorstore.open(spec, dtype=values.dtype, create=True).result()
    array.write(values).result()
    return array


def _read(folder, may_lack_chunks=False):
    return ZarrArray(LooseStore(str(folder)), "", may_lack_chunks).read()


def _numbers(shape, dtype="f4"):
    return np.random.default_rng(9).integers(0, 100, shape).astype(dtype)


def test_zarr2_is_read_with_every_codec_byte_order_and_separator(tmp_path):
    values = _numbers((7, 11, 3), ">i4")
    for number, compressor in enumerate(
        (None, {"id": "zstd", "level": 5}, {"id": "gzip", "level": 1}, {"id": "zlib", "level": 1})
    ):
        for separator in "./":
            folder = tmp_path / f"{number}{ord(separator)}"
            metadata = {
                "chunks": [3, 4, 2],
                "compressor": compressor,
                "dimension_separator": separator,
            }
            _write(folder, values, "zarr", {**metadata, "dtype": ">i4"})
            assert 'dtype":">i4' in (folder / ".zarray").read_text().replace(" ", "")
            found = _read(folder)
            assert found.dtype == np.int32 and found.dtype.isnative
            assert (found == values).all()


def _sharding(inner, codecs, **more):
    index_codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    options = {"chunk_shape": inner, "codecs": codecs, "index_codecs": index_codecs, **more}
    return [{"name": "sharding_indexed", "configuration": options}]


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}


@pytest.mark.parametrize(
    "codecs",
    [
        [LITTLE],
        [BIG, {"name": "zstd", "configuration": {"level": 3}}],
        [LITTLE, {"name": "gzip", "configuration": {"level": 2}}, {"name": "crc32c"}],
        _sharding([3, 2], [LITTLE, {"name": "zstd", "configuration": {"level": 1}}]),
        _sharding([6, 1], [LITTLE], index_location="start"),
        _sharding([2, 4], [BIG, {"name": "crc32c"}]),
    ],
)
def test_zarr3_is_read_with_every_codec_and_shards_at_the_edge(tmp_path, codecs):
    values = _numbers((13, 10), "f8")
    grid = {"name": "regular", "configuration": {"chunk_shape": [6, 4]}}
    for encoding in ("default", "v2"):
        folder = tmp_path / encoding
        metadata = {"chunk_grid": grid, "codecs": codecs, "chunk_key_encoding": {"name": encoding}}
        _write(folder, values, "zarr3", metadata)
        assert (_read(folder) == values).all()


@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
def test_absent_chunks_are_the_fill_value_only_where_the_writer_left_them_out(tmp_path, driver):
    values = np.zeros((8, 8), "f4")
    values[5, 5] = 3
    grid = {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 4]}}}
    old = {"dtype": "<f4", "chunks": [4, 4], "compressor": None}
    new = {"data_type": "float32", "codecs": _sharding([2, 2], [LITTLE]), **grid}
    metadata = {"fill_value": 2.5, **(old if driver == "zarr" else new)}
    values[:4] = 2.5
    values[4:, :4] = 2.5
    values[6:, 4:] = 2.5
    _write(tmp_path, values, driver, metadata, store_data_equal_to_fill_value=False)
    assert (_read(tmp_path, may_lack_chunks=True) == values).all()
    with pytest.raises(FileNotFoundError, match="the chunk .* is not there; its data are lost"):
        _read(tmp_path)


def test_fill_values_of_every_form_are_understood():
    from treering.interop._zarr_metadata import fill_value

    assert np.isnan(fill_value("NaN", np.dtype("f4"), "x"))
    assert fill_value("-Infinity", np.dtype("f8"), "x") == -np.inf
    assert fill_value([1, "NaN"], np.dtype("c8"), "x").real == 1
    assert fill_value("0x7fc00001", np.dtype("f4"), "x").view("u4") == 0x7FC00001
    assert fill_value(True, np.dtype("?"), "x") == np.True_
    for value, dtype in (
        ("abc", "f4"),
        (None, "f4"),
        ([1], "c8"),
        ({}, "i4"),
        ("0x00", "f4"),
        (300, "u1"),
    ):
        with pytest.raises(treering.CorruptionError, match="the fill value"):
            fill_value(value, np.dtype(dtype), "x")


V2 = {
    "zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<f4", "compressor": None, "fill_value": None,
    "order": "C", "filters": None,
}  # fmt: skip
V3 = {
    "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float32", "fill_value": 0,
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
    "chunk_key_encoding": {"name": "default"}, "codecs": [LITTLE],
}  # fmt: skip
REFUSED = [
    (V2, {"compressor": {"id": "blosc"}}, NotImplementedError, "the codec 'blosc' is not decoded"),
    (V2, {"order": "F"}, NotImplementedError, "order 'F'"),
    (V2, {"filters": [{"id": "delta"}]}, NotImplementedError, "filters"),
    (V2, {"dtype": "<M8[ns]"}, NotImplementedError, "dtype '<M8"),
    (V2, {"dtype": [["a", "<f4"]]}, OSError, "'dtype'"),
    (V2, {"zarr_format": 1}, NotImplementedError, "format 1"),
    (V2, {"shape": [-1]}, OSError, "size -1"),
    (V2, {"shape": [True]}, OSError, "size True"),
    (V2, {"shape": [1] * 40}, OSError, "no list of at most 32"),
    (V2, {"chunks": [0]}, OSError, "size 0"),
    (V2, {"chunks": [2, 2]}, OSError, r"chunks \(2, 2\) for the shape \(4,\)"),
    (V2, {"shape": [1 << 50]}, treering.LimitError, "an array of shape"),
    (V2, {"dimension_separator": "x"}, OSError, "separator"),
    (V3, {"data_type": "string"}, NotImplementedError, "dtype 'string'"),
    (
        V3,
        {"codecs": [{"name": "transpose"}, LITTLE]},
        NotImplementedError,
        "do not begin with 'bytes'",
    ),
    (V3, {"codecs": [LITTLE, {"name": "blosc"}]}, NotImplementedError, "codec 'blosc'"),
    (V3, {"codecs": []}, OSError, "'name'|codecs"),
    (V3, {"chunk_grid": {"name": "rectangular"}}, NotImplementedError, "grid 'rectangular'"),
    (V3, {"chunk_key_encoding": {"name": "flat"}}, NotImplementedError, "encoding 'flat'"),
    (
        V3,
        {"codecs": _sharding([3], [LITTLE])},
        OSError,
        r"inner chunks \(3,\) for shards of \(2,\)",
    ),
    (
        V3,
        {"codecs": _sharding([1], _sharding([1], [LITTLE]))},
        NotImplementedError,
        "sharding_indexed",
    ),
    (V3, {"node_type": "group"}, NotImplementedError, "no array of Zarr format 3"),
]


@pytest.mark.parametrize("document, change, error, message", REFUSED)
def test_what_cannot_be_decoded_is_refused_by_name(tmp_path, document, change, error, message):
    name = ".zarray" if document is V2 else "zarr.json"
    (tmp_path / name).write_text(json.dumps({**document, **change}))
    with pytest.raises(error, match=message) as caught:
        _read(tmp_path)
    assert "array ''" in str(caught.value) and isinstance(caught.value, treering.TreeringError)


def test_keys_that_leave_the_folder_are_refused(tmp_path):
    for name in ("../x", "a/../../x", "/etc", "a//b", "a\0b"):
        with pytest.raises(treering.CorruptionError, match="is no name of a file below it"):
            ZarrArray(LooseStore(str(tmp_path)), name, False)


# ---- codecs


def test_a_frame_that_says_more_than_there_can_be_costs_no_memory():
    import zstandard

    bomb = zstandard.compress(bytes(1 << 26))
    with pytest.raises(treering.CorruptionError, match="67108864 bytes where 1000 are possible"):
        _codecs.decode(bomb, ["zstd"], 1000, "x")
    with pytest.raises(treering.CorruptionError, match="more than 1000 bytes"):
        _codecs.decode(zlib.compress(bytes(1 << 26)), ["zlib"], 1000, "x")


def test_frames_of_another_length_cut_off_or_followed_by_more_are_damage():
    import zstandard

    frame = zstandard.compress(bytes(100))
    assert _codecs.decode(frame, ["zstd"], 100, "x") == bytes(100)
    for data, size in (
        (frame, 101),
        (frame[:-1], 100),
        (frame + b"x", 100),
        (b"", 100),
        (b"abcd", 100),
    ):
        with pytest.raises(treering.CorruptionError):
            _codecs.decode(data, ["zstd"], size, "x")
    stream = zlib.compress(b"data")
    for data in (stream[:-1], stream + b"x", stream[:4] + b"\xff" + stream[5:]):
        with pytest.raises(treering.CorruptionError):
            _codecs.decode(data, ["gzip"], 4, "x")

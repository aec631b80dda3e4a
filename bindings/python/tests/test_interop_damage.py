# SPDX-License-Identifier: Apache-2.0
# Damaged and hostile Orbax checkpoints: refused, or read right, wherever the format has a checksum.
#
# CRC-32C covers OCDBT's manifests and B-tree nodes (so also values that lie in a node) and the index of
# each shard of Zarr 3. Nothing covers values out of line, Orbax's JSON files, or loose Zarr files: there
# damage may go unseen, and only errors of treering's own kind may come of it.
import importlib.util
import json
import os
import random
import shutil
import warnings

import numpy as np
import pytest
from interop_checkpoints import as_bits, expected, written

import treering
from treering import interop
from treering.interop._crc32c import crc32c
from treering.interop._ocdbt import OcdbtStore

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("orbax") is None, reason="writes its checkpoints with orbax"
)


def _copy(tmp_path, name):
    shutil.copytree(written() / name, tmp_path / name)
    return tmp_path / name


def _flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _outcome(folder):
    """The tree's bits, or the error; any but treering's own fails the test."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return as_bits(interop.from_orbax(folder))
    except treering.TreeringError as error:
        assert str(error)
        return error


def _node_of(folder):
    """The file with the merged store's B-tree."""
    (path,) = (folder / "d").iterdir()
    return path


# ---- what a checksum covers


def test_flips_in_a_manifest_are_refused_wherever_they_are(tmp_path):
    path = _copy(tmp_path, "standard") / "manifest.ocdbt"
    data = path.read_bytes()
    for byte in range(len(data)):
        path.write_bytes(_flipped(data, 8 * byte + byte % 8))
        with pytest.raises(treering.TreeringError) as caught:
            OcdbtStore(str(path.parent))
        assert isinstance(caught.value, treering.CorruptionError) and str(path) in str(caught.value)


def test_flips_in_a_btree_node_are_refused_with_its_place(tmp_path):
    folder = _copy(tmp_path, "standard")
    path = _node_of(folder)
    data = path.read_bytes()
    for bit in random.Random(1).sample(range(len(data) * 8), 250):
        path.write_bytes(_flipped(data, bit))
        error = _outcome(folder)
        assert isinstance(error, treering.CorruptionError), bit
        assert f"B-tree node at byte 0 of '{path}'" in str(error)


def test_manifests_and_nodes_cut_off_anywhere_are_refused(tmp_path):
    folder = _copy(tmp_path, "standard")
    for path in (folder / "manifest.ocdbt", _node_of(folder)):
        data = path.read_bytes()
        for size in range(len(data)):
            path.write_bytes(data[:size])
            assert isinstance(_outcome(folder), treering.CorruptionError), size
        path.write_bytes(data + b"\0")
        found = _outcome(folder)  # behind a node other things may lie, behind a manifest nothing
        assert isinstance(found, treering.CorruptionError) == (path.name == "manifest.ocdbt")
        path.write_bytes(data)


def test_every_flip_in_the_index_of_a_shard_is_refused(tmp_path):
    folder = _copy(tmp_path, "sharded-loose-zarr3")
    path = folder / "both" / "c" / "0" / "0"
    document = json.loads((folder / "both" / "zarr.json").read_text())
    inner = document["codecs"][0]["configuration"]["chunk_shape"]
    outer = document["chunk_grid"]["configuration"]["chunk_shape"]
    size = 16 * int(np.prod(np.array(outer) // inner)) + 4
    data = path.read_bytes()
    for bit in range((len(data) - size) * 8, len(data) * 8):
        path.write_bytes(_flipped(data, bit))
        error = _outcome(folder)
        assert isinstance(error, treering.CorruptionError), bit
        assert "array 'both'" in str(error) and "CRC-32C" in str(error)


# ---- what no checksum covers


@pytest.mark.parametrize("name", ["noise", "sharded-loose-zarr2", "sharded-ocdbt-zarr3"])
def test_flips_in_values_give_an_error_or_an_array_of_the_right_kind(tmp_path, name):
    folder = _copy(tmp_path, name)
    files = [path for path in folder.glob("**/*") if path.is_file() and path.stat().st_size > 1000]
    values = [path for path in files if path.name[0] in "0123456789abcdef"]
    assert values
    good, choose = expected(name), random.Random(2)
    for path in choose.sample(sorted(values), min(len(values), 6)):
        data = path.read_bytes()
        for bit in choose.sample(range(len(data) * 8), 6):
            path.write_bytes(_flipped(data, bit))
            found = _outcome(folder)
            if not isinstance(found, Exception):
                assert {k: v[:2] for k, v in found.items()} == {k: v[:2] for k, v in good.items()}
        path.write_bytes(data)
    assert _outcome(folder) == good


@pytest.mark.parametrize(
    "name, path",
    [
        ("kinds-loose-zarr3", "_METADATA"),
        ("rich", "_METADATA"),
        ("kinds-loose-zarr3", "array_metadatas/process_0"),
        ("kinds-loose-zarr3", "_sharding"),
        ("kinds-loose-zarr3", "_strings.json"),
        ("kinds-loose-zarr3", "_CHECKPOINT_METADATA"),
        ("kinds-loose-zarr3", "pair.first/zarr.json"),
        ("kinds-loose-zarr2", "pair.first/.zarray"),
    ],
)
def test_changed_json_gives_an_error_of_treering_or_a_tree(tmp_path, name, path):
    folder = _copy(tmp_path, name)
    path = folder / path
    data, choose, refused = path.read_bytes(), random.Random(3), 0
    words = [
        b"null", b"-1", b"[]", b"{}", b'"x"', b"1e999", b"18446744073709551616", b"[[[", b"\\ud800", b"NaN",
    ]  # fmt: skip
    for _ in range(120):
        changed = bytearray(data)
        for _ in range(choose.randint(1, 3)):
            at = choose.randrange(len(changed))
            if choose.random() < 0.5:
                changed[at] ^= 1 << choose.randrange(8)
            else:
                changed[at : at + choose.randint(0, 6)] = choose.choice(words)
        path.write_bytes(bytes(changed))
        refused += isinstance(_outcome(folder), Exception)
    assert refused > 20


def test_json_that_is_nested_deeply_or_says_things_twice_is_refused(tmp_path):
    path = _copy(tmp_path, "standard") / "_METADATA"
    for text, message in (
        ('{"tree_metadata":' + "[" * 200_000, "nested too deeply|no JSON document"),
        ('{"tree_metadata": {}, "tree_metadata": {}}', "'tree_metadata' occurs twice"),
        ("[]", "holds a JSON list, not a dict"),
        ("{}", "no map 'tree_metadata'"),
        ("\xff", "no JSON document"),
    ):
        path.write_text(text)
        with pytest.raises(treering.TreeringError, match=message):
            interop.from_orbax(tmp_path / "standard")


def _entry(path, kind="None", kinds=None):
    keys = [{"key": k, "key_type": t} for k, t in zip(path, kinds or [2] * len(path))]
    return {"key_metadata": keys, "value_metadata": {"value_type": kind, "skip_deserialize": True}}


@pytest.mark.parametrize(
    "entries, message",
    [
        ([_entry(["a"] * 300)], "deeper than 256"),
        ([_entry(["a", "b"]), _entry(["a"])], "occurs twice, or others lie below it"),
        ([_entry(["a"]), _entry(["a", "b"])], "contradicts another"),
        ([_entry(["0"], kinds=[1]), _entry(["2"], kinds=[1])], "a list lacks its position 1"),
        ([_entry(["0"], kinds=[1]), _entry(["b"])], "contradicts another"),
        ([_entry(["x"], kinds=[1])], "'x' for a position in a list"),
        ([_entry(["9" * 12], kinds=[1])], "for a position in a list"),
        ([_entry(["x"], kinds=[3])], "a key of type 3"),
        ([_entry([]), _entry(["a"])], "a leaf at the root beside others"),
        ([_entry(["a"], "thing")], "msgpack|of the type 'thing'"),
        ([_entry(["a"], "jax.Array")], "the msgpack file 'checkpoint' of an old Orbax"),
    ],
)
def test_impossible_trees_are_refused_with_their_entry(tmp_path, entries, message):
    document = {"tree_metadata": {str(i): entry for i, entry in enumerate(entries)}}
    (tmp_path / "_METADATA").write_text(json.dumps(document))
    with pytest.raises(treering.TreeringError, match=message):
        interop.from_orbax(tmp_path)


def test_a_tree_as_deep_as_allowed_needs_no_deep_stack(tmp_path):
    import sys

    document = {"tree_metadata": {"x": _entry([str(i) for i in range(250)])}}
    (tmp_path / "_METADATA").write_text(json.dumps(document))
    limit, depth = sys.getrecursionlimit(), len(__import__("inspect").stack())
    sys.setrecursionlimit(depth + 60)
    try:
        found = interop.from_orbax(tmp_path)
    finally:
        sys.setrecursionlimit(limit)
    for i in range(250):
        found = found[str(i)]
    assert found is None


def test_missing_parts_are_named_and_harmless_ones_are_not_missed(tmp_path):
    folder = _copy(tmp_path, "kinds-ocdbt-zarr2")
    good = as_bits(
        {k: v for k, v in interop.from_orbax(folder).items() if "key" not in k and k != "rbg"}
    )
    for name in ("_CHECKPOINT_METADATA", "_sharding", "commit_success.txt"):
        os.unlink(folder / name)
    found = interop.from_orbax(folder)
    assert as_bits({k: v for k, v in found.items() if "key" not in k and k != "rbg"}) == good
    shutil.rmtree(folder / "array_metadatas")
    with pytest.warns(RuntimeWarning, match="typed PRNG key, it comes as a plain array of uint32"):
        assert interop.from_orbax(folder)["key"].tolist() == [0, 5]
    os.rename(folder / "manifest.ocdbt", folder / "x")
    with pytest.raises(FileNotFoundError, match="in 'manifest.ocdbt', which is not there"):
        interop.from_orbax(folder)
    os.rename(folder / "x", folder / "manifest.ocdbt")
    os.unlink(folder / "_METADATA")
    with pytest.raises(NotImplementedError, match="a tree without _METADATA"):
        interop.from_orbax(folder)


def test_a_lost_chunk_and_a_lost_array_are_named(tmp_path):
    folder = _copy(tmp_path, "sharded-loose-zarr2")
    os.unlink(folder / "second" / "0.1")
    with pytest.raises(FileNotFoundError, match=r"array 'second'.*the chunk \[0, 1\] is not there"):
        interop.from_orbax(folder)
    shutil.rmtree(folder / "second")
    with pytest.raises(FileNotFoundError, match="array 'second'.*neither .zarray nor zarr.json"):
        interop.from_orbax(folder)


def test_arrays_larger_than_the_memory_are_refused_before_any_is_taken(tmp_path):
    entry = _entry(["a"], "jax.Array")
    entry["value_metadata"]["skip_deserialize"] = False
    (tmp_path / "_METADATA").write_text(
        json.dumps({"tree_metadata": {"a": entry}, "use_ocdbt": False})
    )
    (tmp_path / "a").mkdir()
    array = {"zarr_format": 2, "shape": [1 << 43], "chunks": [1 << 20], "dtype": "|u1"}
    (tmp_path / "a/.zarray").write_text(json.dumps(array))
    with pytest.raises(MemoryError, match="arrays of 8796093022208 bytes.*import_orbax"):
        interop.from_orbax(tmp_path)
    assert interop.open_orbax(os.fsencode(tmp_path)).lazy()["a"].nbytes == 1 << 43


def test_a_pipe_in_place_of_a_file_does_not_hang(tmp_path):
    folder = _copy(tmp_path, "standard")
    path = _node_of(folder)
    os.unlink(path)
    os.mkfifo(path)
    with pytest.raises(treering.CorruptionError, match="is no regular file"):
        interop.from_orbax(folder)


# ---- hostile stores, whose checksums are right


def _sealed(data):
    body = data[:4] + len(data).to_bytes(8, "little") + data[12:-4]
    return body + crc32c(body).to_bytes(4, "little")


def _plain_store(folder):
    """A store of TensorStore's without compression, several levels deep."""
    tensorstore = pytest.importorskip("tensorstore")
    config = {"compression": None, "max_decoded_node_bytes": 600, "max_inline_value_bytes": 10}
    spec = {"driver": "ocdbt", "base": f"file://{folder}/", "config": config}
    store = tensorstore.KvStore.open(spec).result()
    with tensorstore.Transaction() as transaction:
        for i in range(100):
            store.with_transaction(transaction)[b"layers/%03d" % i] = bytes([i]) * (i % 25)
    return {key: extent.read() for key, extent in OcdbtStore(str(folder))._values.items()}


def _try(folder):
    try:
        store = OcdbtStore(str(folder))
        for extent in store._values.values():
            extent.read()
    except treering.TreeringError as error:
        return error
    return None


def test_manifests_with_right_checksums_and_wrong_content_cost_an_error_at_most(tmp_path):
    _plain_store(tmp_path)
    path = tmp_path / "manifest.ocdbt"
    data, refused = path.read_bytes(), 0
    for position in range(12, len(data) - 4):
        for value in (0, 127, 255, data[position] ^ 1):
            path.write_bytes(_sealed(data[:position] + bytes([value]) + data[position + 1 :]))
            refused += _try(tmp_path) is not None
    assert refused > len(data)
    for size in range(12, len(data) - 4):
        path.write_bytes(_sealed(data[:size] + bytes(4)))
        assert _try(tmp_path) is not None, size


def test_nodes_with_right_checksums_and_wrong_content_cost_an_error_at_most(tmp_path):
    _plain_store(tmp_path)
    nodes = []
    for path in (tmp_path / "d").iterdir():
        data = path.read_bytes()
        at = data.find(b"\x0c\xdb\x20\xde")
        while at >= 0:
            nodes.append((path, data, at, int.from_bytes(data[at + 4 : at + 12], "little")))
            at = data.find(b"\x0c\xdb\x20\xde", at + 4)
    assert len(nodes) > 3
    choose, refused, count = random.Random(5), 0, 0
    for path, data, start, size in nodes:
        node = data[start : start + size]
        for position in choose.sample(range(12, size - 4), min(30, size - 16)):
            changed = (
                node[:position]
                + bytes([choose.choice((0, 1, 127, 128, 255))])
                + node[position + 1 :]
            )
            path.write_bytes(data[:start] + _sealed(changed) + data[start + size :])
            refused += _try(tmp_path) is not None
            count += 1
        path.write_bytes(data)
    assert refused > count // 4 and _try(tmp_path) is None


def test_a_data_file_outside_of_the_store_is_refused(tmp_path):
    _plain_store(tmp_path)
    path = tmp_path / "manifest.ocdbt"
    data = path.read_bytes()
    at = data.index(b"d/")
    for name in (b"../", b"/et"):
        path.write_bytes(_sealed(data[:at] + name + data[at + 3 :]))
        with pytest.raises(treering.CorruptionError, match="outside of the store"):
            OcdbtStore(str(tmp_path))

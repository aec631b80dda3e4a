# SPDX-License-Identifier: Apache-2.0
# Folders of other libraries, and stores without their file STORE: never taken for nothing at all.
import os

import numpy as np
import pytest

import treering


def folder_with(tmp_path, file):
    found = tmp_path / "run" / file
    found.parent.mkdir(parents=True)
    found.write_text("{}")
    return tmp_path / "run"


ORBAX = ["3/_CHECKPOINT_METADATA", "step_3/default/_METADATA", "_CHECKPOINT_METADATA", "default/manifest.ocdbt"]


@pytest.mark.parametrize("file", ORBAX)
@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"create": False}])
def test_no_manager_opens_a_folder_of_orbax_or_writes_into_it(tmp_path, file, options):
    run = folder_with(tmp_path, file)
    before = sorted(os.listdir(run))
    with pytest.raises(treering.NotTreeringError, match="treering.interop") as raised:
        treering.CheckpointManager(run, **options)
    assert file in str(raised.value) and sorted(os.listdir(run)) == before


def test_a_store_without_steps_does_not_disarm_the_check(tmp_path):
    run = tmp_path / "run"
    treering.CheckpointManager(run).close()
    folder_with(tmp_path, "3/_CHECKPOINT_METADATA")
    for open_ in treering.CheckpointManager, treering.orbax.CheckpointManager:
        with pytest.raises(treering.NotTreeringError, match="Orbax"):
            open_(run)


def test_a_store_with_steps_is_opened_whatever_lies_beside_them(tmp_path):
    run = tmp_path / "run"
    with treering.CheckpointManager(run) as manager:
        manager.save(1, {"w": 1})
    folder_with(tmp_path, "3/_CHECKPOINT_METADATA")
    with treering.CheckpointManager(run) as manager:
        assert manager.all_steps() == [1]


def test_a_folder_that_only_contains_one_of_orbax_may_hold_a_store(tmp_path):
    run = folder_with(tmp_path, "old/3/_CHECKPOINT_METADATA")
    treering.CheckpointManager(run).close()


@pytest.mark.parametrize("file, named", [*((file, "from_orbax") for file in ORBAX), ("notes.txt", "notes.txt")])
@pytest.mark.parametrize("read", [treering.load, treering.open, treering.metadata, treering.verify])
def test_a_foreign_folder_is_no_file_that_is_not_found(tmp_path, file, named, read):
    run = folder_with(tmp_path, file)
    with pytest.raises(treering.NotTreeringError, match=named) as raised:
        read(run)
    assert not isinstance(raised.value, OSError) and raised.value.path == str(run)


def test_a_store_that_lost_its_file_is_damaged_and_not_missing(tmp_path):
    run = tmp_path / "run"
    with treering.CheckpointManager(run) as manager:
        manager.save(1, {"w": np.ones(3)})
    os.remove(run / "STORE")
    with pytest.raises(treering.CorruptionError, match="STORE"):
        treering.load(run)


@pytest.mark.parametrize("files", [[], [".keep"], ["LOCK"]])
def test_a_folder_with_nothing_in_it_has_no_checkpoint(tmp_path, files):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError):
        treering.load(tmp_path)

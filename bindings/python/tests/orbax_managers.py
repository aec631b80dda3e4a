# SPDX-License-Identifier: Apache-2.0
# For the tests of CheckpointManager under Orbax's names: managers of one folder, and small trees.
import numpy as np
import pytest

import treering.orbax as ocp

Options = ocp.CheckpointManagerOptions


def tree(step=0):
    return {"w": np.full((2, 3), step, np.float32), "n": step}


def standard(step=0):
    return ocp.args.StandardSave(tree(step))


@pytest.fixture
def open_manager(tmp_path):
    """Makes managers of one folder, synchronous unless said otherwise, and closes them."""
    made = []

    def run(folder=None, *, more=None, **options):
        options.setdefault("enable_async_checkpointing", False)
        manager = ocp.CheckpointManager(
            folder or tmp_path / "run", options=Options(**options), **(more or {})
        )
        made.append(manager)
        return manager

    yield run
    for manager in made:
        manager.close()

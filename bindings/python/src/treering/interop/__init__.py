# SPDX-License-Identifier: Apache-2.0
# Checkpoints of other libraries, read without them.
"""Checkpoints of other libraries, read without them.

    from treering import interop
    state = interop.from_orbax("run/1200")            # a step, an item, or a manager's folder
    opened = interop.open_orbax("run", step=1200)     # its items, metrics, metadata
    opened.lazy()["params"]["kernel"].read()          # one array at a time
    interop.import_orbax("run", "run.treering")       # a store of treering with the same steps

`python -m treering import SRC DST` does the last from the command line.
"""

from ._orbax import OrbaxCheckpoint, from_orbax, open_orbax, orbax_steps
from ._orbax_import import Imported, import_orbax
from ._orbax_item import OrbaxArray

__all__ = [
    "Imported",
    "OrbaxArray",
    "OrbaxCheckpoint",
    "from_orbax",
    "import_orbax",
    "open_orbax",
    "orbax_steps",
]

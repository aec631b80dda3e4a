# SPDX-License-Identifier: Apache-2.0
# Checkpoints of other libraries, read without them.
"""Checkpoints of other libraries, read without them.

- `from_orbax("run/1200")` gives the state of a step, of an item, or of a manager's folder.
- `open_orbax("run", step=1200)` gives its items, metrics and metadata, and with `lazy()` its arrays,
  each of which is read when its `read()` is called.
- `import_orbax("run", "run.treering")` makes a store of treering with the same steps, as
  `python -m treering import SRC DST` does from the command line.
"""

from ._orbax import OrbaxCheckpoint, from_orbax, open_orbax, orbax_steps
from ._orbax_import import Imported, import_orbax
from ._orbax_item import OrbaxArray
from ._safetensors import from_safetensors, safetensors_metadata, to_safetensors

__all__ = [
    "Imported",
    "OrbaxArray",
    "OrbaxCheckpoint",
    "from_orbax",
    "from_safetensors",
    "import_orbax",
    "open_orbax",
    "orbax_steps",
    "safetensors_metadata",
    "to_safetensors",
]

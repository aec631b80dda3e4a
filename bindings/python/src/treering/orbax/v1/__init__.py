# SPDX-License-Identifier: Apache-2.0
# treering.orbax.v1: what programs written for orbax.checkpoint.experimental.v1 import instead of it.
"""`from treering.orbax import v1 as ocp` instead of `import orbax.checkpoint.experimental.v1 as ocp`.

    >>> import tempfile, numpy as np
    >>> from treering.orbax import v1 as ocp
    >>> with ocp.training.Checkpointer(tempfile.mkdtemp()) as checkpointer:
    ...     for step in range(3):
    ...         _ = checkpointer.save(step, {"w": np.full(2, step)}, metrics={"loss": 1 / (step + 1)})
    ...     checkpointer.latest.step, checkpointer.load()["w"].tolist()
    (2, [2, 2])

Names, arguments, answers and exceptions are Orbax's. A checkpoint is one container of treering, a
Checkpointer's directory a store of it. Neither orbax nor tensorstore is needed. Where an answer
differs on purpose, `ORBAX.md` says so and why.
"""

from . import arrays, errors, handlers, multihost, options, partial, path, training, tree
from ._context import Context
from ._deletion import delete, delete_async
from ._loading import (
    PLACEHOLDER,
    load,
    load_async,
    load_checkpointables,
    load_checkpointables_async,
)
from ._metadata import CheckpointMetadata, PyTreeMetadata, checkpointables_metadata, metadata
from ._paths import is_orbax_checkpoint
from ._response import AsyncResponse
from ._saving import (
    deprecated,
    save,
    save_async,
    save_checkpointables,
    save_checkpointables_async,
)
from .handlers import (
    AbstractCheckpointable,
    Checkpointable,
    CheckpointableHandler,
    StatefulCheckpointable,
)

save_pytree = deprecated("save_pytree", save)
save_pytree_async = deprecated("save_pytree_async", save_async)
load_pytree = deprecated("load_pytree", load)
load_pytree_async = deprecated("load_pytree_async", load_async)
pytree_metadata = deprecated("pytree_metadata", metadata)

__all__ = [
    "AbstractCheckpointable", "AsyncResponse", "Checkpointable", "CheckpointMetadata",
    "CheckpointableHandler", "Context", "PLACEHOLDER", "PyTreeMetadata", "StatefulCheckpointable",
    "arrays", "checkpointables_metadata", "delete", "delete_async", "errors", "handlers",
    "is_orbax_checkpoint", "load", "load_async", "load_checkpointables", "load_checkpointables_async",
    "load_pytree", "load_pytree_async", "metadata", "multihost", "options", "partial", "path",
    "pytree_metadata", "save", "save_async", "save_checkpointables", "save_checkpointables_async",
    "save_pytree", "save_pytree_async", "training", "tree",
]  # fmt: skip

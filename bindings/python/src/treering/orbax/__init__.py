# SPDX-License-Identifier: Apache-2.0
# treering.orbax: what programs written for orbax.checkpoint import instead of it.
"""`import treering.orbax as ocp` instead of `import orbax.checkpoint as ocp`.

    >>> import tempfile, numpy as np
    >>> import treering.orbax as ocp
    >>> with ocp.CheckpointManager(tempfile.mkdtemp()) as manager:
    ...     manager.save(0, args=ocp.args.StandardSave({"w": np.arange(3)}))
    ...     manager.wait_until_finished()
    ...     manager.restore(0)
    True
    {'w': array([0, 1, 2])}

Names, arguments, answers and exceptions are Orbax's; what is stored is a store of treering, which
every reader of it takes. Neither orbax nor tensorstore is needed. Where an answer differs on purpose,
`ORBAX.md` says so and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._version import __version__
from . import (
    args,
    arrays,
    checkpoint_args,
    checkpoint_manager,
    checkpoint_managers,
    checkpoint_utils,
    checkpointers,
    future,
    handler_registration,
    handlers,
    metadata,
    options,
    path,
    test_utils,
    transform_utils,
    tree,
    type_handlers,
)
from . import _names_of_utils as utils
from .abstract_checkpoint_manager import AbstractCheckpointManager
from .checkpoint_manager import CheckpointManager, CheckpointManagerOptions, StepAlreadyExistsError
from .checkpointers import (
    AbstractCheckpointer,
    AsyncCheckpointer,
    Checkpointer,
    PyTreeCheckpointer,
    StandardCheckpointer,
)
from .future import Future
from .handlers import (
    ArrayCheckpointHandler,
    AsyncCheckpointHandler,
    BasePyTreeCheckpointHandler,
    CheckpointHandler,
    CheckpointHandlerRegistry,
    CompositeCheckpointHandler,
    CompositeOptions,
    DefaultCheckpointHandlerRegistry,
    JaxRandomKeyCheckpointHandler,
    JsonCheckpointHandler,
    NumpyRandomKeyCheckpointHandler,
    PyTreeCheckpointHandler,
    StandardCheckpointHandler,
)
from .options import AsyncOptions
from .path import step
from .transform_utils import RestoreTransform, Transform, apply_transformations, merge_trees
from .type_handlers import PLACEHOLDER, ArrayRestoreArgs, RestoreArgs, SaveArgs

if TYPE_CHECKING:
    from . import v1


def __getattr__(name: str) -> Any:  # the newer API imports this one
    if name == "v1":
        import importlib

        return importlib.import_module(".v1", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AbstractCheckpointManager", "AbstractCheckpointer", "ArrayCheckpointHandler",
    "ArrayRestoreArgs", "AsyncCheckpointHandler", "AsyncCheckpointer", "AsyncOptions",
    "BasePyTreeCheckpointHandler", "CheckpointHandler", "CheckpointHandlerRegistry",
    "CheckpointManager", "CheckpointManagerOptions", "Checkpointer", "CompositeCheckpointHandler",
    "CompositeOptions", "DefaultCheckpointHandlerRegistry", "Future",
    "JaxRandomKeyCheckpointHandler", "JsonCheckpointHandler", "NumpyRandomKeyCheckpointHandler",
    "PLACEHOLDER", "PyTreeCheckpointHandler", "PyTreeCheckpointer", "RestoreArgs",
    "RestoreTransform", "SaveArgs", "StandardCheckpointHandler", "StandardCheckpointer",
    "StepAlreadyExistsError", "Transform", "__version__", "apply_transformations", "args", "arrays",
    "checkpoint_args", "checkpoint_manager", "checkpoint_managers", "checkpoint_utils",
    "checkpointers", "future", "handler_registration", "handlers", "merge_trees", "metadata",
    "options", "path", "step", "test_utils", "transform_utils", "tree", "type_handlers", "utils",
    "v1",
]  # fmt: skip

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

from typing import Any

_MODULES = (
    "args", "arrays", "checkpoint_args", "checkpoint_managers", "checkpoint_utils", "checkpointers",
    "future", "handler_registration", "handlers",
    "metadata", "options", "path", "test_utils", "transform_utils", "tree", "type_handlers", "utils",
)  # fmt: skip
_NAMES = {
    "abstract_checkpoint_manager": ["AbstractCheckpointManager"],
    "checkpoint_manager": ["CheckpointManager", "CheckpointManagerOptions", "StepAlreadyExistsError"],
    "options": ["AsyncOptions"],
    "handlers": [
        "ArrayCheckpointHandler", "AsyncCheckpointHandler", "BasePyTreeCheckpointHandler",
        "CheckpointHandler", "CheckpointHandlerRegistry", "CompositeCheckpointHandler",
        "CompositeOptions", "DefaultCheckpointHandlerRegistry", "JaxRandomKeyCheckpointHandler",
        "JsonCheckpointHandler", "NumpyRandomKeyCheckpointHandler", "PyTreeCheckpointHandler",
        "StandardCheckpointHandler",
    ],
    "checkpointers": [
        "AbstractCheckpointer", "AsyncCheckpointer", "Checkpointer", "PyTreeCheckpointer",
        "StandardCheckpointer",
    ],
    "type_handlers": ["ArrayRestoreArgs", "PLACEHOLDER", "RestoreArgs", "SaveArgs"],
    "transform_utils": [
        "RestoreTransform", "Transform", "apply_transformations", "merge_trees",
    ],
    "future": ["Future"],
}  # fmt: skip


def __getattr__(name: str) -> Any:  # what few programs need is imported when it is asked for
    import importlib

    if name in _MODULES:
        return importlib.import_module("." + name, __name__)
    for module, names in _NAMES.items():
        if name in names:
            return getattr(importlib.import_module("." + module, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

# SPDX-License-Identifier: Apache-2.0
# treering for Python: save and load pytrees as checked checkpoint files.
"""Save and load trees of arrays as checked checkpoint files.

    import treering
    treering.save("run.ring", {"params": params, "step": 3})
    tree = treering.load("run.ring")                  # exactly what was saved
    state = treering.load("run.ring", target=state)   # strictly into this structure
    treering.metadata("run.ring")                     # dtypes, shapes, attributes; no data

    with treering.CheckpointManager("run", max_to_keep=3) as manager:  # a step each, in the background
        manager.save(step, state)

A tree is any nesting of dict, list, tuple, namedtuple, dataclass, None and nnx.State over arrays
(NumPy, JAX, ml_dtypes), typed PRNG keys, numbers, strings and bytes. Errors derive from
`TreeringError` and from the built-in that fits.
"""

from ._errors import (
    AlreadyExistsError,
    BusyError,
    CancelledError,
    CheckpointNotFoundError,
    CorruptionError,
    DtypeMismatchError,
    InternalError,
    InvalidArgumentError,
    LimitError,
    NotTreeringError,
    OutOfMemoryError,
    OutcomeUnknownError,
    PathNotFoundError,
    PermissionDeniedError,
    StorageError,
    StructureMismatchError,
    TimedOutError,
    TreeringError,
    UnsupportedError,
    UnsupportedTypeError,
    WrongStateError,
)
from ._load import info, load, metadata
from ._save import save
from ._values import AbstractLeaf, Blob, Json, PRNGKey, Record, register_dataclass
from ._version import __version__


def __getattr__(name):  # what few programs need is imported when it is asked for
    import importlib

    if name == "policies":
        return importlib.import_module(".policies", __name__)  # which sets the attribute
    if name == "CheckpointManager":
        found = globals()[name] = importlib.import_module("._manager", __name__).CheckpointManager
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(set(globals()) | set(__all__))


__all__ = [
    "AbstractLeaf",
    "AlreadyExistsError",
    "Blob",
    "BusyError",
    "CancelledError",
    "CheckpointManager",
    "CheckpointNotFoundError",
    "CorruptionError",
    "DtypeMismatchError",
    "InternalError",
    "InvalidArgumentError",
    "Json",
    "LimitError",
    "NotTreeringError",
    "OutOfMemoryError",
    "OutcomeUnknownError",
    "PRNGKey",
    "PathNotFoundError",
    "PermissionDeniedError",
    "Record",
    "StorageError",
    "StructureMismatchError",
    "TimedOutError",
    "TreeringError",
    "UnsupportedError",
    "UnsupportedTypeError",
    "WrongStateError",
    "__version__",
    "info",
    "load",
    "metadata",
    "policies",
    "register_dataclass",
    "save",
]

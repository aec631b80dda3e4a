# SPDX-License-Identifier: Apache-2.0
# treering for Python: save and load pytrees as checked checkpoint files.
"""Save and load trees of arrays as checked checkpoint files.

    >>> import numpy as np, treering
    >>> state = {"params": {"w": np.arange(4.0)}, "step": 3}
    >>> treering.save("run.ring", state)
    >>> treering.load("run.ring")["step"]                    # exactly what was saved
    3
    >>> state = treering.load("run.ring", target=state)      # strictly into this structure
    >>> treering.metadata("run.ring")["params"]["w"].shape   # no data are read
    (4,)
    >>> treering.open("run.ring")["params/w"][1:3]           # part of a leaf
    array([1., 2.])
    >>> treering.diff("run.ring", state)                     # what has changed
    <Diff: 0 added, 0 removed, 0 changed>
    >>> treering.verify("run.ring").ok                       # every byte is as it was written
    True
    >>> with treering.CheckpointManager("run", max_to_keep=3) as manager:
    ...     manager.save(3, state)                           # a step each, in the background
    True

A tree is any nesting of dict, list, tuple, namedtuple, dataclass, None and nnx.State over arrays
(NumPy, JAX, ml_dtypes), typed PRNG keys, numbers, strings and bytes. Errors derive from
`TreeringError` and from the built-in that fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from ._load import load
from ._save import save
from ._values import AbstractLeaf, Blob, Json, PRNGKey, Record, register_dataclass
from ._version import __version__


if TYPE_CHECKING:
    from . import interop as interop
    from . import nnx as nnx
    from . import orbax as orbax
    from . import policies as policies
    from ._async import Response, load_async, save_async
    from ._container import Container, open
    from ._diff import Change, Diff, diff
    from ._display import format_tree
    from ._leaf import LeafRef
    from ._manager import CheckpointManager
    from ._metadata import Metadata, info, metadata
    from ._report import Finding, LoadReport
    from ._verify import VerifyReport, verify

# In a target: the leaf that stands here is not read, and the result has `...` in its place.
PLACEHOLDER = ...

# What few programs need is imported when it is asked for.
_LATER = {
    "Change": "_diff",
    "CheckpointManager": "_manager",
    "Container": "_container",
    "Diff": "_diff",
    "Finding": "_report",
    "LeafRef": "_leaf",
    "LoadReport": "_report",
    "Metadata": "_metadata",
    "Response": "_async",
    "VerifyReport": "_verify",
    "diff": "_diff",
    "format_tree": "_display",
    "info": "_metadata",
    "load_async": "_async",
    "metadata": "_metadata",
    "open": "_container",
    "save_async": "_async",
    "verify": "_verify",
}
_MODULES = ("interop", "nnx", "orbax", "policies")


def _later(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)  # which sets the attribute
    if name in _LATER:
        found = getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not TYPE_CHECKING:  # to a type checker, every name would be one
    __getattr__ = _later


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


__all__ = [
    "AbstractLeaf",
    "AlreadyExistsError",
    "Blob",
    "BusyError",
    "CancelledError",
    "Change",
    "CheckpointManager",
    "CheckpointNotFoundError",
    "Container",
    "CorruptionError",
    "Diff",
    "DtypeMismatchError",
    "Finding",
    "InternalError",
    "InvalidArgumentError",
    "Json",
    "LeafRef",
    "LimitError",
    "LoadReport",
    "Metadata",
    "NotTreeringError",
    "OutOfMemoryError",
    "OutcomeUnknownError",
    "PLACEHOLDER",
    "PRNGKey",
    "PathNotFoundError",
    "PermissionDeniedError",
    "Record",
    "Response",
    "StorageError",
    "StructureMismatchError",
    "TimedOutError",
    "TreeringError",
    "UnsupportedError",
    "UnsupportedTypeError",
    "VerifyReport",
    "WrongStateError",
    "__version__",
    "diff",
    "format_tree",
    "info",
    "load",
    "load_async",
    "metadata",
    "open",
    "policies",
    "register_dataclass",
    "save",
    "save_async",
    "verify",
]

# SPDX-License-Identifier: Apache-2.0
# All handlers, their arguments and registries, under the names that Orbax has for them.
"""Handlers. Programs mostly need `args`, and a handler for `Checkpointer` only."""

from __future__ import annotations

from ._handler_base import (
    AsyncCheckpointHandler,
    CheckpointHandler,
    DeferredPathAsyncCheckpointHandler,
)
from ._item_handlers import (
    CompositeCheckpointHandler,
    CompositeOptions,
    JaxRandomKeyCheckpointHandler,
    JaxRandomKeyRestoreArgs,
    JaxRandomKeySaveArgs,
    JsonCheckpointHandler,
    JsonRestoreArgs,
    JsonSaveArgs,
    NumpyRandomKeyCheckpointHandler,
    NumpyRandomKeyRestoreArgs,
    NumpyRandomKeySaveArgs,
)
from ._tree_handlers import (
    ArrayCheckpointHandler,
    ArrayRestoreArgs,
    ArraySaveArgs,
    PyTreeCheckpointHandler,
    PyTreeRestoreArgs,
    PyTreeSaveArgs,
    StandardCheckpointHandler,
    StandardRestoreArgs,
    StandardSaveArgs,
)
from .composite import Composite as CompositeArgs
from .composite import Composite as CompositeResults
from .handler_registration import (
    CheckpointHandlerRegistry,
    DefaultCheckpointHandlerRegistry,
    create_default_handler_registry,
)

BasePyTreeCheckpointHandler = PyTreeCheckpointHandler


def by_kind(kind: str) -> CheckpointHandler:
    """The handler of an item of a container that Orbax's API did not write."""
    return JsonCheckpointHandler() if kind == "json" else PyTreeCheckpointHandler()


__all__ = [
    "ArrayCheckpointHandler",
    "ArrayRestoreArgs",
    "ArraySaveArgs",
    "AsyncCheckpointHandler",
    "BasePyTreeCheckpointHandler",
    "CheckpointHandler",
    "CheckpointHandlerRegistry",
    "CompositeArgs",
    "CompositeCheckpointHandler",
    "CompositeOptions",
    "CompositeResults",
    "DefaultCheckpointHandlerRegistry",
    "DeferredPathAsyncCheckpointHandler",
    "JaxRandomKeyCheckpointHandler",
    "JaxRandomKeyRestoreArgs",
    "JaxRandomKeySaveArgs",
    "JsonCheckpointHandler",
    "JsonRestoreArgs",
    "JsonSaveArgs",
    "NumpyRandomKeyCheckpointHandler",
    "NumpyRandomKeyRestoreArgs",
    "NumpyRandomKeySaveArgs",
    "PyTreeCheckpointHandler",
    "PyTreeRestoreArgs",
    "PyTreeSaveArgs",
    "StandardCheckpointHandler",
    "StandardRestoreArgs",
    "StandardSaveArgs",
    "create_default_handler_registry",
]

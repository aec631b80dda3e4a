# SPDX-License-Identifier: Apache-2.0
# What a manager's constructor is made of: handlers from its arguments, the folder, the root's metadata.
from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from .._errors import CorruptionError
from .._nodes import json_text
from .._opening import refuse_orbax
from ._handler_base import CheckpointHandler
from ._log import logger
from ._options import CheckpointManagerOptions
from .checkpoint_args import get_registered_args_cls
from .checkpointers import AsyncCheckpointer, Checkpointer
from .handler_registration import DefaultCheckpointHandlerRegistry
from .handlers import CompositeCheckpointHandler
from .metadata import RootMetadata

DEFAULT_ITEM_NAME = "default"
METRIC_ITEM_NAME = "metrics"
METADATA_ITEM_NAME = "metadata"
RESERVED_ITEM_NAMES: list[str] = []
_ROOT_FILE = "_ROOT_METADATA"


def check_arguments(
    checkpointers: Any, item_names: Any, item_handlers: Any, handler_registry: Any
) -> None:
    """Raises ValueError for arguments that say the same thing twice."""
    single = item_handlers if isinstance(item_handlers, CheckpointHandler) else None
    for one, first, other, second in (
        ("checkpointers", checkpointers or None, "item_names", item_names or None),
        ("checkpointers", checkpointers or None, "item_handlers", item_handlers or None),
        ("item_names", item_names or None, "a single item_handlers", single),
        ("checkpointers", checkpointers, "handler_registry", handler_registry),
        ("item_handlers", item_handlers, "handler_registry", handler_registry),
        ("item_names", item_names, "handler_registry", handler_registry),
    ):
        if first is not None and second is not None:
            raise ValueError(f"{one} and {other} are mutually exclusive; give one of them")


def handlers(
    checkpointers: Any,
    item_names: Optional[Sequence[str]],
    item_handlers: Any,
    registry: Any,
    options: CheckpointManagerOptions,
) -> tuple[Any, Optional[bool], bool]:
    """(the handler of all items, whether there is a single unnamed one or None, asynchronous)."""
    asynchronous = options.enable_async_checkpointing
    if checkpointers is not None:
        by_name, single, asynchronous = _of_checkpointers(checkpointers, options)
        return CompositeCheckpointHandler(**by_name), single, asynchronous
    if registry is None and item_names is None and item_handlers is None:
        registry = DefaultCheckpointHandlerRegistry()
    if registry is not None:
        return CompositeCheckpointHandler(handler_registry=registry), None, asynchronous
    if options.multiprocessing_options.primary_host is None and item_handlers is None:
        raise ValueError("primary_host=None needs item_handlers that are made with it, too")
    if isinstance(item_handlers, CheckpointHandler):
        return CompositeCheckpointHandler(default=item_handlers), True, asynchronous
    named: dict[str, Any] = dict.fromkeys(item_names or ())
    named.update(item_handlers or {})
    return CompositeCheckpointHandler(**named), False, asynchronous


def _of_checkpointers(
    checkpointers: Any, options: CheckpointManagerOptions
) -> tuple[dict[str, Any], bool, bool]:
    if options.multiprocessing_options.primary_host != 0:
        raise ValueError("checkpointers go with primary_host=0 only; use handler_registry")
    if isinstance(checkpointers, Checkpointer):
        asynchronous = isinstance(checkpointers, AsyncCheckpointer)
        return {DEFAULT_ITEM_NAME: checkpointers.handler}, True, asynchronous
    if not isinstance(checkpointers, Mapping):
        raise ValueError(f"checkpointers is a Checkpointer or a dict of them, not {checkpointers!r}")
    for name, one in checkpointers.items():
        if not isinstance(one, Checkpointer):
            raise ValueError(f"checkpointers[{name!r}] is no Checkpointer but {type(one)}")
    asynchronous = any(isinstance(one, AsyncCheckpointer) for one in checkpointers.values())
    return {name: one.handler for name, one in checkpointers.items()}, False, asynchronous


def args_for(composite: Any, item: str) -> tuple[type[Any], type[Any]]:
    """An item's classes of arguments (saving, restoring), for calls without arguments of a class.

    Raises:
        ValueError: the manager was made without a handler for that item.
    """
    for (name, _), handler in composite._registry.get_all_entries().items():
        if name == item:
            return get_registered_args_cls(handler)
    raise ValueError(
        f"the manager has no handler for item {item!r}; give args=, or item_handlers when it is made"
    )


def prepare_folder(directory: str, options: CheckpointManagerOptions) -> None:
    """Makes the folder if asked to, and refuses one that the real Orbax has written to."""
    jax = sys.modules.get("jax")
    started = getattr(getattr(jax, "distributed", None), "is_initialized", lambda: False)
    if jax is not None and started() and jax.process_count() > 1:
        raise NotImplementedError("several processes cannot write one checkpoint from Python yet")
    if options.todelete_full_path is not None:
        raise NotImplementedError("todelete_full_path is for Google's storage; use todelete_subdir")
    if options.create:
        if options.multiprocessing_options.active_processes is not None:
            raise NotImplementedError(
                "create=True does not go with active_processes; make the folder before"
            )
        if not os.path.isdir(directory):
            mode = options.file_options.path_permission_mode if options.file_options else None
            Path(directory).mkdir(mode=0o777 if mode is None else mode, parents=True, exist_ok=True)
    refuse_orbax(directory)


class Root:
    """The metadata of all steps together, `<directory>/metadata/_ROOT_METADATA`: written once."""

    def __init__(
        self, directory: str, given: Optional[Mapping[str, Any]], options: CheckpointManagerOptions
    ) -> None:
        self._file = os.path.join(directory, METADATA_ITEM_NAME, _ROOT_FILE)
        self._given = given if options.read_only else None
        if given is not None and options.save_root_metadata and not options.read_only:
            if not os.path.exists(self._file):
                self._write(dict(given))

    def _write(self, custom: dict[str, Any]) -> None:
        text = json_text({"custom_metadata": custom, "internal_metadata": {}}, "metadata")
        folder = os.path.dirname(self._file)
        os.makedirs(folder, exist_ok=True)
        temporary = f"{self._file}.{os.getpid()}"
        with open(temporary, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._file)
        for path in (folder, os.path.dirname(folder)):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def read(self) -> RootMetadata:
        """What was stored; what the constructor was given, where a read-only manager finds nothing.

        Raises:
            CorruptionError: the file is no JSON document.
        """
        try:
            with open(self._file, "rb") as file:
                found = json.loads(file.read())
        except FileNotFoundError:
            return RootMetadata(custom_metadata=dict(self._given or {}))
        except ValueError as error:
            raise CorruptionError(f"'{self._file}' is damaged: {error}") from None
        return RootMetadata(
            internal_metadata=found.get("internal_metadata"),
            custom_metadata=found.get("custom_metadata") or {},
        )


def reached_preemption(step: int) -> bool:
    """Whether JAX's preemption service says that this step is the last to be saved."""
    if "jax" not in sys.modules:
        return False
    from jax.experimental import multihost_utils

    try:
        return bool(multihost_utils.reached_preemption_sync_point(step))
    except RuntimeError:  # the service does not run
        return False


def log_once_unused(options: CheckpointManagerOptions) -> None:
    """Tells of options that a program may count on and that do nothing here."""
    if options.temporary_path_class is not None:
        logger.warning("temporary_path_class is not used: every save is atomic")

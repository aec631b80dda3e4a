# SPDX-License-Identifier: Apache-2.0
# Options of a Context, as Orbax's users write them.
"""Options, under the names of `ocp.options`. ORBAX.md lists those that change nothing here.

While a `Context` is entered, its options cannot be changed.
"""

from __future__ import annotations

import contextvars
import dataclasses
import enum
import pathlib
from collections.abc import Callable
from typing import Any, Protocol

from ..options import AtomicityMode
from .handlers import CheckpointableHandlerRegistry, ReadOnlyRegistry, local_registry

frozen: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar(
    "treering_frozen_options", default=frozenset()
)


class _Guarded:
    def __setattr__(self, name: str, value: Any) -> None:
        if id(self) in frozen.get():
            raise RuntimeError(
                f"{type(self).__name__}.{name} belongs to a Context that is active; set it before "
                "the `with` block"
            )
        object.__setattr__(self, name, value)


@dataclasses.dataclass(kw_only=True)
class AsyncOptions(_Guarded):
    """How a save in the background behaves.

    Attributes:
        timeout_secs: a wait for a save that began longer ago is a TimeoutError; the save goes on.
        post_finalization_callback: called when a checkpoint is on the disk.
        create_directories_asynchronously: changes nothing: a save makes one file.
    """

    timeout_secs: int = 1200
    post_finalization_callback: Callable[[], None] | None = None
    create_directories_asynchronously: bool = True


@dataclasses.dataclass(kw_only=True)
class AtomicityOptions(_Guarded):
    """Changes nothing: every save is atomic and flushed."""

    mode: AtomicityMode = AtomicityMode.AUTO
    allow_legacy_atomic_rename: bool = False


@dataclasses.dataclass(kw_only=True)
class MultiprocessingOptions(_Guarded):
    """Changes nothing in one process."""

    primary_host: int | None = 0
    active_processes: set[int] | None = None
    barrier_sync_key_prefix: str | None = None


@dataclasses.dataclass(kw_only=True)
class FileOptions(_Guarded):
    """`path_permission_mode`: mode bits of a Checkpointer's folder that is made; `path_class`: of the
    paths that are answered."""

    path_permission_mode: int | None = None
    path_class: Callable[..., Any] = pathlib.Path
    skip_sync_file_validations: bool = False


@dataclasses.dataclass(kw_only=True)
class PyTreeMetadataOptions:
    """Changes nothing: node types are always stored."""

    support_rich_types: bool = False


@dataclasses.dataclass(kw_only=True)
class PyTreeOptions(_Guarded):
    """`loading.partial_load`: a target may leave out keys of dicts, which are not read then."""

    @dataclasses.dataclass(kw_only=True)
    class Saving(_Guarded):
        """Changes nothing."""

        pytree_metadata_options: PyTreeMetadataOptions = dataclasses.field(
            default_factory=PyTreeMetadataOptions
        )

    @dataclasses.dataclass(kw_only=True)
    class Loading(_Guarded):
        """See `PyTreeOptions`."""

        partial_load: bool = False

    saving: Saving = dataclasses.field(default_factory=Saving)
    loading: Loading = dataclasses.field(default_factory=Loading)


@dataclasses.dataclass(kw_only=True)
class StorageOptions(_Guarded):
    """`dtype`: what arrays are cast to before they are written; the others change nothing."""

    dtype: Any = None
    chunk_byte_size: int | None = None
    shard_axes: tuple[int, ...] | None = None


class ScopedStorageOptionsCreator(Protocol):
    """From a leaf's key path (as of JAX) and value to its StorageOptions; None: the general ones."""

    def __call__(self, key: Any, value: Any) -> StorageOptions | None: ...


@dataclasses.dataclass(kw_only=True)
class ArrayOptions(_Guarded):
    """How arrays are saved and loaded."""

    @dataclasses.dataclass(kw_only=True)
    class Saving(_Guarded):
        """`storage_options` and `scoped_storage_options_creator` say the dtype to store; the others
        speak of TensorStore and change nothing."""

        storage_options: StorageOptions = dataclasses.field(default_factory=StorageOptions)
        use_ocdbt: bool = True
        use_zarr3: bool = True
        use_compression: bool = True
        ocdbt_target_data_file_size: int | None = None
        enable_pinned_host_transfer: bool | None = None
        enable_post_merge_validation: bool = True
        use_replica_parallel: bool | None = None
        min_slice_bytes_for_replica_parallel: int | None = None
        max_replicas_for_replica_parallel: int | None = None
        enable_replica_parallel_separate_folder: bool = False
        enable_write_sharding_file: bool = True
        array_metadata_store: Any = None
        scoped_storage_options_creator: ScopedStorageOptionsCreator | None = None

    @dataclasses.dataclass(kw_only=True)
    class Loading(_Guarded):
        """`enable_padding_and_truncation`: an array of another shape than the target's is cut and
        filled with zeros. The others change nothing: a missing byte is always an error."""

        @dataclasses.dataclass(kw_only=True)
        class LoadAndBroadcastOptions(_Guarded):
            """For several processes."""

            replica_axis_index: int | None = 0
            primary_replica_id: int | None = 0
            broadcast_memory_limit_bytes: int | None = None
            broadcast_memory_scaling_factor: float | None = 0.75

        enable_padding_and_truncation: bool = False
        raise_array_data_missing_error: bool = True
        use_load_and_broadcast: bool = False
        load_and_broadcast_options: LoadAndBroadcastOptions = dataclasses.field(
            default_factory=LoadAndBroadcastOptions
        )

    saving: Saving = dataclasses.field(default_factory=Saving)
    loading: Loading = dataclasses.field(default_factory=Loading)


setattr(ArrayOptions.Saving, "StorageOptions", StorageOptions)
setattr(ArrayOptions.Saving, "ScopedStorageOptionsCreator", ScopedStorageOptionsCreator)


@dataclasses.dataclass(kw_only=True)
class CheckpointablesOptions(_Guarded):
    """`registry`: where handlers are looked for; at first a copy of the global one."""

    registry: CheckpointableHandlerRegistry = dataclasses.field(
        default_factory=lambda: ReadOnlyRegistry(local_registry())
    )


@dataclasses.dataclass(kw_only=True)
class PathwaysOptions(_Guarded):
    """Changes nothing."""

    checkpointing_impl: Any = None


@dataclasses.dataclass(kw_only=True)
class DeletionOptions(_Guarded):
    """`gcs_deletion_options.todelete_full_path` is for Google's storage, and refused elsewhere."""

    @dataclasses.dataclass(kw_only=True)
    class GcsDeletionOptions(_Guarded):
        """See `DeletionOptions`."""

        todelete_full_path: str | None = None

    gcs_deletion_options: GcsDeletionOptions = dataclasses.field(default_factory=GcsDeletionOptions)


@dataclasses.dataclass(kw_only=True)
class MemoryOptions(_Guarded):
    """`write_concurrent_bytes` and `transfer_concurrent_bytes`: the smaller is the memory for copies of
    a Checkpointer's save in the background. The others change nothing."""

    write_concurrent_bytes: int | None = None
    read_concurrent_bytes: int | None = None
    transfer_concurrent_bytes: int | None = None
    regulator_options: Any = None
    expected_surge_bytes: int | float | None = None
    is_prioritized_key_fn: Callable[..., bool] | None = None
    serialization_status_callback: Any = None
    deepcopy_host_arrays: bool = True

    def budget(self) -> int:
        """Bytes for copies; 0: treering's own default."""
        given = [n for n in (self.write_concurrent_bytes, self.transfer_concurrent_bytes) if n]
        return min(given, default=0)


@dataclasses.dataclass(kw_only=True)
class SafetensorsOptions(_Guarded):
    """Changes nothing: files of safetensors are not read here."""

    max_over_read_ratio: float | None = None
    read_chunk_bytes: int | None = None


class CheckpointLayout(enum.Enum):
    """What is read. ORBAX and AUTO: checkpoints of treering. SAFETENSORS is refused."""

    ORBAX = "orbax"
    SAFETENSORS = "safetensors"
    AUTO = "auto"


__all__ = [
    "ArrayOptions", "AsyncOptions", "AtomicityMode", "AtomicityOptions", "CheckpointLayout",
    "CheckpointablesOptions", "DeletionOptions", "FileOptions", "MemoryOptions",
    "MultiprocessingOptions", "PathwaysOptions", "PyTreeOptions", "SafetensorsOptions",
]  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
# save: one call from a pytree to a durable file.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import about, check, new_error
from ._ffi import ffi, lib
from ._lending import Prepared, named, size_of
from ._logging import Timer
from ._nodes import encoded, json_text, options, threads_for
from ._opening import AnyPath, shown
from ._progress import Progress, Watch

NOTHING: Any = object()  # no tree was given


def save(
    path: AnyPath,
    tree: Any = NOTHING,
    *,
    overwrite: bool = False,
    items: Mapping[str, Any] | None = None,
    metadata: Any = None,
    progress: Progress = None,
) -> None:
    """Saves `tree` as the checkpoint file `path`; when this returns, it is on the disk.

    The file appears whole or not at all, whatever happens meanwhile; Ctrl-C is one of the things
    that may. Arrays are not copied (but for those of a foreign byte order, and those of JAX that are
    not in the host's memory): they must not change until the call returns. Any thread may save, also
    several at once.

    Args:
        path: where the file is to be. Its folder must be there.
        tree: the item "default". May be left out if there are items.
        overwrite: True: a file that exists is replaced, and stays until the new one is whole.
        items: more things by names of their own: trees, `treering.Json(value)`,
            `treering.Blob(bytes)`; `load(path, item=name)` gets them.
        metadata: a JSON value about the checkpoint (step, metrics, …), which `info` shows.
        progress: True: a bar of tqdm. A function: called with the bytes done and in all, now and then.

    Raises:
        AlreadyExistsError: (a FileExistsError) there is such a file, and `overwrite` is False.
        CheckpointNotFoundError: (a FileNotFoundError) there is no such folder.
        StorageError: (an OSError) with its errno: the disk is full, a flush failed, …
        TypeError, ValueError: what a checkpoint has no place for, by its path in the tree.

    >>> import tempfile, treering
    >>> folder = tempfile.mkdtemp()
    >>> treering.save(f"{folder}/run.ring", {"w": [1.5, 2.5]}, metadata={"step": 3})
    >>> treering.load(f"{folder}/run.ring")
    {'w': [1.5, 2.5]}
    """
    name = shown(path)
    with about(name), Timer("saved '%s'", name):
        writing = Writing(path, tree, overwrite, items, metadata)
        with Watch(progress, f"saving '{name}'", writing.size) as watch:
            try:  # an interrupt may come as soon as there is a file
                writing.open(watch)
                writing.run(watch)
            finally:
                writing.close()


class Writing:
    """One save to a path: prepared, then opened, then run, and closed whatever happened."""

    def __init__(self, path: AnyPath, tree: Any, overwrite: bool, items: Any, metadata: Any) -> None:
        self.path = encoded(path)
        self.name = shown(path)
        wanted = named({} if tree is NOTHING else {"default": tree}, items)
        self.text = b"" if metadata is None else json_text(metadata, "metadata")
        self.overwrite = bool(overwrite)
        self.items = [Prepared(name, value) for name, value in wanted.items()]
        self.size, self.leaves = size_of(self.items)
        self._out = ffi.new("treering_writer **")
        self._settings: Any = None

    def snapshot(self, budget: int) -> bool:
        """Copies what the program may change after the call; False if that is more than `budget`."""
        changing = [item.changing() for item in self.items]
        if sum(item.bytes(rows) for item, rows in zip(self.items, changing)) > budget:
            return False
        for item, rows in zip(self.items, changing):
            item.copy(rows)
        return True

    def open(self, watch: Watch) -> None:
        """Makes the temporary file; raises what can be told before any work."""
        for item in self.items:
            item.build()
        text = ffi.from_buffer("char[]", self.text)
        threads = threads_for(self.size) if self.leaves <= 4096 else 0  # small ones need no helpers
        settings = options(
            "treering_save_options", overwrite=self.overwrite, metadata=text,
            metadata_size=len(self.text), threads=threads, **watch.fields,
        )  # fmt: skip
        error = new_error()
        status = lib.treering_writer_create(self._out, self.path, len(self.path), settings, error)
        check(status, error)

    def run(self, watch: Watch) -> None:
        """Writes; the file exists when this returns."""
        error, writer = new_error(), self._out[0]
        for item in self.items:
            name = item.name, len(item.name)
            if item.tree is not None:
                status = lib.treering_writer_add_tree(writer, *name, item.tree, error)
            else:
                data = ffi.from_buffer(item.data)
                status = lib.treering_writer_add_bytes(
                    writer, item.kind, *name, data, len(item.data), error
                )
            watch.check(status, error)
        watch.check(lib.treering_writer_finish(ffi.NULL, ffi.NULL, writer, error), error)

    def close(self) -> None:
        """Drops the temporary file, if it is still one, and what the save held."""
        writer, self._out[0] = self._out[0], ffi.NULL
        lib.treering_writer_free(writer)
        self.items = []
